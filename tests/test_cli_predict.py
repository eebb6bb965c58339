import csv
import io
import json
import os
import re
import shutil

import pytest

from vocalics.recognition import formats
from vocalics.recognition.recordings import list_recordings

KEYS = [
    "path",
    "emotion",
    "confidence",
    "probabilities",
    "abstained",
    "reason",
    "duration_s",
    "model",
    "error",
]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# What is asked


def test_a_file_is_answered_in_one_line_with_the_keys_of_the_contract(command, toy, clip, model):
    run = command("predict", clip, "--model", toy)
    assert run.code == 0
    (answer,) = lines(run.out)
    assert list(answer) == KEYS
    expected = model.predict(clip)
    assert answer["emotion"] == expected.emotion
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=5e-7)  # six decimals
    assert (answer["duration_s"], answer["model"], answer["error"]) == (3.327, "toy", None)
    assert run.err == ""


def test_a_folder_is_walked_in_order_and_other_files_and_hidden_ones_passed_over(
    command, toy, clip, tmp_path
):
    for name in ("b/2.WAV", "b/10.wav", "a.wav", "b/._2.wav", ".cache/x.wav", "b/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(clip, tmp_path / name)
    run = command("predict", tmp_path, "--model", toy)
    found = [os.path.relpath(answer["path"], tmp_path) for answer in lines(run.out)]
    assert found == ["a.wav", "b/10.wav", "b/2.WAV"]


def test_a_pattern_that_the_shell_left_alone_is_resolved(command, toy, clip, tmp_path):
    for name in ("a1.wav", "a2.wav", "b.wav"):
        shutil.copy(clip, tmp_path / name)
    run = command("predict", f"{tmp_path}/a*.wav", "--model", toy)
    assert [answer["path"][-6:] for answer in lines(run.out)] == ["a1.wav", "a2.wav"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(command, toy, clip, tmp_path):
    shutil.copy(clip, tmp_path / "take[1].wav")
    shutil.copy(clip, tmp_path / "take1.wav")
    run = command("predict", tmp_path / "take[1].wav", "--model", toy)
    assert [answer["path"] for answer in lines(run.out)] == [str(tmp_path / "take[1].wav")]


def test_a_recording_that_is_named_twice_is_answered_once(command, toy, clip):
    assert len(lines(command("predict", clip, clip, "--model", toy).out)) == 1


def test_links_in_a_circle_are_walked_once(clip, tmp_path):
    shutil.copy(clip, tmp_path / "a.wav")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert list_recordings([tmp_path]) == ([str(tmp_path / "a.wav")], {})


def test_linked_folders_are_followed(clip, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copy(clip, tmp_path / "there/a.wav")
    (tmp_path / "here/link").symlink_to(tmp_path / "there", target_is_directory=True)
    assert list_recordings([tmp_path / "here"])[0] == [str(tmp_path / "here/link/a.wav")]


def test_standard_input_is_a_recording_among_others(command, toy, clip, no_speech, model):
    run = command("predict", no_speech, "-", "--model", toy, stdin=clip.read_bytes())
    silent, answer = lines(run.out)
    assert (silent["path"], answer["path"]) == (str(no_speech), "-")
    assert answer["emotion"] == model.predict(clip).emotion


# How it is answered


def test_silence_and_no_speech_are_answers(command, toy, no_speech):
    run = command("predict", no_speech, "--model", toy)
    assert run.code == 0
    (answer,) = lines(run.out)
    assert (answer["emotion"], answer["abstained"], answer["reason"]) == (None, True, "no speech")


def test_some_failures_give_exit_code_1_and_lose_nothing(command, toy, clip):
    run = command("predict", "missing.wav", clip, "--model", toy)
    assert run.code == 1
    failed, answered = lines(run.out)
    assert "missing.wav" in failed["error"]
    assert answered["emotion"] is not None
    assert run.err == f"vocalics: {failed['error']}\n"


def test_the_model_abstains_below_a_confidence(command, toy, clip):
    (answer,) = lines(command("predict", clip, "--model", toy, "--abstain-below", "1").out)
    assert (answer["abstained"], answer["reason"]) == (True, "low confidence")
    assert answer["emotion"] is not None


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_every_format_carries_the_same_predictions(command, toy, clips, no_speech, model, form):
    paths = [*map(str, clips), str(no_speech), "missing.wav"]
    run = command("predict", *paths, "--model", toy, "--format", form)
    read = getattr(formats, f"{form}_to_predictions")(run.out)
    assert [answer.path for answer in read] == paths
    for answer, expected in zip(read, model.predict(paths), strict=True):
        assert answer.probabilities == pytest.approx(expected.probabilities, abs=5e-7)
        assert (answer.emotion, answer.reason, answer.error) == (
            expected.emotion,
            expected.reason,
            expected.error,
        )
        assert answer.duration_s == pytest.approx(expected.duration_s, abs=5e-4)


def test_csv_has_one_column_for_every_emotion(command, toy, clip):
    (row,) = csv.DictReader(io.StringIO(command("predict", clip, "-m", toy, "-f", "csv").out))
    assert list(row) == [
        *("path", "emotion", "confidence", "neutral", "happy", "sad", "angry"),
        *("abstained", "reason", "duration_s", "model", "error"),
    ]
    assert sum(float(row[emotion]) for emotion in ("neutral", "happy", "sad", "angry")) == pytest.approx(
        1, abs=2e-6
    )


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_the_suffix_of_the_file_decides_the_format(command, toy, clip, tmp_path, suffix):
    target = tmp_path / f"new/folder/out.{suffix}"
    run = command("predict", clip, "--model", toy, "-o", target)
    assert (run.code, run.out) == (0, "")
    assert target.read_text() == command("predict", clip, "--model", toy, "--format", suffix).out
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # no half-written file beside it


def test_a_format_given_outright_goes_before_the_suffix(command, toy, clip, tmp_path):
    command("predict", clip, "--model", toy, "-o", tmp_path / "out.txt", "--format", "table")
    assert "\x1b" not in (tmp_path / "out.txt").read_text()
    assert str(clip) in (tmp_path / "out.txt").read_text()


def test_a_summary_of_many_goes_to_stderr_alone(command, toy, clips):
    assert len(clips) >= 6
    run = command("predict", *clips, "nix.wav", "--model", toy)
    assert re.search(rf"vocalics: {len(clips) + 1} recordings: .*1 failed\n$", run.err)
    assert len(lines(run.out)) == len(clips) + 1


@pytest.mark.data
def test_sixty_clips_of_an_actor_are_answered_in_one_call(command, toy, data):
    folder = next(iter(sorted(data.glob("*/Actor_01"))), None)
    if folder is None:
        pytest.skip("RAVDESS is not in VOCALICS_DATA in folders of its own")
    run = command("predict", folder, "--model", toy, "--adapt", "self")
    answers = lines(run.out)
    assert run.code == 0
    assert len(answers) == 60  # eight emotions, two intensities (neutral has one), two sentences, twice
    assert [answer["path"] for answer in answers] == sorted(answer["path"] for answer in answers)
    assert sum(answer["emotion"] is not None for answer in answers) >= 59  # all are speech


# Adaptation


def test_adapting_to_recordings_and_to_the_given_ones(command, toy, clips, model):
    folder = clips[0].parent
    given = lines(command("predict", *clips, "--model", toy, "--adapt", "self").out)
    named = lines(command("predict", *clips, "--model", toy, "--adapt", folder).out)
    several = [argument for clip in clips for argument in ("--adapt", clip)]
    repeated = lines(command("predict", *clips, "--model", toy, *several).out)
    expected = model.adapt(clips).predict(clips)
    for answers in (given, named, repeated):
        assert [answer["model"] for answer in answers] == [f"toy (adapted, {len(clips)} clips)"] * len(clips)
        for answer, other in zip(answers, expected, strict=True):
            assert answer["probabilities"] == pytest.approx(other.probabilities, abs=5e-7)


def test_recordings_that_adaptation_left_out_are_counted(command, toy, clip, no_speech):
    run = command(
        "predict", clip, "--model", toy, "--adapt", clip, "--adapt", no_speech, "--adapt", "nix.wav"
    )
    assert run.err == "vocalics: 2 of 3 recordings to adapt with hold no speech or cannot be read.\n"
    assert lines(run.out)[0]["model"] == "toy (adapted, 1 clip)"
