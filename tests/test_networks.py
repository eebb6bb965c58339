"""The contract that every network keeps, and how a wrong name or parameter is answered."""

from inspect import signature

import pytest
import torch

from vocalics.errors import RecipeError
from vocalics.lab.networks import NETWORKS, Ensemble, build_network
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recogniser import Recogniser

N_FEATURES = 64  # as the bundled recipe's log-mel
LOUDNESS = torch.tensor([1.0, 0.1, 5.0])[:, None, None]  # of three clips that share a batch

every_network = pytest.mark.parametrize("name", NETWORKS)


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(name, N_FEATURES, {})


def settled(name: str) -> torch.nn.Module:
    """Build a network whose batch normalisation has met some clips, so that it tells clips apart."""
    network = build(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0  # what it met last is all that it knows
    with torch.no_grad():
        network.train()(LOUDNESS * features(3))
    return network.eval()


def features(n_clips: int, n_frames: int = 40) -> torch.Tensor:
    """Feature stacks (n_clips, N_FEATURES, n_frames), normalised as most recipes do."""
    return torch.randn(n_clips, N_FEATURES, n_frames, generator=torch.Generator().manual_seed(1))


@every_network
class TestContract:
    def test_it_is_registered_under_its_name_with_a_description(self, name):
        assert NETWORKS[name].name == name
        assert NETWORKS[name].description

    def test_each_clip_has_an_embedding_of_the_stated_size(self, name):
        network = build(name).eval()
        assert network(features(3)).embedding.shape == (3, network.embedding_size)

    def test_attention_sums_to_one_over_each_clip(self, name):
        attention = build(name).eval()(features(3)).attention
        if attention is None:
            pytest.skip("this network pools without attention")
        assert attention.ndim == 2
        assert (attention >= 0).all()
        # float32 rounds each of at most 40 shares to 6e-8
        torch.testing.assert_close(attention.sum(dim=1), torch.ones(3), rtol=0, atol=1e-5)

    def test_it_accepts_as_few_frames_as_it_says(self, name):
        embedding = build(name).eval()(features(2, NETWORKS[name].minimum_frames)).embedding
        assert embedding.isfinite().all()

    def test_an_answer_does_not_depend_on_the_batch(self, name):
        network = settled(name)
        clips = LOUDNESS * features(3)
        together = network(clips).embedding
        assert together.std(dim=0).max() > 1e-2  # the clips differ by far more than the tolerance
        for position in range(3):
            alone = network(clips[position : position + 1]).embedding[0]
            torch.testing.assert_close(alone, together[position], rtol=1e-5, atol=1e-5)

    def test_clips_of_other_lengths_in_the_batch_change_no_answer(self, name):
        if not NETWORKS[name].hears_lengths:
            pytest.skip("this network takes clips of one length")
        network, lengths = settled(name), torch.tensor([40, 1, 17])
        clips = LOUDNESS * features(3)
        together = network(clips, lengths)  # what stands after the end of a clip is as loud as the clip
        for position, length in enumerate(lengths.tolist()):
            alone = network(clips[position : position + 1, :, :length])
            torch.testing.assert_close(together.embedding[position], alone.embedding[0], rtol=1e-5, atol=1e-5)
            if alone.attention is not None:
                assert (together.attention[position, length:] == 0).all()
                torch.testing.assert_close(together.attention[position, :length], alone.attention[0])

    def test_gradients_reach_every_parameter(self, name):
        network = build(name).train()
        embedding = network(features(4)).embedding
        # The plain sum of a batch-normalised layer has no gradient; a weighted one has.
        weights = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
        (embedding * weights).sum().backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            if (
                parameter.ndim > 1
            ):  # a bias may cancel out, as it does in a softmax or under batch normalisation
                assert parameter.grad.abs().max() > 0, parameter_name

    def test_the_same_seed_builds_the_same_network(self, name):
        first, second = build(name).state_dict(), build(name).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_an_unknown_parameter_is_refused_with_the_nearest_one(self, name):
        for known in list(signature(NETWORKS[name].build).parameters)[1:]:  # the first is n_features
            with pytest.raises(RecipeError, match=f"unknown parameter '{known}q'; did you mean '{known}'"):
                build_network(name, N_FEATURES, {f"{known}q": 1})

    def test_the_number_of_features_is_no_parameter_of_a_recipe(self, name):
        with pytest.raises(RecipeError, match="unknown parameter 'n_features'"):
            build_network(name, N_FEATURES, {"n_features": 3})


def test_statistics_over_time_have_full_precision_under_autocast():
    network = build("cnn_bilstm_attention").eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(features(2))
    assert output.embedding.dtype == output.attention.dtype == torch.float32


class TestNames:
    def test_an_unknown_network_is_answered_with_the_nearest_one(self):
        with pytest.raises(
            RecipeError, match=r"'cnn_bilstm_atention'; did you mean 'cnn_bilstm_attention'\?"
        ):
            build_network("cnn_bilstm_atention", N_FEATURES, {})

    def test_a_network_like_no_other_is_answered_with_the_list(self):
        with pytest.raises(RecipeError, match=f"unknown network 'zzz'. Known: {', '.join(NETWORKS)}"):
            build_network("zzz", N_FEATURES, {})

    def test_a_parameter_like_no_other_is_answered_with_the_list(self):
        with pytest.raises(RecipeError, match=r"unknown parameter 'zzz'\. Known: channels, time_pools"):
            build_network("cnn_bilstm_attention", N_FEATURES, {"zzz": 1})

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"channels": [4, 4]}, "channels has 2 blocks and time_pools 3; give each block one"),
            ({"channels": [4] * 7, "time_pools": [1] * 7}, "64 rows of features cannot be halved 7 times"),
            ({"dropout": 2}, "between 0 and 1"),  # PyTorch's own words
            ({"lstm_units": "many"}, "cannot be built as the recipe says"),
        ],
        ids=["a block without a pool", "too many blocks", "more than everything", "a word"],
    )
    def test_a_value_that_the_network_cannot_take_is_refused(self, parameters, message):
        with pytest.raises(RecipeError, match=message):
            build_network("cnn_bilstm_attention", N_FEATURES, parameters)


class TestEnsemble:
    """Several networks that answer together."""

    @pytest.fixture
    def pair(self):
        return Ensemble([settled("cnn_bilstm_attention"), settled("cnn_bilstm_attention")])

    def test_in_use_the_embeddings_stand_side_by_side_and_attention_is_the_mean(self, pair):
        first, second = (member(features(3)) for member in pair.members)
        answer = pair.eval()(features(3))
        torch.testing.assert_close(answer.embedding, torch.cat([first.embedding, second.embedding], dim=1))
        torch.testing.assert_close(answer.attention, (first.attention + second.attention) / 2)

    def test_in_training_each_clip_reaches_one_member_with_the_weight_of_all(self, pair):
        for module in pair.modules():
            if not isinstance(module, Ensemble):
                module.eval()  # no dropout, so that the members can be asked again
        pair.training = True
        embedding = pair(features(5)).embedding.unflatten(1, (2, -1))
        for clip in range(5):
            own, other = clip % 2, 1 - clip % 2
            alone = pair.members[own](features(5)).embedding[clip]
            torch.testing.assert_close(embedding[clip, own], 2 * alone)
            assert (embedding[clip, other] == 0).all()

    def test_members_hear_how_long_each_clip_is(self):
        pair = Ensemble([settled("mean_over_time"), settled("mean_over_time")]).eval()
        lengths = torch.tensor([40, 3, 9, 20])
        member = pair.members[1](features(4), lengths).embedding
        torch.testing.assert_close(pair(features(4), lengths).embedding[:, member.shape[1] :], member)
        pair.training = True
        in_turn = pair(features(4), lengths).embedding.unflatten(1, (2, -1))
        torch.testing.assert_close(in_turn[1::2, 1], 2 * member[1::2])  # each with the weight of all

    def test_members_begin_apart(self):
        torch.manual_seed(0)
        recipe = load_recipe("lstm", ["network.members=2"])
        first, second = Recogniser(recipe).network.members
        assert not torch.equal(first.lstm.weight_ih_l0, second.lstm.weight_ih_l0)

    def test_each_member_needs_two_clips_of_a_batch(self):
        with pytest.raises(RecipeError, match=r"raise training\.batch_size from 32 to 34"):
            load_recipe("lstm", ["network.members=17"])
