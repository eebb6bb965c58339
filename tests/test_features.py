"""The front end equals librosa by every route, and each normalisation does what its name says."""

import pickle

import librosa
import numpy as np
import pytest
import torch

from vocalics.lab.features import spectrum
from vocalics.lab.features.mel import Decibel, MelSpectrogram
from vocalics.lab.features.spectrum import PowerSpectrum
from vocalics.lab.features.stack import LEVEL_UNIT_DB, FrontEnd
from vocalics.lab.recipes.schema import FeatureSettings

RATE = 16_000
ROUTES = ("fft", "convolution", "product")
NORMALISATIONS = ("none", "level", "utterance", "training")


def noise(n_clips: int, n_samples: int, seed: int = 0) -> torch.Tensor:
    """White noise (n_clips, n_samples): power in every bin, so that an error in any of them is seen."""
    return 0.1 * torch.randn(n_clips, n_samples, generator=torch.Generator().manual_seed(seed))


def front_end(normalisation: str = "none", **others: object) -> FrontEnd:
    log_mel = {"name": "log_mel", "n_mels": 20}
    settings = {"n_fft": 512, "hop_length": 256, "stack": [log_mel], "normalisation": normalisation} | others
    return FrontEnd(FeatureSettings.model_validate(settings), RATE)


@pytest.fixture
def by_route(monkeypatch):
    """Make a spectrum that takes a given route, whatever its length."""

    def make(route: str, *arguments: int) -> PowerSpectrum:
        made = PowerSpectrum(*arguments)
        if route != "fft":
            monkeypatch.setattr(spectrum, "LONGEST_CONVOLUTION", 10_000 if route == "convolution" else 0)
            made.prepare_export()
        assert made.route == route
        return made

    return make


class TestPowerSpectrum:
    @pytest.mark.parametrize("route", ROUTES)
    @pytest.mark.parametrize(
        ("n_fft", "hop_length", "win_length"),
        [
            (400, 160, 400),  # 20 x 20
            (512, 256, 512),  # 16 x 32: two factors that differ
            (2048, 512, 2048),  # 32 x 64
            (450, 200, 450),  # 18 x 25: an odd number of columns, half of which has no middle
            (401, 200, 401),  # a prime, and an odd window
            (512, 128, 399),  # a shorter window, which cannot stand in the exact middle
        ],
    )
    def test_every_route_equals_librosa(self, by_route, route, n_fft, hop_length, win_length):
        clips = noise(2, 4_001)  # odd, and no multiple of any hop
        power = by_route(route, n_fft, hop_length, win_length)(clips)
        for ours, clip in zip(power.numpy(), clips.double().numpy(), strict=True):
            exact = np.abs(librosa.stft(clip, n_fft=n_fft, hop_length=hop_length, win_length=win_length)) ** 2
            assert ours.shape == exact.shape
            # float32 rounds to 6e-8; sums of up to 2,048 products lose two digits at most
            np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5 * exact.max())

    @pytest.mark.parametrize("route", ROUTES)
    def test_the_energy_of_a_sine_lies_in_its_bin(self, by_route, route):
        amplitude, n_fft, n_bin = 0.5, 512, 32  # 1 kHz at 16 kHz
        angles = 2 * np.pi * n_bin / n_fft * torch.arange(2_048, dtype=torch.float64)
        power = by_route(route, n_fft, 256)((amplitude * angles.sin()).float()[None])
        middle = power[0, :, 4].numpy()  # a frame that the edges do not reach
        # The sum of a Hann window is half its length, and a real sine is split over two signs of frequency;
        # to both sides of its centre the window's own transform has half that amplitude, and nothing beyond.
        peak = (amplitude * n_fft / 4) ** 2
        expected = np.zeros(n_fft // 2 + 1)
        expected[n_bin - 1 : n_bin + 2] = peak / 4, peak, peak / 4
        np.testing.assert_allclose(middle, expected, rtol=0, atol=1e-5 * peak)

    @pytest.mark.parametrize(("n_fft", "route"), [(512, "convolution"), (513, "product")])
    def test_the_exported_route_follows_from_the_length(self, n_fft, route):
        made = PowerSpectrum(n_fft)  # up to LONGEST_CONVOLUTION = 512 points the convolution is faster
        made.prepare_export()
        assert made.route == route

    def test_tables_are_no_part_of_a_checkpoint(self):
        made = PowerSpectrum(400)
        made.prepare_export()
        assert dict(made.state_dict()) == {}  # else a model could not load after `prepare_export`


class TestMel:
    @pytest.mark.parametrize(
        ("n_mels", "fmin", "fmax"), [(64, 50.0, 8_000.0), (20, 0.0, None)], ids=["speech", "defaults"]
    )
    def test_a_mel_spectrogram_equals_librosa(self, n_mels, fmin, fmax):
        clip = noise(1, 4_001)
        ours = MelSpectrogram(RATE, 512, n_mels, fmin, fmax)(PowerSpectrum(512, 256)(clip))[0].numpy()
        exact = librosa.feature.melspectrogram(
            y=clip[0].double().numpy(),
            sr=RATE,
            n_fft=512,
            hop_length=256,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
        )
        assert ours.shape == exact.shape == (n_mels, 1 + 4_001 // 256)
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5 * exact.max())

    def test_decibels_equal_librosa_clip_by_clip(self):
        # Powers over fifteen decades: some above 80 dB under the loudest, some below, some below 1e-10.
        exponents = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1)) * 15 - 12
        powers = 10.0 ** (exponents - torch.tensor([0.0, 2.0, -3.0])[:, None, None])  # three loudnesses
        ours = Decibel(80.0)(powers)
        for clip, power in zip(ours.numpy(), powers.double().numpy(), strict=True):
            exact = librosa.power_to_db(power, ref=np.max, top_db=80.0)
            assert exact.min() == -80.0  # the floor is reached
            assert exact.max() == 0.0
            np.testing.assert_allclose(clip, exact, rtol=0, atol=1e-4)  # 100 dB in float32: steps of 8e-6

    def test_silence_has_one_level(self):
        assert Decibel()(torch.zeros(1, 4, 5)).unique().tolist() == [0.0]  # it is its own maximum


class TestNormalisation:
    def test_none_leaves_the_stack_as_it_is(self):
        made = front_end("none")
        assert torch.equal(made(noise(1, 4_000)), made.stack(noise(1, 4_000)))

    def test_level_gives_a_clip_mean_zero_in_units_of_twenty_decibels(self):
        made = front_end("level")
        clip = noise(1, 4_000)
        heard, stacked = made(clip), made.stack(clip)
        assert LEVEL_UNIT_DB == 20.0
        assert heard.mean().abs() < 1e-5  # 320 values of about 1: rounding
        torch.testing.assert_close(
            heard - heard[0, 0, 0], (stacked - stacked[0, 0, 0]) / 20.0, rtol=0, atol=1e-5
        )

    @pytest.mark.parametrize("gain", [0.3, 0.01])
    def test_gain_cancels_under_level(self, gain):
        # The quietest value of this noise lies above 1e-10 at both gains: librosa's floor touches none.
        clip = noise(1, 8_000)
        made = front_end("level")
        torch.testing.assert_close(made(gain * clip), made(clip), rtol=0, atol=1e-4)

    def test_utterance_gives_every_row_of_a_clip_mean_zero_and_deviation_one(self):
        rows = front_end("utterance")(noise(2, 8_000) * torch.tensor([[1.0], [0.01]]))
        zeros, ones = torch.zeros(2, 20), torch.ones(2, 20)
        torch.testing.assert_close(rows.mean(dim=2), zeros, rtol=0, atol=1e-4)
        # 1e-5 is added to deviations of some 5 dB, so that a constant row does not divide by zero
        torch.testing.assert_close(rows.std(dim=2, correction=0), ones, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("normalisation", ["level", "utterance"])
    def test_statistics_of_a_clip_are_those_of_the_frames_that_are_kept(self, normalisation):
        # 32 frames, of which 12 are cut off
        made = front_end(normalisation, frames=20)
        kept = front_end("none")(noise(1, 8_000))[:, :, :20]
        assert torch.equal(made(noise(1, 8_000)), made.finish(kept))
        # values up to 80 dB in units of 20 dB or of a row's deviation, some 5 dB: rounding below 1e-5
        assert made(noise(1, 8_000)).mean().abs() < 1e-4

    def test_utterance_turns_a_constant_row_into_zeros(self):
        assert front_end("utterance")(torch.zeros(1, 4_000)).unique().tolist() == [0.0]

    def test_training_gives_every_row_of_the_training_part_mean_zero_and_deviation_one(self):
        clips = [noise(1, length, seed) for seed, length in enumerate((3_000, 8_000, 5_000))]
        made = front_end("training")
        made.fit(made.stack(clip)[0] for clip in clips)
        rows = torch.cat([made(clip) for clip in clips], dim=2)[0]  # all frames count alike
        torch.testing.assert_close(rows.mean(dim=1), torch.zeros(20), rtol=0, atol=1e-4)
        torch.testing.assert_close(rows.std(dim=1, correction=0), torch.ones(20), rtol=0, atol=1e-4)

    def test_every_frame_of_the_training_part_counts_alike(self):
        made = front_end("training", stack=[{"name": "rms"}])
        made.fit([torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[5.0]])])  # clips of three frames and of one
        assert made.row_mean.item() == 2.0
        # the mean of 1, 1, 1 and 9 is 3; the square root of it is one rounding of float32 off
        assert made.row_std.item() == pytest.approx(3**0.5, rel=1e-7)

    def test_a_row_that_never_changes_in_the_training_part_is_not_blown_up(self):
        made = front_end("training", stack=[{"name": "rms"}])
        made.fit([torch.full((1, 1_000), 0.1)])
        assert made.finish(torch.full((1, 1, 3), 0.1 + 1e-6)).abs().max() < 2e-6  # its deviation counts as 1

    def test_statistics_of_the_training_part_belong_to_the_checkpoint(self):
        fitted, loaded = front_end("training"), front_end("training")
        fitted.fit([fitted.stack(noise(1, 8_000))[0]])
        loaded.load_state_dict(fitted.state_dict())
        assert torch.equal(loaded(noise(1, 4_000, seed=2)), fitted(noise(1, 4_000, seed=2)))

    @pytest.mark.parametrize("normalisation", ["none", "level", "utterance"])
    def test_only_training_asks_for_the_training_part(self, normalisation):
        def unasked():
            raise AssertionError("the training part was read")
            yield

        made = front_end(normalisation)
        made.fit(unasked())
        assert torch.equal(made.row_mean, torch.zeros(20, 1))


def fitted(normalisation: str, **others: object) -> FrontEnd:
    """A front end with the statistics of some noise, whatever its frames."""
    made = front_end(normalisation, **others)
    made.fit([front_end().stack(noise(1, 8_000, seed=3))[0]])
    return made


class TestStack:
    def test_features_are_stacked_in_the_order_of_the_recipe(self):
        log_mel, mel = {"name": "log_mel", "n_mels": 10}, {"name": "mel", "n_mels": 6}
        clip = noise(1, 4_000)
        both = front_end(stack=[log_mel, mel])
        assert both.n_features == 16
        assert torch.equal(both(clip)[:, :10], front_end(stack=[log_mel])(clip))
        assert torch.equal(both(clip)[:, 10:], front_end(stack=[mel])(clip))

    @pytest.mark.parametrize("normalisation", NORMALISATIONS)
    def test_a_clip_alone_equals_the_clip_in_a_batch(self, normalisation):
        made = fitted(normalisation)
        batch = noise(3, 4_001) * torch.tensor([[1.0], [0.01], [3.0]])  # neighbours of other loudness
        together = made(batch)
        for position in range(3):
            # values reach 80 dB, so the sums of a batched product may differ by a step or two of float32
            torch.testing.assert_close(
                made(batch[position : position + 1])[0], together[position], rtol=1e-5, atol=1e-4
            )

    @pytest.mark.parametrize("n_fft", [512, 1024], ids=["convolution", "product"])
    def test_the_exported_route_hears_what_training_heard(self, n_fft):
        made = front_end("level", n_fft=n_fft)
        clip = noise(1, 8_000)
        trained = made(clip)
        made.prepare_export()
        assert made.spectrum.route != "fft"
        torch.testing.assert_close(made(clip), trained, rtol=0, atol=1e-4)

    def test_it_travels_to_another_process(self):
        stack = [{"name": "mfcc", "deltas": 1}, {"name": "spectral_contrast", "n_bands": 4}]
        made = front_end("training", stack=stack)
        made.fit([made.stack(noise(1, 8_000))[0]])
        arrived = pickle.loads(pickle.dumps(made))
        assert torch.equal(arrived(noise(1, 4_000)), made(noise(1, 4_000)))


class TestFixedFrames:
    def test_a_longer_clip_is_cut(self):
        clip = noise(1, 8_000)  # 32 frames
        assert torch.equal(front_end(frames=20)(clip), front_end()(clip)[:, :, :20])

    @pytest.mark.parametrize("normalisation", NORMALISATIONS)
    def test_a_shorter_clip_is_heard_as_without_them_and_padded_with_zeros(self, normalisation):
        clip = noise(1, 4_000)  # 16 frames
        rows = fitted(normalisation, frames=20)(clip)
        assert torch.equal(rows[:, :, :16], fitted(normalisation)(clip))
        assert torch.equal(rows[:, :, 16:], torch.zeros(1, 20, 4))

    def test_zeros_are_the_mean_of_the_training_part(self):
        made = fitted("training")
        assert not made.finish(made.row_mean[None].expand(1, 20, 4)).any()

    def test_statistics_of_the_training_part_know_no_padding(self):
        made, short = front_end("training", frames=500), noise(1, 4_000)
        made.fit([made.stack(short)[0]])
        own = front_end().stack(short)[0]  # 16 frames
        torch.testing.assert_close(made.row_mean[:, 0], own.mean(dim=1), rtol=1e-6, atol=0)
        torch.testing.assert_close(made.row_std[:, 0], own.std(dim=1, correction=0), rtol=1e-5, atol=0)

    @pytest.mark.parametrize("frames", [1, 16, 17, 300])
    def test_every_clip_comes_out_with_as_many(self, frames):
        made = front_end(frames=frames)
        for n_samples in (100, 3_839, 3_840, 4_096, 20_000):  # 1, 15, 16, 17 and 79 frames
            assert made(noise(1, n_samples)).shape == (1, 20, frames)


class TestFunctionals:
    @pytest.mark.parametrize("functionals", [["mean"], ["std"], ["mean", "std"], ["std", "mean"]])
    def test_they_are_statistics_over_the_frames_of_a_clip_one_after_the_other(self, functionals):
        clips = noise(2, 8_000)
        made = front_end(functionals=functionals)
        rows = front_end()(clips).double().numpy()
        expected = np.concatenate([getattr(rows, name)(axis=2) for name in functionals], axis=1)
        assert made.n_features == 20 * len(functionals)
        assert made(clips).shape == (2, made.n_features, 1)
        # NumPy's, in float64; values up to 80 dB in float32 rounded to 4e-6
        np.testing.assert_allclose(made(clips)[:, :, 0].numpy(), expected, rtol=0, atol=1e-4)

    def test_rows_keep_the_names_of_the_frames(self):
        made = front_end(functionals=["mean", "std"])
        assert made.row_names == front_end().row_names
        assert torch.equal(made.frames(noise(1, 4_000)), front_end().frames(noise(1, 4_000)))

    def test_a_single_frame_deviates_from_nothing(self):
        assert not front_end(functionals=["std"])(noise(1, 100)).any()

    def test_they_are_normalised_over_the_clips_of_the_training_part(self):
        clips = [noise(1, 4_000, seed) * (seed + 1) for seed in range(6)]
        made = front_end("training", functionals=["mean"], stack=[{"name": "rms"}])
        made.fit(made.stack(clip)[0] for clip in clips)
        heard = torch.cat([made(clip) for clip in clips]).flatten()
        assert heard.mean().abs() < 1e-5  # six values of about 1
        assert heard.std(correction=0) == pytest.approx(1, abs=1e-5)


class TestLevelling:
    """With the root mean square, a feature in closed form: that of a constant is its magnitude."""

    RMS = ({"name": "rms"},)
    STEP = 1 / 32_767  # of 16-bit samples

    def level(self, samples: float, **settings: object) -> float:
        made = front_end(stack=self.RMS, **settings)
        return made(torch.full((1, 4_096), samples))[0, 0, 8].item()  # a frame that the edges do not reach

    def test_samples_of_sixteen_bits_are_left_as_they_are(self):
        every = torch.from_numpy(np.arange(-32_767, 32_768, dtype=np.float32) / np.float32(32_767))[None]
        assert torch.equal(front_end(round_to_bits=16)._levelled(every), every)

    @pytest.mark.parametrize("bits", [8, 12, 16])
    def test_rounding_twice_is_rounding_once(self, bits):
        made = front_end(round_to_bits=bits)
        once = made._levelled(3 * noise(1, 10_000))
        assert len(once.unique()) > 100
        assert torch.equal(made._levelled(once), once)

    def test_what_lies_below_half_a_step_is_not_heard(self):
        levels = (noise(1, 8_000) / self.STEP).round()
        left_behind = 0.98 * (torch.rand(1, 8_000, generator=torch.Generator().manual_seed(5)) - 0.5)
        made = front_end(round_to_bits=16)
        clean, coded = made(levels * self.STEP), made((levels + left_behind) * self.STEP)
        assert torch.equal(coded, clean)
        assert not torch.equal(front_end()((levels + left_behind) * self.STEP), clean)

    @pytest.mark.parametrize(("samples", "expected"), [(0.6, 1), (0.4, 0), (-1.6, 2), (70_000, 32_767)])
    def test_samples_are_rounded_to_the_nearest_step_up_to_full_scale(self, samples, expected):
        assert self.level(samples * self.STEP, round_to_bits=16) == pytest.approx(
            expected * self.STEP, rel=1e-6
        )

    def test_without_it_samples_are_as_they_are(self):
        assert self.level(0.4 * self.STEP) == pytest.approx(0.4 * self.STEP, rel=1e-6)
        assert self.level(2.0) == pytest.approx(2.0, rel=1e-6)

    @pytest.mark.parametrize("samples", [0.001, -0.2, 3.0])
    def test_peak_brings_the_loudest_sample_to_one(self, samples):
        assert self.level(samples, amplitude="peak") == pytest.approx(1, rel=1e-6)

    def test_each_clip_of_a_batch_has_its_own_peak(self):
        made = front_end(stack=self.RMS, amplitude="peak")
        clips = noise(1, 4_096) * torch.tensor([[1.0], [0.01], [30.0]])
        rows = made(clips)
        torch.testing.assert_close(rows, rows[:1].expand(3, -1, -1), rtol=1e-6, atol=0)

    def test_what_is_quieter_than_sixteen_bits_is_not_brought_to_full_scale(self):
        assert self.level(2.0**-17, amplitude="peak") == pytest.approx(0.25, rel=1e-6)  # over 2 ** -15
        assert self.level(0.0, amplitude="peak") == 0.0

    def test_what_rounds_to_silence_stays_silent(self):
        assert self.level(0.4 * self.STEP, amplitude="peak", round_to_bits=16) == 0.0
