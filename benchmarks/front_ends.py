"""What the features of one clip of 3 s cost: ours, other log-mel front ends, and openSMILE's functionals.

    python benchmarks/front_ends.py [--clips N] [--repetitions N] [-o FILE.json]

One thread. The first four give the network of the bundled model the very same numbers, 64 bands of log-mel by
188 frames, and that is checked before anything is timed:

- vocalics: the part of the model file that makes its features, in ONNX Runtime, as `predict` runs it;
- vocalics in PyTorch: the same as training computes it;
- librosa: melspectrogram and power_to_db;
- kaldi-native-fbank, with librosa's frames and filters (it can only be fed by lists).

openSMILE's eGeMAPS (88 functionals) and ComParE (6,373) are other features, the usual ones for emotion in
speech; what they cost is told beside them, as `Smile.process_signal` takes it. Whoever is not installed is
left out. The contenders take turns; the table has medians, the ratios by processor time, which a busy machine
disturbs less than the clock.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # heard only before NumPy and PyTorch are imported
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import librosa
import numpy as np
import numpy.typing as npt
import onnx
import onnx.utils
import soundfile
import torch

from batch import CLIP_S, make_clips
from side_by_side import machine
from vocalics.files import write_atomically
from vocalics.lab.features.stack import LEVEL_UNIT_DB, FrontEnd
from vocalics.lab.recipes import load_recipe
from vocalics.recognition.model_file import locate, open_session

Array = npt.NDArray[np.floating]
FrontEndCall = Callable[[Array], Array]

RECIPE = load_recipe("vocalics")
RATE, N_FFT, HOP = RECIPE.sample_rate, RECIPE.features.n_fft, RECIPE.features.hop_length
(MEL,) = RECIPE.features.stack

OURS = "vocalics, in the model file"
TORCH = "vocalics, in PyTorch"
LIBROSA = "librosa, melspectrogram"
KALDI = "kaldi-native-fbank"
EGEMAPS, COMPARE = "openSMILE, eGeMAPS", "openSMILE, ComParE"

#: What each needs besides the lab.
PACKAGES = {KALDI: "kaldi_native_fbank", EGEMAPS: "opensmile", COMPARE: "opensmile"}

#: Functionals of each set.
FUNCTIONALS = {EGEMAPS: 88, COMPARE: 6_373}

#: Largest difference between two answers that are the same, in units of 20 dB.
EQUAL = 1e-3


def in_the_model_file() -> FrontEndCall:
    """Cut the front end out of the bundled model."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "front-end.onnx")
        onnx.utils.extract_model(str(locate(None)), str(part), ["waveform"], ["features"])
        session = open_session(part)
    return lambda clip: session.run(None, {"waveform": clip[np.newaxis]})[0][0]


def in_torch() -> FrontEndCall:
    """Build the front end of the recipe."""
    front_end = FrontEnd(RECIPE.features, RATE).eval()

    def hear(clip: Array) -> Array:
        with torch.inference_mode():
            return front_end(torch.from_numpy(clip)[np.newaxis])[0].numpy()

    return hear


def levelled(decibel: Array) -> Array:
    """Return what the network hears of decibels: their floor under the loudest, no mean, units of 20 dB."""
    decibel = np.maximum(decibel - decibel.max(), -MEL.top_db)
    return (decibel - decibel.mean()) / LEVEL_UNIT_DB


def by_librosa() -> FrontEndCall:
    """Call librosa as it is usually called."""

    def hear(clip: Array) -> Array:
        power = librosa.feature.melspectrogram(
            y=clip, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=MEL.n_mels, fmin=MEL.fmin, fmax=MEL.fmax
        )
        return levelled(librosa.power_to_db(power, ref=np.max, top_db=MEL.top_db))

    return hear


def by_kaldi() -> FrontEndCall:
    """Tell kaldi-native-fbank librosa's frames, window and filters."""
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    frames, bands = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.dither, frames.preemph_coeff, frames.remove_dc_offset = RATE, 0.0, 0.0, False
    frames.frame_length_ms, frames.frame_shift_ms = 1000 * N_FFT / RATE, 1000 * HOP / RATE
    frames.window_type, frames.snip_edges = "hann", True
    bands.num_bins, bands.low_freq, bands.high_freq = MEL.n_mels, MEL.fmin, MEL.fmax
    bands.is_librosa, options.eps = True, 1e-10

    def hear(clip: Array) -> Array:
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(RATE, np.pad(clip, N_FFT // 2).tolist())
        fbank.input_finished()
        rows = np.stack([fbank.get_frame(frame) for frame in range(fbank.num_frames_ready)], axis=1)
        return levelled(rows * np.float32(10 / np.log(10)))

    return hear


def by_opensmile(feature_set: str) -> FrontEndCall:
    """Let openSMILE compute one of its sets."""
    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel.Functionals
    )
    return lambda clip: smile.process_signal(clip, RATE).to_numpy()


MAKERS: dict[str, Callable[[], FrontEndCall]] = {
    OURS: in_the_model_file,
    TORCH: in_torch,
    LIBROSA: by_librosa,
    KALDI: by_kaldi,
    EGEMAPS: lambda: by_opensmile("eGeMAPSv02"),
    COMPARE: lambda: by_opensmile("ComParE_2016"),
}


def differences(clips: list[Array], contenders: Mapping[str, FrontEndCall]) -> dict[str, float]:
    """Compare every log-mel front end with librosa's over all clips; openSMILE's sets must be whole."""
    found = {name: 0.0 for name in contenders if name not in FUNCTIONALS}
    for clip in clips:
        expected = contenders[LIBROSA](clip)
        for name in found:
            found[name] = max(found[name], float(np.abs(contenders[name](clip) - expected).max()))
    for name, width in FUNCTIONALS.items():
        if name in contenders and contenders[name](clips[0]).shape != (1, width):
            raise SystemExit(f"{name} has not its {width} functionals; so nothing is timed.")
    return found


def measure(
    clips: list[Array], contenders: Mapping[str, FrontEndCall], repetitions: int
) -> list[dict[str, Any]]:
    """Let the contenders take turns; return a row for each, ratios to ours first."""
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    clock: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, contender in contenders.items():
            processor_start, clock_start = time.process_time(), time.perf_counter()
            for clip in clips:
                contender(clip)
            processor[name].append((time.process_time() - processor_start) / len(clips))
            clock[name].append((time.perf_counter() - clock_start) / len(clips))
    ours = statistics.median(processor[OURS]), statistics.median(clock[OURS])
    return [
        {
            "contender": name,
            "ratio": statistics.median(processor[name]) / ours[0],
            "ratio by clock": statistics.median(clock[name]) / ours[1],
            "processor ms": 1e3 * statistics.median(processor[name]),
            "clock ms": 1e3 * statistics.median(clock[name]),
        }
        for name in contenders
    ]


def main() -> int:
    """Check, measure, print the table; return 1 where the log-mel front ends do not agree."""
    options = parse_options()
    torch.set_num_threads(1)
    lacking = {name: package for name, package in PACKAGES.items() if find_spec(package) is None}
    for name, package in lacking.items():
        hint = f"pip install {package.replace('_', '-')}, or -r benchmarks/requirements.txt"
        print(f"left out: {name}; {hint}", file=sys.stderr)
    contenders = {name: make() for name, make in MAKERS.items() if name not in lacking}
    with tempfile.TemporaryDirectory() as folder:
        paths = make_clips(Path(folder), options.clips)
        clips = [soundfile.read(path, dtype="float32")[0] for path in paths]
    found = differences(clips, contenders)  # also warms them up
    wrong = [name for name, difference in found.items() if not difference <= EQUAL]
    if wrong:
        print(f"not librosa's: {', '.join(wrong)} ({found}); so nothing is timed.", file=sys.stderr)
        return 1
    rows = measure(clips, contenders, options.repetitions)
    print(f"{len(clips)} clips of {CLIP_S:g} s, one thread, {options.repetitions} repetitions; a clip takes:")
    titles = ("times ours", "by clock", "contender", "processor ms", "clock ms")
    print("{:>10} {:>9}  {:28} {:>12} {:>9}".format(*titles))
    for row in rows:
        print(
            f"{row['ratio']:10.2f} {row['ratio by clock']:9.2f}  {row['contender']:28} "
            f"{row['processor ms']:12.2f} {row['clock ms']:9.2f}"
        )
    if options.output:
        record = {
            "command": f"python benchmarks/front_ends.py --clips {options.clips} "
            f"--repetitions {options.repetitions}",
            "machine": machine(),
            "clip s": CLIP_S,
            "contenders": rows,
            "differences": found,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")
    return 0


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=9, help="after one not counted")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
