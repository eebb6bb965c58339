"""The report of an evaluation: its numbers stand on the page, in the Markdown and in the pictures."""

import json

import numpy as np
import pytest

import pages
from vocalics.errors import UsageError
from vocalics.lab import metrics
from vocalics.lab.evaluation import Answers, evaluate
from vocalics.lab.page import Code, Notice, Page, Points, Section, Table, Tile, to_html, to_markdown
from vocalics.lab.report import write_report

FOUR = ("neutral", "happy", "sad", "angry")


def answers(n_speakers=8, per_speaker=20, seed=0) -> Answers:
    """Answers of a model that is right in about two of three clips; the last speaker is always misheard."""
    rng = np.random.default_rng(seed)
    n = n_speakers * per_speaker
    truth = np.tile(np.arange(4), n // 4)
    favoured = np.where(rng.random(n) < 2 / 3, truth, rng.integers(4, size=n))
    favoured[-per_speaker:] = (truth[-per_speaker:] + 1) % 4
    probabilities = rng.dirichlet([1.0] * 4, n) + 1.5 * np.eye(4)[favoured]
    return Answers(
        emotions=FOUR,
        ids=tuple(f"made/{i}" for i in range(n)),
        truth=truth,
        speakers=tuple(f"made/{1 + i // per_speaker}" for i in range(n)),
        genders=tuple(("female", "male")[(i // per_speaker) % 2] for i in range(n)),
        corpora=("made",) * n,
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        no_speech=np.arange(n) < 3,
        thresholds=np.full(n, 0.5),
    )


def figures(answers: Answers, **others):
    """What the report is made from, as it comes out of a JSON file."""
    told = evaluate(answers) | {
        "model": "cnn2d",
        "corpora": ["made"],
        "protocol": "speaker",
        "command": "vocalics evaluate cnn2d",
    }
    return json.loads(json.dumps(told | others))


LOG = [{"epoch": n, "train_loss": 2 - 0.1 * n + 0.002 * n**2, "validation_uar": 0.3} for n in range(10)]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Figures, and the report with all that it can hold."""
    made = answers()
    shifted = {name: np.roll(counts, 0) for name, counts in made.confusions().items()}
    told = figures(made)
    told["adapted"] = json.loads(json.dumps(evaluate(made, {"5": shifted, "only-angry": shifted})["adapted"]))
    folder = tmp_path_factory.mktemp("report")
    return told, write_report(told, folder, LOG)


def page_of(path) -> pages.Page:
    return pages.Page(path.read_text(encoding="utf-8"))


def percent(rate):
    return f"{100 * rate:.1f} %"


def test_page_markdown_and_pictures_are_there(report):
    _, path = report
    assert path.name == "report.html"
    assert (path.parent / "report.md").is_file()
    assert {picture.stem for picture in path.parent.glob("*.png")} == {
        "confusion",
        "per-class",
        "reliability",
        "risk-coverage",
        "speakers",
        "adapted",
        "training",
    }


def test_the_page_asks_for_nothing_and_is_well_formed(report):
    page = page_of(report[1])
    assert page.asked_for == []
    assert len(page.references) > 100  # the glyphs of the pictures: there was something to look at
    assert len(page.ids) == len(set(page.ids))


def test_the_figures_stand_on_the_page_with_their_intervals(report):
    told, path = report
    text = page_of(path).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "cnn2d on made" in text
    for name, words in (("uar", "UAR"), ("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
        low, high = 100 * told[name]["low"], 100 * told[name]["high"]
        assert percent(told[name]["mean"]) in text
        assert f"{words} [{low:.1f}, {high:.1f}]" in text
    assert f"{told['ece']:.3f}" in text
    assert f"Brier score {told['brier']:.3f}" in text
    assert "In 3 clips 'vocalics predict' would hear no speech." in text
    assert "vocalics evaluate cnn2d" in text


def test_the_table_of_emotions_holds_recall_precision_and_clips(report):
    told, path = report
    rows = {row[0]: row for row in page_of(path).rows if len(row) == 5 and row[-1].endswith("%")}
    of = metrics.per_class(np.array(told["confusion"]))
    for i, emotion in enumerate(FOUR):
        numbers = [f"{of.support[i]}", percent(of.recall[i]), percent(of.precision[i]), percent(of.f1[i])]
        assert rows[emotion] == [emotion, *numbers]
        assert percent(of.recall[i]) == percent(told["recall"][emotion])


def test_the_hardest_speaker_is_named_and_stands_first(report):
    told, path = report
    page = page_of(path)
    assert (
        f"Hardest is made/8, with a UAR of 0.0 %; the best speaker lies {100 * told['by_speaker']['gap']:.0f}"
        in page.text
    )
    names = [row[0] for row in page.rows if row[0].startswith("made/")]
    assert names[0] == "made/8"
    assert len(names) == 8


def test_adapted_figures_stand_beside_the_plain_ones(report):
    told, path = report
    rows = {row[0]: row for row in page_of(path).rows}
    same = percent(told["uar"]["mean"])  # these confusions are the plain ones
    assert rows["5 clips"][1].startswith(same)
    assert rows["only angry"][2:] == ["+0.0", percent(told["accuracy"]["mean"]), "100.0 %"]


def test_the_fits_of_the_training_stand_in_a_table(report):
    rows = {row[0]: row for row in page_of(report[1]).rows}
    assert rows["train loss"] == ["train loss", "0.00200", "-0.10000", "2.00000"]


def test_the_markdown_says_the_same_and_shows_the_pictures(report):
    told, path = report
    text = (path.parent / "report.md").read_text()
    assert text.startswith("# cnn2d on made\n")
    assert f"**{percent(told['uar']['mean'])}**" in text
    for picture in path.parent.glob("*.png"):
        assert f"]({picture.name})" in text
    of = metrics.per_class(np.array(told["confusion"]))
    assert f"| angry | {of.support[3]} | {percent(of.recall[3])} |" in text


def test_figures_alone_are_enough(tmp_path):
    bare = json.loads(json.dumps(evaluate(answers())))
    page = page_of(write_report(bare, tmp_path))
    assert "Evaluation" in page.text
    assert not {"How it was trained", "Adapted to the speaker"} & set(page.words)
    assert {"training", "adapted"}.isdisjoint(picture.stem for picture in tmp_path.glob("*.png"))


def test_fewer_than_six_speakers_have_no_interval_and_it_is_said(tmp_path):
    text = page_of(write_report(figures(answers(n_speakers=4)), tmp_path)).text
    assert "There are fewer than 6 speakers" in text
    assert "95 %" not in text


def test_one_speaker_of_unknown_gender_is_no_group(tmp_path):
    alone = answers(n_speakers=1)
    text = page_of(write_report(figures(alone), tmp_path)).text
    assert "Hardest is" not in text
    assert not (tmp_path / "speakers.png").exists()


def test_speakers_that_were_trained_on_are_a_warning_at_the_top(tmp_path):
    told = figures(answers(), seen_speakers=["made/1", "made/2"])
    path = write_report(told, tmp_path)
    assert (
        '<p class="warning">The model was trained on 2 of these speakers (made/1, made/2 ...)'
        in path.read_text()
    )
    assert "**The model was trained on 2 of these" in (tmp_path / "report.md").read_text()


def test_names_cannot_become_markup(tmp_path):
    path = write_report(
        figures(answers(), model="<script>alert(1)</script>", command="a | b && <i>"), tmp_path
    )
    assert "<script" not in path.read_text()
    assert "<script>alert(1)</script> on made" in page_of(path).text
    assert "\\<script\\>" in (tmp_path / "report.md").read_text()


def test_a_long_table_is_folded_and_a_short_one_is_not(tmp_path):
    short = write_report(figures(answers(n_speakers=8)), tmp_path / "a").read_text()
    long = write_report(figures(answers(n_speakers=16)), tmp_path / "b").read_text()
    assert "<details>" not in short
    assert "<summary>Every speaker, the hardest first</summary>" in long


@pytest.mark.parametrize("missing", ["uar", "confusion", "brier"])
def test_figures_that_lack_one_are_refused_in_a_sentence(tmp_path, missing):
    told = figures(answers())
    del told[missing]
    with pytest.raises(UsageError, match=f"the figures lack '{missing}'; give what .* evaluation.json"):
        write_report(told, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_has_its_blocks_in_html_and_in_markdown():
    page = Page(
        eyebrow="made",
        title="A & B",
        lead="Lead.",
        tiles=[Tile("1,440", "clips")],
        sections=[
            Section(
                "First",
                [
                    "Words.",
                    Points(["one", "two"]),
                    Notice("Beware."),
                    Code("vocalics list | head"),
                    Table(["emotion", "clips", "note"], [["sad", 1200, "a|b"], ["happy", None, ""]]),
                ],
            )
        ],
        footer="End.",
    )
    read = pages.Page(to_html(page))
    assert read.rows == [["emotion", "clips", "note"], ["sad", "1,200", "a|b"], ["happy", "", ""]]
    assert read.text.startswith("A & B made A & B Lead. 1,440 clips First Words. one two Beware.")
    markdown = to_markdown(page).splitlines()
    assert "| emotion | clips | note |" in markdown
    assert "| sad | 1,200 | a\\|b |" in markdown
    assert markdown[-1] == "End."
    assert "vocalics list | head" in markdown


@pytest.mark.slow
@pytest.mark.skipif(pages.chromium() is None, reason="no chromium is installed")
def test_a_browser_without_network_draws_the_report(report, tmp_path):
    from matplotlib.image import imread

    picture = imread(pages.screenshot(report[1], tmp_path, dark=False))
    assert picture.shape[:2] == (900, 500) or picture.shape[0] == 900  # some browsers have a least width
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50  # words and tiles
