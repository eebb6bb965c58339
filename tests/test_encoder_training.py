"""Recipes with a pretrained encoder: they train, resume and export, whichever family the encoder is of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import tiny_corpus
from vocalics.errors import TrainingError
from vocalics.lab import parted_models, training
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.encoders import EncoderFrontEnd, StateStore
from vocalics.lab.extraction import Extractor
from vocalics.lab.log import read_log
from vocalics.lab.module import TrainingModule
from vocalics.lab.recipes.schema import Recipe, parse_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.release import release
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model

pytest.importorskip("transformers", reason="encoders are those of transformers")

import made_encoders  # needs transformers
from made_encoders import LAYERS, WIDTH

pytestmark = pytest.mark.usefixtures("as_tiny_was_trained")

RATE = 16_000

RECIPE: dict[str, Any] = {
    "name": "tiny-encoder",
    "description": "Hears made-up sounds with weights at random; for tests, not for people.",
    "corpora": ["ravdess"],
    "emotions": list(tiny_corpus.EMOTIONS),
    "sample_rate": RATE,
    "bandwidth_hz": 4_000,
    "window_s": 1.0,
    "network": {
        "name": "attentive_statistics",
        "parameters": {"units": 16, "attention_units": 8, "embedding_size": 8, "dropout": 0.1},
    },
    "augmentation": {"mixup_alpha": 0.2, "feature_noise": 0.01},
}


def recipe_of(source: Path, fine_tune: str | int = "none", epochs: int = 2, **changes: Any) -> Recipe:
    """The recipe with an encoder, and changes to its section ``training``."""
    settings = {
        "epochs": epochs,
        "batch_size": 4,
        "crop_s": None if fine_tune == "none" else [0.3, 0.35],
        "learning_rate": 0.01,
        "precision": "float32",
    }
    encoder = {"source": str(source), "fine_tune": fine_tune, "learning_rate": 0.001}
    return parse_recipe(RECIPE | {"encoder": encoder, "training": settings | changes})


@pytest.fixture
def trained(tiny, monkeypatch):
    """Fit without the exporter: ``trained(recipe, run)`` is the recogniser that would be exported."""
    kept = []
    monkeypatch.setattr(training, "export", lambda recipe, recogniser, *_: kept.append(recogniser))

    def train(recipe: Recipe, run: Path, **others: Any) -> Recogniser:
        training.fit(recipe, tiny.manifest, tiny.split, run, **others)
        return kept.pop()

    return train


def made_sound(samples: int, seed: int = 0) -> np.ndarray:
    """A chirp in noise, (1, samples)."""
    time_s = np.arange(samples) / RATE
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (0.3 * np.sin(2 * np.pi * (300 + 400 * time_s) * time_s) + 0.05 * noise).astype(np.float32)[None]


# Every family, through the exporter


@dataclass(frozen=True)
class Exported:
    """A finished training."""

    kind: str
    recipe: Recipe
    run: Path
    network: Recogniser

    @property
    def model(self) -> Model:
        return Model.load(self.run / "model.onnx")


@pytest.fixture(
    scope="module",
    params=[
        ("wav2vec2", "none"),
        ("wav2vec2-large", 1),
        ("hubert", "all"),
        ("wavlm", "none"),
        ("data2vec", 1),
        ("whisper", "all"),
    ],
    ids=lambda param: f"{param[0]}, {param[1]} trained",
)
def exported(request, tiny, tmp_path_factory) -> Exported:
    kind, fine_tune = request.param
    folder = tmp_path_factory.mktemp("exported")
    recipe = recipe_of(made_encoders.write(folder / kind, kind), fine_tune)
    kept = []
    with pytest.MonkeyPatch.context() as patch, tiny_corpus.one_thread():
        patch.setenv("VOCALICS_CACHE", str(tiny.cache))
        export = training.export

        def export_and_keep(recipe, recogniser, *rest):
            export(recipe, recogniser, *rest)
            kept.append(recogniser)

        patch.setattr(training, "export", export_and_keep)
        training.fit(recipe, tiny.manifest, tiny.split, folder / "run", command="vocalics train")
    return Exported(kind, recipe, folder / "run", kept.pop())


class TestExported:
    @pytest.mark.parametrize("samples", [4_000, 4_001, 6_543, 9_999, 16_000])  # 0.25 s to the window, 1 s
    def test_the_file_answers_clips_of_any_length_as_pytorch_does(self, exported, samples):
        sound = made_sound(samples)
        with torch.inference_mode():
            expected = exported.network(torch.from_numpy(sound))
        found = exported.model.run(sound)
        # the contract's bound on probabilities; the other outputs are of the order of 1
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.embedding, expected.embedding, rtol=0, atol=1e-3)
        np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=1e-3)
        np.testing.assert_allclose(found.attention, expected.attention, rtol=0, atol=1e-4)

    def test_no_clip_changes_the_answer_to_another(self, exported):
        model = exported.model
        sounds = np.concatenate([scale * made_sound(9_000, seed) for seed, scale in enumerate((1, 3, 0.01))])
        together = model.run(sounds)
        for position, sound in enumerate(sounds):
            alone = model.run(sound[None])
            np.testing.assert_allclose(alone.probabilities[0], together.probabilities[position], atol=1e-5)
            np.testing.assert_allclose(alone.features[0], together.features[position], rtol=0, atol=1e-4)
        assert np.ptp(together.embedding, axis=0).max() > 1e-3  # the sounds do differ

    def test_its_outputs_are_those_of_every_model(self, exported):
        model = exported.model
        assert [output.name for output in model.session.get_outputs()] == [
            *("probabilities", "embedding", "features", "attention")
        ]
        outputs = model.run(made_sound(9_000))
        assert outputs.features.shape[:2] == (1, WIDTH)
        assert outputs.attention.shape[1] == outputs.features.shape[2]
        np.testing.assert_allclose(outputs.attention.sum(axis=1), 1, atol=1e-5)
        head = AffineHead.from_card(model.card.head)
        np.testing.assert_allclose(
            head.probabilities(outputs.embedding), outputs.probabilities, rtol=0, atol=1e-5
        )

    def test_the_card_says_which_encoder_it_is(self, exported):
        card, provenance = exported.model.card, exported.network.front_end.provenance
        assert card.training["encoder"] == {
            "source": exported.kind,  # the folder's name, and not where it lay
            "revision": None,
            "digest": provenance.digest,
            "licence": None,
            "layers": [0, 1, 2],
        }
        assert card.licence == "CC BY-NC-SA 4.0 and its own (the encoder)"  # RAVDESS's first
        assert card.parameters == sum(weight.numel() for weight in exported.network.parameters())

    def test_what_is_not_trained_is_that_of_the_checkpoint(self, exported):
        fresh = Recogniser(exported.recipe).front_end
        changed = {
            name
            for name, weight in exported.network.front_end.named_parameters()
            if not torch.equal(weight, dict(fresh.named_parameters())[name])
        }
        learns = {name for name, weight in fresh.named_parameters() if weight.requires_grad}
        assert changed <= learns
        assert "layer_weights" in changed
        # a bias of keys adds the same to all scores of a query, so its gradient is nought
        assert {name for name in learns - changed if not name.endswith("k_proj.bias")} == set()


# Stored states


def test_stored_states_train_the_model_that_states_computed_anew_train(
    tiny, tiny_encoder, trained, tmp_path, monkeypatch
):
    recipe = recipe_of(tiny_encoder, epochs=3)
    stored = trained(recipe, tmp_path / "stored")
    encoder = Recogniser(recipe).front_end.eval()
    asked = []

    def compute(store: StateStore, name: str, draw: int = 0) -> torch.Tensor:
        asked.append(name)
        with torch.inference_mode():
            return encoder.stack(torch.from_numpy(store._samples(name, draw).copy())[None])[0].half().clone()

    monkeypatch.setattr(StateStore, "states", compute)
    anew = trained(recipe, tmp_path / "anew")
    assert asked
    assert read_log(tmp_path / "stored") == read_log(tmp_path / "anew")
    for (name, weight), other in zip(stored.named_parameters(), anew.parameters(), strict=True):
        assert torch.equal(weight, other), name


def test_stored_states_give_the_statistics_that_the_encoder_gives(tiny, tiny_encoder, trained, tmp_path):
    network = trained(recipe_of(tiny_encoder), tmp_path / "run")
    store = AudioStore.build(tiny.manifest, RATE, 4_000)
    with torch.inference_mode():
        embeddings = [
            network(torch.from_numpy(store[name])[None]).embedding[0].numpy() for name in tiny.split.train
        ]
    # states in half precision, 1 in 2,048; embeddings of the order of 1
    np.testing.assert_allclose(network.embedding_mean, np.mean(embeddings, axis=0), rtol=0, atol=5e-3)


def test_an_encoder_that_stays_as_it_is_is_neither_trained_nor_saved(tiny_encoder, trained, tmp_path):
    network = trained(recipe_of(tiny_encoder, average_decay=0.5), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    of_front_end = {name.partition(".")[2] for name in state if ".front_end." in name}
    assert of_front_end == {"front_end.layer_weights"}
    assert network.front_end.encoder is not None  # it is back for the export
    assert network(torch.from_numpy(made_sound(6_000))).probabilities.shape == (1, 4)


def test_how_much_is_stored_is_told(tiny_encoder, trained, tmp_path):
    told = []
    trained(recipe_of(tiny_encoder, epochs=1), tmp_path / "run", tell=told.append)
    assert told[0].startswith("what the encoder answers to each clip takes 0.1 MB in ")


@pytest.mark.parametrize("fine_tune", ["none", 1])
def test_an_interrupted_training_goes_on_to_the_same_model(
    tiny_encoder, trained, tmp_path, monkeypatch, fine_tune
):
    recipe = recipe_of(tiny_encoder, fine_tune, epochs=4)
    whole = trained(recipe, tmp_path / "whole")
    step = TrainingModule.training_step

    def interrupted(module, batch, batch_index):
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        return step(module, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(recipe, tmp_path / "run")
    assert len(read_log(tmp_path / "run")) == 2
    monkeypatch.setattr(TrainingModule, "training_step", step)
    resumed = trained(recipe, tmp_path / "run")
    for row, expected in zip(read_log(tmp_path / "run"), read_log(tmp_path / "whole"), strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    for (name, weight), other in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=1e-4, msg=name)


def test_a_run_does_not_go_on_with_another_encoder(trained, tmp_path):
    source = made_encoders.write(tmp_path / "encoder", "hubert")
    recipe = recipe_of(source, epochs=1)
    trained(recipe, tmp_path / "run")
    made_encoders.write(source, "hubert", seed=1)
    with pytest.raises(TrainingError, match="is no longer the one that"):
        trained(recipe, tmp_path / "run")


def test_the_network_learns_from_stored_states(tiny_encoder, trained, tmp_path):
    trained(recipe_of(tiny_encoder, epochs=15), tmp_path / "run")
    losses = [row["train_loss"] for row in read_log(tmp_path / "run")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05  # from chance, log 4, downwards


def test_workers_change_nothing(tiny_encoder, trained, tmp_path):
    pytest.importorskip("multiprocessing")
    alone = trained(recipe_of(tiny_encoder, workers=0), tmp_path / "0")
    helped = trained(recipe_of(tiny_encoder, workers=1), tmp_path / "1")
    for one, other in zip(alone.parameters(), helped.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("fine_tune", ["none", 1])
def test_two_processes_train_it(tiny, tiny_encoder, trained, tmp_path, fine_tune):
    recipe = recipe_of(tiny_encoder, fine_tune, epochs=1)
    both = recipe.model_copy(
        update={"trainer": recipe.trainer.model_copy(update={"devices": 2, "accelerator": "cpu"})}
    )
    alone, shared = trained(recipe, tmp_path / "one"), trained(both, tmp_path / "two")
    (one,), (two,) = read_log(tmp_path / "one"), read_log(tmp_path / "two")
    # dropout, noise and mixup are drawn for each share of a batch
    assert two["train_loss"] == pytest.approx(one["train_loss"], abs=0.3)
    torch.testing.assert_close(
        alone.front_end.layer_weights, shared.front_end.layer_weights, rtol=0, atol=0.1
    )


# A model of several files


@pytest.fixture
def parted(tiny, tiny_encoder, tmp_path, monkeypatch):
    """The run of a training whose model counts as too large for one file, and what was told."""
    monkeypatch.setattr(parted_models, "LARGEST_WITHIN", 0)
    told: list[str] = []
    recipe = recipe_of(tiny_encoder, epochs=1)
    training.fit(recipe, tiny.manifest, tiny.split, tmp_path / "run", tell=told.append)
    return tmp_path / "run", told


def test_a_large_model_keeps_its_weights_beside_it_and_says_so(parted, tmp_path):
    run, told = parted
    model, weights = run / "model.onnx", run / "model.onnx.data"
    assert told[-1] == f"model.onnx.data beside {model} holds its weights; move and copy both together"
    graph = onnx.load(model, load_external_data=False)
    entries = [entry for tensor in graph.graph.initializer for entry in tensor.external_data]
    assert {entry.value for entry in entries if entry.key == "location"} == {weights.name}
    assert all(int(entry.value) % 64 == 0 for entry in entries if entry.key == "offset")
    # all matrices of the encoder and the network: but for a few thousand numbers, all there are
    numbers = Model.load(model).card.parameters
    assert weights.stat().st_size > 4 * 0.5 * numbers
    # The oracle: the package onnx puts the two together again.
    whole = onnx.load(model)
    (tmp_path / "whole.onnx").write_bytes(whole.SerializeToString())
    one, other = (
        Model.load(model).run(made_sound(9_000)),
        Model.load(tmp_path / "whole.onnx").run(made_sound(9_000)),
    )
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-6)


def test_a_large_model_is_released_with_its_weights_under_its_new_name(parted, tmp_path):
    run, _ = parted
    before = Model.load(run / "model.onnx")
    release(run, tmp_path / "out" / "mine.onnx", [], name="mine")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mine.onnx", "mine.onnx.data"}
    (run / "model.onnx.data").unlink()  # it is not asked any more
    after = Model.load(tmp_path / "out" / "mine.onnx")
    assert after.card == before.card.model_copy(update={"name": "mine"})
    np.testing.assert_array_equal(
        before.run(made_sound(9_000)).probabilities, after.run(made_sound(9_000)).probabilities
    )


# By command


def test_the_bundled_recipe_trains_with_the_source_that_is_given(
    tiny, tiny_encoder, trained, command, tmp_path
):
    settings = [f"encoder.source={tiny_encoder}", "training.epochs=1", "window_s=1", "bandwidth_hz=4000"]
    settings += [f"emotions={list(tiny_corpus.EMOTIONS)}", "training.batch_size=4"]
    options = [option for setting in settings for option in ("--set", setting)]
    run = command("train", "encoder", "--data", tiny.data, "-o", tmp_path / "run", *options)
    assert (run.code, run.out) == (0, f"{tmp_path / 'run' / 'model.onnx'}\n")
    assert len(read_log(tmp_path / "run")) == 1


def test_without_a_source_one_line_says_what_to_give(tiny, command, tmp_path):
    emotions = f"emotions={list(tiny_corpus.EMOTIONS)}"
    run = command("train", "encoder", "--data", tiny.data, "-o", tmp_path / "run", "--set", emotions)
    assert run.code == 2
    assert (
        "the recipe names no encoder; give one with --set encoder.source=FOLDER" in run.err.splitlines()[-1]
    )


def test_a_benchmark_of_all_recipes_passes_over_the_one_that_names_no_encoder(
    tiny, command, tmp_path, monkeypatch
):
    from vocalics.lab import benchmark, recipes

    only = {name: path for name, path in recipes.list_recipes().items() if name == "encoder"}
    monkeypatch.setattr(recipes, "list_recipes", lambda: only)
    monkeypatch.setattr(benchmark, "run_system", lambda *_: pytest.fail("it is trained"))
    assert command("benchmark", "--data", tiny.data, "-o", tmp_path / "results").code == 0


def test_features_of_an_encoder_are_the_mean_of_its_layers(tiny_encoder):
    recipe = recipe_of(tiny_encoder)
    extractor = Extractor(recipe)
    assert extractor.row_names == tuple(f"encoder_{row}" for row in range(WIDTH))
    assert extractor.hop_s == 0.02
    sound = made_sound(RATE)[0]
    front_end = EncoderFrontEnd(recipe.encoder, RATE, recipe.window_s).eval()
    heard = extractor.frames((sound, RATE))
    with torch.inference_mode():
        expected = front_end.stack(torch.from_numpy(sound)[None])[0].mean(dim=1).T
    assert heard.shape == (WIDTH, 49)
    # the sound is limited to the recipe's band on its way
    assert np.corrcoef(heard.ravel(), expected.numpy().ravel())[0, 1] > 0.5
    assert len(front_end.layers) == LAYERS + 1
