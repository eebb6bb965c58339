"""Variants with smaller weights answer as the model does, alone as in a batch, and say what they are."""

import re
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import parted_model
from vocalics import audio
from vocalics.card import METADATA_KEY
from vocalics.errors import ExportError, UsageError
from vocalics.lab import quantise, variants
from vocalics.lab.corpora import scan_data
from vocalics.lab.quantise import network_nodes, to_float16, to_int8
from vocalics.lab.variants import hear, make_variant, training_recordings
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model
from vocalics.recognition.model_file import locate


@pytest.fixture(scope="module")
def bundled():
    return Model.load()


@pytest.fixture(scope="module")
def windows(bundled, clips):
    """The examples as the model hears them, each (1, n_samples)."""
    card = bundled.card
    longest = round(card.window_s * card.sample_rate)
    sounds = [audio.read(path).mono().resampled(card.sample_rate, card.bandwidth_hz) for path in clips]
    return [np.ascontiguousarray(sound.samples[:, :longest]) for sound in sounds]


@pytest.fixture(scope="module", params=["int8", "float16"])
def variant(request, bundled, windows, tmp_path_factory):
    """A variant of the bundled model, open, and its precision."""
    path = tmp_path_factory.mktemp("variant") / f"{request.param}.onnx"
    path.write_bytes(make_variant(bundled.path.read_bytes(), request.param, windows))
    return Model.load(path), request.param


# Answers


#: What may lie between a probability of a variant and the model's. float16 rounds a weight to 11 bits, by
#: 2**-12 of it at most, and the sums of hundreds of such errors stay of that order; int8 rounds weights and
#: activations to 7 and 8 bits, sixteen times as coarse, and more coarsely where few recordings set ranges.
DIFFERENCE = {"float16": 2e-3, "int8": 0.05}


def test_a_variant_answers_as_the_model_does(bundled, variant, windows):
    model, precision = variant
    for window in windows[::3]:  # those that set no range
        ours, theirs = bundled.run(window), model.run(window)
        np.testing.assert_allclose(
            theirs.probabilities, ours.probabilities, rtol=0, atol=DIFFERENCE[precision]
        )
        # The front end is float32 and stays it: what the network hears is the same to the last bit.
        np.testing.assert_array_equal(theirs.features, ours.features)
        assert theirs.attention.shape == ours.attention.shape


def test_a_variant_s_weights_are_not_the_model_s(bundled, variant, windows):
    model, _ = variant
    assert np.abs(model.run(windows[0]).embedding - bundled.run(windows[0]).embedding).max() > 1e-5


def test_a_clip_answers_alone_as_it_does_beside_loud_and_silent_ones(variant, windows):
    model, _ = variant
    length = min(window.shape[1] for window in windows)
    clip = windows[0][:, :length]
    noise = np.random.default_rng(0).uniform(-1, 1, clip.shape).astype(np.float32)
    together = model.run(np.concatenate([clip, noise, np.zeros_like(clip), windows[1][:, :length]]))
    alone = model.run(clip)
    # Were ranges measured at each call, the noise would set them for all: 2e-3 with matrix products so, 7e-5
    # with the LSTM. Static ones leave the last bits, when a batch is added up in another order.
    np.testing.assert_allclose(together.probabilities[0], alone.probabilities[0], rtol=0, atol=1e-5)


def test_no_range_is_measured_while_answering(variant):
    model, _ = variant
    operators = {node.op_type for node in onnx.load(model.path).graph.node}
    assert not [name for name in operators if "Dynamic" in name or name.endswith("Integer")]


def test_the_head_in_numpy_is_still_the_graph_s(variant, windows):
    model, _ = variant
    outputs = model.run(windows[0])
    in_numpy = AffineHead.from_card(model.card.head).probabilities(outputs.embedding)
    np.testing.assert_allclose(outputs.probabilities, in_numpy, rtol=0, atol=1e-5)  # the contract's


def test_adaptation_works_and_moves_the_answer_as_it_moves_the_model_s(bundled, variant, clip, clips):
    model, precision = variant
    speaker = [clip, *clips[:3]]
    theirs, ours = (
        np.array(list(one.adapt(speaker).predict(clip).probabilities.values())) for one in (model, bundled)
    )
    plain = np.array(list(bundled.predict(clip).probabilities.values()))
    assert np.abs(ours - plain).max() > DIFFERENCE[precision]  # so that the next line says something
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=DIFFERENCE[precision])
    assert model.embed([clip]).shape == bundled.embed([clip]).shape


# The file


#: Shares of the file that are left: its weights of 3.7 MB are 1.1 MB of front end, which stay, and 2.5 MB
#: that become a half or a quarter; card and graph come on top.
SHARE = {"float16": (1.1 + 2.5 / 2) / 3.7, "int8": (1.1 + 2.5 / 4) / 3.7}


def test_the_file_is_as_much_smaller_as_the_arithmetic_says(bundled, variant):
    model, precision = variant
    share = model.path.stat().st_size / bundled.path.stat().st_size
    assert share == pytest.approx(SHARE[precision], abs=0.06)


def test_front_end_and_head_keep_their_weights(bundled, variant):
    model, _ = variant
    before, after = ({t.name: t for t in onnx.load(one.path).graph.initializer} for one in (bundled, model))
    kept = [name for name in before if name.startswith(("front_end.", "head.", "embedding_", "temperature"))]
    assert len(kept) > 5
    for name in kept:
        np.testing.assert_array_equal(*(numpy_helper.to_array(one[name]) for one in (before, after)))


def test_the_card_is_the_model_s_and_says_what_the_variant_is(bundled, variant, windows):
    model, precision = variant
    card, before = model.card, bundled.card
    assert card.name == f"{before.name}-{precision}"
    told = card.training["precision"]
    assert told["weights"] == precision
    assert told["compared_on"] == len(windows[::3])
    assert told["ranges_from"] == (len(windows) - len(windows[::3]) if precision == "int8" else 0)
    assert 0 < told["largest_difference"] <= DIFFERENCE[precision]
    assert card.limits[:-1] == before.limits
    assert f"{told['largest_difference']:.2g}" in card.limits[-1]
    same = before.model_copy(
        update={
            "name": card.name,
            "limits": card.limits,
            "training": before.training | {"precision": told},
        }
    )
    assert card == same
    assert [entry.key for entry in onnx.load(model.path).metadata_props] == [METADATA_KEY]


def test_the_same_recordings_make_the_same_file(bundled, variant, windows):
    model, precision = variant
    again = make_variant(bundled.path.read_bytes(), precision, windows)
    assert again == model.path.read_bytes()


def test_convolutions_compute_with_8_bits_but_the_one_that_would_be_slower(bundled, windows):
    graph = to_int8(onnx.load(bundled.path), windows[:2]).graph
    makers = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in network_nodes(graph) if node.op_type == "Conv"]
    sources = [makers.get(node.input[1]) for node in convolutions]
    # The first hears one channel through 3 x 3: nine products a sum.
    assert [source.op_type if source else "float32" for source in sources] == [
        "float32",
        "DequantizeLinear",
        "DequantizeLinear",
    ]
    stored = [
        numpy_helper.to_array(t) for t in graph.initializer if re.search("conv.*weight_quantized", t.name)
    ]
    # 2 * 255 * 64 < 2**15: two products fit into the 16 bits in which some CPUs add them.
    assert [int(np.abs(weights.astype(int)).max()) <= 64 for weights in stored] == [True, True]


def test_taking_the_maximum_before_clipping_changes_no_answer(bundled, windows, tmp_path):
    model = onnx.load(bundled.path)
    quantise._pool_before_clipping(model.graph)
    before, after = ([node.op_type for node in one.graph.node] for one in (onnx.load(bundled.path), model))
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [
        ("Relu", "MaxPool"),
        ("MaxPool", "Relu"),
    ]
    onnx.save(model, tmp_path / "exchanged.onnx")
    exchanged = Model.load(tmp_path / "exchanged.onnx")
    for window in windows:
        np.testing.assert_array_equal(exchanged.run(window).embedding, bundled.run(window).embedding)


# What cannot be made


def test_a_variant_of_a_variant_is_refused(variant, windows):
    model, precision = variant
    for other in ("int8", "float16"):
        with pytest.raises(UsageError, match=rf"already a variant \({precision}\)"):
            make_variant(model.path.read_bytes(), other, windows)


def test_a_network_without_weights_is_refused(toy, windows):
    for make in (lambda model: to_int8(model, windows[:2]), to_float16):
        with pytest.raises(UsageError, match="no weights"):
            make(onnx.load(toy))


def test_a_model_with_an_encoder_is_refused(bundled, windows):
    model = onnx.load(bundled.path)
    training = bundled.card.training | {"encoder": {"source": "some/encoder"}}
    card = bundled.card.model_copy(update={"training": training})
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    with pytest.raises(UsageError, match="has an encoder, some/encoder, which stays float32"):
        make_variant(model.SerializeToString(), "int8", windows)


def test_weights_beside_the_file_are_refused(bundled, windows, tmp_path):
    path = parted_model.part(locate(None), tmp_path / "parted.onnx")
    with pytest.raises(UsageError, match="in a file beside it"):
        make_variant(path.read_bytes(), "int8", windows)


def test_a_variant_that_answers_otherwise_is_not_written(bundled, windows, monkeypatch):
    monkeypatch.setitem(variants.PRECISIONS, "int8", 1e-6)
    with pytest.raises(ExportError, match="nothing was written"):
        make_variant(bundled.path.read_bytes(), "int8", windows)


# Another network's graph


def test_a_weight_that_takes_no_part_in_the_network_stays():
    """Only what lies between `features` and `embedding` is touched, whatever it is called."""
    random = np.random.default_rng(0)
    names = {"before": (8, 32), "within": (32, 32), "after": (32, 8)}
    tensors = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in names.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["waveform", "before"], ["features"], name="a"),
        helper.make_node("MatMul", ["features", "within"], ["embedding"], name="b"),
        helper.make_node("MatMul", ["embedding", "after"], ["probabilities"], name="c"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in {"waveform": 8, "features": 32, "embedding": 32, "probabilities": 8}.items()
    ]
    graph = helper.make_graph(nodes, "three", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for made in (to_int8(model, []), to_float16(model)):
        onnx.checker.check_model(made)
        left = {tensor.name for tensor in made.graph.initializer if tensor.data_type == TensorProto.FLOAT}
        assert left - {"within_scale"} == {"before", "after"}
    assert {tensor.name for tensor in model.graph.initializer} == set(names)  # the original is left alone


# The command line


def test_a_variant_of_a_run_is_made_with_its_training_part_alone(tiny):
    run = Model.load(tiny.model)
    picked = training_recordings(run, tiny.manifest)
    assert {utterance.id for utterance in picked} <= set(tiny.split.train)
    emotions = [utterance.emotion for utterance in picked]
    assert max(map(emotions.count, emotions)) - min(map(emotions.count, emotions)) <= 1


def test_a_file_without_its_run_takes_what_its_speakers_said(tiny, tmp_path):
    alone = Model.load(shutil.copy(tiny.model, tmp_path / "alone.onnx"))
    picked = training_recordings(alone, tiny.manifest)
    trained = {u.speaker for u in tiny.manifest.select(tiny.split.train)}
    assert {utterance.speaker for utterance in picked} == trained


def test_recordings_are_heard_no_longer_than_the_window(tiny):
    run = Model.load(tiny.model)
    card = run.card.model_copy(update={"window_s": 0.3})
    picked = training_recordings(run, tiny.manifest)
    assert {waveform.shape for waveform in hear(card, picked)} == {(1, round(0.3 * card.sample_rate))}


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_the_command_writes_a_variant_and_tells_how_far_it_is(
    tiny, command, tmp_path, monkeypatch, precision
):
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    out = tmp_path / "out.onnx"
    run = command("export", tiny.run, "--precision", precision, "--data", tiny.data, "-o", out)
    assert (run.code, run.out) == (0, f"{out}\n"), run.err
    made, before = Model.load(out), Model.load(tiny.model)
    told = made.card.training["precision"]
    assert told["weights"] == precision
    assert f"by {told['largest_difference']:.2g} at most" in run.err
    # An emotion was planted in each sound: what the network learnt of it survives.
    sounds = [tiny.manifest.audio_path(utterance) for utterance in tiny.tested]
    answers = [[one.hear(sound).probabilities.argmax() for sound in sounds] for one in (before, made)]
    assert len(set(answers[0])) == len(tiny.recipe.emotions)
    assert np.mean(np.equal(*answers)) >= 0.9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["{run}", "--precision", "int4"], "there is no precision 'int4'; take int8 or float16"),
        (["{run}", "--precision", "int8", "-o", "out.pt"], "let its name end in .onnx"),
        (["{run}", "--precision", "int8", "--evaluation", "."], "export the model with its evidence first"),
        (["{run}", "--data", "."], "name one with --precision"),
        (["{run}", "--precision", "int8", "--data", "{few}"], "0 of the 16 recordings are of the training"),
        (["{few}", "--precision", "int8"], "finish the run with 'vocalics train' first"),
        (["nobody", "--precision", "int8"], "there is no model 'nobody'"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(tiny, command, tmp_path, monkeypatch, options, sentence):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    few = tmp_path / "few" / "ravdess"
    few.mkdir(parents=True)
    stranger = sorted({utterance.speaker for utterance in tiny.tested})[0]
    for utterance in tiny.tested:
        if utterance.speaker == stranger:
            shutil.copy(tiny.manifest.audio_path(utterance), few)
    assert len(scan_data(few.parent)) == 16
    given = [option.format(run=tiny.run, few=few.parent) for option in options]
    out = [] if "-o" in given else ["-o", tmp_path / "out.onnx"]
    run = command("export", *given, *out)
    assert (run.code, run.out) == (2, "")
    assert sentence in run.err
    assert len(run.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out.*"))
