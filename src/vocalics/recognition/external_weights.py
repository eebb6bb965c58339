"""Weights that lie in a file beside the model file.

ONNX is a protocol buffer, which ends at 2 GB, so the weights of a large model stand in a file of their own,
and the graph says in which. That name comes from whoever wrote the model: it is taken only where it is a
plain name, of a file in the model's own folder. It is read here without the package `onnx`, which is the
lab's.
"""

import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vocalics.errors import ModelError

if TYPE_CHECKING:
    from onnxruntime import SessionOptions

#: What the name of the file is called in the graph, and the characters that would lead out of the folder.
_KEY = b"location"
_NOT_IN_A_NAME = "/\\:\0"

#: Which fields of which message of ONNX's format hold a tensor, or a message that does, by field number [1]_.
#:
#: .. [1] https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}

#: Graphs stand within graphs (a loop in a branch); no exporter nests them as deep as this.
_DEEPEST = 64

#: Kinds of fields in a protocol buffer: a number of any length, 8 bytes, counted bytes, 4 bytes.
_NUMBER, _EIGHT, _COUNTED, _FOUR = 0, 1, 2, 5


def external_files(model: bytes, source: str | Path) -> list[str]:
    """List the files beside a model that hold its weights; most models have none.

    Parameters
    ----------
    model
        What stands in the model file.
    source
        What errors call it.

    Raises
    ------
    ModelError
        One of them would lie in another folder, or the file is damaged.
    """
    if _KEY not in model:
        return []
    try:
        names = set(_locations(memoryview(model), "model", 0))
    except (ValueError, IndexError):
        raise ModelError(f"{source} is damaged or was cut short; copy or export it again.") from None
    for name in names:
        if name in ("", ".", "..") or any(character in name for character in _NOT_IN_A_NAME):
            raise ModelError(
                f"{source} wants its weights from {name!r}; a model file is given files of its own folder "
                "alone, so it is not opened. Export it again with 'vocalics export RUN -o FILE.onnx'."
            )
    return sorted(names)


@contextmanager
def attached(options: "SessionOptions", model: bytes, path: Path) -> Iterator[None]:
    """Give a session's options the weights that lie beside a model, for as long as the session is being made.

    Parameters
    ----------
    options
        Of the session that is made within the block.
    model
        What stands in the model file.
    path
        The model file.

    Raises
    ------
    ModelError
        A file of weights is missing or lies elsewhere, or this ONNX Runtime cannot take any.
    """
    names = external_files(model, path)
    if not names:
        yield
        return
    add: Any = getattr(options, "add_external_initializers_from_files_in_memory", None)
    if add is None:
        raise ModelError(
            f"{path} keeps its weights in {names[0]} beside it, which this ONNX Runtime cannot read; "
            "pip install -U onnxruntime."
        )
    with ExitStack() as open_files:
        buffers = [open_files.enter_context(_mapped(path, name)) for name in names]
        add(names, buffers, [len(buffer) for buffer in buffers])
        yield


@contextmanager
def _mapped(path: Path, name: str) -> Iterator[mmap.mmap]:
    """Map a file beside the model into memory; its pages are shared by all processes that do."""
    beside = path.with_name(name)
    # The hub's cache is made of links, model and weights alike; elsewhere one would lead out of the folder.
    if not beside.is_file() or (beside.is_symlink() and not path.is_symlink()):
        raise ModelError(
            f"{path} keeps its weights in {name!r}, which is not beside it; put both files into one folder."
        )
    try:
        with beside.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except (OSError, ValueError) as error:  # ValueError: nothing is in it
        reason = error.strerror if isinstance(error, OSError) else "it is empty"
        raise ModelError(f"'{beside}', the weights of {path.name}, cannot be read: {reason}.") from None


# Protocol buffers ------------------------------------------------------------------------------------------


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """Yield every place that a tensor within a message is said to lie at."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if kind == "entry":
        texts = {
            number: bytes(value) for number, value in _fields(message)
        }  # of two equal ones the last counts
        if texts.get(1) == _KEY:
            yield texts.get(2, b"").decode()
        return
    for number, value in _fields(message):
        inner = _INSIDE[kind].get(number)
        if inner is not None:
            yield from _locations(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field that has its bytes counted; the others hold numbers."""
    position = 0
    while position < len(message):
        tag, position = _number(message, position)
        kind = tag & 7
        if kind == _NUMBER:
            _, position = _number(message, position)
        elif kind == _COUNTED:
            length, position = _number(message, position)
            yield tag >> 3, message[position : position + length]
            position += length
        elif kind in (_EIGHT, _FOUR):
            position += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a field of kind {kind}")  # groups, which ONNX has never had
    if position > len(message):
        raise ValueError("cut short")


def _number(message: memoryview, position: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, and say where the next field begins."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
