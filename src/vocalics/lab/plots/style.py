"""The one style of all figures: colours, fonts, and the page that they are drawn on.

Colours are those of Okabe and Ito, as the emotions' are. `INK`, `MUTED` and `LINE` are used for nothing but
text, axes and grids, and fills of count or rate are `BLUE` on nothing: so a page can set the figure in its
own colours, light or dark.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

from vocalics import emotions

INK, MUTED, LINE = "#1f2430", "#68707d", "#dadee4"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8b93a0"

#: From nothing to blue, so that the page shines through where there is little.
FILL = LinearSegmentedColormap.from_list("fill", [(*to_rgb(BLUE), 0.0), (*to_rgb(BLUE), 1.0)])

#: Rates from which a cell of `FILL` is dark enough for white text.
DARK_CELL = 0.72

#: Width of a figure, inches: on a page of 760 px its text is as large as the page's small print.
WIDTH_IN = 7.2

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure looks the same everywhere
    "font.size": 9.0,
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.titlecolor": INK,
    "axes.labelsize": 9.0,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.0,
    "figure.facecolor": "white",
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "figure.dpi": 100,
}

#: Keyword arguments that say how something looks.
Look = dict[str, Any]

_Arguments = ParamSpec("_Arguments")
_Drawn = TypeVar("_Drawn")


def styled(draw: Callable[_Arguments, _Drawn]) -> Callable[_Arguments, _Drawn]:
    """Draw in the one style, whatever a user's matplotlibrc says, and leave that as it was."""

    @wraps(draw)
    def drawn(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Drawn:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return drawn


def page(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def headline(figure: Figure, title: str) -> None:
    """Write a title over all panels of a figure, on the left as those of single panels."""
    figure.suptitle(title, x=0.008, ha="left", color=INK)


def percent_axis(axis: Any) -> None:
    """Write rates from 0 to 1 as percent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def quiet(axes: Axes, grid: str | None = None) -> None:
    """Take away spines and ticks; keep the grid of one axis (``x`` or ``y``) at most."""
    axes.grid(False)
    if grid:
        axes.grid(True, axis=grid)  # type: ignore[arg-type]
    for spine in axes.spines.values():
        spine.set_visible(False)


def darker(color: str, share: float = 0.35) -> str:
    """Return a colour mixed with `share` of black: the outline of a light fill.

    Examples
    --------
    >>> darker("#ffffff", 0.5)
    '#808080'
    """
    red, green, blue = (channel * (1 - share) for channel in to_rgb(color))
    return str(to_hex((red, green, blue)))


def in_order(names: Sequence[str]) -> list[str]:
    """Return the distinct emotions in the order of the vocabulary, others after them by name.

    Examples
    --------
    >>> in_order(["sad", "boredom", "calm", "sad"])
    ['calm', 'sad', 'boredom']
    """
    known = [name for name in emotions.EMOTIONS if name in set(names)]
    return known + sorted(set(names) - set(known))
