"""Where the energy of a spectrum lies and how it is spread: centroid, bandwidth, roll-off, flatness."""

import torch
from torch import Tensor, nn

from vocalics.lab.features.levels import SILENCE, amplitude, share_of


def _powers_of_frequency(sample_rate: int, n_fft: int, highest: int) -> Tensor:
    """Frequency of each bin in Hz, to the powers 0 to `highest`: float64 (highest + 1, n_fft // 2 + 1)."""
    frequency = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (sample_rate / n_fft)
    return torch.stack([frequency**power for power in range(highest + 1)])


class SpectralCentroid(nn.Module):
    """Mean frequency of a spectrum, equal to ``librosa.feature.spectral_centroid``; 0 in digital silence.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the magnitude spectrogram.

    Examples
    --------
    >>> SpectralCentroid(8_000, 8)(torch.tensor([[[0.0], [1.0], [0.0], [1.0], [0.0]]]))  # 1 and 3 kHz
    tensor([[[2000.]]])
    """

    takes = "magnitude"
    n_rows = 1
    frequencies: Tensor

    def __init__(self, sample_rate: int, n_fft: int) -> None:
        super().__init__()
        powers = _powers_of_frequency(sample_rate, n_fft, highest=1)
        self.register_buffer("frequencies", powers.float(), persistent=False)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return Hz (batch, 1, frames) of a magnitude spectrogram (batch, n_fft // 2 + 1, frames)."""
        total, first = torch.split(self.frequencies @ magnitude, 1, dim=1)
        return share_of(total, first)


class SpectralBandwidth(nn.Module):
    """Standard deviation of frequency in a spectrum, equal to ``librosa.feature.spectral_bandwidth``.

    It follows from the sums of 1, f and f squared, which are one matrix product. The deviation of a pure tone
    is a small difference of large numbers, so they are summed in double precision.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the magnitude spectrogram.

    Examples
    --------
    >>> SpectralBandwidth(8_000, 8)(torch.tensor([[[0.0], [1.0], [0.0], [1.0], [0.0]]]))  # 1 and 3 kHz
    tensor([[[1000.]]])
    """

    takes = "magnitude"
    n_rows = 1
    frequencies: Tensor

    def __init__(self, sample_rate: int, n_fft: int) -> None:
        super().__init__()
        powers = _powers_of_frequency(sample_rate, n_fft, highest=2)
        self.register_buffer("frequencies", powers, persistent=False)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return Hz (batch, 1, frames) of a magnitude spectrogram (batch, n_fft // 2 + 1, frames)."""
        total, first, second = torch.split(self.frequencies @ magnitude.double(), 1, dim=1)
        variance = share_of(total, second) - share_of(total, first).square()
        return amplitude(variance).to(magnitude.dtype)


class SpectralRolloff(nn.Module):
    """Frequency that a share of the magnitude lies below, equal to ``librosa.feature.spectral_rolloff``.

    A step function: it has no gradient. Summed in double precision, since a rounding decides on the bin.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the magnitude spectrogram.
    share
        Between 0 and 1.

    Examples
    --------
    >>> SpectralRolloff(8_000, 8)(torch.tensor([[[6.0], [2.0], [1.0], [1.0], [0.0]]]))  # 6, 8 and 9 of 10
    tensor([[[2000.]]])
    """

    takes = "magnitude"
    n_rows = 1

    def __init__(self, sample_rate: int, n_fft: int, share: float = 0.85) -> None:
        super().__init__()
        self.bin_hz, self.share = sample_rate / n_fft, share

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return Hz (batch, 1, frames) of a magnitude spectrogram (batch, n_fft // 2 + 1, frames)."""
        below = magnitude.cumsum(dim=1, dtype=torch.float64)
        n_bins = (below < self.share * below[:, -1:]).sum(dim=1, keepdim=True)
        return n_bins.to(magnitude.dtype) * self.bin_hz


class SpectralFlatness(nn.Module):
    """Geometric over arithmetic mean of the power, equal to ``librosa.feature.spectral_flatness``.

    1 for a flat spectrum and for digital silence, near 0 for a tone.

    Examples
    --------
    >>> SpectralFlatness()(torch.tensor([[[1.0], [4.0], [16.0]]]))  # 4 over 7
    tensor([[[0.5714]]])
    """

    takes = "power"
    n_rows = 1

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, 1, frames) in [0, 1] of a power spectrogram (batch, n_fft // 2 + 1, frames)."""
        power = power.clamp(min=SILENCE)
        # The logarithm of the ratio is small where the answer is large, so float32 sums it well; that of the
        # power is -23 in each of a thousand bins of digital silence.
        ratio = power / power.mean(dim=1, keepdim=True)
        return ratio.log().mean(dim=1, keepdim=True).exp()
