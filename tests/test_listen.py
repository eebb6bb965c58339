"""``vocalics listen`` without a microphone: a made sound card, recordings as if live, true interrupts."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import astuple, fields

import numpy as np
import pytest
import soundfile

from sound_cards import SoundCard, device
from vocalics import audio
from vocalics.recognition import microphone as sources
from vocalics.recognition.prediction import Segment
from vocalics.recognition.stream import USUAL_PLAN
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_formats import FORMATS, json_to_timeline

PLAN = ("--window-s", "1", "--hop-s", "0.5")  # the toy model hears one second
RATE = 48_000
PROGRAM = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "  # also under nohup
PROGRAM += "from vocalics.cli import main; sys.exit(main())"


@pytest.fixture
def at_once(monkeypatch):
    """Recordings that are heard without waiting."""
    monkeypatch.setattr(sources, "sleep", lambda _: None)


@pytest.fixture
def card(plug_in):
    """Put a sound card into the machine, as ``card(script=[...])``."""
    return lambda **properties: plug_in(SoundCard(**properties))


@pytest.fixture
def long_clip(clip, tmp_path):
    """A minute of speech, so that an interrupt always comes before its end."""
    whole = audio.read(clip)
    soundfile.write(tmp_path / "long.wav", np.tile(whole.samples[0], 20), whole.sample_rate)
    return tmp_path / "long.wav"


def blocks_of(path, rate=RATE):
    """The recording as a sound card gives it: a silent second, the sound, another one."""
    samples = audio.read(path).mono().resampled(rate).samples[0]
    pause = np.zeros(rate, dtype=np.float32)
    samples = np.concatenate([pause, samples, pause])
    n_block = round(sources.BLOCK_S * rate)
    return [samples[start : start + n_block] for start in range(0, len(samples), n_block)]


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# A recording, heard as if live


def test_every_answer_is_one_json_object_with_the_keys_of_a_segment_and_its_latency(
    command, toy, clip, at_once
):
    run = command("listen", "--input", clip, "--model", toy, *PLAN)
    assert run.code == 0
    answers = lines(run.out)
    assert len(answers) >= 4  # 3.3 s, an answer every half second from the first on
    for answer in answers:
        assert set(answer) == {field.name for field in fields(Segment)} | {"latency_s"}
        assert (answer["path"], answer["model"], answer["speaker"]) == (str(clip), "toy", "speaker")
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    ends_s = [answer["end_s"] for answer in answers]
    assert ends_s == sorted(ends_s)
    assert all(answer["latency_s"] >= 0 for answer in answers if answer["latency_s"] is not None)


def test_notes_and_the_summary_go_to_stderr(command, toy, clip, at_once):
    told = command("listen", "--input", clip, "--model", toy, *PLAN).err.splitlines()
    assert all(line.startswith("vocalics: ") for line in told)
    assert told[0] == f"vocalics: listening to {clip}; Ctrl-C ends it."
    assert re.fullmatch(r"vocalics: heard 0:03, 0:0[23] of it speech\.", told[1])
    assert told[2].startswith("vocalics: share of the speech: ")
    assert "median" in told[4]
    assert told[-1] == "vocalics: no sound was lost."


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_the_saved_timeline_is_that_of_the_recording_with_the_same_windows(
    command, toy, model, clip, at_once, tmp_path, form
):
    if form.suffix == ".parquet":
        pytest.importorskip("pyarrow")
    saved = tmp_path / f"new/folder/out{form.suffix}"
    run = command("listen", "--input", clip, "--model", toy, *PLAN, "--first-s", "1", "--save", saved)
    assert run.code == 0
    assert run.err.splitlines()[-1] == f"vocalics: the timeline is in {saved}."
    expected = form.write(timeline(clip, model, window_s=1.0, hop_s=0.5, adapt="none"))
    assert saved.read_bytes() == (expected if isinstance(expected, bytes) else expected.encode())


def test_silence_is_heard_and_has_no_answers(command, toy, no_speech, at_once, tmp_path):
    saved = tmp_path / "out.json"
    run = command("listen", "--input", no_speech, "--model", toy, *PLAN, "--save", saved)
    assert (run.code, run.out) == (0, "")
    assert "vocalics: heard 0:03, 0:00 of it speech.\n" in run.err
    assert json_to_timeline(saved.read_text()).segments == ()


def test_a_model_is_adapted_to_recordings_of_the_speaker(command, toy, model, clip, clips, at_once):
    run = command("listen", "--input", clip, "--model", toy, *PLAN, "--adapt", clips[0], "--adapt", clips[1])
    plain = command("listen", "--input", clip, "--model", toy, *PLAN)
    adapted = model.adapt([clips[0], clips[1]])
    assert {answer["model"] for answer in lines(run.out)} == {adapted.name}
    assert lines(run.out)[0]["probabilities"] != lines(plain.out)[0]["probabilities"]


def test_a_recording_that_breaks_off_is_heard_so_far_then_told(command, toy, clip, at_once, tmp_path):
    whole = audio.read(clip)
    samples = np.array(whole.samples[0])
    samples[2 * whole.sample_rate :] = np.nan
    soundfile.write(tmp_path / "broken.wav", samples, whole.sample_rate, subtype="FLOAT")
    saved = tmp_path / "out.json"
    run = command("listen", "--input", tmp_path / "broken.wav", "--model", toy, *PLAN, "--save", saved)
    assert run.code == 1
    assert run.out
    assert "broken.wav: some samples are NaN" in run.err.splitlines()[-1]
    assert json_to_timeline(saved.read_text()).duration_s == 2.0


# A microphone


def test_the_microphone_is_heard_until_an_interrupt_and_summed_up(command, toy, card, clip, tmp_path):
    made = card(script=[*blocks_of(clip), lambda: time.sleep(0.5), interrupt])
    saved = tmp_path / "out.json"
    run = command("listen", "--model", toy, *PLAN, "--save", saved)
    assert run.code == 0
    assert lines(run.out)
    assert "vocalics: listening to made microphone, made interface; Ctrl-C ends it." in run.err
    found = json_to_timeline(saved.read_text())
    assert found.duration_s == pytest.approx(audio.read(clip).duration_s + 2.0, abs=2e-3)
    assert found.path is None
    assert made.closed


def test_lost_sound_is_told_as_it_happens_in_the_summary_and_in_the_file(command, toy, card, clip, tmp_path):
    blocks = blocks_of(clip)
    # Silence that would fill the queue twice comes at once, faster than anything can listen.
    silence = [np.zeros_like(blocks[0])] * round(2 * sources.QUEUE_S / sources.BLOCK_S)
    steps = [*blocks, *silence, lambda: time.sleep(1.0), *blocks, lambda: time.sleep(0.5), interrupt]
    made = card(script=steps)
    saved = tmp_path / "out.json"
    run = command("listen", "--model", toy, *PLAN, "--save", saved)
    assert made.closed
    lost_s = float(re.search(r"vocalics: lost ([\d.]+) s of sound\.", run.err)[1])
    assert lost_s > 0
    assert re.search(r"vocalics: [\d.]+ s of sound were lost until [\d.]+ s\.", run.err)
    assert json_to_timeline(saved.read_text()).notes == (f"{lost_s:.1f} s of sound were lost.",)


def test_a_device_that_vanishes_leaves_a_summary_a_file_and_one_sentence(command, toy, card, clip, tmp_path):
    card(script=[*blocks_of(clip), "gone"])
    saved = tmp_path / "out.json"
    run = command("listen", "--model", toy, *PLAN, "--save", saved)
    assert run.code == 1
    *_, written, last = run.err.splitlines()
    assert written == f"vocalics: the timeline is in {saved}."
    assert last.startswith("vocalics: no more sound comes from 'made microphone, made interface'; connect it")
    assert json_to_timeline(saved.read_text()).segments


def test_a_device_that_never_gives_sound_leaves_no_file(command, toy, card, tmp_path):
    card(script=["gone"])
    saved = tmp_path / "out.json"
    run = command("listen", "--model", toy, *PLAN, "--save", saved)
    assert run.code == 2
    assert "no more sound comes from 'made microphone" in run.err
    assert not saved.exists()


def test_inputs_are_listed(command, card):
    card(devices=[device("loudspeaker", 0), device("headset", 1, 16_000.0), device("desk", 2)], default=2)
    run = command("listen", "--list-devices")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == [
        "  1  headset, made interface (1 channel, 16,000 Hz)",
        "  2  desk, made interface (2 channels, 48,000 Hz), default",
    ]


def test_a_list_of_no_inputs_says_so(command, card):
    card(devices=[device("loudspeaker", 0)])
    run = command("listen", "--list-devices")
    assert (run.code, run.out, run.err) == (0, "", "vocalics: this machine has no microphone; connect one.\n")


@pytest.mark.parametrize("chosen", ["1", "head"])
def test_a_device_is_chosen_by_number_or_name(command, toy, card, clip, chosen):
    devices = [device("desk", 1), device("headset", 1)]
    made = card(devices=devices, script=[*blocks_of(clip), interrupt])
    assert command("listen", "--device", chosen, "--model", toy, *PLAN).code == 0
    assert made.opened["device"] == 1


# What is refused, in one sentence


def check_refused(run, *words):
    assert (run.code, run.out) == (2, "")
    (sentence,) = run.err.splitlines()
    assert sentence.startswith("vocalics: ")
    for word in words:
        assert word in sentence


def test_without_sounddevice_one_sentence_says_how_to_install_it(command, toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    check_refused(command("listen", "--model", toy, *PLAN), "pip install 'vocalics[live]'")
    check_refused(command("listen", "--list-devices"), "pip install 'vocalics[live]'")


def test_without_a_microphone_one_sentence_says_so(command, toy, card):
    card(devices=[])
    check_refused(command("listen", "--model", toy, *PLAN), "this machine has no microphone")


def test_an_unknown_device_is_answered_with_those_that_there_are(command, toy, card):
    card(devices=[device("headset", 1)])
    check_refused(
        command("listen", "-d", "lamp", "--model", toy, *PLAN), "'lamp'", "0 'headset, made interface'"
    )


def test_a_device_and_a_recording_are_one_too_many(command, clip):
    check_refused(command("listen", "--device", "0", "--input", clip), "--device", "--input")


def test_a_missing_recording_is_refused(command, toy):
    check_refused(command("listen", "--input", "missing.wav", "--model", toy, *PLAN), "missing.wav")


def test_a_format_that_no_timeline_has_is_refused_before_anything_is_heard(command, toy, clip, tmp_path):
    for target in (tmp_path / "out.xlsx", tmp_path / "out", tmp_path):
        run = command("listen", "--input", clip, "--model", toy, *PLAN, "--save", target)
        check_refused(run, str(target), ".TextGrid")


def test_a_package_that_the_format_needs_is_missed_before_anything_is_heard(
    command, toy, clip, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    run = command("listen", "--input", clip, "--model", toy, *PLAN, "--save", tmp_path / "out.parquet")
    check_refused(run, "pip install 'vocalics[batch]'")


def test_windows_that_the_model_does_not_hear_are_refused(command, toy, clip):
    check_refused(command("listen", "--input", clip, "--model", toy, "--window-s", "3"), "3 s", "'toy'")


def test_a_model_that_hears_little_at_once_is_asked_for_little(command, toy, clip, at_once):
    run = command("listen", "--input", clip, "--model", toy)
    ends_s = [json.loads(line)["end_s"] for line in run.out.splitlines()]
    assert ends_s == [
        json.loads(line)["end_s"]
        for line in command(
            "listen", "--input", clip, "--model", toy, "--window-s", "1", "--hop-s", "0.25", "--first-s", "1"
        ).out.splitlines()
    ]
    assert ends_s


# The end


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_a_summary_and_a_whole_timeline(toy, long_clip, tmp_path, wish):
    saved = tmp_path / "saved" / "out.json"
    arguments = ["listen", "--input", str(long_clip), "--model", str(toy), *PLAN, "--save", str(saved)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # also under nohup and CI
    ) as process:
        first = json.loads(process.stdout.readline())  # it comes while the sound goes on
        process.send_signal(wish)
        rest, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert first["emotion"]
    assert told.splitlines()[-1] == f"vocalics: the timeline is in {saved}."
    assert "of it speech." in told
    assert "Traceback" not in told
    found = json_to_timeline(saved.read_text())
    assert 0.4 < found.duration_s < 60
    assert found.segments[0].start_s <= first["start_s"] + 0.1
    assert list(saved.parent.iterdir()) == [saved]  # nothing half-written beside it
    assert all(json.loads(line) for line in rest.splitlines())


def test_an_interrupt_replaces_what_an_earlier_hour_wrote(command, toy, card, clip, tmp_path):
    saved = tmp_path / "out.csv"
    saved.write_text("before")
    card(script=[*blocks_of(clip), lambda: time.sleep(0.5), interrupt])
    assert command("listen", "--model", toy, *PLAN, "--save", saved).code == 0
    assert "start_s" in saved.read_text()


def test_interrupts_mean_again_what_they_meant_before(command, toy, clip, at_once):
    before = signal.getsignal(signal.SIGINT)
    command("listen", "--input", clip, "--model", toy, *PLAN)
    assert signal.getsignal(signal.SIGINT) is before


def test_who_stops_reading_does_not_lose_the_timeline(toy, clip, tmp_path):
    saved = tmp_path / "out.json"
    arguments = ["listen", "--input", str(clip), "--model", str(toy), *PLAN, "--save", str(saved)]
    program = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
    assert "Traceback" not in told
    assert json_to_timeline(saved.read_text()).duration_s > 0.4


# The terminal


def in_terminal(arguments, seconds, **environment):
    """Run in a terminal of 80 by 30, interrupt after so many seconds of drawing; return code and output."""
    import pty
    import termios

    terminal, inside = pty.openpty()
    termios.tcsetwinsize(terminal, (30, 80))
    # The terminal must be the program's own, else Ctrl-C is a character.
    own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    process = subprocess.Popen(
        [sys.executable, "-c", own + PROGRAM, *arguments],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=os.environ | {"TERM": "xterm-256color"} | environment,
        start_new_session=True,
    )
    os.close(inside)
    page, interrupt_at = b"", None
    while True:
        if interrupt_at is not None and time.monotonic() > interrupt_at:
            os.write(terminal, b"\x03")
            interrupt_at = float("inf")
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # Linux's way to say that nobody is at the other end
            piece = b""
        if not piece:
            break
        page += piece
        if interrupt_at is None and b"Ctrl-C ends" in page:
            interrupt_at = time.monotonic() + seconds
    os.close(terminal)
    return process.wait(timeout=60), page.decode()


@pytest.mark.skipif(os.name == "nt", reason="terminals of Unix")
def test_in_a_terminal_the_moment_is_drawn_and_then_gives_way_to_a_summary(toy, long_clip):
    arguments = ["listen", "--input", str(long_clip), "--model", str(toy), *PLAN]
    code, page = in_terminal(arguments, seconds=2.0)
    assert code == 0
    hidden, shown = page.index("\x1b[?25l"), page.rindex("\x1b[?25h")  # the cursor, while drawing
    drawn, after = page[hidden:shown], re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", page[shown:])
    assert drawn.count("a minute ago") >= 5  # 5 pictures a second
    assert "neutral" in drawn
    assert "latency" in drawn
    assert "{" not in drawn  # no JSON
    assert "of it speech." in after
    assert "No sound was lost." in after
    assert "a minute ago" not in after


@pytest.mark.skipif(os.name == "nt", reason="terminals of Unix")
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(toy, long_clip):
    arguments = ["listen", "--input", str(long_clip), "--model", str(toy), *PLAN]
    code, page = in_terminal(arguments, seconds=2.0, TERM="dumb")
    assert code == 0
    assert '"latency_s": ' in page
    assert "a minute ago" not in page


# The door


def test_the_help_names_the_defaults_of_the_stream(command):
    text = " ".join(command("listen", "--help").out.split())
    for value in astuple(USUAL_PLAN):
        assert f"[default: {value:g}" in text or f"[default: ({value:g}" in text


def test_no_sound_card_is_looked_for_when_a_recording_is_heard(command, toy, clip, at_once, monkeypatch):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert command("listen", "--input", clip, "--model", toy, *PLAN).code == 0
    assert "sounddevice" not in sys.modules
