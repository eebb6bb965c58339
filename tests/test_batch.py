"""An archive of recordings: whatever happens to the run, the rows are the same."""

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import archives
from vocalics.errors import ModelError, UsageError, VocalicsError
from vocalics.recognition.batch import batch, processes, request, run, worker
from vocalics.recognition.batch import folder as folders
from vocalics.recognition.batch.task import Listener, Task, model_digest
from vocalics.recognition.formats import predictions_to_jsonl
from vocalics.recognition.timeline import timeline

N_PARTS = 5  # of five recordings each, the last of three
PART_SIZE = 5


@pytest.fixture(scope="module")
def names(tmp_path_factory, clip):
    """The archive's recordings, sorted."""
    return archives.make(tmp_path_factory.mktemp("archive") / "calls", clip)


@pytest.fixture(scope="module")
def calls(names):
    """The archive's folder."""
    return os.path.commonpath(names)


@pytest.fixture(scope="module")
def expected(names, model):
    """The rows by another way: `Model.predict` in this process, and the writer of ``predict``."""
    return "".join(predictions_to_jsonl(model.predict(names))).encode()


@pytest.fixture(scope="module")
def done(tmp_path_factory, calls, toy):
    """A finished run in JSON Lines; read it, and never write into it."""
    output = tmp_path_factory.mktemp("done") / "rows"
    batch(calls, output, toy, workers=1, part_size=PART_SIZE, format="jsonl")
    return output


@pytest.fixture
def copy(done, tmp_path):
    """The same run, to be harmed."""
    return shutil.copytree(done, tmp_path / "copy")


@pytest.fixture
def started(monkeypatch):
    """The worker processes that a test has started, in order."""
    found = []

    class Watched(processes._Worker):
        def __init__(self, *args):
            super().__init__(*args)
            found.append(self.process)

    monkeypatch.setattr(processes, "_Worker", Watched)
    return found


# What is written


def test_the_rows_are_those_of_predict_in_the_order_of_the_names(done, expected):
    assert archives.rows(done) == expected
    assert list(archives.parts(done)) == [f"part-0000{number}.jsonl" for number in range(N_PARTS)]


def test_two_workers_write_the_same_parts_as_one(done, calls, toy, tmp_path, started):
    batch(calls, tmp_path / "two", toy, workers=2, part_size=PART_SIZE, format="jsonl")
    assert archives.parts(tmp_path / "two") == archives.parts(done)
    assert len(started) == 2


def test_parquet_holds_the_same_rows_in_typed_columns(done, calls, toy, tmp_path, model):
    pq = pytest.importorskip("pyarrow.parquet")
    batch(calls, tmp_path / "table", toy, part_size=PART_SIZE, format="parquet")
    found = []
    for row in pq.read_table(tmp_path / "table").to_pylist():  # the whole folder: its record is passed over
        probabilities = {emotion: row.pop(emotion) for emotion in model.emotions}
        found.append(row | {"probabilities": {} if row["emotion"] is None else probabilities})
    told = [json.loads(line) for line in archives.rows(done).splitlines()]
    assert [dict(sorted(row.items())) for row in found] == [dict(sorted(row.items())) for row in told]
    schema = pq.read_schema(tmp_path / "table" / "part-00000.parquet")
    assert str(schema.field("happy").type) == "double"
    assert schema.metadata[b"vocalics.model"] == b"toy"


def test_a_summary_counts_what_the_rows_say(done, calls, toy, expected):
    summary = batch(calls, done, toy, resume=True)  # all is there, so nothing is heard again
    told = [json.loads(line) for line in expected.splitlines()]
    assert (summary.recordings, summary.rows, summary.parts) == (len(told), len(told), N_PARTS)
    assert summary.failed == sum(row["error"] is not None for row in told) == archives.BAD
    assert summary.no_speech == sum(row["reason"] == "no speech" for row in told) == archives.SILENT
    assert summary.heard == 0
    emotions = [row["emotion"] for row in told if row["emotion"]]
    assert summary.emotions == {
        emotion: emotions.count(emotion) / len(emotions) for emotion in summary.emotions
    }
    assert sum(summary.emotions.values()) == pytest.approx(1)  # rounding
    # Too short, silent and good ones have a length, to a millisecond; 0.1 + 1.0 + 19 * 1.2 seconds.
    assert summary.audio_s == pytest.approx(23.9, abs=1e-9)
    assert sorted(reason.partition(" ")[0] for reason in summary.reasons) == ["...", "...", "..."]
    assert "... is empty (# bytes); record or download it again." in summary.reasons


def test_a_timeline_has_a_row_for_each_segment_and_one_where_there_is_none(
    toy, model, calls, names, tmp_path
):
    batch(calls, tmp_path / "rows", toy, timeline=True, window_s=0.5, hop_s=0.25, format="jsonl")
    told = [json.loads(line) for line in archives.rows(tmp_path / "rows").splitlines()]
    assert list(dict.fromkeys(row["path"] for row in told)) == names
    for name in names:
        own = [row for row in told if row["path"] == name]
        if own[0]["error"] is None and own[0]["reason"] != "no speech":
            found = timeline(name, model, window_s=0.5, hop_s=0.25)
            assert [(row["start_s"], row["end_s"], row["emotion"], row["speaker"]) for row in own] == [
                (round(one.start_s, 3), round(one.end_s, 3), one.emotion, one.speaker)
                for one in found.segments
            ]
        else:
            (row,) = own
            assert (row["emotion"], row["start_s"], row["end_s"], row["speaker"]) == (None, None, None, None)


def test_a_timeline_that_breaks_off_tells_what_came_before_and_why(toy, model, clip, monkeypatch):
    found = timeline(clip, model)
    monkeypatch.setattr(
        "vocalics.recognition.batch.task.timeline", lambda *_, **__: replace(found, error="it broke off.")
    )
    heard = Listener(Task(str(toy), model_digest(toy), timeline=True)).hear(str(clip))
    told = [json.loads(row) for row in heard.rows]
    assert [row["error"] for row in told] == [None] * len(found.segments) + ["it broke off."]
    assert heard.failed
    assert told[-1]["emotion"] is None


def test_a_name_that_is_not_unicode_is_kept(toy, clip, tmp_path):
    (tmp_path / "calls").mkdir()
    try:
        shutil.copy(clip, os.fsencode(tmp_path / "calls") + b"/caf\xe9.wav")
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    batch(tmp_path / "calls", tmp_path / "rows", toy, format="jsonl")
    (row,) = [json.loads(line) for line in archives.rows(tmp_path / "rows").splitlines()]
    assert (row["path"], row["error"]) == (f"{tmp_path}/calls/caf\udce9.wav", None)
    pq = pytest.importorskip("pyarrow.parquet")
    batch(tmp_path / "calls", tmp_path / "table", toy, format="parquet")
    assert pq.read_table(tmp_path / "table")["path"].to_pylist() == [f"{tmp_path}/calls/caf\\udce9.wav"]


# Workers that die


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_worker_that_is_killed_costs_no_row(done, calls, toy, tmp_path, started):
    def kill(now):
        if now.heard == 7:
            os.kill(started[0].pid, signal.SIGKILL)

    batch(calls, tmp_path / "rows", toy, workers=1, part_size=PART_SIZE, format="jsonl", progress=kill)
    assert archives.parts(tmp_path / "rows") == archives.parts(done)
    assert len(started) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe with a name stands for a recording that hangs")
def test_a_recording_that_takes_too_long_is_an_error_and_the_others_are_heard(toy, clip, tmp_path):
    (tmp_path / "calls").mkdir()
    os.mkfifo(tmp_path / "calls" / "hangs.wav")  # to open it is to wait for somebody who writes
    batch(tmp_path / "calls", tmp_path / "rows", toy, max_work_s=0.5, format="jsonl")
    (row,) = [json.loads(line) for line in archives.rows(tmp_path / "rows").splitlines()]
    assert row["error"] == (
        f"{tmp_path}/calls/hangs.wav takes longer than the 0.5 s that one recording is granted; cut it up, "
        "or raise max_work_s."
    )


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """URLs of ``deadly://`` end the process that fetches them; those of ``live://`` are the example."""
    pytest.importorskip("fsspec", reason="recordings that kill are made with fsspec")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        """
import os, signal
import fsspec
from fsspec.implementations.local import LocalFileSystem

class Deadly(LocalFileSystem):
    protocol = "deadly"
    def cat_file(self, path, start=None, end=None, **kwargs):
        os.kill(os.getpid(), signal.SIGSEGV)

fsspec.register_implementation("deadly", Deadly)
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_recording_that_kills_every_worker_becomes_an_error_and_takes_nobody_along(
    deadly, toy, names, model, tmp_path, started
):
    good = [name for name in names if name.endswith(".flac")]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*good, "deadly://call.wav"]))
    batch(listed, tmp_path / "rows", toy, workers=1, format="jsonl")
    told = [json.loads(line) for line in archives.rows(tmp_path / "rows").splitlines()]
    assert [row["path"] for row in told] == [*good, "deadly://call.wav"]
    assert told[-1]["error"] == (
        "deadly://call.wav made the process that heard it end (SIGSEGV), and the next ones too; export it "
        "again."
    )
    answers = "".join(predictions_to_jsonl(model.predict(good))).splitlines()
    assert told[:-1] == [json.loads(line) for line in answers]
    # The first in company of what waits for it, two more alone, and one that hears the rest.
    assert len(started) <= 2 + processes.MOST_DEATHS


def test_workers_that_cannot_begin_end_the_run_with_a_sentence(calls, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(processes.sys, "executable", shutil.which("false") or pytest.skip("no 'false' here"))
    with pytest.raises(
        VocalicsError, match=r"the workers end before they have begun .* exit code 1.*fewer workers"
    ):
        batch(calls, tmp_path / "rows", toy)


# Runs that are stopped, and go on


def test_a_finished_part_is_never_touched_again(copy, calls, toy, done):
    (copy / "part-00001.jsonl").unlink()
    before = {path: path.stat() for path in copy.glob("part-*")}
    summary = batch(calls, copy, toy, resume=True)
    assert summary.heard == PART_SIZE
    assert {path: path.stat() for path in before} == before  # not even read times: nobody read them
    assert archives.parts(copy) == archives.parts(done)


def test_a_part_without_its_line_and_a_line_that_broke_off_are_made_again(copy, calls, toy, done):
    journal = copy / "_run" / "parts.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])  # as a power cut may leave it
    (copy / ".part-00004.jsonl.x.part").write_bytes(b"half")
    summary = batch(calls, copy, toy, resume=True)
    assert summary.heard == 3  # the last part
    assert archives.parts(copy) == archives.parts(done)
    assert [json.loads(line)["part"] for line in journal.read_text().splitlines()[-1:]] == [4]
    assert not list(copy.glob(".*"))


def test_a_full_disk_is_told_and_the_run_goes_on_from_there(done, calls, toy, tmp_path, command, monkeypatch):
    write, written = folders.write_atomically, []

    def write_until_full(path, data):
        if len(written) == 3:  # the record and two parts
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        write(path, data)

    asked = ("batch", calls, "-m", toy, "-o", tmp_path / "rows", "--part-size", PART_SIZE, "-f", "jsonl")
    monkeypatch.setattr(folders, "write_atomically", write_until_full)
    stopped = command(*asked)
    assert stopped.code == 2
    assert stopped.err == (
        f"vocalics: the folder '{tmp_path}/rows' cannot be written to: No space left on device; make that "
        "good and resume the run (--resume), or name another folder.\n"
    )
    monkeypatch.undo()
    assert command(*asked, "--resume").code == 1  # some recordings cannot be used
    assert archives.parts(tmp_path / "rows") == archives.parts(done)


def test_a_run_goes_on_without_being_told_again_what_it_was_asked(copy, done):
    (copy / "part-00002.jsonl").unlink()
    batch([], copy, resume=True)
    assert archives.parts(copy) == archives.parts(done)


def test_a_run_that_was_killed_while_it_listed_begins_anew(done, calls, toy, tmp_path):
    (tmp_path / "rows" / "_run").mkdir(parents=True)
    batch(calls, tmp_path / "rows", toy, part_size=PART_SIZE, format="jsonl", resume=True)
    assert archives.parts(tmp_path / "rows") == archives.parts(done)


def test_a_folder_that_is_not_empty_is_refused(copy, calls, toy, tmp_path):
    with pytest.raises(UsageError, match=r"is not empty; name a new one, go on with its run by .*--resume"):
        batch(calls, copy, toy)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").touch()
    with pytest.raises(UsageError, match="is not empty; name a new one, or empty it"):
        batch(calls, tmp_path / "else", toy)
    with pytest.raises(UsageError, match="holds no run to be resumed"):
        batch(calls, tmp_path / "else", toy, resume=True)


def test_what_differs_from_the_run_that_is_resumed_is_told(copy, calls, names, toy, tmp_path, clip):
    other = tmp_path / "other.onnx"
    other.write_bytes(toy.read_bytes() + b"\x5a\x00")  # an empty field that nobody knows
    more = tmp_path / "more.wav"
    shutil.copy(clip, more)
    with pytest.raises(UsageError) as told:
        batch([*names[1:], more], copy, other, part_size=6, abstain_below=0.5, resume=True)
    sentence = str(told.value)
    assert sentence.startswith(f"the run in '{copy}' cannot be resumed so: ")
    for difference in (
        "part_size was 5 and is 6 now",
        "abstain_below was None and is 0.5 now",
        "the model was 'toy' (SHA-256 ",
        f"1 of the recordings is not named now ({names[0]})",
        f"1 of the recordings is new ({more})",
    ):
        assert difference in sentence
    assert not list((copy / "_run").glob("*now*"))


def test_two_runs_do_not_work_in_one_folder(copy, calls, toy):
    pytest.importorskip("fcntl")
    with (
        folders.open_folder(copy, resume=True),
        pytest.raises(UsageError, match="another run works in"),
    ):
        batch(calls, copy, toy, resume=True)


def test_a_run_whose_record_is_damaged_is_refused(copy):
    (copy / "_run" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"run\.json' does not tell what its run was asked for"):
        batch([], copy, resume=True)


# Calls that are wrong


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"engine": "spark"}, "there is no engine 'spark'; give one of processes, ray."),
        ({"workers": 0}, "workers is 0; give a number above 0."),
        ({"max_work_s": float("nan")}, "max_work_s is nan; give a number above 0."),
        ({"format": "csv"}, "format is 'csv'; give one of parquet, jsonl."),
        ({"channels": "split"}, "channels is for timelines alone; ask for timelines, or leave it out."),
        ({"timeline": True, "channels": "left"}, "channels is 'left'; give one of mix, split."),
        ({"abstain_below": 2}, "abstain_below is 2; give a confidence from 0 to 1."),
    ],
)
def test_a_wrong_value_is_told_before_anything_is_begun(calls, toy, tmp_path, wrong, sentence):
    with pytest.raises(UsageError) as told:
        batch(calls, tmp_path / "rows", toy, **wrong)
    assert str(told.value) == sentence
    assert not (tmp_path / "rows" / "_run" / "run.json").exists()


def test_a_model_that_is_not_there_is_told(calls, tmp_path):
    with pytest.raises(ModelError, match="there is no model 'nix'"):
        batch(calls, tmp_path / "rows", "nix")


def test_a_folder_that_cannot_be_made_is_told(calls, toy, tmp_path, command):
    (tmp_path / "file").touch()
    done = command("batch", calls, "-m", toy, "-o", tmp_path / "file" / "rows")
    assert done.code == 2
    assert "cannot be written to: Not a directory" in done.err


def test_without_pyarrow_rows_are_json_lines_and_parquet_is_refused(
    calls, toy, tmp_path, without_pyarrow, expected
):
    batch(calls, tmp_path / "rows", toy)
    assert archives.rows(tmp_path / "rows") == expected
    with pytest.raises(UsageError, match=r"needs pyarrow.*pip install 'vocalics\[batch\]'"):
        batch(calls, tmp_path / "more", toy, format="parquet")


@pytest.fixture
def without_pyarrow(monkeypatch):
    """Pyarrow is not installed."""
    import sys

    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)


# The command


def test_the_command_sums_up_on_stderr_alone(calls, toy, tmp_path, command):
    done = command("batch", calls, "-m", toy, "-o", tmp_path / "rows", "-j", 1, "-f", "jsonl")
    assert done.code == 1  # some cannot be used
    assert done.out == ""
    first, shares, rate, *reasons = done.err.splitlines()
    assert first == f"vocalics: 23 recordings, 0:23 of sound: 23 rows in 1 parts in '{tmp_path}/rows'"
    assert shares.endswith("; no speech in 1")
    assert "23 of them heard now" in rate
    assert "times real time" in rate
    assert all(line.startswith("vocalics: 1 failed: ...") for line in reasons)
    assert len(reasons) == archives.BAD


def test_a_run_in_which_all_goes_well_ends_with_0(clip, no_speech, toy, tmp_path, command):
    assert command("batch", clip, no_speech, "-m", toy, "-o", tmp_path / "rows").code == 0


def test_a_line_says_how_far_the_run_is(monkeypatch, calls, toy, tmp_path, command):
    monkeypatch.setattr("vocalics.cli.batch.LINE_S", 0.0)
    done = command("batch", calls, "-m", toy, "-o", tmp_path / "rows", "-j", 1)
    assert "vocalics: 0 recordings listed" in done.err
    (last,) = [line for line in done.err.splitlines() if line.startswith("vocalics: 23 of 23 recordings")]
    assert "times real time, 3 failed, 0:00 left" in last


def test_every_engine_of_the_command_line_is_known():
    from vocalics.cli.batch import Engine

    assert {str(one) for one in Engine} == set(run.ENGINES)


# The guide

GUIDE = (Path(__file__).parents[1] / "docs" / "batch.md").read_text()


def test_the_guide_tells_the_numbers_that_hold():
    from vocalics.cli.batch import LINE_S

    size, size_of_timelines = request.PART_SIZE, request.PART_SIZE_OF_TIMELINES
    for sentence in (
        f"A part holds the rows of {size:,} recordings, or of {size_of_timelines} with `--timeline`",
        f"`--max-work-s`, {run.LIMIT_S:g} s, or {run.LIMIT_OF_TIMELINES_S:,.0f} s with `--timeline`",
        f"may take {worker.MEMORY_BYTES >> 30} GB of memory",
        f"a line comes every {LINE_S:g} s",
    ):
        assert sentence in " ".join(GUIDE.split())


def test_the_guide_draws_the_folder_as_it_is(done):
    drawn = GUIDE.partition("```\nemotions/\n")[2].partition("```")[0]
    named = {line.split()[0].rstrip("/").replace("parquet", "jsonl") for line in drawn.splitlines()}
    found = {path.name for path in done.rglob("*")}
    assert named <= found
    assert {name for name in found if not name.startswith("part-")} <= named
