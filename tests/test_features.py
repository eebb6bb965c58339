"""The front end equals librosa by every route, and each normalisation does what its name says."""

import librosa
import numpy as np
import pytest
import torch

from vocalics.lab.features import spectrum
from vocalics.lab.features.mel import Decibel, MelSpectrogram
from vocalics.lab.features.spectrum import PowerSpectrum
from vocalics.lab.features.stack import FEATURES, LEVEL_UNIT_DB, FrontEnd
from vocalics.lab.recipes.schema import FEATURE_SETTINGS, FeatureSettings

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

    def test_utterance_turns_a_constant_row_into_zeros(self):
        assert front_end("utterance")(torch.zeros(1, 4_000)).unique().tolist() == [0.0]

    def test_training_gives_every_row_of_the_training_part_mean_zero_and_deviation_one(self):
        clips = [noise(1, length, seed) for seed, length in enumerate((3_000, 8_000, 5_000))]
        made = front_end("training")
        made.fit(iter(clips))
        rows = torch.cat([made(clip) for clip in clips], dim=2)[0]  # all frames count alike
        torch.testing.assert_close(rows.mean(dim=1), torch.zeros(20), rtol=0, atol=1e-4)
        torch.testing.assert_close(rows.std(dim=1, correction=0), torch.ones(20), rtol=0, atol=1e-4)

    def test_statistics_of_the_training_part_belong_to_the_checkpoint(self):
        fitted, loaded = front_end("training"), front_end("training")
        fitted.fit(iter([noise(1, 8_000)]))
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


class TestStack:
    def test_every_feature_of_the_schema_can_be_built(self):
        assert FEATURES.keys() == FEATURE_SETTINGS.keys()
        for name in FEATURES:
            made = front_end(stack=[{"name": name}])
            assert made(noise(1, 4_000)).shape == (1, made.n_features, 1 + 4_000 // 256)

    def test_features_are_stacked_in_the_order_of_the_recipe(self):
        log_mel, mel = {"name": "log_mel", "n_mels": 10}, {"name": "mel", "n_mels": 6}
        clip = noise(1, 4_000)
        both = front_end(stack=[log_mel, mel])
        assert both.n_features == 16
        assert torch.equal(both(clip)[:, :10], front_end(stack=[log_mel])(clip))
        assert torch.equal(both(clip)[:, 10:], front_end(stack=[mel])(clip))

    def test_a_longer_clip_is_cut_to_the_frames(self):
        clip = noise(1, 8_000)  # 32 frames
        assert torch.equal(front_end(frames=20)(clip), front_end()(clip)[:, :, :20])

    def test_a_shorter_clip_is_padded_to_the_frames_with_zeros(self):
        clip = noise(1, 4_000)  # 16 frames
        rows = front_end(frames=20)(clip)
        assert torch.equal(rows[:, :, :16], front_end()(clip))
        assert torch.equal(rows[:, :, 16:], torch.zeros(1, 20, 4))

    @pytest.mark.parametrize("normalisation", NORMALISATIONS)
    def test_a_clip_alone_equals_the_clip_in_a_batch(self, normalisation):
        made = front_end(normalisation)
        made.fit(iter([noise(1, 8_000, seed=3)]))
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
