"""From a run to a file for others.

A model that was trained on all speakers gets the calibration and the figures of its recipe's folds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vocalics.card import ModelCard
from vocalics.errors import UsageError
from vocalics.lab.calibration import Calibration
from vocalics.lab.cross_fitting import fitted, is_uncalibrated
from vocalics.lab.export import with_evaluation
from vocalics.lab.leaderboard import read_result, summarise
from vocalics.lab.parted_models import read_weights, write_model
from vocalics.lab.recipes.difference import differing_settings
from vocalics.lab.recipes.schema import parse_recipe
from vocalics.recognition.model import Model

#: Figures of a summary that go into the card.
_FIGURES = (
    "recipe",
    "corpora",
    "tested_on",
    "protocol",
    "gender",
    "folds",
    "folds_of_protocol",
    "seeds",
    "clips",
    "speakers",
    "uar",
    "uar_by_fold",
    "accuracy",
    "macro_f1",
    "recall",
    "ece",
    "ece_if_perfectly_calibrated",
    "brier",
    "nll",
    "abstention",
    "no_speech",
    "by_gender",
    "command",
)


def release(run: Path, output: Path, folds: Sequence[Path], name: str | None = None) -> None:
    """Write a run's model file to `output`.

    Parameters
    ----------
    run
        A finished run.
    output
        The model file to write.
    folds
        Folders that hold folds of the run's recipe (``fold-*.json``). The temperature is that of the first
        one's folds. Without any folder the file keeps its own.
    name
        What the card shall call the model; by default what the run's card says.

    Raises
    ------
    UsageError
        The run is not finished, the folds are another recipe's, or `output` is no ``.onnx`` file.
    """
    path = run / "model.onnx"
    if not path.is_file():
        raise UsageError(f"{run} holds no model.onnx; finish the run with 'vocalics train' first.")
    if output.suffix != ".onnx":
        raise UsageError(f"'{output}' is no model file; let its name end in .onnx.")
    content = path.read_bytes()
    beside = read_weights(path, content)
    if folds or name:
        card = Model.load(path).card
        content = with_evaluation(content, name or card.name, *_evidence(card, folds), beside)
    write_model(output, content, beside)


def _evidence(card: ModelCard, folders: Sequence[Path]) -> tuple[Calibration, dict[str, Any]]:
    """Return calibration and evaluation from the folds, or those that the card has."""
    if not folders:
        source = card.training["calibration"]
        calibration = Calibration(card.head.temperature, card.abstain_below, source, card.head.speakers)
        return calibration, card.evaluation
    evaluation: dict[str, Any] = {
        "note": "Figures of the recipe's folds: models trained as this one, each without the speakers it was "
        "tested on."
    }
    summaries = [_summary(card, folder) for folder in folders]
    for files, whole in summaries:
        several = len(whole["corpora"]) > 1
        for own in [summarise(files, corpus) for corpus in whole["corpora"]] if several else [whole]:
            adapted = own.get(
                "adapted", {}
            )  # the skewed sets too: a timeline adapts only where they do no harm
            title = ", ".join((*own["tested_on"], own["protocol"], *filter(None, [own["gender"]])))
            evaluation[title] = {key: own[key] for key in _FIGURES} | {
                "adapted": {setting: {"uar": figures["uar"]} for setting, figures in adapted.items()}
            }
            if "conditions" in own:
                evaluation[title]["conditions"] = own["conditions"]
    return _calibration(*summaries[0]), evaluation


def _calibration(files: list[Path], whole: dict[str, Any]) -> Calibration:
    """Return the calibration of a model on all speakers: on those whom the folds' models never heard."""
    results = [read_result(file) for file in files]
    if all(map(is_uncalibrated, results)):
        return fitted(results)
    source = (
        f"geometric mean of the temperatures of {whole['folds']} folds, each fitted on its validation part"
    )
    return Calibration(whole["temperature"], whole["abstain_below"], source)


def _summary(card: ModelCard, folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """Return the files of a folder's folds and what they sum up to, when they are of the card's recipe."""
    files = sorted(folder.glob("fold-*.json"))
    if not files:
        raise UsageError(f"{folder} holds no fold-*.json; name a folder that 'vocalics benchmark' wrote.")
    ours = parse_recipe(card.training["recipe"], "the model's card")
    for file in files:
        result = json.loads(file.read_text(encoding="utf-8"))
        if result.get("leaky"):
            raise UsageError(f"{file} was measured with a deliberate leak, which is no evidence of a model.")
        theirs = parse_recipe(result["recipe"], str(file))
        if differing := differing_settings(ours, theirs, ignore=["training.seed"]):
            raise UsageError(
                f"{file} is of another recipe (its {', '.join(differing)} differ); measure this run's recipe "
                "with 'vocalics benchmark'."
            )
    return files, summarise(files)
