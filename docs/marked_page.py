"""What the makers of pages share: figures stand between two marks, and nothing else of a page changes."""

import argparse
from pathlib import Path

BEGIN, END = "<!-- figures: ", "<!-- end of figures -->"


def with_figures(page: str, figures: str) -> str:
    """Return a page's text with what stands between its marks replaced."""
    begin = page.index("\n", page.index(BEGIN)) + 1
    return page[:begin] + figures + page[page.index(END) :]


def write_or_check(page: Path, figures: str, what: str | None) -> int:
    """Write a page's figures, or with ``--check`` on the command line say whether they are in step.

    Parameters
    ----------
    page
        The Markdown file.
    figures
        What belongs between its marks.
    what
        The script's docstring, for ``--help``.

    Returns
    -------
    The exit code: 1 where ``--check`` found the page stale.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the page is stale"
    )
    wanted = parser.parse_args()
    current = page.read_text()
    made = with_figures(current, figures)
    if wanted.check:
        return int(current != made)
    page.write_text(made)
    return 0
