"""The first page: what a voice sounds like, in one recording or many."""

from collections.abc import Sequence

import streamlit as st

from vocalics import audio
from vocalics.app import answer, models, table, words
from vocalics.app.models import Choice
from vocalics.app.settings import Settings
from vocalics.app.take import EXAMPLES, Sound, pass_on, take
from vocalics.errors import AudioError
from vocalics.recognition.recordings import MAX_DURATION_S


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("What does this voice sound like?")
    st.markdown(
        "Record a sentence or open recordings, and see which emotion the voice carries, how sure that "
        "is, and where. Everything stays on this machine."
    )
    sounds = take("listen", list(EXAMPLES))
    choice = models.choose(settings)
    if sounds:
        st.divider()
    if len(sounds) == 1:
        show_one(choice, sounds[0])
    elif sounds:
        show_many(choice, sounds)
    else:
        show_the_way()
    words.footer(choice.model.card)


def show_the_way() -> None:
    """Say what else is here, to somebody who has just come."""
    pages = st.session_state.get("pages", {})
    more = {
        "long": "A call, a meeting, an hour: who sounds how, and when. Click to hear it.",
        "voices": "Let the model get used to a voice, or hear two models side by side.",
        "about": "What this cannot know, what the law says, and what happens to recordings.",
    }
    st.space("small")
    columns = st.columns(len(more), gap="medium")
    for column, (name, what) in zip(columns, more.items(), strict=True):
        if name in pages:
            with column.container(border=True, height="stretch"):
                st.page_link(pages[name])
                st.caption(what)


def show_one(choice: Choice, sound: Sound) -> None:
    """Answer one recording, or send a long one where it belongs."""
    length_s = _length_s(sound)
    if length_s is None or length_s <= MAX_DURATION_S:
        answer.show(choice, sound)
        return
    st.info(
        f"{words.plain(sound.name)} lasts {words.clock(length_s)}. One answer for all of it would say "
        "little; it belongs on the page for long recordings.",
        icon=":material/timeline:",
    )
    opened = st.session_state.get("pages", {}).get("long")
    if opened is not None and st.button("Open it there", type="primary"):
        pass_on("long", [sound])
        st.switch_page(opened)


def show_many(choice: Choice, sounds: Sequence[Sound]) -> None:
    """Answer many recordings: a table of all, and one of them closely."""
    bar = st.progress(0.0, text="Listening")
    predictions = []
    for done, sound in enumerate(sounds):
        bar.progress(done / len(sounds), text=f"Listening to {sound.name}")
        predictions.append(answer.answer_to(choice, sound))
    bar.empty()
    table.tell_failures(predictions)
    table.show(predictions, choice.model.emotions, "listen")
    heard = [number for number, one in enumerate(predictions) if one.error is None]
    closely = st.selectbox(
        "Look closer at",
        heard,
        index=None,
        format_func=lambda number: f"{number + 1}. {sounds[number].name}",
        placeholder="a recording",
        key="listen closely",
    )
    if closely is not None:
        answer.show(choice, sounds[closely])


def _length_s(sound: Sound) -> float | None:
    """Return how long a recording lasts by its header, where that can be read; the answer tells the rest."""
    try:
        return audio.info(sound.file(), sound.name).duration_s
    except AudioError:
        return None
