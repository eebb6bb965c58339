"""Recipes by protocols, one fold at a time: each fold's result is a small file, so a benchmark goes on where
it stopped."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vocalics.errors import SplitError, UsageError
from vocalics.files import write_atomically
from vocalics.lab import metrics
from vocalics.lab.adaptation import adapted_confusions, list_settings
from vocalics.lab.evaluation import Answers
from vocalics.lab.leaderboard import read_answers
from vocalics.lab.manifest import Manifest
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
        Of `splits.PROTOCOLS`.
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


def run_fold(
    system: System, manifest: Manifest, split: Split, results: Path, runs: Path, command: str
) -> Path:
    """Train and measure one fold, unless its result is there; return the result's file.

    Parameters
    ----------
    system
        What to train.
    manifest
        In the recipe's vocabulary.
    split
        The fold.
    results
        The benchmark's folder, made to be committed.
    runs
        Folder for the runs themselves, not committed.
    command
        The command line, for the record.
    """
    name = f"fold-{split.fold}-seed-{system.recipe.training.seed}.json"
    path = results / system.folder / name
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["split_digest"] != split.digest or parse_recipe(known["recipe"]) != system.recipe:
            raise UsageError(
                f"{path} was made with another recipe or split; remove it to measure anew, or give another folder with -o."
            )
        return path
    run = runs / system.folder / path.stem
    model = Model.load(fit(system.recipe, manifest, split, run, command=command, progress=False))
    tested = score(model, manifest.select(split.test)).among(system.recipe.emotions)
    trained = score(model, manifest.select(split.train), gate=False).among(system.recipe.emotions)
    head = AffineHead.from_card(model.card.head)
    adapted = adapted_confusions(
        tested, head, list(range(len(model.emotions))), list_settings(tested.emotions)
    )
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
            "no_speech": [i for i, silent in enumerate(answers.no_speech) if silent],
            "probabilities": [[round(float(p), 5) for p in row] for row in answers.probabilities],
        },
        "adapted": {
            setting: {speaker: counts.tolist() for speaker, counts in by_speaker.items()}
            for setting, by_speaker in adapted.items()
        },
        "command": command,
        "recipe": system.recipe.model_dump(mode="json"),
    }
    write_atomically(path, json.dumps(result, separators=(",", ":")) + "\n")
    return path


def run_system(
    system: System,
    manifest: Manifest,
    results: Path,
    runs: Path,
    command: str,
    folds: Sequence[int] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Train and measure the folds of one system that have no result yet; return the files of all that were
    asked for."""
    projected, dropped = manifest.project(system.recipe.emotions, system.recipe.merge)
    if dropped:
        tell(f"left out, not in the recipe's vocabulary: {dict(dropped)}")
    settings = system.recipe.training
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
        done.append(run_fold(system, projected, split, results, runs, command))
        tell(f"{system.folder}: fold {split.fold} UAR {_fold_uar(done[-1]):.3f}")
    return done


def _fold_uar(path: Path) -> float:
    answers = read_answers(json.loads(path.read_text(encoding="utf-8")))
    return metrics.uar(metrics.confusion(answers.truth, answers.predicted, answers.emotions))
