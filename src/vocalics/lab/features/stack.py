"""The front end of a recipe: features by name over one shared spectrum, stacked and normalised.

All of it lives inside the exported graph, so that recognition needs no feature code.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.features.levels import amplitude
from vocalics.lab.features.magnitude import MagnitudeSpectrum
from vocalics.lab.features.mel import MelSpectrogram
from vocalics.lab.features.parts import FEATURES, Frames
from vocalics.lab.features.spectrum import PowerSpectrum
from vocalics.lab.recipes.feature_settings import FeatureSettings

#: Decibels that count as one unit under the normalisation "level": log-mel then spreads over about -2 to 2.
LEVEL_UNIT_DB = 20.0

#: A recording whose loudest sample is lower, the step of 16-bit samples, is not brought to full scale.
QUIETEST_PEAK = 2.0**-15

#: Statistics over the frames of a clip: rows (batch, rows, frames) -> (batch, rows).
FUNCTIONALS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda rows: rows.mean(dim=2),
    "std": lambda rows: amplitude(rows.var(dim=2, correction=0)),
}


class FrontEnd(nn.Module):
    """Waveform to the normalised feature stack of a recipe.

    Parameters
    ----------
    settings
        The recipe's ``features``.
    sample_rate
        Of the waveform, Hz.

    Attributes
    ----------
    row_names
        Of the rows of `frames`, such as ``mfcc_0`` or ``chroma_c_sharp``.
    n_features
        Rows of the stack: those of the frames, times the functionals where there are any.
    """

    row_mean: Tensor
    row_std: Tensor

    def __init__(self, settings: FeatureSettings, sample_rate: int) -> None:
        super().__init__()
        self.settings = settings
        frames = Frames(sample_rate, settings.n_fft, settings.hop_length)
        infos = [FEATURES[part.name] for part in settings.stack]
        self.takes = [info.takes for info in infos]
        self.parts = nn.ModuleList(
            info.build(part, frames) for info, part in zip(infos, settings.stack, strict=True)
        )
        self.row_names = tuple(
            name for info, part in zip(infos, settings.stack, strict=True) for name in info.rows(part)
        )
        self.n_features = len(self.row_names) * max(1, len(settings.functionals))
        self.precise = "magnitude" in self.takes
        spectrum = MagnitudeSpectrum if self.precise else PowerSpectrum
        self.spectrum = spectrum(settings.n_fft, settings.hop_length, settings.win_length)
        self._mel_settings = [
            (part.n_mels, part.fmin, part.fmax) if takes == "mel" else None  # type: ignore[union-attr]
            for takes, part in zip(self.takes, settings.stack, strict=True)
        ]
        self._different_mels = list(dict.fromkeys(mel for mel in self._mel_settings if mel))
        self.mels = nn.ModuleList(
            MelSpectrogram(sample_rate, settings.n_fft, *mel) for mel in self._different_mels
        )
        # Statistics of the training part, persistent: they belong to the model as its weights do.
        self.register_buffer("row_mean", torch.zeros(self.n_features, 1))
        self.register_buffer("row_std", torch.ones(self.n_features, 1))

    def prepare_export(self) -> None:
        """Switch the spectrum to the route of the exported graph."""
        self.spectrum.prepare_export()

    def frames(self, waveform: Tensor) -> Tensor:
        """Return raw features of all frames, (batch, rows, frames), of a waveform (batch, samples)."""
        waveform = self._levelled(waveform)
        alone = self.precise and waveform.device.type == "cpu" and not torch.compiler.is_exporting()
        if alone and len(waveform) > 1:  # the spectrum of one clip is still in the cache when read again
            return torch.cat([self._rows(clip) for clip in torch.split(waveform, 1)])
        return self._rows(waveform)

    def stack(self, waveform: Tensor) -> Tensor:
        """Return the stack before normalisation, (batch, n_features, frames), cut but not padded."""
        rows = self.frames(waveform)
        if self.settings.functionals:
            statistics = [FUNCTIONALS[name](rows) for name in self.settings.functionals]
            return torch.cat(statistics, dim=1)[:, :, None]
        return rows if self.settings.frames is None else rows[:, :, : self.settings.frames]

    def finish(self, rows: Tensor) -> Tensor:
        """Normalise a stack (batch, n_features, frames) and pad it to the recipe's frames."""
        rows = self._normalised(rows)
        if self.settings.frames is None:
            return rows
        return functional.pad(rows, (0, self.settings.frames - rows.shape[2]))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return what the network hears, (batch, n_features, frames), of a waveform (batch, samples)."""
        return self.finish(self.stack(waveform))

    @torch.no_grad()
    def fit(self, stacks: Iterable[Tensor]) -> None:
        """Set the row statistics from stacks (n_features, frames) of the training part, before normalisation.

        Only the normalisation ``training`` has statistics; under the others no stack is asked for.
        """
        if self.settings.normalisation != "training":
            return
        count = 0
        total = torch.zeros(self.n_features, dtype=torch.float64, device=self.row_mean.device)
        squares = torch.zeros_like(total)
        for stack in stacks:
            rows = stack.double()
            count += rows.shape[1]
            total += rows.sum(dim=1)
            squares += rows.square().sum(dim=1)
        mean = total / count
        variance = squares / count - mean.square()
        # A row that never changes but for rounding must not be blown up: its deviation counts as 1.
        still = variance <= 1e-12 * mean.square()
        self.row_mean.copy_(mean[:, None].float())
        self.row_std.copy_(torch.where(still, 1.0, variance).sqrt()[:, None].float())

    def _levelled(self, waveform: Tensor) -> Tensor:
        bits = self.settings.round_to_bits
        if bits is not None:
            full_scale = float(2 ** (bits - 1) - 1)
            waveform = (waveform.clamp(-1, 1) * full_scale).round() / full_scale
        if self.settings.amplitude == "peak":
            waveform = waveform / waveform.abs().amax(dim=1, keepdim=True).clamp(min=QUIETEST_PEAK)
        return waveform

    def _rows(self, waveform: Tensor) -> Tensor:
        sources: dict[Any, Tensor] = {"waveform": waveform}
        if any(takes != "waveform" for takes in self.takes):
            spectrum = self.spectrum(waveform)  # (batch, n_fft // 2 + 1, frames)
            sources |= {"magnitude": spectrum} if self.precise else {}
            sources["power"] = spectrum.square() if self.precise else spectrum
            for settings, mel in zip(self._different_mels, self.mels, strict=True):
                sources[settings] = mel(sources["power"])
        return torch.cat(
            [
                part(sources[mel or takes])
                for takes, mel, part in zip(self.takes, self._mel_settings, self.parts, strict=True)
            ],
            dim=1,
        )

    def _normalised(self, rows: Tensor) -> Tensor:
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
