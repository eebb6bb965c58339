"""A million recordings that nobody hears: what the bookkeeping of an archive costs.

    python benchmarks/batch_million.py [--recordings N] [-o FILE.json]

The recordings are names in a list, and a reader makes up an answer to each; all else is as always: listing,
sorting, pieces, rows, Parquet, the record of parts. The run is stopped half way, resumed to the end, and
resumed once more when nothing is left, each in a process of its own. Told are seconds for every tenth of the
archive, the resident memory after it, and how long a run that is resumed takes to its first answer.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from vocalics.files import write_atomically
from vocalics.recognition.batch import Progress, batch, run
from vocalics.recognition.batch.pieces import Piece
from vocalics.recognition.batch.task import Heard, Task


class Reader:
    """An engine that answers without listening."""

    workers, largest_piece = 2, 32

    def __init__(self, task: Task, workers: int | None, limit_s: float, name: str) -> None:
        """Take what an engine takes."""

    def __enter__(self) -> "Reader":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def hear(self, pieces: Iterable[Piece]) -> Generator[tuple[int, Heard], None, None]:
        """Answer each recording with a row as long as a true one."""
        labels = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
        shares = {label: round(0.2 - number / 50, 6) for number, label in enumerate(labels)}
        rest = {
            "emotion": "neutral",
            "confidence": 0.2,
            "probabilities": shares,
            "abstained": False,
            "reason": None,
            "duration_s": 3.0,
            "model": "vocalics",
            "error": None,
        }
        tail = b", " + json.dumps(rest).encode()[1:] + b"\n"
        for piece in pieces:
            for place, name in enumerate(piece.names, start=piece.first):
                yield place, Heard((b'{"path": ' + name + tail,), 3.0, False)


def resident_mb() -> float:
    """Memory that this process holds now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def keep_books(names: list[str], output: str, stop_at: int, step: int) -> None:
    """Run until so many are done; print a line of JSON for the listing and for every step."""
    began = time.perf_counter()
    last, first_s = began, None

    def watch(now: Progress) -> None:
        nonlocal last, first_s
        if now.done is None:
            return
        if first_s is None:
            first_s = time.perf_counter() - began
            tell("before the first answer", now.done, first_s)
            last = time.perf_counter()
        elif now.done % step == 0 and now.heard:
            tell("rows", now.done, time.perf_counter() - last)
            last = time.perf_counter()
        if now.done >= stop_at and now.heard:
            raise KeyboardInterrupt

    def tell(what: str, done: int, seconds: float) -> None:
        print(json.dumps({"what": what, "done": done, "seconds": seconds, "MB": resident_mb()}), flush=True)

    run.ENGINES["reader"] = Reader
    with contextlib.suppress(KeyboardInterrupt):
        batch(names, output, engine="reader", resume=True, progress=watch)
    tell("whole", stop_at, time.perf_counter() - began)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=1_000_000)
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    parser.add_argument("--books", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.books:
        names, folder, stop_at, step = options.books
        keep_books([names] if names else [], folder, int(stop_at), int(step))
        return
    count = options.recordings
    result: dict[str, Any] = {"command": f"python benchmarks/batch_million.py --recordings {count}"}
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, "names.txt")
        with names.open("w") as file:  # in no order, as a file system may tell them
            file.writelines(f"calls/{number * 7919 % count:09}/agent.wav\n" for number in range(count))
        for stage, asked, stop_at in (
            ("from nothing to the half", str(names), count // 2),
            ("resumed to the end", "", count + 1),
            ("resumed when all is there", str(names), count + 1),
        ):
            call = ["--books", asked, f"{folder}/rows", str(stop_at), str(count // 10)]
            told = subprocess.run(
                [sys.executable, __file__, *call], stdout=subprocess.PIPE, text=True, check=True
            )
            result[stage] = [json.loads(line) for line in told.stdout.splitlines()]
            print(stage)
            for step in result[stage]:
                print(f"  {step['done']:>12,} {step['seconds']:8.2f} s {step['MB']:7.0f} MB  {step['what']}")
        result["bytes on disk"] = sum(
            path.stat().st_size for path in Path(folder, "rows").rglob("*") if path.is_file()
        )
    print(f"{result['bytes on disk'] / 1e6:.0f} MB on the disk")
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
