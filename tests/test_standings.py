"""The leaderboard for people: what is whole, what is missing, what is kept out, and what is compared."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from made_folds import N_SPEAKERS, TAKES, write_folds
from vocalics.lab.leaderboard import read_result, rows_of, summarise, write_leaderboard
from vocalics.lab.recipes import list_recipes, load_recipe
from vocalics.lab.standings import claimed_accuracy, gender_cells, gender_groups, rows_to_draw

#: What GitHub shows at once, and what a repository can bear for each of some thirty systems.
LARGEST_PLOT, LARGEST_CONFUSION = 300_000, 60_000


def contents(folder: Path) -> dict[str, bytes]:
    """What was made of the folds, by its place."""
    made = (path for path in folder.rglob("*.*") if not path.name.startswith("fold-"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in made}


def section(markdown: str, title: str) -> str:
    """What stands below a heading that begins so."""
    (found,) = [part for part in markdown.split("\n## ")[1:] if part.startswith(title)]
    return found.partition("\n")[2]


# ---- what is kept out ------------------------------------------------------------------------------------


def test_deliberate_leaks_reach_neither_rows_nor_table_nor_plot(tmp_path):
    for name in ("honest", "both"):
        write_folds(tmp_path / name, protocol="speaker", right=0.5)
    write_folds(tmp_path / "both", protocol="random", right=1.0, leaky=True)
    write_folds(tmp_path / "both", changes={"name": "cnn2d-leaky"}, right=1.0, leaky=True)
    for name in ("honest", "both"):
        write_leaderboard(tmp_path / name)
    assert contents(tmp_path / "both") == contents(tmp_path / "honest")
    assert {path.rpartition("/")[2] for path in contents(tmp_path / "both")} == {
        "leaderboard.json",
        "leaderboard.md",
        "leaderboard.svg",
        "summary-ravdess.json",
        "confusion-ravdess.svg",
    }


def test_a_leak_among_honest_folds_is_a_missing_fold(tmp_path):
    leak = write_folds(tmp_path / "leak", right=1.0, leaky=True) / "fold-2-seed-0.json"
    shutil.copy(leak, write_folds(tmp_path / "results", right=0.5))
    (summary,) = write_leaderboard(tmp_path / "results")
    assert (summary["folds"], summary["folds_of_protocol"], summary["leaky"]) == (4, 5, False)
    assert summary["accuracy"]["mean"] == 0.5


def test_a_summary_of_a_leak_says_that_it_is_one(tmp_path):
    folder = write_folds(tmp_path, leaky=True)
    assert summarise(sorted(folder.glob("fold-*.json")))["leaky"]


def test_without_honest_folds_there_is_no_row_and_no_plot(tmp_path):
    folder = write_folds(tmp_path)
    write_leaderboard(tmp_path)
    for path in folder.glob("fold-*.json"):
        path.unlink()
    write_folds(tmp_path / "leak", leaky=True).rename(tmp_path / "cnn2d" / "ravdess" / "leak")
    assert write_leaderboard(tmp_path) == []
    assert (tmp_path / "leaderboard.json").read_text() == "[]\n"
    assert not (tmp_path / "leaderboard.svg").exists()
    assert "cnn2d" not in (tmp_path / "leaderboard.md").read_text()


# ---- what is whole, and what is missing ------------------------------------------------------------------


def test_a_system_with_missing_folds_stands_apart_and_says_so(tmp_path):
    write_folds(tmp_path, protocol="random", folds=[1, 2, 4])
    write_folds(tmp_path, protocol="speaker", right=0.5)
    rows = [row for summary in write_leaderboard(tmp_path) for row in rows_of(summary)]
    assert {row["protocol"]: (row["folds"], row["folds_of_protocol"]) for row in rows} == {
        "random": (3, 5),
        "speaker": (6, 6),
    }
    told = (tmp_path / "leaderboard.md").read_text()
    assert "`random`" not in section(told, "Systems")
    assert "`random` | 3 of 5 | 75.0" in section(told, "Unfinished")
    assert "`speaker`" not in section(told, "Unfinished")
    assert "3 of 5 folds" in (tmp_path / "leaderboard.svg").read_text()


def test_the_confusion_matrix_is_drawn_of_a_whole_system_alone(tmp_path):
    folder = write_folds(tmp_path)
    picture = folder / "confusion-ravdess.svg"
    write_leaderboard(tmp_path)
    # 12 speakers say each emotion 4 times and are understood in 3 of these.
    assert f">{N_SPEAKERS * TAKES * 3 // 4}<" in picture.read_text()
    assert (
        f"[picture]({picture.relative_to(tmp_path).as_posix()})" in (tmp_path / "leaderboard.md").read_text()
    )
    (folder / "fold-3-seed-0.json").unlink()
    write_leaderboard(tmp_path)
    assert not picture.exists()
    assert "confusion-" not in (tmp_path / "leaderboard.md").read_text()


def test_a_corpus_whose_folds_are_all_missing_has_no_row_yet(tmp_path):
    few = {"tess": 2}  # tested in folds 1 and 2 alone
    write_folds(tmp_path, "cnn1d", "speaker", folds=[3], n_speakers=few)
    tested = [summary["tested_on"] for summary in write_leaderboard(tmp_path)]
    assert tested == [["ravdess", "tess", "savee", "nemo"], ["ravdess"], ["savee"], ["nemo"]]


def test_pictures_are_small_and_the_same_for_the_same_folds(tmp_path):
    folder = write_folds(tmp_path)  # eight emotions: the largest matrix
    for number in range(11):
        write_folds(tmp_path, folds=[1], changes={"name": f"cnn-bilstm-attention-{number}"})
    write_leaderboard(tmp_path)
    first = contents(tmp_path)
    assert len(first["leaderboard.svg"]) < LARGEST_PLOT
    assert (folder / "confusion-ravdess.svg").stat().st_size < LARGEST_CONFUSION
    assert first["leaderboard.svg"].count(b">1 of 5 folds<") == 11
    write_leaderboard(tmp_path)
    assert contents(tmp_path) == first


# ---- mixed, female and male ------------------------------------------------------------------------------


def test_models_of_one_gender_stand_beside_the_mixed_one(tmp_path):
    write_folds(tmp_path, "cnn1d", right={"female": 0.75, "male": 0.5}, train_accuracy=0.875)
    write_folds(tmp_path, "cnn1d", gender="female", right=1.0)
    write_folds(tmp_path, "cnn1d", gender="male", right=0.25)
    write_folds(tmp_path, "cnn1d", "speaker")  # alone: nothing to compare
    (group,) = gender_groups(write_leaderboard(tmp_path))
    mixed, female, male = gender_cells(group)
    # Of 12 speakers a corpus, numbered from 0 and dealt to five folds, 5 to 9 are female: 5/12 and 7/12.
    assert mixed[0] == "mixed"
    assert mixed[2].startswith(f"{100 * (5 * 0.75 + 7 * 0.5) / 12:.1f} [")
    assert mixed[1] == "87.5"
    assert (mixed[4], mixed[5]) == ("80.0", "")
    assert female == ("female", "90.0", "100.0 [100.0, 100.0]", "100.0 [100.0, 100.0]", "75.0", "75.0")
    assert male == ("male", "90.0", "25.0 [25.0, 25.0]", "25.0 [25.0, 25.0]", "75.0", "50.0")
    table = section((tmp_path / "leaderboard.md").read_text(), "Mixed, female and male models")
    assert "`cnn1d` on ravdess, tess, savee, nemo, `random`; confusion matrices: [mixed](" in table
    assert "| " + " | ".join(female) + " |" in table
    assert "`speaker`" not in table


def test_a_model_of_one_gender_with_missing_folds_is_not_compared_on_the_same_clips(tmp_path):
    write_folds(tmp_path, "cnn1d")
    write_folds(tmp_path, "cnn1d", gender="female", folds=[1, 2], right=1.0)
    (group,) = gender_groups(write_leaderboard(tmp_path))
    assert gender_cells(group)[1][1:] == ("90.0", *["2 of 5 folds: 100.0"] * 2, "75.0", "")


# ---- what is drawn ---------------------------------------------------------------------------------------


def drawn(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    rows = [row for summary in write_leaderboard(folder) for row in rows_of(summary)]
    return [(row["recipe"], tuple(row["tested_on"])) for row in rows_to_draw(rows)]


def test_a_part_of_the_clips_is_drawn_where_another_system_is_tested_on_just_these(tmp_path):
    write_folds(tmp_path, "vocalics", "speaker")
    assert drawn(tmp_path) == [("vocalics", ("ravdess", "nemo"))]
    write_folds(tmp_path, "cnn-lstm", "speaker")  # six emotions: other clips
    assert ("vocalics", ("ravdess",)) not in drawn(tmp_path)
    write_folds(tmp_path, "cnn2d", "speaker")
    assert {tested for name, tested in drawn(tmp_path) if name == "vocalics"} == {
        ("ravdess", "nemo"),
        ("ravdess",),
    }


# ---- claims ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "gender", "accuracy"),
    [
        ("77.78 % test accuracy", None, 0.7778),
        ("83.2% accuracy, 82.7% F1", None, 0.832),
        ("about 95 % train, 90 % test", None, 0.9),
        ("about 80 % mixed, about 75 % female and male", None, 0.8),
        ("about 80 % mixed, about 75 % female and male", "male", 0.75),
        ("77 % female, 71 % male", "male", 0.71),
        ("80 % accuracy", "female", None),
        ("better than any", None, None),
        (None, None, None),
    ],
)
def test_a_claim_is_what_its_words_say(claim, gender, accuracy):
    assert claimed_accuracy(claim, gender) == (pytest.approx(accuracy) if accuracy else None)


def test_every_bundled_claim_can_be_drawn():
    claims = {name: load_recipe(name).claim for name in list_recipes()}
    assert [name for name, claim in claims.items() if claim and not claimed_accuracy(claim)] == []
    assert claimed_accuracy(claims["cnn1d"], "female") == claimed_accuracy(claims["cnn1d"], "male") == 0.75


# ---- the repository's own --------------------------------------------------------------------------------

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def test_the_repositorys_leaderboard_counts_every_fold_that_is_committed():
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=RESULTS, capture_output=True)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    names = [Path(name) for name in listed.stdout.decode().split("\0")]
    # Deeper lie comparisons with a leaderboard of their own, such as that of docs/leakage.md.
    committed = honest_folds([RESULTS / name for name in names if len(name.parts) == 4])
    lying = honest_folds(RESULTS.glob("*/*/*/fold-*.json"))  # a benchmark may be running
    told = {path.parent: read_result(path)["folds"] for path in RESULTS.glob("*/*/*/summary-*.json")}
    assert {
        system.relative_to(RESULTS).as_posix()
        for system in committed | told
        if not committed.get(system, 0) <= told.get(system, 0) <= lying.get(system, 0)
    } == set(), "docs/results is stale: run docs/make_figures.py"


def honest_folds(paths: Iterable[Path]) -> dict[Path, int]:
    """How many folds of the first seed lie in each system's folder, but for leaks."""
    first = (path for path in paths if path.match("fold-*-seed-0.json"))
    return dict(Counter(path.parent for path in first if not read_result(path).get("leaky")))
