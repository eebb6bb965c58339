"""What a model answered: confusion matrix, figures of each emotion, figures of each speaker."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from vocalics import emotions as vocabulary
from vocalics.errors import UsageError
from vocalics.lab import metrics
from vocalics.lab.plots.style import (
    BLUE,
    DARK_CELL,
    FILL,
    INK,
    LINE,
    MUTED,
    headline,
    page,
    percent_axis,
    quiet,
    styled,
)

#: With more groups than this their names are left out: nobody reads them.
MOST_NAMES = 40


@styled
def confusion_matrix(counts: npt.ArrayLike, emotions: Sequence[str], title: str | None = None) -> Figure:
    """Draw a confusion matrix: colour and percent are shares of the row, with the count below.

    Parameters
    ----------
    counts
        Clips, (n_emotions, n_emotions): spoken emotions in rows, answers in columns.
    emotions
        Labels in their order.
    title
        Instead of the one that tells the most frequent confusion.
    """
    table, rates = _rates(counts, emotions)
    n = len(emotions)
    figure = page(0.95 + 0.56 * n, 1.7 + 0.68 * n)
    axes = figure.subplots()
    quiet(axes)
    axes.pcolormesh(rates, cmap=FILL, vmin=0, vmax=1, edgecolors=LINE, linewidth=0.6, gid="rates")
    for row, column in np.ndindex(n, n):
        count, rate = int(table[row, column]), float(rates[row, column])
        told = f"{100 * rate:.0f} %\n{count:,}" if count else "0"
        axes.text(
            column + 0.5,
            row + 0.5,
            told,
            ha="center",
            va="center",
            fontsize=8.0,
            linespacing=1.25,
            color=("white" if rate >= DARK_CELL else INK) if count else MUTED,
            fontweight="bold" if row == column else "normal",
        )
    axes.set_xticks(np.arange(n) + 0.5, emotions, color=INK)
    axes.set_yticks(np.arange(n) + 0.5, emotions, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("answered")
    axes.set_ylabel("spoken")
    headline(figure, title or _worst_confusion(table, rates, emotions))
    return figure


@styled
def per_class_bars(counts: npt.ArrayLike, emotions: Sequence[str], title: str | None = None) -> Figure:
    """Draw recall, precision and F1 of every emotion, with its number of clips.

    Parameters
    ----------
    counts, emotions
        As of `confusion_matrix`.
    title
        Instead of the one that tells the lowest and the highest recall.
    """
    table, _ = _rates(counts, emotions)
    figures = metrics.per_class(table)
    figure = page(1.0 + 0.34 * len(emotions))
    panels = figure.subplots(1, 3, sharey=True)
    rows = np.arange(len(emotions))
    told = (
        ("recall", figures.recall, "found among its clips"),
        ("precision", figures.precision, "right among these answers"),
        ("F1", figures.f1, "harmonic mean of both"),
    )
    for axes, (name, values, of_what) in zip(panels, told, strict=True):
        shown = np.nan_to_num(values)
        quiet(axes)
        axes.barh(rows, np.ones(len(rows)), height=0.62, color=LINE, alpha=0.45)
        axes.barh(
            rows, shown, height=0.62, color=[vocabulary.color(emotion) for emotion in emotions], gid=name
        )
        for row, value in zip(rows, values, strict=True):
            text = "–" if np.isnan(value) else f"{100 * value:.0f} %"
            axes.text(1.03, row, text, ha="left", va="center", fontsize=8.5, color=INK)
        mean = float(np.nanmean(np.where(figures.support > 0, shown, np.nan)))
        axes.axvline(mean, color=INK, linewidth=0.8, linestyle=(0, (3, 3)), alpha=0.7)
        axes.set_title(f"{name}, mean {100 * mean:.1f} %", fontsize=9.0, fontweight="normal")
        axes.set_xlabel(of_what, labelpad=2)
        axes.set_xlim(0, 1.24)
        axes.set_xticks([])
    panels[0].set_yticks(
        rows,
        [f"{name}  ({n:,})" for name, n in zip(emotions, figures.support.tolist(), strict=True)],
        color=INK,
    )
    panels[0].invert_yaxis()
    headline(figure, title or _extremes("Recall", figures.recall, emotions))
    return figure


@styled
def groups(by_group: Mapping[str, Any], what: str = "speaker", title: str | None = None) -> Figure:
    """Draw the UAR of every speaker, gender or corpus, from the lowest to the highest.

    Parameters
    ----------
    by_group
        As `metrics.Groups.to_dict` returns it.
    what
        The word for one group.
    title
        Instead of the one that tells the worst and the best.
    """
    figures = by_group["figures"]
    if not figures:
        raise UsageError(f"there is no {what} to draw; give the figures of one at least.")
    names = sorted(figures, key=lambda name: figures[name]["uar"])
    values = np.array([figures[name]["uar"] for name in names])
    named = len(names) <= MOST_NAMES
    figure = page(0.9 + (0.19 * len(names) if named else 3.6))
    axes = figure.subplots()
    quiet(axes, grid="x")
    rows = np.arange(len(names))
    axes.hlines(rows, 0, values, color=LINE, linewidth=1.2)
    axes.scatter(values, rows, s=30 if named else 14, color=BLUE, zorder=3, gid="groups")
    mean = float(values.mean())
    axes.axvline(mean, color=INK, linewidth=0.8, linestyle=(0, (3, 3)), alpha=0.7)
    axes.set_yticks(rows if named else [], names if named else [], color=INK)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlim(0, 1)
    percent_axis(axes.xaxis)
    axes.set_xlabel(f"UAR of each {what}; dashed: their mean, {100 * mean:.1f} %")
    told = (
        f"From {100 * values[0]:.0f} % for {names[0]} to {100 * values[-1]:.0f} % for {names[-1]}"
        if len(names) > 1
        else f"{100 * values[0]:.0f} % for {names[0]}"
    )
    headline(figure, title or told)
    return figure


def _rates(
    counts: npt.ArrayLike, emotions: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Check counts, and return them with the shares of their rows; a row without clips has shares of 0."""
    table = np.asarray(counts)
    metrics.recall(table, emotions)  # refuses what is no confusion matrix of these emotions
    support = table.sum(axis=1, keepdims=True)
    return table.astype(np.int64), table / np.maximum(support, 1)


def _worst_confusion(
    counts: npt.NDArray[np.int64], rates: npt.NDArray[np.float64], emotions: Sequence[str]
) -> str:
    off = rates * (1 - np.eye(len(rates)))
    if not off.any():
        return f"All {counts.sum():,} answers are right"
    row, column = divmod(int(off.argmax()), len(off))
    share = f"{100 * off[row, column]:.0f} %"
    return f"Most often confused: {emotions[row]} is taken for {emotions[column]} ({share})"


def _extremes(what: str, values: npt.NDArray[np.float64], emotions: Sequence[str]) -> str:
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    if low == high:
        return f"{what} of {emotions[low]}: {100 * values[low]:.0f} %"
    return (
        f"{what} is lowest for {emotions[low]} ({100 * values[low]:.0f} %), highest for "
        f"{emotions[high]} ({100 * values[high]:.0f} %)"
    )
