"""A trained recogniser as one ONNX file with its card, refused unless it answers as the network does."""

import logging
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from vocalics.card import METADATA_KEY, Head, ModelCard
from vocalics.errors import ExportError
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.calibration import Calibration
from vocalics.lab.corpora import CORPORA
from vocalics.lab.encoders import EncoderFrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.parted_models import (
    NOTHING_BESIDE,
    Beside,
    open_parts,
    take_weights,
    weights_name,
    write_model,
)
from vocalics.lab.recipes.schema import Recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.splits import Split

#: Largest difference between a probability of the file and of PyTorch, on real clips.
PARITY = 1e-4

#: Clips that parity is proved on; the shortest and the longest of the training part are always among them.
PARITY_CLIPS = 24

OPSET = 18

#: Stands for the temperature while the graph is made. A division by 1 would be left out of it, and a number
#: that the graph holds elsewhere (the 2 of a square) would become one constant with it; neither can be set.
PLACE_OF_TEMPERATURE = 1.2345678

#: Ends the names of the outputs while the graph is made.
_ANSWER = "_of_the_answer"

#: Length of the sound that the exporter follows through the network, seconds. It unrolls the LSTM over it, so
#: a short one takes a third of the time of two seconds; the graph is the same.
EXAMPLE_S = 0.5

LIMITS = (
    "Trained on acted speech; everyday emotion is weaker and mixed.",
    "Languages and microphones other than those trained on lower the accuracy; measure on your own "
    "recordings.",
    "Not for decisions about people. The EU's AI Act (Article 5) forbids inferring emotions at work and in "
    "education but for medical or safety reasons.",
)


@dataclass(frozen=True)
class Evidence:
    """What the card tells of how the model came to be.

    Attributes
    ----------
    calibration
        Temperature and abstention threshold, with their source.
    train
        The training part.
    split
        Behind the training; its digest goes into the card.
    command
        The command line.
    epochs
        How many were trained.
    initial
        Card of the model whose weights the training began with, and what the new card shall say of it.
    """

    calibration: Calibration
    train: Manifest
    split: Split
    command: str
    epochs: int
    initial: tuple[ModelCard, dict[str, str]] | None = None


def export(
    recipe: Recipe,
    recogniser: Recogniser,
    store: AudioStore,
    emotion_means: dict[str, np.ndarray],
    evidence: Evidence,
    path: Path,
) -> None:
    """Write the model file, after proving that it answers as the network does.

    Parameters
    ----------
    recipe
        What was trained.
    recogniser
        The trained module; its spectrum is left on the route of the exported graph.
    store
        Decoded audio of the training part, for the proof.
    emotion_means
        Mean embedding of each emotion, each (embedding_size,), for the card.
    evidence
        How the model came to be, for the card.
    path
        The file to write.

    Raises
    ------
    ExportError
        A probability differs by more than `PARITY` on one of the clips; nothing is written then.

    Notes
    -----
    The weights of a model that is too large for one file lie beside it; see `parted_models`.
    """
    recogniser = recogniser.eval()
    references = _references(recogniser, recipe, store, evidence.train)
    recogniser.front_end.prepare_export()
    graph = to_onnx(recogniser, recipe)
    card = make_card(recipe, recogniser, emotion_means, evidence)
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.to_json()
    beside = take_weights(graph, weights_name(path))
    content = graph.SerializeToString()
    prove_parity(content, references, beside)
    write_model(path, content, beside)


def prove_parity(
    content: bytes, references: list[tuple[np.ndarray, np.ndarray]], beside: Beside = NOTHING_BESIDE
) -> float:
    """Return the largest difference between a probability of the file and of PyTorch.

    Parameters
    ----------
    content
        The file.
    references
        Pairs of a waveform (1, n) and PyTorch's probabilities (1, n_emotions).
    beside
        Weights that lie beside the file.

    Raises
    ------
    ExportError
        It is larger than `PARITY`, or not a number.
    """
    session = open_parts(content, beside)
    worst = 0.0
    for waveform, expected in references:
        (answer,) = session.run(["probabilities"], {"waveform": waveform})
        difference = float(np.abs(np.asarray(answer) - expected).max())
        worst = max(worst, difference if np.isfinite(difference) else float("inf"))
    if worst > PARITY:
        raise ExportError(
            f"the exported file differs from the trained network by {worst:.2g} in a probability; at most "
            f"{PARITY:g} is allowed, so nothing was written. Report the recipe and the versions of torch and "
            "onnxruntime."
        )
    return worst


def with_evaluation(
    content: bytes,
    name: str,
    calibration: Calibration,
    evaluation: dict[str, Any],
    beside: Beside = NOTHING_BESIDE,
) -> bytes:
    """Return a model file with another name, calibration and evaluation; its weights stay.

    For a model that was trained on all speakers, which has nobody left to be calibrated and measured on: it
    gets what its recipe's folds found.

    Parameters
    ----------
    content
        The file.
    name
        What the card shall call the model.
    calibration
        Replaces temperature and threshold, in graph and card, and how speakers differ.
    evaluation
        For the card.
    beside
        Weights that lie beside the file, and stay there.

    Raises
    ------
    ExportError
        The new file's answers are not the old ones at the new temperature.
    """
    graph = onnx.load_from_string(content)
    wanted = float(np.float32(calibration.temperature))
    before = _set_temperature(graph, wanted)
    entry = next(entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    card = ModelCard.from_json(entry.value)
    entry.value = card.model_copy(
        update={
            "name": name,
            "abstain_below": round(calibration.abstain_below, 4),
            "head": card.head.model_copy(update={"temperature": wanted, "speakers": calibration.speakers}),
            "training": {**card.training, "calibration": calibration.source},
            "evaluation": evaluation,
        }
    ).to_json()
    result: bytes = graph.SerializeToString()
    _prove_temperature(content, result, before / calibration.temperature, card.sample_rate, beside)
    return result


def _set_temperature(graph: onnx.ModelProto, temperature: float) -> float:
    """Change the temperature inside the graph, and return the one before."""
    for tensor in graph.graph.initializer:
        if tensor.name == "temperature":
            before = float(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(temperature, np.float32), tensor.name))
            return before
    raise ExportError("this file has no temperature to change; train and export it again.")


def _prove_temperature(before: bytes, after: bytes, power: float, sample_rate: int, beside: Beside) -> None:
    """Check the new answers: softmax at another temperature is the old one to a power, renormalised."""
    waveform = np.random.default_rng(0).standard_normal((2, sample_rate)).astype(np.float32) * 0.1
    old, new = (
        np.asarray(
            open_parts(file, beside).run(["probabilities"], {"waveform": waveform})[0], dtype=np.float64
        )
        for file in (before, after)
    )
    expected = old**power / (old**power).sum(axis=1, keepdims=True)
    if not np.abs(expected - new).max() <= PARITY:
        raise ExportError("the temperature of this file cannot be changed; train and export it again.")


def _references(
    recogniser: Recogniser, recipe: Recipe, store: AudioStore, train: Manifest
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pick clips of the training part, shortest and longest included, with PyTorch's answers (by FFT)."""
    ordered = sorted(train, key=lambda utterance: utterance.duration_s)
    picks = np.unique(np.linspace(0, len(ordered) - 1, PARITY_CLIPS).astype(int))
    longest = round(recipe.window_s * recipe.sample_rate)
    pairs = []
    with torch.inference_mode():
        for position in picks:
            waveform = store[ordered[position].id][None, :longest]
            pairs.append((waveform, recogniser(torch.from_numpy(waveform)).probabilities.numpy()))
    return pairs


def to_onnx(recogniser: Recogniser, recipe: Recipe) -> onnx.ModelProto:
    """Return the graph of a recogniser, without its card."""
    example = torch.randn(2, round(max(EXAMPLE_S, recipe.minimum_s) * recipe.sample_rate))
    with_attention = recogniser(example).attention is not None
    names = ["probabilities", "embedding", "features", *(["attention"] if with_attention else [])]
    # Not Dim("batch") and Dim("samples"): with names, a second export in one process fixes the length.
    dynamic = {"waveform": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    temperature = float(recogniser.temperature)
    recogniser.temperature.fill_(PLACE_OF_TEMPERATURE)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            recogniser,
            (example,),
            input_names=["waveform"],
            output_names=[name + _ANSWER for name in names],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("PyTorch's exporter gave no model; report the recipe and the version of torch.")
    recogniser.temperature.fill_(temperature)
    graph: onnx.ModelProto = program.model_proto
    _name_values(graph.graph, names)
    _name_dimensions(graph.graph)
    _set_temperature(graph, temperature)
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings of its own internals, and of packages it could use, from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _name_values(graph: onnx.GraphProto, names: list[str]) -> None:
    """Give the outputs their names; what lies between may have them, being called as the operators are."""
    renamed = {name: f"{name}_within" for name in names} | {name + _ANSWER: name for name in names}
    for node in graph.node:
        del node.metadata_props[:]  # traces of the exporter: large, and full of this machine's folders
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for tensor in (*graph.output, *graph.initializer):
        tensor.name = renamed.get(tensor.name, tensor.name)


def _name_dimensions(graph: onnx.GraphProto) -> None:
    """Call the dynamic dimensions of inputs and outputs what they are; the exporter numbers them."""
    del graph.value_info[:]  # what lies between is named in the same numbers, and nobody needs it
    names = {
        "waveform": ("batch", "samples"),
        "features": ("batch", "", "frames"),
        "attention": ("batch", "steps"),
    }
    for tensor in (*graph.input, *graph.output):
        dimensions = tensor.type.tensor_type.shape.dim
        for dimension, name in zip(dimensions, names.get(tensor.name, ("batch",)), strict=False):
            if dimension.dim_param:
                dimension.dim_param = name


def make_card(
    recipe: Recipe, recogniser: Recogniser, emotion_means: dict[str, np.ndarray], evidence: Evidence
) -> ModelCard:
    """Fill the card from what was trained, on what, and how."""
    head = Head(
        weight=tuple(_numbers(row) for row in recogniser.head.weight.detach().numpy()),
        bias=_numbers(recogniser.head.bias.detach().numpy()),
        mean=_numbers(recogniser.embedding_mean.numpy()),
        std=_numbers(recogniser.embedding_std.numpy()),
        temperature=float(recogniser.temperature),
        emotion_means={emotion: _numbers(mean) for emotion, mean in emotion_means.items()},
    )
    corpora = evidence.train.corpora
    infos = [CORPORA[name] for name in corpora if name in CORPORA]
    speakers: dict[str, list[str]] = {name: [] for name in corpora}
    for corpus, speaker in evidence.train.speakers:
        speakers[corpus].append(speaker)
    licences = [info.licence for info in infos] or ["as the training audio"]
    begun_from: dict[str, Any] = {}
    if recipe.encoder is not None and isinstance(recogniser.front_end, EncoderFrontEnd):
        provenance = recogniser.front_end.provenance
        licences.append(f"{provenance.licence or 'its own'} (the encoder)")
        begun_from = {"encoder": provenance.for_card() | {"layers": recogniser.front_end.layers}}
    languages = [language for info in infos for language in info.languages]
    begun_with: dict[str, Any] = {}
    if evidence.initial:
        before, told = evidence.initial
        for corpus, names in before.training.get("speakers", {}).items():
            speakers[corpus] = sorted({*speakers.get(corpus, []), *names})
        licences = [before.licence, *licences]
        languages = [*before.languages, *languages]
        begun_with = {"initial": told}
    return ModelCard(
        name=recipe.name,
        description=recipe.description,
        emotions=recipe.emotions,
        sample_rate=recipe.sample_rate,
        bandwidth_hz=recipe.bandwidth_hz,
        window_s=recipe.window_s,
        minimum_s=recipe.minimum_s,
        abstain_below=round(evidence.calibration.abstain_below, 4),
        recipe=recipe.name,
        network=recipe.network.name,
        parameters=recogniser.n_parameters,
        licence=" and ".join(dict.fromkeys(licences)),
        languages=tuple(dict.fromkeys(languages)),
        head=head,
        training={
            "corpora": list(corpora),
            "speakers": speakers,
            "utterances": len(evidence.train),
            "hours": round(sum(utterance.duration_s for utterance in evidence.train) / 3600, 3),
            "protocol": evidence.split.protocol,
            "fold": evidence.split.fold,
            "folds": evidence.split.folds,
            "split_digest": evidence.split.digest,
            "seed": recipe.training.seed,
            "epochs": evidence.epochs,
            "calibration": evidence.calibration.source,
            "command": evidence.command,
            "citations": [info.citation for info in infos],
            "software": {
                "python": platform.python_version(),
                **{
                    name: version(name)
                    for name in ("vocalics", "torch", "onnx", "onnxruntime", "numpy", "soxr")
                },
            },
            "recipe": recipe.model_dump(mode="json"),
            **begun_from,
            **begun_with,
        },
        evaluation={},  # until somebody measures: `with_evaluation`
        limits=LIMITS,
    )


def _numbers(row: np.ndarray) -> tuple[float, ...]:
    """Round to the nine digits that tell every float32 apart."""
    return tuple(float(f"{value:.9g}") for value in row)
