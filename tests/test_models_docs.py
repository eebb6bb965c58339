"""docs/models.md and docs/encoders.md: every command on them is taken, and every size is the arithmetic's."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from vocalics.cli import app
from vocalics.recognition.hub import HubName

ROOT = Path(__file__).parents[1]
MODELS = (ROOT / "docs/models.md").read_text()
ENCODERS = (ROOT / "docs/encoders.md").read_text()

#: Layers and width of the encoders in the table, as their papers and settings say.
SIZES = {"wav2vec2-base": (12, 768), "hubert-large-ll60k": (24, 1024), "wavlm-large": (24, 1024)}
SIZES |= {"data2vec-audio-large": (24, 1024), "whisper-large-v3": (32, 1280)}

#: Of RAVDESS's speech: 1,440 clips of 3.7 s on average.
RAVDESS_S = 1_440 * 3.7


def shell_lines(page):
    """Lines of the blocks of shell that call vocalics."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("vocalics ")]


def parse(line):
    """Parse a call as the program does, without running it."""
    _, *words = shlex.split(line, comments=True)
    name, command = "vocalics", typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        name, *words = words
        command = command.commands[name]
    return name, command.make_context(name, words).params


@pytest.mark.parametrize("line", shell_lines(MODELS) + shell_lines(ENCODERS))
def test_every_line_of_shell_is_a_call_that_the_program_takes(line):
    parse(line)


def test_every_name_on_the_hub_is_one():
    names = re.findall(r"hf://[\w./@%-]+", MODELS)
    assert len(names) > 5
    for name in names:
        HubName.parse(name.replace("@REVISION/FILE.onnx", "@v1/small.onnx"))


@pytest.mark.parametrize("line", [line for line in shell_lines(ENCODERS) if " encoder " in line])
def test_every_setting_is_one_of_the_recipe(line):
    pytest.importorskip("torch", reason="recipes are of the lab")
    from vocalics.lab.networks import NETWORKS, build_network
    from vocalics.lab.recipes import load_recipe

    _, params = parse(line)
    recipe = load_recipe("encoder", params["settings"])
    assert recipe.encoder.source
    build_network(recipe.network.name, 768, recipe.network.parameters)
    if recipe.training.crop_s is None:
        assert NETWORKS[recipe.network.name].hears_lengths


def test_the_defaults_that_the_text_names_are_those_of_the_recipe():
    pytest.importorskip("torch", reason="recipes are of the lab")
    from vocalics.lab.recipes import load_recipe

    encoder = load_recipe("encoder", ["encoder.source=a/b"]).encoder
    assert f"`encoder.learning_rate` ({encoder.learning_rate:.5f})" in ENCODERS
    assert f"`encoder.layer_decay` ({encoder.layer_decay})" in ENCODERS


def test_the_families_in_the_table_are_those_that_are_known():
    pytest.importorskip("torch", reason="encoders are of the lab")
    from vocalics.lab.encoders import FAMILIES

    rows = re.findall(r"^\| `([\w-]+)` \| `[\w-]+/[\w.-]+` \|", ENCODERS, re.MULTILINE)
    assert rows == list(FAMILIES)


def test_the_sizes_in_the_table_are_the_arithmetic_s():
    rows = re.findall(
        r"^\| `[\w-]+` \| `[\w-]+/([\w.-]+)` \| ([\d,]+), (\d+) \| .*? \| ([\d.]+) GB \| ([\d.]+) GB \|$",
        ENCODERS,
        re.MULTILINE,
    )
    assert {name: (int(layers), int(width.replace(",", ""))) for name, width, layers, *_ in rows} == SIZES
    for name, *_, hour, ravdess in rows:
        layers, width = SIZES[name]
        bytes_a_second = 50 * 2 * width * (layers + 1)
        assert float(hour) == pytest.approx(3_600 * bytes_a_second / 1e9, rel=0.03)  # two digits
        assert float(ravdess) == pytest.approx(RAVDESS_S * bytes_a_second / 1e9, rel=0.03)


def test_the_pages_name_the_limit_of_one_file():
    pytest.importorskip("onnx", reason="models are written in the lab")
    from vocalics.lab.parted_models import LARGEST_WITHIN

    limit = f"{LARGEST_WITHIN / 1e9:g} GB"
    assert limit in MODELS
    assert limit in ENCODERS
