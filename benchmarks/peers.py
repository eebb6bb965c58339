"""From file to label, against what a user would otherwise pick, each by itself on one core.

    python benchmarks/peers.py [--rounds R] [--seconds S] [--keras-python PATH] [--transformers-python PATH]
                               [-o FILE.json]

Every clip is 3 s of speech, a wav file at 16 kHz. The contenders (``contenders/``, written as their users
write them):

- vocalics: `Model.predict` with the bundled model;
- librosa + Keras: the published system ``cnn2d`` in TensorFlow, which answers by `model.predict`, and once
  more by `model(x)`, which is quicker for one clip;
- wav2vec2-base: a pipeline of transformers for audio classification.

The weights of the last two are at random, which changes no arithmetic; their numbers of parameters are
checked before anything is told. In each round every contender takes its turn in a process of its own. Told
are the medians over the rounds: *cold start*, from the start of the process to its first label; *clips a
second* after a warm-up of a fifth of the time; and the *peak* of its resident memory.

The marks: against librosa + Keras 10 times the throughput and a tenth of the cold start, against
wav2vec2-base 30 times the throughput.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batch import CLIP_S, make_clips
from side_by_side import KERAS_NEEDS, Contender, machine, medians, run, those_present
from vocalics.files import write_atomically

VOCALICS = "vocalics"
KERAS = "librosa + Keras, model.predict"
KERAS_CALLED = "librosa + Keras, model(x)"
WAV2VEC2 = "wav2vec2-base, pipeline"

#: What is compared: by which figure, and whether more of it is better.
COMPARED = {
    "throughput": ("clips a second", True),
    "cold start": ("cold start s", False),
    "memory": ("peak MB", False),
}

#: How many times better than a contender we must be.
MARKS = {
    KERAS: {"throughput": 10.0, "cold start": 10.0},
    KERAS_CALLED: {"throughput": 10.0, "cold start": 10.0},
    WAV2VEC2: {"throughput": 30.0},
}

#: Parameters of a model of true size: those of ``cnn2d`` by hand (convolutions of 3x3 without a bias, two
#: numbers a channel of the normalisation, dense layers), and those of wav2vec2-base, 94,371,712, with its
#: classifier (768 to 256 to 8).
PARAMETERS = {
    KERAS: 9 * (32 + 32 * 64 + 64 * 128) + 2 * (32 + 64 + 128) + 129 * 256 + 257 * 128 + 129 * 8,
    WAV2VEC2: 94_371_712 + 769 * 256 + 257 * 8,
}
PARAMETERS[KERAS_CALLED] = PARAMETERS[KERAS]

#: More clips would only fill the disk.
N_CLIPS = 100


def contenders(keras_python: str, transformers_python: str, checkpoint: Path) -> list[Contender]:
    """Return all of them, ours first."""
    keras = (KERAS_NEEDS, keras_python, "--keras-python")
    return [
        Contender(VOCALICS, ["vocalics_predict.py"], ["vocalics", "onnxruntime"]),
        Contender(KERAS, ["keras_cnn2d.py"], *keras),
        Contender(KERAS_CALLED, ["keras_cnn2d.py", "--call", "direct"], *keras),
        Contender(
            WAV2VEC2,
            ["wav2vec2_pipeline.py", "--model", str(checkpoint)],
            ("torch", "transformers", "soundfile"),
            transformers_python,
            "--transformers-python",
        ),
    ]


def measure(present: Iterable[Contender], clips: Path, rounds: int, seconds: float) -> dict[str, list[Any]]:
    """Let the contenders take turns; return what each told in each round.

    A round that is not counted goes first: it fills the system's cache, and compiles what libraries keep.
    """
    runs: dict[str, list[Any]] = {one.name: [] for one in present}
    for number in range(rounds + 1):
        for one in present:
            first_s, (_, figures) = run(one, ["--clips", clips, "--seconds", seconds if number else 0])
            require_true_size(one.name, figures.pop("parameters"))
            if number:
                runs[one.name].append({"cold start s": first_s, **figures})
    return runs


def require_true_size(name: str, parameters: int) -> None:
    """Refuse a model that is not the one that it stands for."""
    if parameters != PARAMETERS.get(name, parameters):
        raise SystemExit(
            f"{name} has {parameters:,} parameters, not {PARAMETERS[name]:,}; so nothing is compared."
        )


def compare(figures: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Set every contender's medians beside ours.

    Returns
    -------
    A row for each: its ``ratios`` (above 1 we are better), the ``marks`` that hold for it with whether they
    are met, and its figures.
    """
    ours = figures[VOCALICS]
    rows = []
    for name, theirs in figures.items():
        ratios = {
            what: ours[figure] / theirs[figure] if more else theirs[figure] / ours[figure]
            for what, (figure, more) in COMPARED.items()
        }
        marks = {
            what: {"mark": mark, "met": ratios[what] >= mark} for what, mark in MARKS.get(name, {}).items()
        }
        speed = {"times real time": CLIP_S * theirs["clips a second"]}
        rows.append({"contender": name, "ratios": ratios, "marks": marks, **theirs, **speed})
    return rows


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as text, ratios first, each with its mark."""
    titles = [*COMPARED, "contender", "clips/s", "x real time", "cold start", "peak"]
    lines = ["{:>16}{:>18}{:>9}  {:32}{:>9}{:>13}{:>12}{:>10}".format(*titles)]
    for row in rows:
        told = {
            what: f"{ratio:.1f}" + (f" (>= {row['marks'][what]['mark']:g})" if what in row["marks"] else "")
            for what, ratio in row["ratios"].items()
        }
        lines.append(
            f"{told['throughput']:>16}{told['cold start']:>18}{told['memory']:>9}  {row['contender']:32}"
            f"{row['clips a second']:9.1f}{row['times real time']:13.0f}{row['cold start s']:10.2f} s"
            f"{row['peak MB']:7.0f} MB"
        )
    return "\n".join(lines)


def missed(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the marks that are not met."""
    return [
        f"{what} against {row['contender']}"
        for row in rows
        for what, mark in row["marks"].items()
        if not mark["met"]
    ]


def main() -> int:
    """Measure, print the table, and return 0 when all marks of those present are met, else 1."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "wav2vec2-base")
        present = those_present(contenders(options.keras_python, options.transformers_python, checkpoint))
        if any(one.name == WAV2VEC2 for one in present):
            writer = Contender("the checkpoint", ["wav2vec2_pipeline.py"], (), options.transformers_python)
            run(writer, ["--write", checkpoint])
        clips = Path(folder, "clips")
        clips.mkdir()
        make_clips(clips, N_CLIPS)
        runs = measure(present, clips, options.rounds, options.seconds)
    rows = compare({name: medians(own) for name, own in runs.items()})
    print(
        f"clips of {CLIP_S:g} s, one core, medians of {options.rounds} rounds; how many times better we are:"
    )
    print(table(rows))
    faults = missed(rows)
    print(f"marks MISSED: {', '.join(faults)}" if faults else "marks met")
    if options.output:
        record = {
            "command": f"python benchmarks/peers.py --rounds {options.rounds} --seconds {options.seconds:g}",
            "machine": machine(),
            "versions": {name: number for one in present for name, number in one.versions().items()},
            "clip s": CLIP_S,
            "rounds": options.rounds,
            "contenders": rows,
            "runs": runs,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")
    return 1 if faults else 0


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="after one not counted")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each contender in each round")
    parser.add_argument("--keras-python", default=sys.executable, metavar="PATH", help="has TensorFlow")
    parser.add_argument("--transformers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
