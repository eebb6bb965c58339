"""First weights out of a model file, to train on from there.

A model file holds a graph, not a network: batch normalisation has become part of the convolutions, matrices
lie transposed, gates in another order. So the network that the card describes is exported once more with its
weights numbered, and where a number turns up in that graph, the weight stands in the file's.
"""

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vocalics.card import ModelCard
from vocalics.errors import ExportError, LeakError, ModelError, TrainingError
from vocalics.lab import metrics
from vocalics.lab.evaluation import seen_speakers
from vocalics.lab.export import prove_parity, to_onnx
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.difference import differing_settings
from vocalics.lab.recipes.schema import Recipe, parse_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.scores import score
from vocalics.recognition.model import Model
from vocalics.recognition.model_file import locate

#: Weights are numbered from here, above every constant of a graph, up to where float32 has gaps.
FIRST_NUMBER, LAST_NUMBER = 2**18, 2**24

#: Settings that the weights depend on.
_HELD = ("sample_rate", "features.", "network.")

#: How the exporter calls what it made itself.
_NUMBERED = re.compile(r"val_\d+")

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Initial:
    """A model file that a training starts from.

    Attributes
    ----------
    content
        The file.
    card
        Its card.
    recipe
        That it was trained by.
    """

    content: bytes
    card: ModelCard
    recipe: Recipe

    @classmethod
    def read(cls, model: str | Path) -> "Initial":
        """Read a model file, named as everywhere.

        Raises
        ------
        ModelError
            There is no such file, or its card does not hold the recipe.
        """
        path = locate(model)
        card = Model.load(path).card
        if "recipe" not in card.training:
            raise ModelError(
                f"the card of '{model}' does not say how it was trained, so it cannot be trained on; take a "
                "file that 'vocalics train' wrote."
            )
        if "precision" in card.training:
            raise ModelError(
                f"'{model}' is a variant with {card.training['precision']['weights']} weights, which cannot "
                "be trained on; take the model that it was made from."
            )
        return cls(path.read_bytes(), card, parse_recipe(card.training["recipe"], f"the card of '{model}'"))

    def to_dict(self) -> dict[str, str]:
        """Say which file it is, for run folders and cards."""
        return {"model": self.card.name, "sha256": hashlib.sha256(self.content).hexdigest()}

    def refuse_known_speakers(self, part: Manifest, name: str, harm: str) -> None:
        """Raise `LeakError` where the model was trained on a speaker of a part of the split.

        Parameters
        ----------
        part
            The utterances.
        name
            What the part is called.
        harm
            What would be wrong.
        """
        known = seen_speakers(self.card, part)
        if known:
            raise LeakError(
                f"'{self.card.name}' was trained on somebody in the {name} part ({', '.join(known[:3])}"
                f"{' ...' if len(known) > 3 else ''}), so {harm}; start from a model that does not know "
                "them, or train on all with --protocol all."
            )

    def require_same_network(self, recipe: Recipe) -> None:
        """Raise `TrainingError` where a recipe has other features or another network than the file."""
        differing = [key for key in differing_settings(self.recipe, recipe) if key.startswith(_HELD)]
        if differing:
            raise TrainingError(
                f"the weights of '{self.card.name}' are of another network (its {', '.join(differing)} "
                f"differ); take the recipe '{self.recipe.name}', by which it was trained."
            )


def load_weights(recogniser: Recogniser, initial: Initial, recipe: Recipe, clips: Iterable[Tensor]) -> None:
    """Give a recogniser the weights of a model file.

    An emotion that the file does not know begins with weights at random.

    Parameters
    ----------
    recogniser
        Made from `recipe`.
    initial
        The file.
    recipe
        Of the new training; its emotions may be others than the file's.
    clips
        Waveforms (1, samples), for the statistics of batch normalisation that the file does not hold, and for
        the proof.

    Raises
    ------
    TrainingError
        The weights are of another network.
    ModelError
        The file cannot be taken apart: the network with its weights does not answer as the file does.
    """
    initial.require_same_network(recipe)
    source = Recogniser(initial.recipe).eval()
    source.load_state_dict(_weights(source, initial))
    clips = list(clips)
    _restore_statistics(source, clips)
    _prove(source, initial, clips)

    recogniser.front_end.load_state_dict(source.front_end.state_dict())
    recogniser.network.load_state_dict(source.network.state_dict())
    recogniser.embedding_mean.copy_(source.embedding_mean)
    recogniser.embedding_std.copy_(source.embedding_std)
    with torch.no_grad():
        for row, emotion in enumerate(recipe.emotions):
            if emotion in initial.recipe.emotions:
                known = initial.recipe.emotions.index(emotion)
                recogniser.head.weight[row] = source.head.weight[known]
                recogniser.head.bias[row] = source.head.bias[known]


def before_and_after(initial: Initial, model: Path, test: Manifest) -> dict[str, Any]:
    """Measure the model that a training began with, and the one that it ended in, on the same recordings.

    Parameters
    ----------
    initial, model
        The two.
    test
        The split's test part.

    Returns
    -------
    The ``emotions`` that both know and the recordings show; where they are two or more also how many
    ``clips`` and ``speakers``, and ``uar`` and ``accuracy`` among these emotions, ``before`` and ``after``.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "initial.onnx")
        path.write_bytes(initial.content)
        models = {"before": Model.load(path), "after": Model.load(model)}
    spoken = {utterance.emotion for utterance in test}
    shared = [name for name in models["after"].emotions if name in spoken and name in initial.card.emotions]
    if len(shared) < 2:
        return {"emotions": shared}
    found: dict[str, Any] = {"emotions": shared}
    for name, opened in models.items():
        scores = score(opened, test, gate=False).among(shared)
        counts = metrics.confusion(scores.truth, scores.predicted, scores.emotions)
        found |= {"clips": len(scores), "speakers": len(set(scores.speakers))}
        found[name] = {"uar": metrics.uar(counts), "accuracy": metrics.accuracy(counts)}
    return found


# Taking the graph apart ----------------------------------------------------------------------------------


def _weights(source: Recogniser, initial: Initial) -> dict[str, Tensor]:
    """Return the file's weights under the names of the network that its card describes."""
    numbered = copy.deepcopy(source)
    places = _number(numbered)
    pattern = _constants(to_onnx(numbered, initial.recipe))
    given = _constants(onnx.load_from_string(initial.content))
    values = np.full(LAST_NUMBER, np.nan, dtype=np.float32)
    for name, numbers in pattern.items():
        found = (numbers >= FIRST_NUMBER) & (numbers < LAST_NUMBER)
        if found.any():
            if name not in given or given[name].shape != numbers.shape:
                raise _not_apart(initial)
            values[np.rint(numbers[found]).astype(int)] = given[name][found]
    state = numbered.state_dict()
    for name, tensor in state.items():
        if name in places:
            weights = values[places[name]]
            if np.isnan(weights).any():
                raise _not_apart(initial)
            tensor.copy_(torch.from_numpy(weights).reshape(tensor.shape))
        elif name in given and given[name].shape == tensor.shape:
            tensor.copy_(torch.from_numpy(given[name].copy()))
    state["temperature"].fill_(initial.card.head.temperature)
    return state


@torch.no_grad()
def _number(module: nn.Module) -> dict[str, slice]:
    """Give every weight of a module a number for a value; return their numbers by name.

    Batch normalisation is left to change nothing, or nothing but to add its bias where the layer before it
    has none, as it is when the two have become one.
    """
    state = module.state_dict()
    fixed = {"temperature", "front_end.row_mean", "front_end.row_std"}  # a graph may have no use for them
    for name, before, layer in _normalised_layers(module):
        values = {"weight": 1.0, "running_mean": 0.0, "running_var": 1.0 - layer.eps}
        if f"{before}.bias" in state:
            values["bias"] = 0.0
        for part, value in values.items():
            state[f"{name}.{part}"].fill_(value)
            fixed.add(f"{name}.{part}")
    places, first = {}, FIRST_NUMBER
    for name, tensor in state.items():
        if name in fixed or not tensor.is_floating_point():
            continue
        last = first + tensor.numel()
        if last > LAST_NUMBER:
            raise TrainingError(
                f"a model of more than {LAST_NUMBER - FIRST_NUMBER:,} weights cannot be trained on from its "
                "file; start from its recipe."
            )
        tensor.copy_(torch.arange(first, last).reshape(tensor.shape))
        places[name] = slice(first, last)
        first = last
    return places


def _normalised_layers(module: nn.Module) -> Iterator[tuple[str, str, _BatchNorm]]:
    """Yield the name of each batch normalisation, that of the layer before it, and itself."""
    for name, sequence in module.named_modules():
        if isinstance(sequence, nn.Sequential):
            for position, layer in enumerate(sequence):
                if isinstance(layer, _BatchNorm):
                    yield f"{name}.{position}", f"{name}.{position - 1}", layer


def _constants(graph: onnx.ModelProto) -> dict[str, FloatArray]:
    """Return the float constants of a graph by name.

    Those that the exporter made, such as a transposed matrix, have a running number for a name; here they are
    called by their shape and their place among those of that shape.
    """
    constants: dict[str, FloatArray] = {}
    seen: Counter[tuple[int, ...]] = Counter()
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor)
            name = tensor.name
            if _NUMBERED.fullmatch(name):
                name = f"{array.shape} {seen[array.shape]}"
                seen[array.shape] += 1
            constants[name] = array
    return constants


def _not_apart(initial: Initial) -> ModelError:
    return ModelError(
        f"the weights of '{initial.card.name}' cannot be taken out of its file, which another version of "
        "vocalics or PyTorch may have written; train its recipe anew with this one, and start from there."
    )


# What a file does not hold -------------------------------------------------------------------------------


@torch.inference_mode()
def _restore_statistics(source: Recogniser, clips: list[Tensor]) -> None:
    """Give batch normalisation the statistics of clips, and weights that undo them: no answer changes.

    In training it goes by the batch. With the statistics of speech it then does what it did in the file.
    """
    moments: dict[_BatchNorm, list[Tensor]] = {layer: [] for _, _, layer in _normalised_layers(source)}

    def note(layer: Any, inputs: tuple[Tensor, ...], _: Any) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)  # (channels, whatever)
        ones = torch.full((len(values),), float(values.shape[1]))
        moments[layer].append(torch.stack([ones, values.sum(dim=1), values.square().sum(dim=1)]))

    hooks = [layer.register_forward_hook(note) for layer in moments]
    for clip in clips:
        source(clip)
    for hook in hooks:
        hook.remove()
    for layer, noted in moments.items():
        count, total, squares = torch.stack(noted).sum(dim=0)
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        layer.running_mean.copy_(mean)  # type: ignore[union-attr]
        layer.running_var.copy_(variance)  # type: ignore[union-attr]
        layer.weight.copy_((variance + layer.eps).sqrt())
        layer.bias.add_(mean)


@torch.inference_mode()
def _prove(source: Recogniser, initial: Initial, clips: list[Tensor]) -> None:
    """Check that the network answers as the file does."""
    answers = [(clip.numpy(), source(clip).probabilities.numpy()) for clip in clips]
    try:
        prove_parity(initial.content, answers)
    except ExportError:
        raise _not_apart(initial) from None
