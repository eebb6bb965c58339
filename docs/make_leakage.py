"""Write the figures of docs/leakage.md from docs/results/leakage: python docs/make_leakage.py [--check].

The results were written by ``vocalics benchmark``, by the commands that the page gives.
"""

import argparse
import sys
from pathlib import Path

from vocalics.lab.leaderboard import summarise
from vocalics.lab.leak_report import HONEST, Leak, leak_table, list_leaks
from vocalics.lab.leaks import PROTOCOL
from vocalics.lab.standings import figure_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "leakage.md"
RESULTS = ROOT / "docs" / "results" / "leakage"

#: Folds of `random` that take as many steps as the leaky ones.
AS_MANY_STEPS = RESULTS / "as-many-steps" / "cnn1d" / "ravdess" / "random"

#: Of `random`.
FOLDS = 5

BEGIN, END = "<!-- figures: ", "<!-- end of figures -->"


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the page is stale"
    )
    wanted = parser.parse_args()
    current = PAGE.read_text()
    fresh = with_figures(current, "\n".join(figures(leak) for leak in list_leaks(RESULTS)))
    if wanted.check:
        return int(current != fresh)
    PAGE.write_text(fresh)
    return 0


def with_figures(page: str, made: str) -> str:
    """Return the page's text with the figures between its marks made anew."""
    begin = page.index("\n", page.index(BEGIN)) + 1
    return page[:begin] + made + page[page.index(END) :]


def figures(leak: Leak) -> str:
    """Return what is told of one leak: its table, what it comes to, and the commands."""
    if not is_whole(leak):
        return f"Not all folds are measured yet. The command: `{leak.command}`.\n"
    _, unchanged, *honest = leak.rows
    control = summarise(sorted(AS_MANY_STEPS.glob("fold-*.json")))
    lines = [
        f"{leak.title}; rates in percent, 95 % intervals by bootstrap over speakers in brackets:",
        "",
        leak_table(leak),
        "",
        f"Accuracy on the same {unchanged.clips:,} clips: {percent(unchanged.accuracy.mean)} with the leak, "
        + ", ".join(f"{percent(row.accuracy.mean)} under `{row.protocol}`" for row in honest)
        + f"; `random` with as many steps as the leak {figure_text(control, 'accuracy')}.",
        "",
        "```sh",
        leak.command,
        control["command"],
        "```",
        "",
    ]
    return "\n".join(lines)


def is_whole(leak: Leak) -> bool:
    """Say whether all folds of the comparison and of its control are there."""
    controls = len(list(AS_MANY_STEPS.glob("fold-*.json")))
    all_compared = {row.protocol for row in leak.rows} == {PROTOCOL, *HONEST}
    return all_compared and controls == FOLDS and all(row.folds == row.folds_of_protocol for row in leak.rows)


def percent(rate: float) -> str:
    """Return a rate in percent, to one decimal."""
    return f"{100 * rate:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
