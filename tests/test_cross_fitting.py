"""A recipe that keeps nobody back for validation is calibrated fold by fold, by the folds that it is not."""

import copy
import json

import numpy as np
import pytest

from made_folds import write_folds
from made_speakers import N_EMOTIONS, made_speakers
from vocalics.lab import metrics
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


def test_answers_in_bad_recordings_get_the_same_temperature(results):
    for result in results:
        result["conditions"] = {"mp3": result["clips"]["probabilities"]}
    for calibrated in cross_fitted(results):
        assert calibrated["conditions"]["mp3"] == calibrated["clips"]["probabilities"]


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


# Adapted answers

N_FOLDS = 6


@pytest.fixture
def folds(tmp_path):
    """A folder of six folds, each with two speakers who differ much."""
    folder = write_folds(tmp_path, protocol="speaker", changes={"training": EVERYBODY_TRAINS})
    logits, truth, speakers = made_speakers(2 * N_FOLDS, per_emotion=3)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    for path in folder.glob("fold-*.json"):
        result = json.loads(path.read_text())
        emotions = result["recipe"]["emotions"][:N_EMOTIONS]
        own = [f"made/{2 * (result['fold'] - 1) + one}" for one in range(2)]
        rows = np.flatnonzero(np.isin(speakers, own))
        result["recipe"] |= {"emotions": emotions, "corpora": ["made"]}
        result["clips"] = {
            "id": [f"made/{row}" for row in rows],
            "truth": [emotions[truth[row]] for row in rows],
            "speaker": [speakers[row] for row in rows],
            "gender": ["female"] * len(rows),
            "corpus": ["made"] * len(rows),
            "twin": list(range(len(rows))),
            "no_speech": [],
            "probabilities": probabilities[rows].tolist(),
        }
        path.write_text(json.dumps(result))
    return folder


def read(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("fold-*.json"))]


def right(results, setting):
    """Share of right answers of a setting over all folds and speakers."""
    counts = np.sum([own for result in results for own in result["adapted"][setting].values()], axis=0)
    return np.trace(counts) / counts.sum()


def test_other_folds_tell_how_speakers_differ_and_adapting_gains_by_it(folds):
    plain = read(folds)
    truths = [np.array(own["clips"]["truth"]) for own in plain]
    answers = [
        np.array(own["recipe"]["emotions"])[np.argmax(own["clips"]["probabilities"], axis=1)] for own in plain
    ]
    before = np.mean(np.concatenate(truths) == np.concatenate(answers))
    assert right(cross_fitted(plain), "all") > before + 0.03


def test_answers_with_all_clips_are_kept_and_their_calibration_is_told(folds):
    results = cross_fitted(read(folds))
    for result in results:
        probabilities, truth = np.array(result["adapted_probabilities"]), result["clips"]["truth"]
        assert probabilities.sum(axis=1) == pytest.approx(1)
        answers = np.array(result["recipe"]["emotions"])[probabilities.argmax(axis=1)]
        counts = sum(np.array(own) for own in result["adapted"]["all"].values())
        assert (answers == np.array(truth)).sum() == np.trace(counts)
    summary = summarise(sorted(folds.glob("fold-*.json")))
    every = np.concatenate([result["adapted_probabilities"] for result in results])
    emotions = results[0]["recipe"]["emotions"]
    truth = [emotions.index(name) for result in results for name in result["clips"]["truth"]]
    assert summary["adapted"]["all"]["ece"] == pytest.approx(metrics.ece(every, truth, 10))


def test_the_truth_of_a_fold_changes_nothing_of_its_own_adapted_answers(folds):
    """Only how they are counted: with two emotions exchanged, their rows are."""
    results = read(folds)
    one, other = results[0]["recipe"]["emotions"][:2]
    turned = copy.deepcopy(results)
    exchanged = {one: other, other: one}
    turned[3]["clips"]["truth"] = [exchanged.get(name, name) for name in turned[3]["clips"]["truth"]]
    before, after = cross_fitted(results)[3]["adapted"]["all"], cross_fitted(turned)[3]["adapted"]["all"]
    for speaker, counts in before.items():
        assert after[speaker] == [counts[1], counts[0], *counts[2:]]


def test_adapted_answers_are_kept_beside_the_folds_until_one_of_them_changes(folds, monkeypatch):
    first = cross_fitted(read(folds), folds)
    (kept,) = folds.glob("adapted-seed-*.json")
    with monkeypatch.context() as patch:
        patch.setattr("vocalics.lab.adaptation.adapted_confusions", lambda *_: pytest.fail("adapted again"))
        assert cross_fitted(read(folds), folds) == first
    kept.write_text(kept.read_text().replace('"of":"', '"of":"0'))
    assert cross_fitted(read(folds), folds) == first
    changed = read(folds)
    changed[0]["clips"]["truth"].reverse()
    assert cross_fitted(changed, folds)[1]["adapted"] != first[1]["adapted"]


def test_where_speakers_stand_on_both_sides_nobody_tells_how_strangers_differ(folds):
    known = [result | {"protocol": "random"} for result in read(folds)]
    assert fitted(known).speakers is None
    assert all(result["adapted"] == {} for result in cross_fitted(known))


def test_speakers_without_some_emotion_are_left_out(folds):
    results = read(folds)
    assert fitted(results).speakers.source.startswith("12 speakers of made")
    own, (one, other) = results[0]["clips"], results[0]["recipe"]["emotions"][:2]
    own["truth"] = [
        other if (name, speaker) == (one, own["speaker"][0]) else name
        for name, speaker in zip(own["truth"], own["speaker"], strict=True)
    ]
    assert fitted(results).speakers.source.startswith("11 speakers of made")


def test_with_several_seeds_the_adapted_figures_have_a_mean_over_them_too(folds):
    for result in read(folds):
        path = folds / f"fold-{result['fold']}-seed-1.json"
        path.write_text(json.dumps(result | {"seed": 1}))
    summary = summarise(sorted(folds.glob("fold-*.json")))
    seeds = summary["adapted"]["all"]["uar_by_seed"]
    assert seeds["mean"] == pytest.approx(summary["adapted"]["all"]["uar"]["mean"])  # the same answers
    assert seeds["deviation"] == pytest.approx(0, abs=1e-12)
    assert {path.name for path in folds.glob("adapted-*")} == {"adapted-seed-0.json", "adapted-seed-1.json"}
