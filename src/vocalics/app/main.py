"""What Streamlit runs, whenever somebody does something: the pages, and the way between them."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from vocalics.app import about, corpora, listen, long, trainings, voices, words
from vocalics.app.memory import forget_when_closed
from vocalics.app.settings import Settings

_HERE = Path(__file__).parent


def main(settings: Settings) -> None:
    """Draw the page that the visitor is on."""
    forget_when_closed()
    mark = str(_HERE / "mark.svg")  # of our own, since Streamlit fetches its icons for this from elsewhere
    st.set_page_config(page_title="vocalics", page_icon=mark, layout="centered")
    st.logo(str(_HERE / "logo.svg"), size="large", icon_image=str(_HERE / "logo.svg"))
    st.html(_HERE / "style.css")
    pages = {
        "listen": _page(listen.page, settings, "Listen", "listen", "mic", first=True),
        "long": _page(long.page, settings, "Long recordings", "long", "timeline"),
        "voices": _page(voices.page, settings, "Voices and models", "voices", "compare_arrows"),
        "corpora": _page(corpora.page, settings, "Corpora", "corpora", "library_music"),
        "trainings": _page(trainings.page, settings, "Trainings", "trainings", "monitoring"),
        "about": _page(about.page, settings, "About", "about", "info"),
    }
    st.session_state["pages"] = pages
    st.navigation(list(pages.values()), position="top").run()


def _page(
    draw: Callable[[Settings], None],
    settings: Settings,
    title: str,
    path: str,
    icon: str,
    *,
    first: bool = False,
) -> StreamlitPage:
    shown = partial(_draw_or_tell, draw, settings)
    return st.Page(shown, title=title, url_path=path, icon=f":material/{icon}:", default=first)


def _draw_or_tell(draw: Callable[[Settings], None], settings: Settings) -> None:
    """Draw a page; what goes wrong is a sentence."""
    try:
        with words.errors_told():
            draw(settings)
    except Exception:
        logging.getLogger(__name__).exception("a fault of the page")
        st.error(
            "Something went wrong that should not have. The terminal in which 'vocalics app' runs says what; "
            "load the page anew to go on."
        )


if __name__ == "__main__":
    main(Settings.from_arguments(sys.argv[1:]))
