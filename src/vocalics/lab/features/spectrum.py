"""One spectrum for every feature: the short-time Fourier transform by three routes with one answer."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Route = Literal["fft", "convolution", "product"]

#: Longest window for which a strided convolution is the fastest route in ONNX Runtime.
LONGEST_CONVOLUTION = 512


class PowerSpectrum(nn.Module):
    """Power spectrogram, equal to ``abs(librosa.stft(y, ..., window="hann", center=True)) ** 2``.

    Training takes the FFT. The exported graph takes a route whose operators every ONNX runtime has: a strided
    convolution with a windowed DFT basis up to `LONGEST_CONVOLUTION` points, above that a mixed-radix DFT as
    two matrix products [1]_.

    Parameters
    ----------
    n_fft
        Points of the transform; also the length of the Hann window unless `win_length` says otherwise.
    hop_length
        Samples between frames.
    win_length
        Samples of the Hann window, centred in the frame.

    References
    ----------
    .. [1] Cooley, Tukey: An algorithm for the machine calculation of complex Fourier series. Mathematics of
       Computation 19, 1965.
    """

    window: Tensor

    def __init__(self, n_fft: int = 512, hop_length: int = 256, win_length: int | None = None) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.route: Route = "fft"
        win_length = win_length or n_fft
        left = (n_fft - win_length) // 2
        window = functional.pad(
            torch.hann_window(win_length, dtype=torch.float64), (left, n_fft - win_length - left)
        )
        self.register_buffer("window", window.float(), persistent=False)
        self._exact_window = window

    @property
    def n_bins(self) -> int:
        """Frequencies from 0 to half the sample rate."""
        return self.n_fft // 2 + 1

    def prepare_export(self) -> None:
        """Take the route of the exported graph and make its constants."""
        self.route = "convolution" if self.n_fft <= LONGEST_CONVOLUTION else "product"
        if self.route == "convolution":
            self.register_buffer("basis", self._convolution_basis(), persistent=False)
        else:
            for name, table in self._product_tables().items():
                self.register_buffer(name, table, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return power (batch, n_fft // 2 + 1, 1 + samples // hop_length) of `waveform` (batch, samples)."""
        padded = functional.pad(waveform, (self.n_fft // 2, self.n_fft // 2))
        if self.route == "fft":
            spectrum = torch.stft(
                padded, self.n_fft, self.hop_length, window=self.window, center=False, return_complex=True
            )
            return spectrum.real.square() + spectrum.imag.square()
        if self.route == "convolution":
            parts = functional.conv1d(padded[:, None], self.get_buffer("basis"), stride=self.hop_length)
            real, imaginary = torch.split(parts, self.n_bins, dim=1)
            return real.square() + imaginary.square()
        return self._by_products(padded)

    def _convolution_basis(self) -> Tensor:
        angles = torch.arange(self.n_bins, dtype=torch.float64)[:, None] * torch.arange(
            self.n_fft, dtype=torch.float64
        )
        angles = angles * (2 * math.pi / self.n_fft)
        basis = torch.cat([angles.cos(), -angles.sin()]) * self._exact_window
        return basis[:, None].float()  # (2 * n_bins, 1, n_fft)

    def _factors(self) -> tuple[int, int]:
        first = next(size for size in range(math.isqrt(self.n_fft), 0, -1) if self.n_fft % size == 0)
        return first, self.n_fft // first

    def _product_tables(self) -> dict[str, Tensor]:
        """Tables of a DFT of n = rows * columns points.

        With t = columns * r + c and k = k1 + rows * k2:
        ``X[k] = sum_c W_columns^(c k2) . W_n^(c k1) . sum_r x[columns * r + c] W_rows^(r k1)``.
        """
        rows, columns = self._factors()
        r, c = torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64)
        inner = (2 * math.pi / rows) * r[:, None] * r  # (k1, r)
        twiddle = (2 * math.pi / self.n_fft) * r[:, None] * c  # (k1, c)
        outer = (2 * math.pi / columns) * c[:, None] * c  # (c, k2); real input: k up to n / 2 only
        outer = outer[:, : columns // 2 + 1]
        return {
            "inner": torch.cat([inner.cos(), -inner.sin()]).float(),  # (2 * rows, rows)
            "twiddle_cos": twiddle.cos().float(),
            "twiddle_sin": (-twiddle.sin()).float(),
            "outer": torch.cat(
                [
                    torch.cat([outer.cos(), -outer.sin()], dim=1),  # of the real part
                    torch.cat([outer.sin(), outer.cos()], dim=1),  # of the imaginary part
                ]
            ).float(),  # (2 * columns, 2 * (columns // 2 + 1))
        }

    def _by_products(self, padded: Tensor) -> Tensor:
        rows, columns = self._factors()
        frames = padded.unfold(1, self.n_fft, self.hop_length) * self.window  # (batch, frames, n_fft)
        batch, n_frames = frames.shape[0], frames.shape[1]
        grid = frames.reshape(batch, n_frames, rows, columns)
        inner = self.get_buffer("inner") @ grid  # (batch, frames, 2 * rows, columns)
        real, imaginary = torch.split(inner, rows, dim=2)
        cos, sin = self.get_buffer("twiddle_cos"), self.get_buffer("twiddle_sin")
        turned = torch.cat([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=3)
        outer = turned @ self.get_buffer("outer")  # (batch, frames, rows, 2 * (columns // 2 + 1))
        real, imaginary = torch.split(outer, columns // 2 + 1, dim=3)
        power = real.square() + imaginary.square()  # element (k1, k2) is the frequency k1 + rows * k2
        return power.transpose(2, 3).reshape(batch, n_frames, -1)[:, :, : self.n_bins].transpose(1, 2)
