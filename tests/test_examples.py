"""The example clips are what their table says, and the command has something to hear in them."""

import importlib.util
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vocalics import audio
from vocalics.recognition import speech

EXAMPLES = Path(__file__).parents[1] / "examples"
MADE_WITH = "eSpeak NG text-to-speech: 1.51"  # other versions speak the same words with other samples

# A row of the table in examples/README.md: file, voice, seconds, Hz, channels.
ROW = re.compile(r"^\| `(\S+)` \| ([^|]+) \| ([\d.]+) \| ([\d,]+) \| (\d) \|", re.MULTILINE)
TABLE = {
    file: (voice, float(duration_s), int(rate.replace(",", "")), int(channels))
    for file, voice, duration_s, rate, channels in ROW.findall((EXAMPLES / "README.md").read_text())
}
SPOKEN = sorted(file for file, (voice, *_) in TABLE.items() if not voice.startswith("none"))


@pytest.fixture(scope="module")
def make_clips():
    spec = importlib.util.spec_from_file_location("make_clips", EXAMPLES / "make_clips.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_clips"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_clips"]


def test_the_table_names_every_clip_and_no_other():
    kept = {path.name for path in EXAMPLES.iterdir() if path.suffix not in {".md", ".py"} and path.is_file()}
    assert kept == set(TABLE)


@pytest.mark.parametrize("file", TABLE)
def test_a_clip_is_what_its_row_says(file):
    _, duration_s, sample_rate, channels = TABLE[file]
    waveform = audio.read(EXAMPLES / file)
    assert waveform.sample_rate == sample_rate
    assert waveform.samples.shape[0] == channels
    assert waveform.samples.shape[1] / sample_rate == pytest.approx(duration_s, abs=0.06)  # told to 0.1 s
    assert 2 <= duration_s <= 4.5


def test_the_clips_differ_in_rate_channels_coding_and_loudness():
    waveforms = {file: audio.read(EXAMPLES / file) for file in SPOKEN}
    assert {w.sample_rate for w in waveforms.values()} == {8_000, 16_000, 22_050, 44_100, 48_000}
    assert {w.samples.shape[0] for w in waveforms.values()} == {1, 2}
    assert {Path(file).suffix for file in SPOKEN} == {".wav", ".flac", ".ogg", ".opus", ".mp3"}
    peaks_db = {file: 20 * math.log10(np.abs(w.samples).max()) for file, w in waveforms.items()}
    assert peaks_db["man_deep_and_loud.flac"] == pytest.approx(-1, abs=0.01)  # 16 bit, lossless
    assert peaks_db["woman_high_and_quiet.opus"] == pytest.approx(-30, abs=1)  # Opus moves a peak a little


@pytest.mark.parametrize("file", SPOKEN)
def test_speech_is_heard_in_a_spoken_clip(file):
    assert speech.has_speech(audio.read(EXAMPLES / file))


def test_no_speech_is_heard_in_the_hum_of_a_door():
    assert not speech.has_speech(audio.read(EXAMPLES / "no_speech.wav"))


def test_the_voices_of_the_call_speak_one_after_the_other():
    left, right = audio.read(EXAMPLES / "two_on_a_call.flac").samples
    heard_left, heard_right = np.flatnonzero(left), np.flatnonzero(right)
    assert heard_left.max() < heard_right.min()


def test_the_hum_is_made_again(make_clips):
    made = make_clips.door_hum(16_000, duration_s=3.0)
    kept = audio.read(EXAMPLES / "no_speech.wav").samples.T
    np.testing.assert_allclose(made, kept, atol=1 / 32_768)  # one step of the 16 bits that the file holds


def test_every_spoken_clip_of_the_script_is_in_the_table(make_clips):
    assert sorted(clip.file for clip in make_clips.CLIPS) == SPOKEN


def test_without_espeak_the_script_says_what_to_install(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "make_clips.py", "-o", tmp_path],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "espeak-ng is not on the PATH; install it (Debian: apt-get install espeak-ng).\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not on the PATH")
def test_the_script_makes_the_same_clips_again(make_clips, tmp_path):
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith(MADE_WITH):
        pytest.skip(f"the clips were made with another espeak-ng than {version.split('Data')[0].strip()}")
    for path in make_clips.make_clips(tmp_path):
        made, kept = audio.read(path), audio.read(EXAMPLES / path.name)
        # Lossy coders round differently from build to build; 60 dB below full scale nobody hears it.
        np.testing.assert_allclose(made.samples, kept.samples, atol=1e-3, err_msg=path.name)
