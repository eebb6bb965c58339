"""How long one epoch of the network of ``cnn2d`` takes: ours, and the same network in Keras.

    python benchmarks/training_epoch.py [--clips N] [--epochs N] [--rounds R] [--threads N]
                                        [--keras-python PATH] [-o FILE.json]

Clips of 192 features by 174 frames, in batches of 16, with Adam. Ours is what ``vocalics train cnn2d`` does,
features cached: with changed features, averaged weights and a checkpoint an epoch, in the precision that the
recipe chooses on this machine (bfloat16 where the processor computes in it), and once more in float32. Keras
computes in float32, by TensorFlow. ``contenders/`` has both; that they learn as many numbers from as many
features is checked before anything is told.

Every contender has a process of its own, with the same number of threads and cores, and they take turns. The
first epoch of a process is not counted. Told is the median over the others.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from side_by_side import KERAS_NEEDS, Contender, machine, run, those_present
from vocalics.files import write_atomically

OURS = "vocalics"
OURS_FLOAT32 = "vocalics, float32"
KERAS = "Keras"

#: What makes an epoch the same.
SAME = ("parameters", "shape", "batch")


def contenders(keras_python: str) -> list[Contender]:
    """Return all of them, ours first."""
    lab = ("vocalics", "torch", "lightning", "librosa")
    return [
        Contender(OURS, ["vocalics_epoch.py"], lab),
        Contender(OURS_FLOAT32, ["vocalics_epoch.py", "--precision", "float32"], lab),
        Contender(KERAS, ["keras_epoch.py"], KERAS_NEEDS, keras_python, "--keras-python"),
    ]


def measure(
    present: Iterable[Contender], rounds: int, threads: int, arguments: Sequence[object]
) -> dict[str, list[Any]]:
    """Let the contenders take turns; return what each told in each round."""
    told: dict[str, list[Any]] = {one.name: [] for one in present}
    for _ in range(rounds):
        for one in present:
            _, (figures,) = run(one, arguments, threads)
            told[one.name].append(figures)
    require_the_same({name: own[0] for name, own in told.items()})
    return told


def require_the_same(told: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to compare epochs of different networks, features or batches."""
    for what in SAME:
        if len({str(own[what]) for own in told.values()}) > 1:
            differing = ", ".join(f"{name} {own[what]}" for name, own in told.items())
            raise SystemExit(f"{what} differ ({differing}); so nothing is compared.")


def compare(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each contender, the ratio to ours first."""
    seconds = {
        name: statistics.median(second for one in rounds for second in one["epochs s"])
        for name, rounds in told.items()
    }
    return [
        {
            "contender": name,
            "ratio": seconds[name] / seconds[OURS],
            "epoch s": seconds[name],
            "peak MB": statistics.median(one["peak MB"] for one in rounds),
            "precision": rounds[0]["precision"],
        }
        for name, rounds in told.items()
    ]


def main() -> None:
    """Measure, print the table, write."""
    options = parse_options()
    present = those_present(contenders(options.keras_python))
    told = measure(
        present, options.rounds, options.threads, ["--clips", options.clips, "--epochs", options.epochs]
    )
    rows = compare(told)
    print(f"an epoch of {options.clips:,} clips, {options.threads} threads:")
    print(f"{'times ours':>10}  {'contender':24}{'epoch':>10}{'peak':>10}  precision")
    for row in rows:
        print(
            f"{row['ratio']:10.2f}  {row['contender']:24}{row['epoch s']:8.1f} s{row['peak MB']:7.0f} MB  "
            f"{row['precision']}"
        )
    if options.output:
        record = {
            "command": f"python benchmarks/training_epoch.py --clips {options.clips} "
            f"--epochs {options.epochs} --rounds {options.rounds} --threads {options.threads}",
            "machine": machine(),
            "versions": {name: number for one in present for name, number in one.versions().items()},
            "clips": options.clips,
            "threads": options.threads,
            **{what: told[OURS][0][what] for what in SAME},
            "contenders": rows,
            "runs": told,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=1152, help="RAVDESS has about as many to train on")
    parser.add_argument("--epochs", type=int, default=2, help="that count, of each process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keras-python", default=sys.executable, metavar="PATH", help="has TensorFlow")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
