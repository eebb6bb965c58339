"""Write docs/listen.svg, what ``vocalics listen`` draws after a minute: python docs/make_listen.py.

The example clips are heard one after another, a second apart, in the time they last, so the latency in the
picture is that of this machine; it takes a minute.
"""

import re
import sys
import tempfile
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

import vocalics
from vocalics import audio
from vocalics.cli.live import picture
from vocalics.recognition.listening import VIEW_S, Listening, View
from vocalics.recognition.microphone import played
from vocalics.recognition.recordings import list_recordings
from vocalics.recognition.stream import Stream

ROOT = Path(__file__).parents[1]
RATE = 16_000
WIDTH = 88


def main() -> int:
    """Listen, and draw the first moment after a minute at which the model is sure."""
    model = vocalics.load()
    with tempfile.TemporaryDirectory() as folder:
        talk = Path(folder) / "talk.wav"
        soundfile.write(talk, conversation(1.5 * VIEW_S), RATE)
        view = listen(model, talk)
    console = Console(record=True, width=WIDTH, file=sys.stderr)
    console.print("[dim]$[/dim] vocalics listen --input talk.wav", highlight=False)
    console.print(picture(view, "talk.wav", model.name, model.emotions, WIDTH))
    drawing = console.export_svg(title="vocalics")
    drawing = re.sub(r"@font-face {.*?}", "", drawing, flags=re.DOTALL)  # nothing is fetched to see it
    (ROOT / "docs" / "listen.svg").write_text(drawing)
    return 0


def conversation(duration_s: float) -> np.ndarray:
    """Return the example clips one after another, a second apart, again and again: (n_samples,)."""
    pause = np.zeros(RATE, dtype=np.float32)
    pieces: list[np.ndarray] = []
    for path in cycle(list_recordings([ROOT / "examples"])[0]):
        pieces += [audio.read(path).mono().resampled(RATE).samples[0], pause]
        if sum(map(len, pieces)) >= duration_s * RATE:
            return np.concatenate(pieces)
    raise AssertionError  # a cycle has no end


def listen(model: vocalics.Model, talk: Path) -> View:
    """Return the view at the first sure answer after a minute."""
    with played(talk) as source:
        listening = Listening(Stream(model, sample_rate=source.sample_rate), source.sample_rate)
        for sound in source.sounds:
            answers = listening.hear(sound)
            if listening.position_s > VIEW_S and answers and not answers[-1].segment.abstained:
                break
    return listening.view()


if __name__ == "__main__":
    sys.exit(main())
