"""The temperature finds what was planted and changes no decision; the threshold covers what was asked."""

import numpy as np
import pytest
from scipy.special import softmax

from vocalics.errors import TrainingError
from vocalics.lab.calibration import COVERAGE, UNCALIBRATED, abstention_threshold, fit_temperature


def calibrated_answers(n_clips: int = 20_000, n_emotions: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are calibrated by their making: each label is drawn from its clip's own probabilities."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2.0, size=(n_clips, n_emotions))
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    labels = (rng.random((n_clips, 1)) > cumulative).sum(axis=1)
    return logits, labels.clip(max=n_emotions - 1)  # the last sum may round to just below one


class TestTemperature:
    @pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
    def test_it_recovers_a_planted_temperature(self, planted):
        logits, labels = calibrated_answers()
        # What a clip tells of log T is the variance of its logits under its own probabilities (Fisher).
        probabilities = softmax(logits, axis=1)
        mean = (probabilities * logits).sum(axis=1, keepdims=True)
        information = (probabilities * (logits - mean) ** 2).sum()
        deviation = 1 / np.sqrt(information)  # about 0.7 % of T
        assert deviation < 0.01
        assert np.log(fit_temperature(planted * logits, labels) / planted) == pytest.approx(
            0, abs=4 * deviation
        )

    def test_it_changes_no_decision(self):
        logits, labels = calibrated_answers(n_clips=500)
        temperature = fit_temperature(3 * logits, labels)
        assert temperature > 1.5  # it does change the probabilities
        assert (softmax(3 * logits / temperature, axis=1).argmax(axis=1) == logits.argmax(axis=1)).all()

    @pytest.mark.parametrize(("sign", "bound"), [(1, 0.05), (-1, 20.0)], ids=["always right", "always wrong"])
    def test_it_stays_within_bounds_where_the_likelihood_has_no_optimum(self, sign, bound):
        logits = sign * np.eye(3)
        assert fit_temperature(logits, [0, 1, 2]) == pytest.approx(
            bound, rel=1e-3
        )  # the search's own tolerance

    @pytest.mark.parametrize(
        ("logits", "labels"),
        [(np.zeros((3, 2)), [0, 1]), (np.zeros(3), [0, 1, 1]), (np.zeros((0, 2)), [])],
        ids=["a label too few", "one row", "no clips"],
    )
    def test_shapes_that_do_not_fit_are_refused(self, logits, labels):
        with pytest.raises(TrainingError, match=r"logits \(n, n_emotions\) and n labels; given"):
            fit_temperature(logits, labels)

    def test_a_model_without_validation_says_that_it_is_not_calibrated(self):
        assert (UNCALIBRATED.temperature, UNCALIBRATED.abstain_below) == (
            1.0,
            0.0,
        )  # as trained, never abstains
        assert UNCALIBRATED.source.startswith("none")


class TestAbstention:
    @pytest.mark.parametrize("coverage", [0.0, 0.5, COVERAGE, 1.0])
    def test_the_surest_clips_up_to_the_coverage_are_answered(self, coverage):
        n_clips = 1_000
        probabilities = softmax(np.random.default_rng(1).normal(size=(n_clips, 4)), axis=1)
        answered = (probabilities.max(axis=1) >= abstention_threshold(probabilities, coverage)).mean()
        assert answered == pytest.approx(coverage, abs=1 / n_clips)  # no two clips are equally sure

    def test_nine_in_ten_are_answered_by_default(self):
        confidences = np.linspace(0.5, 1.0, 11)  # the tenth of them lies at 0.55
        probabilities = np.column_stack([confidences, 1 - confidences])
        assert abstention_threshold(probabilities) == pytest.approx(0.55)
