"""The front end of a recipe: features by name over one shared spectrum, stacked and normalised.

All of it lives inside the exported graph, so that recognition needs no feature code.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.features.mel import Decibel, MelSpectrogram
from vocalics.lab.features.spectrum import PowerSpectrum
from vocalics.lab.recipes.schema import FeatureSettings, LogMel, Mel

#: Decibels that count as one unit under the normalisation "level": log-mel then spreads over about -2 to 2.
LEVEL_UNIT_DB = 20.0


class _LogMel(nn.Module):
    def __init__(self, settings: LogMel, sample_rate: int, n_fft: int) -> None:
        super().__init__()
        self.n_rows = settings.n_mels
        self.mel = MelSpectrogram(sample_rate, n_fft, settings.n_mels, settings.fmin, settings.fmax)
        self.decibel = Decibel(settings.top_db)

    def forward(self, power: Tensor) -> Tensor:
        return self.decibel(self.mel(power))  # type: ignore[no-any-return]


class _Mel(nn.Module):
    def __init__(self, settings: Mel, sample_rate: int, n_fft: int) -> None:
        super().__init__()
        self.n_rows = settings.n_mels
        self.mel = MelSpectrogram(sample_rate, n_fft, settings.n_mels, settings.fmin, settings.fmax)

    def forward(self, power: Tensor) -> Tensor:
        return self.mel(power)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class FeatureInfo:
    """A feature that a recipe can name.

    Attributes
    ----------
    name
        Its name in a recipe.
    build
        Settings, sample rate and n_fft to a module: power (batch, bins, frames) -> (batch, n_rows, frames).
    description
        One line.
    """

    name: str
    build: Callable[..., nn.Module]
    description: str


FEATURES: dict[str, FeatureInfo] = {
    info.name: info
    for info in (
        FeatureInfo("log_mel", _LogMel, "log-mel spectrogram, dB under the clip's maximum"),
        FeatureInfo("mel", _Mel, "mel power spectrogram"),
    )
}


class FrontEnd(nn.Module):
    """Waveform to the normalised feature stack of a recipe.

    Parameters
    ----------
    settings
        The recipe's ``features``.
    sample_rate
        Of the waveform, Hz.
    """

    row_mean: Tensor
    row_std: Tensor

    def __init__(self, settings: FeatureSettings, sample_rate: int) -> None:
        super().__init__()
        self.settings = settings
        self.spectrum = PowerSpectrum(settings.n_fft, settings.hop_length, settings.win_length)
        self.parts = nn.ModuleList(
            FEATURES[part.name].build(part, sample_rate, settings.n_fft) for part in settings.stack
        )
        self.n_features = sum(part.n_rows for part in self.parts)  # type: ignore[misc]
        # Statistics of the training part, persistent: they belong to the model as its weights do.
        self.register_buffer("row_mean", torch.zeros(self.n_features, 1))
        self.register_buffer("row_std", torch.ones(self.n_features, 1))

    def prepare_export(self) -> None:
        """Switch the spectrum to the route of the exported graph."""
        self.spectrum.prepare_export()

    def stack(self, waveform: Tensor) -> Tensor:
        """Features before normalisation, (batch, n_features, frames), of a waveform (batch, samples)."""
        power = self.spectrum(waveform)
        rows = torch.cat([part(power) for part in self.parts], dim=1)
        if self.settings.frames is None:
            return rows
        rows = rows[:, :, : self.settings.frames]
        return functional.pad(rows, (0, self.settings.frames - rows.shape[2]))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return what the network hears, (batch, n_features, frames), of a waveform (batch, samples)."""
        rows = self.stack(waveform)
        match self.settings.normalisation:
            case "level":
                return (rows - rows.mean(dim=(1, 2), keepdim=True)) / LEVEL_UNIT_DB
            case "utterance":
                std = rows.std(dim=2, keepdim=True, correction=0)
                return (rows - rows.mean(dim=2, keepdim=True)) / (std + 1e-5)
            case "training":
                return (rows - self.row_mean) / self.row_std
            case _:
                return rows

    @torch.no_grad()
    def fit(self, waveforms: Iterator[Tensor]) -> None:
        """Set the row statistics from waveforms (1, samples) of the training part.

        Only the normalisation ``training`` has statistics; under the others the waveforms are not asked for.
        """
        if self.settings.normalisation != "training":
            return
        count = 0
        total = torch.zeros(self.n_features, dtype=torch.float64, device=self.row_mean.device)
        squares = torch.zeros_like(total)
        for waveform in waveforms:
            rows = self.stack(waveform)[0].double()  # (n_features, frames)
            count += rows.shape[1]
            total += rows.sum(dim=1)
            squares += rows.square().sum(dim=1)
        mean = total / count
        variance = squares / count - mean.square()
        self.row_mean.copy_(mean[:, None].float())
        self.row_std.copy_(variance.clamp(min=1e-10).sqrt()[:, None].float())
