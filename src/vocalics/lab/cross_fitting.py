"""Calibration of a recipe that trains on every speaker it may: each fold by the other folds.

Where no speaker is kept back for validation, there is nobody in a fold to fit its temperature on but those
that it is tested on. The other folds know strangers too: their test speakers, whom their own models never
heard. They are training speakers of this fold, so nothing is fitted on those that it is tested on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vocalics.lab.calibration import (
    Calibration,
    abstention_threshold,
    equal_weights,
    fit_temperature,
    tempered,
)

Result = dict[str, Any]


def is_uncalibrated(result: Result) -> bool:
    """Tell whether a fold's recipe keeps nobody back for validation."""
    return float(result["recipe"]["training"]["validation_share"]) == 0


def cross_fitted(results: Sequence[Result]) -> list[Result]:
    """Calibrate each fold of one system and seed by all the others, each corpus counting the same.

    Parameters
    ----------
    results
        As `benchmark.run_fold` wrote them. Where their recipe has a validation part, or there is one fold
        alone, they stay as they are.

    Returns
    -------
    The results with new probabilities, ``temperature`` and ``abstain_below``.
    """
    if len(results) < 2 or not all(map(is_uncalibrated, results)):
        return list(results)
    return [
        _calibrated(result, fitted([other for other in results if other is not result])) for result in results
    ]


def fitted(results: Sequence[Result]) -> Calibration:
    """Fit temperature and abstention threshold on the test parts of folds, each corpus counting the same."""
    emotions = results[0]["recipe"]["emotions"]
    clips = [result["clips"] for result in results]
    probabilities = np.concatenate([np.asarray(own["probabilities"]) for own in clips])
    truth = [emotions.index(emotion) for own in clips for emotion in own["truth"]]
    weights = equal_weights([corpus for own in clips for corpus in own["corpus"]])
    temperature = fit_temperature(np.log(probabilities.clip(1e-12)), truth, weights)
    threshold = abstention_threshold(tempered(probabilities, temperature), weights=weights)
    source = f"the test parts of {len(results)} folds, {len(truth)} utterances, each corpus counting the same"
    return Calibration(temperature, threshold, source)


def _calibrated(result: Result, calibration: Calibration) -> Result:
    probabilities = tempered(result["clips"]["probabilities"], calibration.temperature)
    return {
        **result,
        "temperature": calibration.temperature,
        "abstain_below": calibration.abstain_below,
        "clips": {**result["clips"], "probabilities": probabilities.tolist()},
    }
