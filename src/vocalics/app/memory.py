"""What a session remembers between two runs of a page, and that it is forgotten when the page is closed."""

import asyncio
from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vocalics.app.settings import FORGET_AFTER_S

_Made = TypeVar("_Made")


def remembered(kind: str, key: Hashable, make: Callable[[], _Made], most: int = 1) -> _Made:
    """Return what was made for a key, or make it.

    Parameters
    ----------
    kind
        What it is; each kind has room of its own.
    key
        What it was made of.
    make
        Makes it; what it raises is raised.
    most
        How many of the kind are kept; the oldest goes first.
    """
    kept: dict[Hashable, _Made] = st.session_state.setdefault(f"remembered {kind}", {})
    if key not in kept:
        kept[key] = make()
        while len(kept) > most:
            del kept[next(iter(kept))]
    return kept[key]


def forget_when_closed() -> None:
    """Let Streamlit forget this session, uploads and all, `FORGET_AFTER_S` after its page was closed.

    By itself it keeps a session that has ended until another one ends.
    """
    context = get_script_run_ctx()
    if context is not None:
        _watched(context.session_id)


def _forget_later(session_id: str) -> None:
    """Hear that a session has lost its page."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the server itself ends
        return
    loop.call_later(FORGET_AFTER_S, _forget, session_id)


def _forget(session_id: str) -> None:
    if runtime.exists() and not runtime.get_instance().is_active_session(session_id):
        runtime.get_instance().close_session(session_id)


@st.cache_resource(scope="session", on_release=_forget_later, show_spinner=False)
def _watched(session_id: str) -> str:
    """Keep what Streamlit releases as soon as the session has lost its page."""
    return session_id
