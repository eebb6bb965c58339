"""A Waveform is sound that was checked once; resampling leaves it the same sound."""

import subprocess
import sys

import numpy as np
import pytest

from sounds import FFMPEG, RATE, SOUNDFILE, amplitude_of, sine, sweep
from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError


@pytest.mark.parametrize(
    ("samples", "sample_rate", "words"),
    [
        (np.zeros((1, 100)), 16_000, "float64"),
        (np.zeros(100, np.float32), 16_000, "channels, n_samples"),
        ([[0.0, 0.1]], 16_000, "list"),
        (np.zeros((1, 0), np.float32), 16_000, "no samples"),
        (np.array([[0.0, np.nan]], np.float32), 16_000, "NaN"),
        (np.array([[0.0, -np.inf]], np.float32), 16_000, "infinite"),
        (np.array([[0.0, 20_000.0]], np.float32), 16_000, "full scale"),
        (np.zeros((1, 100), np.float32), 7_999, "8000"),
        (np.zeros((1, 100), np.float32), 192_001, "192000"),
        (np.zeros((1, 100), np.float32), 16_000.5, "16000.5"),
        (np.zeros((1, 100), np.float32), "16000", "16000"),
        (np.zeros((65, 100), np.float32), 16_000, "at most 64"),
    ],
)
def test_a_waveform_refuses_what_is_not_sound(samples, sample_rate, words):
    with pytest.raises(AudioError, match=words):
        Waveform(samples, sample_rate)


def test_a_waveform_cannot_be_changed():
    waveform = Waveform(np.zeros((2, 100), np.float32)[:, ::2], np.int64(16_000))
    assert waveform.samples.flags.c_contiguous
    assert type(waveform.sample_rate) is int
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0, 0] = 1.0


def test_a_waveform_leaves_the_callers_array_writeable():
    samples = np.zeros((1, 100), np.float32)
    Waveform(samples, 16_000)
    samples[0, 0] = 0.5
    assert samples[0, 0] == 0.5


@pytest.mark.parametrize(
    ("pcm", "full_scale"),
    [
        (np.array([0, 1 << 14, -(1 << 15)], np.int16), 1.0),
        (np.array([0, 1 << 14, -(1 << 15)], ">i2"), 1.0),
        (np.array([0, 1 << 30, -(1 << 31)], np.int32), 1.0),
        (np.array([128, 192, 0], np.uint8), 1.0),
        (np.array([0.0, 0.5, -1.0], np.float16), 1.0),
        (np.array([0.0, 0.5, -1.0], np.float64), 1.0),
        ([0.0, 0.5, -1.0], 1.0),
    ],
)
def test_silence_half_and_full_scale_are_the_same_in_every_sample_type(pcm, full_scale):
    waveform = Waveform.from_array(pcm, 8_000)
    np.testing.assert_array_equal(waveform.samples, np.array([[0.0, 0.5, -1.0]], np.float32) * full_scale)


def test_an_array_on_its_side_is_told_to_be_transposed():
    with pytest.raises(AudioError, match="transpose"):
        Waveform.from_array(np.zeros((16_000, 2)), 16_000)


@pytest.mark.parametrize(
    "samples", [np.zeros(9, np.int64), np.zeros((2, 2, 9)), np.zeros(9, complex), 0.0, "sound"]
)
def test_an_array_of_an_unknown_scale_or_shape_is_refused(samples):
    with pytest.raises(AudioError, match="give"):
        Waveform.from_array(samples, 16_000)


def test_a_double_beyond_single_precision_is_refused_without_a_warning():
    with pytest.raises(AudioError, match="infinite"):
        Waveform.from_array(np.array([0.0, 1e300]), 16_000)


def test_from_array_copies():
    samples = np.zeros(100, np.float32)
    waveform = Waveform.from_array(samples, 16_000)
    samples[:] = 1.0
    assert not waveform.samples.any()


def test_mono_is_the_mean_of_the_channels_and_split_gives_them_back():
    waveform = Waveform.from_array(sweep(0.1), RATE)
    left, right = waveform.split()
    np.testing.assert_array_equal(left.samples[0], waveform.samples[0])
    np.testing.assert_array_equal(right.samples[0], waveform.samples[1])
    np.testing.assert_allclose(
        waveform.mono().samples[0], (left.samples[0] + right.samples[0]) / 2, atol=1e-7
    )
    assert left.mono() is left
    assert (waveform.n_channels, waveform.n_samples, waveform.duration_s) == (2, 4_800, 0.1)


@pytest.mark.parametrize("before", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("after", [8_000, 16_000, 44_100])
def test_a_tone_keeps_its_frequency_amplitude_and_length_through_resampling(before, after):
    # 1 kHz lies far below half of the slowest rate; soxr's HQ passes it within 0.01 dB, 0.1 %.
    resampled = Waveform.from_array(sine(1_000, before), before).resampled(after)
    assert abs(resampled.n_samples - after) <= 1
    assert amplitude_of(resampled.samples[0], 1_000, after) == pytest.approx(0.5, rel=1e-3)


def test_minus_six_db_halves_amplitude():
    tone = Waveform.from_array(sine(440, amplitude=0.8) * 10 ** (-6.0206 / 20), RATE).resampled(16_000)
    assert amplitude_of(tone.samples[0], 440, 16_000) == pytest.approx(0.4, rel=1e-3)


def test_what_lies_above_the_bandwidth_is_removed_and_what_lies_below_is_kept():
    both = Waveform.from_array(sine(1_000) + sine(12_000), RATE)
    limited = both.resampled(RATE, bandwidth_hz=8_000)
    assert limited.sample_rate == RATE
    assert amplitude_of(limited.samples[0], 1_000, RATE) == pytest.approx(0.5, rel=1e-3)
    assert amplitude_of(limited.samples[0], 12_000, RATE) < 0.5e-4  # 80 dB down; soxr's HQ promises 100
    assert amplitude_of(both.resampled(44_100).samples[0], 12_000, 44_100) == pytest.approx(0.5, rel=1e-3)


def test_what_lies_above_half_the_new_rate_does_not_fold_back():
    folded = Waveform.from_array(sine(12_000), RATE).resampled(16_000)  # would fold to 4 kHz
    assert np.abs(folded.samples[0, 800:-800]).max() < 0.5e-4


@pytest.mark.parametrize("bandwidth_hz", [None, 24_000, 30_000, 0])
def test_with_nothing_to_do_resampling_returns_the_same_object(bandwidth_hz):
    waveform = Waveform.from_array(sine(1_000), RATE)
    assert waveform.resampled(RATE, bandwidth_hz) is waveform


def test_channels_are_resampled_by_themselves():
    waveform = Waveform.from_array(sweep(0.5), RATE)
    together = waveform.resampled(16_000, 4_000).samples
    alone = [channel.resampled(16_000, 4_000).samples[0] for channel in waveform.split()]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_rate_out_of_range_cannot_be_resampled_to():
    with pytest.raises(AudioError, match="192000"):
        Waveform.from_array(sine(1_000), RATE).resampled(400_000)


def test_importing_the_door_loads_no_codec():
    """The command starts cold in every call, so libraries are loaded when they are needed."""
    program = (
        "import sys, vocalics.audio; print([m for m in ('av', 'soxr', 'soundfile') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_suffixes_are_lower_case_with_a_dot():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in audio.SUFFIXES)
    assert {f".{suffix}" for suffix in (*SOUNDFILE, *FFMPEG)} <= audio.SUFFIXES
    assert not {".csv", ".txt", ".json", ".jpg"} & audio.SUFFIXES
