"""Write the figures of docs/leakage.md from docs/results/leakage: python docs/make_leakage.py [--check].

The results were written by ``vocalics benchmark``, by the commands that the page gives.
"""

import sys
from pathlib import Path

from marked_page import write_or_check

from vocalics.lab.leaderboard import summarise
from vocalics.lab.leak_report import Leak, above_honest, difference_text, leak_table, list_leaks
from vocalics.lab.leaks import PROTOCOL
from vocalics.lab.standings import interval_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "leakage.md"
RESULTS = ROOT / "docs" / "results" / "leakage"

#: The leak, and `random` with as many steps.
LEAKY = RESULTS / "cnn1d" / "ravdess" / PROTOCOL
AS_MANY_STEPS = RESULTS / "as-many-steps" / "cnn1d" / "ravdess" / "random"


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    return write_or_check(PAGE, "\n".join(figures(leak) for leak in list_leaks(RESULTS)), __doc__)


def figures(leak: Leak) -> str:
    """Return what is told of one leak: its table, what it comes to, and the commands."""
    _, unchanged, *honest = leak.rows
    control = summarise(sorted(AS_MANY_STEPS.glob("fold-*.json")))
    inflation = above_honest(LEAKY, AS_MANY_STEPS)
    lines = [
        f"{leak.title}; rates in percent, 95 % intervals by bootstrap over speakers in brackets:",
        "",
        leak_table(leak),
        "",
        f"Accuracy on the same {unchanged.clips:,} clips: {percent(unchanged.accuracy.mean)} with the leak, "
        + ", ".join(f"{percent(row.accuracy.mean)} under `{row.protocol}`" for row in honest)
        + ".",
        "",
        f"`random` with as many steps as the leak: {interval_text(control['accuracy'])}. "
        f"So **the leak alone is worth {difference_text(inflation)} points**.",
        "",
        "```sh",
        leak.command,
        control["command"],
        "```",
        "",
    ]
    return "\n".join(lines)


def percent(rate: float) -> str:
    """Return a rate in percent, to one decimal."""
    return f"{100 * rate:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
