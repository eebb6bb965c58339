"""One answer in words and pictures."""

from html import escape
from pathlib import Path

import streamlit as st

from vocalics import emotions
from vocalics.app import charts, look, words
from vocalics.app.heard import Heard, hear, player, predict
from vocalics.app.memory import remembered
from vocalics.app.models import Choice
from vocalics.app.take import Sound
from vocalics.recognition.formats import predictions_to_json
from vocalics.recognition.prediction import Prediction

#: How many answers a session remembers; each takes about a kilobyte.
MOST_ANSWERS = 5_000


def answer_to(choice: Choice, sound: Sound) -> Prediction:
    """Ask the model, once in a session."""
    return remembered(
        "answer", (choice.key, sound.key), lambda: predict(choice.model, sound), most=MOST_ANSWERS
    )


def show(choice: Choice, sound: Sound) -> None:
    """Draw all that there is to say of one recording."""
    prediction = answer_to(choice, sound)
    if prediction.error is not None:
        st.error(words.plain(words.sentence(prediction, 0.0)), icon=":material/hearing_disabled:")
        return
    if prediction.emotion is None:
        headline(prediction, choice, about(prediction, sound.name, choice.label))
        listen_to(choice, sound)
        return
    left, right = st.columns([1.25, 1], gap="large", vertical_alignment="center")
    with left:
        headline(prediction, choice, about(prediction, sound.name, choice.label))
        st.plotly_chart(
            charts.bars(prediction), config=charts.CONFIG, key=f"bars {sound.key}", alt=spoken(prediction)
        )
    with right:
        placed = charts.plane(prediction.probabilities)
        if placed is not None:
            says = "The emotions on a plane of valence and arousal, and a ring where this voice lies"
            st.plotly_chart(placed, config=charts.CONFIG, key=f"plane {sound.key}", alt=says)
    listen_to(choice, sound)
    what_was_heard(choice, sound)
    how_to_read(choice)
    st.download_button(
        "Download this answer (JSON)",
        "".join(predictions_to_json([prediction])),
        file_name=f"{Path(sound.name).stem}.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def about(prediction: Prediction, *parts: str) -> str:
    """Say what an answer is about, and how long that lasts."""
    length = [] if prediction.duration_s is None else [f"{prediction.duration_s:.1f} s"]
    return " · ".join([*parts[:1], *length, *parts[1:]])


def headline(prediction: Prediction, choice: Choice, of: str) -> None:
    """Say the answer in large words, and in small ones what it is the answer `of`."""
    color = emotions.color(prediction.emotion) if prediction.emotion else look.GREY
    held = " held" if prediction.abstained else ""
    st.html(
        f'<div class="answer"><span class="mark{held}" style="--color: {color}"></span>'
        f'<div><p class="of">{escape(of)}</p>'
        f"<h2>{escape(words.title(prediction))}</h2>"
        f"<p>{escape(words.sentence(prediction, choice.model.card.abstain_below))}</p></div></div>"
    )


def spoken(prediction: Prediction) -> str:
    """Say the probabilities to somebody who cannot see them."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    return "Probabilities: " + ", ".join(f"{name} {words.percent(share)}" for name, share in ranked)


def listen_to(choice: Choice, sound: Sound) -> None:
    """Embed a player that shows the waveform in the colours of the emotions, and where one is."""
    st.subheader("Listen")
    page, height_px = remembered(
        "player", (choice.key, sound.key), lambda: player(choice.model, sound), most=4
    )
    st.iframe(page, height=height_px, alt=f"Player and waveform of {sound.name}")


def what_was_heard(choice: Choice, sound: Sound) -> None:
    """Draw the spectrogram inside the model and its attention."""
    st.subheader("What the model heard")
    seen: Heard = remembered("heard", (choice.key, sound.key), lambda: hear(choice.model, sound), most=4)
    says = "The features inside the model over time" + (
        "" if seen.attention is None else ", and its attention"
    )
    st.plotly_chart(charts.heard(seen), config=charts.CONFIG, key=f"heard {sound.key}", alt=says)


def how_to_read(choice: Choice) -> None:
    """Explain every picture, for whoever wants that."""
    card = choice.model.card
    hatched = f" Under {words.percent(card.abstain_below)} the model abstains, and they are hatched."
    with st.expander("How to read this", icon=":material/help:"):
        st.markdown(
            f"""
- **The bars** are probabilities, together 100 %. They were calibrated on speech like that which the model
  learnt from; on other speech they are less to be trusted.{hatched if card.abstain_below else ""}
- **The plane** shows where the emotions conventionally lie, pleasant at the right, excited at the top. The
  larger a circle, the more probable. The ring is their weighted mean, and no measurement.
- **The waveform** has the colour of the emotion that is heard there; below it are the probabilities over
  time. For these the model hears a few seconds at once, for the answer above up to {card.window_s:g} s, so
  the two can differ.
- **What the model heard** are the features inside it; in the bundled model bands of frequency, low ones at
  the bottom. Bright is loud.
- **Attention** is how the network weighs the moments: 2× is twice an even share. It is a step inside the
  network, and no evidence of what the answer hangs on.
"""
        )
