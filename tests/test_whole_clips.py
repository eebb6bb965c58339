"""Whole clips in the place of crops: they train, export and resume. What a step does to dense layers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import made_manifests
import tiny_corpus
from made_clips import FRAMES, N_FEATURES, RATE, Unheard, anew, made_recipe, written_manifest
from vocalics.errors import TrainingError
from vocalics.lab import training
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.feature_store import FeatureStore, WholeClips
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.log import read_log
from vocalics.lab.manifest import Manifest
from vocalics.lab.module import TrainingModule
from vocalics.lab.recipes.schema import Recipe, parse_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.scores import score
from vocalics.recognition.model import Model

# Clip by clip


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return written_manifest(tmp_path / "corpora")


@pytest.fixture
def audio(manifest, tmp_path) -> AudioStore:
    return AudioStore.build(manifest, RATE, 4_000, tmp_path / "decoded")


@pytest.fixture
def front_end(manifest, audio) -> FrontEnd:
    recipe = made_recipe()
    made = FrontEnd(recipe.features, RATE)
    made.fit([anew(recipe, audio, spoken.id, 0) for spoken in manifest])
    return made


@pytest.fixture
def store(audio, front_end, tmp_path) -> FeatureStore:
    return FeatureStore(made_recipe(), audio, front_end, tmp_path / "stacks")


def test_each_clip_is_normalised_padded_and_returned_with_its_position(store, audio, manifest, front_end):
    clips = WholeClips(store, front_end, manifest, changed=False)
    assert len(clips) == 4
    for position, spoken in enumerate(manifest):
        heard, place = clips[0, position, 0]
        as_recognition_hears_it = front_end(torch.from_numpy(audio[spoken.id][:RATE])[None])[0]
        assert heard.shape == (N_FEATURES, FRAMES)
        assert torch.equal(heard, as_recognition_hears_it)
        assert place == position


def test_unchanged_clips_are_the_same_in_every_epoch(store, manifest, front_end):
    clips = WholeClips(store, front_end, manifest, changed=False)
    assert all(torch.equal(clips[epoch, 0, 0][0], clips[0, 0, 0][0]) for epoch in range(1, 4))


def test_changed_clips_go_round_among_their_copies(store, manifest, front_end):
    clips = WholeClips(store, front_end, manifest, changed=True)
    heard = [clips[epoch, 1, 0][0] for epoch in range(6)]
    name = manifest.utterances[1].id
    copies = [front_end.finish(store.stack(name, draw)[None])[0] for draw in (0, 1, 2)]
    places = [next(draw for draw in (0, 1, 2) if torch.equal(copies[draw], one)) for one in heard]
    assert sorted(places[:3]) == [0, 1, 2]
    assert places[:3] == places[3:]


def test_what_a_clip_hears_does_not_depend_on_where_it_stands(store, manifest, front_end):
    fewer = manifest.select([spoken.id for spoken in manifest][2:])
    there, here = (WholeClips(store, front_end, part, changed=True) for part in (manifest, fewer))
    assert torch.equal(there[5, 3, 0][0], here[5, 1, 0][0])


# A training


WHOLE = tiny_corpus.RECIPE | {
    "name": "tiny-whole",
    # 0.4 s are 26 frames: six are padded. With the centroid comes the spectrum in double precision.
    "features": {
        "n_fft": 256,
        "hop_length": 128,
        "normalisation": "training",
        "frames": 32,
        "stack": [{"name": "log_mel", "n_mels": 16}, {"name": "spectral_centroid"}],
    },
    "network": {"name": "lstm", "parameters": {"units": 16, "layers": 1, "dense": [16], "dropout": 0.1}},
    "augmentation": {"copies": 2, "speed": [0.97, 1.03], "shift_frames": 2, "feature_noise": 0.01},
    "training": {
        "epochs": 10,
        "batch_size": 4,
        "crop_s": None,
        "learning_rate": 0.01,
        "dense_l2": 1e-4,
        "precision": "float32",
    },
}


def whole_recipe(**changes: object) -> Recipe:
    return parse_recipe(WHOLE | {"training": WHOLE["training"] | changes})


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The run of a finished training; the model is the exporter's own."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch, tiny_corpus.one_thread():
        patch.setenv("VOCALICS_CACHE", str(tiny.cache))
        training.fit(whole_recipe(), tiny.manifest, tiny.split, run)
    return run


@pytest.fixture
def embeddings(tiny, monkeypatch):
    """Fit without the exporter; ``embeddings(recipe, run)`` is the network's answer for the test part."""
    heard = []

    def hear(recipe, recogniser, store, *_):
        with torch.inference_mode():
            clips = [torch.from_numpy(store[utterance.id])[None] for utterance in tiny.tested]
            heard.append(torch.cat([recogniser(clip).embedding for clip in clips]).numpy())

    monkeypatch.setattr(training, "export", hear)
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))

    def train(recipe, run):
        with tiny_corpus.one_thread():
            training.fit(recipe, tiny.manifest, tiny.split, run)
        return heard.pop()

    return train


def test_a_training_on_whole_clips_learns_what_is_planted_and_exports_it(tiny, trained):
    scores = score(Model.load(trained / "model.onnx"), tiny.tested, gate=False)
    # as for the training on crops: two takes in sixteen are not to be told apart
    assert (scores.truth == scores.predicted).mean() >= 1 - 2 / tiny_corpus.UTTERANCES
    assert len(read_log(trained)) == 10


def test_an_interrupted_training_goes_on_to_the_same_model(tiny, trained, tmp_path, embeddings, monkeypatch):
    step = TrainingModule.training_step

    def interrupted(module, batch, batch_index):
        if module.current_epoch == 4 and batch_index == 2:
            raise KeyboardInterrupt
        return step(module, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embeddings(whole_recipe(), tmp_path / "run")
    assert [row["epoch"] for row in read_log(tmp_path / "run")] == [0, 1, 2, 3]
    monkeypatch.setattr(TrainingModule, "training_step", step)
    resumed = embeddings(whole_recipe(), tmp_path / "run")

    never_interrupted = score(Model.load(trained / "model.onnx"), tiny.tested, gate=False)
    # the same arithmetic, but for the two routes of the spectrum
    np.testing.assert_allclose(resumed, never_interrupted.embeddings, rtol=0, atol=1e-4)
    for row, expected in zip(read_log(tmp_path / "run"), read_log(trained), strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


# PyTorch warns of two workers on one core, Python 3.12 of a fork beside threads: neither matters here.
@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:This process")
def test_the_number_of_workers_changes_no_bit(tmp_path, embeddings, monkeypatch):
    answers = []
    for workers in (0, 1, 2):
        monkeypatch.setenv(
            "VOCALICS_CACHE", str(tmp_path / f"cache-{workers}")
        )  # none finds another's stacks
        answers.append(embeddings(whole_recipe(epochs=2, workers=workers), tmp_path / str(workers)))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


# The module


@pytest.fixture
def module(tiny, tmp_path, monkeypatch) -> TrainingModule:
    """One that trains and validates on the test part of the tiny corpus."""
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    audio = AudioStore.build(tiny.manifest, tiny.recipe.sample_rate, tiny.recipe.bandwidth_hz)
    recipe = whole_recipe()
    torch.manual_seed(0)
    recogniser = Recogniser(recipe)
    features = FeatureStore(recipe, audio, recogniser.front_end, tmp_path)
    recogniser.front_end.fit(features.stack(utterance.id) for utterance in tiny.tested)
    made = TrainingModule(recipe, recogniser, audio, tiny.tested, tiny.tested, features)
    one_process_at_its_start = SimpleNamespace(world_size=1, global_rank=0, current_epoch=0)
    made.trainer = one_process_at_its_start
    return made


def test_the_validation_part_is_heard_whole_as_recognition_hears_it(tiny, module):
    sounds = AudioStore.build(tiny.manifest, tiny.recipe.sample_rate, tiny.recipe.bandwidth_hz)
    heard = dict.fromkeys(range(len(tiny.tested)))
    for features, positions in module.val_dataloader():
        heard |= dict(zip(positions.tolist(), features, strict=True))
    for position, utterance in enumerate(tiny.tested):
        clip = torch.from_numpy(sounds[utterance.id])[None]
        assert torch.equal(heard[position], module.recogniser.front_end(clip)[0])


def test_an_epoch_hears_every_clip_of_the_training_part(tiny, module):
    batches = list(module.train_dataloader())
    assert {features.shape for features, _ in batches} == {
        (4, 17, 32)
    }  # batch, rows and frames of the recipe
    heard = torch.cat([positions for _, positions in batches])
    assert sorted(heard.tolist()) == list(range(len(tiny.tested)))


def test_clips_have_a_front_end_of_their_own_on_the_processor(module):
    loaders = module.train_dataloader(), module.val_dataloader()
    module.to("meta")  # as to a GPU, where there is none: nothing can be computed there
    for loader in loaders:
        features, _ = next(iter(loader))
        assert features.device.type == "cpu"
        assert features.isfinite().all()


def test_a_checkpoint_holds_the_recogniser_and_nothing_else(module):
    assert {name.split(".")[0] for name in module.state_dict()} == {"recogniser"}


def test_features_are_shifted_and_noised_in_training_alone(module, monkeypatch):
    heard = []
    logits = Recogniser.logits
    monkeypatch.setattr(
        Recogniser, "logits", lambda self, features: heard.append(features) or logits(self, features)
    )
    features, positions = next(iter(module.train_dataloader()))
    module.on_validation_epoch_start()
    module.validation_step((features, positions), 0)
    module.training_step((features, positions), 0)
    validated, trained = heard
    assert torch.equal(validated, features)
    moved = [
        min(range(-2, 3), key=lambda shift: float((clip.roll(-shift, 1) - source)[:, 2:-2].square().sum()))
        for clip, source in zip(trained, features, strict=True)
    ]
    assert any(moved)  # four draws out of five shifts: all nought once in 625; the seed is fixed
    for clip, source, shift in zip(trained, features, moved, strict=True):
        noise = (clip.roll(-shift, 1) - source)[:, 2:-2]
        assert noise.std() == pytest.approx(0.01, rel=0.15)  # 476 values: their deviation varies by 3.2 %


# What one step does to dense layers


def dense_layers_of(module: TrainingModule) -> set[str]:
    return {
        f"{name}.weight"
        for name, layer in module.recogniser.named_modules()
        if isinstance(layer, torch.nn.Linear) and name.startswith("network.")
    }


def gradients(dense_l2: float, network: dict) -> tuple[TrainingModule, dict[str, torch.Tensor]]:
    """A module and the gradients of its first step, dropout off."""
    train = made_manifests.manifest(made_manifests.spoken_by("ravdess", {"a": "female"}, per_emotion=2))
    content = tiny_corpus.RECIPE | {
        "network": network,
        "augmentation": {},
        "training": tiny_corpus.RECIPE["training"] | {"dense_l2": dense_l2},
    }
    torch.manual_seed(0)
    recipe = parse_recipe(content)
    module = TrainingModule(recipe, Recogniser(recipe), Unheard(), train, Manifest(train.root, ())).eval()
    sounds = torch.randn(4, 2_800, generator=torch.Generator().manual_seed(1))
    module.training_step((0.1 * sounds, torch.tensor([0, 2, 4, 6])), 0).backward()
    return module, {name: parameter.grad for name, parameter in module.recogniser.named_parameters()}


NETWORKS = [
    ({"name": "cnn2d", "parameters": {"channels": [4, 8], "dense": [12, 6]}}, 2),
    (tiny_corpus.RECIPE["network"], 4),  # projection, two of the attention, embedding
]


@pytest.mark.parametrize(("network", "n_dense"), NETWORKS, ids=["cnn2d", "cnn_bilstm_attention"])
def test_dense_l2_draws_dense_weights_towards_zero_and_nothing_else(network, n_dense):
    plain, without = gradients(0.0, network)
    held, with_penalty = gradients(0.03, network)
    dense = dense_layers_of(plain)
    assert len(dense) == n_dense
    for name, parameter in plain.recogniser.named_parameters():
        if name in dense:  # the slope of 0.03 * w ** 2
            # added to gradients of about 0.1, which float32 rounds to 1e-8
            torch.testing.assert_close(
                with_penalty[name] - without[name], 2 * 0.03 * parameter.detach(), rtol=1e-4, atol=1e-7
            )
        else:  # the head too, which stands behind the network
            assert torch.equal(with_penalty[name], without[name]), name
    assert held._losses == plain._losses  # the log tells the loss that all recipes share


def test_dense_l2_without_a_dense_layer_is_refused():
    with pytest.raises(TrainingError, match="the network 'lstm' has none here"):
        gradients(0.03, {"name": "lstm", "parameters": {"dense": []}})
