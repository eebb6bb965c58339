"""Folds of made-up systems, laid out as ``vocalics benchmark`` writes them, with planted answers.

Every speaker says each emotion four times and is tested in one fold, so any fold has the planted accuracy.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vocalics.lab.recipes import load_recipe

N_FOLDS = {"random": 5, "speaker": 6}

#: Takes of one speaker and emotion: accuracies are quarters.
TAKES = 4

#: Speakers of a corpus; 12 is one of each gender for each of six folds.
N_SPEAKERS = 12


def write_folds(
    results: Path,
    recipe: str = "cnn2d",
    protocol: str = "random",
    folds: Any = None,
    gender: str | None = None,
    right: float | Mapping[str, float] = 0.75,
    n_speakers: Mapping[str, int] | None = None,
    train_accuracy: float = 0.9,
    changes: Mapping[str, Any] | None = None,
    **others: Any,
) -> Path:
    """Write the folds of one system, and return their folder.

    `folds` are those measured, by default all; `right` is the accuracy, or one for each gender; `n_speakers`
    holds corpora with fewer than `N_SPEAKERS`; `changes` go into the recipe, `others` into each result.
    """
    told = load_recipe(recipe).model_dump(mode="json") | dict(changes or {})
    name = protocol + (f"-{gender}" if gender else "")
    folder = results / told["name"] / "+".join(told["corpora"]) / name
    folder.mkdir(parents=True)
    for fold in folds or range(1, N_FOLDS[protocol] + 1):
        result = {
            "protocol": protocol,
            "gender": gender,
            "fold": fold,
            "folds": N_FOLDS[protocol],
            "seed": 0,
            "train_accuracy": train_accuracy,
            "parameters": 1000,
            "temperature": 1.0,
            "abstain_below": 0.3,
            "clips": _clips(told, fold, N_FOLDS[protocol], gender, right, n_speakers or {}),
            "adapted": {},
            "command": f"vocalics benchmark {recipe} --protocol {protocol}",
            "recipe": told,
        }
        (folder / f"fold-{fold}-seed-0.json").write_text(json.dumps(result | others))
    return folder


def _clips(
    recipe: Mapping[str, Any],
    fold: int,
    n_folds: int,
    gender: str | None,
    right: float | Mapping[str, float],
    n_speakers: Mapping[str, int],
) -> dict[str, list[Any]]:
    emotions = recipe["emotions"]
    rows = []
    for corpus in recipe["corpora"]:
        for number in range(fold - 1, n_speakers.get(corpus, N_SPEAKERS), n_folds):
            own = "female" if number // n_folds % 2 else "male"
            share = right[own] if isinstance(right, Mapping) else right
            for spoken in range(len(emotions)) if gender in (None, own) else ():
                for take in range(TAKES):
                    answered = spoken if take < TAKES * share else (spoken + 1) % len(emotions)
                    others = 0.1 / (len(emotions) - 1)
                    probabilities = [0.9 if n == answered else others for n in range(len(emotions))]
                    clip = f"{corpus}/{number}-{spoken}-{take}"
                    rows.append((clip, emotions[spoken], f"{corpus}/{number}", own, corpus, probabilities))
    names = ("id", "truth", "speaker", "gender", "corpus", "probabilities")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) | {"no_speech": []}
