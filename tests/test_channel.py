"""Speech in a channel is cut into the windows of the plan, whatever the pieces it comes in."""

import numpy as np
import pytest

import toy_model
from vocalics import audio
from vocalics.card import ModelCard
from vocalics.errors import UsageError
from vocalics.recognition.channel import SLACK_S, Channel, Window, WindowPlan
from vocalics.recognition.rttm import Turn
from vocalics.recognition.stretches import PAUSE_S, Stretch
from vocalics.recognition.voice import CHUNK_S
from vocalics.resampling import Resampler

CARD = ModelCard(**toy_model.card(window_s=3.0))
PLAN = WindowPlan(window_s=1.0, hop_s=0.25, first_s=0.5)
RATE = 16_000


@pytest.fixture(scope="module")
def talk(clip):
    """Two sentences with two seconds between, 16 kHz."""
    sentence = audio.read(clip).mono().samples[0]
    return np.hstack([sentence, np.zeros(2 * RATE, np.float32), sentence])


def listen(samples, plan=PLAN, rate=RATE, card=CARD, size=4_000, turns=(None,)):
    channel = Channel(rate, card, plan, turns)
    items = []
    for start in range(0, len(samples), size):
        items += channel.push(samples[start : start + size])
    return [*items, *channel.finish()]


def by_stretch(items):
    """Pairs of a stretch and its windows."""
    found, windows = [], []
    for item in items:
        if isinstance(item, Window):
            windows.append(item)
        else:
            found.append((item, windows))
            windows = []
    assert windows == []
    return found


def test_windows_follow_the_plan(talk):
    found = by_stretch(listen(talk))
    assert len(found) >= 2
    for stretch, windows in found:
        ends_s = np.array([window.end_s for window in windows])
        planned = stretch.start_s + PLAN.first_s + PLAN.hop_s * np.arange(len(ends_s))
        late_s = ends_s[:-1] - planned[:-1]
        assert ((late_s > -1e-9) & (late_s < CHUNK_S)).all()
        np.testing.assert_allclose(np.rint(ends_s[:-1] / CHUNK_S) * CHUNK_S, ends_s[:-1])
        assert ends_s[-1] >= stretch.end_s
        assert ends_s[-1] <= stretch.known_s + 1e-9
        for window in windows[:-1]:  # the last may be cut short by the end of the sound
            assert window.start_s == pytest.approx(max(stretch.start_s, window.end_s - PLAN.window_s))


def test_a_window_holds_the_sound_of_its_time(talk):
    for item in listen(talk):
        if isinstance(item, Window):
            np.testing.assert_array_equal(
                item.samples, talk[round(item.start_s * RATE) : round(item.end_s * RATE)]
            )


@pytest.mark.parametrize("size", [1, 333, 512, 100_000])
def test_it_does_not_matter_how_the_sound_comes(talk, size):
    samples = talk[: 2 * RATE] if size == 1 else talk
    expected, found = listen(samples), listen(samples, size=size)
    assert [type(item) for item in found] == [type(item) for item in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.start_s, one.end_s, one.speaker) == (other.start_s, other.end_s, other.speaker)
        if isinstance(one, Window):
            np.testing.assert_array_equal(one.samples, other.samples)


def test_a_window_comes_as_soon_as_it_ends(talk):
    channel = Channel(RATE, CARD, PLAN)
    heard_s = 0.0
    for start in range(0, len(talk), 160):
        for item in channel.push(talk[start : start + 160]):
            late_s = heard_s + 0.01 - (item.end_s if isinstance(item, Window) else item.known_s)
            assert -1e-9 <= late_s <= 0.01 + 1e-9  # the piece it comes in
        heard_s += 0.01


def test_speech_shorter_than_the_first_window_has_one(talk):
    plan = WindowPlan(window_s=3.0, hop_s=1.0, first_s=3.0)
    word = np.hstack(
        [np.zeros(RATE, np.float32), talk[RATE // 2 : RATE + RATE // 5], np.zeros(RATE, np.float32)]
    )
    ((stretch, windows),) = by_stretch(listen(word, plan))
    assert stretch.end_s - stretch.start_s < 1.2
    assert [(window.start_s, window.end_s) for window in windows] == [(stretch.start_s, stretch.known_s)]
    assert stretch.known_s - stretch.end_s < PAUSE_S


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_lead_to_the_same_windows(talk, rate):
    expected = by_stretch(listen(talk))
    waveform = audio.Waveform(talk[np.newaxis], RATE).resampled(rate)
    found = by_stretch(listen(waveform.samples[0], rate=rate))
    assert len(found) == len(expected)
    for (one, windows), (other, others) in zip(found, expected, strict=True):
        assert one.start_s == pytest.approx(other.start_s, abs=0.1)
        assert one.end_s == pytest.approx(other.end_s, abs=0.1)
        assert abs(len(windows) - len(others)) <= 1


def test_a_model_of_another_rate_hears_its_own(talk):
    card = ModelCard(**toy_model.card(window_s=3.0, sample_rate=22_050))
    found, expected = listen(talk, card=card), listen(talk)
    np.testing.assert_allclose(
        [(one.start_s, one.end_s) for one in found], [(one.start_s, one.end_s) for one in expected], atol=1e-3
    )
    resampler = Resampler(RATE, 22_050)
    whole = np.concatenate([resampler.push(talk), resampler.finish()])
    window = next(item for item in found if isinstance(item, Window) and item.start_s > 1)
    there = whole[round(window.start_s * 22_050) : round(window.end_s * 22_050)]
    np.testing.assert_array_equal(window.samples, there)


def test_two_speakers_in_one_channel_have_the_speech_of_their_turns(talk):
    turns = [[Turn("ann", 0.0, 1.5)], [Turn("bob", 1.5, 60.0)]]
    items = listen(talk, turns=turns)
    stretches = [item for item in items if isinstance(item, Stretch)]
    assert {one.speaker for one in stretches} == {0, 1}
    assert all(one.end_s <= 1.5 for one in stretches if one.speaker == 0)
    assert all(one.start_s >= 1.5 for one in stretches if one.speaker == 1)
    assert all(one.end_s <= 1.5 for one in items if isinstance(one, Window) and one.speaker == 0)


def test_what_is_kept_does_not_grow(talk):
    channel = Channel(RATE, CARD, PLAN)
    kept = []
    for _ in range(20):
        list(channel.push(talk))
        kept.append(len(channel._samples))
    assert max(kept) <= (PLAN.window_s + SLACK_S) * RATE


def test_silence_and_a_moment_of_sound_hold_nothing():
    assert listen(np.zeros(5 * RATE, np.float32)) == []
    assert listen(np.ones(100, np.float32)) == []
    assert listen(np.empty(0, np.float32)) == []


def test_the_usual_plan_gives_way_to_the_model_and_to_what_is_given():
    usual = WindowPlan(window_s=6.0, hop_s=4.0, first_s=1.0)
    assert WindowPlan.for_model(CARD, usual) == WindowPlan(3.0, 3.0, 1.0)  # the toy model here hears 3 s
    assert WindowPlan.for_model(CARD, usual, window_s=2.0, hop_s=0.5) == WindowPlan(2.0, 0.5, 1.0)
    assert WindowPlan.for_model(CARD, usual, window_s=0.5, first_s=0.25) == WindowPlan(0.5, 0.5, 0.25)
    with pytest.raises(UsageError, match=r"'toy' hears 0.25 to 3 s"):
        WindowPlan.for_model(CARD, usual, window_s=6.0)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ((1.0, 0.01, 1.0), "at least 0.032 s"),
        ((1.0, 2.0, 1.0), "at most the window"),
        ((1.0, 0.5, 2.0), "first window ends after 2 s"),
        ((1.0, 0.5, 0.0), "first window ends after 0 s"),
        ((float("nan"), 0.5, 0.5), "not possible"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan, told):
    with pytest.raises(UsageError, match=told):
        WindowPlan(*plan)


def test_a_window_that_the_model_cannot_hear_is_refused():
    with pytest.raises(UsageError, match=r"'toy' hears 0.25 to 3 s"):
        Channel(RATE, CARD, WindowPlan(4.0, 1.0, 4.0))
