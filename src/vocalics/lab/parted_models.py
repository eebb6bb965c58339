"""Models too large for one file: ONNX ends at 2 GB, so their weights are written into a file beside them.

`vocalics.recognition.external_weights` reads them.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime
from onnx.external_data_helper import set_external_data, uses_external_data

from vocalics.files import write_atomically, written_whole
from vocalics.recognition.external_weights import external_files

#: What weights may take within the model file, bytes; the graph and the card come on top.
LARGEST_WITHIN = 1_500_000_000

#: A tensor that is smaller stays in the graph: shapes, axes, the temperature.
SMALLEST_BESIDE = 1_024

#: Tensors begin at multiples of so many bytes, so that they can be computed with where they lie.
ALIGNMENT = 64

#: What lies beside a model file, by name; most have nothing there.
Beside = Mapping[str, bytes | bytearray]
NOTHING_BESIDE: Beside = {}


def weights_name(model: Path) -> str:
    """Return the name of the file that has the weights of a large model: ``model.onnx.data``."""
    return f"{model.name}.data"


def take_weights(graph: onnx.ModelProto, name: str) -> Beside:
    """Take the weights out of a graph that is too large for one file; the others keep theirs.

    Parameters
    ----------
    graph
        Afterwards says that they lie in the file `name`.
    name
        Of the file beside the model.

    Returns
    -------
    The file to write, if any.
    """
    tensors = [tensor for tensor in graph.graph.initializer if len(tensor.raw_data) >= SMALLEST_BESIDE]
    if sum(len(tensor.raw_data) for tensor in tensors) <= LARGEST_WITHIN:
        return NOTHING_BESIDE
    starts, size = [], 0
    for tensor in tensors:
        starts.append(size)
        size += -(-len(tensor.raw_data) // ALIGNMENT) * ALIGNMENT
    content = bytearray(size)
    for tensor, start in zip(tensors, starts, strict=True):
        length = len(tensor.raw_data)
        content[start : start + length] = tensor.raw_data
        set_external_data(tensor, name, start, length)
        tensor.ClearField("raw_data")
    return {name: content}


def read_weights(path: Path, model: bytes) -> Beside:
    """Read what lies beside a model file."""
    return {name: path.with_name(name).read_bytes() for name in external_files(model, path)}


def write_model(path: Path, model: bytes, beside: Beside) -> None:
    """Write a model file, after the weights beside it, which take its name."""
    if beside:
        name = weights_name(path)
        ((known, weights),) = beside.items()
        with written_whole(path.with_name(name)) as file:
            file.write(weights)
        model = model if known == name else _renamed(model, name)
    write_atomically(path, model)


def open_parts(model: bytes, beside: Beside) -> onnxruntime.InferenceSession:
    """Open a model that is not written yet."""
    options = onnxruntime.SessionOptions()
    if beside:
        names, contents = list(beside), list(beside.values())
        options.add_external_initializers_from_files_in_memory(names, contents, list(map(len, contents)))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _renamed(model: bytes, name: str) -> bytes:
    """Return a model whose weights lie in a file of another name."""
    graph = onnx.load_from_string(model)
    for tensor in graph.graph.initializer:
        if uses_external_data(tensor):
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = name
    renamed: bytes = graph.SerializeToString()
    return renamed
