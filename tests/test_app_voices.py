"""The app's page for voices and models: what adaptation changes, and two models side by side."""

import pytest
import soundfile

import toy_model
import vocalics
from visited_pages import EXAMPLES, calm, chart, pick, press, upload, visit, wav, words_of
from vocalics import emotions
from vocalics.app import words

CALM, EXCITED = EXAMPLES / "calm_sentence.mp3", EXAMPLES / "excited_sentence.mp3"


@pytest.fixture
def adapted(model):
    """The toy model that knows the voice of the examples."""
    return model.adapt([CALM, EXCITED])


@pytest.fixture
def alone(monkeypatch):
    """An installation without a bundled model."""
    monkeypatch.setattr("vocalics.app.models.list_models", dict)


def test_the_bars_are_those_without_and_with_the_voice(toy, model, adapted):
    at = pick(visit("voices", models=(toy,)), "2 sentences")
    assert chart(at, "pair", 0) == pytest.approx(model.predict(CALM).probabilities)
    assert chart(at, "pair", 1) == pytest.approx(adapted.predict(CALM).probabilities)
    assert "With 2 sentences this voice weighs 33\N{NO-BREAK SPACE}%" in words_of(at)  # 2 / (2 + 4)


def test_sentences_are_recorded_one_after_the_other(toy, clips):
    at = visit("voices", models=(toy,))
    for number, one in enumerate(clips[:2], start=1):
        samples, rate = soundfile.read(one)
        at = calm(at.audio_input[0].upload("audio.wav", wav(samples, rate)).run())
        assert f"With {number} sentence" in words_of(at)
    assert "your recording 1, your recording 2" in words_of(at)
    assert "your recording" not in words_of(press(at, "Begin anew"))


def test_other_recordings_of_the_voice_can_be_heard(toy, adapted, clip):
    at = pick(visit("voices", models=(toy,)), "2 sentences")
    at = upload(at, clip, where=1)
    assert chart(at, "pair", 1) == pytest.approx(adapted.predict(clip).probabilities)


def test_sentences_without_speech_are_a_sentence(toy, no_speech):
    at = upload(visit("voices", models=(toy,)), no_speech)
    assert "None of 1 recordings to adapt with can be used" in at.error[0].value


def test_a_voice_that_is_kept_answers_on_the_other_pages(toy, adapted, clip):
    at = pick(visit("voices", "listen", models=(toy,)), "2 sentences")
    at = press(at, "Keep this voice for the other pages")
    (chosen,) = [one for one in at.selectbox if one.key == "model"]
    assert chosen.value == "toy, this voice, 2 sentences"
    at = upload(at, clip, where=2)  # the uploader of the page below
    assert chart(at, "bars") == pytest.approx(adapted.predict(clip).probabilities)


def test_a_voice_is_not_adapted_to_another_voice(toy):
    at = press(pick(visit("voices", models=(toy,)), "2 sentences"), "Keep this voice for the other pages")
    (plain,) = [one for one in at.selectbox if one.key == "plain model"]
    assert plain.options == ["toy", "vocalics"]


def test_with_one_model_there_is_nothing_to_compare_but_a_way_to_add_one(toy, alone):
    at = pick(visit("voices", models=(toy,)), "Compare two models")
    assert "Here is one model." in at.info[0].value
    assert at.file_uploader[0].allowed_type == [".onnx"]


def test_without_any_model_there_is_one_sentence(alone):
    assert "No model is bundled with this installation" in visit("voices").error[0].value


def test_a_model_file_that_changed_is_asked_anew(tmp_path, alone):
    path = toy_model.write(tmp_path / "one.onnx")
    at = pick(visit("listen", models=(path,)), "Calm sentence")
    assert "Not sure" not in words_of(at)
    toy_model.write(path, abstain_below=0.999)
    assert "Not sure" in words_of(calm(at.run()))


def test_two_models_are_heard_side_by_side(toy, model):
    at = pick(pick(visit("voices", models=(toy,)), "Compare two models"), "Excited sentence")
    toys, bundled = model.predict(EXCITED), vocalics.load().predict(EXCITED)
    assert words.title(toys) in words_of(at)
    assert words.title(bundled) in words_of(at)
    assert list(chart(at, "pair", 0)) == list(emotions.EMOTIONS)
    known = {name: share for name, share in chart(at, "pair", 0).items() if share is not None}
    assert known == pytest.approx(toys.probabilities)  # it knows four of the eight
    assert chart(at, "pair", 1) == pytest.approx(bundled.probabilities)


def test_many_recordings_are_compared_in_a_table(toy, model, clips):
    at = pick(visit("voices", models=(toy,)), "Compare two models")
    at = upload(at, *clips[:3], ("broken.wav", b"no"), where=1)
    table = at.dataframe[0].value
    assert list(table["recording"]) == [one.name for one in clips[:3]]
    answers = [(model.predict(one).emotion, vocalics.load().predict(one).emotion) for one in clips[:3]]
    assert list(table["same"]) == ["yes" if first == second else "no" for first, second in answers]
    same = sum(first == second for first, second in answers)
    assert f"The same answer for {same} of 3 recordings." in words_of(at)
    assert "broken.wav" in at.warning[0].value


def test_a_model_file_can_be_added(toy, tmp_path, alone):
    other = toy_model.write(tmp_path / "other.onnx", name="other")
    at = upload(pick(visit("voices", models=(toy,)), "Compare two models"), other)
    assert at.selectbox[0].options == ["toy", "other (other.onnx)"]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("bad.onnx", lambda whole: whole[:2000], "bad.onnx is damaged or was cut short"),
        ("pickle.onnx", lambda whole: b"\x80\x04\x95", "pickle.onnx is a Python or Keras file"),
        ("empty.onnx", lambda whole: b"", "The model file 'empty.onnx' is empty"),
    ],
    ids=["cut short", "pickle", "empty"],
)
def test_a_file_that_is_no_model_is_a_sentence_with_its_name(toy, name, data, sentence):
    at = pick(visit("voices", models=(toy,)), "Compare two models")
    at = upload(at, (name, data(toy.read_bytes())))
    assert at.error[0].value.startswith(sentence)
