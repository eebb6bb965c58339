"""Figures that the answers alone determine: all of them functions of the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Names of the figures that the confusion matrix determines.
Statistic = Literal["uar", "accuracy", "macro_f1"]


def confusion(truth: npt.ArrayLike, predicted: npt.ArrayLike, emotions: Sequence[str]) -> IntArray:
    """Count how often each emotion (row) was answered as each (column), (n_emotions, n_emotions).

    Examples
    --------
    >>> confusion([0, 0, 1], [0, 1, 1], ("calm", "sad")).tolist()
    [[1, 1], [0, 1]]
    """
    rows, columns = paired_indices(truth, predicted, len(emotions))
    one_group = np.zeros_like(rows)
    return confusion_stack(rows, columns, one_group, 1, len(emotions)).reshape(len(emotions), -1)


def uar(confusion: npt.ArrayLike) -> float:
    """Unweighted average recall: the mean recall of the emotions that occur in the truth, in [0, 1].

    Examples
    --------
    >>> uar([[3, 1], [0, 2]])  # (3/4 + 2/2) / 2
    0.875
    """
    return float(_uar(_one_matrix(confusion)))


def accuracy(confusion: npt.ArrayLike) -> float:
    """Share of right answers, in [0, 1].

    Examples
    --------
    >>> accuracy([[3, 1], [1, 3]])  # 6 of 8
    0.75
    """
    return float(_accuracy(_one_matrix(confusion)))


def macro_f1(confusion: npt.ArrayLike) -> float:
    """Mean F1 of the emotions that occur in the truth, in [0, 1].

    An emotion that was answered but never occurs counts through the recall that it cost the others.

    Examples
    --------
    >>> round(macro_f1([[3, 1], [0, 2]]), 3)  # (6/7 + 4/5) / 2
    0.829
    """
    return float(_macro_f1(_one_matrix(confusion)))


def recall(confusion: npt.ArrayLike, emotions: Sequence[str]) -> dict[str, float]:
    """Recall of each emotion that occurs in the truth, in [0, 1].

    Examples
    --------
    >>> recall([[3, 1], [0, 0]], ("calm", "sad"))
    {'calm': 0.75}
    """
    counts = _one_matrix(confusion)
    if len(emotions) != len(counts):
        raise UsageError(
            f"{len(emotions)} emotions are named for a confusion matrix of {len(counts)}; name one a row."
        )
    rows = zip(emotions, counts, np.diagonal(counts), strict=True)
    return {emotion: float(hits / row.sum()) for emotion, row, hits in rows if row.any()}


@dataclass(frozen=True, eq=False)
class PerClass:
    """Figures of each emotion, each (n_emotions,); NaN where there is nothing to count.

    Attributes
    ----------
    support
        Clips of the emotion.
    recall
        Share of them that was answered so.
    precision
        Share of the answers of this emotion that was right.
    f1
        Harmonic mean of the two.
    """

    support: IntArray
    recall: FloatArray
    precision: FloatArray
    f1: FloatArray


def per_class(confusion: npt.ArrayLike) -> PerClass:
    """Recall, precision and F1 of each emotion.

    Examples
    --------
    >>> figures = per_class([[3, 1], [0, 2]])
    >>> figures.recall.tolist(), figures.precision.round(2).tolist()
    ([0.75, 1.0], [1.0, 0.67])
    """
    counts = _one_matrix(confusion)
    hits, support, answered = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing was counted
        return PerClass(support, hits / support, hits / answered, 2 * hits / (support + answered))


def statistic_over_stack(statistic: Statistic, stack: IntArray) -> FloatArray:
    """Figure of each confusion matrix of a stack: (..., n_emotions, n_emotions) -> (...)."""
    if statistic not in _STATISTICS:
        raise UsageError(f"unknown statistic '{statistic}'; known: {', '.join(_STATISTICS)}.")
    return _STATISTICS[statistic](stack)


def confusion_stack(
    truth: IntArray, predicted: IntArray, group: IntArray, n_groups: int, n_emotions: int
) -> IntArray:
    """Count one confusion matrix a group: three index arrays (n,) -> (n_groups, n_emotions, n_emotions)."""
    shape = (n_groups, n_emotions, n_emotions)
    cell = np.ravel_multi_index((group, truth, predicted), shape)
    return np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)


def paired_indices(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, n_emotions: int | None = None
) -> tuple[IntArray, IntArray]:
    """Check truth and answers: whole numbers, as many of one as of the other, each in [0, n_emotions)."""
    rows, columns = (
        emotion_indices("truth", truth, n_emotions),
        emotion_indices("predicted", predicted, n_emotions),
    )
    if len(rows) != len(columns):
        raise UsageError(
            f"{len(columns)} answers for {len(rows)} clips; give one answer a clip, in the same order."
        )
    return rows, columns


def emotion_indices(name: str, values: npt.ArrayLike, n_emotions: int | None = None) -> IntArray:
    """Check one array of emotion indices: (n,) whole numbers, n at least 1, each in [0, n_emotions)."""
    array = np.asarray(values)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(
            f"'{name}' has the shape {array.shape} and the type {array.dtype}; "
            "give emotion indices, whole numbers of the shape (n,), n at least 1."
        )
    if array.min() < 0 or (n_emotions is not None and array.max() >= n_emotions):
        outside = int(array.min()) if array.min() < 0 else int(array.max())
        allowed = "from 0 on" if n_emotions is None else f"from 0 to {n_emotions - 1}"
        raise UsageError(f"'{name}' holds the emotion index {outside}; give indices {allowed}.")
    return array.astype(np.int64)


def _one_matrix(confusion: npt.ArrayLike) -> IntArray:
    counts = np.asarray(confusion)
    square = counts.ndim == 2 and counts.shape[0] == counts.shape[1]
    if not square or not np.issubdtype(counts.dtype, np.integer) or counts.min(initial=0) < 0:
        raise UsageError(
            f"the confusion matrix has the shape {counts.shape} and the type {counts.dtype}; "
            "give counts of the shape (n_emotions, n_emotions), none below 0."
        )
    if not counts.any():
        raise UsageError("the confusion matrix counts no clip; a figure needs at least one.")
    return counts.astype(np.int64)


def _uar(counts: IntArray) -> FloatArray:
    support = counts.sum(axis=-1)  # (..., n_emotions)
    recalls = np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(support, 1)
    return np.asarray(recalls.sum(axis=-1) / (support > 0).sum(axis=-1))


def _accuracy(counts: IntArray) -> FloatArray:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1)))


def _macro_f1(counts: IntArray) -> FloatArray:
    support, answered = counts.sum(axis=-1), counts.sum(axis=-2)  # (..., n_emotions)
    # F1 = 2 hits / (support + answered): an emotion without support has no hits and adds nothing to the sum.
    scores = 2 * np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(support + answered, 1)
    return np.asarray(scores.sum(axis=-1) / (support > 0).sum(axis=-1))


_STATISTICS = {"uar": _uar, "accuracy": _accuracy, "macro_f1": _macro_f1}
