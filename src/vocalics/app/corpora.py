"""The page for corpora: get to know recordings before a model does. It needs the lab."""

import os
import tempfile
from pathlib import Path

import streamlit as st

from vocalics.app import folders
from vocalics.app.memory import remembered
from vocalics.app.settings import Settings
from vocalics.errors import UsageError

#: Recordings that are listened to, at most: choices, and the first one.
SAMPLES, SAMPLE = (50, 100, 300, 1000), 100


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("Get to know a corpus")
    st.markdown(
        "How many recordings there are of which emotion and by whom, how long they are, what emotions look "
        "and sound like, a map of them, and what is odd. `vocalics corpus explore` writes the same page."
    )
    folders.require(settings, "vocalics.lab.explore", "Exploring corpora")
    path = folders.ask_for_path(
        "Folder or manifest on this machine",
        os.environ.get("VOCALICS_DATA", ""),
        "corpora",
        "A folder with one folder for each corpus, one corpus, folders named by emotion, or a manifest of "
        "'vocalics corpus scan' (.csv, .parquet).",
    )
    if path is None:
        _list_public()
        return
    wanted = _wanted(path)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        sample = st.select_slider("Recordings to listen to, at most", SAMPLES, SAMPLE, key="corpora sample")
    with right:
        asked = st.button("Explore", type="primary", width="stretch", icon=":material/travel_explore:")
    key = (str(path), wanted, sample)
    if asked:
        st.session_state["corpora asked"] = key
    if st.session_state.get("corpora asked") != key:
        return
    html = remembered("corpus", key, lambda: _explore(path, wanted, sample))
    st.divider()
    folders.embed(html, f"Exploration of {path.name}")
    st.download_button(
        "Download this page (HTML)",
        html,
        file_name=f"{path.stem}.html",
        mime="text/html",
        icon=":material/download:",
        on_click="ignore",
    )


def _list_public() -> None:
    """Say which corpora anybody can get."""
    from vocalics.lab.corpora import CORPORA

    st.markdown(
        "No recordings at hand whose emotions are known? These are public; `vocalics corpus download "
        "ravdess` fetches one."
    )
    rows = [
        {
            "name": info.name,
            "languages": ", ".join(info.languages),
            "speakers": info.speakers,
            "recordings": info.utterances,
            "emotions": len(info.emotions),
            "licence": info.licence,
        }
        for info in CORPORA.values()
    ]
    st.dataframe(rows, hide_index=True, alt="Public corpora of emotional speech")


def _wanted(path: Path) -> tuple[str, ...] | None:
    """Let people choose among the corpora of a folder; None stands for all that there is."""
    from vocalics.lab.corpora import find_corpora

    if not path.exists():
        raise UsageError(
            f"there is no '{path}' on this machine; name a folder with recordings, or a manifest."
        )
    if path.is_file():
        return None
    found = list(find_corpora(path))
    if len(found) == 1:
        return (found[0],)
    chosen = st.pills(
        "Corpora in it", found, selection_mode="multi", default=found[:1], key=f"corpora of {path}"
    )
    return tuple(chosen) or tuple(found)


def _explore(path: Path, wanted: tuple[str, ...] | None, sample: int) -> str:
    """Return the exploration as one page."""
    from vocalics.lab.corpora import load_data
    from vocalics.lab.explore import explore

    with folders.progress("Reading") as bar:
        if path.is_dir():
            manifest = load_data(path, None, wanted, progress=bar)
        else:
            manifest = load_data(None, path, wanted, progress=bar)
    with folders.progress("Listening") as bar, tempfile.TemporaryDirectory() as folder:
        return explore(manifest, Path(folder), sample=sample, progress=bar).read_text(encoding="utf-8")
