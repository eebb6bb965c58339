"""How far the peaks of a spectrum stand above its valleys, octave by octave."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vocalics.errors import RecipeError
from vocalics.lab.features.levels import power_to_db


@dataclass(frozen=True)
class Band:
    """Neighbouring bins of a spectrum.

    Attributes
    ----------
    start, stop
        The first bin, and the first bin after the last.
    n_extreme
        Bins that are averaged into the peak, and as many into the valley.
    """

    start: int
    stop: int
    n_extreme: int


class SpectralContrast(nn.Module):
    """Spectral contrast [1]_, equal to ``librosa.feature.spectral_contrast``.

    For every band the mean of its largest magnitudes in decibel less that of its smallest.

    The valley of a band in which a recording holds nothing lies 200 dB and more under its peaks, where the
    rounding of a transform in float32 is all there is: take a `MagnitudeSpectrum`.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the magnitude spectrogram.
    n_bands
        Octaves from `fmin` upwards; below them lies one band more, and the last one reaches to the top.
    fmin
        Upper edge of the lowest band, Hz.
    quantile
        Share of a band's bins that count as its peak, and as its valley.

    Raises
    ------
    RecipeError
        An octave starts above half the sample rate, or the lowest band holds no bin.

    References
    ----------
    .. [1] Jiang, Lu, Zhang, Tao, Cai: Music type classification by spectral contrast feature. IEEE
       International Conference on Multimedia and Expo, 2002.

    Examples
    --------
    A flat spectrum has no contrast.

    >>> SpectralContrast(22_050, 2_048)(torch.ones(1, 1_025, 1)).flatten()
    tensor([0., 0., 0., 0., 0., 0., 0.])
    """

    takes = "magnitude"

    def __init__(
        self, sample_rate: int, n_fft: int, n_bands: int = 6, fmin: float = 200.0, quantile: float = 0.02
    ) -> None:
        super().__init__()
        self.bands = octave_bands(sample_rate, n_fft, n_bands, fmin, quantile)
        self.n_rows = len(self.bands)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return dB (batch, n_bands + 1, frames) of magnitudes (batch, n_fft // 2 + 1, frames)."""
        frames = magnitude.transpose(1, 2)  # (batch, frames, bins): the bins of a frame lie side by side
        means = [
            mean_of_extremes(frames[:, :, band.start : band.stop], band.n_extreme) for band in self.bands
        ]
        valley, peak = (torch.stack(rows, dim=1) for rows in zip(*means, strict=True))
        return power_to_db(peak) - power_to_db(valley)


def mean_of_extremes(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean of the `count` smallest and of the `count` largest values (batch, frames), of (batch, frames, n).

    NumPy sorts a tenfold faster than PyTorch selects, but knows no gradient, no GPU and no graph.

    Examples
    --------
    >>> mean_of_extremes(torch.tensor([[[1.0, 7.0, 3.0, 5.0, 2.0]]]), 2)
    (tensor([[1.5000]]), tensor([[6.]]))
    """
    if values.requires_grad or values.device.type != "cpu" or torch.compiler.is_exporting():
        smallest = values.topk(count, dim=2, largest=False, sorted=False).values
        largest = values.topk(count, dim=2, sorted=False).values
    else:
        ordered = torch.from_numpy(np.sort(values.numpy(), axis=2))
        smallest, largest = ordered[:, :, :count], ordered[:, :, -count:]
    return smallest.mean(dim=2), largest.mean(dim=2)


def octave_bands(
    sample_rate: int, n_fft: int, n_bands: int, fmin: float, quantile: float
) -> tuple[Band, ...]:
    """Bands of `SpectralContrast`: below `fmin`, then `n_bands` octaves, the last one open to the top.

    librosa's rule: an octave also has the bin below its lower edge, and leaves its own last bin to the next.

    Examples
    --------
    >>> octave_bands(22_050, 2_048, n_bands=6, fmin=200.0, quantile=0.02)[-1]
    Band(start=594, stop=1025, n_extreme=9)
    """
    edges = np.concatenate([[0.0], fmin * 2.0 ** np.arange(n_bands + 1)])
    if edges[-2] >= sample_rate / 2:
        raise RecipeError(
            f"{n_bands} octaves from {fmin:g} Hz reach beyond half the sample rate, {sample_rate / 2:g} Hz; "
            "give fewer n_bands or a lower fmin."
        )
    bin_hz = sample_rate / n_fft
    if fmin < bin_hz:
        raise RecipeError(
            f"fmin is {fmin:g} Hz, but the bins of the spectrum are {bin_hz:g} Hz apart; "
            "give at least as much, or a larger n_fft."
        )
    frequencies = np.arange(n_fft // 2 + 1) * bin_hz
    bands = []
    for position, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        top = position == n_bands
        start = int(inside[0]) - (position > 0)
        stop = len(frequencies) if top else int(inside[-1])
        n_counted = stop - start + (not top)  # librosa counts the bin that it leaves out
        n_extreme = max(1, int(np.rint(quantile * n_counted)))
        bands.append(Band(start, stop, min(n_extreme, stop - start)))
    return tuple(bands)
