"""The recipes of the published systems say what the systems' own descriptions say, number by number."""

import pytest
import torch
from torch import nn

from vocalics.emotions import EMOTIONS
from vocalics.lab.recipes import Recipe, load_recipe
from vocalics.lab.recogniser import Recogniser

PUBLISHED = ("cnn-bilstm-attention", "cnn-lstm", "lstm", "cnn1d", "cnn2d")
every_system = pytest.mark.parametrize("name", PUBLISHED)


def layers(name: str, kind: type[nn.Module]) -> list:
    """The layers of a kind in a recipe's network, in their order."""
    return [layer for layer in Recogniser(load_recipe(name)).network.modules() if isinstance(layer, kind)]


def features_of(recipe: Recipe) -> list[str]:
    return [part.name for part in recipe.features.stack]


def changes_to(name: str) -> set[str]:
    """What is done to the training clips of a recipe."""
    changes = load_recipe(name).augmentation
    done = {
        "noise": changes.noise_factor or changes.noise_snr_db,
        "pitch": changes.pitch_semitones,
        "stretch": changes.stretch,
        "speed": changes.speed,
        "gain": changes.gain_db,
        "shift": changes.shift_s,
        "shift of frames": changes.shift_frames,
        "noise on features": changes.feature_noise,
        "masks": changes.frequency_masks or changes.time_masks,
        "mixup": changes.mixup_alpha,
    }
    return {change for change, setting in done.items() if setting}


def heard(name: str) -> torch.Tensor:
    """What the network hears of four seconds of noise, (rows, frames)."""
    recipe = load_recipe(name)
    with torch.no_grad():
        return Recogniser(recipe).front_end(0.1 * torch.randn(1, 4 * recipe.sample_rate))[0]


@every_system
class TestEverySystem:
    def test_early_stopping_and_a_plateau_choose_on_a_part_of_the_training_part(self, name):
        # all five name both but `lstm`, which names neither: its recipe trains as the others do
        training = load_recipe(name).training
        assert training.schedule == "plateau"
        assert training.early_stopping_patience is not None
        assert training.validation_share > 0

    def test_clips_are_heard_undivided(self, name):
        assert load_recipe(name).training.crop_s is None

    def test_every_clip_has_the_shape_that_the_recipe_says(self, name):
        features = load_recipe(name).features
        assert heard(name).shape[1] == features.fixed_frames

    def test_there_is_an_answer_for_every_emotion(self, name):
        recipe = load_recipe(name)
        assert Recogniser(recipe).head.out_features == len(recipe.emotions)
        assert set(recipe.emotions) <= set(EMOTIONS)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("cnn-bilstm-attention", ["94 %", "validation"]),
        ("cnn-lstm", ["77.78 %", "test"]),
        ("lstm", ["90 %", "test", "corpus unnamed"]),
        ("cnn1d", ["80 %", "75 % female", "75 % male"]),
        ("cnn2d", ["83.2 %", "validation"]),
    ],
)
def test_a_recipe_tells_what_its_system_claims(name, figures):
    claim = load_recipe(name).claim
    assert all(figure in claim for figure in figures)


class TestCnnBilstmAttention:
    NAME = "cnn-bilstm-attention"

    def test_it_hears_mfcc_frames_of_ravdess(self):
        recipe = load_recipe(self.NAME)
        assert (recipe.corpora, set(recipe.emotions)) == (("ravdess",), set(EMOTIONS))
        assert features_of(recipe) == ["mfcc"]
        assert not recipe.features.functionals

    def test_its_layers_are_those_of_the_description(self):
        for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Dropout):
            assert layers(self.NAME, kind), kind
        assert all(lstm.bidirectional for lstm in layers(self.NAME, nn.LSTM))
        assert layers(self.NAME, nn.LSTM)
        recipe = load_recipe(self.NAME)
        with torch.no_grad():
            attention = Recogniser(recipe).eval()(0.1 * torch.randn(1, recipe.sample_rate)).attention
        assert attention.sum() == pytest.approx(1, abs=1e-5)

    def test_it_is_augmented_by_noise_pitch_stretch_shift_and_mixup(self):
        assert changes_to(self.NAME) == {"noise", "pitch", "stretch", "shift", "mixup"}


class TestCnnLstm:
    NAME = "cnn-lstm"

    def test_it_tells_six_emotions_of_ravdess(self):
        recipe = load_recipe(self.NAME)
        assert recipe.corpora == ("ravdess",)
        assert set(recipe.emotions) == {"calm", "happy", "fearful", "disgust", "angry", "sad"}

    def test_it_hears_four_features(self):
        assert features_of(load_recipe(self.NAME)) == ["mfcc", "chroma", "spectral_contrast", "log_mel"]

    def test_convolutions_come_before_the_lstm(self):
        kinds = [type(layer) for layer in layers(self.NAME, nn.Conv2d | nn.LSTM)]
        assert kinds == [nn.Conv2d] * (len(kinds) - 1) + [nn.LSTM]
        assert len(kinds) > 1

    def test_classes_are_weighted_and_clips_changed_in_pitch_tempo_and_by_noise(self):
        assert load_recipe(self.NAME).training.class_weights
        assert changes_to(self.NAME) == {"pitch", "stretch", "noise"}


class TestLstm:
    NAME = "lstm"

    def test_it_hears_frames_of_three_features_normalised(self):
        recipe = load_recipe(self.NAME)
        assert features_of(recipe) == ["mfcc", "chroma", "spectral_contrast"]
        assert recipe.features.normalisation != "none"
        assert not recipe.features.functionals

    def test_it_tells_the_eight_emotions_of_ravdess(self):
        recipe = load_recipe(self.NAME)
        assert (recipe.corpora, set(recipe.emotions)) == (("ravdess",), set(EMOTIONS))

    def test_lstm_layers_come_before_dense_ones(self):
        kinds = [type(layer) for layer in layers(self.NAME, nn.LSTM | nn.Linear)]
        assert kinds[0] is nn.LSTM
        assert set(kinds[1:]) == {nn.Linear}

    def test_its_clips_are_not_changed(self):
        assert changes_to(self.NAME) == set()


class TestCnn1d:
    NAME = "cnn1d"

    def test_four_corpora_and_four_emotions_with_calm_as_neutral(self):
        recipe = load_recipe(self.NAME)
        assert recipe.corpora == ("ravdess", "tess", "savee", "nemo")  # nEMO stands in for CREMA-D
        assert set(recipe.emotions) == {"angry", "happy", "sad", "neutral"}
        assert recipe.merge == {"calm": "neutral"}

    def test_it_hears_the_mean_of_fifty_eight_mfcc_by_librosa_s_defaults(self):
        recipe = load_recipe(self.NAME)
        features = recipe.features
        assert (recipe.sample_rate, features.n_fft, features.hop_length) == (22_050, 2_048, 512)
        (mfcc,) = features.stack
        assert (mfcc.name, mfcc.n_mfcc, mfcc.n_mels, mfcc.deltas) == ("mfcc", 58, 128, 0)
        assert (mfcc.fmin, mfcc.fmax) == (0.0, None)
        assert Recogniser(recipe).front_end.parts[0].cepstrum.top_db == 80.0
        assert features.functionals == ("mean",)
        assert heard(self.NAME).shape == (58, 1)

    def test_its_first_layer_has_256_filters_of_width_six_over_the_values_as_a_sequence(self):
        first, *more = layers(self.NAME, nn.Conv1d)
        assert (first.in_channels, first.out_channels, first.kernel_size) == (1, 256, (6,))
        assert more
        pools = layers(self.NAME, nn.AvgPool1d)
        assert {(pool.kernel_size, pool.stride) for pool in pools} == {((4,), (2,))}
        assert layers(self.NAME, nn.Dropout)
        assert layers(self.NAME, nn.Linear)

    def test_it_is_trained_by_adam_on_clips_changed_by_noise_stretch_pitch_and_speed(self):
        training = load_recipe(self.NAME).training
        assert (training.optimiser, training.weight_decay) == ("adam", 0.0)
        assert changes_to(self.NAME) == {"noise", "stretch", "pitch", "speed"}


class TestCnn2d:
    NAME = "cnn2d"

    def test_it_hears_nine_features_of_174_frames_at_full_scale(self):
        recipe = load_recipe(self.NAME)
        assert (recipe.sample_rate, recipe.features.frames) == (22_050, 174)
        assert recipe.features.amplitude == "peak"
        named = {part.name: part for part in recipe.features.stack}
        assert features_of(recipe) == [
            "mfcc",
            "chroma",
            "spectral_contrast",
            "zero_crossing_rate",
            "spectral_rolloff",
            "spectral_centroid",
            "rms",
            "spectral_bandwidth",
            "log_mel",  # the mel spectrogram, in decibels: our choice, as the recipe says
        ]
        assert (named["mfcc"].n_mfcc, named["chroma"].n_chroma) == (40, 12)
        # 40 coefficients, 12 classes, 7 bands, five single rows, 128 bands
        assert heard(self.NAME).shape == (40 + 12 + 7 + 5 + 128, 174)

    def test_three_blocks_are_pooled_globally_and_enter_two_dense_layers(self):
        convolutions = layers(self.NAME, nn.Conv2d)
        assert [layer.out_channels for layer in convolutions] == [32, 64, 128]
        assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
        assert len(layers(self.NAME, nn.BatchNorm2d)) == len(layers(self.NAME, nn.MaxPool2d)) == 3
        dense = [(layer.in_features, layer.out_features) for layer in layers(self.NAME, nn.Linear)]
        assert dense == [(128, 256), (256, 128)]  # 128: what the last block has, over all rows and frames

    def test_it_tells_the_eight_emotions_of_ravdess(self):
        recipe = load_recipe(self.NAME)
        assert (recipe.corpora, set(recipe.emotions)) == (("ravdess",), set(EMOTIONS))

    def test_it_is_trained_as_described(self):
        training = load_recipe(self.NAME).training
        assert (training.batch_size, training.optimiser, training.learning_rate) == (16, "adam", 0.001)
        assert training.dense_l2 > 0
        assert training.weight_decay == 0.0  # L2 on the dense layers alone

    def test_its_features_are_shifted_by_ten_frames_and_noised_and_its_clips_left_as_they_are(self):
        changes = load_recipe(self.NAME).augmentation
        assert (changes.shift_frames, changes.feature_noise) == (10, 0.005)
        assert changes_to(self.NAME) == {"shift of frames", "noise on features"}
