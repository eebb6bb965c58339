"""What is compressed to be listened to still is what was recorded, when it was."""

import io
import tracemalloc

import av
import numpy as np
import pytest

from sounds import RATE, amplitude_of, sine
from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError


def waveform(*channels, sample_rate=RATE):
    return Waveform.from_array(np.stack(channels), sample_rate)


def pieces_of(whole, piece_s=0.7):
    """Cut up, the last piece shorter."""
    n = round(piece_s * whole.sample_rate)
    return [
        Waveform(whole.samples[:, start : start + n], whole.sample_rate)
        for start in range(0, whole.n_samples, n)
    ]


def heard(pieces):
    return audio.read(audio.encode(pieces))


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_a_tone_comes_out_at_its_level_and_length(sample_rate):
    answer = heard(pieces_of(waveform(sine(440, sample_rate, duration_s=2.3), sample_rate=sample_rate)))
    assert answer.n_channels == 1
    assert answer.duration_s == pytest.approx(2.3, abs=2 / 16_000)  # two samples of what is compressed
    tone = answer.samples[0, : 2 * answer.sample_rate]  # whole periods
    assert amplitude_of(tone, 440, answer.sample_rate) == pytest.approx(
        0.5, rel=0.05
    )  # 0.4 dB, as of any codec


def test_a_click_stays_where_it_was():
    samples = np.zeros(3 * RATE, np.float32)
    samples[round(1.234 * RATE) : round(1.235 * RATE)] = 0.9
    answer = heard(pieces_of(waveform(samples)))
    # Opus smears a click over some of its shortest blocks, 2.5 ms; a frame is 60.
    assert np.argmax(np.abs(answer.samples[0])) / answer.sample_rate == pytest.approx(1.2345, abs=0.005)


def test_each_of_two_speakers_stays_on_their_side():
    turns = np.repeat([1.0, 0.0], RATE).astype(np.float32)  # one second each
    left, right = sine(440, duration_s=2.0) * turns, sine(1_000, duration_s=2.0) * (1 - turns)
    answer = heard([waveform(left, right)])
    first, second = answer.samples[:, : answer.sample_rate], answer.samples[:, answer.sample_rate :]
    # At this rate Opus says in few steps how the sides share a sound: 14 dB, a factor of 5, lie between them.
    own, other = (amplitude_of(channel, 440, answer.sample_rate) for channel in first)
    assert own == pytest.approx(0.5, rel=0.2)
    assert other < own / 5
    other, own = (amplitude_of(channel, 1_000, answer.sample_rate) for channel in second)
    assert own == pytest.approx(0.5, rel=0.2)
    assert other < own / 5


def test_more_than_two_channels_are_mixed_to_mono():
    answer = heard([waveform(sine(300), sine(300), np.zeros(RATE, np.float32), np.zeros(RATE, np.float32))])
    assert answer.n_channels == 1
    assert amplitude_of(answer.samples[0], 300, answer.sample_rate) == pytest.approx(
        0.25, rel=0.05
    )  # the mean


def test_what_lies_above_the_compressed_band_is_gone():
    answer = heard([waveform(sine(1_000, amplitude=0.2) + sine(9_000, amplitude=0.2))])
    assert amplitude_of(answer.samples[0], 1_000, answer.sample_rate) == pytest.approx(0.2, rel=0.1)
    assert amplitude_of(answer.samples[0], 9_000, answer.sample_rate) < 0.002  # 40 dB down


def test_sound_over_full_scale_is_clipped():
    answer = heard([waveform(10 * sine(200))])
    # A square wave's fundamental is 4/pi of its level; its corners, rounded off, overshoot.
    assert amplitude_of(answer.samples[0], 200, answer.sample_rate) == pytest.approx(4 / np.pi, rel=0.1)


@pytest.mark.parametrize(
    ("n_channels", "bits_per_s"), [(n + 1, rate) for n, rate in enumerate(audio.ENCODED_BITS_PER_S)]
)
def test_an_hour_takes_as_many_bytes_as_is_said(n_channels, bits_per_s):
    # Noise that comes and goes as syllables do, each channel its own: as hard as speech gets.
    generator = np.random.default_rng(5)
    noise = generator.normal(0, 0.1, (n_channels, 30 * 16_000)) * np.sin(np.arange(30 * 16_000) / 2_000)
    n_bytes = len(audio.encode(pieces_of(Waveform.from_array(noise, 16_000))))
    assert 8 * n_bytes / 30 < 1.15 * bits_per_s  # the rate is variable, and the container adds a little


def test_the_same_sound_gives_the_same_bytes():
    whole = waveform(sine(440))
    assert audio.encode([whole]) == audio.encode([whole])


def test_the_cut_of_the_pieces_is_not_heard():
    whole = waveform(sine(440, 44_100, duration_s=2.0), sample_rate=44_100)
    np.testing.assert_allclose(heard(pieces_of(whole, 0.013)).samples, heard([whole]).samples, atol=0.02)


def test_it_is_opus_in_webm():
    with av.open(io.BytesIO(audio.encode([waveform(sine(440))]))) as container:
        assert "webm" in container.format.name
        assert container.streams.audio[0].codec_context.name == "opus"


def test_memory_does_not_grow_with_the_length():
    def silence():
        for _ in range(120):
            yield Waveform(np.zeros((1, RATE), np.float32), RATE)

    tracemalloc.start()
    try:
        audio.encode(silence())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120 * RATE * 4 / 10  # a tenth of the sound, 23 MB in float32


def test_without_sound_there_is_nothing_to_encode():
    with pytest.raises(AudioError, match="no sound"):
        audio.encode([])
