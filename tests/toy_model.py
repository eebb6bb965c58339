"""A tiny model file for tests: the true interface and a true card around a few lines of arithmetic.

Twelve windowed sinusoids (six frequencies, sine and cosine) listen to the waveform; the logarithm of each
frequency's energy is a feature, its mean over time the embedding, and the affine head answers. Everything
is deterministic, and `reference` says the same in NumPy, by another route.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.card import METADATA_KEY, ModelCard

SAMPLE_RATE = 16_000
FRAME, HOP = 400, 160  # 25 and 10 ms at 16 kHz
FREQUENCIES_HZ = (120.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
EMOTIONS = ("neutral", "happy", "sad", "angry")
FLOOR = 1e-6  # energy under which silence is silence, so that its logarithm exists

FloatArray = npt.NDArray[np.float64]


def sinusoids() -> FloatArray:
    """Windowed cosines and sines, (2, n_frequencies, FRAME)."""
    time_s = np.arange(FRAME) / SAMPLE_RATE
    phase = 2 * np.pi * np.outer(FREQUENCIES_HZ, time_s)
    return np.stack([np.cos(phase), np.sin(phase)]) * np.hanning(FRAME)


def head() -> dict[str, Any]:
    """A head whose answer depends on every value of the embedding."""
    n_embedding = len(FREQUENCIES_HZ)
    random = np.random.default_rng(3)
    return {
        "weight": random.normal(size=(len(EMOTIONS), n_embedding)).tolist(),
        "bias": [0.1, -0.2, 0.3, 0.0],
        "mean": [0.5, 1.0, 0.0, -1.0, -2.0, -3.0],
        "std": [1.0, 1.5, 2.0, 2.5, 3.0, 3.5],
        "temperature": 1.6,
        "emotion_means": {emotion: [0.5 * i] * n_embedding for i, emotion in enumerate(EMOTIONS)},
    }


def card(**changes: Any) -> dict[str, Any]:
    """The card as a dictionary, with `changes`."""
    return {
        "format_version": 1,
        "name": "toy",
        "description": "Six band energies; for tests, not for people.",
        "emotions": list(EMOTIONS),
        "sample_rate": SAMPLE_RATE,
        "bandwidth_hz": 8000.0,
        "window_s": 1.0,  # shorter than the examples, so that they take several windows
        "minimum_s": 0.25,
        "abstain_below": 0.0,
        "recipe": "toy",
        "network": "band-energies",
        "parameters": 0,
        "licence": "MIT",
        "languages": ["en"],
        "head": head(),
        "training": {"command": "none", "seed": 3, "speakers": {"made-up": ["01", "02", "03"]}},
        "evaluation": {"made-up": {"uar": {"mean": 0.25, "low": 0.2, "high": 0.3}}},
        "limits": ["It has learnt nothing."],
        **changes,
    }


def write(
    path: Path,
    metadata: str | None = "card",
    attention: bool = True,
    waveform: str = "waveform",
    **changes: Any,
) -> Path:
    """Write the model file.

    Parameters
    ----------
    path
        Where to.
    metadata
        The card as JSON text; ``"card"`` means `card` with `changes`, None a file without a card.
    attention
        Whether the graph has the optional output.
    waveform
        Name of the input.
    changes
        Of the card.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    numbers = head()

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    cosines, sines = sinusoids().astype(np.float32)
    constants = [
        constant("cosines", cosines[:, np.newaxis, :]),  # (n_frequencies, 1, FRAME)
        constant("sines", sines[:, np.newaxis, :]),
        constant("floor", np.float32(FLOOR)),
        constant("one", np.array([1])),
        constant("time", np.array([2])),
        constant("weight", np.asarray(numbers["weight"], np.float32).T),
        constant("bias", np.asarray(numbers["bias"], np.float32)),
        constant("mean", np.asarray(numbers["mean"], np.float32)),
        constant("std", np.asarray(numbers["std"], np.float32)),
        constant("temperature", np.float32(numbers["temperature"])),
    ]
    node = helper.make_node
    nodes = [
        node("Unsqueeze", [waveform, "one"], ["channel"]),  # (batch, 1, samples)
        node("Conv", ["channel", "cosines"], ["real"], strides=[HOP]),  # (batch, n_frequencies, n_frames)
        node("Conv", ["channel", "sines"], ["imaginary"], strides=[HOP]),
        node("Mul", ["real", "real"], ["real2"]),
        node("Mul", ["imaginary", "imaginary"], ["imaginary2"]),
        node("Add", ["real2", "imaginary2"], ["energy"]),
        node("Add", ["energy", "floor"], ["audible"]),
        node("Log", ["audible"], ["features"]),
        node("ReduceMean", ["features", "time"], ["embedding"], keepdims=0),  # (batch, n_frequencies)
        node("ReduceMean", ["features", "one"], ["loudness"], keepdims=0),  # (batch, n_frames)
        node("Softmax", ["loudness"], ["attention"], axis=1),
        node("Sub", ["embedding", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["normalised"]),
        node("MatMul", ["normalised", "weight"], ["projected"]),
        node("Add", ["projected", "bias"], ["logits"]),
        node("Div", ["logits", "temperature"], ["calibrated"]),
        node("Softmax", ["calibrated"], ["probabilities"], axis=1),
    ]

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    outputs = [
        value("probabilities", "batch", len(EMOTIONS)),
        value("embedding", "batch", len(FREQUENCIES_HZ)),
        value("features", "batch", len(FREQUENCIES_HZ), "frames"),
        *([value("attention", "batch", "frames")] if attention else []),
    ]
    graph = helper.make_graph(nodes, "toy", [value(waveform, "batch", "samples")], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata == "card":
        metadata = ModelCard.model_validate(card(**changes)).to_json()
    if metadata is not None:
        helper.set_model_props(model, {METADATA_KEY: metadata})
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@dataclass(frozen=True)
class Reference:
    """What the graph should answer for one window, without the batch dimension."""

    probabilities: FloatArray
    embedding: FloatArray
    features: FloatArray
    attention: FloatArray


def reference(window: npt.ArrayLike) -> Reference:
    """The same arithmetic in NumPy, frame by frame, float64, for one window (n_samples,)."""
    samples = np.asarray(window, dtype=np.float64)
    starts = range(0, len(samples) - FRAME + 1, HOP)
    frames = np.stack([samples[start : start + FRAME] for start in starts])  # (n_frames, FRAME)
    spectrum = frames @ (sinusoids()[0] + 1j * sinusoids()[1]).T  # (n_frames, n_frequencies)
    features = np.log(np.abs(spectrum) ** 2 + FLOOR).T
    embedding = features.mean(axis=1)
    numbers = {key: np.asarray(number) for key, number in head().items() if key != "emotion_means"}
    logits = numbers["weight"] @ ((embedding - numbers["mean"]) / numbers["std"]) + numbers["bias"]
    attention = features.mean(axis=0)
    return Reference(_softmax(logits / numbers["temperature"]), embedding, features, _softmax(attention))


def _softmax(values: FloatArray) -> FloatArray:
    exponentials = np.exp(values - values.max())
    return np.asarray(exponentials / exponentials.sum())
