"""The README's tables: made from results, and honest about what is missing."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from made_folds import write_folds
from vocalics.lab.leaderboard import write_leaderboard
from vocalics.lab.recipes import list_recipes, load_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script docs/make_figures.py."""
    spec = importlib.util.spec_from_file_location("make_figures", ROOT / "docs/make_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_of(table: str) -> dict[str, list[str]]:
    """Cells of a table's lines by the first one."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: [*cells] for name, *cells in lines}


def systems(maker: ModuleType, results: Path) -> dict[str, list[str]]:
    write_leaderboard(results)
    return lines_of(maker.systems(results))


def test_a_system_that_is_not_measured_is_to_come_and_says_what_it_is(maker, tmp_path):
    lines = systems(maker, tmp_path)
    claimed = [load_recipe(name) for name in list_recipes() if load_recipe(name).claim]
    for recipe in claimed:
        what, _, claim, *figures = lines[f"`{recipe.name}`"]
        assert what == recipe.description.rstrip(".")
        assert claim == recipe.claim
        assert figures == ["to come"] * 4
    assert "`vocalics`" not in lines  # it claims nothing
    assert "leaderboard.svg" not in maker.systems(tmp_path)


def test_what_one_should_know_of_a_claim_stands_beside_it(maker, tmp_path):
    lines = systems(maker, tmp_path)
    assert "unnamed; ours is RAVDESS" in lines["`lstm`"][2]
    assert "nEMO in the place of CREMA-D" in lines["`cnn1d`"][0]
    assert "on validation; ours is on test" in lines["`cnn2d`"][2]


def test_a_measured_system_has_both_protocols_with_their_intervals(maker, tmp_path):
    write_folds(tmp_path, "cnn2d", "random", right=1.0)
    write_folds(tmp_path, "cnn2d", "speaker", right={"female": 1.0, "male": 0.5})
    *_, random, random_uar, speaker, speaker_uar = systems(maker, tmp_path)["`cnn2d`"]
    assert random == random_uar == "100.0 (100.0 to 100.0)"
    assert speaker == speaker_uar
    assert speaker.startswith("75.0 (6")  # six speakers at 1.0, six at 0.5: a deviation of 7 points
    assert "![Claim, random and speaker, side by side](docs/results/leaderboard.svg)" in maker.systems(
        tmp_path
    )


def test_some_folds_do_not_look_like_all(maker, tmp_path):
    write_folds(tmp_path, "cnn2d", "random", folds=[1, 3, 4])
    assert systems(maker, tmp_path)["`cnn2d`"][-4:] == ["3 of 5 folds: 75.0"] * 2 + ["to come"] * 2


def test_models_of_one_gender_have_lines_of_their_own_with_their_own_claim(maker, tmp_path):
    write_folds(tmp_path, "cnn1d", gender="female", right=0.5)
    lines = systems(maker, tmp_path)
    assert lines["`cnn1d`"][-4:] == ["to come"] * 4
    assert lines["`cnn1d`, female"] == [
        "the same",
        "the female speakers of these",
        "75 %",
        *["50.0 (50.0 to 50.0)"] * 2,
        *["to come"] * 2,
    ]
    assert lines["`cnn1d`, male"][2:] == ["75 %", *["to come"] * 4]
    assert "`cnn2d`, female" not in lines  # neither claimed nor measured


def test_figures_on_other_corpora_are_not_those_of_the_recipe(maker, tmp_path):
    write_folds(tmp_path, "cnn2d", "random", changes={"corpora": ["tess"]})
    assert systems(maker, tmp_path)["`cnn2d`"][-4:] == ["to come"] * 4


def test_a_plus_variant_stands_below_its_recipe(maker, monkeypatch):
    names = ["cnn1d", "cnn2d", "cnn-lstm-plus", "cnn-lstm", "cnn2d-plus", "lstm"]
    made = {name: load_recipe(name.removesuffix("-plus")).model_copy(update={"name": name}) for name in names}
    monkeypatch.setattr(maker, "list_recipes", lambda: made)
    monkeypatch.setattr(maker, "load_recipe", made.get)
    told = [recipe.name for recipe in maker.published_recipes()]
    assert told == ["cnn-lstm", "cnn-lstm-plus", "cnn1d", "cnn2d", "cnn2d-plus", "lstm"]


def test_deliberate_leaks_do_not_reach_the_readme(maker, tmp_path):
    write_folds(tmp_path, "cnn2d", "random", right=1.0, leaky=True)
    write_folds(tmp_path, "vocalics", "speaker", right=1.0, leaky=True)
    assert systems(maker, tmp_path)["`cnn2d`"][-4:] == ["to come"] * 4
    assert "100.0" not in maker.figures(tmp_path)


def test_the_bundled_models_table_holds_no_other_recipe(maker, tmp_path):
    write_folds(tmp_path, "cnn2d", "speaker", right=1.0)
    write_folds(tmp_path, "vocalics", "speaker", folds=[1, 2], right=0.5)
    write_leaderboard(tmp_path)
    told = maker.figures(tmp_path)
    assert "100.0" not in told
    assert "RAVDESS, 8 emotions (trained on RAVDESS and nEMO, 2 of 6 folds)" in lines_of(told)


def test_only_what_stands_between_the_marks_is_made_anew(maker, tmp_path):
    write_leaderboard(tmp_path)
    marks = [f"<!-- {name}: x -->\nold {name}\n<!-- end of {name} -->" for name in ("figures", "systems")]
    readme = maker.with_figures(f"before\n{marks[0]}\nbetween\n{marks[1]}\nafter\n", tmp_path)
    assert "old figures" not in readme
    assert "old systems" not in readme
    assert readme.startswith("before\n<!-- figures: x -->\nSpeakers never heard")
    assert "<!-- end of figures -->\nbetween\n<!-- systems: x -->\n| recipe |" in readme
    assert readme.endswith("<!-- end of systems -->\nafter\n")
    assert maker.with_figures(readme, tmp_path) == readme
