"""What stands before the network in a recipe with an encoder: waveform to a learned sum of its layers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.errors import RecipeError
from vocalics.lab.encoders.families import SAMPLE_RATE, SpeechEncoder, load_encoder
from vocalics.lab.encoders.source import find_encoder
from vocalics.lab.recipes.encoder_settings import EncoderSettings


class EncoderFrontEnd(nn.Module):
    """Waveform to the learned sum of a pretrained encoder's layers.

    Each layer's state is brought to mean 0 and variance 1 at every step, since layers differ in size up to a
    hundredfold; then the states are added up, with weights that sum to one and begin equal [1]_.

    While a network is trained on stored states, `encoder` may be None.

    Parameters
    ----------
    settings
        The recipe's ``encoder``.
    sample_rate
        Of the waveform, Hz.
    window_s
        Longest clip, seconds.

    Attributes
    ----------
    encoder
        What is heard.
    layers
        Which states enter the sum; 0 is what enters the first layer.
    layer_weights
        Logarithms of their weights, but for a constant, (n_states,).
    n_features
        Width of a state.
    hop_samples
        Between steps.
    provenance
        Which encoder it is.

    Raises
    ------
    RecipeError
        The recipe's rate or window is not the encoder's, or it names layers that the encoder does not have.
    ModelError
        As of `find_encoder` and `load_encoder`.

    References
    ----------
    .. [1] Yang et al.: SUPERB: speech processing universal performance benchmark. Interspeech 2021.
    """

    encoder: SpeechEncoder | None

    def __init__(self, settings: EncoderSettings, sample_rate: int, window_s: float) -> None:
        super().__init__()
        files = find_encoder(settings)
        self.provenance = files.provenance
        encoder = load_encoder(files)
        if sample_rate != SAMPLE_RATE:
            raise RecipeError(
                f"sample_rate is {sample_rate}, and the encoder '{settings.source}' hears {SAMPLE_RATE} Hz; "
                f"set sample_rate to {SAMPLE_RATE}."
            )
        if encoder.longest_s is not None and window_s > encoder.longest_s:
            raise RecipeError(
                f"window_s is {window_s:g}, and the encoder '{settings.source}' hears at most "
                f"{encoder.longest_s:g} s; lower window_s."
            )
        self.layers = _chosen_layers(settings, encoder.n_layers)
        encoder.keep_layers(max(1, *self.layers))
        _let_train(encoder, settings)
        self.encoder = encoder
        self.layer_weights = nn.Parameter(torch.zeros(len(self.layers)))
        self.n_features, self.hop_samples = encoder.hidden_size, encoder.hop_samples
        self.row_names = tuple(f"encoder_{row}" for row in range(self.n_features))
        self._window = round(window_s * sample_rate)

    def stack(self, waveform: Tensor) -> Tensor:
        """Return the states of a waveform (batch, samples), normalised: (batch, steps, n_states, width)."""
        if self.encoder is None:
            raise RuntimeError("the encoder is away while its stored states are trained on")
        states = self.encoder(waveform)
        heard = torch.stack([states[layer] for layer in self.layers], dim=2)
        return functional.layer_norm(heard.float(), heard.shape[3:])

    def finish(self, states: Tensor) -> Tensor:
        """Add up states (batch, steps, n_states, width) to what the network hears, (batch, width, steps)."""
        with torch.autocast(states.device.type, enabled=False):
            weights = self.layer_weights.float().softmax(dim=0)
            return (states.float() * weights[:, None]).sum(dim=2).transpose(1, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return what the network hears, (batch, width, steps), of a waveform (batch, samples)."""
        return self.finish(self.stack(waveform))

    def frames(self, waveform: Tensor) -> Tensor:
        """Return the sum of the layers for a recording of any length, window by window."""
        windows = [part for part in torch.split(waveform, self._window, dim=1) if self.n_steps(part.shape[1])]
        return torch.cat([self(part) for part in windows], dim=2)

    def n_steps(self, samples: int) -> int:
        """Count the steps of a clip of so many samples; none where it is too short."""
        if self.encoder is None:
            raise RuntimeError("the encoder is away while its stored states are trained on")
        return self.encoder.n_steps(samples)

    def fit(self, stacks: Iterable[Tensor]) -> None:
        """Take no statistics of the training part: the encoder brings its own."""

    def prepare_export(self) -> None:
        """Take the routes of the exported graph."""
        if self.encoder is not None:
            self.encoder.prepare_export()

    def train(self, mode: bool = True) -> "EncoderFrontEnd":
        """Set what is trained to training; the rest of the encoder stays as in use."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
            for block in self.encoder.blocks():
                for module in block:
                    if any(parameter.requires_grad for parameter in module.parameters()):
                        module.train(mode)
        return self

    def trained_blocks(self) -> list[list[nn.Parameter]]:
        """Return the trained weights of the encoder block by block, from the top."""
        blocks = self.encoder.blocks() if self.encoder is not None else []
        weights = [
            [weight for module in block for weight in module.parameters() if weight.requires_grad]
            for block in reversed(blocks)
        ]
        return [block for block in weights if block]


def _chosen_layers(settings: EncoderSettings, n_layers: int) -> list[int]:
    """Return the states that the recipe takes, counted from 0, from below."""
    chosen = range(n_layers + 1) if settings.layers is None else settings.layers
    for layer in chosen:
        if not -n_layers - 1 <= layer <= n_layers:
            raise RecipeError(
                f"encoder.layers names {layer}, and '{settings.source}' has {n_layers} layers; give numbers "
                f"from 0, which is what enters the first, to {n_layers}, or from -1, the last, down."
            )
    counted = [layer if layer >= 0 else n_layers + 1 + layer for layer in chosen]
    if len(set(counted)) < len(counted):
        raise RecipeError(f"encoder.layers names a layer twice: {list(chosen)}; name each once.")
    return sorted(counted)


def _let_train(encoder: SpeechEncoder, settings: EncoderSettings) -> None:
    """Let the layers be trained that the recipe says; what lies under the first only with all of them."""
    if settings.is_frozen:
        return
    blocks: list[Any] = encoder.blocks()
    if settings.fine_tune != "all":
        count = int(settings.fine_tune)
        if count > encoder.n_layers:
            raise RecipeError(
                f"encoder.fine_tune is {count}, and the recipe takes {encoder.n_layers} layers of "
                f"'{settings.source}'; give fewer, or all."
            )
        blocks = blocks[-count:]
    for block in blocks:
        for module in block:
            module.requires_grad_(True)
