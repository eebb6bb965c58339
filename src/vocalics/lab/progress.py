"""How a long stage tells what it does: a bar where somebody looks, and lines for people."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

#: Hears (done, all).
Bar = Callable[[int, int | None], None]

#: Opens a bar under a title, for a ``with`` block; it is None where nobody looks.
Progress = Callable[[str], AbstractContextManager[Bar | None]]

#: Hears a line.
Tell = Callable[[str], None]


def no_progress(what: str) -> AbstractContextManager[Bar | None]:
    """Open no bar."""
    return nullcontext()


def tell_nobody(line: str) -> None:
    """Drop the line."""
