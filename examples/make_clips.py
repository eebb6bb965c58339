"""Make the example clips again: short sentences spoken by espeak-ng, and the hum of a door without speech.

The clips differ in voice, rate, pitch, loudness, sample rate, channels and coding, so that one ``vocalics
predict`` over this folder passes through every kind of file. Nobody feels anything in them.

    python examples/make_clips.py

The same espeak-ng gives the same samples every time. The bytes of an Ogg file (.ogg, .opus) still differ,
because its encoder draws a serial number for the stream.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

FloatArray = npt.NDArray[np.float64]

#: Silence between two speakers who take turns, and at both ends of every clip, seconds.
PAUSE_S = 0.2


@dataclass(frozen=True)
class Voice:
    """One sentence by one of espeak-ng's voices.

    Attributes
    ----------
    name
        Voice and variant as ``espeak-ng -v`` takes them.
    text
        What is said.
    words_per_minute
        Speaking rate.
    pitch
        0 to 99 on espeak-ng's scale.
    """

    name: str
    text: str
    words_per_minute: int
    pitch: int


@dataclass(frozen=True)
class Clip:
    """One file: its voices (one a channel, taking turns), and how it is recorded and coded.

    Attributes
    ----------
    file
        Name; the ending chooses the container.
    voices
        One for every channel.
    sample_rate
        Hz.
    peak_db
        Highest sample, dB below full scale.
    subtype
        The coding, as libsndfile names it.
    """

    file: str
    voices: tuple[Voice, ...]
    sample_rate: int
    peak_db: float
    subtype: str


CLIPS = (
    Clip(
        "woman.wav",
        (Voice("en-us+f3", "The train to the coast leaves at a quarter past nine.", 165, 55),),
        16_000,
        -6,
        "PCM_16",
    ),
    Clip(
        "man_on_telephone.wav",
        (Voice("en-gb+m3", "I left the parcel with the neighbours across the road.", 160, 40),),
        8_000,
        -9,
        "ULAW",
    ),
    Clip(
        "woman_fast.ogg",
        (Voice("en-gb+f2", "We could meet on Thursday, or on Friday if that suits you better.", 230, 70),),
        22_050,
        -3,
        "VORBIS",
    ),
    Clip(
        "man_deep_and_loud.flac",
        (Voice("en-us+m7", "There are seven chairs and only one table.", 150, 15),),
        44_100,
        -1,
        "PCM_16",
    ),
    Clip(
        "woman_high_and_quiet.opus",
        (Voice("en-gb-scotland+f4", "The window on the second floor is open again.", 150, 90),),
        48_000,
        -30,
        "OPUS",
    ),
    Clip(
        "man_fast.mp3",
        (Voice("en-us+m1", "Please bring the blue folder and both of the keys tomorrow.", 220, 60),),
        44_100,
        -6,
        "MPEG_LAYER_III",
    ),
    Clip(
        "two_on_a_call.flac",
        (
            Voice("en-us+m2", "Has the post come yet?", 170, 45),
            Voice("en-us+f1", "Yes, it is on the kitchen table.", 170, 55),
        ),
        16_000,
        -6,
        "PCM_16",
    ),
)


def speak(voice: Voice, folder: Path) -> tuple[FloatArray, int]:
    """Have espeak-ng say one sentence; returns samples (n_samples,) and their rate in Hz."""
    path = folder / "spoken.wav"
    options = ["-v", voice.name, "-s", str(voice.words_per_minute), "-p", str(voice.pitch), "-w", str(path)]
    subprocess.run(["espeak-ng", *options, voice.text], check=True)
    samples, rate = soundfile.read(path)
    return samples, rate


def trim(samples: FloatArray) -> FloatArray:
    """Cut digital silence from both ends."""
    heard = np.flatnonzero(np.abs(samples) > 1e-3)
    return samples[heard[0] : heard[-1] + 1]


def record(clip: Clip, folder: Path) -> FloatArray:
    """Let the voices of a clip speak in turn, each on its own channel; returns (n_samples, n_channels)."""
    pause = round(PAUSE_S * clip.sample_rate)
    turns = []
    for voice in clip.voices:
        spoken, rate = speak(voice, folder)
        turns.append(soxr.resample(trim(spoken), rate, clip.sample_rate))
    starts = np.cumsum([pause, *(len(turn) + pause for turn in turns)])
    samples = np.zeros((starts[-1], len(turns)))
    for channel, (start, turn) in enumerate(zip(starts[:-1], turns, strict=True)):
        samples[start : start + len(turn), channel] = turn
    return to_peak(samples, clip.peak_db)


def door_hum(sample_rate: int, duration_s: float) -> FloatArray:
    """Hum of a door opener, no speech: mains, four harmonics and a soft, seeded noise; (n_samples, 1)."""
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    samples = np.random.default_rng(50).normal(0, 0.05, time_s.size)
    for harmonic in (1, 2, 3, 4, 6):
        samples += np.sin(2 * np.pi * 50 * harmonic * time_s) / harmonic
    return to_peak(samples[:, None], -12)


def to_peak(samples: FloatArray, peak_db: float) -> FloatArray:
    """Scale so that the highest sample lies at `peak_db` relative to full scale."""
    highest = float(np.abs(samples).max())
    return samples * (10 ** (peak_db / 20) / highest)


def write(path: Path, samples: FloatArray, sample_rate: int, subtype: str) -> None:
    """Code samples (n_samples, n_channels) into the file that the ending and the subtype name."""
    container = "OGG" if path.suffix == ".opus" else None
    soundfile.write(path, samples, sample_rate, subtype=subtype, format=container)


def make_clips(folder: Path) -> list[Path]:
    """Make all clips in a folder and return their paths, in the order they were made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with tempfile.TemporaryDirectory() as scratch:
        for clip in CLIPS:
            paths.append(folder / clip.file)
            write(paths[-1], record(clip, Path(scratch)), clip.sample_rate, clip.subtype)
    paths.append(folder / "no_speech.wav")
    write(paths[-1], door_hum(16_000, duration_s=3.0), 16_000, "PCM_16")
    return paths


def main() -> int:
    """Make the clips; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the example clips again with espeak-ng.")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    folder = parser.parse_args().output
    if shutil.which("espeak-ng") is None:
        message = "espeak-ng is not on the PATH; install it (Debian: apt-get install espeak-ng)."
        print(message, file=sys.stderr)
        return 2
    for path in make_clips(folder):
        clip = soundfile.info(path)
        coding = f"{clip.samplerate:6} Hz  {clip.channels} ch  {clip.subtype}"
        print(f"{path.name:28} {clip.duration:4.1f} s  {coding}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
