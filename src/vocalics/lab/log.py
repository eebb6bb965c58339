"""A run's ``log.csv``: one row an epoch."""

import csv
import io
from pathlib import Path

from vocalics.files import write_atomically

#: Columns; those of the validation part are empty in epochs that do not check it.
COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_uar",
    "learning_rate",
)


def read_log(run: Path) -> list[dict[str, float]]:
    """Return the rows of a run's log, in their order; what was not measured in an epoch is not in its row."""
    path = run / "log.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def log_epoch(run: Path, epoch: int, figures: dict[str, float]) -> None:
    """Add the row of an epoch, counted from 0; rows of that epoch and later ones, lost by a kill, go."""
    rows = [row for row in read_log(run) if row["epoch"] < epoch]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in [*rows, {"epoch": epoch, **figures}]:
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
    write_atomically(run / "log.csv", text.getvalue())
