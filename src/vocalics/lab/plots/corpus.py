"""What a corpus holds: balance of classes, distributions by emotion, a map of its recordings."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vocalics import emotions as vocabulary
from vocalics.errors import UsageError
from vocalics.lab.plots.style import (
    DARK_CELL,
    FILL,
    GREY,
    INK,
    LINE,
    Look,
    darker,
    headline,
    in_order,
    page,
    quiet,
    styled,
)

FloatArray = npt.NDArray[np.float64]

#: How a gender is drawn: opacity of a bar, marker of a point. The empty name is what is not known.
_OPACITY = {"female": 1.0, "male": 0.55, "": 0.25}
_MARKER = {"female": "o", "male": "^", "": "s"}

#: With more speakers than this their names, and the numbers in the cells, are left out.
_MOST_SPEAKERS = 36


@dataclass(frozen=True, eq=False)
class Measured:
    """One thing measured on recordings, by emotion.

    Attributes
    ----------
    name, unit
        What was measured, and in which unit.
    values
        By emotion, (n_clips,) each; what is not finite is left out.
    """

    name: str
    unit: str
    values: Mapping[str, npt.NDArray[np.floating]]


@styled
def class_balance(clips: Mapping[str, Mapping[str, int]], title: str | None = None) -> Figure:
    """Draw how many clips there are of every emotion, by gender.

    Parameters
    ----------
    clips
        Emotion -> gender (``female``, ``male`` or empty) -> clips.
    title
        Instead of the one that compares the smallest and the largest class.
    """
    if not any(sum(counts.values()) for counts in clips.values()):
        raise UsageError("there are no clips to count; give one at least.")
    names = in_order(list(clips))
    totals = {name: sum(clips[name].values()) for name in names}
    genders = [gender for gender in _OPACITY if any(counts.get(gender) for counts in clips.values())]
    figure = page(0.85 + 0.34 * len(names))
    axes = figure.subplots()
    quiet(axes)
    rows = np.arange(len(names))
    left = np.zeros(len(names))
    colors = [vocabulary.color(name) for name in names]
    for gender in genders:
        width = np.array([clips[name].get(gender, 0) for name in names])
        axes.barh(
            rows, width, left=left, height=0.66, color=colors, alpha=_OPACITY[gender], gid=gender or "?"
        )
        left += width
    for row, name in enumerate(names):
        told = " + ".join(f"{clips[name].get(gender, 0):,}" for gender in genders)
        text = f"{totals[name]:,}" + (f"  ({told})" if len(genders) > 1 else "")
        axes.annotate(
            text,
            (totals[name], row),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(rows, names, color=INK)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_xlim(0, 1.22 * max(totals.values()))
    handles = [Patch(color=GREY, alpha=_OPACITY[gender], label=gender or "not known") for gender in genders]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.01, -0.01), ncols=3, handlelength=1.0)
    headline(figure, title or _balance_told(totals))
    return figure


@styled
def speaker_balance(
    counts: npt.ArrayLike,
    speakers: Sequence[tuple[str, str]],
    emotions: Sequence[str],
    title: str | None = None,
) -> Figure:
    """Draw how many clips of every emotion each speaker has; colour is the square root of the count.

    Parameters
    ----------
    counts
        (n_emotions, n_speakers).
    speakers
        Corpus and name of each; those of one corpus side by side.
    emotions
        Their names.
    title
        Instead of the one that compares the speakers.
    """
    table = np.asarray(counts)
    if table.shape != (len(emotions), len(speakers)) or not table.size:
        raise UsageError(
            f"the counts have the shape {table.shape}; give one row for each of {len(emotions)} emotions, "
            f"one column for each of {len(speakers)} speakers."
        )
    named = len(speakers) <= _MOST_SPEAKERS
    figure = page(1.3 + 0.3 * len(emotions))
    axes = figure.subplots()
    quiet(axes)
    highest = max(1, int(table.max()))
    edges: Look = {"edgecolors": LINE, "linewidth": 0.6} if named else {}
    axes.pcolormesh(table, cmap=FILL, norm=PowerNorm(0.5, 0, highest), gid="clips", **edges)
    if named:
        for (row, column), count in np.ndenumerate(table):
            color = "white" if (count / highest) ** 0.5 >= DARK_CELL else INK
            look: Look = {"ha": "center", "va": "center", "fontsize": 7.5 if highest < 100 else 5.5}
            axes.text(column + 0.5, row + 0.5, str(count), color=color, **look)
    axes.set_yticks(np.arange(len(emotions)) + 0.5, emotions, color=INK)
    corpora = [corpus for corpus, _ in speakers]
    edges_at = [0, *(i for i in range(1, len(corpora)) if corpora[i] != corpora[i - 1]), len(corpora)]
    axes.vlines(edges_at[1:-1], 0, len(emotions), color=INK, linewidth=1.2)
    if named:
        names = [name if len(edges_at) == 2 else f"{corpus}/{name}" for corpus, name in speakers]
        axes.set_xticks(np.arange(len(names)) + 0.5, names)
        longest = max(len(name) for name in names)
        axes.tick_params(axis="x", rotation=90 if len(names) * longest > 70 else 0, labelsize=8.0)
        axes.set_xlabel("speaker")
    else:
        spans = list(itertools.pairwise(edges_at))
        axes.set_xticks(
            [(first + last) / 2 for first, last in spans],
            [f"{corpora[first]}\n({last - first})" for first, last in spans],
        )
        axes.set_xlabel("speakers; the deeper the blue, the more clips")
    axes.invert_yaxis()
    totals = table.sum(axis=0)
    told = (
        f"Each of {len(speakers)} speakers has {totals[0]:,} clips"
        if (totals == totals[0]).all()
        else f"{len(speakers)} speakers have {totals.min():,} to {totals.max():,} clips"
    )
    headline(figure, title or told)
    return figure


@styled
def distributions(measured: Sequence[Measured], title: str, columns: int = 3) -> Figure:
    """Draw violins by emotion, one panel for each thing measured.

    The dot is the median; between the bar's ends lies half of the clips.

    Parameters
    ----------
    measured
        What to draw, with the same emotions in all.
    title
        Above.
    columns
        Panels side by side.
    """
    if not measured or not any(len(values) for one in measured for values in one.values.values()):
        raise UsageError("nothing was measured; give the values of one clip at least.")
    names = in_order([name for one in measured for name in one.values])
    columns = min(columns, len(measured))
    n_rows = math.ceil(len(measured) / columns)
    figure = page(0.55 + n_rows * (0.75 + 0.31 * len(names)))
    panels = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    for axes, one in zip(panels.flat, measured, strict=False):
        _draw_violins(axes, one, names)
    for axes in panels.flat[len(measured) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(names)), names, color=INK)
        axes.set_ylim(len(names) - 0.4, -0.65)
    headline(figure, title)
    return figure


@styled
def embedding_map(
    points: npt.ArrayLike, emotions: Sequence[str], genders: Sequence[str], title: str
) -> Figure:
    """Draw recordings as points of a plane: colour is the emotion, the marker the speaker's gender.

    Parameters
    ----------
    points
        (n_clips, 2), from t-SNE, PCA or the like: the axes have no unit and are not drawn.
    emotions, genders
        Of each clip, (n_clips,).
    title
        Above.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.shape != (len(emotions), 2) or len(genders) != len(emotions) or not len(places):
        raise UsageError(
            f"the map was given points of the shape {places.shape}, {len(emotions)} emotions and "
            f"{len(genders)} genders; give (n_clips, 2) and one of each for every clip."
        )
    figure = page(5.2)
    axes = figure.subplots()
    quiet(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    names = in_order(list(emotions))
    for name in names:
        for gender, marker in _MARKER.items():
            chosen = [
                i for i, (e, g) in enumerate(zip(emotions, genders, strict=True)) if (e, g) == (name, gender)
            ]
            if chosen:
                color = vocabulary.color(name)
                look: Look = {"s": 26, "linewidths": 0.6, "edgecolors": darker(color), "alpha": 0.85}
                axes.scatter(
                    *places[chosen].T, marker=marker, color=color, gid=f"{name} {gender}".strip(), **look
                )
    dot: Look = {"marker": "o", "linestyle": "", "markersize": 6}
    handles = [Line2D([], [], color=vocabulary.color(name), label=name, **dot) for name in names]
    handles += [
        Line2D([], [], color=GREY, linestyle="", markersize=6, marker=marker, label=gender or "not known")
        for gender, marker in _MARKER.items()
        if gender in set(genders)
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.3)
    headline(figure, title)
    return figure


def _draw_violins(axes: Axes, measured: Measured, names: Sequence[str]) -> None:
    quiet(axes, grid="x")
    medians = {}
    for row, name in enumerate(names):
        values = np.asarray(measured.values.get(name, ()), dtype=np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        color = vocabulary.color(name)
        low, median, high = np.percentile(values, [25, 50, 75])
        medians[name] = float(median)
        at, density = _density(values)
        half = 0.42 * density
        axes.fill_between(
            at,
            row - half,
            row + half,
            color=color,
            alpha=0.72,
            linewidth=0.8,
            edgecolor=darker(color),
            gid=name,
        )
        axes.plot([low, high], [row, row], color=darker(color, 0.5), linewidth=2.6)
        axes.scatter(
            [median], [row], s=22, color="white", edgecolors=darker(color, 0.5), zorder=3, gid="median"
        )
    axes.set_xlabel(measured.unit, labelpad=2)
    if len(medians) > 1:
        highest, lowest = max(medians, key=lambda name: medians[name]), min(medians, key=lambda n: medians[n])
        axes.set_title(f"{measured.name}: {lowest} → {highest}", fontsize=9.0, fontweight="normal")
    else:
        axes.set_title(measured.name, fontsize=9.0, fontweight="normal")


def _density(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points within the values' range, and the density there (highest 1); kernels of Silverman's width."""
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34) or values.std()
    width = 0.9 * spread * len(values) ** -0.2
    if width <= 1e-9 * max(1.0, float(np.abs(values).max())):  # all the same: a line
        return np.repeat(values[:1], 2), np.ones(2)
    at = np.linspace(values.min(), values.max(), 120)
    density = np.exp(-0.5 * ((at[:, None] - values) / width) ** 2).sum(axis=1)
    return at, density / density.max()


def _balance_told(totals: Mapping[str, int]) -> str:
    smallest, largest = min(totals, key=lambda name: totals[name]), max(totals, key=lambda name: totals[name])
    if totals[smallest] == totals[largest]:
        return f"Every emotion has {totals[largest]:,} clips"
    return f"From {totals[smallest]:,} ({smallest}) to {totals[largest]:,} clips ({largest})"
