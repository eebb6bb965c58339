"""A stream answers while somebody speaks, in time, in bounded memory, and tells what was lost."""

import numpy as np
import pytest

from vocalics import audio
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.stream import GAPS_KEPT, Stream
from vocalics.recognition.voice import CHUNK_S

RATE = 16_000
PLAN = {"window_s": 1.0, "hop_s": 0.25, "first_s": 0.5}  # the toy model hears one second


@pytest.fixture(scope="module")
def sentence(clip):
    return audio.read(clip).mono().samples[0]


def pieces(samples, size):
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_its_latency_is_kept(model, sentence, rate):
    """Every answer comes within the stated time of the end of its window, less the hop."""
    samples = audio.Waveform(sentence[np.newaxis], RATE).resampled(rate).samples[0]
    stream = Stream(model, sample_rate=rate, **PLAN)
    n_answers = 0
    for piece in pieces(samples, rate // 100):
        for answer in stream.push(piece):
            n_answers += 1
            assert 0 <= stream.position_s - answer.end_s <= stream.latency_s - PLAN["hop_s"] + 0.01
    assert n_answers >= 5


def test_answers_follow_each_other_by_the_hop(model, sentence):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    ends_s = [answer.end_s for piece in pieces(sentence, 800) for answer in stream.push(piece)]
    steps = np.diff(ends_s)
    regular = np.isclose(steps, 7 * CHUNK_S) | np.isclose(steps, 8 * CHUNK_S)  # 0.224 and 0.256 s
    assert regular.sum() >= 5
    assert np.mean(steps[regular]) == pytest.approx(0.25, abs=0.01)
    assert (steps[~regular] > 0.3).all()  # a pause


def test_channels_are_mixed_and_integers_are_scaled(model, sentence):
    def answers(samples):
        stream = Stream(model, sample_rate=RATE, **PLAN)
        return [answer.confidence for answer in stream.push(samples) + stream.finish()]

    plain = answers(sentence)
    assert answers(np.vstack([sentence, sentence])) == pytest.approx(plain)
    assert answers((sentence * 32767).astype(np.int16)) == pytest.approx(plain, abs=0.05)


def test_nothing_pushed_is_nothing_heard(model):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    assert stream.push([]) == []
    assert stream.finish() == []
    assert stream.position_s == 0


def test_what_is_no_sound_is_refused_and_the_stream_goes_on(model, sentence):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    with pytest.raises(AudioError, match="NaN"):
        stream.push([0.0, float("nan")])
    assert stream.position_s == 0
    assert stream.push(sentence)


def test_lost_sound_is_told_and_moves_the_clock(model, sentence):
    whole = Stream(model, sample_rate=RATE, **PLAN)
    expected = whole.push(sentence) + whole.finish()
    stream = Stream(model, sample_rate=RATE, record=True, **PLAN)
    answers = stream.push(sentence) + stream.skip(5.0)
    later = stream.push(sentence) + stream.finish()
    shift_s = len(sentence) / RATE + 5.0
    assert [answer.end_s for answer in answers] == [answer.end_s for answer in expected]
    assert [answer.end_s for answer in later] == pytest.approx(
        [answer.end_s + shift_s for answer in expected]
    )
    ((gap),) = stream.gaps
    assert (gap.start_s, gap.end_s) == pytest.approx((shift_s - 5.0, shift_s))
    assert stream.lost_s == 5.0
    assert stream.position_s == pytest.approx(shift_s + len(sentence) / RATE)
    assert stream.timeline().notes == ("5.0 s of sound were lost.",)


def test_no_window_reaches_over_a_loss(model, sentence):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    answers = (
        stream.push(sentence[:20_000]) + stream.skip(0.5) + stream.push(sentence[20_000:]) + stream.finish()
    )
    ((gap),) = stream.gaps
    assert all(answer.end_s <= gap.start_s or answer.start_s >= gap.end_s for answer in answers)


def test_losses_are_remembered_in_bounded_number(model):
    stream = Stream(model, sample_rate=RATE, **PLAN)
    for _ in range(GAPS_KEPT + 50):
        stream.skip(0.1)
    assert len(stream.gaps) == GAPS_KEPT
    assert stream.lost_s == pytest.approx((GAPS_KEPT + 50) * 0.1)


def test_a_stream_may_begin_later_than_at_zero(model, sentence):
    plain = Stream(model, sample_rate=RATE, **PLAN)
    late = Stream(model, sample_rate=RATE, start_s=64.0, **PLAN)  # a sum that binary fractions hold exactly
    pairs = zip(plain.push(sentence) + plain.finish(), late.push(sentence) + late.finish(), strict=True)
    assert all(one.end_s + 64.0 == other.end_s and one.emotion == other.emotion for one, other in pairs)
    assert late.position_s == plain.position_s + 64.0


def test_an_adapted_model_answers_as_such(model, sentence, clips):
    adapted = model.adapt([clips[0], clips[1]])
    plain_stream, own_stream = (Stream(one, sample_rate=RATE, **PLAN) for one in (model, adapted))
    plain, own = plain_stream.push(sentence), own_stream.push(sentence)
    assert own[0].model == adapted.name
    assert not np.allclose([one.confidence for one in own], [one.confidence for one in plain])


def test_less_than_the_threshold_is_abstained_from(model, sentence):
    answers = Stream(model, sample_rate=RATE, abstain_below=1.0, **PLAN).push(sentence)
    assert all(answer.abstained and answer.reason == "low confidence" for answer in answers)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda model: Stream(model, sample_rate=RATE, smoothing_s=-1), "0 for none"),
        (lambda model: Stream(model, sample_rate=RATE, window_s=9), "hears 0.25 to 1 s"),
        (lambda model: Stream(model, sample_rate=RATE, start_s=-1), "0 or more"),
        (lambda model: Stream(model, sample_rate=RATE, **PLAN).skip(0), "cannot be lost"),
        (lambda model: Stream(model, sample_rate=RATE, **PLAN).timeline(), "record=True"),
    ],
)
def test_what_cannot_be_is_refused(model, call, told):
    with pytest.raises(UsageError, match=told):
        call(model)


def test_a_rate_that_is_none_is_refused(model):
    with pytest.raises(AudioError, match="sample rate is 100 Hz"):
        Stream(model, sample_rate=100, **PLAN)
