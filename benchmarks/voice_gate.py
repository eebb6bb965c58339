"""What the gate before the voice activity detector drops, and that no stretch of speech is lost to it.

    python benchmarks/voice_gate.py [--data DIR] [--every N] [-o FILE.json]

The clips of RAVDESS, TESS, SAVEE and nEMO are joined with pauses of 1.5 s, each pause of another kind:
digital silence, the last bit flipping, hum of 50 Hz 40 dB under full scale, white noise at -70 dB; and joined
again 30 dB quieter. The stretches found without the gate are looked for with it. Cut is one with a chunk of
speech for which the detector was not asked: that is the gate's own doing. Lost is one of which nothing is
left, shortened one of which more than 0.1 s is gone: also where the detector, which remembers, answers
otherwise after another past. The times are of the processor.
"""

import argparse
import json
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.files import write_atomically
from vocalics.lab.corpora.data import data_folder, load_data
from vocalics.recognition.speech import VAD_RATE
from vocalics.recognition.stretches import PADDING_S, Stretch, StretchFinder
from vocalics.recognition.voice import CHUNK_S, VoiceActivity

CORPORA = ("ravdess", "tess", "savee", "nemo")
GAINS_DB = (0, -30)
PAUSE_S = 1.5
CHANGE_S = 0.1
CLIPS_AT_ONCE = 50
Samples = npt.NDArray[np.float32]


def pauses(generator: np.random.Generator) -> list[Samples]:
    """One pause of each kind."""
    n = round(PAUSE_S * VAD_RATE)
    kinds = [
        np.zeros(n),
        generator.integers(-1, 2, n) / 2**15,
        0.01 * np.sin(2 * np.pi * 50 * np.arange(n) / VAD_RATE),
        10 ** (-70 / 20) * generator.standard_normal(n),
    ]
    return [kind.astype(np.float32) for kind in kinds]


@dataclass(frozen=True)
class Heard:
    """What was found in a sound, with the gate or without it."""

    stretches: list[Stretch]
    unasked: npt.NDArray[np.bool_]  # chunks for which the detector was not asked
    dropped: int  # those that it did not even hear afterwards
    seconds: float


def find(sound: Samples, gate: bool) -> Heard:
    """Find the stretches of speech."""
    start = time.process_time()
    voice, finder = VoiceActivity(gate), StretchFinder()
    probabilities = [*voice.push(sound), *voice.finish()]
    found = [*map(finder.push, probabilities), finder.finish()]
    seconds = time.process_time() - start
    unasked = np.array(probabilities) == 0.0  # the detector itself never says so
    return Heard([stretch for stretch in found if stretch], unasked, voice.n_dropped, seconds)


def compare(without: Heard, gated: Heard) -> tuple[int, int, int]:
    """Count the stretches that are cut, lost, shortened."""
    cut = lost = shortened = 0
    for one in without.stretches:
        speech = slice(round((one.start_s + PADDING_S) / CHUNK_S), round((one.end_s - PADDING_S) / CHUNK_S))
        cut += bool(gated.unasked[speech].any())
        spans = [(max(one.start_s, other.start_s), min(one.end_s, other.end_s)) for other in gated.stretches]
        kept_s = sum(max(0.0, end_s - start_s) for start_s, end_s in spans)
        lost += not kept_s
        shortened += 0 < kept_s < one.end_s - one.start_s - CHANGE_S
    return cut, lost, shortened


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per corpus (VOCALICS_DATA)")
    parser.add_argument("--every", type=int, default=1, help="only every n-th clip")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    rows = []
    for corpus in CORPORA:
        manifest = load_data(data_folder(options.data), None, [corpus])
        paths = [manifest.audio_path(one) for one in manifest][:: options.every]
        for gain_db in GAINS_DB:
            generator = np.random.default_rng(0)
            counts = np.zeros(6)  # stretches, cut, lost, shortened, chunks, dropped
            seconds = np.zeros(2)
            for start in range(0, len(paths), CLIPS_AT_ONCE):
                pause = cycle(pauses(generator))
                clips = [
                    audio.read(path).mono().resampled(VAD_RATE).samples[0]
                    for path in paths[start : start + CLIPS_AT_ONCE]
                ]
                gain = np.float32(10 ** (gain_db / 20))
                sound = np.hstack([part for clip in clips for part in (gain * clip, gain * next(pause))])
                without, gated = find(sound, gate=False), find(sound, gate=True)
                counts += [
                    len(without.stretches),
                    *compare(without, gated),
                    len(gated.unasked),
                    gated.dropped,
                ]
                seconds += [without.seconds, gated.seconds]
            n_stretches, cut, lost, shortened, n_chunks, n_dropped = counts.tolist()
            row = {
                "corpus": corpus,
                "gain_db": gain_db,
                "clips": len(paths),
                "stretches": round(n_stretches),
                "cut": round(cut),
                "lost": round(lost),
                "shortened": round(shortened),
                "dropped": n_dropped / n_chunks,
                "faster": seconds[0] / seconds[1],
            }
            rows.append(row)
            told = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in row.items()}
            print("  ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    if options.output:
        result = {"command": "python benchmarks/voice_gate.py", "rows": rows}
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
