import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import toy_model
from vocalics.card import Head
from vocalics.errors import UsageError
from vocalics.recognition.head import SHRINKAGE, AffineHead

N_EMBEDDING = len(toy_model.FREQUENCIES_HZ)

HEAD = AffineHead.from_card(Head.model_validate(toy_model.head()))

embeddings = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 30), st.just(N_EMBEDDING)), elements=st.floats(-9, 9)
)


def softmax_head(mean=(0.0, 0.0), std=(1.0, 1.0), temperature=1.0):
    """A head of two emotions whose logits are the normalised embedding itself."""
    return AffineHead(np.eye(2), np.zeros(2), np.array(mean), np.array(std), temperature)


def test_logits_of_ln_3_and_0_mean_three_quarters():
    # softmax([ln 3, 0]) = [3, 1] / 4
    assert softmax_head().probabilities([[np.log(3), 0]]) == pytest.approx(np.array([[0.75, 0.25]]))


def test_the_temperature_divides_the_logits():
    # softmax([ln 9, 0] / 2) = softmax([ln 3, 0])
    assert softmax_head(temperature=2).probabilities([[np.log(9), 0]]) == pytest.approx(
        np.array([[0.75, 0.25]])
    )


def test_the_mean_embedding_leaves_only_the_bias():
    assert HEAD.logits([HEAD.mean]) == pytest.approx(HEAD.bias[np.newaxis])


def test_huge_logits_do_not_overflow():
    assert softmax_head().probabilities([[1e4, -1e4]]) == pytest.approx(np.array([[1.0, 0.0]]))


@given(embeddings)
def test_probabilities_of_every_clip_sum_to_one(clips):
    assert HEAD.probabilities(clips).sum(axis=1) == pytest.approx(np.ones(len(clips)))


@given(embeddings)
def test_adaptation_is_the_stated_mixture_of_speaker_and_training_utterances(clips):
    # The closed form, clip by clip in plain Python: the second route.
    n = len(clips)
    share = n / (n + 4)
    adapted = HEAD.adapted(clips)
    for i in range(N_EMBEDDING):
        own_mean = sum(clip[i] for clip in clips) / n
        own_variance = sum((clip[i] - own_mean) ** 2 for clip in clips) / n
        assert adapted.mean[i] == pytest.approx(share * own_mean + (1 - share) * HEAD.mean[i], abs=1e-9)
        assert adapted.std[i] ** 2 == pytest.approx(share * own_variance + (1 - share) * HEAD.std[i] ** 2)


@pytest.mark.parametrize(("n_clips", "share"), [(1, 1 / 5), (4, 1 / 2), (12, 3 / 4), (396, 99 / 100)])
def test_the_mean_goes_towards_the_speaker_as_n_over_n_plus_4(n_clips, share):
    assert SHRINKAGE == 4
    clips = np.tile(HEAD.mean + 1, (n_clips, 1))  # a speaker who is 1 away everywhere
    assert HEAD.adapted(clips).mean - HEAD.mean == pytest.approx(np.full(N_EMBEDDING, share))


def test_without_shrinkage_the_statistics_are_the_speakers_own():
    clips = np.random.default_rng(1).normal(5, 2, size=(50, N_EMBEDDING))
    adapted = HEAD.adapted(clips, shrinkage=0)
    assert adapted.mean == pytest.approx(clips.mean(axis=0))
    assert adapted.std == pytest.approx(clips.std(axis=0))


def test_many_clips_undo_a_speakers_offset_and_scale():
    # Statistics of n clips weigh n / (n + 4): with 40,000 clips 1e-4 of the offset (3 std at most) is left.
    typical = np.random.default_rng(2).normal(size=(40_000, N_EMBEDDING)) * HEAD.std + HEAD.mean
    strange = typical * 2 + 3
    plain, undone = HEAD.adapted(typical).logits(typical), HEAD.adapted(strange).logits(strange)
    assert undone == pytest.approx(plain, abs=0.01)
    assert np.abs(HEAD.logits(strange) - plain).max() > 1  # it would have mattered


def test_clips_that_are_as_the_training_utterances_change_nothing():
    clips = np.stack([HEAD.mean - HEAD.std, HEAD.mean + HEAD.std])  # their mean and deviation are the head's
    adapted = HEAD.adapted(clips)
    assert adapted.mean == pytest.approx(HEAD.mean)
    assert adapted.std == pytest.approx(HEAD.std)


def test_adapting_leaves_weight_bias_temperature_and_the_head_itself_alone():
    before = HEAD.mean.copy()
    adapted = HEAD.adapted(np.ones((3, N_EMBEDDING)))
    assert adapted.weight is HEAD.weight
    assert adapted.bias is HEAD.bias
    assert adapted.temperature == HEAD.temperature
    assert np.array_equal(HEAD.mean, before)


@pytest.mark.parametrize("shape", [(0, N_EMBEDDING), (N_EMBEDDING,), (3, N_EMBEDDING + 1)])
def test_embeddings_of_another_shape_are_refused(shape):
    with pytest.raises(UsageError, match=f"n_clips, {N_EMBEDDING}"):
        HEAD.adapted(np.zeros(shape))
