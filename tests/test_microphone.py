"""Where live sound comes from, without hardware: a made sound card, and recordings in real time."""

import sys

import numpy as np
import pytest
import soundfile

from sound_cards import SoundCard, device
from vocalics import audio
from vocalics.errors import AudioError, MissingExtraError, UsageError
from vocalics.recognition import microphone as sources
from vocalics.recognition.microphone import (
    BLOCK_S,
    JITTER_S,
    PERIOD_S,
    QUEUE_S,
    list_inputs,
    microphone,
    played,
)

RATE = 48_000
BLOCK = round(BLOCK_S * RATE)


@pytest.fixture
def card(plug_in):
    """Put a sound card into the machine, as ``card(devices=[...])``."""
    return lambda **properties: plug_in(SoundCard(**properties))


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `sleep` moves, and a test by hand."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

        def sleep(self, duration_s):
            self.now += duration_s

    made = Clock()
    monkeypatch.setattr(sources, "perf_counter", made)
    monkeypatch.setattr(sources, "sleep", made.sleep)
    return made


def blocks(n, value=0.25):
    return [np.full(BLOCK, value)] * n


# A microphone


def test_what_the_microphone_hears_arrives_sample_by_sample_at_its_own_rate(card):
    heard = np.random.default_rng(0).uniform(-0.5, 0.5, (5 * BLOCK, 2)).astype(np.float32)
    made = card(devices=[device("made microphone", 2)])
    with microphone() as source:
        for start in range(0, len(heard), BLOCK):
            made.hear(heard[start : start + BLOCK])
        sounds = [next(source.sounds) for _ in range(5)]
    assert (source.name, source.sample_rate) == ("made microphone, made interface", RATE)
    samples = np.concatenate([sound.samples for sound in sounds])
    np.testing.assert_allclose(samples, heard.mean(axis=1), atol=1e-7)  # channels are mixed
    assert sum(sound.lost_s for sound in sounds) == 0
    assert made.closed


@pytest.mark.parametrize(("inputs", "opened"), [(1, 1), (2, 2), (32, 2)])
def test_a_device_is_opened_as_it_is_but_for_channels_beyond_two(card, inputs, opened):
    made = card(devices=[device("loudspeaker", 0), device("made microphone", inputs, 44_100.0)], default=1)
    with microphone():
        pass
    assert made.opened["device"] == 1
    assert (made.opened["channels"], made.opened["samplerate"]) == (opened, 44_100)


@pytest.mark.parametrize("chosen", [2, "desk"])
def test_a_device_is_chosen_by_number_or_name(card, chosen):
    made = card(devices=[device("loudspeaker", 0), device("headset", 1), device("desk", 1)], default=1)
    with microphone(chosen) as source:
        assert source.name == "desk, made interface"
    assert made.opened["device"] == 2


def test_inputs_are_listed_with_what_they_can(card):
    card(devices=[device("loudspeaker", 0), device("headset", 1, 16_000.0), device("desk", 2)], default=2)
    headset, desk = list_inputs()
    assert (headset.index, headset.name, headset.n_channels) == (1, "headset, made interface", 1)
    assert (headset.sample_rate, headset.is_default) == (16_000, False)
    assert (desk.index, desk.is_default) == (2, True)


def test_when_a_block_came_is_told(card, clock):
    made = card()
    with microphone() as source:
        clock.now = 1007.0
        made.hear(blocks(1)[0])
        clock.now = 1009.0
        assert next(source.sounds).ended_at == 1007.0


# What is lost


def test_a_full_queue_loses_sound_and_counts_it(card):
    made = card()
    n_kept, n_over = round(QUEUE_S / BLOCK_S), 50
    with microphone() as source:
        for block in blocks(n_kept + n_over):
            made.hear(block)
        heard = [next(source.sounds) for _ in range(n_kept)]
        assert sum(sound.lost_s for sound in heard) == 0  # the loss came after these
        made.hear(blocks(1)[0])
        assert next(source.sounds).lost_s == pytest.approx(n_over * BLOCK_S)


def lost_in(made, source, clock, steps, periods=3):
    """Give blocks in the time that they last, with `steps` in between, and return the seconds told as lost.

    A step is (seconds that the program stood still, blocks that the driver kept, whether it tells).
    """
    lost_s = 0.0

    def hear(n, overrun=False, took_s=BLOCK_S):
        nonlocal lost_s
        for number, block in enumerate(blocks(n)):
            clock.now += took_s
            made.hear(block, overrun and number == 0)
            lost_s += next(source.sounds).lost_s

    n_period = round(periods * PERIOD_S / BLOCK_S)
    hear(n_period)
    for stood_s, n_kept, tells in steps:
        clock.now += stood_s
        hear(n_kept, tells, took_s=0.0)
        hear(n_period)
    return lost_s


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("stood_s", "kept_s"), [(2.0, 0.5), (2.0, 0.04), (15.0, 9.0)])
def test_what_a_driver_dropped_is_found_by_the_clock(card, clock, tells, stood_s, kept_s):
    made = card()
    with microphone() as source:
        lost_s = lost_in(made, source, clock, [(stood_s, round(kept_s / BLOCK_S), tells)])
    assert lost_s == pytest.approx(stood_s - kept_s, abs=1e-6)


def test_what_a_driver_kept_is_not_lost(card, clock):
    made = card()
    with microphone() as source:
        assert lost_in(made, source, clock, [(5.0, round(5.0 / BLOCK_S), False)]) == 0


def test_an_overrun_that_the_clock_cannot_see_counts_as_a_block(card, clock):
    made = card()
    with microphone() as source:
        assert lost_in(made, source, clock, [(0.0, 1, True)]) == pytest.approx(BLOCK_S)


@pytest.mark.parametrize("parts", [5e-4, -5e-4])
def test_clocks_that_differ_lose_nothing_in_ten_minutes(card, clock, parts):
    made = card()
    with microphone() as source:
        for block in blocks(round(600 / BLOCK_S)):
            clock.now += BLOCK_S * (1 + parts)
            made.hear(block)
            assert next(source.sounds).lost_s == 0


def test_blocks_that_come_unevenly_lose_nothing(card, clock):
    made = card()
    random = np.random.default_rng(1)
    with microphone() as source:
        for number, block in enumerate(blocks(5000)):
            clock.now = max(clock.now, 1000.0 + number * BLOCK_S + random.uniform(0, JITTER_S))
            made.hear(block)
            assert next(source.sounds).lost_s == 0


# A device that vanishes


@pytest.fixture
def hasty(monkeypatch):
    """Patience of thirty milliseconds instead of seconds."""
    monkeypatch.setattr(sources, "TICK_S", 0.001)
    monkeypatch.setattr(sources, "PATIENCE_S", 0.03)


def test_a_pause_in_which_nothing_comes_is_an_empty_sound(card, hasty):
    made = card()
    with microphone() as source:
        assert len(next(source.sounds).samples) == 0
        made.hear(blocks(1)[0])
        assert len(next(source.sounds).samples) == BLOCK


@pytest.mark.parametrize("says_so", [True, False])
def test_a_device_that_is_gone_ends_in_one_sentence_after_what_it_heard(card, hasty, says_so):
    made = card()
    sounds = []
    with microphone() as source:
        for block in blocks(3):
            made.hear(block)
        if says_so:
            made.opened["finished_callback"]()
        with pytest.raises(AudioError, match=r"^no more sound comes from 'made microphone, .*; connect it"):
            sounds.extend(source.sounds)
    assert sum(len(sound.samples) for sound in sounds) == 3 * BLOCK  # extend keeps what came before an error
    assert made.closed


# What cannot be heard


def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with (
        pytest.raises(MissingExtraError, match=r"^listening needs sounddevice.*'vocalics\[live\]'$"),
        microphone(),
    ):
        pass


def test_without_portaudio_one_sentence_says_how_to_install_that(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text(
        'raise OSError("PortAudio library not found")'
    )  # as the true one
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"^listening needs the PortAudio library.*libportaudio2$"):
        list_inputs()


@pytest.mark.parametrize("devices", [[], [device("loudspeaker", 0)]])
def test_a_machine_without_a_microphone_says_so(card, devices):
    card(devices=devices)
    with pytest.raises(UsageError, match=r"^this machine has no microphone; connect one"), microphone():
        pass


def test_inputs_without_a_default_are_named(card):
    card(devices=[device("headset", 1)], default=None)
    with (
        pytest.raises(UsageError, match=r"no default microphone; choose .*0 'headset, made interface'\.$"),
        microphone(),
    ):
        pass


@pytest.mark.parametrize("chosen", [7, 0, "lamp", "s"])  # none, an output, none, several
def test_an_unknown_device_is_answered_with_those_that_there_are(card, chosen):
    card(devices=[device("loudspeaker", 0), device("headset", 1), device("desk", 1)], default=1)
    with (
        pytest.raises(UsageError, match=rf"^'{chosen}' names no input.*1 'headset, .*2 'desk, "),
        microphone(chosen),
    ):
        pass


def test_a_device_that_cannot_be_opened_says_why(card):
    card(refuses="Device unavailable [PaErrorCode -9985]")
    with (
        pytest.raises(UsageError, match=r"^the input 'made microphone, .* \(Device unavailable .*\); close"),
        microphone(),
    ):
        pass


# A recording, played


def test_a_recording_is_heard_whole_in_the_time_it_lasts(clip, clock):
    begin = clock.now
    with played(clip) as source:
        sounds = list(source.sounds)
    expected = audio.read(clip).mono()
    assert (source.name, source.sample_rate) == (str(clip), expected.sample_rate)
    np.testing.assert_array_equal(np.concatenate([sound.samples for sound in sounds]), expected.samples[0])
    ends_s = np.cumsum([len(sound.samples) for sound in sounds]) / source.sample_rate
    assert [sound.ended_at - begin for sound in sounds] == pytest.approx(ends_s)
    assert clock.now - begin == pytest.approx(expected.duration_s)
    assert sum(sound.lost_s for sound in sounds) == 0


def test_twice_the_speed_is_half_the_time(clip, clock):
    begin = clock.now
    with played(clip, speed=2.0) as source:
        assert sum(len(sound.samples) for sound in source.sounds) == audio.read(clip).n_samples
    assert clock.now - begin == pytest.approx(audio.read(clip).duration_s / 2)


def test_a_listener_who_is_late_is_told_when_the_sound_was_due(clip, clock):
    with played(clip) as source:
        first = next(source.sounds)
        clock.now += 1.0  # the listener takes a second
        second = next(source.sounds)
    assert second.ended_at - first.ended_at == pytest.approx(BLOCK_S)
    assert clock.now - first.ended_at == pytest.approx(1.0)  # and did not wait any more


def test_a_last_block_of_one_sample_in_two_channels_is_heard(clock, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((RATE // 50 + 1, 2), 0.25), RATE)
    with played(tmp_path / "a.wav") as source:
        assert [len(sound.samples) for sound in source.sounds] == [RATE // 50, 1]


def test_what_is_no_recording_is_refused_before_anything_is_heard(tmp_path):
    with pytest.raises(AudioError, match=r"missing\.wav"), played(tmp_path / "missing.wav"):
        pass
