"""The features that a recipe can name, each as a module with the names of its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vocalics.lab.features.cepstrum import Cepstrum, Delta
from vocalics.lab.features.chroma import Chroma
from vocalics.lab.features.contrast import SpectralContrast
from vocalics.lab.features.mel import Decibel
from vocalics.lab.features.moments import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralRolloff,
)
from vocalics.lab.features.time_domain import RMS, ZeroCrossingRate
from vocalics.lab.recipes.feature_settings import DELTA_WIDTH, LogMel, Mel, Mfcc

#: What a feature is computed from: the samples, one of the spectra, or a mel spectrogram of its own settings.
Source = Literal["waveform", "magnitude", "power", "mel"]

PITCH_CLASSES = ("c", "c_sharp", "d", "d_sharp", "e", "f", "f_sharp", "g", "g_sharp", "a", "a_sharp", "b")


@dataclass(frozen=True)
class Frames:
    """How a recipe cuts the samples into frames.

    Attributes
    ----------
    sample_rate
        Hz.
    n_fft, hop_length
        Samples in a frame and between frames.
    """

    sample_rate: int
    n_fft: int
    hop_length: int


@dataclass(frozen=True)
class FeatureInfo:
    """A feature that a recipe can name.

    Attributes
    ----------
    name
        Its name in a recipe.
    takes
        What its module is given.
    build
        Its settings and the frames to a module, from the source to rows (batch, n_rows, frames).
    rows
        Its settings to the names of its rows.
    description
        One line.
    """

    name: str
    takes: Source
    build: Callable[[Any, Frames], nn.Module]
    rows: Callable[[Any], list[str]]
    description: str


class _Mel(nn.Module):
    """The mel spectrogram itself."""

    def __init__(self, settings: Mel) -> None:
        super().__init__()
        self.n_rows = settings.n_mels

    def forward(self, mel: Tensor) -> Tensor:
        return mel


class _LogMel(Decibel):
    def __init__(self, settings: LogMel) -> None:
        super().__init__(settings.top_db)
        self.n_rows = settings.n_mels


class _Mfcc(nn.Module):
    """Cepstral coefficients and, below them, as many rows for each order of change."""

    def __init__(self, settings: Mfcc) -> None:
        super().__init__()
        self.cepstrum = Cepstrum(settings.n_mfcc, settings.n_mels)
        self.deltas = nn.ModuleList(Delta(DELTA_WIDTH, order + 1) for order in range(settings.deltas))
        self.n_rows = settings.n_mfcc * (1 + settings.deltas)

    def forward(self, mel: Tensor) -> Tensor:
        coefficients = self.cepstrum(mel)
        return torch.cat([coefficients, *(delta(coefficients) for delta in self.deltas)], dim=1)


def _mfcc_rows(settings: Mfcc) -> list[str]:
    names = [f"mfcc_{number}" for number in range(settings.n_mfcc)]
    orders = ("", "_delta", "_delta_delta")[: 1 + settings.deltas]
    return [name + order for order in orders for name in names]


def _chroma_rows(n_chroma: int) -> list[str]:
    classes = PITCH_CLASSES if n_chroma == len(PITCH_CLASSES) else range(n_chroma)
    return [f"chroma_{name}" for name in classes]


def _one_row(settings: Any) -> list[str]:
    return [settings.name]


FEATURES: dict[str, FeatureInfo] = {
    info.name: info
    for info in (
        FeatureInfo(
            "mel",
            "mel",
            lambda settings, frames: _Mel(settings),
            lambda settings: [f"mel_{band}" for band in range(settings.n_mels)],
            "mel power spectrogram",
        ),
        FeatureInfo(
            "log_mel",
            "mel",
            lambda settings, frames: _LogMel(settings),
            lambda settings: [f"log_mel_{band}" for band in range(settings.n_mels)],
            "log-mel spectrogram, dB under the clip's maximum",
        ),
        FeatureInfo(
            "mfcc",
            "mel",
            lambda settings, frames: _Mfcc(settings),
            _mfcc_rows,
            "mel-frequency cepstral coefficients, with their changes in time where asked for",
        ),
        FeatureInfo(
            "chroma",
            "power",
            lambda settings, frames: Chroma(frames.sample_rate, frames.n_fft, settings.n_chroma),
            lambda settings: _chroma_rows(settings.n_chroma),
            "energy of the pitch classes, each frame's largest 1",
        ),
        FeatureInfo(
            "spectral_contrast",
            "magnitude",
            lambda settings, frames: SpectralContrast(
                frames.sample_rate, frames.n_fft, settings.n_bands, settings.fmin, settings.quantile
            ),
            lambda settings: [f"spectral_contrast_{band}" for band in range(settings.n_bands + 1)],
            "peaks over valleys of the spectrum, octave by octave, dB",
        ),
        FeatureInfo(
            "spectral_centroid",
            "magnitude",
            lambda settings, frames: SpectralCentroid(frames.sample_rate, frames.n_fft),
            _one_row,
            "mean frequency, Hz",
        ),
        FeatureInfo(
            "spectral_bandwidth",
            "magnitude",
            lambda settings, frames: SpectralBandwidth(frames.sample_rate, frames.n_fft),
            _one_row,
            "deviation of frequency around the centroid, Hz",
        ),
        FeatureInfo(
            "spectral_rolloff",
            "magnitude",
            lambda settings, frames: SpectralRolloff(frames.sample_rate, frames.n_fft, settings.share),
            _one_row,
            "frequency below which 85 % of the magnitude lies, or another share, Hz",
        ),
        FeatureInfo(
            "spectral_flatness",
            "power",
            lambda settings, frames: SpectralFlatness(),
            _one_row,
            "geometric over arithmetic mean of the power",
        ),
        FeatureInfo(
            "zero_crossing_rate",
            "waveform",
            lambda settings, frames: ZeroCrossingRate(frames.n_fft, frames.hop_length),
            _one_row,
            "share of the samples at which the sign changes",
        ),
        FeatureInfo(
            "rms",
            "waveform",
            lambda settings, frames: RMS(frames.n_fft, frames.hop_length),
            _one_row,
            "root mean square of the samples",
        ),
    )
}
