"""Figures, read back: what was put in stands in the artists, and nothing hangs over the edge."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from artists import by_gid, texts, title
from vocalics import emotions
from vocalics.errors import UsageError
from vocalics.lab import metrics, plots

FOUR = ("neutral", "happy", "sad", "angry")

#: Angry is taken for happy in 6 of 10 clips: the most frequent confusion. Sad is always found.
COUNTS = np.array([[8, 1, 1, 0], [0, 15, 2, 3], [0, 0, 5, 0], [1, 6, 0, 3]])

GROUPS = {
    "figures": {
        name: {"clips": 10, "uar": value, "accuracy": value, "macro_f1": value}
        for name, value in (("ravdess/01", 0.7), ("ravdess/02", 0.4), ("ravdess/03", 0.9))
    },
    "worst": "ravdess/02",
    "gap": 0.5,
}


def log(n_epochs=20, seed=0):
    """Rows of a log whose train accuracy is a known parabola, and whose validation is noisy."""
    rng = np.random.default_rng(seed)
    return [
        {
            "epoch": float(n),
            "train_accuracy": 0.24348 + 0.05072 * n - 0.00095 * n**2,
            "train_loss": 1.7575 - 0.10556 * n + 0.00177 * n**2,
            "validation_accuracy": 0.3 + 0.02 * n + rng.normal(0, 0.02),
            "validation_loss": 1.6 - 0.03 * n + rng.normal(0, 0.02),
            "validation_uar": 0.25 + 0.02 * n,
            "learning_rate": 1e-3 * 0.9**n,
        }
        for n in range(n_epochs)
    ]


def bins(n=400, seed=0):
    """Reliability of made answers, with the probabilities and the truth behind it."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.6] * 4, n)
    truth = rng.integers(4, size=n)
    return metrics.reliability(probabilities, truth, 10), probabilities, truth


def row(recipe, mean, protocol="speaker", **others):
    interval = {"mean": mean, "low": mean - 0.04, "high": mean + 0.03}
    plain = {"corpora": ["ravdess"], "protocol": protocol, "gender": None, "emotions": 8, "adapted_clips": 0}
    folds = {"folds": 6, "folds_of_protocol": 6}
    return {"recipe": recipe, **plain, **folds, "uar": interval, "accuracy": interval, **others}


def measured(n=40, seed=0):
    rng = np.random.default_rng(seed)
    pitch = {name: rng.normal(120 + 40 * i, 20, n) for i, name in enumerate(FOUR)}
    return [plots.Measured("pitch", "median, Hz", pitch), plots.Measured("level", "dB", pitch)]


#: What `evaluation.evaluate` says of a model that is adapted.
ADAPTED = {
    "1": {"uar": {"mean": 0.62, "low": 0.5, "high": 0.7}},
    "10": {"uar": {"mean": 0.65, "low": 0.55, "high": 0.72}},
    "all": {"uar": {"mean": 0.66, "low": 0.56, "high": 0.73}},
    "only-calm": {"uar": {"mean": 0.58, "low": 0.5, "high": 0.65}},
    "mostly-neutral": {"uar": {"mean": 0.61, "low": 0.5, "high": 0.65}},
    "dirichlet": {"uar": {"mean": 0.63, "low": 0.5, "high": 0.65}},
}
PLAIN = {"mean": 0.6, "low": 0.5, "high": 0.7}


def every_figure():
    """One of each kind, with long labels."""
    told, probabilities, truth = bins()
    curve = metrics.risk_coverage(probabilities, truth)
    speakers = [("ravdess", f"{n:02d}") for n in range(1, 25)] + [("savee", "DC"), ("savee", "JE")]
    eight = list(emotions.EMOTIONS)
    rng = np.random.default_rng(0)
    return {
        "training": plots.training_curves(log()),
        "confusion": plots.confusion_matrix(rng.integers(0, 2000, (8, 8)), eight),
        "per class": plots.per_class_bars(rng.integers(1, 2000, (8, 8)), eight),
        "groups": plots.groups(GROUPS),
        "reliability": plots.reliability_diagram(told, 0.0123),
        "risk": plots.risk_coverage(curve.coverage, curve.risk, 0.8),
        "adaptation": plots.adaptation(PLAIN, ADAPTED),
        "leaderboard": plots.leaderboard(
            [
                row("cnn-bilstm-attention-plus", 0.83, "random", folds=3),
                row("cnn2d", 0.6, adapted_clips="all", corpora=["ravdess", "tess", "savee", "cremad"]),
            ],
            claims={("cnn-bilstm-attention-plus", None): 0.94},
        ),
        "sounds": plots.waveforms_and_spectrograms([plots.Sound("surprised", rng.normal(size=9000), 8000)]),
        "balance": plots.class_balance({name: {"female": 1200, "male": 1100, "": 3} for name in eight}),
        "speakers": plots.speaker_balance(rng.integers(0, 9, (8, 26)), speakers, eight),
        "distributions": plots.distributions(measured() * 3, "How they sound"),
        "map": plots.embedding_map(rng.normal(size=(40, 2)), FOUR * 10, ["female", "male"] * 20, "A map"),
    }


# ---- all of them -----------------------------------------------------------------------------------------


def test_nothing_hangs_over_the_edge_of_its_figure():
    for name, figure in every_figure().items():
        FigureCanvasAgg(figure).draw()
        drawn = figure.get_tightbbox()  # inches
        width_in, height_in = figure.get_size_inches()
        assert drawn.x0 > -0.01, name
        assert drawn.y0 > -0.01, name
        assert drawn.x1 < width_in + 0.01, name
        assert drawn.y1 < height_in + 0.01, name


def test_every_figure_has_a_title_and_is_drawn():
    for name, figure in every_figure().items():
        assert title(figure), name
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        assert (pixels[..., :3] != 255).any(axis=2).mean() > 0.01, name  # a blank page has no such pixels


def test_a_users_own_style_is_neither_used_nor_changed():
    plain = plots.groups(GROUPS)
    with mpl.rc_context({"font.size": 40, "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        figure = plots.groups(GROUPS)
        assert dict(mpl.rcParams) == before
    assert [text.get_fontsize() for text in figure.findobj(Text)] == [
        text.get_fontsize() for text in plain.findobj(Text)
    ]


def test_pyplot_which_keeps_figures_is_not_imported():
    code = "import sys, vocalics.lab.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- training --------------------------------------------------------------------------------------------


def test_fits_recover_planted_coefficients():
    fits = {fit.curve: fit.coefficients for fit in plots.polynomial_fits(log())}
    assert fits["train_accuracy"] == pytest.approx((-0.00095, 0.05072, 0.24348), abs=1e-12)
    assert fits["train_loss"] == pytest.approx((0.00177, -0.10556, 1.7575), abs=1e-12)


def test_fits_of_noise_are_those_of_numpy():
    rows = log(60)
    fits = {fit.curve: fit for fit in plots.polynomial_fits(rows)}
    for curve in ("validation_accuracy", "validation_loss"):
        oracle = np.polyfit([row["epoch"] for row in rows], [row[curve] for row in rows], 2)
        assert fits[curve].coefficients == pytest.approx(oracle, rel=1e-6)


def test_epochs_without_a_figure_are_left_out_of_its_fit():
    rows = [
        row if n % 5 == 4 else {"epoch": row["epoch"], "train_loss": float("nan")}
        for n, row in enumerate(log())
    ]
    fits = {fit.curve: fit.coefficients for fit in plots.polynomial_fits(rows)}
    assert fits["train_loss"] == pytest.approx((0.00177, -0.10556, 1.7575), abs=1e-9)


def test_fewer_than_three_epochs_have_no_fit_but_are_drawn():
    figure = plots.training_curves(log(2))
    assert plots.polynomial_fits(log(2)) == ()
    assert by_gid(figure, "train_loss").get_xdata().tolist() == [0, 1]


def test_a_fit_reads_like_a_log_line_and_like_a_formula():
    fit = plots.polynomial_fits(log())[0]
    assert str(fit).endswith("-0.00095, 0.05072, 0.24348 (n^2, n, 1)")
    assert fit.formula == "−0.00095 n² + 0.05072 n + 0.24348"


def test_curves_and_coefficients_stand_on_the_plot():
    rows = log()
    figure = plots.training_curves(rows)
    for curve in ("train_accuracy", "train_loss", "validation_accuracy", "validation_loss", "validation_uar"):
        assert by_gid(figure, curve).get_ydata() == pytest.approx([row[curve] for row in rows])
    for fit in plots.polynomial_fits(rows):
        line = by_gid(figure, f"{fit.curve}_fit")
        assert line.get_ydata() == pytest.approx(np.polyval(fit.coefficients, line.get_xdata()))
        assert any(fit.formula in text for text in texts(figure))
    assert title(figure) == "Validation UAR is highest after epoch 19, 63.0 %; after the last, 19, 63.0 %"


def test_a_training_without_validation_says_so():
    rows = [{"epoch": row["epoch"], "train_loss": row["train_loss"]} for row in log()]
    assert title(plots.training_curves(rows)) == "Training without a validation part"


# ---- answers ---------------------------------------------------------------------------------------------


def test_the_colours_of_a_confusion_matrix_are_the_shares_of_its_rows():
    figure = plots.confusion_matrix(COUNTS, FOUR)
    rates = by_gid(figure, "rates").get_array().reshape(4, 4)
    assert np.asarray(rates) == pytest.approx(COUNTS / COUNTS.sum(axis=1, keepdims=True))


def test_count_and_percent_stand_in_every_cell_that_is_not_empty():
    told = texts(plots.confusion_matrix(COUNTS, FOUR))
    assert "75 %\n15" in told  # happy as happy: 15 of 20
    assert "60 %\n6" in told  # angry as happy: 6 of 10
    assert sum("%\n" in text for text in told) == np.count_nonzero(COUNTS)
    assert told.count("0") == np.count_nonzero(COUNTS == 0)


def test_the_title_tells_the_most_frequent_confusion():
    assert "angry is taken for happy (60 %)" in title(plots.confusion_matrix(COUNTS, FOUR))
    assert title(plots.confusion_matrix(np.diag([3, 4]), FOUR[:2])) == "All 7 answers are right"


def test_bars_are_recall_precision_and_f1_as_of_scikit_learn():
    truth = np.repeat(np.arange(4), COUNTS.sum(axis=1))
    answers = np.concatenate([np.repeat(np.arange(4), counts) for counts in COUNTS])
    precision, recall, f1, support = precision_recall_fscore_support(truth, answers)
    figure = plots.per_class_bars(COUNTS, FOUR)
    for axes, oracle in zip(figure.axes, (recall, precision, f1), strict=True):
        bars = axes.containers[1]
        assert [bar.get_width() for bar in bars] == pytest.approx(oracle)
        assert [to_hex(bar.get_facecolor()) for bar in bars] == [emotions.color(name) for name in FOUR]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"{name}  ({n})" for name, n in zip(FOUR, support, strict=True)]
    assert title(figure) == "Recall is lowest for angry (30 %), highest for sad (100 %)"


def test_an_emotion_that_was_never_spoken_has_a_dash_and_no_bar():
    figure = plots.per_class_bars([[3, 1], [0, 0]], FOUR[:2])
    assert figure.axes[0].containers[1][1].get_width() == 0
    assert "–" in texts(figure)


def test_groups_stand_from_the_lowest_to_the_highest():
    figure = plots.groups(GROUPS)
    assert by_gid(figure, "groups").get_offsets()[:, 0].tolist() == [0.4, 0.7, 0.9]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ravdess/02", "ravdess/01", "ravdess/03"]
    assert title(figure) == "From 40 % for ravdess/02 to 90 % for ravdess/03"


def test_a_crowd_of_groups_is_drawn_without_names():
    crowd = {f"s{n}": {"uar": n / 100} for n in range(91)}
    figure = plots.groups({"figures": crowd})
    assert figure.axes[0].get_yticklabels() == []
    assert len(by_gid(figure, "groups").get_offsets()) == 91


# ---- confidence ------------------------------------------------------------------------------------------


def test_the_bins_of_the_diagram_hold_the_expected_calibration_error():
    told, probabilities, truth = bins()
    gap = sum(one.clips * abs(one.accuracy - one.confidence) for one in told) / sum(one.clips for one in told)
    assert gap == pytest.approx(metrics.ece(probabilities, truth, 10))
    assert sum(one.clips for one in told) == len(truth)
    points = by_gid(plots.reliability_diagram(told), "bins").get_offsets()
    assert points.tolist() == [[one.confidence, one.accuracy] for one in told]


def test_the_intervals_of_the_diagram_are_wilsons():
    bins = [metrics.ReliabilityBin(20, 0.5, 0.35), metrics.ReliabilityBin(21, 0.8, 1.0)]
    lines = by_gid(plots.reliability_diagram(bins), "intervals").get_segments()
    for line, (right, clips) in zip(lines, ((7, 20), (21, 21)), strict=True):
        oracle = binomtest(right, clips).proportion_ci(method="wilson")
        assert line[:, 1] == pytest.approx([oracle.low, oracle.high], abs=1e-6)


def test_the_risk_is_drawn_with_the_models_own_threshold():
    figure = plots.risk_coverage([0.25, 0.5, 0.75, 1.0], [0.0, 0.1, 0.2, 0.4], at=0.75)
    assert by_gid(figure, "risk").get_ydata().tolist() == [0.0, 0.1, 0.2, 0.4]
    assert by_gid(figure, "threshold").get_offsets().tolist() == [[0.75, 0.2]]
    assert title(figure) == "10 % wrong in the surest half, 40 % in all"


def test_a_thinned_curve_of_risk_keeps_its_ends():
    _, probabilities, truth = bins(1234)
    curve = metrics.risk_coverage(probabilities, truth)
    thinned = curve.to_dict(points=100)
    assert len(thinned["coverage"]) == 100
    assert (thinned["coverage"][-1], thinned["risk"][-1]) == (1.0, curve.risk[-1])
    assert thinned["coverage"] == pytest.approx(np.arange(1, 101) / 100, abs=1 / 1234)  # a clip at most


# ---- adaptation ------------------------------------------------------------------------------------------


def test_adaptation_is_drawn_by_clips_heard_and_by_one_sided_sets():
    figure = plots.adaptation(PLAIN, ADAPTED)
    assert by_gid(figure, "uar").get_ydata().tolist() == [0.6, 0.62, 0.65, 0.66]
    changes = by_gid(figure, "skewed").get_offsets()[:, 0]
    assert changes.tolist() == pytest.approx([-2, 1, 3])
    assert {"none", "1", "10", "all", "only calm", "8 neutral of 10", "10, uneven", "-2.0"} <= {
        *texts(figure)
    }
    assert title(figure) == "+6.0 points with all clips; -2.0 at worst (only calm)"


def test_adaptation_without_one_sided_sets_or_intervals_is_one_panel():
    """Two speakers have no interval."""
    bare = {"mean": 0.6, "low": None, "high": None}
    figure = plots.adaptation(bare, {"5": {"uar": bare | {"mean": 0.5}}})
    assert len(figure.axes) == 1
    assert title(figure) == "-10.0 points with 5 clips"


# ---- leaderboard -----------------------------------------------------------------------------------------


def points(figure, protocol):
    """Rate and height of each point of a protocol, and whether it is filled."""
    drawn = figure.findobj(lambda artist: artist.get_gid() == protocol)
    return [(*point.get_offsets()[0], to_hex(point.get_facecolor()[0]) != "#ffffff") for point in drawn]


def test_a_system_has_one_line_with_its_claim_and_a_point_for_each_protocol():
    rows = [row("cnn2d", 0.61), row("lstm", 0.5), row("lstm", 0.72, "random")]
    figure = plots.leaderboard(rows, claims={("lstm", None): 0.9})
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cnn2d", "lstm"]
    assert axes.yaxis_inverted()
    first, second = axes.get_yticks()
    ((random, above, _),) = points(figure, "random")
    (best, at, _), (strangers, below, _) = points(figure, "speaker")
    assert (best, strangers, random) == (0.61, 0.5, 0.72)
    assert at == first  # alone in its line
    assert above < second < below
    assert above + below == pytest.approx(2 * second)
    claim = by_gid(figure, "claim")
    assert list(claim.get_xdata()) == [0.9, 0.9]
    assert np.mean(claim.get_ydata()) == pytest.approx(second)
    drawn = figure.findobj(lambda artist: artist.get_gid() == "interval")
    assert [line.get_xdata() for line in drawn] == [
        pytest.approx([mean - 0.04, mean + 0.03]) for mean in (0.61, 0.72, 0.5)
    ]
    assert {"61.0", "50.0", "72.0", "90.0", "random", "speaker", "claim"} <= set(texts(figure))
    assert title(figure) == "On speakers never heard, UAR is 22 points below that of random splits"


def test_only_systems_on_the_same_clips_stand_in_one_order():
    rows = [
        row("worse", 0.4),
        row("few", 0.9, emotions=4),
        row("better", 0.6),
        row("women", 0.7, gender="female"),
    ]
    figure = plots.leaderboard(rows)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["better", "worse", "women\nfemale speakers alone", "few"]
    headings = [text for text in texts(figure) if text.endswith("emotions")]
    assert headings == ["ravdess, 8 emotions", "ravdess, 4 emotions"]
    assert title(figure) == "Best on ravdess, 8 emotions: better, speaker, UAR 60.0 %"


def test_a_figure_of_some_folds_is_open_says_so_and_leads_nothing():
    rows = [row("whole", 0.5), row("begun", 0.9, folds=2), row("begun", 0.95, "random", folds=1)]
    figure = plots.leaderboard(rows)
    assert [filled for *_, filled in points(figure, "speaker")] == [True, False]
    assert [filled for *_, filled in points(figure, "random")] == [False]
    told = texts(figure)
    assert {"90.0\n2 of 6 folds", "95.0\n1 of 6 folds", "folds are missing"} <= set(told)
    assert "90.0" not in told
    assert title(figure) == "Best on ravdess, 8 emotions: whole, speaker, UAR 50.0 %"
    assert title(plots.leaderboard(rows[1:])) == "No system has all its folds yet"


def test_a_row_without_an_interval_is_a_point():
    figure = plots.interval_rows([plots.IntervalRow("savee", 0.5)], "UAR", "Few speakers")
    assert not figure.findobj(lambda artist: artist.get_gid() == "interval")
    assert by_gid(figure, "mean").get_offsets().tolist() == [[0.5, 0]]


# ---- what cannot be drawn --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: plots.training_curves([]), "the training log has no rows; train for one epoch"),
        (lambda: plots.polynomial_fits([{"loss": 1.0}]), "has no 'epoch'; give the rows of a run's log.csv"),
        (
            lambda: plots.confusion_matrix(COUNTS, FOUR[:3]),
            "3 emotions are named for a confusion matrix of 4",
        ),
        (lambda: plots.per_class_bars(COUNTS / 2, FOUR), "give counts of the shape"),
        (lambda: plots.groups({"figures": {}}), "there is no speaker to draw"),
        (lambda: plots.reliability_diagram([]), "there are no bins to draw"),
        (lambda: plots.risk_coverage([0.5, 1], [0.5]), r"shape \(2,\), risk \(1,\)"),
        (lambda: plots.adaptation(PLAIN, {"dirichlet": ADAPTED["dirichlet"]}), "no setting has one"),
        (lambda: plots.interval_rows([], "UAR", ""), "there are no rows to draw"),
        (lambda: plots.leaderboard([]), "run 'vocalics benchmark' first"),
        (lambda: plots.leaderboard([row("lstm", 0.5)], "f1"), "unknown metric 'f1'; known: uar, accuracy"),
        (lambda: plots.waveforms_and_spectrograms([]), "there is no recording to draw"),
        (lambda: plots.class_balance({"sad": {}}), "there are no clips to count"),
        (lambda: plots.speaker_balance([[1]], [("tess", "OAF")], FOUR), r"shape \(1, 1\); give one row"),
        (lambda: plots.distributions([], "nothing"), "nothing was measured"),
        (lambda: plots.embedding_map([[1, 2, 3]], ["sad"], [""], "map"), r"shape \(1, 3\), 1 emotions"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(UsageError, match=sentence):
        draw()
