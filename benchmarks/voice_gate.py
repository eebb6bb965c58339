"""What the gate before the voice activity detector drops, and that no stretch of speech is lost to it.

    python benchmarks/voice_gate.py [--data DIR] [--every N] [-o FILE.json]

The clips of RAVDESS, TESS, SAVEE and nEMO are joined with pauses of 1.5 s, each pause of another kind:
digital silence, the last bit flipping, hum of 50 Hz 40 dB under full scale, white noise at -70 dB; and joined
again 30 dB quieter. The stretches found with the gate are compared with those found without it. Lost is a
stretch of which nothing is left; changed is one whose beginning or end moved by more than 0.1 s. The seconds
are processor time.
"""

import argparse
import json
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.files import write_atomically
from vocalics.lab.corpora.data import data_folder, load_data
from vocalics.recognition.speech import VAD_RATE
from vocalics.recognition.stretches import Stretch, StretchFinder
from vocalics.recognition.voice import VoiceActivity

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


def find(sound: Samples, gate: bool) -> tuple[list[Stretch], VoiceActivity, float]:
    """Return the stretches, the detector with its counts, and the processor time."""
    start = time.process_time()
    voice, finder = VoiceActivity(gate), StretchFinder()
    found = [finder.push(p) for p in [*voice.push(sound), *voice.finish()]]
    found.append(finder.finish())
    return [stretch for stretch in found if stretch], voice, time.process_time() - start


def compare(without: list[Stretch], gated: list[Stretch]) -> tuple[int, int]:
    """Count the stretches that are lost, and those of which more than `CHANGE_S` is."""
    lost = shortened = 0
    for one in without:
        spans = [(max(one.start_s, other.start_s), min(one.end_s, other.end_s)) for other in gated]
        kept_s = sum(max(0.0, end_s - start_s) for start_s, end_s in spans)
        lost += not kept_s
        shortened += 0 < kept_s < one.end_s - one.start_s - CHANGE_S
    return lost, shortened


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per corpus (VOCALICS_DATA)")
    parser.add_argument("--every", type=int, default=1, help="only every n-th clip")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    rows = []
    for corpus in CORPORA:
        manifest = load_data(data_folder(options.data), None, [corpus])
        paths = [manifest.audio_path(one) for one in manifest][:: options.every]
        for gain_db in GAINS_DB:
            counts = np.zeros(5)  # stretches, lost, shortened, chunks, dropped
            seconds = np.zeros(2)
            for start in range(0, len(paths), CLIPS_AT_ONCE):
                pause = cycle(pauses(generator))
                clips = [
                    audio.read(path).mono().resampled(VAD_RATE).samples[0]
                    for path in paths[start : start + CLIPS_AT_ONCE]
                ]
                gain = np.float32(10 ** (gain_db / 20))
                sound = np.hstack([part for clip in clips for part in (gain * clip, gain * next(pause))])
                without, _, alone_s = find(sound, gate=False)
                gated, voice, gated_s = find(sound, gate=True)
                counts += [len(without), *compare(without, gated), voice.n_chunks, voice.n_dropped]
                seconds += [alone_s, gated_s]
            n_stretches, lost, shortened, n_chunks, n_dropped = counts.tolist()
            row = {
                "corpus": corpus,
                "gain_db": gain_db,
                "clips": len(paths),
                "stretches": round(n_stretches),
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
