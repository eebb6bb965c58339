"""What a session remembers between two runs of a page; Streamlit forgets it when the session ends."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

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
