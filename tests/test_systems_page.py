"""docs/systems.md: every command on it exists, and every key on it says what the recipe says."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from vocalics.cli import app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/systems.md").read_text()

SYSTEMS = ("cnn-bilstm-attention", "cnn-lstm", "lstm", "cnn1d", "cnn2d")

#: Commands that the page names as not there yet, and options that it names as theirs.
LATER: set[str] = set()
THEIRS = {"--file"}

#: What a key of a recipe starts with.
ROOTS = (
    *("corpora", "emotions", "merge", "sample_rate", "bandwidth_hz", "window_s"),
    *("features", "network", "augmentation", "training", "trainer"),
)


def code_spans(text):
    """Code within lines, in order; blocks of code are none."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def code_lines(text):
    """Lines of the blocks of shell, but for empty ones."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def section(name):
    return re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


@cache
def program():
    return typer.main.get_command(app)


def commands():
    return program().commands


def command_of(words):
    """Command that words lead to, its name, and the words that are left for it."""
    name, command = "vocalics", program()
    while isinstance(command, TyperGroup) and words:
        name, *words = words
        assert name in command.commands, f"there is no command '{name}'"
        command = command.commands[name]
    return command, name, words


def parse(line):
    """Parse a call as the program does, without running it; raises where the program would refuse it."""
    called, *words = shlex.split(line)
    assert called == "vocalics"
    command, name, words = command_of(words)
    return name, command.make_context(name, words).params


def names_a_recipe(params):
    """Recipes that a parsed call names, without the placeholder of the text."""
    named = params.get("recipes") or [params.get("recipe")]
    return [name for name in named if name not in (None, "RECIPE")]


CALLS = [span for span in code_spans(PAGE) if span.startswith("vocalics ") and span.split()[1] not in LATER]
OPTIONS = [span for span in code_spans(PAGE) if span.startswith("--") and span not in THEIRS]


# Commands


def test_every_block_of_code_is_shell():
    assert set(re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)) == {"sh", ""}  # opened as sh, closed as nothing


@pytest.mark.parametrize("line", code_lines(PAGE))
def test_every_line_of_shell_is_a_call_that_the_program_takes(line):
    parse(line)


@pytest.mark.parametrize("span", CALLS)
def test_every_call_in_the_text_is_one_that_the_program_takes(span):
    _, _, words = command_of(span.split()[1:])
    if words:  # else the text speaks of the command, and calls nothing
        parse(span)


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_is_not_there_yet_is_said_to_come_later(name):
    assert name not in commands(), f"'vocalics {name}' is there now: map it in docs/systems.md"
    assert f"comes later, as `vocalics {name}`" in PAGE


@pytest.mark.parametrize("span", OPTIONS)
def test_every_option_that_the_text_names_is_there(span):
    known = {name for command in commands().values() for one in command.params for name in one.opts}
    assert span.split()[0] in known


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_is_trained_measured_and_asked_by_its_own_commands(system):
    calls = [parse(line) for line in code_lines(section(system))]
    runs = [f"runs/{system}", f"runs/{system}/model.onnx"]
    trained = [params for name, params in calls if name == "train"]
    assert trained[0]["recipe"] == system
    assert str(trained[0]["output"]) == runs[0]
    assert any(params["model"].startswith(runs[0]) for name, params in calls if name == "evaluate")
    assert any(params["model"] == runs[1] for name, params in calls if name == "predict")


def test_every_recipe_and_setting_in_the_commands_is_known():
    pytest.importorskip("torch", reason="recipes are of the lab")
    from vocalics.lab.recipes import load_recipe

    named = set()
    for line in (*code_lines(PAGE), *(span for span in CALLS if command_of(span.split()[1:])[2])):
        _, params = parse(line)
        for recipe in names_a_recipe(params):
            load_recipe(recipe, params["settings"] or [])
            named.add(recipe)
    assert named == set(SYSTEMS)
    for span in OPTIONS:
        if span.startswith("--set ") and span != "--set KEY=VALUE":
            load_recipe("lstm", [span.removeprefix("--set ")])


# Recipes


def look_up(recipe, key):
    """Value at a dotted key, None where there is none; an entry of the feature stack goes by its name."""
    value = recipe.model_dump(mode="json")
    for part in key.split("."):
        if isinstance(value, list):
            value = {entry["name"]: entry for entry in value}
        value = value.get(part)
        if value is None:
            break
    return value


def keys_in(system):
    """Keys of a recipe that a system's section names, each with the value told, or None."""
    spans = (span for span in code_spans(section(system)) if re.split(r"[.:]", span)[0] in ROOTS)
    return [(key, told if colon else None) for key, colon, told in (span.partition(":") for span in spans)]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_key_is_in_the_recipe_and_has_the_value_that_the_page_gives(system):
    pytest.importorskip("torch", reason="recipes are of the lab")
    import yaml

    from vocalics.lab.recipes import load_recipe

    recipe, keys = load_recipe(system), keys_in(system)
    told = {key: yaml.safe_load(value) for key, value in keys if value is not None}
    assert {key: look_up(recipe, key) for key in told} == told
    assert [key for key, value in keys if value is None and not look_up(recipe, key)] == []  # none is off


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_page_names_every_feature_and_every_change_of_the_recipe(system):
    pytest.importorskip("torch", reason="recipes are of the lab")
    from vocalics.lab.recipes import load_recipe

    recipe, named = load_recipe(system), {key for key, _ in keys_in(system)}
    features = {part.name for part in recipe.features.stack}
    assert features == {key.split(".")[2] for key in named if key.startswith("features.stack.")}
    changes = recipe.augmentation.model_dump(exclude_defaults=True)
    how_often = {name for name in changes if name == "copies" or name.endswith("_probability")}
    assert set(changes) - how_often <= {key.removeprefix("augmentation.") for key in named}


# Links


def test_the_readme_links_to_the_page():
    assert "](docs/systems.md)" in (ROOT / "README.md").read_text()


def test_every_link_leads_somewhere():
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
