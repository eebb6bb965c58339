"""Figures of answers against closed forms, scikit-learn, SciPy and a second route."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from vocalics.errors import UsageError
from vocalics.lab import metrics

EMOTIONS = ("neutral", "happy", "sad", "angry")

thoroughly = settings(max_examples=50, deadline=None)
answers = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 3)), arrays(np.int64, n, elements=st.integers(0, 3))
    )
)


def some_answers(n: int, right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and answers of which about the share `right` is right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=n)
    return truth, np.where(rng.random(n) < right, truth, rng.integers(4, size=n))


class TestAnswers:
    @thoroughly
    @given(answers)
    def test_the_confusion_matrix_is_that_of_scikit_learn(self, pair):
        assert (
            metrics.confusion(*pair, EMOTIONS).tolist() == confusion_matrix(*pair, labels=range(4)).tolist()
        )

    @thoroughly
    @given(answers)
    def test_uar_accuracy_and_macro_f1_are_those_of_scikit_learn(self, pair):
        truth, predicted = pair
        counts = metrics.confusion(truth, predicted, EMOTIONS)
        over = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}  # the emotions that occur
        assert metrics.uar(counts) == pytest.approx(recall_score(truth, predicted, **over))
        assert metrics.macro_f1(counts) == pytest.approx(f1_score(truth, predicted, **over))
        assert metrics.accuracy(counts) == pytest.approx(accuracy_score(truth, predicted))

    def test_uar_does_not_care_how_many_clips_an_emotion_has(self):
        # Recalls 9/10 and 1/2, whatever the counts: (0.9 + 0.5) / 2.
        assert metrics.uar([[9, 1], [1, 1]]) == pytest.approx(0.7)
        assert metrics.uar([[9, 1], [500, 500]]) == pytest.approx(0.7)

    def test_an_emotion_that_does_not_occur_is_left_out(self):
        counts = [[3, 1, 0], [0, 0, 0], [0, 1, 1]]
        assert metrics.uar(counts) == pytest.approx((3 / 4 + 1 / 2) / 2)
        assert metrics.macro_f1(counts) == pytest.approx(
            (6 / 7 + 2 / 3) / 2
        )  # 2 x 3 / (4 + 3), 2 x 1 / (2 + 1)
        assert metrics.recall(counts, ("calm", "happy", "sad")) == {"calm": 0.75, "sad": 0.5}

    def test_always_one_answer_reads_chance(self):
        counts = metrics.confusion([0, 1, 2, 3], [2, 2, 2, 2], EMOTIONS)
        assert metrics.uar(counts) == 0.25

    @pytest.mark.parametrize(
        ("truth", "predicted", "sentence"),
        [
            ([0, 1], [0], "1 answers for 2 clips"),
            ([], [], r"'truth' has the shape \(0,\)"),
            ([[0, 1]], [[0, 1]], r"'truth' has the shape \(1, 2\)"),
            ([0.0, 1.0], [0, 1], "'truth' has .* the type float64"),
            ([0, 1], ["sad", "sad"], "'predicted' has .* give emotion indices"),
            ([0, 4], [0, 1], "'truth' holds the emotion index 4; give indices from 0 to 3"),
            ([0, 1], [0, -1], "'predicted' holds the emotion index -1"),
        ],
    )
    def test_answers_that_cannot_be_counted_are_refused(self, truth, predicted, sentence):
        with pytest.raises(UsageError, match=sentence):
            metrics.confusion(truth, predicted, EMOTIONS)

    @pytest.mark.parametrize("figure", [metrics.uar, metrics.accuracy, metrics.macro_f1])
    @pytest.mark.parametrize(
        ("counts", "sentence"),
        [
            ([[0, 0], [0, 0]], "counts no clip"),
            ([[1, 2, 3], [4, 5, 6]], r"the shape \(2, 3\)"),
            ([[0.5, 0.5], [0.0, 1.0]], "the type float64"),
            ([[1, -1], [0, 1]], "none below 0"),
        ],
    )
    def test_a_figure_of_no_confusion_matrix_is_an_error(self, figure, counts, sentence):
        with pytest.raises(UsageError, match=sentence):
            figure(counts)

    def test_recall_needs_a_name_for_each_row(self):
        with pytest.raises(UsageError, match="3 emotions are named for a confusion matrix of 2"):
            metrics.recall([[1, 0], [0, 1]], ("calm", "happy", "sad"))


class TestIntervals:
    def test_the_interval_over_speakers_of_one_clip_is_binomial(self):
        """With one clip a speaker, the right answers of a draw are binomial: its percentiles are known."""
        n, right = 50, 30
        truth = np.zeros(n, dtype=int)
        predicted = np.repeat([0, 1], [right, n - right])
        speakers = [f"speaker {k}" for k in range(n)]
        interval = metrics.bootstrap_interval("accuracy", truth, predicted, speakers, draws=20_000)
        low, high = binom.ppf([0.025, 0.975], n, right / n) / n
        assert interval.mean == 0.6
        assert interval.low == pytest.approx(low, abs=1 / n)  # one step of the binomial
        assert interval.high == pytest.approx(high, abs=1 / n)

    @pytest.mark.parametrize("statistic", ["uar", "accuracy", "macro_f1"])
    def test_it_is_the_bootstrap_that_draws_speakers_one_by_one(self, statistic):
        """Second route: gather the drawn speakers' clips and score them anew."""
        truth, predicted = some_answers(240, right=0.6)
        speakers = np.array([f"speaker {k % 8}" for k in range(240)])
        rng = np.random.default_rng(1)
        figure = getattr(metrics, statistic)
        figures = []
        for _ in range(1000):
            drawn = rng.choice(np.unique(speakers), 8)
            clips = np.concatenate([np.flatnonzero(speakers == name) for name in drawn])
            figures.append(figure(metrics.confusion(truth[clips], predicted[clips], EMOTIONS)))
        interval = metrics.bootstrap_interval(statistic, truth, predicted, speakers, draws=1000)
        assert interval.mean == figure(metrics.confusion(truth, predicted, EMOTIONS))
        # A 2.5 % quantile over 1,000 draws scatters by about a tenth of the interval.
        scatter = 0.15 * (interval.high - interval.low)
        assert [interval.low, interval.high] == pytest.approx(
            np.percentile(figures, [2.5, 97.5]), abs=scatter
        )

    def test_speakers_who_are_all_alike_leave_no_doubt(self):
        truth = [0, 0, 1, 1] * 6
        predicted = [0, 1, 1, 1] * 6  # everybody: recalls 1/2 and 1
        speakers = [f"speaker {k // 4}" for k in range(24)]
        assert metrics.bootstrap_interval("uar", truth, predicted, speakers).to_dict() == {
            "mean": 0.75,
            "low": 0.75,
            "high": 0.75,
        }

    def test_clips_of_one_speaker_are_not_independent(self):
        """Six speakers who are right always or never: many clips of each make nothing surer."""
        few, many = (
            metrics.bootstrap_interval(
                "accuracy", [0] * 6 * n, [k % 2 for k in range(6)] * n, [f"speaker {k}" for k in range(6)] * n
            )
            for n in (1, 100)
        )
        assert few == many
        assert few.high - few.low > 0.5

    def test_the_seed_decides(self):
        truth, predicted = some_answers(240, right=0.6)
        speakers = [f"speaker {k % 24}" for k in range(240)]
        first, again, other = (
            metrics.bootstrap_interval("uar", truth, predicted, speakers, seed=seed) for seed in (0, 0, 1)
        )
        assert first == again
        assert first != other

    def test_fewer_than_six_speakers_have_no_interval(self):
        truth, predicted = some_answers(60, right=0.6)
        five, six = (
            metrics.bootstrap_interval("uar", truth, predicted, [f"speaker {k % n}" for k in range(60)])
            for n in (5, 6)
        )
        assert (five.low, five.high) == (None, None)
        assert five.mean == six.mean
        assert six.low < six.mean < six.high

    def test_an_answer_that_never_occurs_in_the_truth_is_counted_as_wrong(self):
        speakers = [f"speaker {k}" for k in range(6)]
        assert metrics.bootstrap_interval("accuracy", [0] * 6, [7] * 6, speakers).mean == 0.0

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"statistic": "f2"}, "unknown statistic 'f2'; known: uar, accuracy, macro_f1"),
            ({"speakers": ["a"]}, "'speakers' names 1 clips of 6"),
            ({"draws": 0}, "0 draws"),
            ({"predicted": [0]}, "1 answers for 6 clips"),
        ],
    )
    def test_a_wrong_call_is_refused(self, arguments, sentence):
        call = {"statistic": "uar", "truth": [0] * 6, "predicted": [0] * 6, "speakers": list("abcdef")}
        with pytest.raises(UsageError, match=sentence):
            metrics.bootstrap_interval(**call | arguments)


class TestPairedDifference:
    def test_a_system_does_not_differ_from_itself(self):
        truth, predicted = some_answers(240, right=0.6)
        speakers = [f"speaker {k % 12}" for k in range(240)]
        difference = metrics.paired_difference("uar", truth, predicted, predicted, speakers)
        assert difference == metrics.Interval(0.0, 0.0, 0.0)

    def test_one_more_error_of_each_speaker_is_a_sure_difference(self):
        """Speakers differ much, the two systems by one clip in ten of each: the pairs leave no doubt."""
        truth = np.zeros(80, dtype=int)
        errors = np.arange(80) % 10 < np.arange(80) // 10  # speaker k errs k times in ten
        first, second = errors.astype(int), (errors | (np.arange(80) % 10 == 9)).astype(int)
        speakers = [f"speaker {k // 10}" for k in range(80)]
        difference = metrics.paired_difference("accuracy", truth, first, second, speakers)
        assert [difference.mean, difference.low, difference.high] == pytest.approx([0.1] * 3)
        alone = metrics.bootstrap_interval("accuracy", truth, first, speakers)
        assert alone.high - alone.low > 0.2

    def test_the_other_order_has_the_other_sign(self):
        truth, first = some_answers(240, right=0.7)
        _, second = some_answers(240, right=0.3, seed=0)
        speakers = [f"speaker {k % 12}" for k in range(240)]
        there = metrics.paired_difference("macro_f1", truth, first, second, speakers)
        back = metrics.paired_difference("macro_f1", truth, second, first, speakers)
        assert there.low > 0  # the first is better, and surely so
        assert [back.mean, back.low, back.high] == pytest.approx([-there.mean, -there.high, -there.low])

    def test_fewer_than_six_speakers_have_no_interval(self):
        difference = metrics.paired_difference("uar", [0, 1], [0, 1], [0, 0], ["a", "b"])
        assert difference == metrics.Interval(0.5, None, None)


class TestGroups:
    def test_each_group_is_scored_by_itself(self):
        truth, predicted = some_answers(90, right=0.6)
        corpora = np.array([("nemo", "savee", "tess")[k % 3] for k in range(90)])
        groups = metrics.by_group(truth, predicted, corpora)
        assert list(groups.figures) == ["nemo", "savee", "tess"]
        for name, figures in groups.figures.items():
            counts = metrics.confusion(truth[corpora == name], predicted[corpora == name], EMOTIONS)
            assert figures == metrics.GroupFigures(
                30, metrics.uar(counts), metrics.accuracy(counts), metrics.macro_f1(counts)
            )

    def test_the_worst_speaker_and_the_gap_are_told(self):
        groups = metrics.by_group([0, 1, 0, 1, 0, 1], [0, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
        assert {name: figures.uar for name, figures in groups.figures.items()} == {
            "a": 1.0,
            "b": 0.5,
            "c": 0.0,
        }
        assert (groups.worst, groups.gap) == ("c", 1.0)

    def test_groups_are_json(self):
        groups = metrics.by_group([0, 1], [0, 1], ["female", "male"])
        assert json.loads(json.dumps(groups.to_dict()))["figures"]["male"] == {
            "clips": 1,
            "uar": 1.0,
            "accuracy": 1.0,
            "macro_f1": 1.0,
        }
