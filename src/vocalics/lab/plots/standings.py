"""The leaderboard: of every system its claim, and its figures under each protocol with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from vocalics.errors import UsageError
from vocalics.lab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    MUTED,
    ORANGE,
    Look,
    headline,
    page,
    percent_axis,
    quiet,
    styled,
)
from vocalics.lab.standings import folds_text, is_whole

Row = Mapping[str, Any]

_METRICS = {"uar": "UAR", "accuracy": "accuracy", "macro_f1": "macro-F1"}

#: Colour of a protocol, and what it means; all others test on speakers who were never heard.
_PROTOCOLS = {"random": (GREY, "same speakers on both sides"), "official": (GREEN, "a published split")}
_STRANGERS = (BLUE, "speakers never heard")

_LINE_IN = 0.40  # height of a system
_HEADING = 0.8  # height of a heading, in systems
_COLUMN_IN = 0.64  # width of a column of numbers
_APART = 0.17  # between the points of a system, in systems
_MARGIN = 0.04  # rates left free beside the outermost mark
_HEADING_LOOK: Look = {"color": MUTED, "fontsize": 8.0, "fontweight": "bold", "va": "baseline"}


@dataclass(frozen=True, eq=False)
class _System:
    """What one line shows: rows that differ in their protocol alone."""

    label: str
    by_protocol: dict[str, Row]
    claim: float | None

    def rank(self, metric: str) -> tuple[bool, bool, bool, float]:
        """Return what systems are ordered by: the figure on strangers, of all speakers and folds first."""
        strangers = [row for name, row in self.by_protocol.items() if name not in _PROTOCOLS]
        rows = strangers or list(self.by_protocol.values())
        of_all = not any(row["gender"] for row in rows)
        return of_all, bool(strangers), all(map(is_whole, rows)), max(row[metric]["mean"] for row in rows)


@styled
def leaderboard(
    rows: Sequence[Row],
    metric: str = "uar",
    claims: Mapping[tuple[str, str | None], float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the rows of a leaderboard: a line for each system, under a heading for each set of test clips.

    Figures on different clips cannot be compared; among systems on the same clips the best stands on top, by
    its figure on speakers never heard. A point is open, and its number says so, where folds are missing.

    Parameters
    ----------
    rows
        Of ``leaderboard.json``.
    metric
        ``uar``, ``accuracy`` or ``macro_f1``.
    claims
        By name of the recipe and gender (None: all speakers), what is claimed in that metric; drawn as marks.
    title
        Instead of the one that tells what strangers cost.

    Raises
    ------
    UsageError
        There are no rows, or the metric is not known.
    """
    if metric not in _METRICS:
        raise UsageError(f"unknown metric '{metric}'; known: {', '.join(_METRICS)}.")
    if not rows:
        raise UsageError("the leaderboard has no rows; run 'vocalics benchmark' first.")
    tests = _systems_by_test(rows, metric, claims or {})
    columns = [*(["claim"] if claims else []), *_in_order({row["protocol"] for row in rows})]
    n_lines = sum(_HEADING + len(systems) for systems in tests.values())
    figure = page(1.3 + _LINE_IN * n_lines)
    axes = figure.subplots()
    quiet(axes, grid="x")
    ticks: dict[float, str] = {}
    y = 0.0
    for heading, systems in tests.items():
        y += _HEADING
        axes.text(0.0, y - 0.2, heading, transform=axes.get_yaxis_transform(), **_HEADING_LOOK)
        axes.axhline(y - 0.1, color=LINE, linewidth=0.8)
        for system in systems:
            ticks[y + 0.5] = system.label
            _draw_system(axes, y + 0.5, system, columns, metric)
            y += 1
    for number, name in enumerate(columns):
        _write(axes, 0.3, number, name, va="baseline", color=_color(name), fontweight="bold", fontsize=8.0)
    axes.set_yticks(list(ticks), list(ticks.values()), color=INK)
    axes.set_ylim(y, 0)
    low, high = _ends(rows, metric, [system.claim for systems in tests.values() for system in systems])
    axes.set_xlim(max(0.0, low - _MARGIN), min(1.0, high + _MARGIN))
    percent_axis(axes.xaxis)
    axes.set_xlabel(f"{_METRICS[metric]} on test clips, with its 95 % interval over speakers")
    headline(figure, title or _told(tests, metric))
    figure.legend(handles=_legend(rows, bool(claims)), loc="outside lower left", ncols=4, handletextpad=0.3)
    return figure


def _systems_by_test(
    rows: Iterable[Row], metric: str, claims: Mapping[tuple[str, str | None], float]
) -> dict[str, list[_System]]:
    """Group rows by what they are tested on, and there by system, the best first."""
    found: dict[str, dict[str, _System]] = {}
    for row in rows:
        tested = row.get("tested_on") or row["corpora"]
        systems = found.setdefault(f"{', '.join(tested)}, {row['emotions']} emotions", {})
        label = _label(row, tested)
        claim = None if row["adapted_clips"] else claims.get((row["recipe"], row["gender"]))
        systems.setdefault(label, _System(label, {}, claim)).by_protocol[row["protocol"]] = row
    return {
        heading: sorted(systems.values(), key=lambda system: system.rank(metric), reverse=True)
        for heading, systems in found.items()
    }


def _label(row: Row, tested: Sequence[str]) -> str:
    """Name a system, and below in what it differs from training and testing on the same."""
    more = [f"{row['gender']} speakers alone"] if row["gender"] else []
    if row["adapted_clips"]:
        more.append(f"adapted, {row['adapted_clips']} clips")
    if list(tested) != list(row["corpora"]):
        more.append(f"trained on {', '.join(row['corpora'])}")
    return "\n".join([row["recipe"], *more])


def _draw_system(axes: Axes, y: float, system: _System, columns: Sequence[str], metric: str) -> None:
    if system.claim is not None:
        axes.plot([system.claim] * 2, [y - 0.36, y + 0.36], color=ORANGE, linewidth=2.0, gid="claim")
        _write(axes, y, columns.index("claim"), f"{100 * system.claim:.1f}", color=ORANGE)
    shown = [name for name in columns if name in system.by_protocol]
    for place, name in enumerate(shown):
        row, color = system.by_protocol[name], _color(name)
        mean, low, high = (row[metric][key] for key in ("mean", "low", "high"))
        at = y + _APART * (2 * place - len(shown) + 1)
        if low is not None and high is not None:
            line: Look = {"color": color, "linewidth": 3.0, "alpha": 0.4 if is_whole(row) else 0.18}
            axes.plot([low, high], [at, at], gid="interval", **line)
        face = color if is_whole(row) else "white"
        axes.scatter([mean], [at], s=34, facecolor=face, edgecolor=color, linewidth=1.4, zorder=3, gid=name)
        number = f"{100 * mean:.1f}"
        if is_whole(row):
            _write(axes, y, columns.index(name), number, color=INK)
        else:
            told = f"{number}\n{folds_text(row)} folds"
            _write(axes, y, columns.index(name), told, color=MUTED, fontsize=6.8, style="italic")


def _write(axes: Axes, y: float, column: int, text: str, **look: Any) -> None:
    """Write into a column of numbers beside the axes."""
    figure = axes.figure
    right = ScaledTranslation(_COLUMN_IN * (column + 0.5), 0, figure.dpi_scale_trans)
    centred: Look = {"ha": "center", "va": "center", "fontsize": 8.5, "linespacing": 1.05}
    axes.text(1.0, y, text, transform=axes.get_yaxis_transform() + right, **(centred | look))


def _told(tests: Mapping[str, Sequence[_System]], metric: str) -> str:
    """Say what is seen in whole figures: what strangers cost, or else the best where most are compared."""
    finished = {
        heading: [{n: row for n, row in one.by_protocol.items() if is_whole(row)} for one in systems]
        for heading, systems in tests.items()
    }
    costs = [
        100 * (rows["random"][metric]["mean"] - rows["speaker"][metric]["mean"])
        for systems in finished.values()
        for rows in systems
        if {"random", "speaker"} <= rows.keys()
    ]
    if costs and min(costs) > 0:
        between = f"{min(costs):.0f} to {max(costs):.0f}" if len(costs) > 1 else f"{costs[0]:.0f}"
        return f"On speakers never heard, {_METRICS[metric]} is {between} points below that of random splits"
    whole = {heading: [r for rows in systems for r in rows.values()] for heading, systems in finished.items()}
    heading, rows = max(whole.items(), key=lambda item: len(item[1]))
    if not rows:
        return "No system has all its folds yet"
    best = max(rows, key=lambda r: (not r["gender"], r["protocol"] not in _PROTOCOLS, r[metric]["mean"]))
    figure = f"{_METRICS[metric]} {100 * best[metric]['mean']:.1f} %"
    return f"Best on {heading}: {best['recipe']}, {best['protocol']}, {figure}"


def _legend(rows: Sequence[Row], claimed: bool) -> list[Line2D]:
    dot: Look = {"marker": "o", "linestyle": "", "markersize": 6}
    meanings = [_PROTOCOLS.get(name, _STRANGERS) for name in _in_order({row["protocol"] for row in rows})]
    handles = [Line2D([], [], color=color, label=says, **dot) for color, says in dict.fromkeys(meanings)]
    if claimed:
        handles.append(Line2D([], [], color=ORANGE, label="claim", marker="|", linestyle="", ms=9, mew=2))
    if not all(map(is_whole, rows)):
        handles.append(Line2D([], [], color=MUTED, label="folds are missing", markerfacecolor="white", **dot))
    return handles


def _in_order(protocols: Iterable[str]) -> list[str]:
    """Put known voices first, strangers after them."""
    return sorted(protocols, key=lambda name: (name not in _PROTOCOLS, name))


def _color(protocol: str) -> str:
    return ORANGE if protocol == "claim" else _PROTOCOLS.get(protocol, _STRANGERS)[0]


def _ends(rows: Iterable[Row], metric: str, claims: Iterable[float | None]) -> tuple[float, float]:
    """Return the lowest and the highest rate that is drawn."""
    rates = [rate for row in rows for rate in row[metric].values() if rate is not None]
    rates += [claim for claim in claims if claim is not None]
    return min(rates), max(rates)
