"""Variants of a model file: the same network in fewer bits, made with recordings that it was trained on.

A variant is a model file like any other. Its name says what it is (``vocalics-int8``), and its card, under
``training.precision``, how far its answers are from those of the file it was made from.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vocalics import audio
from vocalics.card import METADATA_KEY, ModelCard
from vocalics.errors import ExportError, UsageError
from vocalics.lab.corpora import Note, load_data
from vocalics.lab.dataset import utterance_number
from vocalics.lab.leaks import refuse_leaky_run
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.parted_models import NOTHING_BESIDE, open_parts, write_model
from vocalics.lab.progress import Bar, Progress, Tell, no_progress, tell_nobody
from vocalics.lab.quantise import Waveforms, to_float16, to_int8
from vocalics.lab.splits import load_split
from vocalics.recognition.external_weights import external_files
from vocalics.recognition.model import Model

#: What a variant may be, and the largest difference of a probability with which it is written: about three
#: and ten times the largest that was seen with the bundled recipes.
PRECISIONS = {"int8": 0.2, "float16": 0.01}

#: Recordings that a variant is made with, and the least number. Two thirds set the ranges of ``int8``, and on
#: the others the answers are compared.
RECORDINGS, FEWEST = 192, 24


def export_variant(
    model: str,
    output: Path,
    precision: str,
    *,
    data: Path | None = None,
    manifest: Path | None = None,
    name: str | None = None,
    progress: Progress = no_progress,
    tell: Tell = tell_nobody,
) -> None:
    """Write a variant of a model.

    Parameters
    ----------
    model
        A run folder, an ``.onnx`` file, or a name that `vocalics.load` takes.
    output
        The model file to write.
    precision
        ``int8`` or ``float16``; see `quantise`.
    data, manifest
        Where the recordings of its training are, as of `corpora.load_data`.
    name
        What the card shall call the variant; by default the model's name with the precision.
    progress
        Opens a progress bar under a title.
    tell
        Hears how far the answers differ, and how large the file is.

    Raises
    ------
    UsageError
        There is no such precision; the model is a variant itself, has an encoder, or weights in a file beside
        it; there are too few recordings of its training.
    ExportError
        The variant answers otherwise; nothing is written then.
    """
    if output.suffix != ".onnx":
        raise UsageError(f"'{output}' is no model file; let its name end in .onnx.")
    _check_precision(precision)
    opened = _open(model)
    content = opened.path.read_bytes()
    check_source(content, opened.card)
    notes: list[Note] = []
    corpora = None if manifest else opened.card.training.get("recipe", {}).get("corpora")
    with progress("reading the corpora") as bar:
        utterances = load_data(data, manifest, corpora, progress=bar, notes=notes.append)
    for note in notes:
        tell(note.message)
    recordings = training_recordings(opened, utterances)
    with progress("listening") as bar:
        waveforms = hear(opened.card, recordings, bar)
    variant = make_variant(content, precision, waveforms, name)
    write_model(output, variant, NOTHING_BESIDE)
    made = Model.load(output).card.training["precision"]
    tell(
        f"on {made['compared_on']} recordings of the training a probability differs by "
        f"{made['largest_difference']:.2g} at most, and {made['same_emotion']} answers are the same emotion; "
        f"{len(content) / 1e6:.2f} MB became {len(variant) / 1e6:.2f} MB"
    )


def _open(model: str) -> Model:
    run = Path(model)
    if run.is_dir() and not (run / "model.onnx").is_file():
        raise UsageError(f"{run} holds no model.onnx; finish the run with 'vocalics train' first.")
    opened = Model.load(run / "model.onnx" if run.is_dir() else model)
    refuse_leaky_run(opened.path.parent)
    return opened


def check_source(content: bytes, card: ModelCard) -> None:
    """Raise `UsageError` where no variant can be made of a model file."""
    if made := card.training.get("precision"):
        raise UsageError(
            f"'{card.name}' is already a variant ({made['weights']}); make this one from the model that it "
            "was made from."
        )
    if "encoder" in card.training:
        raise UsageError(
            f"'{card.name}' has an encoder, {card.training['encoder'].get('source', 'pretrained')}, which "
            "stays float32, as every front end does; the network behind it is too small to gain anything."
        )
    if external_files(content, card.name):
        raise UsageError(
            f"'{card.name}' keeps its weights in a file beside it; variants are made of models in one file."
        )


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision '{precision}'; take {' or '.join(PRECISIONS)}.")


# Recordings ------------------------------------------------------------------------------------------------


def training_recordings(model: Model, utterances: Manifest) -> Manifest:
    """Pick the recordings to make a variant of a model with, from those that it was trained on.

    Those are the training part of the split beside the file, where it is in its run; else all that its
    speakers said. Each emotion of each corpus gives as many as the others, and the choice is the same on
    every machine.

    Raises
    ------
    UsageError
        There are too few.
    """
    beside = model.path.with_name("split.json")
    split = load_split(beside) if beside.is_file() else None
    if split and split.digest == model.card.training.get("split_digest"):
        train = set(split.train)
        heard = utterances.filter(lambda utterance: utterance.id in train)
    else:
        speakers: dict[str, list[str]] = model.card.training.get("speakers", {})
        heard = utterances.filter(lambda utterance: utterance.speaker in speakers.get(utterance.corpus, ()))
    if len(heard) < FEWEST:
        raise UsageError(
            f"{len(heard)} of the {len(utterances)} recordings are of the training of '{model.name}'; a "
            f"variant is made with {FEWEST} at least. Name them with --data or --manifest."
        )
    before: Counter[tuple[str, str]] = Counter()
    in_turn: list[tuple[int, Utterance]] = []
    for utterance in sorted(heard, key=lambda one: utterance_number(one.id)):
        group = (utterance.corpus, utterance.emotion)
        in_turn.append((before[group], utterance))
        before[group] += 1
    in_turn.sort(key=lambda entry: entry[0])
    return heard.select(utterance.id for _, utterance in in_turn[:RECORDINGS])


def hear(card: ModelCard, recordings: Manifest, progress: Bar | None = None) -> list[npt.NDArray[np.float32]]:
    """Return recordings (1, n_samples) as the model hears them, each its first window."""
    longest = round(card.window_s * card.sample_rate)
    waveforms = []
    for done, utterance in enumerate(recordings, start=1):
        recorded = audio.read(recordings.audio_path(utterance))
        sound = recorded.mono().resampled(card.sample_rate, card.bandwidth_hz)
        waveforms.append(np.ascontiguousarray(sound.samples[:, :longest]))
        if progress:
            progress(done, len(recordings))
    return waveforms


# The file --------------------------------------------------------------------------------------------------


def make_variant(content: bytes, precision: str, waveforms: Waveforms, name: str | None = None) -> bytes:
    """Return a variant of a model file.

    Parameters
    ----------
    content
        The file, as `export` writes it.
    precision
        One of `PRECISIONS`.
    waveforms
        Recordings of its training, each (1, n_samples) as the model hears it.
    name
        What the card shall call it.

    Raises
    ------
    UsageError
        See `export_variant`.
    ExportError
        A probability differs by more than the precision allows.
    """
    _check_precision(precision)
    graph = onnx.load_from_string(content)
    entry = next(entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    card = ModelCard.from_json(entry.value)
    check_source(content, card)
    compared = waveforms[::3]
    ranging = [waveform for position, waveform in enumerate(waveforms) if position % 3]
    made = to_int8(graph, ranging) if precision == "int8" else to_float16(graph)
    told: dict[str, Any] = {
        "weights": precision,
        "made_from": f"{card.name}, SHA-256 {hashlib.sha256(content).hexdigest()}",
        "ranges_from": len(ranging) if precision == "int8" else 0,
        **_compare(content, made.SerializeToString(), compared, PRECISIONS[precision]),
    }
    limit = (
        f"A variant with {precision} weights: the figures of this card are those of the float32 model; on "
        f"{told['compared_on']} recordings of its training a probability differed by "
        f"{told['largest_difference']:.2g} at most."
    )
    entry = next(entry for entry in made.metadata_props if entry.key == METADATA_KEY)
    entry.value = card.model_copy(
        update={
            "name": name or f"{card.name}-{precision}",
            "training": {**card.training, "precision": told},
            "limits": (*card.limits, limit),
        }
    ).to_json()
    result: bytes = made.SerializeToString()
    return result


def _compare(content: bytes, variant: bytes, waveforms: Waveforms, allowed: float) -> dict[str, Any]:
    """Tell how far a variant's answers are from the model's; `ExportError` where too far."""
    ours, theirs = (_probabilities(file, waveforms) for file in (content, variant))
    differences = np.abs(ours - theirs).max(axis=1)  # (n_waveforms,)
    largest = float(differences.max())
    if not largest <= allowed:
        raise ExportError(
            f"the variant differs from the model by {largest:.2g} in a probability; at most {allowed:g} is "
            "allowed, so nothing was written. Use the model as it is."
        )
    return {
        "compared_on": len(waveforms),
        "largest_difference": float(f"{largest:.3g}"),
        "mean_largest_difference": float(f"{differences.mean():.3g}"),
        "same_emotion": int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()),
    }


def _probabilities(content: bytes, waveforms: Waveforms) -> npt.NDArray[np.float64]:
    """Return the answers of a file, (n_waveforms, n_emotions)."""
    session = open_parts(content, NOTHING_BESIDE)
    answers = [session.run(["probabilities"], {"waveform": waveform})[0] for waveform in waveforms]
    return np.concatenate(answers).astype(np.float64)
