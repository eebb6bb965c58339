"""The network of a model in fewer bits: a smaller file, and with ``int8`` a faster answer.

What is touched lies between two outputs of the graph, `features` and `embedding`. Front end and head stay
float32: the logarithms of the spectrum need the range, and adaptation computes with the head.

``int8``
    Convolutions, and the matrix products that follow them, compute with 8 bits, over ranges that recordings
    have set once [1]_. Ranges that each call measures for itself would let one recording of a batch change
    the answers for the others. That rules out the only LSTM with 8 bits that ONNX Runtime has on a CPU
    (DynamicQuantizeLSTM): the weights of an LSTM, as those of the last layers, which run once a clip, lie in
    the file with 8 bits and become float32 when it is opened.
``float16``
    All weights lie in the file with 16 bits and become float32 when it is opened, so it is as fast as
    before; ONNX Runtime has no convolution with 16 bits for x86.

.. [1] https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from vocalics.errors import UsageError

Waveforms = Sequence[npt.NDArray[np.float32]]

#: Products in a sum of a convolution from which on 8 bits are used. In the bundled model one of 9 took 3.7
#: times as long with 8 bits as with float32, one of 288 a third; what lies between was not looked into.
SHORTEST_SUM = 32

#: Numbers in a tensor from which on it is stored with fewer bits.
SMALLEST = 256

#: Which inputs of an operator are weights.
_WEIGHTS = {"Conv": (1,), "Gemm": (1,), "MatMul": (1,), "LSTM": (1, 2)}

#: Operators that hand on numbers as they are: what comes in with 8 bits leaves with them.
_PASS_ON = ("Relu", "MaxPool", "Reshape", "Transpose")

#: Operators through which the exporter takes PyTorch's weights to where ONNX wants them.
_REARRANGE = ("Slice", "Concat", "Unsqueeze", "Squeeze", "Transpose", "Reshape")


def to_int8(model: onnx.ModelProto, waveforms: Waveforms) -> onnx.ModelProto:
    """Return a model whose network has weights of 8 bits, and computes with them where that is faster.

    Parameters
    ----------
    model
        As `export` writes it; it is left alone.
    waveforms
        Recordings that set the ranges, each (1, n_samples) as the model hears it.

    Raises
    ------
    UsageError
        The network has no weights that could be stored with fewer bits.
    """
    prepared = _copy(model)
    _pool_before_clipping(prepared.graph)
    nodes = _nodes_with_8_bits(prepared.graph)
    if nodes:
        prepared = _computing_with_8_bits(prepared, nodes, waveforms)
    stored = _store(prepared, _rows_of_8_bits, ("Gemm", "MatMul", "LSTM"))
    if not nodes and not stored:
        raise _nothing_to_store()
    return prepared


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose network has weights of 16 bits; see `to_int8`."""
    prepared = _copy(model)
    if not _store(prepared, _half_precision, tuple(_WEIGHTS)):
        raise _nothing_to_store()
    return prepared


def network_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """List the nodes that depend on `features` and that `embedding` depends on, in their order."""
    wanted, leading = {"embedding"}, set()
    for position, node in reversed(list(enumerate(graph.node))):
        if wanted.intersection(node.output):
            leading.add(position)
            wanted.update(node.input)
    heard, nodes = {"features"}, []
    for position, node in enumerate(graph.node):
        if heard.intersection(node.input):
            heard.update(node.output)
            if position in leading:
                nodes.append(node)
    return nodes


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _nothing_to_store() -> UsageError:
    return UsageError(
        "the network of this model has no weights that could be stored with fewer bits; use it as it is."
    )


# Computing with 8 bits -------------------------------------------------------------------------------------


class _Recordings(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Hands recordings to ONNX Runtime, one by one."""

    def __init__(self, waveforms: Waveforms) -> None:
        self._waveforms = iter(waveforms)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next input of the graph, or None after the last."""
        waveform = next(self._waveforms, None)
        return None if waveform is None else {"waveform": waveform}


def _pool_before_clipping(graph: onnx.GraphProto) -> None:
    """Exchange ReLU and maximum after a convolution that stays float32, which changes no answer.

    What is cut down to 8 bits afterwards is then fewer numbers, and ONNX Runtime does not do it before the
    maximum, for which it has a slow kernel with 8 bits.
    """
    weights = _constants(graph)
    for node in network_nodes(graph):
        if not 0 < _sum_length(node, weights) < SHORTEST_SUM:
            continue
        relu = _only_reader(graph, node.output[0])
        pool = relu and _only_reader(graph, relu.output[0])
        if relu and pool and (relu.op_type, pool.op_type) == ("Relu", "MaxPool"):
            relu.op_type, pool.op_type = pool.op_type, relu.op_type
            relu.attribute.extend(pool.attribute)
            del pool.attribute[:]


def _only_reader(graph: onnx.GraphProto, value: str) -> onnx.NodeProto | None:
    readers = [node for node in graph.node if value in node.input]
    return readers[0] if len(readers) == 1 else None


def _nodes_with_8_bits(graph: onnx.GraphProto) -> list[str]:
    """Name the nodes that compute with 8 bits: convolutions, and what comes of them up to a matrix product.

    A matrix product whose factor comes as float32 is left alone: turning it into 8 bits takes the time that
    would be won.
    """
    weights = _constants(graph)
    names, small = [], set()  # `small`: the values that come with 8 bits
    for node in network_nodes(graph):
        follows = node.input[0] in small
        if (follows and node.op_type in _PASS_ON) or _sum_length(node, weights) >= SHORTEST_SUM:
            small.add(node.output[0])
            names.append(node.name)
        elif follows and node.op_type == "MatMul" and node.input[1] in weights:
            names.append(node.name)
    return names


def _sum_length(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> int:
    """Return how many products make one number of what a convolution gives; 0 for anything else."""
    if node.op_type != "Conv" or node.input[1] not in weights:
        return 0
    return int(np.prod(weights[node.input[1]].dims[1:]))  # (channels, channels in, ...)


def _computing_with_8_bits(model: onnx.ModelProto, nodes: list[str], waveforms: Waveforms) -> onnx.ModelProto:
    """Let ONNX Runtime put ranges around the nodes."""
    prepared = _copy(model)
    add_pre_process_metadata(prepared)  # the exporter has folded and inferred what the tool would ask for
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            path,
            _Recordings(waveforms),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Weights of 7 bits: x86 CPUs without VNNI add two products in 16 bits, which overflow with 8, so
            # the answers would depend on the machine.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
            # A bias is added to the sums of a product: they stay as exact as they are.
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        quantised = onnx.load(path)
    del quantised.graph.value_info[:]  # what lies between, which nobody needs
    for ours, its in (
        (model.graph.input, quantised.graph.input),
        (model.graph.output, quantised.graph.output),
    ):
        del its[:]
        its.extend(ours)
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
    return quantised


# Stored with fewer bits ------------------------------------------------------------------------------------


def _store(
    model: onnx.ModelProto,
    pack: Callable[[str, npt.NDArray[np.float32]], tuple[list[onnx.TensorProto], list[onnx.NodeProto]]],
    operators: Sequence[str],
) -> bool:
    """Replace the weights of these operators by what `pack` makes of them, and say whether there are any.

    `pack` returns constants, and the nodes that make float32 of them under the old name. ONNX Runtime runs
    nodes with nothing but constants once, when the file is opened.
    """
    graph = model.graph
    constants = _constants(graph)
    found = _weight_names(graph, operators)
    names = [name for name in found if np.prod(constants[name].dims) >= SMALLEST]
    nodes: list[onnx.NodeProto] = []
    for name in names:
        tensors, unpacking = pack(name, numpy_helper.to_array(constants[name]))
        graph.initializer.remove(constants[name])
        graph.initializer.extend(tensors)
        nodes += unpacking
    later = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *later])
    return bool(names)


def _half_precision(
    name: str, weights: npt.NDArray[np.float32]
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    stored = numpy_helper.from_array(weights.astype(np.float16), f"{name}_float16")
    return [stored], [_to_float32(stored.name, name)]


def _rows_of_8_bits(
    name: str, weights: npt.NDArray[np.float32]
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Give each row its own scale.

    A product of two constants says the same as DequantizeLinear, which ONNX Runtime would run at every call.
    """
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    stored = numpy_helper.from_array(np.rint(weights / scale).astype(np.int8), f"{name}_int8")
    scales = numpy_helper.from_array(scale, f"{name}_scale")
    unscaled = f"{name}_unscaled"
    product = helper.make_node("Mul", [unscaled, scales.name], [name], name=f"{name}_scaled")
    return [stored, scales], [_to_float32(stored.name, unscaled), product]


def _to_float32(stored: str, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [stored], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _weight_names(graph: onnx.GraphProto, operators: Sequence[str]) -> list[str]:
    """Name the float32 tensors that are weights of these operators of the network, each once."""
    constants = _constants(graph)
    makers: dict[str, Any] = {output: node for node in graph.node for output in node.output}

    def origins(value: str) -> Iterator[str]:
        if value in constants:
            yield value
        elif value in makers and makers[value].op_type in _REARRANGE:
            for name in makers[value].input:
                yield from origins(name)

    found = [
        name
        for node in network_nodes(graph)
        if node.op_type in operators
        for position in _WEIGHTS[node.op_type]
        for name in origins(node.input[position])
    ]
    is_float = onnx.TensorProto.FLOAT
    return [name for name in dict.fromkeys(found) if constants[name].data_type == is_float]
