"""A recipe that keeps nobody back for validation is calibrated fold by fold, by the folds that it is not."""

import copy
import json

import numpy as np
import pytest

from made_folds import write_folds
from vocalics.lab.calibration import equal_weights, fit_temperature, tempered
from vocalics.lab.cross_fitting import cross_fitted, fitted, is_uncalibrated
from vocalics.lab.leaderboard import summarise
from vocalics.lab.recipes import load_recipe

EVERYBODY_TRAINS = load_recipe("cnn2d").training.model_dump(mode="json") | {"validation_share": 0}


@pytest.fixture
def folder(tmp_path):
    """Six folds that are 90 % sure of every answer, and right three times out of four."""
    return write_folds(tmp_path, protocol="speaker", changes={"training": EVERYBODY_TRAINS})


@pytest.fixture
def results(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("fold-*.json"))]


def test_calibrated_answers_are_as_sure_as_they_are_right(results):
    for result in cross_fitted(results):
        confidence = np.max(result["clips"]["probabilities"], axis=1)
        assert confidence == pytest.approx(0.75, abs=0.01)
        assert result["temperature"] > 1


def test_nothing_of_a_fold_goes_into_its_own_calibration(results):
    """With its truth turned upside down its temperature stays what it was, and the others' change."""
    before = [result["temperature"] for result in cross_fitted(results)]
    turned = copy.deepcopy(results)
    turned[2]["clips"]["truth"].reverse()
    after = [result["temperature"] for result in cross_fitted(turned)]
    assert after[2] == before[2]
    assert all(new > old for index, (new, old) in enumerate(zip(after, before, strict=True)) if index != 2)


def test_answers_stay_the_same_answers(results):
    for plain, calibrated in zip(results, cross_fitted(results), strict=True):
        for before, after in zip(
            plain["clips"]["probabilities"], calibrated["clips"]["probabilities"], strict=True
        ):
            assert np.argmax(before) == np.argmax(after)
            assert sum(after) == pytest.approx(1)


def test_a_recipe_with_a_validation_part_keeps_its_calibration(tmp_path):
    folder = write_folds(tmp_path, protocol="speaker")
    results = [json.loads(path.read_text()) for path in folder.glob("fold-*.json")]
    assert not any(map(is_uncalibrated, results))
    assert cross_fitted(results) == results


def test_a_single_fold_has_no_other_to_be_calibrated_by(results):
    assert cross_fitted(results[:1]) == results[:1]


def test_every_corpus_counts_the_same(results):
    """One corpus of few clips that is always right, one of many that is right in three of four."""
    few = copy.deepcopy(results[:1])
    own = few[0]["clips"]
    own["corpus"] = ["small"] * len(own["corpus"])
    own["truth"] = [few[0]["recipe"]["emotions"][np.argmax(row)] for row in own["probabilities"]]
    both = fitted([*few, *results[1:]]).temperature
    halves = fitted([*few, results[1]]).temperature  # as many clips of each
    assert both == pytest.approx(halves, rel=0.01)


def test_every_corpus_counts_the_same_for_the_threshold(results):
    """Of a small corpus that the model is unsure of and a large one, the unsure tenth is of the small one."""
    small = copy.deepcopy(results[0])
    own = small["clips"]
    own["corpus"] = ["small"] * len(own["corpus"])
    n_emotions = len(small["recipe"]["emotions"])
    right = [small["recipe"]["emotions"].index(emotion) for emotion in own["truth"]]
    shares = np.linspace(0.3, 0.5, len(right))  # the other corpus's clips are surer
    own["probabilities"] = [
        [share if index == truth else (1 - share) / (n_emotions - 1) for index in range(n_emotions)]
        for share, truth in zip(shares, right, strict=True)
    ]
    calibration = fitted([small, *results[1:]])
    confidence = np.sort(np.max(tempered(own["probabilities"], calibration.temperature), axis=1))
    reached = np.mean(confidence < calibration.abstain_below)
    assert reached == pytest.approx(0.2, abs=2 / len(confidence))  # a fifth of a half is a tenth


def test_the_summary_is_of_calibrated_answers(folder):
    summary = summarise(sorted(folder.glob("fold-*.json")))
    assert summary["ece"] < 0.03  # 90 % sure and 75 % right would be 0.15
    assert summary["temperature"] > 1
    assert summary["abstain_below"] == pytest.approx(0.75, abs=0.01)


def test_weights_make_groups_equal_and_keep_the_sum():
    weights = equal_weights(["a"] * 3 + ["b"] * 9)
    assert weights.sum() == pytest.approx(12)
    assert weights[:3].sum() == pytest.approx(weights[3:].sum())


def test_weighted_clips_count_as_if_they_were_repeated():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (40, 4))
    truth = rng.integers(4, size=40)
    repeated = fit_temperature(np.concatenate([logits, logits[:10]]), np.concatenate([truth, truth[:10]]))
    weighted = fit_temperature(logits, truth, np.where(np.arange(40) < 10, 2.0, 1.0))
    assert weighted == pytest.approx(repeated, rel=1e-4)


def test_tempering_is_a_power():
    rows = np.array([[0.7, 0.2, 0.1]])
    assert tempered(rows, 2.0) == pytest.approx(np.sqrt(rows) / np.sqrt(rows).sum())
    assert tempered(rows, 1.0) == pytest.approx(rows)
