import os

from hypothesis import given
from hypothesis import strategies as st

from vocalics.recognition import formats
from vocalics.recognition.prediction import Prediction


@st.composite
def predictions(draw):
    # A cell of a CSV table cannot tell "" from nothing, and what is not Unicode has no place in UTF-8.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    share = st.integers(0, 10**6).map(lambda millionths: millionths / 10**6)  # six decimals are kept
    emotion = draw(st.none() | st.sampled_from(["sad", "calm"]))
    return Prediction(
        path=draw(text),
        emotion=emotion,
        confidence=None if emotion is None else draw(share),
        probabilities={} if emotion is None else {"sad": draw(share), "calm": draw(share)},
        abstained=draw(st.booleans()),
        reason=draw(st.none() | text),
        duration_s=draw(st.none() | st.integers(0, 10**6).map(lambda ms: ms / 1000)),
        model=draw(text),
        error=draw(st.none() | text),
    )


@given(st.lists(predictions(), max_size=4))
def test_predictions_survive_every_format(some):
    assert formats.json_to_predictions("".join(formats.predictions_to_json(some))) == some
    assert formats.jsonl_to_predictions("".join(formats.predictions_to_jsonl(some))) == some
    table = "".join(formats.predictions_to_csv(some, ["sad", "calm"]))
    assert formats.csv_to_predictions(table) == some


def test_a_file_name_that_is_not_unicode_comes_back_from_json():
    odd = Prediction(os.fsdecode(b"caf\xe9.wav"), None, None, error="x")
    text = "".join(formats.predictions_to_jsonl([odd]))
    assert text.encode()  # it is UTF-8
    assert formats.jsonl_to_predictions(text) == [odd]
    assert "".join(formats.predictions_to_csv([odd], [])).encode()


def test_names_in_other_scripts_stay_readable_in_json():
    assert "日本語.wav" in "".join(formats.predictions_to_jsonl([Prediction("日本語.wav", None, None)]))
