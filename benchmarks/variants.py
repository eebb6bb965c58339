"""Variants of models with smaller weights, int8 and float16: what they win, and what UAR they lose.

    python benchmarks/variants.py RUNS [--seed S] [--data DIR] [--clips N] [--json FILE]
    python benchmarks/variants.py MODEL --corpus NAME [--data DIR] [--clips N] [--json FILE]

RUNS holds the runs of one system's folds, ``fold-K-seed-S/model.onnx``, as ``vocalics benchmark`` leaves
them. The variants of each fold are made with recordings of its training part, and answer its test part. A
MODEL answers all of a corpus that it was not trained on.

The UAR is that of all folds pooled; what a variant loses of it stands in points, with its 95 % interval over
speakers. The time is that of one window of 3 s on one thread: the contenders take turns, the table has
medians by the clock, and the ratio is by processor time, which a busy machine disturbs less. A variant wins
where it takes a tenth less time than float32, or half the file. The mark: one that wins, and loses 0.5 points
at most.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from vocalics import audio
from vocalics.errors import VocalicsError
from vocalics.lab import metrics
from vocalics.lab.corpora import load_data
from vocalics.lab.dataset import utterance_number
from vocalics.lab.evaluation import seen_speakers
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.splits import load_split
from vocalics.lab.variants import PRECISIONS, hear, make_variant, training_recordings
from vocalics.recognition.model import Model

FLOAT32 = "float32"
WINDOW_S = 3.0
FASTER, SMALLER = 0.9, 0.5
ALLOWED_POINTS = 0.5
EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass(frozen=True)
class Source:
    """One float32 model, what it is tested on, and what its variants are made with."""

    label: str
    model: Model
    tested: Manifest
    utterances: Manifest


@dataclass
class Answers:
    """What the contenders answered, clip by clip: indices of emotions."""

    truth: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    predicted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def uar(self, contender: str, emotions: tuple[str, ...]) -> float:
        """Return one contender's UAR, in [0, 1]."""
        return metrics.uar(metrics.confusion(self.truth, self.predicted[contender], emotions))

    def lost(self, contender: str) -> metrics.Interval:
        """Return what is lost of float32's UAR, with its interval over speakers."""
        return metrics.paired_difference(
            "uar", self.truth, self.predicted[FLOAT32], self.predicted[contender], self.speakers
        )

    def add(self, others: "Answers") -> None:
        """Pool the answers of another fold."""
        self.truth += others.truth
        self.speakers += others.speakers
        for contender, predicted in others.predicted.items():
            self.predicted[contender] += predicted


def main() -> int:
    """Measure, print a table, and return 0 when the mark is met, else 1."""
    options = parse_options()
    pooled, folds = Answers(), []
    times: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in list_sources(options):
            contenders = make_contenders(source, Path(folder))
            if not times:  # the folds have one network
                times = measure_time(contenders, options.repetitions)
                sizes = {name: model.path.stat().st_size for name, model in contenders.items()}
            answers = ask(contenders, source.tested)
            emotions = source.model.emotions
            uars = {name: answers.uar(name, emotions) for name in contenders}
            folds.append({"fold": source.label, "clips": len(answers.truth), "uar": uars})
            told = ", ".join(f"{name} {100 * uar:.2f} %" for name, uar in uars.items())
            print(f"{source.label}: {len(answers.truth)} clips, UAR {told}", file=sys.stderr)
            pooled.add(answers)
    rows = {name: row(name, pooled, emotions, times, sizes) for name in contenders}
    print_table(rows)
    if options.json:
        machine = {
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "system": platform.system(),
            "processor": processor(),
            "cpus": os.cpu_count(),
        }
        record = {"machine": machine, "source": options.source, "folds": folds, "contenders": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if any(one["wins"] and one["stays_within"] for one in rows.values()) else 1


def list_sources(options: argparse.Namespace) -> Iterator[Source]:
    """Yield the folds of a system, or the one model."""
    runs = sorted(Path(options.source).glob(f"fold-*-seed-{options.seed}/model.onnx"))
    models = [Model.load(path) for path in runs] or [Model.load(options.source)]
    recipe = models[0].card.training["recipe"]
    trained = load_data(options.data, corpora=recipe["corpora"])
    if runs:
        utterances, _ = trained.project(models[0].emotions, recipe.get("merge", {}))
        for model in models:
            tested = utterances.select(load_split(model.path.with_name("split.json")).test)
            yield Source(model.path.parent.name, model, some(tested, options.clips), utterances)
        return
    if options.corpus is None:
        sys.exit(f"{options.source} is one model: name a --corpus that it was not trained on")
    (model,) = models
    tested, _ = load_data(options.data, corpora=[options.corpus]).project(model.emotions)
    if seen := seen_speakers(model.card, tested):
        sys.exit(
            f"'{model.name}' was trained on {len(seen)} speakers of {options.corpus}; name another corpus"
        )
    yield Source(options.corpus, model, some(tested, options.clips), trained)


def some(manifest: Manifest, clips: int | None) -> Manifest:
    """Return so many utterances, drawn alike on every machine."""
    ordered = sorted(manifest, key=lambda utterance: utterance_number(utterance.id))
    return manifest.select(utterance.id for utterance in ordered[:clips])


def make_contenders(source: Source, folder: Path) -> dict[str, Model]:
    """Make the variants of a model; itself comes first."""
    content = source.model.path.read_bytes()
    recordings = training_recordings(source.model, source.utterances)
    waveforms = hear(source.model.card, recordings)
    contenders = {FLOAT32: source.model}
    for precision in PRECISIONS:
        path = folder / f"{source.label}-{precision}.onnx"
        path.write_bytes(make_variant(content, precision, waveforms))
        contenders[precision] = Model.load(path)
    return contenders


def ask(contenders: dict[str, Model], tested: Manifest) -> Answers:
    """Let all contenders hear every clip, undivided, as `evaluate` does."""
    answers = Answers()
    for utterance in tested:
        waveform = audio.read(tested.audio_path(utterance))
        for name, model in contenders.items():
            mean = model.hear(waveform).probabilities.mean(axis=0, dtype=np.float64)
            answers.predicted[name].append(int(mean.argmax()))
        answers.truth.append(contenders[FLOAT32].emotions.index(utterance.emotion))
        answers.speakers.append(speaker(utterance))
    return answers


def speaker(utterance: Utterance) -> str:
    """Say who speaks; where that is unknown, the clip counts as one."""
    return f"{utterance.corpus}/{utterance.speaker}" if utterance.speaker else utterance.id


def measure_time(contenders: dict[str, Model], repetitions: int) -> dict[str, Any]:
    """Take the milliseconds of an answer for one window, by the clock and by the processor."""
    card = contenders[FLOAT32].card
    sound = audio.read(EXAMPLES / "woman.wav").mono().resampled(card.sample_rate, card.bandwidth_hz)
    window = np.ascontiguousarray(sound.samples[:, : round(WINDOW_S * card.sample_rate)])
    for model in contenders.values():
        model.answer(window)
    times: dict[str, Any] = {name: {"clock_ms": [], "processor_ms": []} for name in contenders}
    for _ in range(repetitions):
        for name, model in contenders.items():
            clock_ns, processor_ns = time.perf_counter_ns(), time.process_time_ns()
            model.answer(window)
            times[name]["processor_ms"].append((time.process_time_ns() - processor_ns) / 1e6)
            times[name]["clock_ms"].append((time.perf_counter_ns() - clock_ns) / 1e6)
    return {name: {kind: statistics.median(taken[kind]) for kind in taken} for name, taken in times.items()}


def row(
    name: str, pooled: Answers, emotions: tuple[str, ...], times: dict[str, Any], sizes: dict[str, int]
) -> dict[str, Any]:
    """Sum up one contender, and judge it."""
    time_ratio = times[name]["processor_ms"] / times[FLOAT32]["processor_ms"]
    size_ratio = sizes[name] / sizes[FLOAT32]
    lost = pooled.lost(name)
    return {
        "uar": pooled.uar(name, emotions),
        "uar_lost": lost.to_dict(),
        "clips": len(pooled.truth),
        "same_emotion": sum(map(int.__eq__, pooled.predicted[name], pooled.predicted[FLOAT32])),
        **times[name],
        "time_ratio": time_ratio,
        "bytes": sizes[name],
        "size_ratio": size_ratio,
        "wins": time_ratio <= FASTER or size_ratio <= SMALLER,
        "stays_within": 100 * lost.mean <= ALLOWED_POINTS,
    }


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """Print a row for each contender, and a sentence for each variant."""
    print(f"{'':8} {'UAR %':>6} {'lost, points':>21} {'ms':>6} {'time':>5} {'MB':>6} {'size':>5}")
    for name, one in rows.items():
        lost = one["uar_lost"]
        points = f"{100 * lost['mean']:+.2f}"
        if lost["low"] is not None:
            points += f" ({100 * lost['low']:+.2f} to {100 * lost['high']:+.2f})"
        points = "" if name == FLOAT32 else points
        print(
            f"{name:8} {100 * one['uar']:6.2f} {points:>21} {one['clock_ms']:6.2f} "
            f"{one['time_ratio']:5.2f} {one['bytes'] / 1e6:6.2f} {one['size_ratio']:5.2f}"
        )
    for name, one in rows.items():
        if name != FLOAT32:
            wins = "wins" if one["wins"] else "does not win"
            within = "stays within" if one["stays_within"] else "LOSES MORE THAN"
            same = f"{one['same_emotion']} of {one['clips']} answers are the same emotion"
            print(f"{name} {wins}, and {within} {ALLOWED_POINTS:g} points; {same}")


def processor() -> str:
    """Name the processor, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="RUNS|MODEL", help="folder of runs, a model's name or .onnx file")
    parser.add_argument("--corpus", help="to measure one model on")
    parser.add_argument("--seed", type=int, default=0, help="of the runs")
    parser.add_argument("--data", type=Path, help="default: VOCALICS_DATA")
    parser.add_argument("--clips", type=int, metavar="N", help="so many of each test part; default: all")
    parser.add_argument("--repetitions", type=int, default=200, help="of the timed answer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VocalicsError as error:
        sys.exit(str(error))
