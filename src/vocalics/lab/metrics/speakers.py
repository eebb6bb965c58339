"""Figures over speakers: intervals by bootstrap, two systems compared, and every group's own.

The bootstrap counts one confusion matrix a speaker; a draw is then a weighted sum of matrices, so that ten
thousand draws take a fraction of a second.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.lab.metrics.answers import (
    FloatArray,
    IntArray,
    Statistic,
    accuracy,
    confusion_stack,
    macro_f1,
    paired_indices,
    statistic_over_stack,
    uar,
)

#: With fewer speakers no interval is given: tell each speaker's own figure (`by_group`) instead.
MINIMUM_SPEAKERS = 6


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval.

    Attributes
    ----------
    mean
        The figure over all speakers.
    low, high
        Percentiles 2.5 and 97.5 of the draws; None where there are fewer than `MINIMUM_SPEAKERS` speakers.
    """

    mean: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return the three numbers, as a leaderboard row holds them."""
        return asdict(self)


def bootstrap_interval(
    statistic: Statistic,
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    speakers: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Figure with its 95 % interval by percentile bootstrap over speakers [1]_.

    Speakers, not clips, are drawn with replacement: clips of one speaker are not independent of each other.

    Parameters
    ----------
    statistic
        ``"uar"``, ``"accuracy"`` or ``"macro_f1"``.
    truth, predicted
        Emotion indices, (n,).
    speakers
        Who spoke each clip, (n,); over several corpora name them ``corpus/speaker``.
    draws
        Number of bootstrap draws.
    seed
        Of the draws: the same seed gives the same interval.

    References
    ----------
    .. [1] Efron, Tibshirani: An introduction to the bootstrap. Chapman and Hall, 1993, chapter 13.

    Examples
    --------
    >>> speakers = ["a", "b", "c", "d", "e", "f"]
    >>> bootstrap_interval("accuracy", [0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], speakers)
    Interval(mean=1.0, low=1.0, high=1.0)
    """
    rows, columns = paired_indices(truth, predicted)
    _, matrices = _matrices_by_group(rows, columns, speakers, "speakers")
    mean = float(statistic_over_stack(statistic, matrices.sum(axis=0)))
    if len(matrices) < MINIMUM_SPEAKERS:
        return Interval(mean, None, None)
    draw = _draws(len(matrices), draws, seed)
    return _percentiles(mean, statistic_over_stack(statistic, _drawn(draw, matrices)))


def paired_difference(
    statistic: Statistic,
    truth: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    speakers: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Figure of `first` minus that of `second`, two systems on the same clips, with its 95 % interval.

    Both are scored on the same drawn speakers, so what makes a speaker hard for both cancels out. The systems
    differ where the interval leaves out 0.

    Parameters
    ----------
    statistic
        ``"uar"``, ``"accuracy"`` or ``"macro_f1"``.
    truth, first, second
        Emotion indices, (n,): the truth, and what each system answered.
    speakers
        Who spoke each clip, (n,).
    draws, seed
        As in `bootstrap_interval`.
    """
    _, first_stack = _matrices_by_group(*paired_indices(truth, first), speakers, "speakers")
    _, second_stack = _matrices_by_group(*paired_indices(truth, second), speakers, "speakers")
    stacks = (first_stack, second_stack)
    pooled = [float(statistic_over_stack(statistic, stack.sum(axis=0))) for stack in stacks]
    mean = pooled[0] - pooled[1]
    if len(first_stack) < MINIMUM_SPEAKERS:
        return Interval(mean, None, None)
    draw = _draws(len(first_stack), draws, seed)
    drawn = [statistic_over_stack(statistic, _drawn(draw, stack)) for stack in stacks]
    return _percentiles(mean, drawn[0] - drawn[1])


@dataclass(frozen=True)
class GroupFigures:
    """Figures over the clips of one speaker, gender or corpus."""

    clips: int
    uar: float
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Groups:
    """Figures by group.

    Attributes
    ----------
    figures
        By name of the group, sorted.
    worst
        Name of the group with the lowest UAR; the first of equals.
    gap
        Highest UAR less the lowest.
    """

    figures: dict[str, GroupFigures]
    worst: str
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)


def by_group(truth: npt.ArrayLike, predicted: npt.ArrayLike, groups: Sequence[str]) -> Groups:
    """Figures of each speaker, gender or corpus, the worst of them, and the gap between best and worst.

    Parameters
    ----------
    truth, predicted
        Emotion indices, (n,).
    groups
        The group of each clip, (n,).

    Examples
    --------
    >>> groups = by_group([0, 1, 0, 1], [0, 1, 0, 0], ["female", "female", "male", "male"])
    >>> groups.worst, groups.gap
    ('male', 0.5)
    """
    names, matrices = _matrices_by_group(*paired_indices(truth, predicted), groups, "groups")
    figures = {
        name: GroupFigures(int(matrix.sum()), uar(matrix), accuracy(matrix), macro_f1(matrix))
        for name, matrix in zip(names, matrices, strict=True)
    }
    worst = min(figures, key=lambda name: figures[name].uar)
    best_uar = max(group.uar for group in figures.values())
    return Groups(figures, worst, best_uar - figures[worst].uar)


def _matrices_by_group(
    truth: IntArray, predicted: IntArray, groups: Sequence[str], name: str
) -> tuple[list[str], IntArray]:
    """Names of the groups, sorted, and the confusion matrix of each, (n_groups, n_emotions, n_emotions)."""
    if len(groups) != len(truth):
        raise UsageError(
            f"'{name}' names {len(groups)} clips of {len(truth)}; name one for each clip, in their order."
        )
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n_emotions = 1 + int(max(truth.max(), predicted.max()))
    matrices = confusion_stack(truth, predicted, group, len(names), n_emotions)
    return [str(name) for name in names], matrices


def _draws(n_speakers: int, draws: int, seed: int) -> IntArray:
    """How often each draw holds each speaker, (draws, n_speakers); each row sums to n_speakers."""
    if draws < 1:
        raise UsageError(
            f"the bootstrap was given {draws} draws; give at least 1, and 1,000 or more for percentiles."
        )
    return np.random.default_rng(seed).multinomial(n_speakers, [1 / n_speakers] * n_speakers, size=draws)


def _drawn(draw: IntArray, matrices: IntArray) -> IntArray:
    """Pooled confusion matrix of every draw, (draws, n_emotions, n_emotions)."""
    return np.tensordot(draw, matrices, axes=1)


def _percentiles(mean: float, figures: FloatArray) -> Interval:
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(mean, float(low), float(high))
