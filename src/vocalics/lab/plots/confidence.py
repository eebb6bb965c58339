"""How far a model's confidence can be believed, and what abstaining buys."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from vocalics.errors import UsageError
from vocalics.lab.metrics import ReliabilityBin
from vocalics.lab.plots.style import BLUE, GREY, INK, MUTED, ORANGE, headline, page, percent_axis, styled


@styled
def reliability_diagram(
    bins: Sequence[ReliabilityBin], expected_ece: float | None = None, title: str | None = None
) -> Figure:
    """Draw accuracy against confidence in bins of equal mass, with 95 % intervals of each bin's accuracy.

    The intervals are Wilson's for independent clips: a little too short where clips share speakers.

    Parameters
    ----------
    bins
        From `metrics.reliability`.
    expected_ece
        What a perfectly calibrated model would read, for the title.
    title
        Instead of the one that tells the expected calibration error.
    """
    if not bins:
        raise UsageError("there are no bins to draw; give those of metrics.reliability.")
    clips = np.array([one.clips for one in bins])
    confidence = np.array([one.confidence for one in bins])
    accuracy = np.array([one.accuracy for one in bins])
    low, high = _wilson(accuracy, clips)
    figure = page(4.3, 4.9)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle=(0, (4, 4)), gid="ideal")
    axes.vlines(confidence, low, high, color=BLUE, linewidth=2.4, alpha=0.35, gid="intervals")
    axes.plot(confidence, accuracy, color=BLUE, linewidth=1.0, alpha=0.6)
    axes.scatter(confidence, accuracy, color=BLUE, s=34, zorder=3, gid="bins")
    axes.text(0.03, 0.94, "too modest", color=MUTED, fontsize=8.5)
    axes.text(0.97, 0.04, "too sure", ha="right", color=MUTED, fontsize=8.5)
    axes.set_aspect("equal")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    axes.set_xlabel(f"confidence, mean of {len(bins)} bins of {clips.min():,} clips or more")
    axes.set_ylabel("right answers")
    mean, right = float(np.average(confidence, weights=clips)), float(np.average(accuracy, weights=clips))
    error = float(np.average(np.abs(accuracy - confidence), weights=clips))
    ideal = "" if expected_ece is None else f" (ideal: {expected_ece:.3f})"
    told = f"{100 * mean:.0f} % sure, {100 * right:.0f} % right; ECE {error:.3f}{ideal}"
    headline(figure, title or told)
    return figure


@styled
def risk_coverage(
    coverage: npt.ArrayLike, risk: npt.ArrayLike, at: float | None = None, title: str | None = None
) -> Figure:
    """Draw the share of wrong answers against the share of clips that is answered, the surest first.

    Parameters
    ----------
    coverage, risk
        (n,) each, from `metrics.risk_coverage`.
    at
        Coverage at the model's own abstention threshold, marked where it is given.
    title
        Instead of the one that compares the surest half with all.
    """
    answered, wrong = np.asarray(coverage, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    if answered.ndim != 1 or answered.shape != wrong.shape or not len(answered):
        raise UsageError(
            f"coverage has the shape {answered.shape}, risk {wrong.shape}; give (n,) each, n at least 1."
        )
    figure = page(3.3, 4.9)
    axes = figure.subplots()
    axes.fill_between(answered, 0, wrong, color=BLUE, alpha=0.12)
    axes.plot(answered, wrong, color=BLUE, gid="risk")
    if at is not None:
        there = float(np.interp(at, answered, wrong))
        axes.scatter([at], [there], color=ORANGE, s=36, zorder=3, gid="threshold")
        told = f"answers {100 * at:.0f} %,\n{100 * there:.0f} % wrong"
        axes.annotate(told, (at, there), (-10, 8), textcoords="offset points", ha="right", color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.05, 1.15 * float(wrong.max())))
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    axes.set_xlabel("clips answered, the surest first")
    axes.set_ylabel("wrong among them")
    half = 100 * float(np.interp(0.5, answered, wrong))
    headline(figure, title or f"{half:.0f} % wrong in the surest half, {100 * wrong[-1]:.0f} % in all")
    return figure


def _wilson(
    share: npt.NDArray[np.float64], n: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """95 % interval of a share of n independent trials, by Wilson's score."""
    z = 1.959964
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return center - half, center + half
