"""Make the examples that ``vocalics app`` offers again: sentences and a call, spoken by espeak-ng.

The caller's voice gets higher, faster and louder in the middle of the call, so that there is something to
see. Nobody feels anything in it.

    python examples/make_app_clips.py

The same espeak-ng gives the same samples every time.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from make_clips import FloatArray, Voice, speak, to_peak, trim

FOLDER = Path(__file__).parents[1] / "src/vocalics/app/examples"

SAMPLE_RATE = 16_000

#: Silence between turns, and at both ends, seconds.
PAUSE_S = 0.35

#: Highest sample of a turn, dB of full scale.
CALM_DB, LOUD_DB = -14.0, -3.0

#: Of libsndfile's MP3 encoder, 0 to 1; at 1 the two channels of the call are heard in one another.
COMPRESSION = 0.7

#: The channel, what is said and how, and the highest sample.
Turn = tuple[int, Voice, float]


def agent(text: str, words_per_minute: int = 170) -> Turn:
    """Say something on the left channel."""
    return 0, Voice("en-us+m2", text, words_per_minute, 45), CALM_DB


def calm(text: str, channel: int = 1) -> Turn:
    """Let the caller say something with a low voice."""
    return channel, Voice("en-gb-scotland+f4", text, 170, 20), CALM_DB


def excited(text: str, channel: int = 1) -> Turn:
    """Let the caller say something with a high, fast and loud voice."""
    return channel, Voice("en-gb-scotland+f4", text, 205, 92), LOUD_DB


CLIPS: dict[str, tuple[Turn, ...]] = {
    "calm_sentence.mp3": (calm("I told you yesterday that the answer is no.", channel=0),),
    "excited_sentence.mp3": (excited("You will not believe what happened to me this morning!", channel=0),),
    "call.mp3": (
        agent("Good morning, how can I help you?"),
        calm("Hello. I am calling about a parcel that should have come on Monday."),
        agent("One moment, please. It says here that it was delivered."),
        excited("But it was not delivered! Nobody rang the bell!"),
        excited("I have been at home for three days, and nobody came!"),
        agent("I am sorry to hear that. I will send it again today.", 160),
        calm("Thank you. That would be good. Have a nice day."),
    ),
}


def record(turns: tuple[Turn, ...], scratch: Path) -> FloatArray:
    """Let the voices speak in turn, each on its own channel; returns (n_samples, n_channels)."""
    pause = round(PAUSE_S * SAMPLE_RATE)
    spoken = []
    for _, voice, peak_db in turns:
        samples, rate = speak(voice, scratch)
        spoken.append(to_peak(soxr.resample(trim(samples), rate, SAMPLE_RATE), peak_db))
    starts = np.cumsum([pause, *(len(one) + pause for one in spoken)])
    samples = np.zeros((starts[-1], 1 + max(channel for channel, _, _ in turns)))
    for (channel, _, _), start, one in zip(turns, starts[:-1], spoken, strict=True):
        samples[start : start + len(one), channel] = one
    return samples


def make_clips(folder: Path) -> list[Path]:
    """Make all clips in a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, turns in CLIPS.items():
            soundfile.write(
                folder / name, record(turns, Path(scratch)), SAMPLE_RATE, compression_level=COMPRESSION
            )
    return [folder / name for name in CLIPS]


def main() -> int:
    """Make the clips; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the examples of 'vocalics app' again with espeak-ng.")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, metavar="FOLDER")
    folder = parser.parse_args().output
    if shutil.which("espeak-ng") is None:
        message = "espeak-ng is not on the PATH; install it (Debian: apt-get install espeak-ng)."
        print(message, file=sys.stderr)
        return 2
    for path in make_clips(folder):
        clip = soundfile.info(path)
        print(f"{path.name:22} {clip.duration:4.1f} s  {clip.channels} ch  {path.stat().st_size:6,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
