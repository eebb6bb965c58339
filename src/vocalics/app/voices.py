"""The page for voices and models: adapt to a voice and see what changes; hear two models side by side."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from vocalics import emotions
from vocalics.app import answer, charts, models, table, words
from vocalics.app.memory import remembered
from vocalics.app.models import Choice
from vocalics.app.settings import Settings
from vocalics.app.take import EXAMPLES, RECORDED, Sound, example, take
from vocalics.recognition.head import SHRINKAGE
from vocalics.recognition.model import Model
from vocalics.recognition.prediction import Prediction

_ADAPT, _COMPARE = "Adapt to a voice", "Compare two models"

#: Examples of one voice.
_ONE_VOICE = ("Calm sentence", "Excited sentence")

#: Where the session keeps sentences that were recorded one by one, and how often somebody began anew.
_SENTENCES, _ROUND = "voices sentences", "voices round"


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("Voices and models")
    what = st.segmented_control(
        "What",
        [_ADAPT, _COMPARE],
        default=_ADAPT,
        required=True,
        key="voices what",
        persist_state="session",
        label_visibility="collapsed",
    )
    choice = _compare(settings) if what == _COMPARE else _adapt(settings)
    words.footer(choice.model.card)


# ---- adapt -------------------------------------------------------------------------------------------------


def _adapt(settings: Settings) -> Choice:
    st.markdown(
        "Some voices sound sad when they are not, some always a little angry. From a few sentences of a "
        "person, in different moods if you can, the model learns what is usual for this voice. Nobody "
        "needs to say which mood it was."
    )
    choice = models.choose(settings, key="plain model", adapted=False)
    st.subheader("1. A few sentences of this person")
    sentences = _sentences()
    if not sentences:
        return choice
    with words.errors_told():
        _show_adapted(choice, sentences)
    return choice


def _show_adapted(choice: Choice, sentences: Sequence[Sound]) -> None:
    st.subheader("2. What changes")
    adapted = _adapted(choice, sentences)
    with st.expander("Listen to other recordings of this person", icon=":material/add:"):
        others = take("adapt", _ONE_VOICE)
    _show_sets(others or sentences, [("as for everybody", choice), ("adapted to this voice", adapted)])
    kept = Choice(f"{choice.label}, {adapted.label}", adapted.key, adapted.model)
    if st.button(
        "Keep this voice for the other pages",
        icon=":material/bookmark_add:",
        on_click=partial(models.keep, kept, choose=True),
        key="adapt keep",
    ):
        st.success(f"'{kept.label}' is now the model of every page, until you choose another.")


def _sentences() -> list[Sound]:
    """Gather sentences: each recording is added to those before it."""
    turn: int = st.session_state.setdefault(_ROUND, 0)
    recorded: list[Sound] = st.session_state.setdefault(_SENTENCES, [])
    left, right = st.columns(2, gap="medium")
    with left:
        new = st.audio_input("Record a sentence, then the next", key=f"adapt microphone {turn}")
    with right:
        uploaded = st.file_uploader(
            "Open recordings of this person", accept_multiple_files=True, key=f"adapt files {turn}"
        )
    if new is not None:
        sound = Sound(f"{RECORDED} {len(recorded) + 1}", new.getvalue())
        if sound.data not in [one.data for one in recorded]:
            recorded.append(sound)
    synthetic = st.pills(
        "Or try a synthetic voice",
        [f"{len(_ONE_VOICE)} sentences"],
        key=f"adapt example {turn}",
        persist_state="session",
    )
    sentences = [*recorded, *(Sound(file.name, file.getvalue()) for file in uploaded)]
    sentences += [example(label) for label in _ONE_VOICE] if synthetic else []
    if sentences:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{_count(len(sentences))}:** {words.plain(', '.join(one.name for one in sentences[:6]))}"
                f"{' and more' if len(sentences) > 6 else ''}."
            )
            st.button(
                "Begin anew", key="adapt anew", icon=":material/restart_alt:", on_click=_forget_sentences
            )
    return sentences


def _forget_sentences() -> None:
    st.session_state[_ROUND] += 1  # widgets under new names are empty
    st.session_state[_SENTENCES] = []


def _adapted(choice: Choice, sentences: Sequence[Sound]) -> Choice:
    """Adapt the model, once for the same sentences, and say by how much they count."""
    keys = (choice.key, *(one.key for one in sentences))
    model: Model = remembered(
        "adapted", keys, lambda: choice.model.adapt([one.file() for one in sentences]), most=4
    )
    n_clips = model.adapted_clips
    share = n_clips / (n_clips + SHRINKAGE)
    left_out = len(sentences) - n_clips
    st.markdown(
        f"With {_count(n_clips)} this voice weighs {words.percent(share)} and everybody else's the rest."
        + (f" {_count(left_out)} could not be used: no speech, or no recording." if left_out else "")
        + " Sentences in one mood alone can make the answers worse."
    )
    return Choice(f"this voice, {_count(n_clips)}", keys, model)


def _count(n: int) -> str:
    return f"{n} sentence{'' if n == 1 else 's'}"


# ---- compare -----------------------------------------------------------------------------------------------


def _compare(settings: Settings) -> Choice:
    st.markdown(
        "Let two models hear the same recordings: the bundled one and a file of your own, or one model as "
        "it is and adapted to a voice."
    )
    _add_model()
    if len(models.list_choices(settings)) < 2:
        st.info(
            "Here is one model. Add another above, adapt this one to a voice, or start the page with more: "
            "`vocalics app --model other.onnx`.",
            icon=":material/info:",
        )
        return models.choose(settings)
    left, right = st.columns(2, gap="medium")
    with left:
        first = models.choose(settings, "One model", "first model")
    with right:
        second = models.choose(settings, "The other", "second model", index=1)
    sounds = take("compare", list(EXAMPLES))
    if sounds:
        st.divider()
        _show_sets(sounds, [(first.label, first), (second.label, second)])
    return first


def _add_model() -> None:
    """Let people add a model file for this session."""
    with st.expander("Add a model file", icon=":material/add:"):
        given = st.file_uploader(
            "An .onnx file that 'vocalics train' or 'vocalics export' wrote", type=["onnx"], key="compare add"
        )
    if given is None:
        return
    with words.errors_told(given.name):
        sound = Sound(given.name, given.getvalue())
        model = remembered("uploaded model", sound.key, partial(models.open_uploaded, sound))
        models.keep(Choice(f"{model.name} ({given.name})", sound.key, model))


# ---- both --------------------------------------------------------------------------------------------------


def _show_sets(sounds: Sequence[Sound], sets: Sequence[tuple[str, Choice]]) -> None:
    """Show what two models say of recordings, all in a table and one closely."""
    answers = [[answer.answer_to(choice, sound) for _, choice in sets] for sound in sounds]
    table.tell_failures([first for first, *_ in answers])
    usable = [number for number, (first, *_) in enumerate(answers) if first.error is None]
    if not usable:
        return
    closely = usable[0]
    if len(sounds) > 1:
        same = sum(first.emotion == second.emotion for first, second in (answers[n] for n in usable))
        st.markdown(f"The same answer for {same} of {len(usable)} recordings.")
        st.dataframe(
            [_row(answers[number], [name for name, _ in sets]) for number in usable],
            hide_index=True,
            alt="One row for each recording: what both say of it",
        )
        closely = st.selectbox(
            "Look closer at",
            usable,
            format_func=lambda number: f"{number + 1}. {sounds[number].name}",
            key=f"closely {sets[0][0]} {sets[1][0]}",
        )
    _show_closely(sounds[closely], answers[closely], sets)


def _show_closely(sound: Sound, both: Sequence[Prediction], sets: Sequence[tuple[str, Choice]]) -> None:
    for column, prediction, (name, choice) in zip(st.columns(2, gap="large"), both, sets, strict=True):
        with column:
            answer.headline(prediction, choice, answer.about(prediction, name))
    if all(one.probabilities for one in both):
        st.caption(f"Pale: {sets[0][0]}. Full: {sets[1][0]}.")
        named = [(name, one) for (name, _), one in zip(sets, both, strict=True)]
        says = "; ".join(f"{name}: {answer.spoken(one)}" for name, one in named)
        st.plotly_chart(
            charts.paired_bars(named, _labels(choice for _, choice in sets)),
            config=charts.CONFIG,
            key=f"pair {sound.key}",
            alt=says,
        )
    st.audio(sound.data)


def _labels(choices: Iterable[Choice]) -> list[str]:
    """List the emotions of several models, in the order of the vocabulary, others behind."""
    known = dict.fromkeys(label for choice in choices for label in choice.model.emotions)
    first = [name for name in emotions.EMOTIONS if name in known]
    return first + [name for name in known if name not in emotions.EMOTIONS]


def _row(both: Sequence[Prediction], names: Sequence[str]) -> dict[str, Any]:
    def said(prediction: Prediction) -> str:
        if prediction.emotion is None:
            return prediction.reason or ""
        sure = words.percent(prediction.confidence or 0.0)
        return f"{prediction.emotion} {sure}{' (unsure)' if prediction.abstained else ''}"

    first, second = both
    same = "yes" if first.emotion == second.emotion else "no"
    # Two models can have the same name.
    return {"recording": first.path, names[0]: said(first), f"{names[1]} ": said(second), "same": same}
