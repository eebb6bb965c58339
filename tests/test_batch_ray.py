"""The same archive on Ray: the same parts, a quiet terminal, and nothing left running."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

import archives
from vocalics.recognition.batch import batch

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray comes with the extra 'ray'")

PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"
PART_SIZE = 5


@pytest.fixture(scope="module")
def calls(tmp_path_factory, clip):
    """The archive's folder."""
    folder = tmp_path_factory.mktemp("archive") / "calls"
    archives.make(folder, clip)
    return folder


@pytest.fixture(scope="module")
def expected(calls, toy, tmp_path_factory):
    """What the other engine writes."""
    output = tmp_path_factory.mktemp("expected") / "rows"
    batch(calls, output, toy, part_size=PART_SIZE, format="jsonl", workers=1)
    return archives.parts(output)


def on_ray(*arguments, mark):
    """Run the command in a process of its own, since Ray fills the one that it is started in."""
    name, _, value = mark.partition("=")
    asked = [sys.executable, "-c", PROGRAM, "batch", *arguments, "--engine", "ray"]
    return subprocess.run(
        list(map(str, asked)), capture_output=True, text=True, env=os.environ | {name: value}
    )


@needs_ray
@pytest.mark.slow
def test_ray_writes_the_same_parts_and_says_no_more_than_the_other_engine(calls, toy, tmp_path, expected):
    mark = f"VOCALICS_TEST={tmp_path}"
    asked = (calls, "-m", toy, "-o", tmp_path / "rows", "--part-size", PART_SIZE, "-f", "jsonl", "-j", 2)
    done = on_ray(*asked, mark=mark)
    assert done.returncode == 1, done.stderr  # some recordings cannot be used
    assert archives.parts(tmp_path / "rows") == expected
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if not line.startswith("vocalics: ")] == []
    assert not archives.workers_of(mark)


@needs_ray
@pytest.mark.slow
def test_a_model_that_is_not_the_same_on_every_machine_ends_the_run_with_a_sentence(calls, toy, tmp_path):
    """Another machine may have another file under the same name; here it changes behind the run's back."""
    model = shutil.copy(toy, tmp_path / "toy.onnx")
    program = f"""
import sys
from pathlib import Path
from vocalics.recognition.batch import request
begin = request.begin
def begin_and_change(*arguments):
    record = begin(*arguments)
    with Path({str(model)!r}).open("ab") as file:
        file.write(b"\\x5a\\x00")  # an empty field that nobody knows
    return record
request.begin = begin_and_change
from vocalics.cli import main
sys.exit(main())
"""
    asked = [sys.executable, "-c", program, "batch", calls, "-m", model, "-o", tmp_path / "rows"]
    done = subprocess.run([*map(str, asked), "--engine", "ray", "-j", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"vocalics: the model file {model} is not the one that the run began with")


def test_without_ray_the_engine_is_refused_with_what_to_install(calls, toy, tmp_path, command, monkeypatch):
    for module in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, module, None)
    done = command("batch", calls, "-m", toy, "-o", tmp_path / "rows", "--engine", "ray")
    assert done.code == 2
    assert done.err == (
        "vocalics: the engine 'ray' needs Ray, which is not installed: pip install 'vocalics[ray]'\n"
    )
