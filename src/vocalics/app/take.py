"""Ways for sound to come in: recorded in the browser, uploaded, or one of the examples."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import streamlit as st

from vocalics.app import words

#: The examples by the name that people read. All are synthetic; examples/make_app_clips.py makes them.
EXAMPLES = {
    "Calm sentence": "calm_sentence.mp3",
    "Excited sentence": "excited_sentence.mp3",
    "Call of two": "call.mp3",
}

#: What a recording from the microphone is called.
RECORDED = "your recording"


class _NamedBytes(io.BytesIO):
    """Bytes with the name that answers and errors call them."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


@dataclass(frozen=True)
class Sound:
    """A file in memory, as it came.

    Attributes
    ----------
    name
        What people call it.
    data
        Its bytes.
    key
        Digest of name and bytes.
    """

    name: str
    data: bytes = field(repr=False)
    key: str = ""

    def __post_init__(self) -> None:
        digest = blake2b(
            self.data, person=b"vocalics app", digest_size=16, key=self.name.encode(errors="replace")[:64]
        )
        object.__setattr__(self, "key", digest.hexdigest())

    def file(self) -> io.BytesIO:
        """Return it as a file, for whatever reads recordings."""
        return _NamedBytes(self.data, self.name)


def example(label: str) -> Sound:
    """Return one of the `EXAMPLES`."""
    path = Path(__file__).with_name("examples") / EXAMPLES[label]
    return Sound(f"{label.lower()} (synthetic)", path.read_bytes())


def take(place: str, examples: Sequence[str], *, many: bool = True, record: bool = True) -> list[Sound]:
    """Let people record, upload or pick an example; what they did last counts, also after other pages.

    Parameters
    ----------
    place
        Which of the app's widgets these are.
    examples
        Some of `EXAMPLES`.
    many
        Whether several files may be uploaded at once.
    record
        Whether the microphone is offered.

    Returns
    -------
    Nothing before they did anything.
    """
    changed = f"{place} changed"

    def note(way: str) -> None:
        st.session_state[changed] = way
        if way != "example":
            st.session_state[f"{place} example"] = None

    columns = iter(st.columns([1, 1] if record else [1], gap="medium"))
    recorded = None
    if record:
        with next(columns):
            recorded = st.audio_input(
                "Record yourself", key=f"{place} microphone", on_change=note, args=("microphone",)
            )
    with next(columns):
        uploaded = st.file_uploader(
            "Open recordings" if many else "Open a recording",
            accept_multiple_files=many,
            key=f"{place} files",
            on_change=note,
            args=("files",),
        )
    picked = st.pills(
        "Or try an example, spoken by a speech synthesiser",
        list(examples),
        key=f"{place} example",
        persist_state="session",
        on_change=note,
        args=("example",),
    )
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded else []
    way = st.session_state.pop(changed, None)
    if way == "microphone":
        pass_on(place, [Sound(RECORDED, recorded.getvalue())] if recorded else [])
    elif way == "files":
        pass_on(place, [Sound(file.name, file.getvalue()) for file in files])
    elif way == "example":
        pass_on(place, [example(picked)] if picked else [])
    sounds: list[Sound] = st.session_state.get(_taken(place), [])
    if sounds and not (recorded or files or picked):  # the widgets forget when one visits another page
        _offer_to_clear(place, sounds)
    return sounds


def pass_on(place: str, sounds: Sequence[Sound]) -> None:
    """Let a place have recordings, as if somebody had brought them there."""
    st.session_state[_taken(place)] = list(sounds)


def _offer_to_clear(place: str, sounds: Sequence[Sound]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        more = f" and {len(sounds) - 1} more" if len(sounds) > 1 else ""
        st.caption(f"Still here: {words.plain(sounds[0].name)}{more}", width="content")
        st.button(
            "Put away", key=f"{place} clear", on_click=pass_on, args=(place, []), icon=":material/close:"
        )


def _taken(place: str) -> str:
    return f"{place} taken"
