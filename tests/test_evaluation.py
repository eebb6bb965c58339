"""Figures of answers: small cases by hand, and folds that are pooled as if they were one."""

import numpy as np
import pytest

from made_manifests import spoken_by
from vocalics.errors import UsageError
from vocalics.lab.evaluation import Answers, evaluate
from vocalics.lab.leaderboard import markdown, rows_of
from vocalics.lab.scores import Scores

EMOTIONS = ("neutral", "happy", "sad", "angry")
ROW_KEYS = (  # DESIGN.md, section 5, and what it was tested on
    *("recipe", "corpora", "tested_on", "emotions", "protocol", "gender", "folds", "adapted_clips"),
    *("uar", "accuracy", "macro_f1", "train_accuracy", "recall", "ece", "seeds", "parameters", "claim"),
    "command",
)


def answers_of(utterances, seed=0, threshold=0.5) -> Answers:
    """Random probabilities, as a model might answer."""
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), size=len(utterances))
    silent = np.zeros(len(utterances), dtype=bool)
    scores = Scores(tuple(utterances), EMOTIONS, probabilities, np.zeros((len(utterances), 2)), silent)
    return Answers.from_scores(scores, threshold)


def speakers(n: int, first: int = 0) -> dict[str, str]:
    return {f"{number:02d}": "male" if number % 2 else "female" for number in range(first, first + n)}


def test_four_clips_by_hand():
    clips = spoken_by("podcasts", {"a": "female"}, per_emotion=1)  # one clip of each emotion
    sure = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.4, 0.2, 0.2, 0.2]])
    silent = np.array([False, False, False, True])
    figures = evaluate(Answers.from_scores(Scores(tuple(clips), EMOTIONS, sure, sure, silent), 0.5))
    assert figures["accuracy"] == {"mean": 0.5, "low": None, "high": None}  # one speaker: no interval
    assert figures["uar"]["mean"] == 0.5
    assert figures["recall"] == {"neutral": 1.0, "happy": 1.0, "sad": 0.0, "angry": 0.0}
    assert figures["confusion"][2] == [0, 1, 0, 0]
    # Three of four reach a confidence of 0.5, two of these are right.
    assert figures["abstention"] == {"coverage": 0.75, "accuracy_when_answering": pytest.approx(2 / 3)}
    assert figures["no_speech"] == 1
    # Of the true emotions: 0.7, 0.7, 0.1, 0.2.
    assert figures["nll"] == pytest.approx(-np.log([0.7, 0.7, 0.1, 0.2]).mean())


def test_folds_pooled_are_the_union():
    first = answers_of(spoken_by("podcasts", speakers(4), per_emotion=3), seed=1)
    second = answers_of(spoken_by("podcasts", speakers(4, first=4), per_emotion=3), seed=2)
    pooled = Answers.pooled([first, second])
    figures = evaluate(pooled)
    right = np.concatenate([first.predicted == first.truth, second.predicted == second.truth])
    assert figures["accuracy"]["mean"] == pytest.approx(right.mean())
    assert figures["speakers"] == 8
    assert set(pooled.confusions()) == {f"podcasts/{name}" for name in speakers(8)}
    assert sum(counts.sum() for counts in pooled.confusions().values()) == len(right)
    assert figures["accuracy"]["low"] <= figures["accuracy"]["mean"] <= figures["accuracy"]["high"]


def test_folds_with_other_emotions_are_not_pooled():
    first = answers_of(spoken_by("podcasts", speakers(1)))
    other = Answers(**{**vars(first), "emotions": ("neutral", "happy", "sad", "calm")})
    with pytest.raises(UsageError, match="different emotions"):
        Answers.pooled([first, other])


def test_choosing_among_fewer_emotions_renormalises():
    clips = spoken_by("podcasts", {"a": "female"}, per_emotion=1)
    even = np.array([[0.5, 0.2, 0.2, 0.1]] * 4)
    scores = Scores(tuple(clips), EMOTIONS, even, even, np.zeros(4, dtype=bool)).among(("happy", "angry"))
    assert [one.emotion for one in scores.utterances] == ["happy", "angry"]
    assert scores.probabilities == pytest.approx(np.array([[2 / 3, 1 / 3]] * 2))


def test_an_emotion_that_the_model_does_not_know_is_told():
    clips = spoken_by("podcasts", {"a": "female"}, per_emotion=1)
    even = np.full((4, 4), 0.25)
    with pytest.raises(UsageError, match="does not know 'bored'"):
        Scores(tuple(clips), EMOTIONS, even, even, np.zeros(4, dtype=bool)).among(("happy", "bored"))


def test_a_row_of_the_leaderboard_has_the_keys_of_the_contract():
    answers = answers_of(spoken_by("podcasts", speakers(6)))
    figures = evaluate(answers, {"5": answers.confusions(), "only-sad": answers.confusions()})
    about = dict.fromkeys(("recipe", "protocol", "gender", "claim", "command"), "x")
    about |= {"corpora": ["podcasts"], "tested_on": ["podcasts"], "folds": 6, "train_accuracy": 0.9}
    rows = rows_of(figures | about | {"seeds": 1, "parameters": 10})
    assert [row["adapted_clips"] for row in rows] == [0, 5]  # skewed sets make no row
    for row in rows:
        assert set(row) == set(ROW_KEYS)
        assert row["uar"] == figures["uar"]  # adapted counts were the plain ones
    assert markdown(rows).count("\n") == 4
