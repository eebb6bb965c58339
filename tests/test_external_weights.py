"""Weights beside a model file: found where the graph says, and nowhere but in the model's own folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocalics.errors import ModelError
from vocalics.recognition.external_weights import attached, external_files
from vocalics.recognition.model import Model

onnx = pytest.importorskip("onnx", reason="the models are written with onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import parted_model  # noqa: E402  # needs onnx

SOUND = 0.1 * np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)


@pytest.fixture
def parted(toy, tmp_path):
    """The toy model with its weights beside it."""
    return parted_model.part(toy, tmp_path / "parted.onnx")


def refused(path) -> str:
    with pytest.raises(ModelError) as raised:
        Model.load(path)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


# Files


def test_a_model_with_its_weights_beside_it_answers_as_the_whole_file(toy, parted):
    assert parted.stat().st_size < toy.stat().st_size / 2  # else nothing was moved out
    whole, apart = Model.load(toy).run(SOUND), Model.load(parted).run(SOUND)
    np.testing.assert_array_equal(whole.probabilities, apart.probabilities)
    np.testing.assert_array_equal(whole.features, apart.features)


def test_the_files_may_be_moved_together(parted, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for path in (parted, parted.with_name("parted.onnx.data")):
        shutil.move(path, tmp_path / "elsewhere")
    assert Model.load(tmp_path / "elsewhere" / "parted.onnx").name == "toy"


def test_a_model_is_opened_from_any_working_folder(parted, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Model.load("../parted.onnx").name == "toy"


@pytest.mark.parametrize("suffix", ["data", "folder"])
def test_missing_weights_are_named(parted, suffix):
    beside = parted.with_name("parted.onnx.data")
    beside.unlink()
    if suffix == "folder":
        beside.mkdir()
    assert "keeps its weights in 'parted.onnx.data', which is not beside it" in refused(parted)


def test_empty_and_shortened_weights_are_refused(parted):
    beside = parted.with_name("parted.onnx.data")
    whole = beside.read_bytes()
    beside.write_bytes(whole[: len(whole) // 2])
    assert "or parted.onnx.data beside it, is damaged or was cut short" in refused(parted)
    beside.write_bytes(b"")
    assert "cannot be read: it is empty" in refused(parted)


@pytest.mark.parametrize(
    "location",
    [
        "../parted.onnx.data",
        "sub/parted.onnx.data",
        "./parted.onnx.data",
        "{folder}/parted.onnx.data",
        "..\\parted.onnx.data",
        "C:parted.onnx.data",
        "*/_ORT_MEM_ADDR_/*",  # ONNX Runtime's own word for an address in memory
        "..",
        "",
    ],
)
def test_no_weights_are_taken_from_elsewhere(toy, tmp_path, location):
    folder = tmp_path / "sub"
    (folder / "sub").mkdir(parents=True)
    path = parted_model.part(toy, folder / "parted.onnx", location.format(folder=folder))
    # Wherever the name may lead, the right weights lie there: only the rule can refuse them.
    for place in (tmp_path, folder / "sub"):
        shutil.copy(folder / "parted.onnx.data", place)
    assert "a model file is given files of its own folder alone" in refused(path)


def test_a_link_does_not_lead_out_of_the_folder(parted, tmp_path):
    beside = parted.with_name("parted.onnx.data")
    (tmp_path / "elsewhere").mkdir()
    target = shutil.move(beside, tmp_path / "elsewhere" / "weights")
    beside.symlink_to(target)
    assert "which is not beside it" in refused(parted)


def test_the_hub_s_cache_is_made_of_links(parted, tmp_path):
    (tmp_path / "snapshot").mkdir()
    for name in ("parted.onnx", "parted.onnx.data"):
        (tmp_path / "snapshot" / name).symlink_to(Path("..", name))
    assert Model.load(tmp_path / "snapshot" / "parted.onnx").name == "toy"


def test_an_onnx_runtime_that_cannot_read_them_is_to_be_renewed(parted):
    class OfBefore:
        """Options of an ONNX Runtime from before it could be given files in memory."""

    with (
        pytest.raises(ModelError, match=r"this ONNX Runtime cannot read; pip install -U onnxruntime"),
        attached(OfBefore(), parted.read_bytes(), parted),
    ):
        pytest.fail("it was opened")


# Places in the graph


def tensor_at(location: str) -> TensorProto:
    """A tensor that lies in a file."""
    tensor = TensorProto(name=location, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def graph_with(location: str, *nodes: object) -> "onnx.GraphProto":
    return helper.make_graph(list(nodes), "graph", [], [], [tensor_at(location)])


def test_a_tensor_is_found_wherever_a_graph_can_hide_one():
    branch = graph_with("in a branch")
    loop = helper.make_node("If", ["x"], ["y"], then_branch=branch)
    several = helper.make_attribute("graphs", [graph_with("in a list of graphs")])
    constant = helper.make_node("Constant", [], ["c"], value=tensor_at("in a constant"))
    constant.attribute.append(helper.make_attribute("values", [tensor_at("in a list")]))
    constant.attribute.append(several)
    sparse = onnx.SparseTensorProto(values=tensor_at("sparse values"), indices=tensor_at("sparse indices"))
    constant.attribute.append(helper.make_attribute("sparse", sparse))
    constant.attribute.append(helper.make_attribute("sparses", [sparse]))
    graph = graph_with("an initializer", loop, constant)
    graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=tensor_at("a sparse initializer"), indices=tensor_at("its indices"))
    )
    model = helper.make_model(graph)
    function = helper.make_function("own", "f", [], [], [constant], [])
    function.attribute_proto.append(helper.make_attribute("default", tensor_at("a default")))
    model.functions.append(function)
    model.training_info.add().algorithm.CopyFrom(graph_with("in training"))
    model.training_info.add().initialization.CopyFrom(graph_with("in its beginning"))
    planted = {
        *("in a branch", "in a list of graphs", "in a constant", "in a list", "sparse values"),
        *("sparse indices", "an initializer", "a sparse initializer", "its indices", "a default"),
        *("in training", "in its beginning"),
    }
    assert external_files(model.SerializeToString(), "it") == sorted(planted)


def test_a_model_that_only_speaks_of_a_location_has_no_file_beside_it(toy):
    model = onnx.load(toy)
    model.doc_string = "location location"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "location"))
    assert external_files(model.SerializeToString(), "it") == []


def field(number: int, content: bytes, length_bytes: int = 1) -> bytes:
    """A field of a protocol buffer; its length may be written in more bytes than it needs."""
    length = [len(content) >> 7 * position & 0x7F for position in range(length_bytes)]
    return bytes([number << 3 | 2, *(part | 0x80 for part in length[:-1]), length[-1]]) + content


def test_a_name_is_found_however_its_length_is_written():
    entry = field(1, b"offset") + field(1, b"location", 3) + field(2, b"a") + field(2, b"../b", 2)
    content = field(7, field(5, field(13, entry, 3), 2))
    # The oracle: protobuf takes the last of a field that stands twice, and numbers of any length.
    (tensor,) = onnx.ModelProto.FromString(content).graph.initializer
    assert [(found.key, found.value) for found in tensor.external_data] == [("location", "../b")]
    with pytest.raises(ModelError, match=r"wants its weights from '\.\./b'"):
        external_files(content, "it")


@pytest.mark.parametrize(
    "content",
    [
        field(7, b"\x0b location \x0c"),  # a group
        field(7, field(5, b"\x6a\x7f location")),  # shorter than it says
        field(7, field(5, field(13, field(1, b"location") + field(2, b"\xff\xfe")))),  # no text
        field(7, b"\x80" * 11 + b"location"),  # a number of 77 bits
    ],
    ids=["a group", "cut short", "not text", "too long a number"],
)
def test_what_cannot_be_read_is_not_opened(content):
    with pytest.raises(ModelError, match="is damaged or was cut short"):
        external_files(content, "it")


def test_graphs_in_graphs_without_end_are_refused():
    content = field(5, field(13, field(1, b"location") + field(2, b"a")))
    for _ in range(100):  # graph, node, attribute
        content = field(1, field(5, field(6, content, 5), 5), 5)
    with pytest.raises(ModelError, match="is damaged"):
        external_files(field(7, content, 5), "it")


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_break_the_reader(before, after):
    try:
        names = external_files(before + b"location" + after, "it")
    except ModelError:
        return
    assert all("/" not in name for name in names)
