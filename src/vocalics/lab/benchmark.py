"""Recipes by protocols, one fold at a time.

Each fold's result is a small file, so a benchmark goes on where it stopped.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.errors import SplitError, UsageError
from vocalics.files import write_atomically
from vocalics.lab import leaks, metrics
from vocalics.lab.adaptation import adapted_confusions, list_settings, twins
from vocalics.lab.conditions import condition_probabilities
from vocalics.lab.evaluation import Answers
from vocalics.lab.leaderboard import read_answers
from vocalics.lab.manifest import Manifest
from vocalics.lab.progress import Progress, Tell, no_progress, tell_nobody
from vocalics.lab.recipes.difference import differing_settings
from vocalics.lab.recipes.schema import Recipe, parse_recipe
from vocalics.lab.scores import score
from vocalics.lab.splits import Split, make_splits
from vocalics.lab.training import fit
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model


@dataclass(frozen=True)
class System:
    """One row of the leaderboard: a recipe on its corpora under a protocol.

    Attributes
    ----------
    recipe
        What is trained; its ``corpora`` are those of the row.
    protocol
        Of `splits.PROTOCOLS`, or `leaks.PROTOCOL`.
    gender
        Speakers of one gender alone, or None.
    """

    recipe: Recipe
    protocol: str
    gender: str | None = None

    @property
    def folder(self) -> Path:
        """Where its folds lie, relative to the benchmark's folder."""
        suffix = f"-{self.gender}" if self.gender else ""
        return Path(self.recipe.name, "+".join(self.recipe.corpora), self.protocol + suffix)

    @property
    def leaky(self) -> bool:
        """Whether it leaks on purpose; its results say so, and are kept from leaderboards."""
        return self.protocol == leaks.PROTOCOL

    @property
    def trained(self) -> Recipe:
        """What is trained: the recipe, unless it leaks on purpose."""
        return leaks.leaky_recipe(self.recipe) if self.leaky else self.recipe


def run_fold(
    system: System,
    manifest: Manifest,
    split: Split,
    results: Path,
    runs: Path,
    command: str,
    progress: Progress = no_progress,
    tell: Tell = tell_nobody,
    conditions: Sequence[str] = (),
    recordings: Manifest | None = None,
) -> Path:
    """Train and measure one fold, unless its result is there; return the result's file.

    Parameters
    ----------
    system
        What to train.
    manifest
        In the recipe's vocabulary; for a leak, from `leaks.with_copies`.
    split
        The fold.
    results
        The benchmark's folder, made to be committed.
    runs
        Folder for the runs themselves, not committed.
    command
        The command line, for the record.
    progress, tell
        As of `training.fit`.
    conditions
        Of `conditions.CONDITIONS`: the model is measured under each of them too. Those that the result lacks
        are added to it while the model of its run is still there. A deliberate leak is never measured so.
    recordings
        Where voices for babble are found, in any vocabulary; by default `manifest`.

    Raises
    ------
    UsageError
        The result that is there is of another recipe or split, or lacks a condition and its model is gone.
    """
    name = f"fold-{split.fold}-seed-{system.recipe.training.seed}.json"
    path = results / system.folder / name
    if path.is_file():
        _require_same(path, system.trained, split)
        if not system.leaky:
            run = runs / system.folder / path.stem
            _add_conditions(
                path, run, manifest.select(split.test), conditions, recordings or manifest, progress
            )
        return path
    if system.leaky:
        leaks.write_copies(system.recipe, manifest, progress)
    run = runs / system.folder / path.stem
    file = fit(
        system.trained,
        manifest,
        split,
        run,
        command=command,
        leaky=system.leaky,
        progress=progress,
        tell=tell,
    )
    model = Model.load(file)
    with progress("listening to the test part") as bar:
        tested = score(model, manifest.select(split.test), progress=bar)
    with progress("listening to the training part") as bar:
        trained = score(model, manifest.select(split.train), gate=False, progress=bar)
    known = all(utterance.speaker for utterance in tested.utterances)
    settings = list_settings(tested.emotions) if known and not system.leaky else ()
    columns = list(range(len(tested.emotions)))
    adapted = adapted_confusions(tested, AffineHead.from_card(model.card.head), columns, settings)
    answers = Answers.from_scores(tested, model.card.abstain_below)
    result = {
        "split_digest": split.digest,
        "protocol": system.protocol,
        "gender": system.gender,
        "fold": split.fold,
        "folds": split.folds,
        "seed": system.recipe.training.seed,
        "train_accuracy": float((trained.predicted == trained.truth).mean()),
        "parameters": model.card.parameters,
        "epochs": model.card.training["epochs"],
        "temperature": model.card.head.temperature,
        "abstain_below": model.card.abstain_below,
        "clips": {
            "id": answers.ids,
            "truth": [answers.emotions[i] for i in answers.truth],
            "speaker": answers.speakers,
            "gender": answers.genders,
            "corpus": answers.corpora,
            "twin": twins(tested.utterances),
            "no_speech": [i for i, silent in enumerate(answers.no_speech) if silent],
            "probabilities": _digits(answers.probabilities, 5),
        },
        "adapted": {
            setting: {speaker: counts.tolist() for speaker, counts in by_speaker.items()}
            for setting, by_speaker in adapted.items()
        },
        "command": command,
        "recipe": system.trained.model_dump(mode="json"),
    }
    if system.leaky:
        result |= {"leaky": True, "leaked_recipe": system.recipe.model_dump(mode="json")}
    elif conditions:
        result |= _measured(model, manifest.select(split.test), conditions, recordings or manifest, progress)
    _write(path, result)
    return path


def _add_conditions(
    path: Path,
    run: Path,
    tested: Manifest,
    conditions: Sequence[str],
    recordings: Manifest,
    progress: Progress,
) -> None:
    """Measure the conditions that a fold's result lacks, by the model of its run."""
    result = json.loads(path.read_text(encoding="utf-8"))
    known = result.get("conditions", {})
    missing = [name for name in conditions if name not in known]
    if not missing:
        return
    file = run / "model.onnx"
    remedy = "train the fold anew (remove its result first), or leave these conditions out"
    if not file.is_file():
        raise UsageError(
            f"{path} lacks the conditions {', '.join(missing)}, and the model that could still be measured, "
            f"{file}, is gone; {remedy}."
        )
    model = Model.load(file)
    training, head = model.card.training, model.card.head
    told = {
        "split_digest": training["split_digest"],
        "seed": training["seed"],
        "temperature": head.temperature,
        "abstain_below": model.card.abstain_below,
    }
    if any(result[name] != value for name, value in told.items()):
        raise UsageError(
            f"{path} lacks the conditions {', '.join(missing)}, and {file} is another model than the one it "
            f"was made with; {remedy}."
        )
    added = _measured(model, tested, missing, recordings, progress)["conditions"]
    result["conditions"] = known | added
    _write(path, result)


def _measured(
    model: Model, tested: Manifest, conditions: Sequence[str], recordings: Manifest, progress: Progress
) -> dict[str, Any]:
    """Return what a fold's result says of the conditions: the probabilities, clip by clip."""
    found = condition_probabilities(model, tested, model.emotions, conditions, recordings, progress)
    return {"conditions": {name: _digits(heard, 3) for name, heard in found.items()}}


def _digits(probabilities: npt.NDArray[np.float64], digits: int) -> list[list[float]]:
    """Return rows with so many significant digits: a file half as long."""
    return [[float(f"{p:.{digits}g}") for p in row] for row in probabilities]


def _write(path: Path, result: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(result, separators=(",", ":")) + "\n")


def _require_same(path: Path, recipe: Recipe, split: Split) -> None:
    """Raise `UsageError` where a fold's result is of another recipe or split."""
    known = json.loads(path.read_text(encoding="utf-8"))
    differing = differing_settings(parse_recipe(known["recipe"], str(path)), recipe)
    if known["split_digest"] != split.digest:
        differing.append("split")
    if differing:
        raise UsageError(
            f"{path} was made with another recipe or split (its {', '.join(differing)} differ); remove it to "
            "measure anew, or give another folder with -o."
        )


def run_system(
    system: System,
    manifest: Manifest,
    results: Path,
    runs: Path,
    command: str,
    folds: Sequence[int] | None = None,
    progress: Progress = no_progress,
    tell: Tell = tell_nobody,
    conditions: Sequence[str] = (),
) -> list[Path]:
    """Train and measure the folds of one system that have no result yet.

    Parameters
    ----------
    system
        What to train.
    manifest
        Utterances of its corpora, in any vocabulary.
    results, runs, command
        As of `run_fold`.
    folds
        Only these; by default all of the protocol.
    progress, tell
        As of `training.fit`.
    conditions
        As of `run_fold`.

    Returns
    -------
    The result's file of each fold that was asked for.

    Raises
    ------
    UsageError
        The protocol tests nothing.
    SplitError
        A fold does not exist.
    """
    if system.protocol == "all":
        raise UsageError("the protocol 'all' tests nothing, so there is nothing to compare; take 'speaker'.")
    projected, dropped = manifest.project(system.recipe.emotions, system.recipe.merge)
    for emotion, count in dropped.items():
        tell(f"left out: {count} utterances of '{emotion}', which the recipe does not name")
    settings = system.recipe.training
    if system.leaky:
        projected = leaks.with_copies(system.recipe, projected, runs / system.folder / "copies")
        splits = leaks.make_leaky_splits(system.recipe, projected, system.gender)
    else:
        splits = make_splits(
            projected,
            system.protocol,
            seed=settings.seed,
            validation_share=settings.validation_share,
            gender=system.gender,
        )
    unknown = sorted(set(folds or ()) - {split.fold for split in splits})
    if unknown:
        raise SplitError(
            f"fold {unknown[0]} does not exist; protocol '{system.protocol}' has folds 1 to {len(splits)}."
        )
    done = []
    for split in splits:
        if folds and split.fold not in folds:
            continue
        tell(f"{system.folder}: fold {split.fold} of {split.folds}")
        done.append(
            run_fold(system, projected, split, results, runs, command, progress, tell, conditions, manifest)
        )
        tell(f"{system.folder}: fold {split.fold} UAR {_fold_uar(done[-1]):.3f}")
    return done


def _fold_uar(path: Path) -> float:
    answers = read_answers(json.loads(path.read_text(encoding="utf-8")))
    return metrics.uar(metrics.confusion(answers.truth, answers.predicted, answers.emotions))
