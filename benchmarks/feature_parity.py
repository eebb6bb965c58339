"""How far every feature lies from librosa's, over real clips.

    python benchmarks/feature_parity.py [--data DIR] [--clips N] [--json FILE]

DIR holds one folder per corpus (default: the environment variable VOCALICS_DATA). The clips are spread evenly
over the corpora and over the files of each, read at 22,050 Hz. Our modules compute them as in the exported
graph; librosa is given the same samples as float64, so that none of its own rounding counts, and as float32,
as it is called most.

An error is the largest difference in a clip over librosa's largest magnitude in that clip. The mark is 1e-4.
For the roll-off, a step function, it is in bins: at most one, in at most 0.1 % of all frames.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vocalics import audio
from vocalics.lab.features.cepstrum import MFCC, Delta
from vocalics.lab.features.chroma import Chroma
from vocalics.lab.features.contrast import SpectralContrast
from vocalics.lab.features.magnitude import MagnitudeSpectrum
from vocalics.lab.features.mel import Decibel, MelSpectrogram
from vocalics.lab.features.moments import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralRolloff,
)
from vocalics.lab.features.time_domain import RMS, SpectralRMS, ZeroCrossingRate

Array = npt.NDArray[np.floating]

CORPORA = ("ravdess", "tess", "savee", "nemo")
RATE, N_FFT, HOP = 22_050, 2_048, 512  # of the published systems, and librosa's defaults
MARK = 1e-4
ROLLOFF = "spectral roll-off"
ROLLOFF_SHARE = 1e-3  # of all frames may be one bin off: it is a step function


@dataclass(frozen=True)
class Pair:
    """One feature by two routes.

    Attributes
    ----------
    ours
        Its module; ``ours.takes`` names what it takes of the clip.
    librosa
        Samples (n,) to librosa's value (rows, frames).
    """

    ours: nn.Module
    librosa: Callable[[Array], Array]


def mfcc(y: Array, n_mfcc: int) -> Array:
    """Return librosa's MFCC at its defaults."""
    return np.asarray(librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=n_mfcc))


class Identity(nn.Module):
    """The power spectrogram as it is."""

    takes = "power"

    def forward(self, power: Tensor) -> Tensor:
        """Return `power`."""
        return power


class Chain(nn.Sequential):
    """Modules one after the other, which take what the first of them takes."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__(*modules)
        self.takes = getattr(modules[0], "takes", "power")


PAIRS = {
    "power spectrogram": Pair(Identity(), lambda y: np.abs(librosa.stft(y)) ** 2),
    "mel spectrogram, 128": Pair(
        Chain(MelSpectrogram(RATE, N_FFT)), lambda y: librosa.feature.melspectrogram(y=y, sr=RATE)
    ),
    "log-mel, 128": Pair(
        Chain(MelSpectrogram(RATE, N_FFT), Decibel()),
        lambda y: librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=RATE), ref=np.max),
    ),
    "MFCC, 13": Pair(MFCC(RATE, N_FFT, 13), lambda y: mfcc(y, 13)),
    "MFCC, 40": Pair(MFCC(RATE, N_FFT, 40), lambda y: mfcc(y, 40)),
    "MFCC, 58": Pair(MFCC(RATE, N_FFT, 58), lambda y: mfcc(y, 58)),
    "delta of MFCC, 13": Pair(
        Chain(MFCC(RATE, N_FFT, 13), Delta()), lambda y: librosa.feature.delta(mfcc(y, 13))
    ),
    "delta-delta of MFCC, 13": Pair(
        Chain(MFCC(RATE, N_FFT, 13), Delta(order=2)), lambda y: librosa.feature.delta(mfcc(y, 13), order=2)
    ),
    "chroma, 12": Pair(Chroma(RATE, N_FFT), lambda y: librosa.feature.chroma_stft(y=y, sr=RATE, tuning=0.0)),
    "spectral contrast, 7": Pair(
        SpectralContrast(RATE, N_FFT), lambda y: librosa.feature.spectral_contrast(y=y, sr=RATE)
    ),
    "spectral centroid": Pair(
        SpectralCentroid(RATE, N_FFT), lambda y: librosa.feature.spectral_centroid(y=y, sr=RATE)
    ),
    "spectral bandwidth": Pair(
        SpectralBandwidth(RATE, N_FFT), lambda y: librosa.feature.spectral_bandwidth(y=y, sr=RATE)
    ),
    ROLLOFF: Pair(SpectralRolloff(RATE, N_FFT), lambda y: librosa.feature.spectral_rolloff(y=y, sr=RATE)),
    "spectral flatness": Pair(SpectralFlatness(), lambda y: librosa.feature.spectral_flatness(y=y)),
    "zero-crossing rate": Pair(ZeroCrossingRate(N_FFT, HOP), librosa.feature.zero_crossing_rate),
    "RMS of the samples": Pair(RMS(N_FFT, HOP), lambda y: librosa.feature.rms(y=y, dtype=y.dtype)),
    "RMS of the spectrum": Pair(
        SpectralRMS(N_FFT), lambda y: librosa.feature.rms(S=np.abs(librosa.stft(y)), dtype=y.dtype)
    ),
}


class AllFeatures(nn.Module):
    """Waveforms (batch, samples) to every feature of `PAIRS`, in their order, from one spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = MagnitudeSpectrum(N_FFT, HOP)
        self.features = nn.ModuleList(pair.ours for pair in PAIRS.values())

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Return one (batch, rows, frames) per feature."""
        magnitude = self.spectrum(waveform)
        of_clip = {"waveform": waveform, "power": magnitude.square(), "magnitude": magnitude}
        return tuple(feature(of_clip[feature.takes]) for feature in self.features)  # type: ignore[index]


features = AllFeatures()
features.spectrum.prepare_export()


def errors(samples: npt.NDArray[np.float32], dtype: type[np.floating]) -> dict[str, Array]:
    """Compare every feature of one clip (n,) with librosa's, given the clip in `dtype`.

    Differences (rows, frames) are over librosa's largest magnitude; those of the roll-off are in bins.
    """
    with torch.inference_mode():
        answers = features(torch.from_numpy(samples)[None])
    found = {}
    for (name, pair), answer in zip(PAIRS.items(), answers, strict=True):
        expected = pair.librosa(samples.astype(dtype))
        unit = RATE / N_FFT if name == ROLLOFF else np.abs(expected).max()
        found[name] = np.abs(answer[0].numpy() - expected) / unit
    return found


def read_clips(data: Path, n_clips: int) -> dict[str, npt.NDArray[np.float32]]:
    """Read clips spread evenly over the corpora in `data` and over the files of each: path to samples."""
    folders = [data / name for name in CORPORA if (data / name).is_dir()]
    chosen = []
    for position, folder in enumerate(folders):
        files = sorted(path for path in folder.rglob("*") if path.suffix in audio.SUFFIXES)
        n_here = n_clips // len(folders) + (position < n_clips % len(folders))
        chosen += [files[index] for index in np.linspace(0, len(files) - 1, n_here).astype(int)]
    return {
        str(path.relative_to(data)): np.array(audio.read(path).mono().resampled(RATE).samples[0])
        for path in chosen
    }


def main() -> int:
    """Print the table, and return 0 when every mark is met, else 1."""
    options = parse_options()
    clips = read_clips(Path(options.data), options.clips)
    found = {
        dtype.__name__: [errors(samples, dtype) for samples in clips.values()]
        for dtype in (np.float64, np.float32)
    }
    print(f"{len(clips)} clips at {RATE} Hz, librosa {librosa.__version__}: largest error in the worst clip")
    print(f"{'feature':26} {'float64':>19} {'float32':>19}  mark")
    table = []
    for feature in PAIRS:
        cells = {dtype: summary(feature, [clip[feature] for clip in of]) for dtype, of in found.items()}
        texts = [cell.pop("text") for cell in cells.values()]
        met = all(cell["met"] for cell in cells.values())
        print(f"{feature:26} {texts[0]:>19} {texts[1]:>19}  {'met' if met else 'MISSED'}")
        table.append({"feature": feature, "met": met, **cells})
    if options.json:
        record = {"librosa": librosa.__version__, "clips": list(clips), "table": table}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["met"] for row in table) else 1


def summary(feature: str, of_clips: list[Array]) -> dict[str, object]:
    """Sum up the errors of one feature over all clips: figures, whether its mark is met, and a text."""
    if feature == ROLLOFF:
        bins = np.concatenate([errors.ravel() for errors in of_clips]).round()
        share, most = float((bins > 0).mean()), int(bins.max())
        met = share <= ROLLOFF_SHARE and most <= 1
        text = f"{most} bin in {share:.3%}" if most == 1 else f"{most} bins in {share:.3%}"
        return {"bins": most, "share_of_frames": share, "met": met, "text": text}
    worst = max(float(errors.max()) for errors in of_clips)
    return {"worst": worst, "met": worst <= MARK, "text": f"{worst:.1e}"}


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("VOCALICS_DATA"), help="folder of corpora")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the folder of corpora with --data or VOCALICS_DATA")
    return options


if __name__ == "__main__":
    sys.exit(main())
