"""Mel-frequency cepstral coefficients, and how any feature changes in time."""

import torch
from scipy.fft import dct
from scipy.signal import savgol_coeffs
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.features.levels import power_to_db
from vocalics.lab.features.mel import MelSpectrogram


class Cepstrum(nn.Module):
    """Cosine transform of a mel spectrogram in decibel, equal to ``librosa.feature.mfcc``.

    The type-II transform, orthonormal, without liftering; librosa's defaults.

    Parameters
    ----------
    n_mfcc
        Coefficients, the 0th (the level) included.
    n_mels
        Filters behind the mel spectrogram.
    top_db
        Floor under the loudest mel value of each clip, dB.

    Examples
    --------
    A spectrum of one level everywhere has no shape, so all but the 0th coefficient vanish.

    >>> Cepstrum(n_mfcc=3, n_mels=4)(torch.full((1, 4, 1), 100.0)).abs().round(decimals=4).flatten()
    tensor([40.,  0.,  0.])
    """

    takes = "mel"
    transform: Tensor

    def __init__(self, n_mfcc: int = 20, n_mels: int = 128, top_db: float = 80.0) -> None:
        super().__init__()
        self.n_rows, self.top_db = n_mfcc, top_db
        cosines = dct(torch.eye(n_mels, dtype=torch.float64).numpy(), type=2, norm="ortho", axis=0)[:n_mfcc]
        self.register_buffer("transform", torch.from_numpy(cosines).float(), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Return (batch, n_mfcc, frames) of a mel power spectrogram (batch, n_mels, frames)."""
        return self.transform @ power_to_db(mel, self.top_db)


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients [1]_, equal to ``librosa.feature.mfcc``.

    A stack that has the mel spectrogram already takes `Cepstrum` instead.

    Parameters
    ----------
    sample_rate
        Hz.
    n_fft
        Points of the transform behind the power spectrogram.
    n_mfcc
        Coefficients, the 0th (the level) included.
    n_mels
        Mel filters.
    fmin, fmax
        Band edges of the filters in Hz; `fmax` None is half the sample rate.

    References
    ----------
    .. [1] Davis, Mermelstein: Comparison of parametric representations for monosyllabic word recognition in
       continuously spoken sentences. IEEE Transactions on Acoustics, Speech, and Signal Processing 28, 1980.
    """

    takes = "power"

    def __init__(
        self,
        sample_rate: int,
        n_fft: int,
        n_mfcc: int = 20,
        n_mels: int = 128,
        fmin: float = 0.0,
        fmax: float | None = None,
    ) -> None:
        super().__init__()
        self.n_rows = n_mfcc
        self.mel = MelSpectrogram(sample_rate, n_fft, n_mels, fmin, fmax)
        self.cepstrum = Cepstrum(n_mfcc, n_mels)

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, n_mfcc, frames) of a power spectrogram (batch, n_fft // 2 + 1, frames)."""
        return self.cepstrum(self.mel(power))  # type: ignore[no-any-return]


class Delta(nn.Module):
    """How a feature changes in time, equal to ``librosa.feature.delta``.

    The derivative of a polynomial fitted around each frame [1]_, of the same degree as the derivative, so it
    is constant along the fit. Hence the frames at both ends, for which librosa takes the outermost fit,
    repeat the value of the nearest frame that has all its neighbours.

    Parameters
    ----------
    width
        Frames of each fit, an odd number. A clip needs as many.
    order
        1 for velocity, 2 for acceleration.

    References
    ----------
    .. [1] Savitzky, Golay: Smoothing and differentiation of data by simplified least squares procedures.
       Analytical Chemistry 36, 1964.

    Examples
    --------
    >>> Delta()(torch.arange(10.0).expand(1, 1, 10)).round(decimals=4).unique()
    tensor([1.])
    """

    kernel: Tensor

    def __init__(self, width: int = 9, order: int = 1) -> None:
        super().__init__()
        self.width = width
        kernel = savgol_coeffs(width, polyorder=order, deriv=order, use="dot")
        self.register_buffer("kernel", torch.from_numpy(kernel).float(), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the change per frame, or per frame squared, shaped as `rows` (batch, rows, frames)."""
        batch, n_rows, frames = rows.shape
        slope = functional.conv1d(rows.reshape(batch * n_rows, 1, frames), self.kernel[None, None])
        edge = self.width // 2
        return functional.pad(slope, (edge, edge), mode="replicate").reshape(batch, n_rows, frames)
