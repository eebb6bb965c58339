"""Mel spectrogram and log-mel spectrogram, equal to librosa's."""

import librosa
import torch
from torch import Tensor, nn

from vocalics.lab.features.filter_bank import FilterBank


class MelSpectrogram(nn.Module):
    """Mel power spectrogram, equal to ``librosa.feature.melspectrogram``.

    The filters are Slaney's: triangles of area one on his mel scale [1]_.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the power spectrogram.
    n_mels
        Filters.
    fmin, fmax
        Band edges in Hz; `fmax` None is half the sample rate.

    References
    ----------
    .. [1] Slaney: Auditory toolbox. Technical report 1998-010, Interval Research, 1998.
    """

    def __init__(
        self, sample_rate: int, n_fft: int, n_mels: int = 128, fmin: float = 0.0, fmax: float | None = None
    ) -> None:
        super().__init__()
        self.sample_rate, self.n_fft = sample_rate, n_fft
        self.n_mels, self.fmin, self.fmax = n_mels, fmin, fmax or sample_rate / 2
        filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
        self.filters = FilterBank(torch.from_numpy(filters))

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, n_mels, frames) of a power spectrogram (batch, n_fft // 2 + 1, frames)."""
        return self.filters(power)  # type: ignore[no-any-return]


class Decibel(nn.Module):
    """Power to decibel under the loudest value of each clip.

    Each clip equals ``librosa.power_to_db(power, ref=np.max, top_db=top_db)``. A clip's gain cancels out, as
    long as its floor lies above the power of 1e-10 that counts as silence.

    Parameters
    ----------
    top_db
        Floor under the clip's maximum, dB.
    """

    def __init__(self, top_db: float = 80.0) -> None:
        super().__init__()
        self.top_db = top_db

    def forward(self, power: Tensor) -> Tensor:
        """Return values in [-top_db, 0], shaped as `power` (batch, bands, frames)."""
        floor = 1e-10  # librosa's amin: below it a power counts as silence
        decibel = 10.0 * torch.log10(power.clamp(min=floor))
        return (decibel - decibel.amax(dim=(1, 2), keepdim=True)).clamp(min=-self.top_db)
