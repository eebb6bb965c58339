"""Figures of probabilities against closed forms, scikit-learn and a second route."""

from math import comb, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from vocalics.errors import UsageError
from vocalics.lab import metrics

thoroughly = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 1000)


def made(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Softmax of random logits, (n, 4), and labels drawn from it: a perfectly calibrated model."""
    rng = np.random.default_rng(seed)
    exponentials = np.exp(2 * rng.normal(size=(n, 4)))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return probabilities, np.minimum(labels, 3)


class TestEce:
    def test_two_bins_by_hand(self):
        # Confidences .6 .6 | .9 .9; right: one of two, two of two.
        probabilities = [[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9]]
        assert metrics.ece(probabilities, [0, 0, 0, 1], bins=2) == pytest.approx((0.1 + 0.1) / 2)

    def test_a_model_that_keeps_its_word_reads_zero(self):
        # Ten clips at .8, eight of them right, in any number of bins.
        probabilities = [[0.8, 0.2]] * 10
        for bins in (1, 2, 3, 10):
            assert metrics.ece(probabilities, [0] * 8 + [1] * 2, bins) == pytest.approx(0)

    def test_a_sure_model_that_is_always_wrong_reads_one(self):
        assert metrics.ece([[1.0, 0.0]] * 10, [1] * 10) == 1.0

    @thoroughly
    @given(seed=seeds, bins=st.integers(1, 15))
    def test_bins_of_equal_mass_by_a_second_route(self, seed, bins):
        probabilities, labels = made(50, seed)
        order = np.argsort(probabilities.max(axis=1))
        confidence, right = probabilities.max(axis=1)[order], (probabilities.argmax(axis=1) == labels)[order]
        gap = 0.0
        for k in range(bins):
            inside = slice(floor(k * 50 / bins), floor((k + 1) * 50 / bins))
            gap += len(right[inside]) / 50 * abs(confidence[inside].mean() - right[inside].mean())
        assert metrics.ece(probabilities, labels, bins) == pytest.approx(gap)

    @thoroughly
    @given(seed=seeds)
    def test_the_order_of_clips_does_not_matter_even_among_equal_confidences(self, seed):
        probabilities, labels = made(60, seed)
        probabilities[:40] = [0.7, 0.1, 0.1, 0.1]
        order = np.random.default_rng(seed).permutation(60)
        shuffled = metrics.ece(probabilities[order], labels[order], bins=7)
        assert shuffled == pytest.approx(metrics.ece(probabilities, labels, bins=7))

    @pytest.mark.parametrize("bins", [0, -1, 11])
    def test_more_bins_than_clips_or_none_are_refused(self, bins):
        with pytest.raises(UsageError, match=f"{bins} bins were asked for 10 clips; give from 1 to 10"):
            metrics.ece([[0.8, 0.2]] * 10, [0] * 10, bins)


class TestExpectedEce:
    @pytest.mark.parametrize(("n", "p"), [(10, 0.7), (25, 0.55), (100, 0.9)])
    def test_with_one_bin_it_is_the_mean_deviation_of_a_binomial(self, n, p):
        """De Moivre: it is 2 v C(n, v) p^v (1 - p)^(n - v + 1) with v = floor(n p) + 1."""
        v = floor(n * p) + 1
        closed_form = 2 * v * comb(n, v) * p**v * (1 - p) ** (n - v + 1) / n
        draws = 20_000
        expected = metrics.expected_ece([[p, 1 - p]] * n, 1, draws, rng=np.random.default_rng(0))
        # Four standard errors: one draw scatters by less than sqrt(p (1 - p) / n).
        assert expected == pytest.approx(closed_form, abs=4 * np.sqrt(p * (1 - p) / n / draws))

    def test_it_is_what_calibrated_models_read_on_average(self):
        """Second route: draw the labels themselves and measure."""
        probabilities, _ = made(200)
        rng = np.random.default_rng(1)
        read = []
        for _ in range(400):
            labels = np.minimum((probabilities.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1), 3)
            read.append(metrics.ece(probabilities, labels))
        expected = metrics.expected_ece(probabilities, rng=np.random.default_rng(0))
        assert expected == pytest.approx(
            np.mean(read), abs=4 * np.std(read) / np.sqrt(400)
        )  # four standard errors

    def test_more_clips_bring_it_down_as_the_square_root(self):
        small, large = (
            metrics.expected_ece(np.repeat(made(50)[0], n, axis=0), rng=np.random.default_rng(0))
            for n in (4, 64)
        )
        assert small / large == pytest.approx(4, rel=0.1)  # sqrt(64 / 4)

    def test_the_generator_decides(self):
        probabilities, _ = made(50)
        first, again, other = (
            metrics.expected_ece(probabilities, draws=10, rng=np.random.default_rng(seed))
            for seed in (0, 0, 1)
        )
        assert first == again
        assert first != other

    def test_no_draws_are_refused(self):
        with pytest.raises(UsageError, match="0 draws"):
            metrics.expected_ece([[0.8, 0.2]] * 10, draws=0, rng=np.random.default_rng(0))


class TestScores:
    def test_the_brier_score_runs_from_zero_to_two(self):
        assert metrics.brier([[1.0, 0.0]], [0]) == 0.0
        assert metrics.brier([[1.0, 0.0]], [1]) == 2.0
        assert metrics.brier([[0.25] * 4], [2]) == 0.75  # (3/4)^2 + 3 (1/4)^2

    @thoroughly
    @given(seed=seeds)
    def test_the_brier_score_by_a_second_route(self, seed):
        probabilities, labels = made(30, seed)
        # sum (p - y)^2 = sum p^2 - 2 p_true + 1
        of_truth = probabilities[np.arange(30), labels]
        assert metrics.brier(probabilities, labels) == pytest.approx(
            np.mean((probabilities**2).sum(axis=1) - 2 * of_truth + 1)
        )

    @thoroughly
    @given(seed=seeds)
    def test_nll_is_the_log_loss_of_scikit_learn(self, seed):
        probabilities, labels = made(30, seed)
        assert metrics.nll(probabilities, labels) == pytest.approx(
            log_loss(labels, probabilities, labels=range(4))
        )

    def test_an_infinite_nll_is_an_error_and_no_number(self):
        with pytest.raises(UsageError, match="1 of 2 clips give their true emotion the probability 0"):
            metrics.nll([[1.0, 0.0], [0.5, 0.5]], [1, 0])


class TestRiskCoverage:
    def test_the_curve_withholds_the_least_confident_first(self):
        # By confidence: .9 right, .8 wrong, .7 right, .6 wrong.
        probabilities = [[0.7, 0.3], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
        curve = metrics.risk_coverage(probabilities, [0, 0, 1, 0])
        assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
        assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
        assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)

    def test_answering_everything_risks_the_error_rate(self):
        probabilities, labels = made(100)
        wrong = np.mean(probabilities.argmax(axis=1) != labels)
        assert metrics.risk_coverage(probabilities, labels).risk[-1] == pytest.approx(wrong)

    def test_equal_confidences_make_a_flat_curve(self):
        labels = [0] * 3 + [1]
        for order in (labels, labels[::-1]):
            assert metrics.risk_coverage([[0.7, 0.3]] * 4, order).risk == pytest.approx([0.25] * 4)

    def test_confidence_that_knows_nothing_leaves_the_area_at_the_error_rate(self):
        """Errors that do not hang on confidence: every coverage risks the same."""
        probabilities, _ = made(2000)
        labels = np.where(
            np.arange(2000) % 4 == 0, (probabilities.argmax(axis=1) + 1) % 4, probabilities.argmax(axis=1)
        )
        # The first few clips scatter; over 2,000 coverages the mean stays within a few hundredths of 1/4.
        assert metrics.risk_coverage(probabilities, labels).area == pytest.approx(0.25, abs=0.05)


class TestRefusals:
    @pytest.mark.parametrize(
        ("probabilities", "truth", "sentence"),
        [
            ([0.5, 0.5], [0], r"the shape \(2,\)"),
            ([[1.0]], [0], r"the shape \(1, 1\)"),
            (np.zeros((0, 4)), [], r"the shape \(0, 4\)"),
            ([[np.nan, 0.5], [0.5, 0.5]], [0, 1], "1 of 2 rows of probabilities hold NaN"),
            ([[np.inf, 0.5]], [0], "NaN or infinity"),
            ([[1.2, -0.2]], [0], "below 0"),
            ([[3.1, -0.4]], [0], "not the logits"),
            ([[0.5, 0.4]], [0], "does not sum to 1"),
            ([[0.5, 0.5]], [2], "'truth' holds the emotion index 2; give indices from 0 to 1"),
            ([[0.5, 0.5]], [0, 1], "1 rows of probabilities for 2 clips"),
        ],
    )
    @pytest.mark.parametrize("figure", [metrics.ece, metrics.brier, metrics.nll, metrics.risk_coverage])
    def test_what_is_no_probability_is_refused(self, figure, probabilities, truth, sentence):
        with pytest.raises(UsageError, match=sentence):
            figure(probabilities, truth)

    def test_a_softmax_in_float32_is_accepted(self):
        probabilities, labels = made(2000)
        in_float32 = probabilities.astype(np.float32)
        assert metrics.nll(in_float32, labels) == pytest.approx(metrics.nll(probabilities, labels), rel=1e-5)
