"""Whisper's log-mel spectrogram [1]_, as a module that can be exported.

.. [1] Radford et al.: Robust speech recognition via large-scale weak supervision. ICML 2023.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.features.mel import MelSpectrogram
from vocalics.lab.features.spectrum import PowerSpectrum

#: Power that counts as silence, and how far under its loudest value a clip is heard, in powers of ten.
SILENCE, RANGE = 1e-10, 8.0

#: Brings the range to about -1 to 1.
SHIFT = SCALE = 4.0


class MirroredSpectrum(PowerSpectrum):
    """`PowerSpectrum` of a waveform that is mirrored at both ends, where that one goes on with silence."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Return power (batch, n_fft // 2 + 1, 1 + samples // hop_length) of `waveform` (batch, samples)."""
        half = self.n_fft // 2
        mirrored = functional.pad(waveform[:, None], (half, half), mode="reflect")
        if self.route == "fft":
            spectrum = torch.stft(
                mirrored[:, 0],
                self.n_fft,
                self.hop_length,
                window=self.window,
                center=False,
                return_complex=True,
            )
            return spectrum.real.square() + spectrum.imag.square()
        parts = functional.conv1d(mirrored, self.get_buffer("basis"), stride=self.hop_length)
        real, imaginary = torch.split(parts, self.n_bins, dim=1)
        return real.square() + imaginary.square()


class WhisperLogMel(nn.Module):
    """Waveform, padded with silence, to the log-mel spectrogram that Whisper was trained on.

    It equals that of the package transformers' ``WhisperFeatureExtractor``.

    Parameters
    ----------
    n_mels
        Bands, up to 8 kHz.
    n_fft, hop_length
        Of the spectrum, samples.
    frames
        That every clip comes out with.
    sample_rate
        Hz.
    """

    def __init__(self, n_mels: int, n_fft: int, hop_length: int, frames: int, sample_rate: int) -> None:
        super().__init__()
        self.samples = frames * hop_length
        self.spectrum = MirroredSpectrum(n_fft, hop_length)
        self.mel = MelSpectrogram(sample_rate, n_fft, n_mels, 0.0, 8_000.0)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (batch, n_mels, frames) of `waveform` (batch, samples), no longer than the frames."""
        padded = functional.pad(waveform, (0, self.samples - waveform.shape[1]))
        power = self.spectrum(padded)[:, :, :-1]  # (batch, n_bins, frames): the last one is past the end
        mel = self.mel(power).clamp(min=SILENCE).log10()
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(mel, loudest - RANGE) + SHIFT) / SCALE
