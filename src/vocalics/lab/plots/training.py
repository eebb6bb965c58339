"""Curves of a training: accuracy and loss of the training and the validation part, with fits of degree 2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vocalics.errors import UsageError
from vocalics.lab.plots.style import BLUE, GREEN, GREY, ORANGE, Look, headline, page, percent_axis, styled

FloatArray = npt.NDArray[np.float64]

#: Of the polynomials; three coefficients need as many epochs.
DEGREE = 2

_COLORS = {"train": BLUE, "validation": ORANGE}
_FITTED = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")


@dataclass(frozen=True)
class PolynomialFit:
    """A parabola through one curve, by least squares.

    Attributes
    ----------
    curve
        ``train_accuracy``, ``validation_accuracy``, ``train_loss`` or ``validation_loss``.
    coefficients
        Of n², n and 1, where n is the epoch as the log counts it, from 0.
    """

    curve: str
    coefficients: tuple[float, float, float]

    def __call__(self, epochs: npt.ArrayLike) -> FloatArray:
        """Return the parabola at these epochs."""
        return np.asarray(np.polyval(self.coefficients, np.asarray(epochs, dtype=np.float64)))

    @property
    def formula(self) -> str:
        """The parabola as one reads it.

        Examples
        --------
        >>> PolynomialFit("train_accuracy", (-0.00095, 0.05072, 0.24348)).formula
        '−0.00095 n² + 0.05072 n + 0.24348'
        """
        a, b, c = (f"{abs(value):.5f}" for value in self.coefficients)
        minus = [value < 0 for value in self.coefficients]
        return (
            f"{'−' if minus[0] else ''}{a} n² {'−' if minus[1] else '+'} {b} n {'−' if minus[2] else '+'} {c}"
        )

    def __str__(self) -> str:
        """Return one line for a log.

        Examples
        --------
        >>> print(PolynomialFit("train_accuracy", (-0.00095, 0.05072, 0.24348)))
        train accuracy, fit of degree 2 over epoch n: -0.00095, 0.05072, 0.24348 (n^2, n, 1)
        """
        numbers = ", ".join(f"{value:.5f}" for value in self.coefficients)
        return f"{self.curve.replace('_', ' ')}, fit of degree {DEGREE} over epoch n: {numbers} (n^2, n, 1)"


def polynomial_fits(rows: Sequence[Mapping[str, float]]) -> tuple[PolynomialFit, ...]:
    """Fit accuracy and loss, of the training and the validation part, by parabolas over the epochs.

    Parameters
    ----------
    rows
        Of ``log.csv``, as `vocalics.lab.log.read_log` returns them. A curve that stands in fewer than
        three of them has no fit.

    Raises
    ------
    UsageError
        There are no rows, or they have no ``epoch``.

    Examples
    --------
    >>> rows = [{"epoch": n, "train_loss": 2.0 - 0.5 * n + 0.25 * n**2} for n in range(5)]
    >>> (fit,) = polynomial_fits(rows)
    >>> fit.formula
    '0.25000 n² − 0.50000 n + 2.00000'
    """
    fits = []
    for curve in _FITTED:
        epochs, values = _curve(rows, curve)
        if len(epochs) > DEGREE:
            ascending = np.polynomial.Polynomial.fit(epochs, values, DEGREE).convert().coef
            c, b, a = (float(value) for value in [*ascending, 0.0, 0.0][: DEGREE + 1])
            fits.append(PolynomialFit(curve, (a, b, c)))
    return tuple(fits)


@styled
def training_curves(rows: Sequence[Mapping[str, float]], title: str | None = None) -> Figure:
    """Draw accuracy and loss over the epochs with their fits, and the learning rate below.

    Parameters
    ----------
    rows
        Of ``log.csv``: ``epoch``, ``train_loss``, ``train_accuracy``, ``validation_loss``,
        ``validation_accuracy``, ``validation_uar``, ``learning_rate``; but for the epoch, any may be missing
        in any row.
    title
        Instead of the one that tells the best validation figure.
    """
    fits = {fit.curve: fit for fit in polynomial_fits(rows)}
    figure = page(4.7)
    panels = figure.subplot_mosaic(
        [["accuracy", "loss"], ["rate", "rate"]], height_ratios=[4.2, 1], gridspec_kw={"hspace": 0.04}
    )
    headline(figure, title or _title(rows))
    for figure_name in ("accuracy", "loss"):
        _draw_panel(panels[figure_name], rows, figure_name, fits)
    epochs, values = _curve(rows, "validation_uar")
    if len(epochs):
        line: Look = {"color": GREEN, "linewidth": 1.0, "alpha": 0.75}
        panels["accuracy"].plot(epochs, values, label="validation UAR", gid="validation_uar", **line)
    for name in ("accuracy", "loss"):
        handles, _ = panels[name].get_legend_handles_labels()
        look: Look = {"loc": "upper left", "fontsize": 8.0, "handlelength": 1.6}
        panels[name].legend(handles=handles, bbox_to_anchor=(-0.02, -0.16), **look)
    percent_axis(panels["accuracy"].yaxis)
    rate = panels["rate"]
    epochs, values = _curve(rows, "learning_rate")
    rate.plot(epochs, values, color=GREY, linewidth=1.3, gid="learning_rate")
    rate.set_ylabel("learning\nrate")
    rate.set_xlabel("epoch")
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    return figure


def _draw_panel(
    axes: Axes, rows: Sequence[Mapping[str, float]], name: str, fits: Mapping[str, PolynomialFit]
) -> None:
    """Draw one figure of both parts: what was measured in light, its fit in full colour."""
    for part, color in _COLORS.items():
        curve = f"{part}_{name}"
        epochs, values = _curve(rows, curve)
        if not len(epochs):
            continue
        fit = fits.get(curve)
        marker = "o" if len(epochs) <= DEGREE else ""
        measured: Look = {"color": color, "linewidth": 1.0, "alpha": 0.55, "marker": marker, "markersize": 4}
        axes.plot(epochs, values, gid=curve, label="_" if fit else part, **measured)
        if fit:
            dense = np.linspace(epochs.min(), epochs.max(), 200)
            axes.plot(dense, fit(dense), color=color, label=f"{part}: {fit.formula}", gid=f"{curve}_fit")
    axes.set_ylabel(name)
    axes.set_xlabel("epoch n")


def _title(rows: Sequence[Mapping[str, float]]) -> str:
    for name, words in (("validation_uar", "UAR"), ("validation_accuracy", "accuracy")):
        epochs, values = _curve(rows, name)
        if len(epochs):
            best = int(values.argmax())
            return (
                f"Validation {words} is highest after epoch {epochs[best]:.0f}, {100 * values[best]:.1f} %; "
                f"after the last, {epochs[-1]:.0f}, {100 * values[-1]:.1f} %"
            )
    return "Training without a validation part"


def _curve(rows: Sequence[Mapping[str, float]], name: str) -> tuple[FloatArray, FloatArray]:
    """Epochs and values, both (n,), where the log has a finite one."""
    if not rows:
        raise UsageError("the training log has no rows; train for one epoch at least.")
    if any("epoch" not in row for row in rows):
        raise UsageError("a row of the training log has no 'epoch'; give the rows of a run's log.csv.")
    points = [(row["epoch"], row[name]) for row in rows if name in row and np.isfinite(row[name])]
    epochs, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return epochs, values
