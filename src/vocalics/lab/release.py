"""From a run to a file for others: a model on all speakers gets the calibration and figures of its recipe's
folds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vocalics.card import ModelCard
from vocalics.errors import UsageError
from vocalics.files import write_atomically
from vocalics.lab.calibration import Calibration
from vocalics.lab.export import with_evaluation
from vocalics.lab.leaderboard import summarise
from vocalics.recognition.model import Model

#: Figures of a summary that go into the card.
_FIGURES = (
    "recipe corpora tested_on protocol gender folds folds_of_protocol seeds clips speakers uar uar_by_fold accuracy macro_f1 "
    "recall ece ece_if_perfectly_calibrated brier nll abstention no_speech by_gender command"
).split()


def release(run: Path, output: Path, folds: Sequence[Path], name: str | None = None) -> None:
    """Write a run's model file to `output`.

    Parameters
    ----------
    run
        A finished run.
    output
        The model file to write.
    folds
        Folders that hold the folds of the run's recipe (``fold-*.json``); without any the file is copied as it is.
    name
        What the card shall call the model; by default what the run's card says.

    Raises
    ------
    UsageError
        The run is not finished, or the folds are another recipe's.
    """
    path = run / "model.onnx"
    if not path.is_file():
        raise UsageError(f"{run} holds no model.onnx; finish the run with 'vocalics train' first.")
    content = path.read_bytes()
    if folds or name:
        card = Model.load(path).card
        content = with_evaluation(content, name or card.name, *_evidence(card, folds))
    write_atomically(output, content)


def _evidence(card: ModelCard, folds: Sequence[Path]) -> tuple[Calibration, dict[str, Any]]:
    if not folds:
        source = card.training["calibration"]
        return Calibration(card.head.temperature, card.abstain_below, source), card.evaluation
    evaluation: dict[str, Any] = {
        "note": "Figures of the recipe's folds: models trained as this one, each without the speakers it was tested on."
    }
    for folder in folds:
        files = sorted(folder.glob("fold-*.json"))
        if not files:
            raise UsageError(f"{folder} holds no fold-*.json; name a folder that 'vocalics benchmark' wrote.")
        _require_same_recipe(card, files[0])
        whole = summarise(files)
        for corpus in whole["corpora"]:
            own = summarise(files, corpus) if len(whole["corpora"]) > 1 else whole
            adapted = {k: {"uar": v["uar"]} for k, v in own["adapted"].items() if k == "all" or k.isdigit()}
            evaluation[f"{corpus}, {own['protocol']}"] = {key: own[key] for key in _FIGURES} | {
                "adapted": adapted
            }
    source = f"geometric mean of the temperatures of {whole['folds']} folds, each fitted on its validation speakers"
    return Calibration(whole["temperature"], whole["abstain_below"], source), evaluation


def _require_same_recipe(card: ModelCard, file: Path) -> None:
    theirs = json.loads(file.read_text(encoding="utf-8"))["recipe"]
    ours = card.training["recipe"]
    differing = sorted(key for key in ours if key != "trainer" and ours[key] != theirs.get(key))
    if differing:
        raise UsageError(
            f"{file.parent} holds folds of another recipe (its '{differing[0]}' differs); measure this run's recipe with "
            "'vocalics benchmark'."
        )
