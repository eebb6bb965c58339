"""A long recording becomes a timeline: who, when, what, the same however it is read."""

import numpy as np
import pytest

import toy_model
from vocalics import audio
from vocalics.audio import Waveform
from vocalics.card import ModelCard
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.model import Model
from vocalics.recognition.rttm import Turn
from vocalics.recognition.stream import Stream
from vocalics.recognition.timeline import ENOUGH_CLIPS, timeline, why_not_adapt

RATE = 16_000
PLAN = {"window_s": 1.0, "hop_s": 0.5}  # the toy model hears one second


@pytest.fixture(scope="module")
def sentence(clip):
    return audio.read(clip).mono().samples[0]


@pytest.fixture(scope="module")
def talk(sentence):
    """Five times the sentence and a pause of 1.5 s: 24 s."""
    pause = np.zeros(3 * RATE // 2, np.float32)
    return Waveform(np.hstack([sentence, pause] * 5)[np.newaxis], RATE)


def spans(segments):
    return [(segment.start_s, segment.end_s) for segment in segments]


def test_segments_lie_where_somebody_speaks(model, talk, sentence):
    found = timeline(talk, model, **PLAN)
    period_s = len(sentence) / RATE + 1.5
    assert found.duration_s == pytest.approx(talk.duration_s)
    assert {int(segment.end_s // period_s) for segment in found.segments} == {0, 1, 2, 3, 4}
    for segment in found.segments:
        assert 0 <= segment.start_s < segment.end_s <= found.duration_s
        begin_s = period_s * (segment.end_s // period_s)  # of the sentence that the segment lies in
        assert begin_s - 0.2 <= segment.start_s
        assert segment.end_s <= begin_s + len(sentence) / RATE + 0.2
        assert segment.duration_s == segment.end_s - segment.start_s
        assert sum(segment.probabilities.values()) == pytest.approx(1)
        assert segment.confidence == max(segment.probabilities.values())
        assert segment.speaker == "speaker"


def test_the_summary_adds_up(model, talk):
    found = timeline(talk, model, **PLAN)
    (summary,) = found.speakers
    assert summary.speech_s == pytest.approx(
        sum(end - start for start, end in spans(found.segments)), abs=0.6
    )
    assert sum(summary.share.values()) == pytest.approx(1)
    assert -1 <= summary.valence <= 1
    assert -1 <= summary.arousal <= 1


def test_a_short_clip_is_heard_as_predict_hears_it(model, sentence):
    """Speech of one window without a pause: the same samples, so the same answer."""
    word = sentence[RATE // 2 : RATE + RATE // 5]
    found = timeline(
        (np.hstack([np.zeros(RATE, np.float32), word, np.zeros(RATE, np.float32)]), RATE), model, **PLAN
    )
    (curve,) = found.curves
    start, stop = round(curve.starts_s[-1] * RATE), round(curve.ends_s[-1] * RATE)
    heard = np.hstack([np.zeros(RATE, np.float32), word, np.zeros(RATE, np.float32)])[start:stop]
    np.testing.assert_allclose(
        model.run(heard[np.newaxis]).probabilities[0], curve.probabilities[-1], atol=1e-6
    )


def test_blocks_of_a_file_lead_to_what_its_samples_do(model, talk, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "talk.wav", talk.samples[0], RATE, subtype="FLOAT")
    of_file, of_samples = timeline(tmp_path / "talk.wav", model, **PLAN), timeline(talk, model, **PLAN)
    assert of_file.path == str(tmp_path / "talk.wav")
    assert spans(of_file.segments) == spans(of_samples.segments)
    np.testing.assert_array_equal(of_file.curves[0].probabilities, of_samples.curves[0].probabilities)


@pytest.mark.parametrize("sizes", [(160,), (1, 5_000, 77), (400_000,)])
def test_a_stream_hears_the_same_windows_and_smooths_them_by_the_past(model, talk, sizes):
    expected = timeline(talk, model, adapt="none", **PLAN)
    stream = Stream(model, sample_rate=RATE, first_s=1.0, record=True, **PLAN)
    answers, start = [], 0
    while start < talk.n_samples:
        for size in sizes:
            answers += stream.push(talk.samples[0, start : start + size])
            start += size
    answers += stream.finish()
    recorded = stream.timeline()
    assert spans(recorded.segments) == spans(expected.segments)
    np.testing.assert_array_equal(recorded.curves[0].probabilities, expected.curves[0].probabilities)
    curve = expected.curves[0]
    assert [(one.start_s, one.end_s) for one in answers] == list(
        zip(curve.starts_s, curve.ends_s, strict=True)
    )
    # The smoothing, said again: an exponential mean that begins anew with every stretch of speech.
    weight, smoothed = 1 - np.exp(-0.5 / 1.0), None
    for index, answer in enumerate(answers):
        goes_on = index and curve.starts_s[index] < curve.ends_s[index - 1]
        newest = curve.probabilities[index]
        smoothed = smoothed + weight * (newest - smoothed) if goes_on else newest
        np.testing.assert_allclose(list(answer.probabilities.values()), smoothed, atol=1e-6)


# Speakers


def test_each_channel_is_a_speaker(model, talk, sentence):
    other = np.zeros_like(talk.samples)
    other[:, -len(sentence) :] = sentence * 0.01
    stereo = Waveform(np.vstack([talk.samples, other]), RATE)
    found = timeline(stereo, model, channels="split", **PLAN)
    assert [summary.speaker for summary in found.speakers] == ["channel 1", "channel 2"]
    first = timeline(talk, model, **PLAN)
    own = [segment for segment in found.segments if segment.speaker == "channel 1"]
    assert spans(own) == spans(first.segments)
    assert all(segment.start_s > 20 for segment in found.segments if segment.speaker == "channel 2")
    assert [segment.start_s for segment in found.segments] == sorted(one.start_s for one in found.segments)


def test_a_silent_channel_is_told_as_such(model, talk):
    stereo = Waveform(np.vstack([talk.samples, np.zeros_like(talk.samples)]), RATE)
    _, silent = timeline(stereo, model, channels="split", **PLAN).speakers
    assert (silent.speech_s, silent.share, silent.valence) == (0.0, {}, None)


def test_turns_tell_the_speakers_apart(model, talk):
    turns = [Turn("bob", 4.0, 9.0), Turn("ann", 0.0, 4.0), Turn("bob", 9.5, 14.0)]
    found = timeline(talk, model, turns=turns, **PLAN)
    assert [summary.speaker for summary in found.speakers] == ["ann", "bob"]  # by their first words
    for segment in found.segments:
        own = [turn for turn in turns if turn.speaker == segment.speaker]
        assert any(turn.start_s <= segment.start_s and segment.end_s <= turn.end_s for turn in own)
    assert max(segment.end_s for segment in found.segments) <= 14.0


def test_silence_has_a_timeline_without_segments(model):
    found = timeline((np.zeros(3 * RATE), RATE), model, **PLAN)
    assert found.segments == ()
    assert found.to_dict()["speakers"][0]["share"] == {}


# Adaptation


def evidence(plain=0.6, five=0.65, alone=0.59):
    figures = {"5": five, "only-happy": alone, "only-sad": 0.7}
    return {
        "ravdess, speaker": {
            "uar": {"mean": plain},
            "adapted": {name: {"uar": {"mean": uar}} for name, uar in figures.items()},
        }
    }


def test_the_card_decides_whether_adaptation_is_safe():
    def reason(figures):
        return why_not_adapt(ModelCard(**toy_model.card(evaluation=figures)))

    assert reason(evidence()) is None
    assert "no figures" in reason({})
    assert "no figures" in reason({"note": "none"})
    assert "shows one emotion" in reason(
        {"x": {"uar": {"mean": 0.5}, "adapted": {"5": {"uar": {"mean": 0.6}}}}}
    )
    assert "does not help" in reason(evidence(five=0.6))
    assert "does harm" in reason(evidence(alone=0.57))


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    """The toy model, whose card says that adaptation helps."""
    path = toy_model.write(tmp_path_factory.mktemp("proved") / "toy.onnx", evaluation=evidence())
    return Model.load(path)


def test_with_evidence_each_speaker_is_adapted_to_by_the_own_speech(proved, talk, monkeypatch):
    plain = timeline(talk, proved, adapt="none", **PLAN)
    runs = []
    answer = Model.answer
    monkeypatch.setattr(Model, "answer", lambda self, windows: runs.append(1) or answer(self, windows))
    adapted = timeline(talk, proved, **PLAN)
    assert len(runs) == len(plain.curves[0].ends_s)  # the network ran once
    assert adapted.speakers[0].adapted_s >= ENOUGH_CLIPS
    assert adapted.notes == (
        f"Adapted to speaker by {adapted.speakers[0].adapted_s:.0f} s of the speaker's own speech.",
    )
    assert not np.allclose(adapted.curves[0].probabilities, plain.curves[0].probabilities, atol=0.01)


def test_too_little_speech_is_not_adapted_to(proved, sentence):
    found = timeline((sentence[: 2 * RATE], RATE), proved, **PLAN)
    assert found.speakers[0].adapted_s == 0
    assert "too little speech" in found.notes[0]


def test_without_evidence_nothing_is_adapted_unasked(model, talk):
    found = timeline(talk, model, **PLAN)
    assert found.notes[0].startswith("Not adapted to the speakers: the model's card has no figures")
    plain = timeline(talk, model, adapt="none", **PLAN)
    np.testing.assert_array_equal(found.curves[0].probabilities, plain.curves[0].probabilities)
    assert plain.notes == ()


def test_recordings_of_a_speaker_adapt_to_that_speaker(model, talk, clips):
    adapted = model.adapt([clips[0], clips[1]])
    found = timeline(talk, model, adapt=[clips[0], clips[1]], **PLAN)
    by_hand = timeline(talk, adapted, adapt="none", **PLAN)
    np.testing.assert_allclose(found.curves[0].probabilities, by_hand.curves[0].probabilities, atol=1e-6)


def test_of_two_speakers_one_can_be_adapted_to(model, talk, clips):
    stereo = Waveform(np.vstack([talk.samples] * 2), RATE)
    found = timeline(stereo, model, channels="split", adapt={"channel 2": [clips[0], clips[1]]}, **PLAN)
    plain = timeline(talk, model, adapt="none", **PLAN)
    np.testing.assert_array_equal(found.curves[0].probabilities, plain.curves[0].probabilities)
    assert not np.allclose(found.curves[1].probabilities, plain.curves[0].probabilities)


# What cannot be


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"channels": "left"}, "give 'mix' or 'split'"),
        ({"channels": "split", "turns": [Turn("ann", 0, 1)]}, "choose one"),
        ({"hop_s": 2.0}, "at most the window"),
        ({"window_s": 5.0}, "hears 0.25 to 1 s"),
        ({"abstain_below": 2}, "confidence from 0 to 1"),
        ({"turns": [Turn("ann", 0, 1), Turn("bob", 1, 2)], "adapt": ["x.wav"]}, "whose they are"),
        ({"adapt": {"eve": ["x.wav"]}}, "no speaker 'eve'"),
    ],
)
def test_settings_that_cannot_be_are_refused(model, talk, settings, told):
    with pytest.raises(UsageError, match=told):
        timeline(talk, model, **{**PLAN, **settings})


def test_a_recording_that_cannot_be_read_is_told(model, tmp_path):
    with pytest.raises(AudioError, match="no file"):
        timeline(tmp_path / "none.wav", model, **PLAN)


def test_progress_is_told_block_by_block(model, talk):
    told = []
    timeline(talk, model, progress=lambda done_s, total_s: told.append((done_s, total_s)), **PLAN)
    assert told == [(10.0, talk.duration_s), (20.0, talk.duration_s), (talk.duration_s, talk.duration_s)]
