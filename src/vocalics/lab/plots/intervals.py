"""Figures with their intervals, one a row, such as adaptation to a speaker."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from vocalics.errors import UsageError
from vocalics.lab.plots.style import BLUE, GREY, INK, LINE, Look, headline, page, percent_axis, quiet, styled


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
    color
        Of point and interval.
    """

    label: str
    mean: float
    low: float | None = None
    high: float | None = None
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
        seen += [value for value in (row.mean, row.low, row.high) if value is not None]
        if row.low is not None and row.high is not None:
            line: Look = {"color": row.color, "linewidth": 3.2, "alpha": 0.4, "solid_capstyle": "round"}
            axes.plot([row.low, row.high], [position, position], gid="interval", **line)
        axes.scatter([row.mean], [position], s=38, color=row.color, zorder=3, gid="mean")
        axes.text(
            1.015,
            position,
            f"{100 * row.mean:.1f} %",
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
