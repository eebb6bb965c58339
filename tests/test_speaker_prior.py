"""Adaptation that knows how speakers differ: it helps with all emotions, and does no harm with one."""

import numpy as np
import pytest
from pydantic import ValidationError

import toy_model
from made_speakers import CLIP, MEANT, N_EMOTIONS, SPEAKER, WAY, made_speakers
from vocalics.card import Head, SpeakerNumbers
from vocalics.errors import TrainingError
from vocalics.lab.speaker_statistics import FEWEST_SPEAKERS, measure_speakers
from vocalics.recognition.head import AffineHead
from vocalics.recognition.speaker_prior import SpeakerPrior

#: Enough to measure variances to a tenth or so.
MEASURED_ON = 200


@pytest.fixture(scope="module")
def numbers():
    return measure_speakers(*made_speakers(MEASURED_ON), source="made up")


@pytest.fixture(scope="module")
def prior(numbers):
    return SpeakerPrior.from_card(numbers)


def logit_space(prior, covariance):
    """A covariance of coordinates, as one of logits."""
    back = np.linalg.pinv(prior.coordinates)
    return back @ covariance @ back.T


def rate(prior, clips_of, n_speakers=60):
    """The share of right answers before and after each speaker's clips, chosen by `clips_of`."""
    plain = adapted = total = 0
    logits, truth, speakers = made_speakers(n_speakers, seed=1)
    for name in dict.fromkeys(speakers):
        rows = np.flatnonzero(np.array(speakers) == name)
        (matrix,), (offset,) = prior.adapted(logits[clips_of(rows, truth[rows])][None])
        plain += (logits[rows].argmax(axis=1) == truth[rows]).sum()
        adapted += ((logits[rows] @ matrix.T + offset).argmax(axis=1) == truth[rows]).sum()
        total += len(rows)
    return plain / total, adapted / total


# What is measured


def test_the_spreads_are_those_that_the_speakers_were_made_with(prior):
    centring = np.eye(N_EMOTIONS) - 1 / N_EMOTIONS
    for made, found in (
        (CLIP, np.eye(N_EMOTIONS - 1)),
        (WAY, np.diag(prior.ways)),
        (SPEAKER, prior.speakers),
    ):
        # The trace is the whole variance; 200 speakers tell it to about 5 %.
        assert np.trace(logit_space(prior, found)) == pytest.approx(
            made**2 * np.trace(centring), rel=0.2 if made == WAY else 0.1
        )


def test_the_means_are_those_of_the_emotions(prior):
    means = prior.means @ np.linalg.pinv(prior.coordinates).T
    expected = MEANT * (np.eye(N_EMOTIONS) - 1 / N_EMOTIONS)
    # Speakers move all means alike; what differs between emotions is known to 1.5 / sqrt(200) and better.
    assert means - means.mean(axis=0) == pytest.approx(expected, abs=0.25)


def test_clips_of_one_speaker_and_emotion_have_unit_variance_in_the_coordinates(prior):
    logits, truth, speakers = made_speakers(MEASURED_ON, seed=2)
    clips = logits @ prior.coordinates.T
    cells = np.array(speakers).astype(object) + truth.astype(str)
    spread = np.mean([clips[cells == cell].var(axis=0, ddof=1) for cell in set(cells)], axis=0)
    assert spread == pytest.approx(np.ones(N_EMOTIONS - 1), rel=0.1)


@pytest.mark.parametrize("n_speakers", [1, FEWEST_SPEAKERS - 1])
def test_few_speakers_do_not_tell_how_speakers_differ(n_speakers):
    with pytest.raises(
        TrainingError, match=rf"{FEWEST_SPEAKERS} speakers or more.*given {n_speakers}, of whom 0"
    ):
        measure_speakers(*made_speakers(n_speakers), source="")


def test_a_speaker_without_an_emotion_is_refused():
    logits, truth, speakers = made_speakers(FEWEST_SPEAKERS)
    keep = [
        not (speaker == "made/0" and emotion == 2) for speaker, emotion in zip(speakers, truth, strict=True)
    ]
    kept = [speaker for speaker, wanted in zip(speakers, keep, strict=True) if wanted]
    with pytest.raises(TrainingError, match=r"of whom 1 lack an emotion"):
        measure_speakers(logits[keep], truth[keep], kept, source="")


def test_speakers_who_are_all_alike_still_give_a_covariance():
    """By chance the estimate of nothing is under nothing; a floor keeps it a covariance."""
    numbers = measure_speakers(*made_speakers(8, speaker=0.0), source="")
    assert np.linalg.eigvalsh(np.array(numbers.speakers)).min() > 0
    assert min(numbers.ways) > 0


# What it is good for


def test_clips_of_all_emotions_help(prior):
    plain, adapted = rate(prior, lambda rows, _: rows)
    assert adapted > plain + 0.05  # speakers are half as far apart as emotions: much to win


def test_clips_of_one_emotion_do_no_harm(prior):
    """The mean of such clips tells more of the emotion than of the speaker."""
    for emotion in range(N_EMOTIONS):
        plain, adapted = rate(prior, lambda rows, truth, one=emotion: rows[truth == one])
        assert adapted > plain - 0.01


def test_more_clips_help_more(prior):
    few = rate(prior, lambda rows, _: np.random.default_rng(rows[0]).permutation(rows)[:3])[1]
    many = rate(prior, lambda rows, _: rows)[1]
    assert many > few


def test_a_stranger_far_from_all_others_is_followed(prior):
    """Ten deviations off, the tail gives way: the clips are heard as what they are."""
    logits, truth, _ = made_speakers(1, per_emotion=12, seed=3)
    far = logits + 10 * SPEAKER * np.array([1, -1, 0, 0, 0]) / np.sqrt(2)
    (matrix,), (offset,) = prior.adapted(far[None])
    assert (far.argmax(axis=1) == truth).mean() < 0.4
    assert ((far @ matrix.T + offset).argmax(axis=1) == truth).mean() > 0.8


# What it does not depend on


def test_several_speakers_at_once_are_each_as_alone(prior):
    logits = made_speakers(3, seed=4)[0].reshape(3, -1, N_EMOTIONS)
    counts = (4, 30, 11)
    heard = np.array([[1.0] * count + [0.0] * (30 - count) for count in counts])
    logits[heard == 0] = 1e3  # what stands in an empty place is nobody's
    matrices, offsets = prior.adapted(logits, heard)
    for matrix, offset, clips, count in zip(matrices, offsets, logits, counts, strict=True):
        (own_matrix,), (own_offset,) = prior.adapted(clips[None, :count])
        assert matrix == pytest.approx(own_matrix, abs=1e-9)
        assert offset == pytest.approx(own_offset, abs=1e-9)


def test_neither_order_nor_what_is_added_to_all_logits_of_a_clip_counts(prior):
    clips = made_speakers(1, seed=5)[0]
    rng = np.random.default_rng(0)
    changed = clips[rng.permutation(len(clips))] + rng.standard_normal((len(clips), 1))
    (matrix,), (offset,) = prior.adapted(clips[None])
    (other_matrix,), (other_offset,) = prior.adapted(changed[None])
    assert matrix == pytest.approx(other_matrix, abs=1e-9)
    assert offset == pytest.approx(other_offset, abs=1e-9)


# In a head, and in a card


@pytest.fixture
def head():
    """The toy model's head, which knows how made speakers of its four emotions differ."""
    logits, truth, speakers = made_speakers(MEASURED_ON)
    keep = truth < len(toy_model.EMOTIONS)
    who = [speaker for speaker, wanted in zip(speakers, keep, strict=True) if wanted]
    numbers = measure_speakers(logits[keep][:, : len(toy_model.EMOTIONS)], truth[keep], who, source="made up")
    return Head.model_validate(toy_model.head() | {"speakers": numbers.model_dump()})


def test_an_adapted_head_answers_what_the_prior_makes_of_its_logits(head):
    plain = AffineHead.from_card(head)
    embeddings = np.random.default_rng(0).normal(size=(7, len(head.mean)))
    adapted = plain.adapted(embeddings[:5])
    (matrix,), (offset,) = plain.prior.adapted(plain.logits(embeddings[:5])[None])
    assert adapted.logits(embeddings) == pytest.approx(plain.logits(embeddings) @ matrix.T + offset)
    assert adapted.mean == pytest.approx(plain.mean)  # not normalised besides
    assert adapted.temperature == plain.temperature


def test_a_card_keeps_the_numbers(head):
    assert Head.model_validate_json(head.model_dump_json()) == head


@pytest.mark.parametrize("name", ["coordinates", "means", "ways", "speakers"])
def test_numbers_that_differ_in_length_are_refused(numbers, name):
    given = numbers.model_dump()
    given[name] = given[name][:-1]
    with pytest.raises(ValidationError, match="differ in length"):
        SpeakerNumbers.model_validate(given)


def test_numbers_of_other_emotions_are_refused(numbers):
    with pytest.raises(ValidationError, match="differ in their emotions"):
        Head.model_validate(
            toy_model.head() | {"speakers": numbers.model_dump()}
        )  # five, and the head has four
