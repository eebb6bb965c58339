"""Echo, babble, lines and clipping: each is what physics or the settings say, and training alone hears it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from made_manifests import utterance
from sounds import amplitude_of, sine
from vocalics.errors import UsageError
from vocalics.lab.augment import (
    ECHO_DELAY_S,
    Samples,
    add_echo,
    augment_waveform,
    clip_peaks,
    code_mu_law,
    limit_band,
    mix,
    room_response,
)
from vocalics.lab.babble import FEWEST_VOICES, MOST_VOICES, Voices
from vocalics.lab.dataset import TrainingClips
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.schema import AugmentationSettings

RATE = 16_000

#: Every change of a recording, each time.
ALWAYS = AugmentationSettings(
    babble_snr_db=(5, 20),
    babble_probability=1,
    echo_rt60_s=(0.2, 0.8),
    echo_probability=1,
    band_low_hz=(200, 400),
    band_high_hz=(3_000, 3_800),
    band_probability=1,
    low_pass_hz=(3_000, 7_000),
    low_pass_probability=1,
    clip_share=0.1,
    clip_probability=1,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(seed: int = 0, n_samples: int = RATE, level: float = 0.1) -> Samples:
    return (level * generator(seed).standard_normal(n_samples)).astype(np.float32)


def decibel(power: float) -> float:
    return 10 * float(np.log10(power))


def power_between(samples: Samples, low_hz: float, high_hz: float) -> float:
    """Power in a band, the clip faded in and out: its two ends alone would be heard everywhere."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[(frequencies >= low_hz) & (frequencies < high_hz)].sum())


class TestRooms:
    @pytest.mark.parametrize("direct_db", [-3.0, 0.0, 10.0])
    def test_the_direct_sound_lies_above_the_echo_by_the_ratio_asked_for(self, direct_db):
        response = room_response(0.5, direct_db, RATE, generator()).astype(np.float64)
        echo = response[1:]
        assert response[0] == 1
        assert decibel(1 / np.sum(echo**2)) == pytest.approx(direct_db, abs=1e-3)  # sums in float32

    @pytest.mark.parametrize("rt60_s", [0.3, 0.8])
    def test_the_echo_falls_by_sixty_decibels_in_the_time_asked_for(self, rt60_s):
        response = room_response(rt60_s, 0.0, RATE, generator()).astype(np.float64)
        left = np.cumsum(response[:0:-1] ** 2)[::-1]  # Schroeder's integral: energy that is still to come
        early, late = round(0.1 * rt60_s * RATE), round(0.5 * rt60_s * RATE)
        fall_db = decibel(left[early] / left[late])
        # 40 % of the time, so 24 dB; of some 1,000 normal values near the end a power varies by 5 %, 0.2 dB
        assert fall_db == pytest.approx(24, abs=1.0)

    def test_the_echo_begins_after_the_first_wall(self):
        response = room_response(0.3, 0.0, RATE, generator())
        assert response.nonzero()[0][1] == ECHO_DELAY_S * RATE

    def test_an_impulse_sounds_as_the_response(self):
        impulse = np.zeros(RATE, np.float32)
        impulse[100] = 1
        response = room_response(0.3, 0.0, RATE, generator())
        heard = add_echo(impulse, response)
        # the transform rounds by some 1e-7 of the largest value, 1
        np.testing.assert_allclose(heard[100 : 100 + len(response)], response, rtol=0, atol=1e-6)
        assert np.abs(heard[:100]).max() < 1e-6

    def test_what_rings_on_after_the_clip_is_lost(self):
        samples, response = noise(), room_response(0.3, 0.0, RATE, generator())
        # NumPy's convolution as the second route
        np.testing.assert_allclose(
            add_echo(samples, response), np.convolve(samples, response)[:RATE], rtol=0, atol=1e-5
        )


class TestBands:
    def test_what_lies_in_the_band_stays_as_it_is(self):
        tone = sine(1_000, RATE)
        middle = slice(RATE // 4, -RATE // 4)
        # its edges are steps, which lie in no band; a quarter of a second away nothing of them rings
        np.testing.assert_allclose(
            limit_band(tone, 300, 3_400, RATE)[middle], tone[middle], rtol=0, atol=1e-3
        )

    def test_beyond_its_skirts_there_is_nothing(self):
        limited = limit_band(noise(), 300, 3_400, RATE)
        inside = power_between(limited, 300, 3_400)
        # the spectrum is 0 there; float32 rounds by some 1e-7, 140 dB, of the largest value
        assert decibel(power_between(limited, 3_600, 8_001) / inside) < -80
        assert decibel(power_between(limited, 0, 140) / inside) < -80

    def test_a_skirt_has_half_the_amplitude_in_its_middle(self):
        tone_hz = 4_000 * 1.025
        limited = limit_band(sine(tone_hz, RATE, amplitude=0.5), 0.0, 4_000, RATE)
        assert amplitude_of(limited[2_000:-2_000], tone_hz, RATE) == pytest.approx(0.25, rel=0.01)

    def test_without_a_lower_edge_the_lowest_stays(self):
        steady = np.full(RATE, 0.5, np.float32)
        np.testing.assert_allclose(limit_band(steady, 0.0, 4_000, RATE)[2_000:-2_000], 0.5, atol=1e-3)


class TestMuLaw:
    def test_it_has_the_levels_of_eight_bits(self):
        every = (np.arange(-32_768, 32_768) / 32_768).astype(np.float32)
        assert len(np.unique(code_mu_law(every))) == 255  # 127 of each sign, and zero

    def test_a_step_is_a_small_share_of_the_sample(self):
        loud = np.linspace(0.01, 1, 1_000, dtype=np.float32)
        # of a curve in which ln(1 + 255 x) has 127 steps: half a step is ln(256) / 254 of (x + 1 / 255)
        bound = np.log(256) / 254 * (loud + 1 / 255) * 1.03  # the curve bends within a step
        assert (np.abs(code_mu_law(loud) - loud) <= bound).all()

    def test_both_signs_are_treated_alike(self):
        samples = noise()
        assert np.array_equal(code_mu_law(-samples), -code_mu_law(samples))

    def test_what_is_over_full_scale_is_cut_off(self):
        assert code_mu_law(np.array([3.0, -3.0], np.float32)).tolist() == pytest.approx([1, -1], abs=1e-3)


class TestClipping:
    @pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
    def test_so_large_a_share_lies_at_the_limit(self, share):
        clipped = np.abs(clip_peaks(noise(), share))
        # all sizes differ, so the count is exact but for the rounding of one sample
        assert np.mean(clipped == clipped.max()) == pytest.approx(share, abs=1.5 / RATE)

    def test_what_is_softer_stays_as_it_is(self):
        samples = noise()
        clipped = clip_peaks(samples, 0.05)
        soft = np.abs(samples) < np.abs(clipped).max()
        assert np.array_equal(clipped[soft], samples[soft])

    def test_a_clip_that_is_nearly_all_silent_is_left_alone(self):
        samples = np.zeros(RATE, np.float32)
        samples[:100] = 0.5
        assert np.array_equal(clip_peaks(samples, 0.05), samples)


class TestMixing:
    @pytest.mark.parametrize("snr_db", [-5.0, 5.0, 20.0])
    def test_the_noise_stands_at_the_ratio_asked_for(self, snr_db):
        samples, other = noise(0), noise(1, level=0.7)
        added = mix(samples, other, snr_db).astype(np.float64) - samples
        ratio = np.mean(samples.astype(np.float64) ** 2) / np.mean(added**2)
        assert decibel(ratio) == pytest.approx(snr_db, abs=1e-3)  # by construction, but for float32

    def test_silence_on_either_side_changes_nothing(self):
        silence = np.zeros(RATE, np.float32)
        assert not mix(silence, noise(), 5.0).any()
        assert np.array_equal(mix(noise(), silence, 5.0), noise())


#: What each speaker of `part` sounds like, Hz.
TONES = {"a": 500.0, "b": 1_000.0, "c": 2_000.0, "d": 4_000.0}


@pytest.fixture
def part() -> Manifest:
    """Two clips of each of four speakers."""
    clips = [utterance("x", speaker, number) for speaker in TONES for number in range(2)]
    return Manifest("made", tuple(clips))


class Sounds(dict[str, Samples]):
    """A store of what is in memory."""

    def positions(self, manifest: Manifest) -> np.ndarray:
        return np.array([list(self).index(spoken.id) for spoken in manifest])

    def utterance_id(self, position: int) -> str:
        return list(self)[position]

    def clip(self, position: int) -> Samples:
        return self[self.utterance_id(position)]


@pytest.fixture
def store(part) -> Sounds:
    """Each speaker has a tone of their own, each clip a level and a length."""
    return Sounds(
        {
            spoken.id: sine(TONES[spoken.speaker], RATE, 0.6 + 0.1 * number, amplitude=0.02 * (number + 1))
            for number, spoken in enumerate(part)
        }
    )


class TestBabble:
    def test_the_own_speaker_is_never_in_it_and_everybody_else_is_at_times(self, part, store):
        voices = Voices(store, part)
        for spoken in part:
            heard = set()
            for seed in range(30):
                babble = voices.mixed(spoken, RATE, generator(seed))
                heard |= {name for name, tone in TONES.items() if amplitude_of(babble, tone, RATE) > 0.2}
            # a voice has the amplitude 1.4; where a clip comes again its tone jumps, and leaks a little
            assert heard == set(TONES) - {spoken.speaker}

    def test_all_voices_are_equally_loud(self, part, store):
        clips = {name: noise(number, level=0.01 * 2**number) for number, name in enumerate(store)}
        voices = Voices(clips, part)
        powers = []
        for seed in range(8):
            babble = voices.mixed(part.utterances[0], RATE, generator(seed), n_voices=5).astype(np.float64)
            powers.append(np.mean(babble**2))
        # five powers of 1; noises of 16,000 samples go together by 0.8 % of one, and there are ten pairs
        np.testing.assert_allclose(powers, 5, rtol=0.03)

    def test_as_many_voices_as_asked_for_are_mixed(self, part, store):
        asked = []

        class Counted(dict):
            def __getitem__(self, name):
                asked.append(name)
                return super().__getitem__(name)

        voices = Voices(Counted(store), part)
        voices.mixed(part.utterances[0], 100, generator(), n_voices=5)
        assert len(set(asked)) == len(asked) == 5  # no clip twice
        counts = set()
        for seed in range(60):
            asked.clear()
            voices.mixed(part.utterances[0], 100, generator(seed))
            counts.add(len(asked))
        assert counts == set(range(FEWEST_VOICES, MOST_VOICES))  # six clips of others: no more than these
        asked.clear()

    def test_it_is_as_long_as_asked_for(self, part, store):
        assert len(Voices(store, part).mixed(part.utterances[0], 50_000, generator())) == 50_000

    def test_silent_clips_of_others_make_silence(self, part, store):
        silent = dict.fromkeys(store, np.zeros(800, np.float32))
        assert not Voices(silent, part).mixed(part.utterances[0], 1_000, generator()).any()

    def test_the_same_name_in_another_corpus_is_another_speaker(self, store):
        mine, yours = utterance("x", "a", 0), utterance("y", "a", 0)
        clips = {mine.id: sine(500, RATE), yours.id: sine(1_000, RATE)}
        babble = Voices(clips, [mine, yours]).mixed(mine, RATE, generator())
        assert amplitude_of(babble, 1_000, RATE) == pytest.approx(np.sqrt(2), rel=0.01)  # a power of 1
        assert amplitude_of(babble, 500, RATE) < 0.01

    def test_somebody_else_must_be_there_and_known(self, part, store):
        alone = [spoken for spoken in part if spoken.speaker == "a"]
        with pytest.raises(UsageError, match="there is 1 in all; add recordings of others"):
            Voices(store, alone)
        with pytest.raises(
            UsageError, match="1 of 8 recordings do not say who speaks; add a column 'speaker'"
        ):
            Voices(store, [replace(part.utterances[0], speaker=""), *part.utterances[1:]])


class TestTrainingHearsThem:
    def changed(self, samples: Samples, seed: int = 0, settings: AugmentationSettings = ALWAYS) -> Samples:
        def babble(n_samples: int, rng: np.random.Generator) -> Samples:
            return rng.standard_normal(n_samples, dtype=np.float32)

        return augment_waveform(samples, settings, RATE, generator(seed), babble)

    def test_the_same_seed_changes_a_clip_the_same_way_and_another_one_otherwise(self):
        assert np.array_equal(self.changed(noise()), self.changed(noise()))
        assert not np.array_equal(self.changed(noise()), self.changed(noise(), seed=1))

    def test_a_clip_keeps_its_length_and_type_and_is_not_changed_itself(self):
        samples = noise()
        samples.flags.writeable = False
        changed = self.changed(samples)
        assert (changed.shape, changed.dtype) == (samples.shape, np.float32)

    def test_silence_stays_silent(self):
        assert not self.changed(np.zeros(RATE, np.float32)).any()

    @pytest.mark.parametrize(
        "kind", [("babble_snr_db", "babble"), ("echo_rt60_s", "echo"), ("low_pass_hz", "low_pass"),
                 ("clip_share", "clip"), ("band_low_hz", "band")],
    )  # fmt: skip
    def test_each_is_drawn_with_its_own_probability(self, kind):
        setting, name = kind
        settings = {setting: getattr(ALWAYS, setting), f"{name}_probability": 0.25}
        settings |= {"band_high_hz": ALWAYS.band_high_hz} if name == "band" else {}
        often = AugmentationSettings.model_validate(settings)
        samples = noise(n_samples=2_000)
        hits = sum(not np.array_equal(self.changed(samples, seed, often), samples) for seed in range(400))
        # 100 of 400, give or take sqrt(400 * 0.25 * 0.75) = 8.7; four deviations
        assert abs(hits - 100) < 35

    def test_a_recipe_without_them_draws_what_it_drew(self):
        plain = AugmentationSettings(noise_snr_db=(10, 20), noise_probability=1, gain_db=(-6, 6))
        rng = generator()
        expected = noise()
        rng.random()
        snr_db = rng.uniform(10, 20)
        white = rng.standard_normal(RATE, dtype=np.float32)
        level = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
        expected = (expected + white * np.float32(level * 10 ** (-snr_db / 20))) * np.float32(
            10 ** (rng.uniform(-6, 6) / 20)
        )
        assert np.array_equal(self.changed(noise(), settings=plain), expected)

    def test_training_clips_have_babble_of_their_own_part_alone(self, part, store):
        loud = AugmentationSettings(babble_snr_db=(0, 0), babble_probability=1)
        fewer = replace(part, utterances=tuple(u for u in part if u.speaker != "d"))
        clips = TrainingClips(store, fewer, loud, RATE, seed=5)
        for epoch in range(10):
            crop = clips[epoch, 0, 9_600][0].numpy()  # the whole clip
            assert amplitude_of(crop, TONES["d"], RATE) < 0.0004  # 2 % of the clip's own amplitude
            assert not np.array_equal(crop, store[part.utterances[0].id])

    def test_an_epoch_that_is_repeated_hears_the_same_and_another_one_not(self, part, store):
        first, again = (TrainingClips(store, part, ALWAYS, RATE, seed=5) for _ in range(2))
        backwards = [again[1, position, 8_000][0] for position in reversed(range(8))][::-1]
        for position, crop in enumerate(backwards):
            assert (first[1, position, 8_000][0] == crop).all()
            assert (first[2, position, 8_000][0] != crop).any()

    def test_the_validation_part_is_never_changed(self, part, store):
        heard = TrainingClips(store, part, None, RATE, seed=5)
        clip = store[part.utterances[3].id]
        assert np.array_equal(heard[1, 3, len(clip)][0].numpy(), clip)

    def test_a_training_part_with_one_speaker_is_refused_babble_and_nothing_else(self, part, store):
        alone = replace(part, utterances=part.utterances[:2])
        with pytest.raises(UsageError, match="there is 1 in all"):
            TrainingClips(store, alone, ALWAYS, RATE, seed=5)
        quiet = ALWAYS.model_copy(update={"babble_snr_db": None})
        TrainingClips(store, alone, quiet, RATE, seed=5)[0, 0, 100]

    def test_without_anybody_else_there_is_no_babble(self):
        babble = AugmentationSettings(babble_snr_db=(0, 0), babble_probability=1)
        assert np.array_equal(augment_waveform(noise(), babble, RATE, generator()), noise())
        with_others = partial(augment_waveform, noise(), babble, RATE, generator())
        assert not np.array_equal(with_others(babble=lambda n, rng: noise(1, n)), noise())
