"""Calibration of a recipe that trains on every speaker it may: each fold by the other folds.

Where no speaker is kept back for validation, there is nobody in a fold to fit its temperature on but those
that it is tested on. The other folds know strangers too: their test speakers, whom their own models never
heard. They are training speakers of this fold, so nothing is fitted on those that it is tested on. The same
strangers tell how speakers differ, by which a model adapts to one.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocalics.card import SpeakerNumbers
from vocalics.lab.calibration import (
    Calibration,
    abstention_threshold,
    equal_weights,
    fit_temperature,
    tempered,
)
from vocalics.lab.cross_adaptation import adapted_by_others
from vocalics.lab.speaker_statistics import FEWEST_SPEAKERS, measure_speakers

Result = dict[str, Any]


def is_uncalibrated(result: Result) -> bool:
    """Tell whether a fold's recipe keeps nobody back for validation."""
    return float(result["recipe"]["training"]["validation_share"]) == 0


def cross_fitted(results: Sequence[Result], folder: Path | None = None) -> list[Result]:
    """Calibrate each fold of one system and seed by all the others, each corpus counting the same.

    Parameters
    ----------
    results
        As `benchmark.run_fold` wrote them. Where their recipe has a validation part, or there is one fold
        alone, they stay as they are.
    folder
        Where they lie. Adapting takes minutes, so what comes of it is kept there.

    Returns
    -------
    The results with new probabilities, ``temperature`` and ``abstain_below``. Where the other folds can tell
    how speakers differ, also with ``adapted``, and ``adapted_probabilities`` with all clips of the speaker.
    """
    if len(results) < 2 or not all(map(is_uncalibrated, results)):
        return list(results)
    fits = [fitted([other for other in results if other is not result]) for result in results]
    calibrated = [_calibrated(result, fit) for result, fit in zip(results, fits, strict=True)]
    numbers = [fit.speakers for fit in fits]
    if None in numbers or any("twin" not in result["clips"] for result in results):
        return calibrated
    adapted = adapted_by_others(results, [own for own in numbers if own], folder)
    return [
        own
        | {"adapted": found["counts"]}
        | {"adapted_probabilities": tempered(found["probabilities"], own["temperature"]).tolist()}
        for own, found in zip(calibrated, adapted, strict=True)
    ]


def fitted(results: Sequence[Result]) -> Calibration:
    """Fit temperature and threshold on the test parts of folds, each corpus counting the same.

    Under a protocol that keeps speakers apart, how they differ is measured besides: on the speakers of whom
    there are clips of every emotion.
    """
    emotions = results[0]["recipe"]["emotions"]
    clips = [result["clips"] for result in results]
    probabilities = np.concatenate([np.asarray(own["probabilities"]) for own in clips])
    truth = np.array([emotions.index(emotion) for own in clips for emotion in own["truth"]])
    corpora = [corpus for own in clips for corpus in own["corpus"]]
    weights = equal_weights(corpora)
    logits = np.log(probabilities.clip(1e-12))
    temperature = fit_temperature(logits, truth, weights)
    threshold = abstention_threshold(tempered(probabilities, temperature), weights=weights)
    source = f"the test parts of {len(results)} folds, {len(truth)} utterances, each corpus counting the same"
    speakers = None
    if results[0]["protocol"] in ("speaker", "loso"):
        who = [speaker for own in clips for speaker in own["speaker"]]
        speakers = _speakers(logits, truth, who, emotions)
    return Calibration(temperature, threshold, source, speakers)


def _speakers(
    logits: np.ndarray, truth: np.ndarray, speakers: list[str], emotions: list[str]
) -> SpeakerNumbers | None:
    """Measure how speakers differ on those who show every emotion, where they are enough."""
    shown = Counter(speaker for speaker, _ in {*zip(speakers, truth.tolist(), strict=True)})
    whole = [speaker for speaker, count in shown.items() if count == len(emotions)]
    if len(whole) < FEWEST_SPEAKERS:
        return None
    rows = np.flatnonzero(np.isin(speakers, whole))
    corpora = sorted({speaker.split("/")[0] for speaker in whole})
    source = f"{len(whole)} speakers of {', '.join(corpora)}, in folds whose models never heard them"
    return measure_speakers(logits[rows], truth[rows], [speakers[row] for row in rows], source)


def _calibrated(result: Result, calibration: Calibration) -> Result:
    probabilities = tempered(result["clips"]["probabilities"], calibration.temperature)
    conditions = {
        name: tempered(heard, calibration.temperature).tolist()
        for name, heard in result.get("conditions", {}).items()
    }
    return {
        **result,
        **({"conditions": conditions} if conditions else {}),
        "temperature": calibration.temperature,
        "abstain_below": calibration.abstain_below,
        "clips": {**result["clips"], "probabilities": probabilities.tolist()},
    }
