"""What a model gains by unlabelled clips of a speaker, and loses by one-sided ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vocalics.errors import UsageError
from vocalics.lab.plots.style import BLUE, GREY, INK, ORANGE, headline, page, percent_axis, quiet, styled

#: Rows of a skewed set are so high, inches.
_ROW_IN = 0.21


@styled
def adaptation(
    plain: Mapping[str, float], adapted: Mapping[str, Mapping[str, Any]], title: str | None = None
) -> Figure:
    """Draw UAR against the number of clips heard before, and the change of UAR for one-sided sets of them.

    Parameters
    ----------
    plain
        The model's UAR with nobody heard before: ``mean``, ``low`` and ``high``, which may be None.
    adapted
        Setting -> figures, from `evaluation.evaluate`: ``uar`` as for `plain`.
    title
        Instead of the one that says what is gained and lost.

    Raises
    ------
    UsageError
        No setting says how many clips were heard.
    """
    counts = [name for name in adapted if name == "all" or name.isdigit()]
    skewed = [name for name in adapted if name not in counts]
    if not counts:
        raise UsageError("adapted figures are drawn against the number of clips, and no setting has one.")
    figure = page(max(2.6, 0.9 + _ROW_IN * len(skewed)))
    if skewed:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_skewed(right, plain["mean"], {name: adapted[name]["uar"]["mean"] for name in skewed})
    else:
        left = figure.subplots()
    _draw_counts(left, [plain, *(adapted[name]["uar"] for name in counts)], ["none", *counts])
    headline(figure, title or _told(plain["mean"], adapted, counts, skewed))
    return figure


def _draw_counts(axes: Axes, uars: list[Mapping[str, float]], names: list[str]) -> None:
    positions = np.arange(len(names))
    means = [uar["mean"] for uar in uars]
    if all(uar.get("low") is not None for uar in uars):
        low, high = [uar["low"] for uar in uars], [uar["high"] for uar in uars]
        axes.fill_between(positions, low, high, color=BLUE, alpha=0.12)
    axes.plot(positions, means, color=BLUE, marker="o", markersize=4, gid="uar")
    axes.axhline(means[0], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xticks(positions, names)
    percent_axis(axes.yaxis)
    axes.set_xlabel("unlabelled clips of the speaker heard before")
    axes.set_ylabel("UAR")


def _draw_skewed(axes: Axes, plain: float, uars: Mapping[str, float]) -> None:
    changes = {name: 100 * (uar - plain) for name, uar in uars.items()}
    positions = np.arange(len(changes))
    quiet(axes, "x")
    axes.axvline(0, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    colors = [BLUE if change >= 0 else ORANGE for change in changes.values()]
    axes.scatter(list(changes.values()), positions, color=colors, s=22, zorder=3, gid="skewed")
    for position, change in zip(positions, changes.values(), strict=True):
        axes.annotate(
            f"{change:+.1f}",
            (change, position),
            (6 if change >= 0 else -6, 0),
            textcoords="offset points",
            ha="left" if change >= 0 else "right",
            va="center",
            color=INK,
            fontsize=8,
        )
    axes.set_yticks(positions, [_words(name) for name in changes])
    axes.set_ylim(len(changes) - 0.5, -0.5)
    axes.margins(x=0.25)
    axes.set_xlabel("change of UAR, points")


def _words(setting: str) -> str:
    """Say in words what a setting calls its clips."""
    told = {"mostly-neutral": "8 neutral of 10", "dirichlet": "10, uneven"}
    return told.get(setting, setting.replace("only-", "only "))


def _told(
    plain: float, adapted: Mapping[str, Mapping[str, Any]], counts: list[str], skewed: list[str]
) -> str:
    most = counts[-1]
    gained = 100 * (adapted[most]["uar"]["mean"] - plain)
    told = f"{gained:+.1f} points with {'all clips' if most == 'all' else f'{most} clips'}"
    if skewed:
        worst = min(skewed, key=lambda name: float(adapted[name]["uar"]["mean"]))
        told += f"; {100 * (adapted[worst]['uar']['mean'] - plain):+.1f} at worst ({_words(worst)})"
    return told
