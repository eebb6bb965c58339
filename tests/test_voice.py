"""Voice activity as sound comes: the same however it is cut, at any level, and nothing lost to the gate."""

import numpy as np
import pytest

from sounds import sine
from vocalics import audio
from vocalics.audio import SUFFIXES
from vocalics.recognition.speech import VAD_RATE
from vocalics.recognition.stretches import StretchFinder
from vocalics.recognition.voice import CHUNK_S, HANGOVER_CHUNKS, VoiceActivity


def hear(samples, sizes=(10_000,), gate=True):
    """All probabilities of sound that comes in pieces of these sizes, over and over."""
    voice = VoiceActivity(gate)
    probabilities, start = [], 0
    while start < len(samples):
        for size in sizes:
            probabilities += voice.push(samples[start : start + size])
            start += size
    return probabilities + voice.finish()


def stretches(samples, **options):
    finder = StretchFinder()
    found = [*map(finder.push, hear(samples, **options)), finder.finish()]
    return [(one.start_s, one.end_s) for one in found if one]


@pytest.fixture(scope="module")
def sentence(clip):
    """A sentence of 3.3 s at 16 kHz."""
    return audio.read(clip).mono().samples[0]


def test_every_chunk_has_a_probability_and_a_part_of_one_has_too():
    assert len(hear(np.zeros(10 * 512 + 1, np.float32))) == 11
    assert VoiceActivity().finish() == []


def test_it_does_not_matter_how_the_sound_is_cut(sentence):
    whole = hear(sentence)
    for sizes in [(1_000,), (512,), (7, 4_000, 511), (len(sentence),)]:
        assert hear(sentence, sizes) == whole


def test_two_sentences_with_a_pause_between_are_two_stretches(sentence):
    pause = np.zeros(2 * VAD_RATE, np.float32)
    first, *_, last = stretches(np.hstack([sentence, pause, sentence]))
    sentence_s = len(sentence) / VAD_RATE
    assert first[1] <= sentence_s + 0.2
    assert last[0] >= sentence_s + 2.0 - 0.2


def test_stretches_hold_nearly_all_of_the_energy_of_speech(clips):
    for path in clips:
        samples = audio.read(path).mono().resampled(VAD_RATE).samples[0]
        energy = np.square(samples, dtype=np.float64)
        inside = sum(
            energy[round(start_s * VAD_RATE) : round(end_s * VAD_RATE)].sum()
            for start_s, end_s in stretches(samples)
        )
        assert inside / energy.sum() > 0.95  # soft ends of words may be outside


@pytest.mark.parametrize("gain_db", [-35, -20, 10])
def test_stretches_do_not_depend_on_the_level(sentence, gain_db):
    louder = sentence * np.float32(10 ** (gain_db / 20))
    np.testing.assert_allclose(stretches(louder), stretches(sentence), atol=2 * CHUNK_S)


def test_an_offset_changes_nothing(sentence):
    np.testing.assert_allclose(
        stretches(0.1 * sentence + np.float32(0.5)), stretches(sentence), atol=2 * CHUNK_S
    )


def test_a_quiet_voice_is_heard_some_time_after_a_shout(sentence):
    pause = np.random.default_rng(0).normal(0, 1e-5, 20 * VAD_RATE).astype(np.float32)
    quiet = sentence * np.float32(10 ** (-30 / 20))
    found = stretches(np.hstack([sentence, pause, quiet]))
    assert any(start_s > 23 for start_s, _ in found)


# The gate


@pytest.mark.parametrize("what", ["silence", "hum"])
def test_what_is_surely_not_speech_is_not_given_to_the_detector(sentence, what):
    n_pause = 20 * VAD_RATE
    hum = sine(50, VAD_RATE, 20.0, 1e-3) if what == "hum" else np.zeros(n_pause)
    voice = VoiceActivity()
    voice.push(np.hstack([sentence, hum.astype(np.float32)]))
    in_the_sentence = VoiceActivity()
    in_the_sentence.push(sentence)
    n_dropped = voice.n_dropped - in_the_sentence.n_dropped
    assert 20 / CHUNK_S - HANGOVER_CHUNKS - 1 <= n_dropped <= 20 / CHUNK_S + 1


def test_the_gate_changes_no_stretch(clips):
    for path in clips:
        sentence = audio.read(path).mono().resampled(VAD_RATE).samples[0]
        pause = np.zeros(3 * VAD_RATE, np.float32)
        sound = np.hstack([pause, sentence, pause, sentence])
        ungated = stretches(sound, gate=False)
        assert len(ungated) >= 2
        np.testing.assert_allclose(stretches(sound), ungated, atol=2 * CHUNK_S)


@pytest.mark.data
@pytest.mark.parametrize(("corpus", "every"), [("ravdess", 60), ("tess", 100), ("savee", 24), ("nemo", 150)])
def test_no_stretch_of_an_actor_is_lost_to_the_gate(data, corpus, every):
    clips = sorted(path for path in (data / corpus).rglob("*") if path.suffix in SUFFIXES)[::every]
    samples = [audio.read(path).mono().resampled(VAD_RATE).samples[0] for path in clips]
    sound = np.hstack([part for clip in samples for part in (clip, np.zeros(VAD_RATE, np.float32))])
    gated = stretches(sound)
    for start_s, end_s in stretches(sound, gate=False):
        kept_s = sum(max(0.0, min(end_s, end) - max(start_s, start)) for start, end in gated)
        assert kept_s >= end_s - start_s - 2 * CHUNK_S
