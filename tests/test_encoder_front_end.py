"""The learned sum of an encoder's layers, what of the encoder is trained, and at which rates."""

import copy
import pickle

import numpy as np
import pytest
import torch

from vocalics.errors import RecipeError
from vocalics.lab.encoders import EncoderFrontEnd
from vocalics.lab.encoders.rates import parameter_groups
from vocalics.lab.recipes import Recipe, load_recipe
from vocalics.lab.recipes.encoder_settings import EncoderSettings
from vocalics.lab.recogniser import Recogniser

pytest.importorskip("transformers", reason="encoders are those of transformers")

import made_encoders  # needs transformers
from made_encoders import LAYERS, WIDTH

RATE = 16_000
CLIP = torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((1, 8_000)).astype(np.float32))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make the front end with a family's encoder: ``made(kind, layers=[1])``."""
    folders = {
        kind: made_encoders.write(tmp_path_factory.mktemp(kind), kind)
        for kind in ("wav2vec2-large", "whisper")
    }

    def make(kind: str = "wav2vec2-large", **settings: object) -> EncoderFrontEnd:
        source = str(folders[kind])
        return EncoderFrontEnd(EncoderSettings(source=source, **settings), RATE, 2.0).eval()

    make.folders = folders
    return make


def recipe_with(made, kind: str = "wav2vec2-large", *settings: str) -> Recipe:
    return load_recipe("encoder", [f"encoder.source={made.folders[kind]}", "window_s=2", *settings])


class TestSum:
    def test_each_state_has_mean_nought_and_variance_one_at_every_step(self, made):
        states = made().stack(CLIP)
        steps = (8_000 - 400) // 320 + 1
        assert states.shape == (1, steps, LAYERS + 1, WIDTH)
        torch.testing.assert_close(states.mean(dim=3), torch.zeros(1, steps, LAYERS + 1), rtol=0, atol=1e-5)
        # 1e-5 is added to each variance before the root
        torch.testing.assert_close(
            states.var(dim=3, correction=0), torch.ones(1, steps, LAYERS + 1), rtol=0, atol=1e-3
        )

    def test_layers_begin_with_equal_weights(self, made):
        front_end = made()
        states = front_end.stack(CLIP)
        torch.testing.assert_close(front_end.finish(states)[0].T, states[0].mean(dim=1))

    def test_weights_are_a_softmax(self, made):
        front_end = made()
        with torch.no_grad():
            front_end.layer_weights.copy_(torch.tensor([1.0, 3.0, 6.0]).log())
        states = front_end.stack(CLIP)
        expected = 0.1 * states[:, :, 0] + 0.3 * states[:, :, 1] + 0.6 * states[:, :, 2]
        torch.testing.assert_close(front_end.finish(states), expected.transpose(1, 2))

    def test_the_gradient_of_the_weights_is_that_of_a_softmax(self, made):
        front_end = made()
        with torch.no_grad():
            front_end.layer_weights.copy_(torch.tensor([0.2, -0.5, 0.7]))
        states = front_end.stack(CLIP)
        slope = torch.randn(1, WIDTH, states.shape[1], generator=torch.Generator().manual_seed(0))
        (front_end.finish(states) * slope).sum().backward()
        # of sum_l w_l c_l with w a softmax of a, by a_l: w_l (c_l - sum_k w_k c_k)
        weights = front_end.layer_weights.detach().softmax(dim=0)
        c = torch.einsum("bslw,bws->l", states, slope)
        torch.testing.assert_close(
            front_end.layer_weights.grad, weights * (c - weights @ c), rtol=1e-4, atol=1e-4
        )

    def test_half_precision_is_added_up_in_full(self, made):
        front_end = made()
        states = front_end.stack(CLIP).half()
        for autocast in (False, True):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                found = front_end.finish(states)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, states.float().mean(dim=2).transpose(1, 2))

    @pytest.mark.parametrize(
        ("layers", "counted"), [(None, [0, 1, 2]), ([1], [1]), ([-1], [2]), ([2, 0], [0, 2]), ([-3], [0])]
    )
    def test_layers_are_counted_from_below_or_from_above(self, made, layers, counted):
        front_end, whole = made(layers=layers), made()
        assert front_end.layers == counted
        if counted[-1] == LAYERS:  # else the encoder is cut, and the closing normalisation with it
            torch.testing.assert_close(front_end.stack(CLIP), whole.stack(CLIP)[:, :, counted])

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([3], "encoder.layers names 3, and .* has 2 layers; give numbers from 0"),
            ([-4], "encoder.layers names -4"),
            ([1, 1], r"names a layer twice: \[1, 1\]"),
            ([2, -1], r"names a layer twice: \[2, -1\]"),
        ],
    )
    def test_a_layer_that_is_not_there_is_refused(self, made, layers, message):
        with pytest.raises(RecipeError, match=message):
            made(layers=layers)

    def test_a_long_recording_is_heard_window_by_window(self, made):
        front_end = made()
        sound = 0.1 * torch.randn(1, 2 * 32_000 + 399, generator=torch.Generator().manual_seed(0))
        windows = [front_end(sound[:, :32_000]), front_end(sound[:, 32_000:64_000])]
        # What is left over, 399 samples, is too short for a step.
        torch.testing.assert_close(front_end.frames(sound), torch.cat(windows, dim=2))


class TestWhatIsTrained:
    @staticmethod
    def trained(front_end: EncoderFrontEnd) -> set[str]:
        return {name for name, weight in front_end.named_parameters() if weight.requires_grad}

    @staticmethod
    def part(front_end: EncoderFrontEnd, *starts: str) -> set[str]:
        return {name for name, _ in front_end.named_parameters() if name.startswith(starts)}

    def test_an_encoder_that_stays_as_it_is_learns_the_weights_of_its_layers_alone(self, made):
        assert self.trained(made()) == {"layer_weights"}

    def test_the_top_layers_learn(self, made):
        front_end = made(fine_tune=1)
        of_top = self.part(front_end, "encoder.model.encoder.layers.1.", "encoder.model.encoder.layer_norm.")
        assert self.trained(front_end) == of_top | {"layer_weights"}

    def test_all_layers_and_what_leads_to_them_learn_and_the_convolutions_never(self, made):
        front_end = made(fine_tune="all")
        every = {name for name, _ in front_end.named_parameters()}
        assert every - self.trained(front_end) == self.part(front_end, "encoder.model.feature_extractor.")

    def test_whisper_s_positions_and_convolutions_never_learn(self, made):
        front_end = made("whisper", fine_tune="all")
        every = {name for name, _ in front_end.named_parameters()}
        fixed = [f"encoder.model.{part}." for part in ("conv1", "conv2", "embed_positions")]
        assert every - self.trained(front_end) == self.part(front_end, *fixed)

    def test_more_layers_than_are_heard_cannot_learn(self, made):
        with pytest.raises(RecipeError, match=r"encoder\.fine_tune is 2, and the recipe takes 1 layers"):
            made(fine_tune=2, layers=[1])

    @pytest.mark.parametrize("kind", ["wav2vec2-large", "whisper"])
    @pytest.mark.parametrize("depth", [1, "all"])
    def test_what_learns_is_heard_as_in_training_and_the_rest_as_in_use(self, made, kind, depth):
        front_end = made(kind, fine_tune=depth).train()
        learning = {module for block in front_end.trained_blocks() for module in block}
        for name, module in front_end.encoder.named_modules():
            own = set(module.parameters(recurse=False))
            if own:
                assert module.training == (own <= learning), name
        assert not any(module.training for module in front_end.eval().encoder.modules())

    @pytest.mark.parametrize("kind", ["wav2vec2-large", "whisper"])
    def test_gradients_reach_all_that_learns_and_nothing_else(self, made, kind):
        front_end = made(kind, fine_tune="all")
        heard = front_end(CLIP)
        slope = torch.randn(heard.shape, generator=torch.Generator().manual_seed(0))
        (heard * slope).sum().backward()
        for name, weight in front_end.named_parameters():
            assert (weight.grad is not None) == weight.requires_grad, name
            if weight.ndim > 1 and weight.requires_grad:
                assert weight.grad.abs().max() > 0, name


class TestRates:
    def rates(self, recipe: Recipe) -> dict[str, float]:
        """The learning rate of each parameter of a recogniser that is trained."""
        recogniser = Recogniser(recipe)
        names = {weight: name for name, weight in recogniser.named_parameters()}
        groups = parameter_groups(recipe, recogniser)
        assert sum(len(group["params"]) for group in groups) == len(
            {weight for group in groups for weight in group["params"]}
        )
        return {names[weight]: group["lr"] for group in groups for weight in group["params"]}

    def test_each_layer_learns_slower_than_the_one_above(self, made):
        settings = ["encoder.fine_tune=all", "training.crop_s=[1.0, 1.0]", "training.learning_rate=0.004"]
        rates = self.rates(
            recipe_with(
                made, "wav2vec2-large", *settings, "encoder.learning_rate=0.001", "encoder.layer_decay=0.5"
            )
        )
        of_encoder = "front_end.encoder.model."
        expected = {
            "front_end.layer_weights": 0.004,
            "network.": 0.004,
            "head.": 0.004,
            f"{of_encoder}encoder.layer_norm": 0.001,  # behind the top layer of this kind
            f"{of_encoder}encoder.layers.1.": 0.001,
            f"{of_encoder}encoder.layers.0.": 0.0005,
            f"{of_encoder}encoder.pos_conv_embed.": 0.00025,
            f"{of_encoder}feature_projection.": 0.00025,
        }
        for name, rate in rates.items():
            (told,) = [value for start, value in expected.items() if name.startswith(start)]
            assert rate == pytest.approx(told), name
        assert all(any(name.startswith(start) for name in rates) for start in expected)

    def test_an_encoder_that_stays_as_it_is_has_no_rate(self, made):
        rates = self.rates(recipe_with(made))
        assert set(rates.values()) == {0.001}  # of the recipe
        assert not any(name.startswith("front_end.encoder.") for name in rates)
        assert "front_end.layer_weights" in rates

    def test_a_recipe_of_features_has_one_rate_for_all(self):
        recipe = load_recipe("lstm")
        recogniser = Recogniser(recipe)
        (group,) = parameter_groups(recipe, recogniser)
        assert group["params"] == list(recogniser.parameters())
        assert group["lr"] == recipe.training.learning_rate


class TestTravel:
    """A training in several processes pickles what it trains; averaged weights are a copy."""

    def test_what_is_trained_travels_to_another_process(self, made):
        settings = ("encoder.fine_tune=1", "training.crop_s=[1.0, 1.0]")
        for kind in made.folders:
            recogniser = Recogniser(recipe_with(made, kind, *settings))
            parcel = pickle.dumps(recogniser)  # before it hears anything, as a training does
            with torch.inference_mode():
                there, here = pickle.loads(parcel).eval()(CLIP), recogniser.eval()(CLIP)
            torch.testing.assert_close(there.probabilities, here.probabilities)

    def test_a_copy_is_its_own(self, made):
        recogniser = Recogniser(recipe_with(made)).eval()
        with torch.inference_mode():
            before = recogniser(CLIP).probabilities
            other = copy.deepcopy(recogniser)
            for weight in other.parameters():
                weight.add_(0.1)
            assert not torch.allclose(other(CLIP).probabilities, before)
            torch.testing.assert_close(recogniser(CLIP).probabilities, before)


class TestNetworks:
    def test_a_network_that_hears_no_lengths_is_for_crops(self, made):
        network = ("network={name: lstm}",)
        with pytest.raises(
            RecipeError, match=r"they come undivided .*; take one of attentive_statistics, mean"
        ):
            Recogniser(recipe_with(made, "whisper", *network))
        crops = ("encoder.fine_tune=1", "training.crop_s=[1.0, 1.0]")
        recogniser = Recogniser(recipe_with(made, "whisper", *network, *crops)).eval()
        with torch.inference_mode():
            assert recogniser(CLIP).features.shape == (1, WIDTH, 25)  # half a second

    def test_a_clip_that_is_too_short_for_the_network_is_refused(self, made):
        crops = ("encoder.fine_tune=1", "training.crop_s=[1.0, 1.0]", "network={name: cnn2d}")
        with pytest.raises(
            RecipeError, match=r"needs 8 frames, and the shortest clip has 4; raise minimum_s"
        ):
            Recogniser(
                recipe_with(made, "wav2vec2-large", *crops, "minimum_s=0.1")
            )  # (1,600 - 400) // 320 + 1
