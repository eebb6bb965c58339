"""How long ``vocalics predict one.wav`` takes from cold, against the imports that it cannot do without.

    python benchmarks/cold_start.py [--model M] [--recording FILE] [--runs N] [--json FILE]

Every run is a process of its own, started by the interpreter that runs this script. The commands take turns,
so that a machine that slows down slows all of them. The mark: by the medians, within twice the time of the
imports plus 0.3 s.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

IMPORTS = "import numpy, onnxruntime, soundfile"
COMMAND_LINE = "import sys; from vocalics.cli import main; sys.exit(main())"
EXAMPLE = Path(__file__).parents[1] / "examples" / "woman.wav"
FACTOR, ALLOWANCE_S = 2.0, 0.3


def seconds(command: list[str]) -> float:
    """Wall time of one process; it must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measure, print a table, and return 0 when the mark is met, else 1."""
    options = parse_options()
    predict = [sys.executable, "-c", COMMAND_LINE, "predict", str(options.recording)]
    predict += ["--model", options.model] if options.model else []
    commands = {
        IMPORTS: [sys.executable, "-c", IMPORTS],
        "vocalics predict": predict,
        "vocalics predict --format table": [*predict, "--format", "table"],
        "vocalics --help": [sys.executable, "-c", COMMAND_LINE, "--help"],
    }
    for command in commands.values():  # fills the disk cache and writes the byte code
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            times[name].append(seconds(command))

    medians = {name: statistics.median(values) for name, values in times.items()}
    mark_s = FACTOR * medians[IMPORTS] + ALLOWANCE_S
    met = medians["vocalics predict"] <= mark_s
    print(f"{'from cold':38} {'median s':>9} {'fastest s':>10} {'slowest s':>10} {'ratio':>6}")
    for name, values in times.items():
        ratio = medians[name] / medians[IMPORTS]
        print(f"{name:38} {medians[name]:9.3f} {min(values):10.3f} {max(values):10.3f} {ratio:6.2f}")
    print(f"mark: {FACTOR:g} x imports + {ALLOWANCE_S:g} s = {mark_s:.3f} s, {'met' if met else 'MISSED'}")
    if options.json:
        machine = {"python": platform.python_version(), "system": platform.system(), "cpus": os.cpu_count()}
        record = {"machine": machine, "times_s": times, "medians_s": medians, "mark_s": mark_s, "met": met}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if met else 1


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="name or .onnx file; default: the bundled model")
    parser.add_argument("--recording", type=Path, default=EXAMPLE)
    parser.add_argument("--runs", type=int, default=15, help="of every command, after one not counted")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
