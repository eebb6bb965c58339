"""The page for long recordings: who sounds how, and when."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from vocalics import audio
from vocalics.app import models, words
from vocalics.app.memory import remembered
from vocalics.app.models import Choice
from vocalics.app.settings import Settings
from vocalics.app.take import Sound, example, take
from vocalics.errors import UsageError
from vocalics.recognition.prediction import Timeline
from vocalics.recognition.rttm import Turn, read_rttm
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_formats import FORMATS
from vocalics.recognition.timeline_page import timeline_to_html

#: Height of the embedded page without lanes, of a lane, and at most; pixels. What is higher scrolls within,
#: so that its player stays in sight.
PAGE_PX, LANE_PX, HIGHEST_PX = 530, 180, 1000

#: The example in which each channel is a speaker.
_CALL = "Call of two"

#: Ways to tell voices apart.
_MIX, _SPLIT, _RTTM = "One lane", "A lane a channel", "Diarization (RTTM)"

#: What each format is for, as people read it.
_FOR = {
    "json": "JSON, for programs",
    "csv": "CSV, a table",
    "parquet": "Parquet, a table",
    "textgrid": "TextGrid, for Praat",
    "audacity": "Labels, for Audacity",
    "webvtt": "WebVTT, subtitles",
    "rttm": "RTTM, for diarization tools",
}


@dataclass(frozen=True)
class Speakers:
    """How voices are told apart; both as of `vocalics.timeline`.

    Attributes
    ----------
    channels
        ``mix`` or ``split``.
    turns
        Of a diarization.
    """

    channels: str = "mix"
    turns: tuple[Turn, ...] | None = None


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("Who sounds how, and when?")
    st.markdown(
        "Open a conversation, a call or a lecture of any length. A lane for each speaker shows the "
        "emotions over time, and a click plays what lies there. Are these calls of customers or staff? In "
        "the EU the law comes first: see **About**."
    )
    sounds = take("long", [_CALL], many=False, record=False)
    choice = models.choose(settings)
    if sounds:
        st.divider()
        with words.errors_told(sounds[0].name):
            _show(choice, sounds[0])
    words.footer(choice.model.card)


def _show(choice: Choice, sound: Sound) -> None:
    speakers = _who_speaks(sound, audio.info(sound.file(), sound.name).n_channels)
    if speakers is None:
        st.caption("Open the RTTM file that says who speaks when.")
        return
    key = (choice.key, sound.key, speakers)
    found = remembered("timeline", key, partial(_listen, choice, sound, speakers))
    if found.error is not None:
        st.warning(f"{words.plain(found.error)} What came before it is shown.")
    with st.spinner("Drawing"):
        html = remembered("page", key, partial(timeline_to_html, found, sound.file(), frame="page"))
    height = min(PAGE_PX + LANE_PX * len(found.speakers), HIGHEST_PX)
    st.iframe(html, height=height, alt=f"Timeline of {sound.name}: lanes for each speaker, and a player")
    _offer_downloads(found, sound)


def _who_speaks(sound: Sound, n_channels: int) -> Speakers | None:
    """Ask how voices are told apart; None while an RTTM file is missing."""
    way = st.segmented_control(
        "Who speaks?",
        [_MIX, *([_SPLIT] if n_channels > 1 else []), _RTTM],
        default=_SPLIT if sound == example(_CALL) else _MIX,
        required=True,
        key=f"long ways {sound.key}",
        help="Voices in one channel are not told apart here. Where each speaker has a channel, as in many "
        "telephone recordings, each gets a lane; so do the speakers that a diarization tool found.",
    )
    if way != _RTTM:
        return Speakers("split" if way == _SPLIT else "mix")
    given = st.file_uploader("RTTM file", type=["rttm", "txt"], key="long turns")
    return None if given is None else Speakers(turns=_turns(given.name, given.getvalue(), sound.name))


def _turns(name: str, data: bytes, recording: str) -> tuple[Turn, ...]:
    """Read an RTTM file that was uploaded; errors call it as people know it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "turns.rttm")
        path.write_bytes(data)
        try:
            return tuple(read_rttm(path, recording))
        except UsageError as error:
            raise UsageError(str(error).replace(str(path), name)) from None


def _listen(choice: Choice, sound: Sound, speakers: Speakers) -> Timeline:
    bar = st.progress(0.0, text="Listening")
    try:
        return timeline(
            sound.file(),
            choice.model,
            channels=speakers.channels,
            turns=speakers.turns,
            progress=_progress(bar.progress),
        )
    finally:
        bar.empty()


def _progress(draw: Callable[..., object]) -> Callable[[float, float | None], None]:
    def heard(done_s: float, total_s: float | None) -> None:
        share = min(1.0, done_s / total_s) if total_s else 0.0
        of = f" of {words.clock(total_s)}" if total_s else ""
        draw(share, text=f"Listening: {words.clock(done_s)}{of}")

    return heard


def _offer_downloads(found: Timeline, sound: Sound) -> None:
    """Offer every format; each is made when it is asked for."""
    st.subheader("Take it with you")
    stem = Path(sound.name).stem
    with st.container(horizontal=True):
        st.download_button(
            "Page to keep (HTML)",
            partial(timeline_to_html, found, sound.file()),
            file_name=f"{stem}.html",
            mime="text/html",
            key="long as html",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
        )
        for name, form in FORMATS.items():
            st.download_button(
                _FOR[name],
                partial(form.write, found),
                file_name=f"{stem}{form.suffix}",
                mime="application/octet-stream",
                key=f"long as {name}",
                on_click="ignore",
            )
