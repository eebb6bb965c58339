"""``vocalics predict --play`` without sound hardware: a made sound card keeps what it is given."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest

import vocalics
from vocalics import audio
from vocalics.recognition.playback import play


class PortAudioError(Exception):
    """As sounddevice's own."""


class SoundCard(ModuleType):
    """Stands for the module `sounddevice` and for the one output that it knows.

    `played` holds (samples, sample_rate) of every sound; each also leaves a line with a note on stdout, so
    that a test sees what was told before it and what after.
    """

    PortAudioError = PortAudioError

    def __init__(self, channels=2, rates=None, usual_rate=44_100.0, breaks_at=None):
        super().__init__("sounddevice")
        self.played = []
        self.output = {
            "name": "made card",
            "max_output_channels": channels,
            "default_samplerate": usual_rate,
        }
        self.rates, self.breaks_at = rates, breaks_at

    def query_devices(self, *, kind):
        assert kind == "output"
        if self.output is None:
            raise PortAudioError("Error querying device -1")
        return self.output

    def check_output_settings(self, *, channels, dtype, samplerate):
        assert dtype == "float32"
        assert channels <= self.output["max_output_channels"]
        if self.rates is not None and samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def play(self, data, samplerate, *, blocking):
        assert blocking  # else the next clip would cut this one off
        if len(self.played) == self.breaks_at:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.check_output_settings(channels=data.shape[1], dtype=str(data.dtype), samplerate=samplerate)
        self.played.append((np.array(data), samplerate))
        sys.stdout.buffer.write(b"(sound)\n")
        sys.stdout.buffer.flush()


@pytest.fixture
def card(plug_in):
    """Put a sound card into the machine, as ``card(channels=1)``."""
    return lambda **properties: plug_in(SoundCard(**properties))


def paths_and_sounds(out):
    return [line if line == "(sound)" else json.loads(line)["path"] for line in out.splitlines()]


def tone(channels, sample_rate=16_000):
    times_s = np.arange(sample_rate) / sample_rate
    heights_hz = 200 * (1 + np.arange(channels))[:, np.newaxis]
    return vocalics.Waveform.from_array(0.5 * np.sin(2 * np.pi * heights_hz * times_s), sample_rate)


# What is played


def test_a_clip_is_played_sample_by_sample_at_its_own_rate(command, card, toy, clip):
    speakers = card()
    run = command("predict", clip, "--model", toy, "--play")
    assert (run.code, run.err) == (0, "")
    ((samples, sample_rate),) = speakers.played
    expected = audio.read(clip)
    assert sample_rate == expected.sample_rate
    np.testing.assert_array_equal(
        samples, expected.samples.T
    )  # (n_samples, channels), as sounddevice takes it


def test_each_clip_is_played_before_its_answer_in_the_order_given(command, card, toy, clips, no_speech):
    speakers = card()
    given = [*map(str, reversed(clips)), str(no_speech)]
    run = command("predict", *given, "--model", toy, "--play")
    assert paths_and_sounds(run.out) == [line for path in given for line in ("(sound)", path)]
    assert [len(samples) for samples, _ in speakers.played] == [audio.read(path).n_samples for path in given]


def test_in_a_terminal_each_answer_is_drawn_after_its_sound(command, card, toy, clips):
    card()
    run = command("predict", *clips[:2], "--model", toy, "--play", "--format", "table")
    silence, first, second = run.out.split("(sound)\n")
    assert silence == ""
    for answer, path in zip((first, second), clips[:2], strict=True):
        assert path.name in answer
        for emotion in ("neutral", "happy", "sad", "angry"):
            assert emotion in answer


def test_the_answers_are_those_without_the_sound(command, card, toy, clips):
    card()
    with_sound = command("predict", *clips, "--model", toy, "--adapt", "self", "--play")
    without = command("predict", *clips, "--model", toy, "--adapt", "self")
    assert with_sound.out.replace("(sound)\n", "") == without.out


def test_what_cannot_be_read_is_not_played(command, card, toy, clip):
    speakers = card()
    run = command("predict", "missing.wav", clip, "--model", toy, "--play")
    assert run.code == 1
    assert paths_and_sounds(run.out) == ["missing.wav", "(sound)", str(clip)]
    assert len(speakers.played) == 1


def test_standard_input_is_played_too(command, card, toy, clip):
    speakers = card()
    run = command("predict", "-", "--model", toy, "--play", stdin=clip.read_bytes())
    assert paths_and_sounds(run.out) == ["(sound)", "-"]
    np.testing.assert_array_equal(speakers.played[0][0], audio.read(clip).samples.T)


def test_without_the_option_no_sound_is_made(command, card, toy, clip):
    speakers = card()
    assert command("predict", clip, "--model", toy).code == 0
    assert speakers.played == []


# What the output can take


@pytest.mark.parametrize(
    ("channels", "output_channels", "sent"), [(1, 2, 1), (2, 2, 2), (2, 1, 1), (4, 8, 1)]
)
def test_mono_and_stereo_stay_what_they_are_where_the_output_can(card, channels, output_channels, sent):
    speakers = card(channels=output_channels)
    sound = tone(channels)
    play(sound)
    ((samples, _),) = speakers.played
    assert samples.shape == (sound.n_samples, sent)
    expected = sound if sent == channels else sound.mono()
    np.testing.assert_array_equal(samples, expected.samples.T)


def test_a_rate_that_the_output_refuses_is_changed_to_its_own(card):
    speakers = card(rates=[48_000], usual_rate=48_000.0)
    sound = tone(channels=1)
    play(sound)
    ((samples, sample_rate),) = speakers.played
    assert sample_rate == 48_000
    assert len(samples) == 3 * sound.n_samples  # 48,000 Hz for 16,000: it lasts as long
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    assert spectrum.argmax() == 200  # one second, so bins are Hz: the tone has kept its height


# Where nothing can be played


def check_one_sentence_and_the_answers(run, sentence, toy, given, model):
    assert run.code == 0  # no recording failed
    assert run.err == f"vocalics: --play: {sentence}\n"
    answers = [json.loads(line) for line in run.out.splitlines()]
    assert [(one["path"], one["emotion"]) for one in answers] == [
        (str(path), model.predict(path).emotion) for path in given
    ]


def test_without_the_package_one_sentence_says_how_to_install_it(command, toy, clips, model, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "sounddevice", None
    )  # importing it now fails as if it were not installed
    run = command("predict", *clips[:3], "--model", toy, "--play")
    sentence = "playing sound needs sounddevice, which is not installed: pip install 'vocalics[live]'"
    check_one_sentence_and_the_answers(run, sentence, toy, clips[:3], model)


def test_without_the_library_under_it_one_sentence_says_how_to_install_that(
    command, toy, clips, model, monkeypatch, tmp_path
):
    (tmp_path / "sounddevice.py").write_text(
        'raise OSError("PortAudio library not found")'
    )  # as the true one
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    run = command("predict", *clips[:3], "--model", toy, "--play")
    sentence = (
        "playing sound needs the PortAudio library, which is not installed; on Debian or Ubuntu: "
        "apt install libportaudio2"
    )
    check_one_sentence_and_the_answers(run, sentence, toy, clips[:3], model)


def test_without_an_output_one_sentence_says_so(command, card, toy, clips, model):
    card().output = None
    run = command("predict", *clips[:3], "--model", toy, "--play")
    sentence = (
        "this machine has no audio output to play on; connect loudspeakers or headphones, and try again."
    )
    check_one_sentence_and_the_answers(run, sentence, toy, clips[:3], model)


def test_an_output_that_breaks_off_is_told_once_and_the_answers_go_on(command, card, toy, clips, model):
    speakers = card(breaks_at=1)
    run = command("predict", *clips[:4], "--model", toy, "--play")
    assert len(speakers.played) == 1
    assert run.err.count("\n") == 1
    assert "the audio output 'made card' refuses the sound (Device unavailable" in run.err
    assert paths_and_sounds(run.out) == ["(sound)", *map(str, clips[:4])]
    assert run.code == 0


def test_an_interrupt_while_a_clip_plays_ends_with_130(command, card, toy, clip, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(card(), "play", interrupt)
    run = command("predict", clip, "--model", toy, "--play")
    assert run.code == 130
    assert run.out == ""


# The door


def test_the_help_names_the_option(command):
    assert "--play" in command("predict", "--help").out


def test_nothing_of_it_is_loaded_unless_it_is_asked_for(command, toy, clip, monkeypatch):
    monkeypatch.delitem(sys.modules, "vocalics.recognition.playback", raising=False)
    assert command("predict", clip, "--model", toy).code == 0
    assert "vocalics.recognition.playback" not in sys.modules
