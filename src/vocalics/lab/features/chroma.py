"""Energy of the twelve pitch classes."""

import librosa
import torch
from torch import Tensor, nn

from vocalics.lab.features.levels import share_of


class Chroma(nn.Module):
    """Chromagram [1]_, equal to ``librosa.feature.chroma_stft(..., tuning=0.0)``.

    Each frame is divided by its largest value; digital silence stays 0. The tuning is that of concert pitch:
    librosa's default estimates it for each clip, which is music's need.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the power spectrogram.
    n_chroma
        Pitch classes in an octave, the first of them C.

    References
    ----------
    .. [1] Ellis: Chroma feature analysis and synthesis. Columbia University, 2007.
    """

    takes = "power"
    filters: Tensor

    def __init__(self, sample_rate: int, n_fft: int, n_chroma: int = 12) -> None:
        super().__init__()
        self.n_rows = n_chroma
        filters = librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, tuning=0.0, n_chroma=n_chroma)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, n_chroma, frames), up to 1, of power (batch, n_fft // 2 + 1, frames)."""
        energy = self.filters @ power
        return share_of(energy.amax(dim=1, keepdim=True), energy)
