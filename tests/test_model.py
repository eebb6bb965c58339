import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import toy_model
from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import WINDOWS_AT_ONCE, Model
from vocalics.recognition.recordings import MAX_DURATION_S

# ONNX Runtime computes in float32: seven digits, of which sums over 400 samples and 98 frames leave five.
FLOAT32 = 1e-5


@pytest.fixture(scope="module")
def speech(clips):
    """Waveforms of all clips, decoded once."""
    return [audio.read(path) for path in clips]


def noise(n_windows, n_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, size=(n_windows, n_samples)).astype(np.float32)


# The graph, its head, and the way from a recording to its windows


def test_the_graph_answers_as_the_same_arithmetic_in_numpy(model):
    windows = noise(3, 8000)
    outputs = model.run(windows)
    for row, window in enumerate(windows):
        expected = toy_model.reference(window)
        assert outputs.probabilities[row] == pytest.approx(expected.probabilities, abs=FLOAT32)
        assert outputs.embedding[row] == pytest.approx(
            expected.embedding, abs=FLOAT32 * 10
        )  # values up to 10
        assert outputs.features[row] == pytest.approx(expected.features, abs=1e-3)  # log of small energies
        assert outputs.attention[row] == pytest.approx(expected.attention, abs=1e-3)


def test_the_head_in_numpy_equals_the_graph_on_every_clip(model, clips):
    head = AffineHead.from_card(model.card.head)
    for clip in clips:
        outputs = model.hear(clip)
        assert head.probabilities(outputs.embedding) == pytest.approx(outputs.probabilities, abs=FLOAT32)


def test_a_recording_is_mixed_resampled_and_cut_into_windows(model, clips):
    stereo = next(path for path in clips if path.stem == "two_on_a_call")  # 4.0 s, 2 channels, 16 kHz
    samples = audio.read(stereo).samples.mean(axis=0)
    last = len(samples) - 16_000  # the last window of 1 s ends where the clip ends
    starts = [0, 16_000, 32_000, last]
    expected = np.mean([toy_model.reference(samples[s : s + 16_000]).probabilities for s in starts], axis=0)
    assert list(model.predict(stereo).probabilities.values()) == pytest.approx(expected, abs=FLOAT32)


def test_a_clip_shorter_than_the_window_runs_at_its_own_length(model, speech):
    short = speech[0].samples[:, : speech[0].sample_rate // 2]  # half of the toy's window of 1 s
    resampled = Waveform(short, speech[0].sample_rate).resampled(16_000, 8000)
    outputs = model.hear(Waveform(short, speech[0].sample_rate))
    assert outputs.features.shape == (1, 6, 1 + (8000 - 400) // 160)
    expected = toy_model.reference(resampled.samples[0]).probabilities
    assert outputs.probabilities[0] == pytest.approx(expected, abs=FLOAT32)


def test_what_lies_above_the_bandwidth_is_not_heard(toy, tmp_path):
    narrow = Model.load(toy_model.write(tmp_path / "narrow.onnx", bandwidth_hz=2500.0))
    second = np.arange(48_000) / 48_000
    low, high = np.sin(2 * np.pi * 500 * second), np.sin(2 * np.pi * 4000 * second)
    mixed, pure = narrow.embed([(0.1 * (low + high), 48_000), (0.1 * low, 48_000)])
    wide = Model.load(toy).embed((0.1 * (low + high), 48_000))[0]
    assert mixed[5] == pytest.approx(pure[5], abs=0.1)  # log energy at 4 kHz
    assert wide[5] > pure[5] + 5  # 8.7 for every factor of ten in amplitude


def test_more_windows_than_run_at_once_give_the_answers_of_each_alone(model):
    windows = noise(WINDOWS_AT_ONCE + 3, 4000)
    together = model.run(windows)
    alone = [model.run(window[np.newaxis]).probabilities[0] for window in windows]
    assert together.probabilities == pytest.approx(np.stack(alone), abs=FLOAT32)
    assert together.features.shape == (WINDOWS_AT_ONCE + 3, 6, 23)


@pytest.mark.parametrize(
    "shape", [(16_000,), (1, 1, 16_000), (0, 16_000), (1, 3999)]
)  # 0.25 s is 4000 samples
def test_windows_of_another_shape_are_refused(model, shape):
    with pytest.raises(UsageError, match="n_samples >= 4000"):
        model.run(np.zeros(shape, np.float32))


def test_a_model_without_attention_says_none(tmp_path):
    plain = Model.load(toy_model.write(tmp_path / "plain.onnx", attention=False))
    assert plain.run(noise(1, 4000)).attention is None


# Predictions


def test_an_answer_names_the_most_probable_emotion(model, clip):
    prediction = model.predict(clip)
    assert prediction.emotion == max(prediction.probabilities, key=prediction.probabilities.get)
    assert prediction.confidence == prediction.probabilities[prediction.emotion]
    assert tuple(prediction.probabilities) == model.emotions
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=FLOAT32)
    assert (prediction.path, prediction.model, prediction.error) == (str(clip), "toy", None)
    assert prediction.duration_s == audio.read(clip).duration_s
    assert (prediction.abstained, prediction.reason) == (False, None)


def test_every_way_to_hand_over_a_recording_gives_the_same_answer(model, clip):
    waveform = audio.read(clip)
    pcm = (waveform.samples * 32768).round().astype(np.int16)  # the file has 16 bits
    ways = [clip, str(clip), clip.read_bytes(), io.BytesIO(clip.read_bytes()), waveform, (pcm, 16_000)]
    answers = [model.predict(way) for way in ways]
    assert {tuple(answer.probabilities.values()) for answer in answers} == {
        tuple(answers[0].probabilities.values())
    }
    assert [answer.path for answer in answers] == [str(clip), str(clip), None, None, None, None]


def test_a_list_gives_a_list_in_its_order(model, clips):
    answers = model.predict(reversed(clips))
    assert [answer.path for answer in answers] == [str(path) for path in reversed(clips)]
    assert model.predict([]) == []


def test_a_bad_recording_in_a_list_has_an_error_and_the_others_an_answer(model, clip, tmp_path):
    (tmp_path / "text.wav").write_text("not a wave")
    good, bad, missing, last = model.predict([clip, tmp_path / "text.wav", "missing.wav", clip])
    assert good.emotion == last.emotion == model.predict(clip).emotion
    for answer in (bad, missing):
        assert answer.emotion is None
        assert answer.error
        assert not answer.abstained
    assert "missing.wav" in missing.error


def test_a_bad_recording_alone_raises(model):
    with pytest.raises(AudioError, match=r"missing\.wav"):
        model.predict("missing.wav")


def test_a_clip_that_is_too_short_is_told_how_long_it_must_be(model):
    with pytest.raises(AudioError, match=r"lasts 0\.20 s; at least 0\.25 s is needed"):
        model.predict((np.zeros(3200), 16_000))
    (answer,) = model.predict([(np.zeros(3200), 16_000)])
    assert answer.duration_s == 0.2


def test_a_recording_longer_than_one_answer_may_stand_for_is_refused(model):
    with pytest.raises(AudioError, match="600 s"):
        model.predict(long_wav(MAX_DURATION_S + 1))


def long_wav(duration_s, sample_rate=8000):
    """The bytes of a silent wav of 8 bits."""
    n_samples = int(duration_s * sample_rate)
    form = (
        (16).to_bytes(4, "little") + b"\x01\0\x01\0" + sample_rate.to_bytes(4, "little") * 2 + b"\x01\0\x08\0"
    )
    header = b"RIFF" + (36 + n_samples).to_bytes(4, "little") + b"WAVEfmt " + form
    return header + b"data" + n_samples.to_bytes(4, "little") + bytes([128]) * n_samples


def test_no_speech_is_an_answer(model, no_speech):
    for silent in (no_speech, (np.zeros(16_000), 16_000), (noise(1, 32_000)[0], 16_000)):
        answer = model.predict(silent)
        assert (answer.emotion, answer.confidence, answer.probabilities) == (None, None, {})
        assert (answer.abstained, answer.reason, answer.error) == (True, "no speech", None)


def test_an_answer_under_the_threshold_keeps_its_emotion_and_abstains(model, clip):
    plain = model.predict(clip)
    above = model.predict(clip, abstain_below=plain.confidence + 1e-6)
    assert (above.abstained, above.reason, above.emotion) == (True, "low confidence", plain.emotion)
    assert model.predict(clip, abstain_below=plain.confidence) == plain  # a confidence that just reaches it


def test_the_card_says_when_to_abstain_unless_told_otherwise(toy, tmp_path, clip):
    careful = Model.load(toy_model.write(tmp_path / "careful.onnx", abstain_below=1.0))
    assert careful.predict(clip).abstained
    assert not careful.predict(clip, abstain_below=0).abstained


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_confidence_is_refused(model, clip, threshold):
    with pytest.raises(UsageError, match="from 0 to 1"):
        model.predict(clip, abstain_below=threshold)


@pytest.mark.parametrize("wrong", [3, [3.0, 4.0], None, ["a.wav", None], ("a.wav", 2.5)], ids=repr)
def test_what_is_no_recording_is_refused_with_what_may_be_given(model, wrong):
    with pytest.raises(UsageError, match="is not a recording; give a path"):
        model.predict(wrong)


def test_an_array_without_its_rate_is_refused(model):
    with pytest.raises(UsageError, match=r"give \(array, sample_rate\)"):
        model.predict(np.zeros(16_000))


def test_recordings_are_read_one_by_one_as_answers_are_taken(model, clip):
    asked = []

    def endless():
        while True:
            asked.append(clip)
            yield clip

    answers = model.predict_iter(endless())
    next(answers)
    next(answers)
    assert len(asked) == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_answer_depends_on_what_else_is_in_the_list(model, speech, data):
    """Random mixtures of clips and lengths, from a third of a window to four windows, against each alone."""
    spans = []
    for _ in range(data.draw(st.integers(2, 5))):
        clip = data.draw(st.sampled_from(speech))
        n_samples = data.draw(st.integers(int(0.3 * clip.sample_rate), clip.n_samples))
        start = data.draw(st.integers(0, clip.n_samples - n_samples))
        spans.append(Waveform(clip.samples[:, start : start + n_samples], clip.sample_rate))
    for together, alone in zip(model.predict(spans), map(model.predict, spans), strict=True):
        assert together.emotion == alone.emotion
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


# Embeddings and adaptation


def test_an_embedding_is_the_mean_over_the_windows(model, clips):
    embeddings = model.embed(clips)
    assert embeddings.shape == (len(clips), 6)
    assert embeddings.dtype == np.float32
    for embedding, path in zip(embeddings, clips, strict=True):
        assert embedding == pytest.approx(model.hear(path).embedding.mean(axis=0), abs=FLOAT32)
    assert model.embed([]).shape == (0, 6)


def test_an_adapted_model_answers_by_the_adapted_head_over_the_same_windows(model, clips):
    adapted = model.adapt(clips)
    embeddings = np.stack([model.hear(path).embedding.mean(axis=0) for path in clips])
    head = AffineHead.from_card(model.card.head).adapted(embeddings)
    for path in clips:
        expected = head.probabilities(model.hear(path).embedding).mean(axis=0)
        answer = adapted.predict(path)
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-9)
    assert adapted.name == f"toy (adapted, {len(clips)} clips)" == answer.model
    assert (model.adapted_clips, adapted.adapted_clips) == (0, len(clips))


def test_adapting_changes_answers_but_not_the_model_it_started_from(model, clip, clips):
    before = model.predict(clip)
    adapted = model.adapt(clips)
    assert adapted.session is model.session
    assert model.predict(clip) == before
    assert adapted.predict(clip).probabilities != pytest.approx(before.probabilities, abs=0.01)


def test_adapting_to_itself_equals_adapting_first(model, clips):
    at_once = model.predict(clips, adapt="self")
    assert at_once == model.adapt(clips).predict(clips) == model.predict(clips, adapt=clips)


def test_clips_without_speech_and_broken_ones_do_not_take_part_in_adaptation(model, clips, no_speech):
    some = clips[:2]
    adapted = model.adapt([no_speech, some[0], "missing.wav", some[1]])
    assert adapted.name == "toy (adapted, 2 clips)"
    assert adapted.predict(clips) == model.adapt(some).predict(clips)


def test_adapting_again_starts_from_the_training_utterances(model, clips):
    assert model.adapt(clips[:2]).adapt(clips[2:]).predict(clips) == model.adapt(clips[2:]).predict(clips)


def test_nothing_to_adapt_with_is_refused_and_counted(model, no_speech):
    with pytest.raises(UsageError, match=r"none of 3 .* 1 hold no speech, 2 fail .*a\.wav"):
        model.adapt(["a.wav", no_speech, "b.wav"])
