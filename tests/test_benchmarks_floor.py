"""What the machine must do at least: graphs that can be counted by hand, and stages that add up."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are read and made with onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


@pytest.fixture(scope="module")
def floor():
    """The script as a module; what it says of threads is not for the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        return importlib.import_module("floor")


def graph_of(nodes: list, constants: dict[str, tuple[int, ...]], shape: tuple[int | str, ...]):
    """A model with the input x, the output y, and constants of ones."""
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)]
    outputs = [helper.make_empty_tensor_value_info("y")]
    ones = [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in constants.items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, ones)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_convolution_a_product_and_an_lstm_are_counted_as_by_hand(floor):
    nodes = [
        # (1, 2, 10) to (1, 4, 8): 32 values, each of 2 channels times 3 taps: 192.
        helper.make_node("Conv", ["x", "taps"], ["maps"]),
        helper.make_node("Transpose", ["maps"], ["steps"], perm=[2, 0, 1]),  # (8, 1, 4)
        # (8, 1, 4) to (8, 1, 5): 40 values, each a sum of 4: 160.
        helper.make_node("MatMul", ["steps", "weight"], ["narrow"]),
        # 8 steps, 2 directions, 4 gates of 3 units, each of 5 inputs and of 3 units before: 1,536.
        helper.make_node("LSTM", ["narrow", "in", "before"], ["y"], hidden_size=3, direction="bidirectional"),
    ]
    constants = {"taps": (4, 2, 3), "weight": (4, 5), "in": (2, 12, 5), "before": (2, 12, 3)}
    graph = graph_of(nodes, constants, ("batch", 2, "samples"))
    counts = floor.multiply_adds(graph, np.zeros((1, 2, 10), np.float32))
    assert counts == {"Conv": 192, "MatMul": 160, "LSTM": 1536}
    # Twice the batch is twice the work.
    assert floor.multiply_adds(graph, np.zeros((2, 2, 10), np.float32)) == {
        name: 2 * count for name, count in counts.items()
    }


def test_groups_of_a_convolution_and_a_turned_weight_are_heeded(floor):
    nodes = [
        helper.make_node("Conv", ["x", "taps"], ["maps"], group=2),  # 32 values of 1 channel, 3 taps: 96
        helper.make_node("Flatten", ["maps"], ["row"]),  # (1, 32)
        helper.make_node("Gemm", ["row", "weight"], ["y"], transB=1),  # 7 values, each a sum of 32: 224
    ]
    graph = graph_of(nodes, {"taps": (4, 1, 3), "weight": (7, 32)}, (1, 2, 10))
    assert floor.multiply_adds(graph, np.zeros((1, 2, 10), np.float32)) == {"Conv": 96, "Gemm": 224}


def test_what_would_be_missed_is_refused(floor):
    unknown = graph_of([helper.make_node("Einsum", ["x", "x"], ["y"], equation="ij,ij->i")], {}, (1, 2))
    with pytest.raises(ValueError, match="Einsum are not counted"):
        floor.multiply_adds(unknown, np.zeros((1, 2), np.float32))
    turned = graph_of([helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)], {"w": (1, 3)}, (1, 2))
    with pytest.raises(ValueError, match="turns its first matrix"):
        floor.multiply_adds(turned, np.zeros((1, 2), np.float32))


def test_the_toy_models_graph_is_counted_through_its_own_shapes(floor, toy):
    # 98 frames of 400 samples, 6 cosines and 6 sines; 4 emotions from 6 energies.
    counts = floor.multiply_adds(onnx.load(toy), np.zeros((1, 16_000), np.float32))
    assert counts == {"Conv": 98 * 400 * 12, "MatMul": 4 * 6}


def test_stages_add_up_to_the_prediction_and_nothing_stays_watched(floor, model, clip, tmp_path):
    before = [getattr(owner, name) for owner, name, _ in floor.STAGES]
    found = floor.predict_times(model, [clip, clip], rounds=1)
    stages = [stage for _, _, stage in floor.STAGES]
    assert [*found] == [*stages, "else", "all"]
    assert all(value > 0 for value in found.values())
    assert sum(found.values()) == pytest.approx(2 * found["all"])
    assert [getattr(owner, name) for owner, name, _ in floor.STAGES] == before


def test_the_least_reading_is_true_reading(floor, clip):
    from vocalics import audio

    np.testing.assert_array_equal(floor.read_at_least(clip), audio.read(clip).samples[0])


def test_all_figures_of_the_floor_are_told(floor, model):
    found = floor.measure(model, n_clips=1, rounds=1)
    products = 2 * sum(found["multiply-adds"].values())
    speed = found["matrix product, GFLOP/s"] * 1e9
    assert found["at least, ms"] == pytest.approx(1e3 * products / speed)
    assert found["share of the floor"] == pytest.approx(found["at least, ms"] / found["session.run, ms"])
    assert found["files"]["16 kHz, mono"]["bytes"] == 44 + 2 * 3 * 16_000
    assert found["files"]["48 kHz, stereo"]["bytes"] == 44 + 2 * 3 * 48_000 * 2
