"""Every change to a training clip does what its name says, and draws from the generator it is given."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from sounds import amplitude_of, sine
from vocalics.lab.augment import (
    Samples,
    add_feature_noise,
    add_noise,
    add_white_noise,
    augment_waveform,
    change_gain,
    change_speed,
    mask_features,
    mixup,
    shift_frames,
    shift_pitch,
    shift_time,
    stretch_time,
)
from vocalics.lab.recipes.schema import AugmentationSettings

RATE = 16_000
TONE_HZ = 440.0

EVERYTHING = AugmentationSettings(
    speed=(0.9, 1.1),
    pitch_semitones=(-2, 2),
    pitch_probability=1,
    stretch=(0.8, 1.25),
    stretch_probability=1,
    shift_s=0.1,
    noise_snr_db=(10, 20),
    noise_probability=1,
    gain_db=(-6, 6),
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone() -> Samples:
    """Half a second of a sine, 8,000 samples."""
    return sine(TONE_HZ, RATE, duration_s=0.5)


def frequency_of(samples: Samples) -> float:
    """Frequency of the highest peak of the spectrum, Hz; a parabola finds it between the bins."""
    middle = samples[len(samples) // 8 : -len(samples) // 8]  # without the edges, where a stretch swings in
    decibel = np.log(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) + 1e-12)
    peak = int(decibel.argmax())
    left, top, right = decibel[peak - 1 : peak + 2]
    return float((peak + 0.5 * (left - right) / (left - 2 * top + right)) * RATE / len(middle))


class TestGainAndNoise:
    def test_minus_six_db_halves_amplitude(self):
        halved = change_gain(tone(), 20 * np.log10(0.5))  # -6.02 dB
        np.testing.assert_allclose(halved, tone() / 2, rtol=1e-6)  # one rounding of float32

    def test_no_gain_changes_nothing(self):
        assert (change_gain(tone(), 0.0) == tone()).all()

    @pytest.mark.parametrize("snr_db", [-5.0, 10.0, 30.0])
    def test_noise_stands_at_the_ratio_asked_for(self, snr_db):
        noise = add_white_noise(tone(), snr_db, generator()).astype(np.float64) - tone()
        measured = 10 * np.log10(np.mean(np.square(tone(), dtype=np.float64)) / np.mean(noise**2))
        # the power of 8,000 normal values varies by sqrt(2 / 8000) = 1.6 %, that is 0.07 dB
        assert measured == pytest.approx(snr_db, abs=0.2)

    @pytest.mark.parametrize("factor", [0.005, 0.1])
    def test_noise_by_factor_has_that_deviation_of_full_scale_however_loud_the_clip(self, factor):
        noise = add_noise(tone(), factor, generator()).astype(np.float64) - tone()
        # the deviation of 8,000 normal values varies by 1 / sqrt(2 * 8000) = 0.8 %, their mean by 1.1 % of it
        assert noise.std() == pytest.approx(factor, rel=0.032)
        assert noise.mean() == pytest.approx(0, abs=0.045 * factor)
        in_silence = add_noise(np.zeros(8_000, np.float32), factor, generator())
        np.testing.assert_allclose(noise, in_silence, rtol=0, atol=6e-8)  # one rounding of float32 below 1

    def test_noise_is_white(self):
        noise = add_white_noise(np.ones(16_000, np.float32), 0.0, generator()) - 1
        power = np.abs(np.fft.rfft(noise)) ** 2
        lower, upper = power[1:4_000].mean(), power[4_000:-1].mean()
        # exponential powers: each mean over 4,000 of them varies by 1.6 %
        assert lower / upper == pytest.approx(1, abs=0.1)


class TestTimeAndPitch:
    def test_double_speed_halves_the_length_and_doubles_the_frequency(self):
        fast = change_speed(tone(), 2.0)
        assert len(fast) == 4_000
        assert frequency_of(fast) == pytest.approx(2 * TONE_HZ, abs=1)  # a fifth of a bin

    @pytest.mark.parametrize("factor", [0.85, 1.1])
    def test_speed_divides_the_length_and_multiplies_the_frequency(self, factor):
        changed = change_speed(tone(), factor)
        assert len(changed) == pytest.approx(8_000 / factor, abs=1)
        assert frequency_of(changed) == pytest.approx(factor * TONE_HZ, abs=1)
        # a resampler keeps the level; soxr's ripple is below 0.1 %
        assert amplitude_of(changed, factor * TONE_HZ, RATE) == pytest.approx(0.5, rel=5e-3)

    @pytest.mark.parametrize("semitones", [12, -12, 4])
    def test_twelve_semitones_are_an_octave_at_equal_length(self, semitones):
        shifted = shift_pitch(tone(), semitones, RATE)
        assert len(shifted) == 8_000
        # a tenth of a semitone, 0.6 %, is less than ears tell
        assert frequency_of(shifted) == pytest.approx(TONE_HZ * 2 ** (semitones / 12), rel=0.006)

    @pytest.mark.parametrize("rate", [0.8, 1.25])
    def test_a_stretch_changes_the_length_and_keeps_the_frequency(self, rate):
        stretched = stretch_time(tone(), rate, RATE)
        assert len(stretched) == pytest.approx(8_000 / rate, abs=1)
        assert frequency_of(stretched) == pytest.approx(TONE_HZ, rel=0.006)

    @pytest.mark.parametrize("shift", [3, 0, -4])
    def test_a_shift_moves_an_impulse(self, shift):
        impulse = np.zeros(10, np.float32)
        impulse[5] = 1
        assert shift_time(impulse, shift).nonzero()[0].tolist() == [5 + shift]

    @pytest.mark.parametrize(
        ("shift", "left"), [(2, [0, 0, 1, 2]), (-2, [3, 4, 0, 0]), (9, [0] * 4), (-9, [0] * 4)]
    )
    def test_what_a_shift_moves_out_is_lost_and_silence_enters(self, shift, left):
        assert shift_time(np.array([1, 2, 3, 4], np.float32), shift).tolist() == left


@pytest.mark.parametrize(
    "change",
    [
        lambda samples: change_speed(samples, 1.1),
        lambda samples: change_gain(samples, 6.0),
        lambda samples: add_white_noise(samples, 10.0, generator()),
        lambda samples: shift_time(samples, 100),
        lambda samples: shift_pitch(samples, 2, RATE),
        lambda samples: stretch_time(samples, 0.9, RATE),
        lambda samples: augment_waveform(samples, EVERYTHING, RATE, generator()),
    ],
    ids=["speed", "gain", "noise", "shift", "pitch", "stretch", "everything"],
)
class TestEveryChange:
    def test_silence_stays_silent(self, change: Callable[[Samples], Samples]):
        changed = change(np.zeros(8_000, np.float32))
        assert len(changed) > 4_000
        assert not changed.any()

    def test_a_clip_is_changed_in_a_copy_and_stays_float32(self, change: Callable[[Samples], Samples]):
        clip = tone()
        clip.flags.writeable = False  # as the samples of a Waveform are
        changed = change(clip)
        assert changed.dtype == np.float32
        assert changed.ndim == 1
        assert len(changed) != len(clip) or (changed != clip).any()


class TestDraws:
    def test_the_same_seed_changes_a_clip_the_same_way(self):
        first, second = (augment_waveform(tone(), EVERYTHING, RATE, generator(7)) for _ in range(2))
        assert np.array_equal(first, second)

    def test_another_seed_changes_it_another_way(self):
        first, second = (augment_waveform(tone(), EVERYTHING, RATE, generator(seed)) for seed in (7, 8))
        assert not np.array_equal(first, second)

    def test_the_slowest_stretch_that_a_recipe_may_name_repeats(self):
        # below half the tempo the stretcher fills in phases from the machine's own randomness
        noise = generator().standard_normal(8_000, dtype=np.float32)
        first, second = (stretch_time(noise, 0.5, RATE) for _ in range(2))
        assert np.array_equal(first, second)

    def test_no_global_generator_is_asked(self):
        masks = EVERYTHING.model_copy(update={"frequency_masks": 2, "time_masks": 2})

        def draw(global_seed: int) -> list[np.ndarray]:
            random.seed(global_seed)
            np.random.seed(global_seed)  # noqa: NPY002 the global generator is what this test is about
            torch.manual_seed(global_seed)
            before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
            features, targets = torch.arange(24.0).reshape(2, 3, 4), torch.eye(2)
            rng = generator(7)
            drawn = [
                augment_waveform(tone(), masks, RATE, rng),
                mask_features(features, masks, rng).numpy(),
                shift_frames(features, 2, rng).numpy(),
                add_feature_noise(features, 0.1, rng).numpy(),
                *(part.numpy() for part in mixup(features, targets, 0.4, rng)),
            ]
            after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
            assert after == before
            return drawn

        for first, second in zip(draw(1), draw(2), strict=True):
            assert np.array_equal(first, second)

    def test_a_recipe_without_changes_leaves_a_clip_as_it_is(self):
        assert (augment_waveform(tone(), AugmentationSettings(), RATE, generator()) == tone()).all()

    def test_a_change_with_probability_zero_never_happens(self):
        settings = AugmentationSettings(
            pitch_semitones=(2, 2),
            pitch_probability=0,
            stretch=(0.8, 0.8),
            stretch_probability=0,
            noise_snr_db=(0, 0),
            noise_factor=1,
            noise_probability=0,
        )
        rng = generator()
        assert all((augment_waveform(tone(), settings, RATE, rng) == tone()).all() for _ in range(20))

    @pytest.mark.parametrize(
        "noise", [{"noise_snr_db": (0, 0)}, {"noise_factor": 0.1}], ids=["ratio", "factor"]
    )
    def test_a_change_happens_as_often_as_its_probability_says(self, noise):
        settings = AugmentationSettings(**noise, noise_probability=0.3)
        rng = generator()
        changed = sum(
            bool((augment_waveform(tone(), settings, RATE, rng) != tone()).any()) for _ in range(400)
        )
        assert changed / 400 == pytest.approx(0.3, abs=0.09)  # four deviations of a coin thrown 400 times


class TestShiftedFrames:
    N_FRAMES = 20

    def planted(self, n_clips: int = 300) -> torch.Tensor:
        """Zeros, and in frame 8 of each clip its own number and the negative of it, in two rows."""
        features = torch.zeros(n_clips, 2, self.N_FRAMES)
        features[:, 0, 8] = torch.arange(1.0, n_clips + 1)
        features[:, 1, 8] = -features[:, 0, 8]
        return features

    def test_a_planted_frame_is_found_within_the_range_and_everywhere_in_it(self):
        features = self.planted()
        shifted = shift_frames(features, 3, generator())
        clips, frames = shifted[:, 0].nonzero(as_tuple=True)
        assert clips.tolist() == list(range(300))  # one frame of each clip, as before
        assert torch.equal(shifted[clips, :, frames], features[:, :, 8])  # and it holds what it held
        places, counts = frames.unique(return_counts=True)
        assert places.tolist() == [5, 6, 7, 8, 9, 10, 11]
        # each of seven places is drawn 300 / 7 = 43 times, give or take 6; four deviations
        assert counts.min() > 18
        assert counts.max() < 68

    def test_what_leaves_is_lost_and_zeros_enter(self):
        features = 1 + torch.arange(float(self.N_FRAMES)).expand(200, 3, self.N_FRAMES)  # 1, 2, ... 20
        shifts = set()
        for clip in shift_frames(features, 19, generator()):
            assert torch.equal(clip, clip[:1].expand(3, -1))  # all rows move together
            row = clip[0].int().tolist()
            kept = [value for value in row if value]
            shift = row.index(kept[0]) + 1 - kept[0]
            late, early = max(shift, 0), max(-shift, 0)
            assert row == [0] * late + list(range(1 + early, self.N_FRAMES + 1 - late)) + [0] * early
            shifts.add(shift)
        assert min(shifts) < -15  # of 39 shifts, 200 draws miss all below -15 once in 1e9
        assert max(shifts) > 15

    def test_the_features_themselves_stay_as_they_are(self):
        features = self.planted(5)
        shift_frames(features, 3, generator())
        assert torch.equal(features, self.planted(5))

    def test_no_shift_draws_nothing(self):
        rng = generator()
        assert torch.equal(shift_frames(self.planted(5), 0, rng), self.planted(5))
        assert rng.random() == generator().random()  # so a recipe without it trains the model that it did


class TestFeatureNoise:
    def test_it_has_the_deviation_asked_for(self):
        features = torch.zeros(4, 40, 50)
        noise = add_feature_noise(features, 0.005, generator())
        # 8,000 normal values: 0.8 % of the deviation, four times over
        assert float(noise.std()) == pytest.approx(0.005, rel=0.032)
        assert noise.dtype == torch.float32
        assert not features.any()

    def test_it_is_added(self):
        features = torch.full((1, 40, 50), 7.0)
        noise = add_feature_noise(torch.zeros(1, 40, 50), 0.005, generator())
        assert torch.equal(add_feature_noise(features, 0.005, generator()), features + noise)

    def test_no_noise_draws_nothing(self):
        rng = generator()
        assert not add_feature_noise(torch.zeros(2, 3, 4), 0.0, rng).any()
        assert rng.random() == generator().random()


class TestMasks:
    N_ROWS, N_FRAMES = 40, 50

    def features(self, n_clips: int = 200) -> torch.Tensor:
        return torch.randn(n_clips, self.N_ROWS, self.N_FRAMES, generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize(("kind", "axis", "whole"), [("frequency", 2, 40), ("time", 1, 50)])
    @pytest.mark.parametrize("n_masks", [1, 2])
    def test_masks_never_exceed_their_share(self, kind, axis, whole, n_masks):
        settings = AugmentationSettings.model_validate({f"{kind}_masks": n_masks, f"{kind}_mask_share": 0.15})
        features = self.features()
        masked = mask_features(features, settings, generator())
        lines = (masked != features).all(dim=axis).sum(dim=1)  # rows or frames blanked, by clip
        widest = int(0.15 * whole)
        assert lines.min() == 0  # a mask may be empty
        assert widest <= lines.max() <= n_masks * widest  # in 200 draws of 0 to `widest` it occurs
        assert ((masked != features).any(dim=axis).sum(dim=1) == lines).all()  # whole rows or frames alone

    def test_what_is_masked_is_the_mean_of_its_clip(self):
        features = self.features(20)
        masked = mask_features(features, AugmentationSettings(frequency_masks=2, time_masks=2), generator())
        means = features.mean(dim=(1, 2))[:, None, None].expand_as(features)
        changed = masked != features
        assert changed.any()
        assert torch.equal(masked[changed], means[changed])

    def test_the_features_themselves_stay_as_they_are(self):
        features = self.features(5)
        mask_features(features, AugmentationSettings(frequency_masks=2, time_masks=2), generator())
        assert torch.equal(features, self.features(5))

    def test_a_recipe_without_masks_changes_nothing(self):
        features = self.features(5)
        assert torch.equal(mask_features(features, AugmentationSettings(), generator()), features)

    def test_a_single_row_and_frame_can_be_masked(self):
        settings = AugmentationSettings(frequency_masks=1, time_masks=1)
        assert mask_features(torch.ones(1, 1, 1), settings, generator()).item() == 1.0  # its own mean


class TestMixup:
    def test_blends_are_convex_and_partners_a_permutation(self):
        features = torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))
        targets = torch.nn.functional.one_hot(torch.arange(8) % 3, 3).float()
        shares = set()
        for seed in range(10):
            mixed, labels, partners = mixup(features, targets, 0.4, generator(seed))
            assert sorted(partners.tolist()) == list(range(8))
            away = (features - features[partners]).flatten()
            share = float((mixed - features[partners]).flatten() @ away / (away @ away))  # least squares
            assert 0 <= share <= 1
            torch.testing.assert_close(mixed, share * features + (1 - share) * features[partners])
            torch.testing.assert_close(labels, share * targets + (1 - share) * targets[partners])
            shares.add(round(share, 3))
        assert len(shares) > 5  # it is drawn anew each time

    def test_the_share_is_drawn_from_the_beta_distribution(self):
        # Of two clips with values 0 and 1 the larger blend tells the share, or one less it.
        features, targets = torch.tensor([0.0, 1.0]).reshape(2, 1, 1), torch.eye(2)
        blends = [mixup(features, targets, 0.4, generator(seed)) for seed in range(600)]
        shares = np.array([float(mixed[1, 0, 0]) for mixed, _, partners in blends if partners[0] == 1])
        # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)), here 0.139; four standard errors of some 300
        assert shares.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.139 / len(shares)))
        assert shares.var() == pytest.approx(1 / (4 * 1.8), abs=0.03)
