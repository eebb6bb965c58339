"""A model file: found by name, here or on the hub, opened without unpickling, checked against its card."""

import os
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vocalics.card import METADATA_KEY, ModelCard
from vocalics.errors import ModelError, UsageError
from vocalics.recognition.external_weights import attached, external_files

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

#: Name of the bundled model that is used when none is named.
DEFAULT = "vocalics"

#: The interface of a model file: rank of every tensor, the batch first.
INPUTS = {"waveform": 2}
OUTPUTS = {"probabilities": 2, "embedding": 2, "features": 3}
OPTIONAL_OUTPUTS = {"attention": 2}

# Formats that are pickles, or may hold one. Their first bytes tell them when the suffix lies; "PK" is a
# zip, as torch.save writes.
_PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".h5", ".hdf5", ".keras"}
_PICKLE_STARTS = (b"\x89HDF", b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

_ONNX_START = b"\x08"  # the first field of a protobuf ModelProto, ir_version
_GIT_LFS_START = b"version https://git-lfs"


def list_models() -> dict[str, Path]:
    """Return the bundled models: file by name, sorted by name."""
    folder = Path(str(resources.files("vocalics") / "models"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def locate(model: str | Path | None) -> Path:
    """Return the file of a bundled model's name, of a path, of a name on the hub, or for None of the default.

    Raises
    ------
    ModelError
        There is no such name or file; the nearest name and all that exist are told.
    UsageError
        A name that begins with ``hf://`` is none, or needs what is not installed; see `hub.fetch`.
    """
    bundled = list_models()
    wanted = DEFAULT if model is None else model
    if isinstance(wanted, str) and wanted.startswith("hf://"):
        from vocalics.recognition.hub import fetch  # with it comes what a model on this disk does not need

        return fetch(wanted)
    if isinstance(wanted, str) and wanted in bundled:
        return bundled[wanted]
    path = Path(wanted)
    if os.path.isfile(path):  # noqa: PTH113, Path raises where a name is too long or a folder is closed
        return path
    if os.path.isdir(path):  # noqa: PTH112
        raise ModelError(f"'{path}' is a folder; name the .onnx file in it.")
    near = get_close_matches(str(wanted), bundled, n=1)
    hint = f"did you mean '{near[0]}'? Name" if near else "name"
    names = ", ".join(bundled) or "there is none in this installation"
    raise ModelError(
        f"there is no model '{wanted}'; {hint} a bundled one ({names}), the path of an .onnx file, or "
        "hf://OWNER/NAME."
    )


def open_session(path: Path, threads: int = 1) -> "InferenceSession":
    """Open an ONNX file. Nothing in it is unpickled or executed before it is asked for an answer.

    Parameters
    ----------
    path
        The file.
    threads
        Threads that work on one answer.

    Raises
    ------
    ModelError
        The file is a pickle, not ONNX, cut short or damaged, or wants weights that do not lie beside it.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads cannot run a model; give at least 1.")
    data = _read(path)

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised and told once, as a sentence
    try:
        with attached(options, data, path):
            return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        if data.startswith(_ONNX_START):
            beside = "".join(f", or {name} beside it," for name in external_files(data, path))
            raise ModelError(
                f"{path}{beside} is damaged or was cut short ({len(data):,} bytes): ONNX Runtime cannot open "
                "it; copy or export it again."
            ) from error
        raise ModelError(
            f"{path} is not an ONNX file; export a model with 'vocalics export RUN -o FILE.onnx'."
        ) from error


def read_card(session: "InferenceSession", path: Path) -> ModelCard:
    """Read the card out of an open file and check that the graph is what the card says; else `ModelError`."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"{path} is an ONNX file without a card, so its labels and sample rate are unknown; "
            "export it with 'vocalics export RUN -o FILE.onnx'."
        )
    card = ModelCard.from_json(text, str(path))
    _check_tensors(path, "input", session.get_inputs(), INPUTS, {})
    _check_tensors(path, "output", session.get_outputs(), OUTPUTS, OPTIONAL_OUTPUTS)
    widths = {"probabilities": len(card.emotions), "embedding": len(card.head.mean)}
    for output in session.get_outputs():
        width = output.shape[1]
        if isinstance(width, int) and width != widths.get(output.name, width):
            raise ModelError(
                f"{path} answers {width} values as '{output.name}' where its card says "
                f"{widths[output.name]}; "
                "graph and card are of two models: export it again."
            )
    return card


def describe_tensors(session: "InferenceSession", card: ModelCard) -> list[str]:
    """Return a line for every input and output: name, type, shape, and what the card says of it."""
    notes = {
        "waveform": f"  mono, {card.sample_rate:,} Hz, windows of {card.window_s:g} s",
        "probabilities": f"  {', '.join(card.emotions)}",
    }
    rows = [("input ", tensor) for tensor in session.get_inputs()]
    rows += [("output", tensor) for tensor in session.get_outputs()]
    return [
        f"  {kind} {tensor.name:13} float32 ({', '.join(map(_length, tensor.shape))})"
        + notes.get(tensor.name, "")
        for kind, tensor in rows
    ]


def _length(length: int | str | None) -> str:
    """Return a tensor's length as a number or a name; exporters also write formulas of the input's length."""
    return str(length) if isinstance(length, int) or (length or "").isidentifier() else "frames"


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"the model file '{path}' cannot be read: {error.strerror}.") from None
    if not data:
        raise ModelError(f"the model file '{path}' is empty; copy or export it again.")
    if path.suffix.lower() in _PICKLE_SUFFIXES or data.startswith(_PICKLE_STARTS):
        raise ModelError(
            f"{path} is a Python or Keras file, which can run any code when it is opened, so it is never "
            "unpickled; "
            "export the model with 'vocalics export RUN -o FILE.onnx' where it was trained."
        )
    if data.startswith(_GIT_LFS_START):
        raise ModelError(f"{path} is a Git LFS pointer, not the model; fetch the file with 'git lfs pull'.")
    return data


def _check_tensors(
    path: Path, kind: str, tensors: "list[NodeArg]", required: dict[str, int], optional: dict[str, int]
) -> None:
    """Refuse a missing name, another type than float32, another rank, and an input that nobody would fill."""
    found = {tensor.name: tensor for tensor in tensors}
    wrong = [f"'{name}' is missing" for name in required if name not in found]
    for name, tensor in found.items():
        rank = (required | optional).get(name)
        if rank is None and kind == "input":
            wrong.append(f"'{name}' is not known")
        elif rank is not None and (tensor.type != "tensor(float)" or len(tensor.shape) != rank):
            wrong.append(
                f"'{name}' is a {tensor.type} of rank {len(tensor.shape)}, not float32 of rank {rank}"
            )
    if wrong:
        raise ModelError(
            f"{path} is not a vocalics model, although it has a card: of its {kind}s {wrong[0]}; "
            "export it with 'vocalics export RUN -o FILE.onnx'."
        )
