"""What is read from the samples themselves: zero crossings and level."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.features.levels import SILENCE, amplitude


class ZeroCrossingRate(nn.Module):
    """Share of the samples at which the sign changes, equal to ``librosa.feature.zero_crossing_rate``.

    A step function: it has no gradient.

    Parameters
    ----------
    frame_length, hop_length
        Samples in a frame and between frames; frames are centred, as those of the spectrum are.

    Examples
    --------
    >>> square_wave = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(1, 8)
    >>> ZeroCrossingRate(frame_length=8, hop_length=8)(square_wave)  # 3 of 7 neighbours differ inside a frame
    tensor([[[0.1250, 0.3750, 0.3750, 0.3750, 0.1250]]])
    """

    takes = "waveform"
    n_rows = 1

    def __init__(self, frame_length: int = 2048, hop_length: int = 512) -> None:
        super().__init__()
        self.frame_length, self.hop_length = frame_length, hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (batch, 1, 1 + samples // hop_length) in [0, 1] of a waveform (batch, samples)."""
        negative = waveform < -SILENCE  # librosa: what is smaller counts as zero, and zero as positive
        # Beyond the ends librosa repeats the outermost sample, where no sign changes.
        crossing = functional.pad((negative[:, 1:] != negative[:, :-1]).float(), (1, 0))
        count = frame_sums(crossing, self.frame_length, self.hop_length)
        # Inside a frame the first sample has no neighbour to differ from.
        half = self.frame_length // 2
        first = functional.pad(crossing, (half, half))[:, :: self.hop_length][:, : count.shape[1]]
        return ((count - first) / self.frame_length)[:, None]


class RMS(nn.Module):
    """Root mean square of the samples, equal to ``librosa.feature.rms(y=y)``.

    Parameters
    ----------
    frame_length, hop_length
        Samples in a frame and between frames; frames are centred, with zeros beyond the ends.

    Examples
    --------
    >>> RMS(frame_length=4, hop_length=4)(torch.full((1, 8), 0.5))  # the outer frames are half empty
    tensor([[[0.3536, 0.5000, 0.3536]]])
    """

    takes = "waveform"
    n_rows = 1

    def __init__(self, frame_length: int = 2048, hop_length: int = 512) -> None:
        super().__init__()
        self.frame_length, self.hop_length = frame_length, hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (batch, 1, 1 + samples // hop_length) of a waveform (batch, samples)."""
        energy = frame_sums(waveform.square(), self.frame_length, self.hop_length)
        return amplitude(energy / self.frame_length)[:, None]


class SpectralRMS(nn.Module):
    """Root mean square by Parseval's theorem, equal to ``librosa.feature.rms(S=magnitude)``.

    Lower than `RMS` by the window behind the spectrogram.

    Parameters
    ----------
    n_fft
        Points of the transform behind the power spectrogram.

    Examples
    --------
    >>> SpectralRMS(n_fft=4)(torch.tensor([[[0.0], [4.0], [0.0]]]))  # cosine of amplitude 1: 1 / sqrt(2)
    tensor([[[0.7071]]])
    """

    takes = "power"
    n_rows = 1
    weights: Tensor

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        # Every bin stands for two frequencies, the positive and the negative one; these stand for themselves:
        once = [0, n_fft // 2] if n_fft % 2 == 0 else [0]
        weights = torch.full((1, n_fft // 2 + 1), 2.0)
        weights[0, once] = 1.0
        self.register_buffer("weights", weights / n_fft**2, persistent=False)

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, 1, frames) of a power spectrogram (batch, n_fft // 2 + 1, frames)."""
        return amplitude(self.weights @ power)


def frame_sums(values: Tensor, frame_length: int, hop_length: int) -> Tensor:
    """Sum `values` (batch, n) over centred frames, zeros beyond the ends: (batch, 1 + n // hop_length).

    Neighbouring frames share most of their samples, so blocks are summed first, then the blocks of a frame.

    Examples
    --------
    >>> frame_sums(torch.arange(1.0, 7.0)[None], frame_length=4, hop_length=2)  # 1+2, 1+2+3+4, ...
    tensor([[ 3., 10., 18., 11.]])
    """
    half, block = frame_length // 2, math.gcd(frame_length, hop_length)
    blocks = functional.pad(values, (half, half)).unfold(1, block, block).sum(dim=2)
    return blocks.unfold(1, frame_length // block, hop_length // block).sum(dim=2)
