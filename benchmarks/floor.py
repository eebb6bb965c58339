"""How near a prediction is to what the machine must do at least, on one core.

    python benchmarks/floor.py [--model M] [--clips N] [--rounds R] [-o FILE.json]

*The floor*: the multiply-adds of the model's graph for a window of 3 s, of every product in it by the shapes
that a run has, at the speed at which NumPy multiplies two float32 matrices with one thread on this machine;
and the bytes of a clip, read and turned into floats by one call of NumPy. All else (activations, means,
resampling, whether anybody speaks) counts as nothing.

*Measured*: the session on one window; and `Model.predict` on files, with the time that its stages take inside
it. The clips are 3 s of speech as wav, once as the model hears it (16 kHz, mono) and once at 48 kHz in
stereo. Times are medians over the rounds.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # heard only before NumPy is imported
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import soundfile

import vocalics
from batch import CLIP_S, make_clips, on_cores
from side_by_side import machine
from vocalics import audio
from vocalics.files import write_atomically
from vocalics.recognition import model as model_module
from vocalics.recognition import speech
from vocalics.recognition.model import Model

Array = npt.NDArray[np.floating]
Shape = Sequence[int]

#: Operators that multiply, and would be missed if they were not counted.
NOT_COUNTED = {"Attention", "ConvTranspose", "DFT", "Einsum", "GRU", "If", "Loop", "RNN", "Scan", "STFT"}

#: Sizes of the matrices: of the best one the speed is told.
SIZES = (512, 1024, 2048)

#: The stages inside `Model.predict`: whose function, its name, and what the stage is called.
STAGES = (
    (model_module, "read_recording", "decoding"),
    (Model, "_prepared", "mixing and resampling"),
    (speech, "has_speech", "is there speech"),
    (Model, "_run", "model"),
)


# ---- what must be done -----------------------------------------------------------------------------------


def _of_convolution(inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * math.prod(inputs[1][1:])  # weight (outputs, inputs // groups, kernel ...)


def _of_product(inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]


def _of_lstm(inputs: Sequence[Shape], output: Shape) -> int:
    steps, batch, width = inputs[0]
    directions, gates, units = inputs[2]  # of the weight of what it said before: 4 gates
    return steps * batch * directions * gates * (width + units)


#: Operator to its multiply-adds, by the shapes of inputs and first output.
_COUNT: dict[str, Callable[[Sequence[Shape], Shape], int]] = {
    "Conv": _of_convolution,
    "MatMul": _of_product,
    "Gemm": _of_product,
    "LSTM": _of_lstm,
}


def multiply_adds(graph: onnx.ModelProto, samples: Array) -> dict[str, int]:
    """Count the multiply-adds of a graph for one input, by operator.

    The shapes are those of a run with every product's inputs and output as outputs of the graph: the graph
    computes shapes itself, where inference by rules alone gives up.

    Parameters
    ----------
    graph
        With one input.
    samples
        What it is given.

    Raises
    ------
    ValueError
        It has an operator that multiplies and is not counted here.
    """
    unknown = {node.op_type for node in graph.graph.node} & NOT_COUNTED
    if unknown:
        raise ValueError(f"the products of {', '.join(sorted(unknown))} are not counted; extend _COUNT.")
    products = [node for node in graph.graph.node if node.op_type in _COUNT]
    for node in products:
        if node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
            raise ValueError(f"{node.name} turns its first matrix, which is not counted; extend _of_product.")
    shapes = _shapes(graph, samples, {name for node in products for name in [*node.input, node.output[0]]})
    counts: Counter[str] = Counter()
    for node in products:
        inputs = [shapes.get(name, ()) for name in node.input]
        counts[node.op_type] += _COUNT[node.op_type](inputs, shapes[node.output[0]])
    return dict(counts)


def _shapes(graph: onnx.ModelProto, samples: Array, wanted: set[str]) -> dict[str, Shape]:
    """Return the shapes of tensors in one run; constants are as they are."""
    shapes = {one.name: tuple(one.dims) for one in graph.graph.initializer}
    shapes[graph.graph.input[0].name] = samples.shape
    told = onnx.ModelProto()
    told.CopyFrom(graph)
    del told.graph.output[:]
    names = sorted(wanted - set(shapes) - {""})
    told.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {graph.graph.input[0].name: samples})
    return shapes | {name: value.shape for name, value in zip(names, values, strict=True)}


def matrix_speed(rounds: int) -> float:
    """Multiply square matrices; return the best size's floating-point operations a second, two a product."""
    speeds = []
    rng = np.random.default_rng(0)
    for size in SIZES:
        left, right = rng.standard_normal((2, size, size)).astype(np.float32)
        out = np.empty_like(left)
        seconds = median_s(lambda left=left, right=right, out=out: np.matmul(left, right, out=out), rounds)
        speeds.append(2 * size**3 / seconds)
    return max(speeds)


# ---- what is done ----------------------------------------------------------------------------------------


def median_s(call: Callable[[], object], rounds: int) -> float:
    """Call once, then so often; return the median time."""
    call()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def read_at_least(path: Path) -> Array:
    """Read a 16-bit wav file as if nothing about it could be otherwise."""
    return np.frombuffer(path.read_bytes(), np.int16, offset=44).astype(np.float32) / np.float32(32_768)


@contextmanager
def watched(spent_s: Counter[str]) -> Iterator[None]:
    """Let the stages add up their time."""
    originals = [getattr(owner, name) for owner, name, _ in STAGES]

    def timed(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                spent_s[stage] += time.perf_counter() - began

        return call

    try:
        for (owner, name, stage), function in zip(STAGES, originals, strict=True):
            setattr(owner, name, timed(function, stage))
        yield
    finally:
        for (owner, name, _), function in zip(STAGES, originals, strict=True):
            setattr(owner, name, function)


def predict_times(model: Model, clips: list[Path], rounds: int) -> dict[str, float]:
    """Return what `Model.predict` takes for a clip, by stage and in all, in ms."""
    model.predict(clips)
    per_round: list[Counter[str]] = []
    for _ in range(rounds):
        spent_s: Counter[str] = Counter()
        began = time.perf_counter()
        with watched(spent_s):
            for clip in clips:
                model.predict(clip)
        whole_s = time.perf_counter() - began
        rest = {"else": whole_s - spent_s.total(), "all": whole_s}
        per_round.append(Counter({**spent_s, **rest}))
    to_ms = 1e3 / len(clips)
    stages = [*(stage for _, _, stage in STAGES), "else", "all"]
    return {stage: to_ms * statistics.median(one[stage] for one in per_round) for stage in stages}


def make_stereo(clips: list[Path], folder: Path) -> list[Path]:
    """Write the clips at 48 kHz in two channels."""
    paths = []
    for clip in clips:
        paths.append(folder / f"stereo-{clip.name}")
        samples = audio.read(clip).resampled(48_000).samples[0]
        soundfile.write(paths[-1], np.stack([samples, 0.5 * samples], axis=1), 48_000, "PCM_16")
    return paths


def measure(model: Model, n_clips: int, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder), n_clips)
        stereo = make_stereo(clips, Path(folder))
        window = audio.read(clips[0]).mono().resampled(model.card.sample_rate).samples
        counts = multiply_adds(onnx.load(model.path), window)
        speed = matrix_speed(rounds)
        session_s = median_s(
            lambda: model.session.run(["probabilities", "embedding"], {"waveform": window}), 10 * rounds
        )
        files = {}
        for name, paths in {"16 kHz, mono": clips, "48 kHz, stereo": stereo}.items():
            decoded_s = median_s(lambda paths=paths: [read_at_least(path) for path in paths], rounds)
            files[name] = {
                "bytes": paths[0].stat().st_size,
                "at least, ms": {"decoding": 1e3 * decoded_s / len(paths)},
                "measured, ms": predict_times(model, paths, rounds),
            }
    ideal_s = 2 * sum(counts.values()) / speed
    return {
        "multiply-adds": counts,
        "matrix product, GFLOP/s": speed / 1e9,
        "at least, ms": 1e3 * ideal_s,
        "session.run, ms": 1e3 * session_s,
        "share of the floor": ideal_s / session_s,
        "files": files,
    }


def main() -> None:
    """Measure, print, write."""
    options = parse_options()
    with on_cores(1):
        found = measure(vocalics.load(options.model), options.clips, options.rounds)
    print(f"a window of {CLIP_S:g} s, one core")
    for operator, count in found["multiply-adds"].items():
        print(f"  {operator:10}{count / 1e6:10.1f} million multiply-adds")
    print(
        f"  at {found['matrix product, GFLOP/s']:.1f} GFLOP/s at least {found['at least, ms']:.2f} ms; "
        f"session.run {found['session.run, ms']:.2f} ms: {100 * found['share of the floor']:.0f} % of the "
        "machine's speed"
    )
    for name, one in found["files"].items():
        least = one["at least, ms"]["decoding"]
        print(f"{name}: {one['bytes']:,} bytes, decoded in at least {least:.3f} ms; measured, ms:")
        print("  " + ", ".join(f"{stage} {ms:.2f}" for stage, ms in one["measured, ms"].items()))
    if options.output:
        record = {
            "command": f"python benchmarks/floor.py --clips {options.clips} --rounds {options.rounds}",
            "machine": machine(),
            "clip s": CLIP_S,
            **found,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="name or .onnx file; default: the bundled model")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
