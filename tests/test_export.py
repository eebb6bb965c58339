"""The model file: it answers as the network did, and its card says all that the contract asks for."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import tiny_corpus
from vocalics.card import METADATA_KEY
from vocalics.errors import ExportError, UsageError
from vocalics.lab import export as exporting
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.calibration import Calibration
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.release import release
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model

RATE = tiny_corpus.SAMPLE_RATE


@pytest.fixture
def model(tiny):
    return Model.load(tiny.model)


@pytest.fixture(scope="module")
def network(tiny):
    """The trained network in PyTorch: from the run's last checkpoint, not from the file."""
    recogniser = Recogniser(tiny.recipe).eval()
    state = torch.load(tiny.run / "last.ckpt", weights_only=True)["state_dict"]
    recogniser.load_state_dict(
        {
            name.removeprefix("recogniser."): value
            for name, value in state.items()
            if name.startswith("recogniser.")
        }
    )
    recogniser.temperature.fill_(Model.load(tiny.model).card.head.temperature)
    return recogniser


def made_sound(n_samples, seed=0):
    """A chirp in noise, (1, n_samples)."""
    time_s = np.arange(n_samples) / RATE
    noise = np.random.default_rng(seed).standard_normal(n_samples)
    return (0.3 * np.sin(2 * np.pi * (300 + 400 * time_s) * time_s) + 0.05 * noise).astype(np.float32)[None]


# The graph


@pytest.mark.parametrize("n_samples", [2000, 2001, 2399, 3200, 5000, 7777, 8000])  # 0.25 s to the window, 1 s
def test_the_file_answers_clips_of_any_length_as_pytorch_does(model, network, n_samples):
    sound = made_sound(n_samples)
    with torch.inference_mode():
        expected = network(torch.from_numpy(sound))
    found = model.run(sound)
    # The contract's bound on probabilities; the other outputs are of the order of 1 to 10.
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.embedding, expected.embedding, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.attention, expected.attention, rtol=0, atol=1e-4)


def test_batch_and_length_are_dynamic(model):
    (waveform,) = model.session.get_inputs()
    assert [isinstance(length, str) for length in waveform.shape] == [True, True]
    sounds = np.concatenate([made_sound(3000, seed) for seed in range(3)])
    together = model.run(sounds)
    assert together.probabilities.shape == (3, len(tiny_corpus.EMOTIONS))
    for sound, answer in zip(sounds, together.probabilities, strict=True):
        np.testing.assert_allclose(model.run(sound[None]).probabilities[0], answer, rtol=0, atol=1e-5)


def test_the_outputs_are_those_of_the_contract(model):
    names = [output.name for output in model.session.get_outputs()]
    assert names == ["probabilities", "embedding", "features", "attention"]
    outputs = model.run(made_sound(3000))
    assert outputs.embedding.shape == (1, 8)  # of the recipe
    assert outputs.features.shape[:2] == (1, 16)  # rows of its log-mel
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(outputs.attention.sum(axis=1), 1, atol=1e-5)


def test_the_head_in_numpy_equals_the_graph(model):
    outputs = model.run(np.concatenate([made_sound(4000, seed) for seed in range(4)]))
    head = AffineHead.from_card(model.card.head)
    np.testing.assert_allclose(
        head.probabilities(outputs.embedding), outputs.probabilities, rtol=0, atol=1e-5
    )


# The card


def test_the_card_says_how_the_model_was_made(tiny, model):
    card, made = model.card, model.card.training
    assert (card.name, card.recipe, card.network) == ("tiny", "tiny", "cnn_bilstm_attention")
    assert card.emotions == tuple(tiny_corpus.EMOTIONS)
    assert (card.sample_rate, card.window_s, card.minimum_s) == (RATE, 1.0, 0.25)
    assert card.licence == "CC BY-NC-SA 4.0"  # RAVDESS's
    assert card.languages == ("en",)
    assert 0 < card.abstain_below < 1
    assert card.parameters == sum(p.numel() for p in Recogniser(tiny.recipe).parameters())
    assert made["split_digest"] == tiny.split.digest
    assert (made["protocol"], made["fold"], made["folds"]) == ("speaker", 1, 3)
    assert made["command"] == "vocalics train tiny.yaml"
    assert (made["seed"], made["epochs"]) == (0, 12)
    assert made["recipe"] == tiny.recipe.model_dump(mode="json")
    assert made["software"].keys() >= {"python", "vocalics", "torch", "onnx", "onnxruntime"}
    assert len(made["citations"]) == 1
    assert made["calibration"] == "32 validation utterances of 2 speakers"
    assert card.limits


def test_the_card_lists_the_speakers_that_were_trained_on_and_no_other(tiny, model):
    trained = {utterance.speaker for utterance in tiny.manifest.select(tiny.split.train)}
    tested = {utterance.speaker for utterance in tiny.tested}
    assert model.card.training["speakers"] == {"ravdess": sorted(trained)}
    assert not trained & tested


def test_the_mean_embeddings_of_the_emotions_average_to_the_head_s_mean(tiny, model):
    head = model.card.head
    assert set(head.emotion_means) == set(tiny_corpus.EMOTIONS)
    # Every emotion has as many training utterances as the others, so the mean of means is the mean.
    np.testing.assert_allclose(np.mean(list(head.emotion_means.values()), axis=0), head.mean, atol=1e-5)


# Parity


def answers_of(path, *sounds):
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return [(sound, session.run(["probabilities"], {"waveform": sound})[0]) for sound in sounds]


def test_equal_answers_prove_parity(tiny):
    references = answers_of(tiny.model, made_sound(3000), made_sound(5000))
    assert exporting.prove_parity(tiny.model.read_bytes(), references) <= 1e-6  # one session, or another


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_an_answer_that_differs_refuses_the_export(tiny, difference):
    same, (sound, answer) = answers_of(tiny.model, made_sound(3000), made_sound(5000))
    wrong = answer.copy()
    wrong[0, 0] += difference
    with pytest.raises(ExportError, match="nothing was written"):
        exporting.prove_parity(tiny.model.read_bytes(), [same, (sound, wrong)])


def test_a_refused_export_writes_nothing(tiny, network, tmp_path, monkeypatch):
    def graph_of_another_network(*_):
        graph = onnx.load_from_string(tiny.model.read_bytes())
        del graph.metadata_props[:]
        bias = next(tensor for tensor in graph.graph.initializer if tensor.name == "head.bias")
        moved = onnx.numpy_helper.to_array(bias) + np.float32([0.1, 0, 0, 0])
        bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
        return graph

    monkeypatch.setattr(exporting, "to_onnx", graph_of_another_network)
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    recipe = tiny.recipe
    store = AudioStore.build(tiny.manifest, recipe.sample_rate, recipe.bandwidth_hz)
    train = tiny.manifest.select(tiny.split.train)
    evidence = exporting.Evidence(Calibration(1.0, 0.0, "none"), train, tiny.split, "", epochs=12)
    with pytest.raises(ExportError):
        exporting.export(recipe, network, store, {}, evidence, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_parity_is_proved_on_the_shortest_and_the_longest_clip(tiny, network, tmp_path, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    store = AudioStore.build(tiny.manifest, tiny.recipe.sample_rate, tiny.recipe.bandwidth_hz)
    train = tiny.manifest.select(tiny.split.train)
    references = exporting._references(network, tiny.recipe, store, train)
    lengths = [sound.shape[1] for sound, _ in references]
    every = [len(store[utterance.id]) for utterance in train]
    assert (min(lengths), max(lengths)) == (min(every), max(every))
    assert len(references) == exporting.PARITY_CLIPS


# Another calibration


CALIBRATION = Calibration(temperature=2.5, abstain_below=0.4321, source="made up")


def test_another_temperature_changes_graph_and_card_alike(tiny, model, tmp_path):
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(
        exporting.with_evaluation(tiny.model.read_bytes(), "other", CALIBRATION, {"uar": 0.5})
    )
    other = Model.load(changed)
    sounds = np.concatenate([made_sound(4000, seed) for seed in range(4)])
    before, after = model.run(sounds), other.run(sounds)

    # The old logits at the new temperature, by the head in the old card.
    head = AffineHead.from_card(model.card.head)
    logits = head.logits(before.embedding) / CALIBRATION.temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after.probabilities, expected, rtol=0, atol=1e-5)
    in_numpy = AffineHead.from_card(other.card.head).probabilities(after.embedding)
    np.testing.assert_allclose(after.probabilities, in_numpy, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(before.embedding, after.embedding)


def test_the_new_card_has_name_calibration_and_figures_and_the_rest_stays(tiny, model):
    content = exporting.with_evaluation(tiny.model.read_bytes(), "other", CALIBRATION, {"uar": 0.5})
    entries = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    card = type(model.card).from_json(entries[METADATA_KEY])
    assert (card.name, card.head.temperature, card.abstain_below) == ("other", 2.5, 0.4321)
    assert card.evaluation == {"uar": 0.5}
    assert card.head.speakers is None
    assert card.training == model.card.training | {"calibration": "made up"}
    assert card.head.weight == model.card.head.weight


def test_a_temperature_that_the_graph_does_not_use_is_refused(tiny):
    graph = onnx.load_from_string(tiny.model.read_bytes())
    (division,) = [node for node in graph.graph.node if "temperature" in node.input]
    unused = onnx.numpy_helper.from_array(np.float32(1), "another")
    graph.graph.initializer.append(unused)
    division.input[list(division.input).index("temperature")] = "another"
    with pytest.raises(ExportError, match="cannot be changed"):
        exporting.with_evaluation(graph.SerializeToString(), "other", CALIBRATION, {})


# Releases


def test_a_release_without_evidence_is_the_run_s_own_file(tiny, tmp_path):
    release(tiny.run, tmp_path / "out.onnx", [])
    assert (tmp_path / "out.onnx").read_bytes() == tiny.model.read_bytes()


def test_a_release_may_have_a_name_of_its_own(tiny, model, tmp_path):
    release(tiny.run, tmp_path / "out.onnx", [], name="mine")
    card = Model.load(tmp_path / "out.onnx").card
    assert card == model.card.model_copy(update={"name": "mine"})


def test_a_run_that_is_not_finished_cannot_be_released(tmp_path):
    with pytest.raises(UsageError, match="finish the run with 'vocalics train'"):
        release(tmp_path, tmp_path / "out.onnx", [])


def test_a_release_is_named_onnx(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"let its name end in \.onnx"):
        release(tiny.run, tmp_path / "out.pt", [])
