"""Write the figures of docs/leakage.md from docs/results/leakage: python docs/make_leakage.py [--check].

The results were written by ``vocalics benchmark``, by the command that the page gives.
"""

import argparse
import sys
from pathlib import Path

from vocalics.lab.leak_report import Leak, difference_text, leak_table, list_leaks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "leakage.md"
RESULTS = ROOT / "docs" / "results" / "leakage"
BEGIN, END = "<!-- figures: ", "<!-- end of figures -->"


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the page is stale"
    )
    wanted = parser.parse_args()
    current = PAGE.read_text()
    fresh = with_figures(current, list_leaks(RESULTS))
    if wanted.check:
        return int(current != fresh)
    PAGE.write_text(fresh)
    return 0


def with_figures(page: str, leaks: list[Leak]) -> str:
    """Return the page's text with its figures made anew."""
    begin = page.index("\n", page.index(BEGIN)) + 1
    return page[:begin] + "\n".join(figures(leak) for leak in leaks) + page[page.index(END) :]


def figures(leak: Leak) -> str:
    """Return what is told of one leak: its table, what it comes to, and the command."""
    _, unchanged, *honest = leak.rows
    told = {row.protocol: row for row in (unchanged, *honest)}
    lines = [
        f"{leak.title}, rates in percent, 95 % intervals by bootstrap over speakers in brackets:",
        "",
        leak_table(leak),
        "",
        f"On the same {unchanged.clips:,} unchanged clips: {percent(unchanged.accuracy.mean)} with the leak, "
        + ", ".join(f"{percent(row.accuracy.mean)} under `{row.protocol}`" for row in honest)
        + ".",
        *(
            f"`{name}` is above `speaker` by {difference_text(row.above_speaker)} points."
            for name, row in told.items()
            if row.above_speaker
        ),
        "",
        "```sh",
        leak.command,
        "```",
        "",
    ]
    return "\n".join(lines)


def percent(rate: float) -> str:
    """Return a rate in percent, to one decimal."""
    return f"{100 * rate:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
