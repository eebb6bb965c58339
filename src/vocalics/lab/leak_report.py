"""What a deliberate leak adds to a recipe's figures: the leak and honest protocols in one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vocalics.errors import UsageError
from vocalics.files import write_atomically
from vocalics.lab import leaks, metrics
from vocalics.lab.evaluation import Answers
from vocalics.lab.leaderboard import read_answers, read_result
from vocalics.lab.standings import folds_text, interval_text, table_line

#: Honest protocols that a leak is compared with, the last of them by the difference.
HONEST = ("random", "speaker")

COLUMNS = (
    "protocol",
    "tested on",
    "clips",
    "folds",
    "train accuracy",
    "accuracy",
    "UAR",
    "accuracy above `speaker`",
)

_ABOUT = """The rows marked leaky mean nothing: copies of one recording stand on both sides of their split, on
purpose, to show what that does. Rates are in percent, with 95 % intervals by bootstrap over speakers."""


@dataclass(frozen=True)
class LeakRow:
    """One line of the table.

    Attributes
    ----------
    protocol
        `leaks.PROTOCOL`, or one of `HONEST`.
    tested
        Which clips the figures are of.
    clips
        How many.
    folds, folds_of_protocol
        Measured, and in all.
    train_accuracy
        Mean over the folds, of their training parts.
    accuracy, uar
        Of all folds pooled.
    above_speaker
        Accuracy less that of ``speaker`` on the same clips, paired over speakers; None where the two did not
        test the same clips.
    """

    protocol: str
    tested: str
    clips: int
    folds: int
    folds_of_protocol: int
    train_accuracy: float
    accuracy: metrics.Interval
    uar: metrics.Interval
    above_speaker: metrics.Interval | None


@dataclass(frozen=True)
class Leak:
    """A recipe that was measured with a leak and without.

    Attributes
    ----------
    recipe
        Its name.
    corpora, emotions
        What it was trained on, and what it chooses among.
    gender
        Of all speakers, or None.
    command
        By which it was measured.
    rows
        The leak, on all that it tests and on the unchanged clips alone, then honest protocols.
    """

    recipe: str
    corpora: tuple[str, ...]
    emotions: tuple[str, ...]
    gender: str | None
    command: str
    rows: tuple[LeakRow, ...]

    @property
    def title(self) -> str:
        """The recipe, what it was trained on, and how many emotions it chooses among."""
        speakers = f", {self.gender} speakers" if self.gender else ""
        return f"`{self.recipe}` on {', '.join(self.corpora)}{speakers}, {len(self.emotions)} emotions"


def list_leaks(folder: Path) -> list[Leak]:
    """Sum up every deliberate leak below a benchmark's folder, and the honest protocols beside it."""
    systems = sorted({path.parent for path in folder.glob(f"*/*/{leaks.PROTOCOL}*/fold-*.json")})
    return [_compare(system) for system in systems]


def above_honest(leaky: Path, honest: Path) -> metrics.Interval:
    """Accuracy of a leak on unchanged clips less that of an honest system, paired over speakers.

    Parameters
    ----------
    leaky, honest
        Folders of folds.

    Raises
    ------
    UsageError
        The two did not test the same clips.
    """
    difference = _above(_unchanged(_pooled(_lowest_seed(leaky))), _pooled(_lowest_seed(honest)))
    if difference is None:
        raise UsageError(f"{leaky} and {honest} tested other clips; measure all folds of both.")
    return difference


def leak_table(leak: Leak) -> str:
    """Write the rows of one leak as Markdown; rates in percent."""
    cells = [
        (
            f"`{row.protocol}`" + (" (leaky)" if row.protocol == leaks.PROTOCOL else ""),
            row.tested,
            f"{row.clips:,}",
            folds_text({"folds": row.folds, "folds_of_protocol": row.folds_of_protocol}),
            f"{100 * row.train_accuracy:.1f}",
            interval_text(row.accuracy.to_dict()),
            interval_text(row.uar.to_dict()),
            difference_text(row.above_speaker) if row.above_speaker else "",
        )
        for row in leak.rows
    ]
    return "\n".join(table_line(line) for line in (COLUMNS, ["---"] * len(COLUMNS), *cells))


def difference_text(difference: metrics.Interval) -> str:
    """Write a difference of rates in points, with its interval.

    Examples
    --------
    >>> difference_text(metrics.Interval(0.25, 0.2, 0.3))
    '+25.0 [+20.0, +30.0]'
    """
    if difference.low is None or difference.high is None:
        return f"{100 * difference.mean:+.1f}"
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def write_leaks(folder: Path) -> list[Leak]:
    """Write ``leakage.md`` into a benchmark's folder where a deliberate leak lies in it; return the leaks."""
    found = list_leaks(folder)
    if found:
        blocks = ["# Deliberate leaks", _ABOUT]
        for leak in found:
            blocks += [f"{leak.title}:", leak_table(leak), f"Made by `{leak.command}`."]
        write_atomically(folder / "leakage.md", "\n\n".join(blocks) + "\n")
    return found


def _compare(system: Path) -> Leak:
    """Compare the leaky folds in a folder with the honest ones beside it."""
    suffix = system.name.removeprefix(leaks.PROTOCOL)
    leaky = _lowest_seed(system)
    honest = {name: _lowest_seed(system.with_name(name + suffix)) for name in HONEST}
    answers = {name: _pooled(results) for name, results in honest.items() if results}
    heard = _pooled(leaky)
    speaker = answers.get("speaker")
    rows = [
        _row(leaks.PROTOCOL, "clips and their changed copies", leaky, heard, None),
        _row(leaks.PROTOCOL, "the unchanged clips among them", leaky, _unchanged(heard), speaker),
        *(_row(name, "clips", honest[name], own, speaker) for name, own in answers.items()),
    ]
    recipe = leaky[0]["leaked_recipe"]
    return Leak(
        recipe=recipe["name"],
        corpora=tuple(recipe["corpora"]),
        emotions=tuple(recipe["emotions"]),
        gender=leaky[0]["gender"],
        command=leaky[0]["command"],
        rows=tuple(rows),
    )


def _lowest_seed(system: Path) -> list[dict[str, Any]]:
    """Read the folds of the lowest seed in a folder; none where there is no such folder."""
    results = [read_result(path) for path in sorted(system.glob("fold-*.json"))]
    lowest = min((result["seed"] for result in results), default=0)
    return [result for result in results if result["seed"] == lowest]


def _pooled(results: Sequence[dict[str, Any]]) -> Answers:
    return Answers.pooled([read_answers(result) for result in results])


def _unchanged(heard: Answers) -> Answers:
    """Keep the answers to recordings, without those to their changed copies."""
    return heard.where(np.array([leaks.origin(name)[1] == 0 for name in heard.ids]))


def _row(
    protocol: str, tested: str, results: Sequence[dict[str, Any]], own: Answers, speaker: Answers | None
) -> LeakRow:
    figures = {
        name: metrics.bootstrap_interval(name, own.truth, own.predicted, own.speakers)
        for name in ("accuracy", "uar")
    }
    return LeakRow(
        protocol=protocol,
        tested=tested,
        clips=len(own.ids),
        folds=len(results),
        folds_of_protocol=results[0]["folds"],
        train_accuracy=float(np.mean([result["train_accuracy"] for result in results])),
        above_speaker=_above(own, speaker),
        **figures,
    )


def _above(own: Answers, other: Answers | None) -> metrics.Interval | None:
    """Accuracy less that of another system, on the same clips; None where they are not the same."""
    if other is None or other is own or set(own.ids) != set(other.ids):
        return None
    first, second = np.argsort(own.ids), np.argsort(other.ids)
    speakers = [own.speakers[position] for position in first]
    return metrics.paired_difference(
        "accuracy", own.truth[first], own.predicted[first], other.predicted[second], speakers
    )
