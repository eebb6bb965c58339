"""``vocalics timeline`` as a person calls it."""

import csv
import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from vocalics import audio
from vocalics.cli.screen import show_timeline
from vocalics.errors import AudioError
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_formats import FORMATS

RATE = 16_000
PLAN = ("--window-s", "1", "--hop-s", "0.5")  # the toy model hears one second


@pytest.fixture(scope="module")
def call(clip, tmp_path_factory):
    """A stereo call of 14 s: two sentences on the left, one on the right."""
    soundfile = pytest.importorskip("soundfile")
    sentence = audio.read(clip).mono().samples[0]
    pause = np.zeros(RATE, np.float32)
    left = np.hstack([sentence, pause, np.zeros_like(sentence), pause, sentence, pause])
    right = np.hstack([np.zeros_like(sentence), pause, sentence, pause, np.zeros_like(sentence), pause])
    path = tmp_path_factory.mktemp("call") / "call.flac"
    soundfile.write(path, np.column_stack([left, right]), RATE)
    return path


def test_json_on_stdout_is_the_timeline(command, toy, model, call):
    run = command("timeline", call, "--model", toy, *PLAN)
    assert run.code == 0
    told = json.loads(run.out)
    expected = timeline(call, model, window_s=1.0, hop_s=0.5)
    assert [(one["start_s"], one["end_s"], one["emotion"]) for one in told["segments"]] == [
        (pytest.approx(one.start_s, abs=5e-4), pytest.approx(one.end_s, abs=5e-4), one.emotion)
        for one in expected.segments
    ]
    assert told["error"] is None
    assert run.err == ""


def test_a_model_that_hears_little_at_once_is_asked_for_little(command, toy, call):
    told = json.loads(command("timeline", call, "--model", toy).out)
    assert (told["window_s"], told["hop_s"]) == (1.0, 1.0)
    assert told["segments"]


def test_channels_can_be_split(command, toy, call):
    run = command("timeline", call, "--model", toy, "--channels", "split", "-f", "csv", *PLAN)
    rows = list(csv.DictReader(io.StringIO(run.out, newline="")))
    assert {row["speaker"] for row in rows} == {"channel 1", "channel 2"}
    own = [row for row in rows if row["speaker"] == "channel 2"]
    assert all(4 < float(row["start_s"]) < 9 for row in own)


def test_a_diarization_tells_the_speakers(command, toy, call, tmp_path):
    rttm = tmp_path / "who.rttm"
    rttm.write_text(
        "SPEAKER call 1 0 4 <NA> <NA> ann <NA> <NA>\nSPEAKER call 1 4.2 5 <NA> <NA> bob <NA> <NA>\n"
        "SPEAKER other 1 0 9 <NA> <NA> eve <NA> <NA>\n"
    )
    told = json.loads(command("timeline", call, "--model", toy, "--rttm", rttm, *PLAN).out)
    assert [one["speaker"] for one in told["speakers"]] == ["ann", "bob"]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet", ".TextGrid", ".vtt", ".rttm"])
def test_the_suffix_names_the_format(command, toy, model, call, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"new/call{suffix}"
    run = command("timeline", call, "--model", toy, "-o", path, *PLAN)
    assert (run.code, run.out) == (0, "")
    written = next(known.write for known in FORMATS.values() if known.suffix == suffix)
    expected = written(timeline(str(call), model, window_s=1.0, hop_s=0.5))
    assert path.read_bytes() == (expected if isinstance(expected, bytes) else expected.encode())


def test_a_page_is_written_beside(command, toy, call, tmp_path):
    page = tmp_path / "call.html"
    run = command("timeline", call, "--model", toy, "--html", page, "-f", "audacity", *PLAN)
    assert run.code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(run.out.splitlines()[0].split("\t")) == 3


def test_standard_input_is_heard(command, toy, call):
    run = command("timeline", "-", "--model", toy, *PLAN, stdin=call.read_bytes())
    assert json.loads(run.out)["path"] == "standard input"


def test_a_speaker_can_be_adapted_to_by_recordings(command, toy, call, clips):
    arguments = ("timeline", call, "--model", toy, "--channels", "split", *PLAN)
    plain = json.loads(command(*arguments).out)["segments"]
    adapted = json.loads(command(*arguments, "--adapt", f"channel 1={clips[0]}").out)["segments"]
    changed = {
        one["speaker"]
        for one in adapted
        if one["probabilities"] not in [other["probabilities"] for other in plain]
    }
    assert changed == {"channel 1"}


# What a terminal shows


def drawn(found, width, **options):
    page = io.StringIO()
    show_timeline(found, Console(file=page, width=width, **options))
    return page.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_of_any_width_shows_all_segments(model, call, width):
    found = timeline(call, model, channels="split", window_s=1.0, hop_s=0.5)
    text = drawn(found, width)
    rows = [line for line in text.splitlines() if ":" in line[:8] and "%" in line]
    assert len([row for row in rows if any(label in row for label in model.emotions)]) >= len(found.segments)
    assert max(map(len, text.splitlines()[1:])) <= width
    assert "of speech:" in " ".join(text.split())


def test_silence_is_told_in_words(model):
    found = timeline((np.zeros(2 * RATE), RATE), model, window_s=1.0, hop_s=0.5)
    assert "no speech" in drawn(found, 80)


def test_a_table_can_go_to_a_file(command, toy, call, tmp_path):
    run = command("timeline", call, "--model", toy, "-f", "table", "-o", tmp_path / "call.txt", *PLAN)
    assert run.code == 0
    assert "of speech:" in (tmp_path / "call.txt").read_text()


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("{call}", "-o", "call.xyz"), 2, "names no format"),
        (("{call}", "-o", "{folder}/x.json", "--channels", "left"), 2, "left"),
        (("{call}", "--rttm", "none.rttm"), 2, "no file none.rttm"),
        (("{call}", "--hop-s", "9"), 2, "at most the window"),
        (("{call}", "--adapt", "a.wav", "--adapt", "speaker=b.wav"), 2, "name all or none"),
        (("{call}", "--html", "{folder}"), 2, "is a folder"),
        (("none.wav", *PLAN), 1, "no file none.wav"),
        (("{text}", *PLAN), 1, "not audio"),
    ],
)
def test_what_is_wrong_is_one_sentence(command, toy, call, tmp_path, arguments, code, told):
    text = tmp_path / "notes.txt"
    text.write_text("not audio at all")
    names = {"call": call, "folder": tmp_path, "text": text}
    run = command("timeline", *(one.format(**names) for one in arguments), "--model", toy)
    assert run.code == code
    assert told in run.err
    assert len(run.err.splitlines()) == 1


@pytest.fixture
def breaking(monkeypatch):
    """Recordings whose decoder fails after the first block, of 10 s."""
    whole = audio.blocks

    def broken(*arguments):
        yield next(whole(*arguments))
        raise AudioError("call.flac is damaged after 10 s.")

    monkeypatch.setattr(audio, "blocks", broken)


def test_a_recording_that_breaks_off_is_told_as_far_as_it_goes(command, toy, call, breaking):
    run = command("timeline", call, "--model", toy, *PLAN)
    told = json.loads(run.out)
    assert (run.code, told["error"], told["duration_s"]) == (1, "call.flac is damaged after 10 s.", 10.0)
    assert told["segments"]
    assert run.err == "vocalics: call.flac is damaged after 10 s. What came before it is told.\n"


def test_blocks_before_the_break_are_not_lost(model, call, breaking):
    found = timeline(call, model, window_s=1.0, hop_s=0.5)
    assert found.error == "call.flac is damaged after 10 s."
    assert found.duration_s == 10.0
    assert found.segments


@pytest.mark.slow
@pytest.mark.parametrize("wish", ["SIGINT", "SIGKILL"])
def test_killed_halfway_it_leaves_no_half_written_output(toy, call, tmp_path, wish):
    soundfile = pytest.importorskip("soundfile")
    samples = np.tile(audio.read(call).samples.T, (200, 1))  # 43 minutes
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    out = tmp_path / "out"
    out.mkdir()
    program = "import sys; from vocalics.cli import main; sys.exit(main())"
    command = ["timeline", tmp_path / "long.wav", "--model", toy, *PLAN, "-o", out / "long.json"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, command), "--html", out / "long.html"]
    )
    time.sleep(3)
    assert process.poll() is None  # still at it
    process.send_signal(getattr(signal, wish))
    assert process.wait(timeout=60) != 0
    assert list(out.iterdir()) == []
