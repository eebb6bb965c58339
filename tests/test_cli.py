"""The program around the commands: help, errors, interrupts, extras; and ``vocalics models``."""

import json
import subprocess
import sys

import pytest

import vocalics


def test_the_version_is_the_packages(command):
    run = command("--version")
    assert (run.code, run.out) == (0, f"vocalics {vocalics.__version__}\n")


def test_a_wrong_command_is_answered_with_the_nearest(command):
    run = command("predct")
    assert run.code == 2
    assert "Did you mean 'predict'?" in run.err


def test_a_wrong_option_is_answered_with_the_nearest(command, clip):
    run = command("predict", clip, "--formt", "json")
    assert run.code == 2
    assert "--format" in run.err
    assert run.err.count("\n") == 1


def test_help_names_every_option_of_the_contract(command):
    run = command("predict", "--help")
    assert run.code == 0
    for option in ("--model", "--adapt", "--abstain-below", "--format", "--output"):
        assert option in run.out


def test_an_error_shows_its_origin_only_when_asked(command, clip, monkeypatch):
    assert "Traceback" not in command("predict", clip, "--model", "nix").err
    with pytest.raises(vocalics.ModelError):
        command("predict", clip, "--model", "nix", "--traceback")
    monkeypatch.setenv("VOCALICS_DEBUG", "1")
    with pytest.raises(vocalics.ModelError):
        command("predict", clip, "--model", "nix")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["torch"], "Training needs PyTorch: pip install 'vocalics[lab]'"),
        (["sklearn", "torch"], "Training needs PyTorch: pip install 'vocalics[lab]'"),
        (["pyarrow"], "this needs pyarrow, which is not installed: pip install 'vocalics[batch]'"),
    ],
    ids=["torch", "sklearn and torch", "pyarrow"],
)
def test_a_missing_extra_is_one_line_that_says_how_to_install_it(command, monkeypatch, missing, sentence):
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)  # importing it now fails as if it were not installed
    monkeypatch.setattr("vocalics.recognition.model.load", lambda _: __import__(missing[0]))
    run = command("predict", "a.wav")
    assert run.code == 2
    assert run.err == f"vocalics: {sentence}\n"


def test_a_missing_module_that_no_extra_brings_is_a_fault_and_shows_its_origin(command, monkeypatch):
    monkeypatch.setattr("vocalics.recognition.model.load", lambda _: __import__("no_such_module"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        command("predict", "a.wav")


def test_an_interrupt_ends_with_130_and_without_a_traceback(command, toy, clip, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vocalics.recognition.model.read_recording", interrupt)
    run = command("predict", clip, "--model", toy)
    assert run.code == 130
    assert "Traceback" not in run.err


def test_a_reader_that_goes_away_ends_the_program_quietly(toy, clips):
    program = "import sys; from vocalics.cli import main; sys.exit(main())"
    call = [sys.executable, "-c", program, "predict", *clips, *["missing.wav"] * 3, "--model", toy]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()  # as `head -1` does
    told = process.stderr.read().decode()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in told
    assert "BrokenPipe" not in told


def test_models_are_listed_and_their_cards_read(command, toy, monkeypatch):
    monkeypatch.setattr("vocalics.recognition.model_file.list_models", lambda: {"toy": toy})
    listed = command("models", "list", "--format", "table")
    assert listed.code == 0
    assert listed.out.startswith("toy  ")
    assert [card["name"] for card in json.loads(command("models").out)] == ["toy"]
    assert command("models").out == command("models", "list", "--format", "json").out
    told = command("models", "info", "toy", "--format", "table").out
    for fact in ("neutral, happy, sad, angry", "16,000 Hz", "3 (made-up 3)", "0.25 (0.2 to 0.3)", "learnt"):
        assert fact in told


def test_a_card_as_json_is_the_whole_card(command, toy, model):
    run = command("models", "info", toy, "--format", "json")
    assert vocalics.ModelCard.from_json(run.out) == model.card
