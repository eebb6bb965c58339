"""What the pages for researchers share: they need the lab, and folders of the machine that runs them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import streamlit as st

from vocalics.app.settings import Settings
from vocalics.errors import MissingExtraError, UsageError


def require(settings: Settings, module: str, what: str) -> None:
    """Refuse where a page cannot work.

    Parameters
    ----------
    settings
        Of the page.
    module
        Of the lab, whose imports are tried.
    what
        What the page does, for the sentence.

    Raises
    ------
    MissingExtraError
        The lab is not installed.
    UsageError
        Others than this machine can open the page.
    """
    if not settings.folders:
        raise UsageError(
            f"{what} reads folders of the machine that runs this page, so it is switched off where others "
            "can open the page: start 'vocalics app' without --host."
        )
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("vocalics"):
            raise
        raise MissingExtraError(f"{what} needs the lab: pip install 'vocalics[lab]'") from None


def ask_for_path(label: str, given: str, place: str, help: str) -> Path | None:
    """Ask for a folder or file of this machine; None while nobody named one."""
    text = st.text_input(label, given, key=f"{place} path", persist_state="session", help=help)
    return Path(text.strip()).expanduser() if text.strip() else None


def embed(html: str, says: str) -> None:
    """Show a page of the lab as it is."""
    st.iframe(html, height="content", alt=says)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Draw a bar; yields what to call with (done, all)."""
    bar = st.progress(0.0, text=what)

    def draw(done: int, total: int | None) -> None:
        share = min(1.0, done / total) if total else 0.0
        bar.progress(share, text=f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

    try:
        yield draw
    finally:
        bar.empty()
