"""How a contender tells what it does with files: the first label, then how many follow in a second.

A contender calls `tell` with a function that opens its model. It is run as

    python benchmarks/contenders/NAME.py --clips FOLDER [--seconds S]

and prints two lines of JSON: the label of the first clip, and after a warm-up its speed, its processor time,
its peak memory and the size of its model. Where processor time for a clip is less than the clock's, something
else ran on that core.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

#: Share of the time that is for warming up and is not counted.
WARMING = 0.2


def parser() -> argparse.ArgumentParser:
    """Return the options that all contenders have."""
    options = argparse.ArgumentParser()
    options.add_argument("--clips", type=Path, required=True, help="folder of wav files")
    options.add_argument("--seconds", type=float, default=0.0, help="how long; each time at least one clip")
    return options


def tell(wanted: argparse.Namespace, open_model: Callable[[], tuple[Callable[[str], str], int]]) -> None:
    """Label the clips and print what was measured.

    Parameters
    ----------
    wanted
        Of `parser`.
    open_model
        Returns what makes a label of a file, and the number of the model's parameters.
    """
    clips = [str(path) for path in sorted(wanted.clips.glob("*.wav"))]
    label, parameters = open_model()
    print(json.dumps({"label": label(clips[0])}), flush=True)
    speed(label, clips, WARMING * wanted.seconds)
    figures = speed(label, clips, wanted.seconds)
    print(json.dumps({**figures, "peak MB": peak_mb(), "parameters": parameters}), flush=True)


def speed(label: Callable[[str], str], clips: list[str], seconds: float) -> dict[str, float]:
    """Label clips for so long, each in its turn."""
    done, began, began_cpu = 0, time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - began < seconds:
        label(clips[done % len(clips)])
        done += 1
    cpu_s, spent_s = time.process_time() - began_cpu, time.perf_counter() - began
    return {"clips a second": done / spent_s, "CPU ms a clip": 1e3 * cpu_s / done}


def peak_mb() -> float:
    """Peak of this process's resident set; what `getrusage` says may be that of the process it came from."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(lines["VmHWM"].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
