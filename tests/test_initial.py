"""A training may begin with the weights of a model file; whom that model heard is not forgotten."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

import tiny_corpus
from vocalics.card import METADATA_KEY
from vocalics.errors import LeakError, ModelError, TrainingError
from vocalics.lab.corpora import scan_data
from vocalics.lab.export import to_onnx
from vocalics.lab.initial import Initial, before_and_after, load_weights
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.splits import make_splits
from vocalics.lab.training import fit
from vocalics.recognition.model import Model

#: Each network as small as it gets, by the bundled recipe that has it.
SMALL = {
    "cnn-bilstm-attention": "{channels: [4, 6], time_pools: [2, 1], lstm_inputs: 5, lstm_units: 6}",
    "cnn-lstm": "{channels: [4, 6], time_pools: [2, 1], lstm_inputs: 5, units: 7, embedding_size: 9}",
    "lstm": "{units: 6, layers: 2, bidirectional: true, dense: [7]}",
    "cnn1d": None,
    "cnn2d": "{channels: [4, 6], dense: [9, 7], pooling: statistics}",
}


def small_recipe(name, *settings):
    """A few frames, since the exporter unrolls recurrent layers over them."""
    if SMALL[name]:
        settings = [f"network.parameters={SMALL[name]}", "features.frames=16", *settings]
    return load_recipe(name, settings)


@torch.no_grad()
def trained_somehow(recipe, seed):
    """A recogniser with weights and statistics as after a training: none is 0 or 1."""
    torch.manual_seed(seed)
    recogniser = Recogniser(recipe).eval()
    for name, tensor in recogniser.state_dict().items():
        if name.endswith(("running_var", "_std", "row_std")):
            tensor.uniform_(0.5, 2.0)
        elif name.endswith(("running_mean", "_mean")):
            tensor.normal_(0, 0.5)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.randn_like(tensor) * 0.2)
    recogniser.temperature.fill_(1.3)
    return recogniser


def exported(recogniser, recipe):
    """What `Initial.read` makes of its file; of the card only what is asked for here."""
    recogniser.front_end.prepare_export()
    content = to_onnx(recogniser, recipe).SerializeToString()
    card = SimpleNamespace(name=recipe.name, head=SimpleNamespace(temperature=1.3))
    return Initial(content, card, recipe)


def sounds(rate, n_clips=6):
    """Noises that swell, (1, samples) each."""
    rng = np.random.default_rng(3)
    loud = np.linspace(0.01, 0.5, int(1.5 * rate))
    return [torch.from_numpy((loud * rng.standard_normal(len(loud)))[None]).float() for _ in range(n_clips)]


@pytest.mark.parametrize("name", SMALL)
def test_every_network_gets_its_weights_back(name):
    recipe = small_recipe(name)
    before = trained_somehow(recipe, seed=1)
    clips = sounds(recipe.sample_rate)
    with torch.inference_mode():
        expected = [before(clip) for clip in clips]
    after = Recogniser(recipe).eval()
    load_weights(after, exported(before, recipe), recipe, clips)
    with torch.inference_mode():
        for clip, answer in zip(clips, expected, strict=True):
            found = after(clip)
            torch.testing.assert_close(found.embedding, answer.embedding, rtol=0, atol=1e-3)
            # The head's temperature is learnt anew: 1.3 times the logits' spread is in the file's answer.
            hotter = (found.probabilities.log() / 1.3).softmax(dim=1)
            torch.testing.assert_close(hotter, answer.probabilities, rtol=0, atol=1e-4)


def test_several_networks_get_their_weights_back():
    recipe = small_recipe("lstm", "network.members=2")
    before = trained_somehow(recipe, seed=2)
    clips = sounds(recipe.sample_rate)
    after = Recogniser(recipe).eval()
    load_weights(after, exported(before, recipe), recipe, clips)
    for name, weights in before.network.state_dict().items():
        torch.testing.assert_close(after.network.state_dict()[name], weights)


def test_batch_normalisation_in_training_starts_from_what_it_did_in_the_file():
    """It goes by the batch then; without the statistics of speech the answers would be others altogether."""
    recipe = small_recipe("cnn-bilstm-attention")
    before = trained_somehow(recipe, seed=4)
    clips = sounds(recipe.sample_rate, n_clips=12)
    after = Recogniser(recipe)
    load_weights(after, exported(before, recipe), recipe, clips)
    for layer in after.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    together = torch.cat(clips)
    with torch.no_grad():
        features = after.front_end(together)
        in_use = after.eval().logits(features)
        in_training = after.train().logits(features)
    torch.testing.assert_close(in_training, in_use, rtol=0, atol=0.02)


def test_emotions_that_the_file_knows_keep_their_weights_and_others_begin_anew():
    recipe = small_recipe("lstm")
    before = trained_somehow(recipe, seed=5)
    wanted = recipe.model_copy(update={"emotions": ("sad", "bored", "angry")})
    after = Recogniser(wanted)
    at_random = after.head.weight[1].clone()
    load_weights(after, exported(before, recipe), wanted, sounds(recipe.sample_rate))
    known = [recipe.emotions.index(emotion) for emotion in ("sad", "angry")]
    torch.testing.assert_close(after.head.weight[[0, 2]], before.head.weight[known])
    torch.testing.assert_close(after.head.bias[[0, 2]], before.head.bias[known])
    torch.testing.assert_close(after.head.weight[1], at_random)


def test_weights_of_another_network_are_refused():
    recipe = small_recipe("lstm")
    initial = exported(trained_somehow(recipe, seed=6), recipe)
    other = small_recipe("lstm", "network.parameters={units: 8}")
    with pytest.raises(TrainingError, match=r"another network \(its network.parameters differ\)"):
        load_weights(Recogniser(other), initial, other, [])


def test_a_file_whose_graph_is_not_that_of_its_card_is_refused():
    recipe = small_recipe("lstm")
    other = small_recipe("lstm", "network.parameters={units: 8}")
    initial = exported(trained_somehow(other, seed=7), other)
    lying = Initial(initial.content, initial.card, recipe)
    with pytest.raises(ModelError, match="cannot be taken out of its file"):
        load_weights(Recogniser(recipe), lying, recipe, sounds(recipe.sample_rate))


# A whole training


@pytest.fixture
def others(tiny, tmp_path, monkeypatch):
    """The recordings of two actors whom the tiny model does not know, under a corpus's name of their own."""
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    return scan_data(tiny_corpus.write_corpus(tmp_path / "others", actors=(5, 2, 15)))


def fine_tuned(tiny, manifest, run, split=None, **training):
    initial = Initial.read(tiny.model)
    path = tiny_corpus.write_recipe(run.parent / "fine.yaml", epochs=2, **training)
    recipe = load_recipe(path)
    with tiny_corpus.one_thread():
        model = fit(recipe, manifest, split or make_splits(manifest)[0], run, initial=initial)
    return initial, Model.load(model)


def test_what_is_frozen_stays_and_the_head_learns(tiny, others, tmp_path, clip):
    initial, after = fine_tuned(tiny, others, tmp_path / "run", frozen=["network"])
    before = Model.load(tiny.model)
    np.testing.assert_allclose(after.embed([clip]), before.embed([clip]), rtol=0, atol=1e-4)
    assert np.abs(np.array(after.card.head.weight) - np.array(before.card.head.weight)).max() > 1e-3
    assert after.card.training["initial"] == initial.to_dict()


def test_without_frozen_parts_the_network_learns_too(tiny, others, tmp_path, clip):
    _, after = fine_tuned(tiny, others, tmp_path / "run")
    assert np.abs(after.embed([clip]) - Model.load(tiny.model).embed([clip])).max() > 1e-3


def test_it_begins_where_the_file_ended(tiny, others, tmp_path):
    """The first epoch's loss is that of a network that knows these sounds; one at random reads ln 4."""
    run = tmp_path / "run"
    fine_tuned(tiny, others, run, learning_rate=1e-6)
    first = (run / "log.csv").read_text().splitlines()
    loss = float(dict(zip(first[0].split(","), first[1].split(","), strict=True))["train_loss"])
    assert loss < 0.8 * np.log(4)


def test_the_new_card_names_everybody_who_was_heard(tiny, others, tmp_path):
    _, after = fine_tuned(tiny, others, tmp_path / "run")
    split = make_splits(others)[0]
    heard = {utterance.speaker for utterance in others.select(split.train)}
    known = set(Model.load(tiny.model).card.training["speakers"]["ravdess"])
    assert heard - known
    assert set(after.card.training["speakers"]["ravdess"]) == heard | known


def test_a_test_part_with_somebody_whom_the_model_knows_is_refused(tiny, tmp_path):
    split = make_splits(tiny.manifest, validation_share=0.2)[1]
    with pytest.raises(LeakError, match=r"was trained on somebody in the test part \(ravdess/08\)"):
        fine_tuned(tiny, tiny.manifest, tmp_path / "run", split)


def test_a_validation_part_with_somebody_whom_the_model_knows_is_refused(tiny, tmp_path):
    """What is fitted there, on somebody known, would be too sure of strangers."""
    trained = tiny.manifest.select(tiny.split.train)
    known = [utterance.id for utterance in trained if utterance.speaker == "03"]
    others = [utterance.id for utterance in trained if utterance.speaker != "03"]
    split = replace(tiny.split, train=tuple(others), validation=tuple(known))
    with pytest.raises(LeakError, match=r"in the validation part .*, so it would be too sure of itself"):
        fine_tuned(tiny, tiny.manifest, tmp_path / "run", split)


def test_a_part_that_the_network_does_not_have_is_refused(tiny, others, tmp_path):
    with pytest.raises(TrainingError, match=r"frozen names 'layers', .* its parts: network, convolutions"):
        fine_tuned(tiny, others, tmp_path / "run", frozen=["layers"])


def test_a_variant_with_smaller_weights_is_refused(tiny, tmp_path):
    file = onnx.load(tiny.model)
    (entry,) = [entry for entry in file.metadata_props if entry.key == METADATA_KEY]
    card = json.loads(entry.value)
    card["training"]["precision"] = {"weights": "int8"}
    entry.value = json.dumps(card)
    onnx.save(file, tmp_path / "variant.onnx")
    with pytest.raises(
        ModelError, match=r"is a variant with int8 weights, .*; take the model that it was made from"
    ):
        Initial.read(tmp_path / "variant.onnx")


def test_a_run_that_began_otherwise_is_not_resumed(tiny, others, tmp_path):
    run = tmp_path / "run"
    fine_tuned(tiny, others, run)
    recipe = load_recipe(run / "recipe.yaml")
    with pytest.raises(TrainingError, match="its initial model differ"):
        fit(recipe, others, make_splits(others)[0], run)


def test_before_and_after_are_measured_on_the_same_clips(tiny, others, tmp_path):
    initial, _ = fine_tuned(tiny, others, tmp_path / "run")
    test = others.select(make_splits(others)[0].test)
    found = before_and_after(initial, tmp_path / "run" / "model.onnx", test)
    assert (found["clips"], found["speakers"]) == (len(test), len(test.speakers))
    assert found["before"]["uar"] > 0.5  # planted pitches, which the tiny model knows
    same = before_and_after(initial, tiny.model, test)
    assert same["before"] == same["after"]


def test_the_command_says_what_changed(tiny, others, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tiny_corpus.write_recipe(tmp_path / "fine.yaml", epochs=1)
    found = command("train", recipe, "--init", tiny.model, "--data", tmp_path / "others", "-o", "run")
    assert found.code == 0, found.err
    assert "kept from both trainings, 4 emotions: UAR " in found.err
    told = json.loads((tmp_path / "run" / "before-and-after.json").read_text())
    assert {"before", "after"} <= set(told)


def test_settings_for_fine_tuning_stand_in_for_those_for_training():
    recipe = load_recipe("vocalics", ["training.epochs=3"], fine_tuning=True)
    plain = load_recipe("vocalics")
    assert recipe.training.epochs == 3  # what somebody sets counts
    assert recipe.training.learning_rate == plain.fine_tuning["learning_rate"] < plain.training.learning_rate
