"""The page that says what this is, what it cannot know, what the law says, and what the model's card says."""

from typing import Any

import streamlit as st

import vocalics
from vocalics.app import models, words
from vocalics.app.settings import LARGEST_UPLOAD_MB, Settings
from vocalics.card import ModelCard

_CANNOT = """
- **It hears a voice, not a person.** It says which emotion a voice is most like, as actors play it. What
  somebody feels, means or intends is not in the sound.
- **It learnt from acted speech.** Actors overdo. Everyday emotion is weaker, mixed, and often not to be
  heard.
- **It knows the languages it was trained on.** In others, with other microphones, with children or an ill
  voice it errs more, and its confidence is less to be trusted.
- **It errs**, also where it is sure. Look at its figures below before you believe an answer.
- **It is not for decisions about people**: whom to hire, help, believe, grade, insure or watch.
"""

_LAW = """
In the European Union, Article 5 of the AI Act forbids systems that infer the emotions of people **at work
and in education**, but for medical or safety reasons. Whoever runs a call centre, hires, teaches or
examines must look at the law before pointing this at anybody. Where such a system is allowed, people must
be told of it (Article 50). A recording of a voice is personal data. Other countries have laws of their own.
This is no legal advice.
"""

_PRIVACY = f"""
- Recordings are heard **on the machine that runs this page** and sent nowhere else. The page loads nothing
  from other servers, counts nobody, and works without a network.
- They stay in that machine's memory while the page is open, and go a minute after it was closed. What is
  larger than a megabyte passes through a nameless temporary file on its way in. A file may have up to
  {LARGEST_UPLOAD_MB} MB.
- What you download is yours to keep or delete.
"""

_KEYS = """
Everything can be reached with **Tab** and pressed with **Space** or **Enter**. In a player, once it has the
focus, Space plays and pauses, ← and → move by five seconds, + − 0 zoom, Tab goes from segment to segment, and
Enter plays one. Light or dark follows your system; the menu at the top right has both.
"""


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("About")
    st.markdown(
        "vocalics says which emotion a voice sounds like, how sure that is, and when. It is free software, "
        "and its model can be replaced by one of your own."
    )
    st.subheader("What it cannot know")
    st.markdown(_CANNOT)
    st.subheader("The law")
    st.markdown(_LAW)
    st.subheader("Your recordings")
    st.markdown(_PRIVACY)
    st.subheader("The model")
    _card(models.choose(settings).model.card)
    st.subheader("Keys, light and dark")
    st.markdown(_KEYS)
    st.caption(f"vocalics {vocalics.__version__}")


def _card(card: ModelCard) -> None:
    st.markdown(f"**{words.plain(card.name)}**: {words.plain(card.description)}")
    speakers = card.training.get("speakers")
    about = {
        "Answers": words.listed(card.emotions),
        "Languages": words.languages(card) or "not stated",
        "Trained on": _trained_on(speakers) if isinstance(speakers, dict) else "not stated",
        "Hears at once": f"{card.minimum_s:g} to {card.window_s:g} s, up to {card.bandwidth_hz / 1000:g} kHz",
        "Abstains": f"under {words.percent(card.abstain_below)}",
        "Size": f"{card.parameters:,} parameters",
        "Licence": card.licence,
        "Limits": " ".join(card.limits) or "not stated",
    }
    st.markdown("\n".join(f"- **{key}:** {words.plain(value)}" for key, value in about.items()))
    rows = [_figures(name, one) for name, one in card.evaluation.items() if isinstance(one, dict)]
    rows = [row for row in rows if row]
    if rows:
        st.markdown(
            "How well it did on speakers whom it had never heard. UAR is the mean, over the emotions, of "
            "the share that was recognised; guessing gets one divided by their number."
        )
        st.dataframe(rows, hide_index=True, alt="Figures of the model on each corpus")
    note = card.evaluation.get("note")
    if isinstance(note, str):
        st.caption(words.plain(note))


def _trained_on(speakers: dict[str, list[str]]) -> str:
    return words.listed(f"{corpus} ({len(names)} speakers)" for corpus, names in speakers.items())


def _figures(name: str, one: dict[str, Any]) -> dict[str, Any]:
    """Return a row of figures; nothing where the card has none of the kind."""
    uar = one.get("uar")
    if not isinstance(uar, dict) or uar.get("mean") is None:
        return {}
    low, high = uar.get("low"), uar.get("high")
    accuracy = one.get("accuracy")
    return {
        "measured on": name,
        "UAR": words.percent(uar["mean"]),
        "95 % interval": f"{words.percent(low)} to {words.percent(high)}" if low and high else "",
        "accuracy": words.percent(accuracy["mean"]) if isinstance(accuracy, dict) else "",
        "speakers": one.get("speakers"),
        "clips": one.get("clips"),
    }
