"""A model whose weights lie in a file beside it, for tests: any model file, with its tensors moved out."""

from pathlib import Path

import onnx
from onnx.external_data_helper import convert_model_to_external_data


def part(source: Path, target: Path, location: str | None = None) -> Path:
    """Write `source` as `target`, and its weights beside it in ``<target>.data``.

    With `location` the graph says that they lie there.
    """
    model = onnx.load(source)
    weights = f"{target.name}.data"
    convert_model_to_external_data(model, location=weights, size_threshold=100)  # lengths and axes stay
    onnx.save(model, target)
    if location is not None:
        renamed = onnx.load(target, load_external_data=False)
        for tensor in renamed.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        target.write_bytes(renamed.SerializeToString())
    return target
