"""The speech encoders that a recipe can take: one entry for each kind of checkpoint."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vocalics.errors import ModelError
from vocalics.lab.encoders.log_mel import WhisperLogMel
from vocalics.lab.encoders.source import EncoderFiles

#: What every known encoder was trained on, Hz.
SAMPLE_RATE = 16_000


class SpeechEncoder(nn.Module):
    """A pretrained encoder: waveform to the states of its layers.

    Parameters
    ----------
    model
        Of the package transformers.
    hidden_size
        Width of every state.
    hop_samples
        Between steps.
    longest_s
        Longest clip it can hear, seconds; None where there is no end.
    """

    def __init__(
        self, model: Any, hidden_size: int, hop_samples: int, longest_s: float | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.hidden_size, self.hop_samples, self.longest_s = hidden_size, hop_samples, longest_s

    @property
    def n_layers(self) -> int:
        """How many layers there are; there is one state more, which is what enters the first."""
        return len(self.layers())

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Return the states, each (batch, steps, hidden_size), of a waveform (batch, samples)."""
        with torch.autocast(waveform.device.type, enabled=False):
            heard = self.prepare(waveform)
        states: list[Tensor] = []

        def note(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            states.append(given[0] if given else named["hidden_states"])

        # The library's own record of states does not survive the way to another process.
        hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in self.layers()]
        try:
            answer = self.model(heard)
        finally:
            for hook in hooks:
                hook.remove()
        # Of models that normalise before each layer, the last state is what leaves the encoder.
        return [*states, answer.last_hidden_state]

    def layers(self) -> nn.ModuleList:
        """Return the transformer layers, from below."""
        raise NotImplementedError

    def prepare(self, waveform: Tensor) -> Tensor:
        """Return what the model takes of a waveform (batch, samples)."""
        raise NotImplementedError

    def n_steps(self, samples: int) -> int:
        """Count the steps of a clip of so many samples; none where it is too short."""
        raise NotImplementedError

    def blocks(self) -> list[list[nn.Module]]:
        """Return what can be trained, from below: what leads to the first layer, then each layer."""
        raise NotImplementedError

    def keep_layers(self, count: int) -> None:
        """Leave out the layers above so many; the last state is then as the last one kept leaves it."""
        raise NotImplementedError

    def prepare_export(self) -> None:
        """Take the routes of the exported graph."""


class WaveformEncoder(SpeechEncoder):
    """Convolutions over the waveform, then a transformer: wav2vec 2.0, HuBERT, WavLM, data2vec.

    Parameters
    ----------
    model
        Of the package transformers.
    preparation
        What the checkpoint says of its input: whether each clip is brought to mean 0 and variance 1.
    """

    def __init__(self, model: Any, preparation: dict[str, Any]) -> None:
        config = model.config
        super().__init__(model, config.hidden_size, math.prod(config.conv_stride))
        self.normalises = bool(preparation.get("do_normalize", True))  # the library's default too
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        # Some models normalise before each layer and once more behind the last, the others behind each.
        self._normalises_last = bool(getattr(config, "do_stable_layer_norm", False))

    def prepare(self, waveform: Tensor) -> Tensor:
        """Return the waveform, at mean 0 and variance 1 where the model was trained so."""
        if not self.normalises:
            return waveform
        mean = waveform.mean(dim=1, keepdim=True)
        variance = waveform.var(dim=1, keepdim=True, correction=0)
        return (waveform - mean) / (variance + 1e-7).sqrt()

    def layers(self) -> nn.ModuleList:
        """Return the transformer layers, from below."""
        return self.model.encoder.layers  # type: ignore[no-any-return]

    def n_steps(self, samples: int) -> int:
        """Count the steps of a clip of so many samples; none where it is too short."""
        for kernel, stride in self._convolutions:
            samples = max(0, (samples - kernel) // stride + 1)
        return samples

    def blocks(self) -> list[list[nn.Module]]:
        """Return what can be trained, from below: what leads to the first layer, then each layer."""
        encoder = self.model.encoder
        below = [self.model.feature_projection, encoder.pos_conv_embed]
        layers = [[layer] for layer in self.layers()]
        (layers[-1] if self._normalises_last else below).append(encoder.layer_norm)
        return [below, *layers]

    def keep_layers(self, count: int) -> None:
        """Leave out the layers above so many; the last state is then as the last one kept leaves it."""
        if count < self.n_layers:
            del self.model.encoder.layers[count:]
            if self._normalises_last:
                self.model.encoder.layer_norm = nn.Identity()


class WhisperEncoder(SpeechEncoder):
    """The encoder of Whisper: it always hears 30 s, the clip and then silence; its states end with the clip.

    Parameters
    ----------
    model
        Of the package transformers.
    preparation
        What the checkpoint says of its log-mel spectrogram.
    """

    def __init__(self, model: Any, preparation: dict[str, Any]) -> None:
        config, hop_length = model.config, preparation.get("hop_length", 160)
        frames = 2 * config.max_source_positions  # its second convolution halves them
        super().__init__(model, config.d_model, 2 * hop_length, frames * hop_length / SAMPLE_RATE)
        self.log_mel = WhisperLogMel(
            config.num_mel_bins, preparation.get("n_fft", 400), hop_length, frames, SAMPLE_RATE
        )

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Return the states, each (batch, steps, hidden_size), of a waveform (batch, samples)."""
        steps = self.n_steps(waveform.shape[1])
        return [state[:, :steps] for state in super().forward(waveform)]

    def prepare(self, waveform: Tensor) -> Tensor:
        """Return the log-mel spectrogram of the clip and the silence after it."""
        return self.log_mel(waveform)  # type: ignore[no-any-return]

    def layers(self) -> nn.ModuleList:
        """Return the transformer layers, from below."""
        return self.model.layers  # type: ignore[no-any-return]

    def n_steps(self, samples: int) -> int:
        """Count the steps of a clip of so many samples; none where it is too short."""
        return (samples + self.hop_samples - 1) // self.hop_samples

    def blocks(self) -> list[list[nn.Module]]:
        """Return what can be trained, from below; Whisper's positions are fixed, so nothing leads there."""
        layers: list[list[nn.Module]] = [[layer] for layer in self.layers()]
        layers[-1].append(self.model.layer_norm)
        return [[], *layers]

    def keep_layers(self, count: int) -> None:
        """Leave out the layers above so many; the last state is then as the last one kept leaves it."""
        if count < self.n_layers:
            del self.model.layers[count:]
            self.model.layer_norm = nn.Identity()

    def prepare_export(self) -> None:
        """Take the route of the exported graph."""
        self.log_mel.spectrum.prepare_export()


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint.

    Attributes
    ----------
    name
        What it calls itself: ``model_type`` in its settings.
    model
        The class of the package transformers that its weights are of.
    build
        Makes the encoder of it and of what the checkpoint says of its input.
    part
        What stands before the names of its weights in a checkpoint of more; empty where nothing does.
    description
        One line.
    """

    name: str
    model: str
    build: Callable[[Any, dict[str, Any]], SpeechEncoder]
    part: str
    description: str


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("wav2vec2", "Wav2Vec2Model", WaveformEncoder, "", "wav2vec 2.0, XLS-R, MMS"),
        Family("hubert", "HubertModel", WaveformEncoder, "", "HuBERT"),
        Family("wavlm", "WavLMModel", WaveformEncoder, "", "WavLM"),
        Family("data2vec-audio", "Data2VecAudioModel", WaveformEncoder, "", "data2vec for speech"),
        Family("whisper", "WhisperEncoder", WhisperEncoder, "encoder.", "the encoder of Whisper"),
    )
}

#: Settings that make a model do something else in training than in use, or answer otherwise; all that is
#: wanted of it is dropout.
_QUIET = {
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,  # it would halve the steps
    "output_hidden_states": False,
    "output_attentions": False,
    "return_dict": True,
}

#: Settings by which the library would fetch code, or read what is no safetensors.
_LEADING_ELSEWHERE = {"attn_implementation", "auto_map", "quantization_config"}


def load_encoder(files: EncoderFiles) -> SpeechEncoder:
    """Build an encoder and load its weights; nothing of the checkpoint is executed.

    Raises
    ------
    ModelError
        It is of no known family, not of the rate that these hear, or lacks weights.
    """
    source = files.provenance.source
    kind = files.config.get("model_type")
    if kind not in FAMILIES:
        raise ModelError(
            f"'{source}' is a '{kind}', which is no speech encoder that is known here; known are "
            f"{', '.join(FAMILIES)}."
        )
    rate = files.preparation.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ModelError(
            f"'{source}' hears sound at {rate} Hz, and only encoders for {SAMPLE_RATE} Hz are known here."
        )
    family = FAMILIES[kind]
    weights = files.read_weights()
    if family.part:
        own = {name: name.partition(family.part)[2] for name in weights if f".{family.part}" in f".{name}"}
        weights = {short: weights[name] for name, short in own.items()} or weights
    with _silent():
        try:
            model, told = _from_weights(family, files.config, weights)
        except (ImportError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"'{source}' cannot be built as its config.json says: {reason}.") from None
    if told["missing_keys"]:
        missing = sorted(told["missing_keys"])
        raise ModelError(
            f"'{source}' lacks {len(missing)} of the weights of a {family.name} encoder (first: "
            f"{missing[0]}); take a checkpoint of the whole encoder."
        )
    _fold_weight_norms(model)
    encoder = family.build(model, files.preparation)
    return encoder.requires_grad_(False).eval()


def _from_weights(family: Family, settings: dict[str, Any], weights: dict[str, Tensor]) -> tuple[Any, Any]:
    """Return a model of a family with these weights, and what was missing."""
    import transformers
    from transformers.models.whisper import modeling_whisper

    build = getattr(transformers, family.model, None) or getattr(modeling_whisper, family.model)
    known = {key: value for key, value in settings.items() if key not in _LEADING_ELSEWHERE and key[0] != "_"}
    config = transformers.CONFIG_MAPPING[family.name].from_dict(known | _QUIET)
    # With weights in hand and no name of a checkpoint the library looks for no files, here or on the hub.
    return build.from_pretrained(  # type: ignore[no-any-return]
        None, config=config, state_dict=weights, dtype=torch.float32, output_loading_info=True
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the library's bars and reports, such as of weights of other parts, from people."""
    from transformers.utils import logging as library_logging

    logging: Any = library_logging  # half of it has types
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _fold_weight_norms(model: nn.Module) -> None:
    """Make weights of what is split into length and direction: as such they can be exported and pickled."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
            # What reads the names of older versions; it is a local function, and cannot be pickled.
            module._load_state_dict_pre_hooks.clear()
