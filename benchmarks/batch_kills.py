"""Whether archives whose runs are killed at random moments have the same rows every time.

    python benchmarks/batch_kills.py [--runs N] [--clips N] [--seed S] [-o FILE.json]

`vocalics batch` runs over a folder of clips, with two workers. At random moments the run itself, or one of
its workers, gets SIGKILL; a run that was killed goes on with --resume. Every archive is compared with one
that nobody disturbed: the same parts, byte for byte, none missing, none more. Linux.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from vocalics.files import write_atomically

CLIP = Path(__file__).parents[1] / "examples" / "woman.wav"
PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"
CLIP_S, PART_SIZE, WORKERS = 1.0, 10, 2

#: Kills of one archive. Of workers at most one a run: what it was hearing is then heard by another.
MOST_KILLS = 4


def make_clips(folder: Path, count: int) -> None:
    """Write clips of a second, a twentieth of them empty files."""
    sound, rate = soundfile.read(CLIP, dtype="int16")
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:04}.wav"
        if number % 20 == 7:
            path.touch()
        else:
            soundfile.write(path, np.roll(sound, -331 * number)[: round(CLIP_S * rate)], rate)


def start(clips: Path, output: Path) -> subprocess.Popen[bytes]:
    """Begin a run, or go on with it."""
    asked = ["batch", clips, "-o", output, "--part-size", PART_SIZE, "-j", WORKERS, "--resume"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, asked)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(run: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run; 1 says that some recordings cannot be used, as the empty ones."""
    if (code := run.wait()) != 1:
        raise SystemExit(f"the run ended with {code}")


def workers_of(run: subprocess.Popen[bytes]) -> list[int]:
    """List the processes that a run has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it has ended
                continue
            if int(parent) == run.pid:
                found.append(int(entry.name))
    return sorted(found)


def parts(folder: Path) -> dict[str, bytes]:
    """All that a reader of tables would see."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def disturb(clips: Path, output: Path, usual_s: float, rng: random.Random) -> list[str]:
    """Make the archive and kill on the way; return whom and when."""
    kills = []
    run, killed_worker = start(clips, output), False
    for _ in range(rng.randint(1, MOST_KILLS)):
        time.sleep(rng.uniform(0, usual_s))
        if run.poll() is not None:
            break
        n_parts = len(list(output.glob("part-*")))
        workers = workers_of(run)
        if rng.random() < 0.5 and workers and not killed_worker:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills.append(f"worker at part {n_parts}")
            killed_worker = True
        else:
            run.kill()
            run.wait()
            kills.append(f"run at part {n_parts}")
            run, killed_worker = start(clips, output), False
    finish(run)
    return kills


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50, help="archives that are disturbed")
    parser.add_argument("--clips", type=int, default=300, help="recordings in each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder, "clips")
        make_clips(clips, options.clips)
        began = time.perf_counter()
        finish(start(clips, Path(folder, "calm")))
        usual_s = time.perf_counter() - began
        expected = parts(Path(folder, "calm"))
        print(f"undisturbed: {len(expected)} parts in {usual_s:.1f} s")
        for number in range(1, options.runs + 1):
            output = Path(folder, f"run-{number}")
            while not (kills := disturb(clips, output, usual_s, rng)):
                shutil.rmtree(output)  # it had ended before anybody was killed
            same = parts(output) == expected
            rows.append({"kills": kills, "identical": same})
            print(f"{number:4}  {'identical' if same else 'DIFFERENT':10} {', '.join(kills)}", flush=True)
            shutil.rmtree(output)
    n_same, n_kills = sum(row["identical"] for row in rows), sum(len(row["kills"]) for row in rows)
    print(f"{n_same} of {len(rows)} identical after {n_kills} kills")
    if options.output:
        command = f"python benchmarks/batch_kills.py --runs {options.runs} --clips {options.clips}"
        result = {"command": command, "identical": n_same, "kills": n_kills, "runs": rows}
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")
    raise SystemExit(n_same != len(rows))


if __name__ == "__main__":
    main()
