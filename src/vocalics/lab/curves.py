"""The curves of a finished training: a picture, their fits in a file, and the fits as lines for people."""

import json
from pathlib import Path

from vocalics.files import write_atomically
from vocalics.lab.log import read_log
from vocalics.lab.page import png
from vocalics.lab.plots import polynomial_fits, training_curves
from vocalics.lab.progress import Tell, tell_nobody


def write_curves(run: Path, tell: Tell = tell_nobody) -> None:
    """Write ``curves.png`` and ``fits.json`` into a run, from its ``log.csv``, and tell each fit in a line.

    The fits are polynomials of degree 2 of accuracy and loss, training and validation, over the epoch; the
    file has their coefficients of n^2, n and 1 by curve. A log of one or two epochs has none.

    Raises
    ------
    UsageError
        The run's log has no rows.
    """
    rows = read_log(run)
    write_atomically(run / "curves.png", png(training_curves(rows)))
    fits = polynomial_fits(rows)
    write_atomically(
        run / "fits.json", json.dumps({fit.curve: fit.coefficients for fit in fits}, indent=1) + "\n"
    )
    for fit in fits:
        tell(str(fit))
