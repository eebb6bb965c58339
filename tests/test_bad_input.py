"""Bad input of every kind: one clear sentence, the right exit code, and the good files beside it answered."""

import json
import os
import re
import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import soundfile

import toy_model

RATE = 16_000
TONE = 0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)  # 1 s


def wav(data_bytes, sample_rate=RATE, channels=1, bits=16, form=1, told_bytes=None):
    """A wav file byte by byte, also where its header lies. `form`: 1 is PCM, 3 float."""
    frame = channels * bits // 8
    fields = struct.pack("<HHIIHH", form, channels, sample_rate, sample_rate * frame, frame, bits)
    told = len(data_bytes) if told_bytes is None else told_bytes
    riff = b"RIFF" + struct.pack("<I", 36 + told) + b"WAVEfmt " + struct.pack("<I", 16) + fields
    return riff + b"data" + struct.pack("<I", told) + data_bytes


def float_wav(samples):
    return wav(np.asarray(samples, "<f4").tobytes(), bits=32, form=3)


def truncated_flac(folder):
    soundfile.write(folder / "whole.flac", np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    return (folder / "whole.flac").read_bytes()[:9000]


def silent_video(folder):
    """A film of three black frames without a sound track."""
    import av

    with av.open(str(folder / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=Fraction(3))
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        film.mux(stream.encode())
    return (folder / "film.mp4").read_bytes()


def with_one(value):
    return np.where(np.arange(RATE) == 777, value, TONE)


#: What is in the file, and what the sentence says. The names of the kinds are the names of the tests.
CONTENTS = {
    "empty file": (lambda _: b"", "empty"),
    "text named wav": (lambda _: b"Dear Sir or Madam,\n" * 50, "is not audio"),
    "picture named wav": (
        lambda _: b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)) * 8,
        "is not audio|no sound",
    ),
    "web page named wav": (lambda _: b"<!doctype html><title>404 Not found</title>" * 20, "is not audio"),
    "archive named wav": (lambda _: b"PK\x03\x04" + bytes(range(256)) * 8, "is not audio"),
    "random bytes": (lambda _: np.random.default_rng(5).bytes(5000), "is not audio|damaged"),
    "flac cut short": (truncated_flac, "damaged or cut short|not audio"),
    "header without samples": (lambda _: wav(b""), "no samples"),
    "header cut short": (lambda _: wav(bytes(100))[:20], "is not audio|damaged"),
    "nan": (lambda _: float_wav(with_one(np.nan)), "NaN or infinite"),
    "infinity": (lambda _: float_wav(with_one(np.inf)), "NaN or infinite"),
    "integers cast to float": (lambda _: float_wav(TONE * 32768), "full scale is 1"),
    "too short": (lambda _: float_wav(TONE[: RATE // 20]), r"lasts 0\.05 s; at least 0\.25 s is needed"),
    "rate of 4 kHz": (lambda _: wav(bytes(8000), sample_rate=4000), "4000 Hz; 8000 to 192000"),
    "rate of 384 kHz": (lambda _: wav(bytes(8000), sample_rate=384_000), "384000 Hz; 8000 to 192000"),
    "65 channels": (lambda _: wav(bytes(65 * 2 * 4000), channels=65), "65 channels; at most 64"),
    "video without sound": (silent_video, "no sound"),
}


@pytest.fixture
def refused(command, toy, clip, tmp_path):
    """Ask about a bad recording and a good one; return the one sentence about the bad one."""

    def ask(bad, expected_path=None, stdin=b""):
        run = command("predict", bad, clip, "--model", toy, stdin=stdin)
        assert run.code == 1
        answers = {answer["path"]: answer for answer in map(json.loads, run.out.splitlines())}
        assert answers.pop(str(clip))["emotion"] is not None
        ((path, answer),) = answers.items()
        assert path == (expected_path or str(bad))
        assert (answer["emotion"], answer["abstained"]) == (None, False)
        sentence = answer["error"]
        assert sentence.endswith(".")
        assert "Traceback" not in run.err
        told = run.err.splitlines()
        assert len(told) == 1  # one line, also on stderr
        assert told[0].startswith("vocalics: ")
        return sentence

    return ask


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_bad_file_is_told_and_the_good_one_answered(refused, tmp_path, kind):
    make, complaint = CONTENTS[kind]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(make(tmp_path))
    sentence = refused(bad)
    assert sentence.startswith(str(bad))
    assert re.search(complaint, sentence), sentence


def test_a_file_that_does_not_exist_is_told(refused, tmp_path):
    assert "there is no file" in refused(tmp_path / "missing.wav")


def test_a_link_into_nowhere_is_told(refused, tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    assert "there is no file" in refused(tmp_path / "link.wav")


def test_links_in_a_circle_are_told(refused, tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert "cannot be read" in refused(tmp_path / "a.wav")


def test_a_name_that_is_too_long_is_told(refused):
    assert "cannot be read" in refused(f"{'long' * 100}.wav")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_closed_file_is_told(refused, tmp_path, clip):
    closed = tmp_path / "closed.wav"
    closed.write_bytes(clip.read_bytes())
    closed.chmod(0)
    assert "Permission denied" in refused(closed)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_closed_folder_is_told(refused, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    assert "cannot be opened: Permission denied" in refused(closed)


def test_a_folder_without_audio_is_told(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/readme.txt").write_text("no audio here")
    assert "holds no audio files" in refused(tmp_path / "folder")


def test_a_pattern_that_matches_nothing_is_told(refused, tmp_path):
    assert "no recording matches" in refused(tmp_path / "*.wav")


def test_an_empty_path_is_told(refused):
    assert "empty path" in refused("")


def test_ten_hours_are_too_long_for_one_answer_and_are_not_decoded(refused, tmp_path):
    n_samples = 10 * 3600 * 8000
    long = tmp_path / "long.wav"
    long.write_bytes(wav(b"", sample_rate=8000, bits=8, told_bytes=n_samples))
    os.truncate(long, 44 + n_samples)  # 288 MB that take no room on the disk
    assert "600 s" in refused(long)


def test_a_header_that_promises_more_than_there_is_gets_an_answer_for_what_there_is(
    command, toy, clip, tmp_path
):
    samples = (soundfile.read(clip)[0] * 32767).astype("<i2").tobytes()
    (tmp_path / "cut.wav").write_bytes(wav(samples[: len(samples) // 2], told_bytes=len(samples)))
    run = command("predict", tmp_path / "cut.wav", "--model", toy)
    answer = json.loads(run.out)
    assert (run.code, answer["error"]) == (0, None)
    assert answer["duration_s"] == pytest.approx(3.327 / 2, abs=0.01)


def test_a_bad_file_whose_name_is_not_unicode_is_told_in_readable_text(refused, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n\x1b[31m.wav")
    with open(odd, "wb") as file:  # noqa: PTH123, the name is what is tested
        file.write(b"text")
    assert "is not audio" in refused(odd)


def test_empty_standard_input_is_told(refused):
    assert "standard input is empty" in refused("-")


def test_text_on_standard_input_is_told(refused):
    assert "standard input is not audio" in refused("-", stdin=b"Dear Sir or Madam,\n" * 50)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE),
        np.full(RATE, 0.25),
        np.random.default_rng(1).normal(0, 1e-4, RATE),
        np.random.default_rng(2).normal(0, 0.2, RATE),
        0.3 * np.sin(2 * np.pi * 50 * np.arange(RATE) / RATE),
        np.where(np.arange(RATE) == RATE // 2, 1.0, 0.0),
    ],
    ids=["silence", "constant", "faint noise", "loud noise", "hum of 50 Hz", "click"],
)
def test_silence_and_noise_answer_no_speech(command, toy, tmp_path, samples):
    soundfile.write(tmp_path / "noise.wav", samples, RATE)
    run = command("predict", tmp_path / "noise.wav", "--model", toy)
    answer = json.loads(run.out)
    assert (run.code, run.err) == (0, "")
    assert (answer["emotion"], answer["abstained"], answer["reason"]) == (None, True, "no speech")


# Wrong calls: exit code 2, one line, no answer


@pytest.fixture
def wrong(command):
    """Make a wrong call; return the one line that says so."""

    def call(*arguments):
        run = command(*arguments)
        assert run.code == 2
        assert run.out == ""
        assert run.err.startswith("vocalics: ")
        assert run.err.count("\n") == 1
        assert "Traceback" not in run.err
        return run.err

    return call


def model_file_of(kind, folder, toy):
    """Write a model file that cannot be used."""
    path = folder / "model.onnx"
    if kind == "cut short":
        path.write_bytes(toy.read_bytes()[:-1000])
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("a model")
    elif kind == "pickle":
        path.write_bytes(b"\x80\x04\x95" + bytes(50))
    elif kind == "folder":
        path.mkdir()
    elif kind == "no card":
        toy_model.write(path, metadata=None)
    elif kind == "newer card":
        toy_model.write(path, metadata=json.dumps(toy_model.card(format_version=2)))
    elif kind == "unknown key":
        toy_model.write(path, metadata=json.dumps(toy_model.card(learning_rte=1)))
    elif kind == "another input":
        toy_model.write(path, waveform="audio")
    return path


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("missing", "there is no model"),
        ("cut short", "cut short"),
        ("empty", "is empty"),
        ("text", "is not an ONNX file"),
        ("pickle", "never unpickled"),
        ("folder", "is a folder"),
        ("no card", "without a card"),
        ("newer card", "upgrade vocalics"),
        ("unknown key", "learning_rte"),
        ("another input", "'waveform' is missing"),
    ],
)
@pytest.mark.parametrize(
    "call", [("predict", "a.wav", "--model"), ("models", "info")], ids=["predict", "models info"]
)
def test_a_model_that_cannot_be_used_is_a_wrong_call(wrong, toy, tmp_path, kind, complaint, call):
    assert complaint in wrong(*call, model_file_of(kind, tmp_path, toy))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--format", "xml"], "'table', 'json', 'jsonl', 'csv'"),
        (["--abstain-below", "1.5"], "from 0 to 1"),
        (["--abstain-below", "nan"], "from 0 to 1"),
        (["--abstain-below", "half"], "valid number"),
        (["--formt", "json"], "--format"),
        (["--model"], "requires an argument"),
        (["-o", "answers.xlsx"], ".json, .jsonl or .csv"),
        (["-o", "."], "is a folder"),
        (["--adapt", "missing.wav"], "none of 1 recordings to adapt with"),
        (["--adapt", "missing/*.wav"], "no recording matches"),
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_a_wrong_call(wrong, toy, clip, arguments, complaint):
    assert complaint in wrong("predict", clip, "--model", toy, *arguments)


def test_no_recording_at_all_is_a_wrong_call(wrong):
    assert "missing argument" in wrong("predict")


def test_an_unknown_command_is_a_wrong_call(wrong):
    assert "Did you mean 'models'?" in wrong("model")


def test_an_output_below_a_file_is_a_wrong_call(wrong, toy, clip, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in wrong("predict", clip, "--model", toy, "-o", tmp_path / "file/answers.json")


def test_adapting_to_clips_without_speech_is_a_wrong_call(wrong, toy, clip, no_speech):
    assert "1 hold no speech" in wrong("predict", clip, "--model", toy, "--adapt", no_speech)


PROGRAM = [sys.executable, "-c", "import sys; from vocalics.cli import main; sys.exit(main())"]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_keyboard_is_no_standard_input(toy):
    keyboard, terminal = os.openpty()
    run = subprocess.run(
        [*PROGRAM, "predict", "-", "--model", toy], stdin=terminal, capture_output=True, text=True
    )
    os.close(keyboard)
    os.close(terminal)
    assert run.returncode == 2
    assert (
        run.stderr
        == "vocalics: '-' means audio on standard input, which is the keyboard; pipe a file into it.\n"
    )


def test_the_program_itself_tells_the_same_and_ends_with_the_same_code(toy, clip):
    run = subprocess.run(
        [*PROGRAM, "predict", "missing.wav", clip, "--model", toy], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert len(run.stdout.splitlines()) == 2
    assert re.fullmatch(r"vocalics: there is no file missing\.wav.*\.\n", run.stderr)
