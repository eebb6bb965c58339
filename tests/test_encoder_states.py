"""States of an encoder are computed once for each clip, found again by all, and never taken for others."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_clips import written_manifest
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.dataset import clip_rng
from vocalics.lab.encoders import EncoderFrontEnd, StateStore, WholeStates, join_states, states
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes import Recipe, load_recipe

pytest.importorskip("transformers", reason="encoders are those of transformers")

import made_encoders  # needs transformers
from made_encoders import LAYERS, WIDTH

RATE = 16_000
NOBODY = Manifest(Path(), ())
CHANGES = ("augmentation.speed=[0.8, 1.25]", "augmentation.copies=2")


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    """Four clips of noise, of 0.3 to 1.03 s."""
    return written_manifest(tmp_path / "corpora")


@pytest.fixture
def audio(manifest, tmp_path) -> AudioStore:
    return AudioStore.build(manifest, RATE, 4_000, tmp_path / "decoded")


@pytest.fixture
def recipe(tiny_encoder):
    """Make the recipe: ``recipe("window_s=2")``."""

    def make(*settings: str) -> Recipe:
        return load_recipe("encoder", [f"encoder.source={tiny_encoder}", "window_s=1", *settings])

    return make


@pytest.fixture
def opened(recipe, audio, tmp_path):
    """Open a store and its front end: ``opened("encoder.layers=[1]")``."""

    def open_store(*settings: str, audio: AudioStore = audio) -> tuple[StateStore, EncoderFrontEnd]:
        made = recipe(*settings)
        front_end = EncoderFrontEnd(made.encoder, RATE, made.window_s).eval()
        return StateStore(made, audio, front_end, tmp_path / "states"), front_end

    return open_store


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """Samples of the clips whose states were computed, one after the other."""
    lengths: list[int] = []
    stack = EncoderFrontEnd.stack

    def count(front_end: EncoderFrontEnd, waveform: torch.Tensor) -> torch.Tensor:
        lengths.append(waveform.shape[1])
        return stack(front_end, waveform)

    monkeypatch.setattr(EncoderFrontEnd, "stack", count)
    return lengths


def anew(front_end: EncoderFrontEnd, samples: np.ndarray) -> torch.Tensor:
    """States (steps, n_states, width) of a clip without a store."""
    with torch.inference_mode():
        return front_end.stack(torch.from_numpy(samples[:RATE].copy())[None])[0]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


class TestStates:
    def test_they_are_those_of_the_clip_in_half_precision(self, opened, manifest, audio):
        store, front_end = opened()
        store.fill(front_end, manifest, NOBODY)
        for spoken in manifest:
            found = store.states(spoken.id)
            expected = anew(front_end, audio[spoken.id])
            assert found.dtype == torch.float16
            assert found.shape == (front_end.n_steps(min(RATE, len(audio[spoken.id]))), LAYERS + 1, WIDTH)
            torch.testing.assert_close(found, expected.half(), rtol=0, atol=0)

    def test_each_clip_is_heard_once(self, opened, manifest, audio, computed):
        store, front_end = opened()
        store.fill(front_end, manifest, NOBODY)
        assert sorted(computed) == sorted(min(RATE, len(audio[spoken.id])) for spoken in manifest)
        for again in (opened(), opened()):
            again[0].fill(again[1], manifest, NOBODY)
        assert len(computed) == len(manifest)

    def test_copies_are_heard_once_each_and_those_of_the_validation_part_never(
        self, opened, manifest, audio, computed, recipe
    ):
        from vocalics.lab.augment import augment_waveform

        ids = [spoken.id for spoken in manifest]
        train, validation = manifest.select(ids[:2]), manifest.select(ids[2:])
        store, front_end = opened(*CHANGES)
        store.fill(front_end, train, validation)
        assert len(computed) == 2 * 3 + 2
        for draw in (1, 2):
            rng = clip_rng(0, draw, ids[0])
            changed = augment_waveform(audio[ids[0]], recipe(*CHANGES).augmentation, RATE, rng)
            torch.testing.assert_close(
                store.states(ids[0], draw), anew(front_end, changed).half(), rtol=0, atol=0
            )

    def test_each_copy_is_heard_equally_often_in_turn(self, opened):
        store, _ = opened(*CHANGES)
        for name in (f"x/{number}" for number in range(30)):
            draws = [store.draw(epoch, name) for epoch in range(6)]
            assert sorted(draws[:3]) == [0, 1, 2]
            assert draws[:3] == draws[3:]

    def test_what_it_takes_on_the_disk_is_told(self, opened, manifest, tmp_path):
        store, front_end = opened()
        size = store.fill(front_end, manifest, NOBODY)
        assert size == sum(path.stat().st_size for path in files_in(tmp_path / "states"))
        steps = sum(len(store.states(spoken.id)) for spoken in manifest)
        # 16 bits a number, and a head of 128 bytes a file
        assert size == steps * (LAYERS + 1) * WIDTH * 2 + len(manifest) * 128

    def test_the_progress_counts_what_is_there_already(self, opened, manifest):
        heard: list[tuple[int, int | None]] = []
        for _ in range(2):
            store, front_end = opened()
            store.fill(front_end, manifest, NOBODY, progress=lambda *done: heard.append(done))
        assert heard == 2 * [(1, 4), (2, 4), (3, 4), (4, 4)]


class TestFiles:
    def test_a_larger_corpus_takes_over_what_a_smaller_one_has(self, opened, manifest, computed, tmp_path):
        few = manifest.select([spoken.id for spoken in manifest][:2])
        store, front_end = opened(audio=AudioStore.build(few, RATE, 4_000, tmp_path / "decoded"))
        store.fill(front_end, few, NOBODY)
        store, front_end = opened()
        store.fill(front_end, manifest, NOBODY)
        assert len(computed) == 4

    def test_the_same_sound_under_two_names_is_heard_once(self, opened, manifest, computed, tmp_path):
        first = manifest.utterances[0]
        both = Manifest(manifest.root, (first, replace(first, id="x/twin")))
        store, front_end = opened(audio=AudioStore.build(both, RATE, 4_000, tmp_path / "decoded"))
        store.fill(front_end, both, NOBODY)
        assert len(computed) == 1

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (("encoder.layers=[1]",), 8),
            (("window_s=0.5",), 8),  # whatever the clip's length: the key is of what is heard at most
            (("network.parameters.units=7", "training.epochs=3", "emotions=[sad, happy]"), 4),
            (("augmentation.mixup_alpha=0.4",), 4),
        ],
        ids=["layers", "window", "network and training", "changes to the features"],
    )
    def test_what_decides_on_the_numbers_gets_other_files(
        self, opened, manifest, tmp_path, settings, expected
    ):
        for these in ((), settings):
            store, front_end = opened(*these)
            store.fill(front_end, manifest, NOBODY)
        assert len(files_in(tmp_path / "states")) == expected

    def test_another_encoder_gets_another_folder_that_names_it(self, opened, manifest, tmp_path):
        other = made_encoders.write(tmp_path / "other-one", "wav2vec2", seed=1)
        folders = {opened(f"encoder.source={other}")[0].folder, opened()[0].folder}
        assert len(folders) == 2
        assert [folder.name.startswith("other-one-") for folder in sorted(folders)].count(True) == 1

    def test_the_same_encoder_elsewhere_has_the_same_states(self, opened, manifest, tmp_path, computed):
        twin = made_encoders.write(tmp_path / "a-twin", "wav2vec2")
        for settings in ((), (f"encoder.source={twin}",)):
            store, front_end = opened(*settings)
            store.fill(front_end, manifest, NOBODY)
        assert len(computed) == 4

    @pytest.mark.parametrize("name", ["_CODE", "version"])
    def test_other_code_and_other_libraries_get_another_folder(self, opened, monkeypatch, name):
        before = opened()[0].folder
        monkeypatch.setattr(states, name, (lambda _: "a newer one") if name == "version" else "other code")
        assert opened()[0].folder != before

    @pytest.mark.parametrize(
        "content", [b"", b"\x93NUMPY\x01\x00", None], ids=["empty", "cut", "other shape"]
    )
    def test_a_damaged_file_is_computed_again(self, opened, manifest, tmp_path, computed, content):
        store, front_end = opened()
        store.fill(front_end, manifest, NOBODY)
        damaged = files_in(tmp_path / "states")[0]
        whole = np.load(damaged)
        if content is None:
            np.save(damaged, whole[:, :, :3])
        else:
            damaged.write_bytes(content)
        store.fill(front_end, manifest, NOBODY)
        assert len(computed) == 5
        np.testing.assert_array_equal(np.load(damaged), whole)

    def test_a_file_is_there_whole_or_not_at_all(self, opened, manifest, tmp_path, monkeypatch):
        store, front_end = opened()

        def killed(file, *_, **__):
            file.write(b"\x93NUMPY half of it")
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            store.fill(front_end, manifest, NOBODY)
        assert [path for path in (tmp_path / "states").rglob("*") if path.is_file()] == []

    def test_by_default_they_lie_in_the_cache_folder(self, recipe, audio, tmp_path, monkeypatch):
        monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
        made = recipe()
        front_end = EncoderFrontEnd(made.encoder, RATE, made.window_s)
        assert StateStore(made, audio, front_end).folder.parent == tmp_path / "cache" / "encoders"


class TestBatches:
    def test_clips_are_addressed_by_epoch_and_position(self, opened, manifest):
        store, front_end = opened(*CHANGES)
        store.fill(front_end, manifest, NOBODY)
        as_they_are = WholeStates(store, manifest, changed=False)
        changed = WholeStates(store, manifest, changed=True)
        assert len(as_they_are) == 4
        for position, spoken in enumerate(manifest):
            for epoch in range(3):
                heard, place = as_they_are[epoch, position, 0]
                assert torch.equal(heard, store.states(spoken.id))
                assert place == position
                draw = store.draw(epoch, spoken.id)
                assert torch.equal(changed[epoch, position, 0][0], store.states(spoken.id, draw))

    def test_clips_of_different_lengths_stand_beside_each_other(self):
        clips = [(torch.full((steps, 2, 3), steps, dtype=torch.float16), steps) for steps in (3, 1, 2)]
        joined, positions, lengths = join_states(clips)
        assert joined.shape == (3, 3, 2, 3)
        assert joined.dtype == torch.float16
        assert lengths.tolist() == positions.tolist() == [3, 1, 2]
        assert joined[:, :, 0, 0].tolist() == [[3, 3, 3], [1, 0, 0], [2, 2, 0]]

    def test_a_store_travels_to_a_process_without_its_states(self, opened, manifest):
        store, front_end = opened()
        store.fill(front_end, manifest, NOBODY)
        parcel = pickle.dumps(store)
        name = manifest.utterances[0].id
        assert len(parcel) < 5_000  # paths, ids and settings
        assert torch.equal(pickle.loads(parcel).states(name), store.states(name))
