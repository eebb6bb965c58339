"""Listening through a stream: how late answers are, what was lost, and what the last minute was."""

import itertools
import math

import numpy as np
import pytest

from vocalics import audio
from vocalics.recognition.listening import VIEW_S, Listening, percentile_s
from vocalics.recognition.microphone import Sound
from vocalics.recognition.stream import Stream
from vocalics.recognition.timeline import timeline

RATE = 16_000
BLOCK = RATE // 50
PLAN = {"window_s": 1.0, "hop_s": 0.25, "first_s": 0.5}  # the toy model hears one second
COMPUTING_S = 0.03


@pytest.fixture(scope="module")
def sentence(clip):
    return audio.read(clip).mono().samples[0]


def listening_to(model, path=None, **plan):
    """Listening whose every answer takes `COMPUTING_S`."""
    stream = Stream(model, sample_rate=RATE, record=True, **(PLAN | plan))
    return Listening(stream, RATE, path, clock=lambda: COMPUTING_S)


def heard(listening, samples, lost_s=0.0):
    """Give samples in blocks that each ended at the time 0; return all answers."""
    answers = []
    for start in range(0, len(samples), BLOCK):
        answers += listening.hear(Sound(samples[start : start + BLOCK], lost_s, ended_at=0.0))
        lost_s = 0.0
    return answers


def test_answers_are_those_of_the_stream(model, sentence):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    expected = [
        answer
        for start in range(0, len(sentence), BLOCK)
        for answer in stream.push(sentence[start : start + BLOCK])
    ]
    answers = heard(listening_to(model), sentence)
    assert [answer.segment for answer in answers] == expected


def test_latency_is_what_passed_since_the_end_of_the_window(model, sentence):
    """It is the sound that came after the window's end, and the computing."""
    listening = listening_to(model)
    answers = []
    for start in range(0, len(sentence), BLOCK):
        new = listening.hear(Sound(sentence[start : start + BLOCK], 0.0, ended_at=0.0))
        position_s = min(start + BLOCK, len(sentence)) / RATE
        for answer in new:
            assert answer.latency_s == pytest.approx(COMPUTING_S + position_s - answer.segment.end_s)
            assert answer.latency_s >= COMPUTING_S
        answers += new
    assert listening.latencies_s.tolist() == pytest.approx([answer.latency_s for answer in answers])
    view = listening.view()
    assert view.latency_s == pytest.approx(np.median(listening.latencies_s))
    assert view.worst_latency_s == pytest.approx(max(listening.latencies_s))


def test_answers_that_the_end_brings_on_have_no_latency(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence[: 2 * RATE])
    n_before = len(listening.latencies_s)
    last = listening.finish()
    assert [answer.latency_s for answer in last] == [None]
    assert len(listening.latencies_s) == n_before
    assert listening.finish() == []


@pytest.mark.parametrize("hop_s", [0.25, 0.5])
def test_the_timeline_is_that_of_the_recording_with_the_same_windows(model, clip, sentence, hop_s):
    listening = listening_to(model, str(clip), hop_s=hop_s, first_s=1.0)
    heard(listening, sentence)
    listening.finish()
    found = listening.timeline()
    expected = timeline(clip, model, window_s=1.0, hop_s=hop_s, adapt="none")
    assert found.to_dict() == expected.to_dict()
    np.testing.assert_array_equal(found.curves[0].probabilities, expected.curves[0].probabilities)


def test_lost_sound_is_counted_shown_and_in_the_timeline(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence)
    position_s = listening.position_s
    heard(listening, sentence, lost_s=2.0)
    view = listening.view()
    assert listening.lost_s == view.lost_s == 2.0
    (lost,) = [passage for passage in view.passages if passage.emotion is None]
    assert (lost.start_s, lost.end_s) == pytest.approx((position_s, position_s + 2.0))
    assert listening.timeline().notes == ("2.0 s of sound were lost.",)


def test_samples_that_are_no_sound_count_as_lost(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence)
    listening.hear(Sound(np.full(RATE, np.nan, dtype=np.float32), 0.0, ended_at=0.0))
    assert listening.lost_s == 1.0
    assert listening.position_s == pytest.approx(len(sentence) / RATE + 1.0)


def test_nothing_heard_is_nothing_answered(model):
    listening = listening_to(model)
    assert listening.hear(Sound(np.empty(0, dtype=np.float32), 0.0, ended_at=0.0)) == []
    view = listening.view()
    assert (view.position_s, view.answer, view.speaking) == (0.0, None, False)
    assert (view.latency_s, view.worst_latency_s, view.passages) == (None, None, ())
    assert listening.timeline().segments == ()


# The view


def test_passages_cover_the_speech_and_do_not_overlap(model, sentence):
    listening = listening_to(model)
    pause = np.zeros(2 * RATE, dtype=np.float32)
    heard(listening, np.concatenate([sentence, pause, sentence, pause]))
    passages = listening.view().passages
    edges_s = np.array([(passage.start_s, passage.end_s) for passage in passages])
    assert (edges_s[:, 0] < edges_s[:, 1]).all()
    assert (edges_s[1:, 0] >= edges_s[:-1, 1]).all()
    for before, after in itertools.pairwise(passages):  # what is alike and touches is one
        assert before.end_s < after.start_s or (before.emotion, before.abstained) != (
            after.emotion,
            after.abstained,
        )
    covered_s = sum(end_s - start_s for start_s, end_s in edges_s)
    (speaker,) = listening.timeline().speakers
    n_stretches = 1 + int((edges_s[1:, 0] > edges_s[:-1, 1]).sum())
    # A last window ends when the pause is known, 0.32 s after the speech; the stretch ends 0.1 s after it.
    assert speaker.speech_s <= covered_s <= speaker.speech_s + 0.23 * n_stretches


def test_somebody_speaks_until_answers_stay_away(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence[: 2 * RATE])
    assert listening.view().speaking
    heard(listening, np.zeros(RATE, dtype=np.float32))
    view = listening.view()
    assert not view.speaking
    assert view.answer is not None  # it is still known


def test_what_is_older_than_a_minute_is_forgotten(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence)
    assert listening.view().passages
    heard(listening, np.zeros(round((VIEW_S + 1) * RATE), dtype=np.float32))
    view = listening.view()
    assert view.passages == ()
    assert view.latency_s is None
    assert len(listening.latencies_s) > 0  # the summary still knows


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.001])
def test_the_level_of_a_sine_is_three_decibels_below_its_peak(model, amplitude):
    listening = listening_to(model)
    sine = amplitude * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)  # whole periods in a block
    heard(listening, sine.astype(np.float32))
    assert listening.view().level_db == pytest.approx(20 * math.log10(amplitude / math.sqrt(2)), abs=0.01)


def test_digital_silence_has_no_level(model, sentence):
    listening = listening_to(model)
    heard(listening, sentence)
    assert listening.view().level_db > -60
    heard(listening, np.zeros(5 * RATE, dtype=np.float32))
    assert listening.view().level_db == -math.inf


def test_a_percentile_of_no_answers_is_unknown():
    assert percentile_s([], 99) is None
    assert percentile_s([0.01 * n for n in range(101)], 99) == pytest.approx(0.99)
