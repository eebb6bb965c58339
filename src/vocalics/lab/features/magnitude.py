"""The magnitude spectrogram, computed in double precision."""

import math

import torch
from torch import Tensor

from vocalics.lab.features.levels import amplitude
from vocalics.lab.features.spectrum import PowerSpectrum


class MagnitudeSpectrum(PowerSpectrum):
    """Magnitude spectrogram in float32, computed in float64, equal to ``abs(librosa.stft(y, ...))``.

    A transform in float32 leaves its rounding, 140 dB under the loudest bin, in all others. A mel spectrogram
    does not hear it; spectral contrast does. Nor can float32 hold the power of what a decoder leaves behind
    in a pause, 1e-20 and less, whose centroid librosa tells all the same.

    Parameters
    ----------
    n_fft, hop_length, win_length
        As those of `PowerSpectrum`.
    """

    def __init__(self, n_fft: int = 2048, hop_length: int = 512, win_length: int | None = None) -> None:
        super().__init__(n_fft, hop_length, win_length)
        self.register_buffer("window", self._exact_window, persistent=False)

    def prepare_export(self) -> None:
        """Take the two matrix products as the route, whatever the length, and make their tables."""
        self.route = "product"
        for name, table in self._product_tables().items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (batch, n_fft // 2 + 1, 1 + samples // hop_length) of `waveform` (batch, samples)."""
        return amplitude(super().forward(waveform.double())).float()

    def _product_tables(self) -> dict[str, Tensor]:
        rows, columns = self._factors()
        r, c = torch.arange(rows), torch.arange(columns)
        inner = _rotation(r[:, None] * r, rows)  # (k1, r)
        twiddle = _rotation(r[:, None] * c, self.n_fft)  # (k1, c)
        outer = _rotation(c[:, None] * c[: columns // 2 + 1], columns)  # (c, k2)
        return {
            "inner": torch.cat([inner.real, inner.imag]),
            "twiddle_cos": twiddle.real,
            "twiddle_sin": twiddle.imag,
            "outer": torch.cat(
                [torch.cat([outer.real, outer.imag], dim=1), torch.cat([-outer.imag, outer.real], dim=1)]
            ),
        }


def _rotation(steps: Tensor, period: int) -> Tensor:
    """Complex exponentials, complex128, after a number of steps of which `period` make a turn backwards."""
    angles = (steps % period).double() * (-2 * math.pi / period)
    return torch.polar(torch.ones_like(angles), angles)
