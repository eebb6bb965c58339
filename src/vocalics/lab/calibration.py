"""Calibration: the temperature, and the confidence under which a model abstains.

Both are fitted on clips of speakers whom the model was not trained on: on the validation part, or, for a
recipe that leaves none, on the test parts of the other folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from vocalics.card import SpeakerNumbers
from vocalics.errors import TrainingError

#: Share of validation clips that the default abstention threshold lets the model answer.
COVERAGE = 0.9


@dataclass(frozen=True)
class Calibration:
    """Temperature, default abstention threshold, in words where they come from, and how speakers differ."""

    temperature: float
    abstain_below: float
    source: str
    speakers: SpeakerNumbers | None = None


#: Of a model on all speakers, until `export` takes the temperature of its recipe's folds.
UNCALIBRATED = Calibration(
    1.0, 0.0, "none: trained on all speakers; calibrate with 'vocalics export --evaluation'"
)


def fit_temperature(
    logits: npt.ArrayLike, truth: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Temperature that minimises the negative log-likelihood [1]_.

    Parameters
    ----------
    logits
        (n, n_emotions), of clips that the weights were not trained on.
    truth
        (n,), indices of the emotions.
    weights
        (n,), how much each clip counts; by default all count the same.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017.
    """
    scores, labels = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    if scores.ndim != 2 or len(scores) != len(labels) or not len(scores):
        raise TrainingError(
            "a temperature is fitted on logits (n, n_emotions) and n labels; "
            f"given {scores.shape} and {labels.shape}."
        )

    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        likelihoods = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-np.average(likelihoods[np.arange(len(labels)), labels], weights=counts))

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def abstention_threshold(
    probabilities: npt.ArrayLike, coverage: float = COVERAGE, weights: npt.ArrayLike | None = None
) -> float:
    """Return the confidence that the surest `coverage` of the clips reach.

    Parameters
    ----------
    probabilities
        (n, n_emotions), calibrated.
    coverage
        Share of clips, 0 to 1.
    weights
        (n,), how much each clip counts; by default all count the same.

    Examples
    --------
    >>> round(abstention_threshold([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], coverage=1.0), 2)
    0.7
    """
    confidence = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    if weights is None:
        return float(np.quantile(confidence, 1 - coverage))
    counts = np.asarray(weights, dtype=np.float64)  # NumPy knows weights for one method alone
    return float(np.quantile(confidence, 1 - coverage, method="inverted_cdf", weights=counts))


def equal_weights(groups: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return a weight for every clip, so that each group counts the same in all.

    Examples
    --------
    >>> equal_weights(["ravdess", "nemo", "nemo"]).tolist()
    [1.5, 0.75, 0.75]
    """
    names, own, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.asarray(len(groups) / (len(names) * counts[own]))


def tempered(probabilities: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """Return probabilities (n, n_emotions) as they are at another temperature; theirs is 1."""
    logits = np.log(np.asarray(probabilities, dtype=np.float64).clip(1e-12))
    return np.asarray(softmax(logits / temperature, axis=1))
