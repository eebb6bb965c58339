"""What the pages say in several places."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st

from vocalics.card import ModelCard
from vocalics.errors import VocalicsError
from vocalics.recognition.prediction import Prediction

#: How a voice sounds that shows an emotion, where that is another word than the emotion's own.
_SOUNDS = {"disgust": "disgusted"}

#: Names of languages; a code that is not here stays a code.
_LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "zh": "Chinese",
}


def adjective(emotion: str) -> str:
    """Return the word for how a voice sounds.

    Examples
    --------
    >>> adjective("disgust"), adjective("sad")
    ('disgusted', 'sad')
    """
    return _SOUNDS.get(emotion, emotion)


def percent(share: float) -> str:
    """Return a share as people read it, with a blank that does not break.

    Examples
    --------
    >>> percent(0.684).split()
    ['68', '%']
    """
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> listed(["sad"]), listed(["sad", "calm"]), listed(["a", "b", "c"])
    ('sad', 'sad and calm', 'a, b and c')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def capitalised(sentence: str, name: str | None) -> str:
    """Return a sentence with a capital letter, unless it begins with the name of a file.

    Examples
    --------
    >>> capitalised("a.wav is empty.", "a.wav"), capitalised("there is no model.", None)
    ('a.wav is empty.', 'There is no model.')
    """
    return sentence if name and sentence.startswith(name) else sentence[:1].upper() + sentence[1:]


def plain(text: str) -> str:
    r"""Return text that Markdown shows as it is, such as the name of a file.

    Examples
    --------
    >>> print(plain("a*b*.wav costs $5"))
    a\*b\*.wav costs \$5
    """
    return re.sub(r"([\\`*_\[\]$<>#~|]|:(?=\w))", r"\\\1", text)


def clock(time_s: float) -> str:
    """Return a time of a recording.

    Examples
    --------
    >>> clock(7.2), clock(754), clock(3600)
    ('0:07', '12:34', '1:00:00')
    """
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def languages(card: ModelCard) -> str:
    """Name the languages that a model learnt from."""
    return listed(sorted(_LANGUAGES.get(code, code) for code in card.languages)) if card.languages else ""


def title(prediction: Prediction) -> str:
    """Say the answer in a few words."""
    if prediction.error is not None:
        return "This cannot be heard"
    if prediction.emotion is None:
        return "Nobody speaks here"
    if prediction.abstained:
        return "Not sure"
    return f"Sounds {adjective(prediction.emotion)}"


def sentence(prediction: Prediction, abstain_below: float) -> str:
    """Say how sure the answer is, or why there is none."""
    if prediction.error is not None:
        return capitalised(prediction.error, prediction.path)
    if prediction.emotion is None:
        return (
            "The detector found no speech in this recording. Speak nearer to the microphone, or choose "
            "another recording."
        )
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    second = f"Next comes {ranked[1][0]}, {percent(ranked[1][1])}." if len(ranked) > 1 else ""
    sure = percent(prediction.confidence or 0.0)
    if prediction.abstained:
        return (
            f"Nearest is {prediction.emotion}, with {sure}. Under {percent(abstain_below)} this model does "
            f"not vouch for an answer. {second}"
        )
    return f"The model is {sure} sure. {second}"


@contextmanager
def errors_told(name: str | None = None) -> Iterator[None]:
    """Turn an error that people can do something about into a sentence on the page; `name` as there."""
    try:
        yield
    except VocalicsError as error:
        st.error(plain(capitalised(str(error), name)), icon=":material/error:")


def footer(card: ModelCard) -> None:
    """Say at the end of a page what nobody should forget."""
    spoken = languages(card)
    kind = "acted speech" if any("acted" in limit for limit in card.limits) else "speech"
    learnt = f"{kind} in {spoken}" if spoken else f"{kind} in a language that its card does not name"
    st.divider()
    st.caption(
        f"It tells what a voice sounds like, not what a person feels. The model '{plain(card.name)}' learnt "
        f"from {learnt}; elsewhere it errs more. Not for decisions about people: at work and in education "
        "the EU forbids inferring emotions, but for medical or safety reasons (AI Act, Article 5). "
        "Recordings stay in this machine's memory and go when you close the page. More under **About**."
    )
