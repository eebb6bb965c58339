"""Runs that are killed, stopped and resumed, as processes of their own."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import archives
from vocalics.recognition.formats import predictions_to_jsonl

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found and ended as on Linux"
)

PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"
PART_SIZE = 4
PATIENCE_S = 240  # a loaded machine is slow; nothing here waits so long otherwise


@pytest.fixture
def calls(tmp_path, clip):
    """An archive whose last recording is a pipe that nobody writes to, so that no run ends by itself."""
    archives.make(tmp_path / "calls", clip)
    os.mkfifo(tmp_path / "calls" / "z.wav")
    return tmp_path / "calls"


@pytest.fixture
def asked(calls, toy, tmp_path):
    """What is asked of every run."""
    return ["batch", calls, "-m", toy, "-o", tmp_path / "rows", "--part-size", PART_SIZE, "-f", "jsonl"]


@pytest.fixture
def start(asked, tmp_path):
    """Start a run, or go on with it; returns the process and what its environment is marked with."""
    running = []

    def begin(*more):
        mark = f"VOCALICS_TEST={tmp_path}/{len(running)}"
        name, _, value = mark.partition("=")
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, asked), "-j", "2", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {name: value},
        )
        running.append(process)
        return process, mark

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def finish(asked, calls, clip, tmp_path, command):
    """Put a recording in the place of the pipe and go on to the end; returns the rows."""

    def go_on():
        (calls / "z.wav").unlink()
        shutil.copy(clip, calls / "z.wav")
        assert command(*asked, "-j", 1, "--resume").code == 1  # some recordings cannot be used
        return archives.rows(tmp_path / "rows")

    return go_on


def expected(calls, model):
    """The rows by another way."""
    names = sorted(str(path) for path in calls.rglob("*.*") if path.is_file())
    return "".join(predictions_to_jsonl(model.predict(names))).encode()


def wait_for(something):
    """Wait until a call is true, and return what it says."""
    until = time.monotonic() + PATIENCE_S
    while not (found := something()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_is_killed_and_when_no_row_is_lost_and_none_comes_twice(
    start, finish, calls, model, tmp_path, seed
):
    rng = random.Random(seed)
    rows = tmp_path / "rows"
    for attempt in range(2):
        process, mark = start(*(["--resume"] if attempt else []))
        n_parts = rng.randrange(3)
        wait_for(lambda n_parts=n_parts: len(list(rows.glob("part-*"))) >= n_parts)
        if rng.random() < 0.7 and (workers := archives.workers_of(mark)):
            os.kill(rng.choice(sorted(workers)), signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
        wait_for(lambda mark=mark: not archives.workers_of(mark))  # nobody outlives the run
    assert finish() == expected(calls, model)


@pytest.mark.parametrize(("wish", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_run_that_is_stopped_says_how_to_go_on(start, finish, calls, model, tmp_path, wish, code):
    process, mark = start()
    rows = tmp_path / "rows"
    n_whole = 23 // PART_SIZE  # all parts but the one that waits for the pipe
    wait_for(lambda: len(list(rows.glob("part-*"))) == n_whole)
    process.send_signal(signal.Signals[wish])
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert out == b""
    assert err.decode() == "vocalics: stopped; the same call with --resume goes on from here.\n"
    wait_for(lambda: not archives.workers_of(mark))
    before = {path: path.stat() for path in rows.glob("part-*")}
    assert finish() == expected(calls, model)
    assert {path: path.stat().st_mtime_ns for path in before} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


def test_a_run_that_is_killed_while_it_lists_leaves_nothing_that_hinders(
    start, finish, calls, model, tmp_path
):
    process, _ = start()
    wait_for(lambda: (tmp_path / "rows" / "_run" / "lock").exists())
    process.kill()
    process.wait()
    process, _ = start("--resume")
    wait_for(lambda: (tmp_path / "rows" / "part-00000.jsonl").exists())
    process.kill()
    process.wait()
    assert finish() == expected(calls, model)
    record = json.loads((tmp_path / "rows" / "_run" / "run.json").read_text())
    assert record["recordings"] == 24
