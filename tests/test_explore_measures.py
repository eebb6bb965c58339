"""What is measured on a recording, against voices in closed form; and which recordings are listened to."""

import numpy as np
import pytest

import made_manifests as made
from vocalics.lab.explore.sample import one_of_each, stratified
from voices import RATE, measured, voice


@pytest.mark.parametrize("hertz", [75.0, 110.0, 220.0, 440.0, 590.0])
def test_the_pitch_of_a_voice_is_its_fundamental(hertz):
    assert measured(voice(hertz)).voice.pitch_hz == pytest.approx(hertz, rel=0.005)


def test_a_glide_of_an_octave_has_the_range_that_is_left_between_its_tenths():
    t = np.arange(2 * RATE) / RATE
    phase = 2 * np.pi * 150 * 2 / np.log(2) * (2 ** (t / 2) - 1)  # 150 to 300 Hz, even in semitones
    found = measured((0.3 * np.sin(phase)).astype(np.float32)).voice
    assert found.pitch_range_semitones == pytest.approx(0.8 * 12, abs=0.4)  # a frame is 0.4 semitones long
    assert found.pitch_hz == pytest.approx(150 * 2**0.5, rel=0.01)


def test_noise_has_no_pitch():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert np.isnan(measured(noise.astype(np.float32)).voice.pitch_hz)


def test_half_the_amplitude_is_six_decibel_less_and_nothing_else():
    loud, soft = measured(voice(200, 0.4)).voice, measured(voice(200, 0.2)).voice
    assert loud.level_db - soft.level_db == pytest.approx(20 * np.log10(2), abs=0.01)
    assert loud.brightness_hz == pytest.approx(soft.brightness_hz, rel=1e-3)
    assert loud.bands_db == pytest.approx(soft.bands_db, abs=0.1)


def test_a_tone_is_as_bright_as_its_frequency_and_a_pause_does_not_count():
    t = np.arange(RATE) / RATE
    tone = np.concatenate([np.zeros(RATE), 0.5 * np.sin(2 * np.pi * 1000 * t), np.zeros(RATE)])
    found = measured(tone.astype(np.float32)).voice
    assert found.brightness_hz == pytest.approx(1000, rel=0.01)
    assert found.sounding_s == pytest.approx(1.0, abs=0.064)  # a frame of 32 ms at each end
    assert found.level_db == pytest.approx(-9.03, abs=0.2)  # 20 log10(0.5 / sqrt 2), less the half frames


def test_the_rate_of_the_file_changes_nothing_but_what_is_said_of_it():
    low, high = measured(voice(220)), measured(voice(220, rate=44_100), 44_100)
    assert (low.sample_rate, high.sample_rate) == (16_000, 44_100)
    assert high.voice.pitch_hz == pytest.approx(low.voice.pitch_hz, rel=1e-3)
    assert high.voice.level_db == pytest.approx(low.voice.level_db, abs=0.05)


def test_silence_has_no_voice():
    assert measured(np.zeros(RATE, np.float32)).voice is None


def test_flat_tops_are_counted_and_round_ones_are_not():
    wave = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    clipped = np.clip(1.5 * wave, -1, 1)
    assert measured(wave.astype(np.float32)).clipped == 0
    assert measured(clipped.astype(np.float32)).clipped == np.sum(np.abs(clipped) == 1)
    assert measured((0.5 * clipped).astype(np.float32)).clipped == 0  # flat, but far from full scale


def test_a_very_short_recording_is_measured_too():
    assert measured(np.full(10, 0.1, np.float32)).voice is not None


# ---- which recordings ------------------------------------------------------------------------------------


def test_the_sample_is_even_over_corpora_emotions_and_genders():
    manifest = made.manifest([*made.ravdess(per_emotion=4), *made.tess(per_emotion=40)])
    chosen = stratified(manifest, 24, seed=0)
    # ravdess has 4 emotions x 2 genders, tess 4 x 1: 12 strata, 2 each
    counts = {}
    for one in chosen:
        key = (one.corpus, one.emotion, one.gender)
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 12
    assert set(counts.values()) == {2}


def test_the_sample_follows_from_its_seed_alone():
    manifest = made.manifest(made.ravdess(per_emotion=4))
    assert stratified(manifest, 20, seed=1) == stratified(manifest, 20, seed=1)
    assert stratified(manifest, 20, seed=1) != stratified(manifest, 20, seed=2)
    assert len(set(stratified(manifest, 20, seed=1))) == 20


def test_a_small_corpus_is_its_own_sample():
    manifest = made.manifest(made.savee())
    assert stratified(manifest, 1000, seed=0) == manifest.utterances


def test_examples_are_one_speaker_in_one_sentence_and_acted_out():
    spoken = [
        made.utterance("a", "x", n, emotion, sentence=sentence, intensity=intensity)
        for n, (emotion, sentence, intensity) in enumerate(
            [("happy", "1", "normal"), ("happy", "2", "normal"), ("happy", "2", "strong"), ("sad", "2", "")]
        )
    ]
    other = made.utterance("a", "y", 0, "angry", sentence="2")
    examples = one_of_each(made.manifest([*spoken, other]))
    assert [(one.emotion, one.speaker) for one in examples] == [("happy", "x"), ("sad", "x"), ("angry", "y")]
    assert examples[0].intensity == "strong"
