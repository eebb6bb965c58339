"""How fast an archive of clips becomes rows: one worker, two, and Ray.

    python benchmarks/batch.py [--clips N] [--rounds R] [-o FILE.json]

Clips of 3 s at 16 kHz, 16 bit, lie in a folder; `vocalics.recognition.batch.batch` makes Parquet of them.
The speed is that from the moment when a tenth of the clips is done to the last row; the start (opening the
model, starting Ray) is told by itself, as the seconds to the first answer.

Marks: 300 times real time with one worker on one core; two workers on two cores at least 1.8 times that; Ray
at least 80 % of the processes. Beside them stands `Model.predict_iter` in this process on one core, which
writes nothing.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import vocalics
from vocalics.files import write_atomically
from vocalics.recognition.batch import batch

CLIP = Path(__file__).parents[1] / "examples" / "woman.wav"
CLIP_S = 3.0
MARK, MARK_TWO, MARK_RAY = 300.0, 1.8, 0.8

#: Answers of one heap come within this time, seconds.
HEAP_S = 0.001

#: Seconds since the beginning, and clips done until then.
Samples = list[tuple[float, int]]


def make_clips(folder: Path, count: int) -> list[Path]:
    """Write clips that are all different, and sound like speech."""
    sound, rate = soundfile.read(CLIP, dtype="int16")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05}.wav" for number in range(count)]
    for path in paths:
        start = rng.integers(len(sound))
        soundfile.write(path, np.roll(sound, start)[: round(CLIP_S * rate)], rate)
    return paths


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Hold this process, and those that it starts, to so many cores, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_a_loop(clips: list[Path]) -> Samples:
    """Let the model answer by itself."""
    began = time.perf_counter()
    model = vocalics.load()
    return [(time.perf_counter() - began, done) for done, _ in enumerate(model.predict_iter(clips), start=1)]


def by_batch(clips: list[Path], workers: int, engine: str) -> Samples:
    """Make rows of the clips."""
    samples: Samples = []
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, "clips.txt")
        names.write_text("\n".join(map(str, clips)))
        summary = batch(
            names,
            Path(folder, "rows"),
            workers=workers,
            engine=engine,
            progress=lambda now: samples.append((now.elapsed_s, now.heard)),
        )
    if summary.failed or summary.heard != len(clips):
        raise SystemExit(f"{summary.failed} of {summary.heard} clips failed")
    return [*samples, (summary.elapsed_s, summary.heard)]


def measure(run: Callable[[list[Path]], Samples], clips: list[Path], rounds: int) -> dict[str, float]:
    """Run several times; return the medians."""
    speeds, starts = [], []
    for _ in range(rounds):
        samples = run(clips)
        # Answers come in heaps: from the end of one, since what is in it was heard before.
        ends = [one for one, after in pairwise(samples) if after[0] - one[0] > HEAP_S]
        from_s, n_before = next(one for one in ends if one[1] >= len(clips) / 10)
        to_s, n_all = samples[-1]
        speeds.append(CLIP_S * (n_all - n_before) / (to_s - from_s))
        starts.append(next(elapsed_s for elapsed_s, done in samples if done))
    return {"times real time": statistics.median(speeds), "start, s": statistics.median(starts)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=1, help="of which the medians are told")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    runs: dict[str, tuple[int, Callable[[list[Path]], Samples]]] = {
        "a loop, 1 core": (1, in_a_loop),
        "1 worker, 1 core": (1, lambda clips: by_batch(clips, 1, "processes")),
    }
    if n_cores > 1:
        runs["2 workers, 2 cores"] = (2, lambda clips: by_batch(clips, 2, "processes"))
        if find_spec("ray") is not None:
            runs["Ray, 2 workers, 2 cores"] = (2, lambda clips: by_batch(clips, 2, "ray"))
    result: dict[str, Any] = {
        "command": f"python benchmarks/batch.py --clips {options.clips} --rounds {options.rounds}",
        "machine": {"processor": platform.processor() or platform.machine(), "cores": n_cores},
        "speeds": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder), options.clips)
        by_batch(clips[:20], 1, "processes")  # so that libraries and clips are in the system's cache
        print(f"{'':26}{'times real time':>16}{'clips a second':>16}{'start':>8}")
        for name, (cores, run) in runs.items():
            with on_cores(cores):
                found = measure(run, clips, options.rounds)
            result["speeds"][name] = found
            speed = found["times real time"]
            print(f"{name:26}{speed:16.0f}{speed / CLIP_S:16.0f}{found['start, s']:6.1f} s", flush=True)
    speeds = {name: found["times real time"] for name, found in result["speeds"].items()}
    one = speeds["1 worker, 1 core"]
    marks = {
        "1 worker, times real time": (one, MARK),
        "2 workers to 1": (speeds.get("2 workers, 2 cores", 0.0) / one, MARK_TWO),
        "Ray to processes": (
            speeds.get("Ray, 2 workers, 2 cores", 0.0) / speeds.get("2 workers, 2 cores", 1.0),
            MARK_RAY,
        ),
        "1 worker to the loop": (one / speeds["a loop, 1 core"], None),
    }
    result["ratios"] = {what: value for what, (value, _) in marks.items() if value}
    print()
    for what, (value, mark) in marks.items():
        verdict = "" if mark is None else f"  mark {mark:g}: {'met' if value >= mark else 'MISSED'}"
        print(f"{what:28}{value:8.2f}{verdict}" if value else f"{what:28}  not measured")
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
