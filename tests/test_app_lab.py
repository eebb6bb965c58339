"""The app's pages for researchers: corpora, leaderboard, figures, runs, and where nothing is."""

import json
import tempfile
from pathlib import Path

import pytest

from visited_pages import calm, frames, note_downloads, pick, press, visit, words_of
from vocalics.lab.corpora import CORPORA
from vocalics.lab.log import read_log

RESULTS = Path(__file__).parents[1] / "docs/results"


@pytest.fixture
def downloads(monkeypatch):
    return note_downloads(monkeypatch)


@pytest.fixture(autouse=True)
def cache(tiny, monkeypatch):
    """Where decoded audio is kept, which is not the user's."""
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


def name(at, path):
    """Write a path into the page's field."""
    return calm(at.text_input[0].set_value(str(path)).run())


# ---- corpora -----------------------------------------------------------------------------------------------


def test_somebody_without_recordings_is_told_which_corpora_are_public():
    table = visit("corpora").dataframe[0].value
    assert list(table["name"]) == list(CORPORA)
    assert list(table["licence"]) == [info.licence for info in CORPORA.values()]


@pytest.mark.slow
def test_a_corpus_is_explored_as_the_command_explores_it(tiny, tmp_path, monkeypatch, downloads):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    at = name(visit("corpora"), tiny.data)
    assert frames(at) == []  # reading takes time, so it waits for the button
    at = press(at, "Explore")
    (page,) = frames(at)
    assert "96 recordings by 6 speakers (3 female, 3 male): neutral, happy, sad and angry." in page
    for section in ("What is odd", "Who says what, how often", "How it sounds", "A map", "In numbers"):
        assert f"<h2>{section}</h2>" in page
    assert downloads["data.html"] == page
    assert list(tmp_path.iterdir()) == []  # the folder of its pictures is gone


@pytest.mark.slow
def test_a_manifest_is_explored_too(tiny, tmp_path):
    some = tiny.manifest.filter(lambda utterance: utterance.speaker in ("01", "20"))
    some.save(tmp_path / "some.csv")
    at = press(name(visit("corpora"), tmp_path / "some.csv"), "Explore")
    assert "32 recordings by 2 speakers" in frames(at)[0]


def test_of_several_corpora_some_are_chosen(tiny, tmp_path):
    (tmp_path / "ravdess").symlink_to(tiny.data / "ravdess")
    (tmp_path / "tess").mkdir()
    wav = next((tiny.data / "ravdess").iterdir()).read_bytes()
    (tmp_path / "tess" / "OAF_back_sad.wav").write_bytes(wav)
    at = name(visit("corpora"), tmp_path)
    assert set(at.button_group[0].options) == {"ravdess", "tess"}


@pytest.mark.slow
def test_another_folder_does_not_show_the_page_of_the_first(tiny, tmp_path):
    at = press(name(visit("corpora"), tiny.data), "Explore")
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "a.wav").write_bytes(next((tiny.data / "ravdess").iterdir()).read_bytes())
    assert frames(name(at, tmp_path)) == []


@pytest.mark.parametrize(("page", "what"), [("corpora", "There is no"), ("trainings", "There is no folder")])
def test_a_path_that_leads_nowhere_is_a_sentence(page, what, tmp_path):
    at = name(visit(page), tmp_path / "nowhere")
    (told,) = at.error
    assert told.value.startswith(what)
    assert "nowhere" in told.value


def test_a_folder_without_recordings_is_a_sentence(tmp_path):
    at = name(visit("corpora"), tmp_path)
    assert "holds nothing of ravdess" in at.error[0].value


# ---- leaderboard and figures -------------------------------------------------------------------------------


def test_the_leaderboard_is_that_of_the_folder():
    at = name(visit("trainings"), RESULTS)
    rows = [
        row for row in json.loads((RESULTS / "leaderboard.json").read_text()) if row["adapted_clips"] == 0
    ]
    table = at.dataframe[0].value
    assert list(table["UAR"]) == pytest.approx([100 * row["uar"]["mean"] for row in rows])
    assert list(table["protocol"]) == [row["protocol"] for row in rows]
    assert frames(at)[0].count("<svg") == 1


def test_the_leaderboard_can_be_of_one_protocol():
    at = name(visit("trainings"), RESULTS)
    (protocols,) = [one for one in at.button_group if "speaker" in one.options]
    at = calm(protocols.set_value(["speaker"]).run())
    assert set(at.dataframe[0].value["protocol"]) == {"speaker"}
    assert "Choose a protocol." in words_of(calm(protocols.set_value([]).run()))


@pytest.mark.slow
def test_the_figures_of_a_system_are_its_report():
    at = pick(name(visit("trainings"), RESULTS), "Figures of a system")
    (systems,) = [one for one in at.selectbox if one.label == "System"]
    assert "bundled/savee" in systems.options  # an evaluation.json
    at = calm(systems.set_value("vocalics/ravdess+nemo/speaker, on ravdess").run())
    figures = json.loads((RESULTS / "vocalics/ravdess+nemo/speaker/summary-ravdess.json").read_text())
    (page,) = frames(at)
    assert f"{figures['clips']:,} clips of {figures['speakers']} speakers" in page
    assert f"{100 * figures['uar']['mean']:.1f} %" in page
    assert 'aria-label="Confusion matrix"' in page


@pytest.mark.slow
def test_folds_that_nobody_summed_up_have_figures_too(tmp_path):
    system = RESULTS / "lstm/ravdess/speaker"
    (tmp_path / "lstm").mkdir()
    for fold in system.glob("fold-*.json"):
        (tmp_path / "lstm" / fold.name).symlink_to(fold)
    at = name(visit("trainings"), tmp_path)
    summary = json.loads((system / "summary-ravdess.json").read_text())
    assert f"{100 * summary['uar']['mean']:.1f} %" in frames(at)[0]


# ---- runs --------------------------------------------------------------------------------------------------


def test_a_run_has_its_curves_and_its_recipe(tiny):
    at = name(visit("trainings"), tiny.run.parent)
    assert f"{len(read_log(tiny.run))} epochs" in words_of(at)
    (page,) = frames(at)
    assert 'aria-label="Accuracy and loss over the epochs"' in page
    assert [one.value for one in at.code] == [(tiny.run / "recipe.yaml").read_text().strip()]


def test_a_training_is_followed_while_it_runs(tiny, tmp_path):
    lines = (tiny.run / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join(lines[:3]) + "\n")
    at = name(visit("trainings"), tmp_path)
    assert "2 epochs" in words_of(at)
    at = calm(at.toggle[0].set_value(True).run())
    (tmp_path / "log.csv").write_text("\n".join(lines[:5]) + "\n")
    assert "4 epochs" in words_of(calm(at.run()))


def test_the_model_of_a_run_answers_on_the_other_pages(tiny):
    at = name(visit("trainings", "listen"), tiny.run.parent)
    at = press(at, "Listen with its model")
    (chosen,) = [one for one in at.selectbox if one.key == "model"]
    assert (chosen.options, chosen.value) == (["vocalics", "run run"], "run run")


def test_a_run_that_has_just_begun_says_so(tmp_path, tiny):
    (tmp_path / "log.csv").write_text((tiny.run / "log.csv").read_text().splitlines()[0] + "\n")
    assert "No epoch has ended yet." in words_of(name(visit("trainings"), tmp_path))


def test_a_file_that_was_cut_short_is_a_sentence(tmp_path):
    (tmp_path / "leaderboard.json").write_text('[{"recipe": "ls')
    at = name(visit("trainings"), tmp_path)
    assert "leaderboard.json cannot be read as JSON" in at.error[0].value


def test_a_folder_with_neither_results_nor_runs_is_a_sentence(tmp_path):
    at = name(visit("trainings"), tmp_path)
    assert "lie neither results nor runs" in at.error[0].value
