"""What people install: the wheel holds the model and its licence, and nothing of nobody's business."""

import email
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/vocalics"
AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("build", "hatchling")),
        reason="build and hatchling come with the extra 'dev'",
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    return set(wheel.namelist())


def test_the_wheel_holds_the_model_byte_for_byte(wheel):
    assert wheel.read("vocalics/models/vocalics.onnx") == (SOURCE / "models/vocalics.onnx").read_bytes()


def test_the_wheel_holds_both_licences(wheel, names):
    assert "vocalics/models/MODEL_LICENSE" in names
    (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    fields = email.message_from_bytes(wheel.read(metadata))
    assert fields["License-Expression"] == "MIT AND CC-BY-NC-SA-4.0"
    assert fields.get_all("License-File") == ["LICENSE", "src/vocalics/models/MODEL_LICENSE"]


def test_the_wheel_holds_the_package_whole_and_nothing_else(names):
    written = {path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in written}


@pytest.mark.parametrize(
    "name", ["py.typed", "lab/recipes/vocalics.yaml", "lab/corpora/cremad_files.csv.gz", "cli/__init__.py"]
)
def test_the_wheel_holds_what_is_read_at_run_time(names, name):
    assert f"vocalics/{name}" in names


def test_the_wheel_holds_no_sound_but_the_pages_examples_and_no_tests(names):
    sounds = {Path(name).parent.as_posix() for name in names if name.lower().endswith(AUDIO)}
    assert sounds == {"vocalics/app/examples"}
    assert [name for name in names if "test" in Path(name).name] == []


def test_the_wheel_installs_the_command(wheel, names):
    (entry_points,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
    assert "vocalics = vocalics.cli:main" in wheel.read(entry_points).decode()
