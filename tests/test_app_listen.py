"""The first page of the app: what it draws is what the model says, and what goes wrong is a sentence."""

import io

import numpy as np
import pytest
import soundfile

import toy_model
from visited_pages import (
    EXAMPLES,
    calm,
    chart,
    figure,
    frames,
    note_downloads,
    pick,
    press,
    sound,
    upload,
    visit,
    wav,
    words_of,
)
from vocalics import emotions
from vocalics.app import charts, heard
from vocalics.recognition import formats
from vocalics.recognition.prediction import Prediction
from vocalics.recognition.recordings import read_recording
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_page import timeline_to_html

RATE = 16_000


@pytest.fixture
def downloads(monkeypatch):
    return note_downloads(monkeypatch)


def percent(share):
    """A share as the pages write it."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


# ---- ways in -----------------------------------------------------------------------------------------------


def test_a_newcomer_is_told_what_to_do_and_sees_no_answer(toy):
    at = visit("listen", models=(toy,))
    assert at.audio_input[0].label == "Record yourself"
    assert at.file_uploader[0].accept_multiple_files
    assert at.file_uploader[0].allowed_type == []  # whatever the audio door takes
    assert at.button_group[0].options == ["Calm sentence", "Excited sentence", "Call of two"]
    assert frames(at) == []


def test_a_recording_from_the_microphone_is_answered(toy, model, clip):
    at = visit("listen", models=(toy,))
    at = calm(at.audio_input[0].upload("audio.wav", clip.read_bytes()).run())
    assert f"Sounds {model.predict(clip).emotion}" in words_of(at)
    assert "your recording · 3.3 s · toy" in words_of(at)


def test_what_somebody_did_last_counts(toy, clip):
    at = pick(visit("listen", models=(toy,)), "Calm sentence")
    at = upload(at, clip)
    assert "woman.wav · 3.3 s" in words_of(at)
    assert at.button_group[0].value is None  # no pill looks pressed that is not heard
    at = pick(at, "Excited sentence")
    assert "excited sentence (synthetic)" in words_of(at)


def test_files_that_are_taken_back_are_gone(toy, clip):
    at = upload(visit("listen", models=(toy,)), clip)
    assert frames(calm(at.file_uploader[0].clear().run())) == []


def test_what_came_before_another_page_is_still_there_and_can_be_put_away(toy):
    at = visit("listen", models=(toy,))
    # So it is after another page: the session remembers, the widgets do not.
    at.session_state["listen taken"] = [sound("calm_sentence.mp3")]
    at = calm(at.run())
    assert "Still here: calm\\_sentence.mp3" in words_of(at)
    assert len(frames(at)) == 1
    assert frames(press(at, "Put away")) == []


# ---- one recording -----------------------------------------------------------------------------------------


def test_the_answer_is_the_models_in_words_bars_and_place(toy, model):
    at = pick(visit("listen", models=(toy,)), "Excited sentence")
    expected = model.predict(EXAMPLES / "excited_sentence.mp3")
    assert f"<h2>Sounds {expected.emotion}</h2>" in words_of(at)
    assert f"The model is {percent(expected.confidence)} sure." in words_of(at)
    bars = chart(at, "bars")
    assert bars == pytest.approx(expected.probabilities)
    assert list(bars)[-1] == expected.emotion  # Plotly's last bar is on top
    ring = figure(at, "plane")["data"][1]
    weighted = sum(p * emotions.get(name).valence for name, p in expected.probabilities.items())
    assert ring["x"] == pytest.approx([weighted])


def test_the_embedded_player_is_the_page_of_the_timeline(toy, model):
    at = pick(visit("listen", models=(toy,)), "Calm sentence")
    recording = read_recording(EXAMPLES / "calm_sentence.mp3")
    assert frames(at) == [timeline_to_html(timeline(recording, model), recording, frame="player")]


def test_the_answer_can_be_taken_along(toy, model, downloads):
    pick(visit("listen", models=(toy,)), "Calm sentence")
    (told,) = formats.json_to_predictions(downloads["calm sentence (synthetic).json"])
    expected = formats.rounded(model.predict(EXAMPLES / "calm_sentence.mp3"))
    assert (told.emotion, told.probabilities) == (expected.emotion, expected.probabilities)


def test_an_answer_that_the_model_does_not_vouch_for_is_hatched_and_says_so(tmp_path):
    unsure = toy_model.write(tmp_path / "unsure.onnx", abstain_below=0.99)
    at = pick(visit("listen", models=(unsure,)), "Calm sentence")
    assert "<h2>Not sure</h2>" in words_of(at)
    assert f"Under {percent(0.99)} this model does not vouch for an answer." in words_of(at)
    assert figure(at, "bars")["data"][0]["marker"]["pattern"]["shape"] == "/"


def test_silence_is_an_answer_and_can_be_listened_to(toy, no_speech):
    at = upload(visit("listen", models=(toy,)), no_speech)
    assert "Nobody speaks here" in words_of(at)
    assert len(at.get("plotly_chart")) == 0
    assert len(frames(at)) == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"this is a letter, no recording", "is not audio that can be decoded"),
        (wav(np.zeros(RATE // 8)), "lasts 0.12 s; at least 0.25 s is needed"),
        (wav(np.full(RATE, np.nan), subtype="FLOAT"), "NaN"),
    ],
    ids=["empty", "text", "too short", "not a number"],
)
def test_what_cannot_be_used_is_one_sentence(toy, data, sentence):
    at = upload(visit("listen", models=(toy,)), ("it_is_*mine*.wav", data))
    (told,) = at.error
    assert told.value.startswith("it\\_is\\_\\*mine\\*.wav")  # its name as it is, which Markdown would change
    assert sentence in told.value
    assert frames(at) == []


def test_a_recording_that_is_too_long_for_one_answer_is_told_where_it_belongs(toy):
    eleven_minutes = io.BytesIO()
    soundfile.write(eleven_minutes, np.zeros(660 * 8_000, np.int16), 8_000, format="FLAC")
    at = upload(visit("listen", models=(toy,)), ("lecture.flac", eleven_minutes.getvalue()))
    assert "lecture.flac lasts 11:00." in at.info[0].value
    assert (list(at.error), frames(at)) == ([], [])


def test_a_name_cannot_become_markup(toy, clip):
    name = "<img src=x onerror=alert(1)>.wav"
    at = upload(visit("listen", models=(toy,)), (name, clip.read_bytes()))
    (html,) = [one.proto.body for one in at.get("html")]
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.wav" in html


def test_the_same_recording_is_heard_once_in_a_session(toy, monkeypatch):
    names, predict = [], heard.predict
    monkeypatch.setattr(
        "vocalics.app.answer.predict", lambda model, one: names.append(one.name) or predict(model, one)
    )
    at = pick(visit("listen", models=(toy,)), "Calm sentence")
    calm(at.run())
    pick(pick(at, "Excited sentence"), "Calm sentence")
    assert names == ["calm sentence (synthetic)", "excited sentence (synthetic)"]


def test_two_models_of_one_name_are_told_apart(toy, tmp_path):
    twin = toy_model.write(tmp_path / "twin.onnx")
    at = visit("listen", models=(toy, twin))
    assert at.selectbox[0].options == ["toy", "toy (twin.onnx)", "vocalics"]


# ---- many recordings ---------------------------------------------------------------------------------------


def test_one_broken_file_of_many_does_not_stop_the_others(toy, model, clip, no_speech):
    files = [clip, ("broken.mp3", b"no sound at all"), no_speech, ("empty.wav", b"")]
    at = upload(visit("listen", models=(toy,)), *files)
    table = at.dataframe[0].value
    assert list(table["recording"]) == ["woman.wav", "broken.mp3", "no_speech.wav", "empty.wav"]
    expected = model.predict(clip)
    assert table["emotion"][0] == expected.emotion
    assert table["sure"][0] == pytest.approx(100 * expected.confidence)
    assert list(table["note"][1:]) == ["not heard", "no speech", "not heard"]
    (warned,) = at.warning
    assert "broken.mp3 is not audio" in warned.value
    assert "empty.wav is empty" in warned.value
    assert f"**4 recordings:** 1 {expected.emotion}, 2 not heard and 1 without speech." in words_of(at)


def test_the_table_as_csv_is_the_one_of_predict(toy, model, clip, no_speech, downloads):
    upload(visit("listen", models=(toy,)), clip, ("broken.mp3", b"no sound"), no_speech)
    told = formats.csv_to_predictions(downloads["emotions.csv"])
    assert [one.path for one in told] == ["woman.wav", "broken.mp3", "no_speech.wav"]
    assert told[0].probabilities == formats.rounded(model.predict(clip)).probabilities
    assert told[1].error.startswith("broken.mp3 ")
    assert (told[2].emotion, told[2].reason) == (None, "no speech")


def test_one_of_many_can_be_looked_at_closely(toy, clip, no_speech):
    at = upload(visit("listen", models=(toy,)), clip, ("broken.mp3", b"no sound"), no_speech)
    (closely,) = [one for one in at.selectbox if one.label == "Look closer at"]
    assert closely.options == [
        "1. woman.wav",
        "3. no_speech.wav",
    ]  # there is nothing to see of the broken one
    at = calm(closely.select_index(0).run())
    assert "woman.wav · 3.3 s · toy" in words_of(at)
    assert len(frames(at)) == 1


def test_a_hundred_failures_are_not_a_hundred_sentences(toy):
    files = [(f"{n}.wav", b"") for n in range(12)]
    at = upload(visit("listen", models=(toy,)), *files)
    (warned,) = at.warning
    assert warned.value.count("is empty") == 10
    assert warned.value.endswith("and 2 more.")


# ---- what the network heard --------------------------------------------------------------------------------


def test_windows_lie_side_by_side_and_cover_the_recording_once(model):
    # The toy model hears 1 s; of 2.5 s the third window reaches back over half of the second.
    tone = np.sin(2 * np.pi * 500 * np.arange(round(2.5 * RATE)) / RATE)
    seen = heard.hear(model, sound("tone.wav", wav(0.5 * tone)))
    assert seen.duration_s == 2.5
    steps_s = np.diff(seen.picture_s)
    assert (steps_s > 0).all()
    assert steps_s.max() < 1.6 * np.median(steps_s)  # no gap where windows meet
    n_frames = 1 + (RATE - toy_model.FRAME) // toy_model.HOP
    assert len(seen.picture_s) == pytest.approx(2.5 * n_frames, abs=1)
    assert seen.picture.shape == (len(toy_model.FREQUENCIES_HZ), len(seen.picture_s))
    assert seen.attention.mean() == pytest.approx(1.0, rel=0.05)  # multiples of an even share


def test_a_long_picture_is_averaged_and_keeps_its_time(model, monkeypatch):
    monkeypatch.setattr(heard, "MOST_COLUMNS", 10)
    tone = np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)
    seen = heard.hear(model, sound("tone.wav", wav(0.5 * tone)))
    assert len(seen.picture_s) <= 10
    assert seen.picture_s.mean() == pytest.approx(1.0, abs=0.05)  # the middle of 2 s


def test_the_cards_mel_bands_are_known_and_other_features_are_not(model):
    import vocalics

    card = vocalics.load().card
    (only,) = card.training["recipe"]["features"]["stack"]
    assert heard.mel_edges(card, 64) == (only["fmin"], 8000.0)
    assert heard.mel_edges(card, 63) is None
    assert heard.mel_edges(model.card, 6) is None


def test_a_kilohertz_stands_where_its_filter_is():
    places, written = charts._mel_ticks((0.0, 8000.0), 64)
    assert written == ["0.5", "1", "2", "4", "8"]
    # By Slaney's scale 1 kHz is 15 mel, 8 kHz 15 + 27 log(8) / log(6.4); filter k is centred on (k + 1) / 65.
    highest = 15 + 27 * np.log(8) / np.log(6.4)
    assert places[1] == pytest.approx(15 / highest * 65 - 1)
    assert places[-1] == pytest.approx(64)  # the upper edge, one beyond the last filter


# ---- colours -----------------------------------------------------------------------------------------------


def test_an_emotion_has_its_colour_wherever_it_is_drawn():
    answer = Prediction("a.wav", "sad", 0.6, {"sad": 0.6, "calm": 0.4})
    for drawn in (charts.bars(answer), charts.paired_bars([("one", answer)], ["calm", "sad"])):
        bars = drawn.data[0]
        assert list(bars.marker.color) == [emotions.color(name) for name in bars.y]
    circles = charts.plane(answer.probabilities).data[0]
    assert list(circles.marker.color) == [emotions.color(name) for name in circles.text]


def test_an_emotion_without_a_place_has_no_plane():
    assert charts.plane({"sad": 0.5, "bored": 0.5}) is None


def test_no_colour_is_one_that_streamlit_takes_for_a_name():
    # It replaces #000001 and so on by colours of its theme, so the black of Plotly's Magma came out pink.
    assert [color for color in charts.MAGMA if color.startswith("#0000")] == []
