"""Figures of the probabilities: how far they can be believed, and what abstaining buys."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.lab.metrics.answers import FloatArray, IntArray, emotion_indices

#: How far a row of probabilities may sum from 1; a float32 softmax stays within 1e-6.
_SUM_TOLERANCE = 1e-4


def ece(probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 10) -> float:
    """Estimate the expected calibration error in bins of equal mass, in [0, 1] [1]_.

    Clips are sorted by confidence and cut into `bins` runs whose lengths differ by one at most. The figure is
    the mean distance, weighted by clips, between the confidence and the accuracy of a bin. Clips of equal
    confidence count with their common accuracy, so that their order does not matter.

    Even a perfectly calibrated model does not read 0 on a finite number of clips: see `expected_ece`.

    Parameters
    ----------
    probabilities
        (n, n_emotions).
    truth
        Emotion indices, (n,).
    bins
        From 1 to the number of clips.

    References
    ----------
    .. [1] Nguyen, O'Connor: Posterior calibration and exploratory analysis for natural language processing
       models. EMNLP 2015.

    Examples
    --------
    >>> round(ece([[0.8, 0.2]] * 4, [0, 0, 0, 1], bins=2), 3)  # says 0.8, is right three times in four
    0.05
    """
    checked, labels = _scored(probabilities, truth)
    confidence = checked.max(axis=1)
    right = (checked.argmax(axis=1) == labels).astype(np.float64)
    return _Binning(confidence, bins).gap(right)


@dataclass(frozen=True)
class ReliabilityBin:
    """What a run of clips of like confidence says of itself, and how far it is right.

    Attributes
    ----------
    clips
        How many.
    confidence, accuracy
        Their mean confidence and the share of right answers, in [0, 1].
    """

    clips: int
    confidence: float
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)


def reliability(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy in the bins of `ece`, by rising confidence.

    Parameters
    ----------
    probabilities, truth, bins
        As of `ece`, which is the mean distance between the two, weighted by clips.

    Examples
    --------
    >>> reliability([[0.8, 0.2], [0.4, 0.6]], [0, 0], bins=2)[0]
    ReliabilityBin(clips=1, confidence=0.6, accuracy=0.0)
    """
    checked, labels = _scored(probabilities, truth)
    confidence = checked.max(axis=1)
    right = (checked.argmax(axis=1) == labels).astype(np.float64)
    return _Binning(confidence, bins).told(right)


def expected_ece(
    probabilities: npt.ArrayLike, bins: int = 10, draws: int = 1000, *, rng: np.random.Generator
) -> float:
    """ECE that a perfectly calibrated model with these very confidences would read, mean over draws [1]_.

    In every draw each clip is right with the probability that the model itself gives its answer.

    Parameters
    ----------
    probabilities
        (n, n_emotions).
    bins
        As in `ece`.
    draws
        Number of imagined evaluations.
    rng
        Source of the draws.

    References
    ----------
    .. [1] Vaicenavicius, Widmann, Andersson, Lindsten, Roll, Schön: Evaluating model calibration in
       classification. AISTATS 2019.
    """
    if draws < 1:
        raise UsageError(f"the expected ECE was given {draws} draws; give at least 1.")
    confidence = _distributions(probabilities).max(axis=1)
    binning = _Binning(confidence, bins)
    gaps = [binning.gap((rng.random(len(confidence)) < confidence).astype(np.float64)) for _ in range(draws)]
    return float(np.mean(gaps))


def brier(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Brier score: squared distance of the probabilities from the truth, mean over clips, in [0, 2] [1]_.

    References
    ----------
    .. [1] Brier: Verification of forecasts expressed in terms of probability.
       Monthly Weather Review 78(1), 1950.

    Examples
    --------
    >>> brier([[0.5, 0.5]], [0])
    0.5
    """
    checked, labels = _scored(probabilities, truth)
    target = np.eye(checked.shape[1])[labels]  # (n, n_emotions)
    return float(np.mean(np.sum((checked - target) ** 2, axis=1)))


def nll(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Negative log likelihood of the truth, mean over clips, in nats.

    Examples
    --------
    >>> round(nll([[0.5, 0.5]], [0]), 3)  # log 2
    0.693
    """
    checked, labels = _scored(probabilities, truth)
    of_truth = checked[np.arange(len(labels)), labels]
    if not of_truth.all():
        raise UsageError(
            f"{int(np.sum(of_truth == 0))} of {len(labels)} clips give their true emotion the probability 0, "
            "so the NLL is infinite; give probabilities above 0."
        )
    return float(-np.mean(np.log(of_truth)))


@dataclass(frozen=True)
class RiskCoverage:
    """What abstaining buys.

    Attributes
    ----------
    coverage
        (n,): share of clips that are answered, the most confident first; from 1/n to 1.
    risk
        (n,): share of wrong answers among them.
    area
        Mean risk over these coverages (AURC) [1]_; the lower, the better.

    References
    ----------
    .. [1] Geifman, Uziel, El-Yaniv: Bias-reduced uncertainty estimation for deep neural classifiers.
       ICLR 2019.
    """

    coverage: FloatArray
    risk: FloatArray
    area: float

    def to_dict(self, points: int = 100) -> dict[str, Any]:
        """Return plain numbers for JSON: the curve at so many coverages, evenly spread up to 1."""
        n = len(self.coverage)
        kept = np.unique(np.ceil(np.arange(1, points + 1) / points * n).astype(int) - 1)
        return {
            "coverage": self.coverage[kept].tolist(),
            "risk": self.risk[kept].tolist(),
            "area": self.area,
        }


def risk_coverage(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> RiskCoverage:
    """Risk at every coverage, when the least confident answers are withheld first.

    Clips of equal confidence count with their common risk, so that their order does not matter.

    Parameters
    ----------
    probabilities
        (n, n_emotions).
    truth
        Emotion indices, (n,).

    Examples
    --------
    >>> curve = risk_coverage([[0.9, 0.1], [0.6, 0.4]], [0, 1])
    >>> curve.risk.tolist(), curve.area
    ([0.0, 0.5], 0.25)
    """
    checked, labels = _scored(probabilities, truth)
    wrong = (checked.argmax(axis=1) != labels).astype(np.float64)
    ties = _Ties(checked.max(axis=1))
    answered = np.arange(1, len(labels) + 1)
    risk = np.cumsum(ties.sorted_means(wrong)[::-1]) / answered
    return RiskCoverage(answered / len(labels), risk, float(risk.mean()))


class _Ties:
    """Clips in the order of their confidence, where equals share the mean of what is told of them."""

    def __init__(self, confidence: FloatArray) -> None:
        self.confidence, self._group, self._size = np.unique(
            confidence, return_inverse=True, return_counts=True
        )

    def sorted_means(self, values: FloatArray) -> FloatArray:
        """Values (n,) by rising confidence, each replaced by the mean over its equals."""
        means = np.bincount(self._group, weights=values) / self._size
        return np.repeat(means, self._size)


class _Binning:
    """Bins of equal mass over given confidences."""

    def __init__(self, confidence: FloatArray, bins: int) -> None:
        n = len(confidence)
        if not 1 <= bins <= n:
            raise UsageError(f"{bins} bins were asked for {n} clips; give from 1 to {n} bins.")
        self._ties = _Ties(confidence)
        self._confidence = self._ties.sorted_means(confidence)
        self._starts = np.arange(bins) * n // bins

    def gap(self, right: FloatArray) -> float:
        """Mean distance between confidence and share of right answers, weighted by clips."""
        excess = self._ties.sorted_means(right) - self._confidence
        return float(np.abs(np.add.reduceat(excess, self._starts)).sum() / len(excess))

    def told(self, right: FloatArray) -> tuple[ReliabilityBin, ...]:
        """Clips, confidence and accuracy of every bin."""
        sizes = np.diff(self._starts, append=len(self._confidence))
        confidence = np.add.reduceat(self._confidence, self._starts) / sizes
        accuracy = np.add.reduceat(self._ties.sorted_means(right), self._starts) / sizes
        rows = zip(sizes.tolist(), confidence.tolist(), accuracy.tolist(), strict=True)
        return tuple(ReliabilityBin(*row) for row in rows)


def _scored(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    checked = _distributions(probabilities)
    labels = emotion_indices("truth", truth, checked.shape[1])
    if len(labels) != len(checked):
        raise UsageError(
            f"{len(checked)} rows of probabilities for {len(labels)} clips; give one row a clip."
        )
    return checked, labels


def _distributions(probabilities: npt.ArrayLike) -> FloatArray:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise UsageError(
            f"probabilities have the shape {array.shape}; give (n, n_emotions), n >= 1 and n_emotions >= 2."
        )
    if not np.isfinite(array).all():
        bad = int(np.sum(~np.isfinite(array).all(axis=1)))
        raise UsageError(
            f"{bad} of {len(array)} rows of probabilities hold NaN or infinity; every one must be a number."
        )
    if array.min() < 0 or np.abs(array.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise UsageError(
            "a row of probabilities is below 0 or does not sum to 1; give the softmax, not the logits."
        )
    return array
