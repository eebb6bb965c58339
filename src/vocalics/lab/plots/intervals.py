"""Figures with their intervals, one a row: leaderboard, adaptation to a speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vocalics.errors import UsageError
from vocalics.lab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    Look,
    headline,
    page,
    percent_axis,
    quiet,
    styled,
)

_METRICS = {"uar": "UAR", "accuracy": "accuracy", "macro_f1": "macro-F1"}

#: Colour of a protocol, and what it means; all others test on speakers who were never heard.
_PROTOCOLS = {"random": (GREY, "speakers on both sides"), "official": (GREEN, "a published split")}
_STRANGERS = (BLUE, "speakers never heard")


@dataclass(frozen=True)
class IntervalRow:
    """One figure to draw.

    Attributes
    ----------
    label
        At the left.
    mean
        The figure, a rate in [0, 1].
    low, high
        Its interval, or None.
    claim
        What somebody else says of the same thing, drawn as a mark.
    color
        Of point and interval.
    """

    label: str
    mean: float
    low: float | None = None
    high: float | None = None
    claim: float | None = None
    color: str = BLUE


@styled
def interval_rows(
    rows: Sequence[IntervalRow], label: str, title: str, reference: float | None = None
) -> Figure:
    """Draw figures with their intervals, one a row, the first on top.

    Parameters
    ----------
    rows
        What to draw.
    label
        Of the axis: what the figures are.
    title
        Above.
    reference
        A rate to draw as a dashed line.
    """
    if not rows:
        raise UsageError("there are no rows to draw; give one figure at least.")
    lines = 1 + max(row.label.count("\n") for row in rows)
    figure = page(0.9 + (0.14 + 0.16 * lines) * len(rows))
    axes = figure.subplots()
    quiet(axes, grid="x")
    seen: list[float] = [] if reference is None else [reference]
    for position, row in enumerate(rows):
        seen += [value for value in (row.mean, row.low, row.high, row.claim) if value is not None]
        if row.low is not None and row.high is not None:
            line: Look = {"color": row.color, "linewidth": 3.2, "alpha": 0.4, "solid_capstyle": "round"}
            axes.plot([row.low, row.high], [position, position], gid="interval", **line)
        axes.scatter([row.mean], [position], s=38, color=row.color, zorder=3, gid="mean")
        if row.claim is not None:
            mark: Look = {"marker": "|", "s": 130, "linewidths": 2.0, "color": ORANGE, "zorder": 4}
            axes.scatter([row.claim], [position], gid="claim", **mark)
        axes.text(
            1.015,
            position,
            _told(row),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=INK,
        )
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.hlines(np.arange(len(rows) - 1) + 0.5, 0, 1, color=LINE, linewidth=0.4)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], color=INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(max(0.0, min(seen) - 0.06), min(1.0, max(seen) + 0.06))
    percent_axis(axes.xaxis)
    axes.set_xlabel(label)
    headline(figure, title)
    return figure


@styled
def leaderboard(
    rows: Sequence[Mapping[str, Any]],
    metric: str = "uar",
    claims: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the rows of a leaderboard, the best on top.

    Parameters
    ----------
    rows
        Of ``leaderboard.json``.
    metric
        ``uar``, ``accuracy`` or ``macro_f1``.
    claims
        By name of the recipe, what its description claims in that metric; drawn as marks.
    title
        Instead of the one that names the best row.

    Raises
    ------
    UsageError
        There are no rows, or the metric is not known.
    """
    if metric not in _METRICS:
        raise UsageError(f"unknown metric '{metric}'; known: {', '.join(_METRICS)}.")
    if not rows:
        raise UsageError("the leaderboard has no rows; run 'vocalics benchmark' first.")
    ordered = sorted(rows, key=lambda row: -row[metric]["mean"])
    drawn = [
        IntervalRow(
            label=_row_label(row),
            **row[metric],
            claim=(claims or {}).get(row["recipe"]),
            color=_PROTOCOLS.get(row["protocol"], _STRANGERS)[0],
        )
        for row in ordered
    ]
    best = ordered[0]
    told = (
        f"Best: {best['recipe']}, {best['protocol']}, {_METRICS[metric]} {100 * best[metric]['mean']:.1f} %"
    )
    figure = interval_rows(drawn, f"{_METRICS[metric]} with its 95 % interval over speakers", title or told)
    dot: Look = {"marker": "o", "linestyle": "", "markersize": 6}
    used = {row.color for row in drawn}
    handles = [
        Line2D([], [], color=color, label=meaning, **dot)
        for color, meaning in (_STRANGERS, *_PROTOCOLS.values())
        if color in used
    ]
    if any(row.claim is not None for row in drawn):
        handles.append(Line2D([], [], color=ORANGE, label="claim", marker="|", linestyle="", ms=9, mew=2))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, handletextpad=0.3)
    return figure


def _row_label(row: Mapping[str, Any]) -> str:
    """Say what a row measures, in two lines at most."""
    gender = f", {row['gender']}" if row.get("gender") else ""
    adapted = f", adapted ({row['adapted_clips']})" if row.get("adapted_clips") else ""
    tested = ", ".join(row.get("tested_on") or row["corpora"])
    return f"{row['recipe']} · {row['protocol']}{gender}{adapted}\n{tested}, {row['emotions']} emotions"


def _told(row: IntervalRow) -> str:
    claim = "" if row.claim is None else f"  claim {100 * row.claim:.1f}"
    return f"{100 * row.mean:.1f} %{claim}"
