"""Feature stacks are computed once, found again by all, and never taken for those of another recipe."""

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from made_clips import FRAMES, HOP, N_FEATURES, RATE, anew, made_recipe, written_manifest
from vocalics.lab import feature_store
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.feature_store import FeatureStore, WholeClips
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes import Recipe
from vocalics.lab.recipes.schema import WAVEFORM_CHANGES, AugmentationSettings


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return written_manifest(tmp_path / "corpora")


@pytest.fixture
def audio(manifest, tmp_path) -> AudioStore:
    return AudioStore.build(manifest, RATE, 4_000, tmp_path / "decoded")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where stacks are kept."""
    return tmp_path / "stacks"


@pytest.fixture
def opened(audio, folder):
    """Open a store: ``opened(recipe)``, or with another one's audio."""

    def open_store(recipe: Recipe, audio: AudioStore = audio) -> FeatureStore:
        return FeatureStore(recipe, audio, FrontEnd(recipe.features, recipe.sample_rate), folder)

    return open_store


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """Samples of the clips whose stacks were computed, one after the other."""
    lengths: list[int] = []
    stack = FrontEnd.stack

    def count(front_end: FrontEnd, waveform: torch.Tensor) -> torch.Tensor:
        lengths.append(waveform.shape[1])
        return stack(front_end, waveform)

    monkeypatch.setattr(FrontEnd, "stack", count)
    return lengths


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix == ".float32"}


class TestStacks:
    def test_each_is_computed_once_and_equals_one_that_is_computed_anew(
        self, opened, audio, manifest, computed
    ):
        recipe = made_recipe()
        store = opened(recipe)
        asked = [(spoken.id, draw) for spoken in manifest for draw in (0, 1, 2)]
        first = [store.stack(*which) for which in asked]
        assert len(computed) == len(asked) == 12
        second = [store.stack(*which) for which in asked]
        assert len(computed) == 12
        for which, one, other in zip(asked, first, second, strict=True):
            expected = anew(recipe, audio, *which)
            assert torch.equal(one, expected), which
            assert torch.equal(other, expected), which

    def test_the_first_draw_is_the_clip_as_it_is(self, opened, audio, manifest):
        recipe = made_recipe()
        for spoken in manifest:
            as_it_is = torch.from_numpy(audio[spoken.id][:RATE].copy())[None]  # the window is one second
            expected = FrontEnd(recipe.features, RATE).stack(as_it_is)[0]
            assert torch.equal(opened(recipe).stack(spoken.id), expected)

    def test_every_copy_is_another(self, opened, manifest):
        for spoken in manifest:
            first, second, third = (opened(made_recipe()).stack(spoken.id, draw)[:, :9] for draw in (0, 1, 2))
            assert not torch.equal(first, second)
            assert not torch.equal(first, third)
            assert not torch.equal(second, third)

    def test_another_seed_has_other_copies_of_the_same_clips(self, opened, manifest):
        name = manifest.utterances[0].id
        one, other = opened(made_recipe()), opened(made_recipe(training__seed=1))
        assert torch.equal(one.stack(name), other.stack(name))
        assert not torch.equal(one.stack(name, 1)[:, :9], other.stack(name, 1)[:, :9])

    def test_a_stack_is_cut_to_the_frames_and_never_padded(self, opened, manifest):
        store = opened(made_recipe())
        frames = [store.stack(spoken.id).shape[1] for spoken in manifest]
        assert frames == [32, 20, 24, FRAMES]  # 1 + samples // 128: the last would have 63

    def test_a_clip_is_heard_as_far_as_the_window_goes(self, opened, manifest):
        stack = opened(made_recipe(features__frames=100)).stack(manifest.utterances[3].id)
        assert stack.shape[1] == 1 + RATE // HOP  # of 8,200 samples the 8,000 of one second

    def test_functionals_are_stacks_of_one_frame(self, opened, audio, manifest):
        recipe = made_recipe(features__frames=None, features__functionals=["mean", "std"])
        name = manifest.utterances[0].id
        for _ in range(2):
            stack = opened(recipe).stack(name, 1)
            assert stack.shape == (2 * N_FEATURES, 1)
            assert torch.equal(stack, anew(recipe, audio, name, 1))

    def test_a_stack_that_was_handed_out_can_be_changed_without_harm(self, opened, manifest):
        store, name = opened(made_recipe()), manifest.utterances[0].id
        before = store.stack(name).clone()
        store.stack(name).zero_()
        assert torch.equal(store.stack(name), before)

    def test_they_are_computed_on_the_processor_wherever_the_model_goes(self, audio, folder, manifest):
        recipe = made_recipe()
        front_end = FrontEnd(recipe.features, RATE)
        store = FeatureStore(recipe, audio, front_end, folder)
        front_end.to("meta")  # as to a GPU, where there is none
        name = manifest.utterances[0].id
        assert torch.equal(store.stack(name), anew(recipe, audio, name, 0))


class TestDraws:
    IDS = tuple(f"x/{number}" for number in range(60))

    def test_each_copy_is_heard_equally_often_in_turn(self, opened):
        store = opened(made_recipe())
        for name in self.IDS:
            draws = [store.draw(epoch, name) for epoch in range(9)]
            assert sorted(draws[:3]) == [0, 1, 2]  # the clip as it is and its two copies
            assert draws[:3] == draws[3:6] == draws[6:]

    def test_an_epoch_hears_clips_as_they_are_and_copies_of_others(self, opened):
        store = opened(made_recipe())
        counts = np.bincount([store.draw(0, name) for name in self.IDS], minlength=3)
        assert counts.min() >= 6  # 20 on average, deviation 3.7

    def test_without_changes_to_the_waveform_every_epoch_hears_the_clip_as_it_is(self, opened):
        store = opened(
            made_recipe(augmentation={"shift_frames": 3, "feature_noise": 0.1, "mixup_alpha": 0.2})
        )
        assert {store.draw(epoch, name) for epoch in range(5) for name in self.IDS} == {0}

    def test_without_a_bound_every_epoch_has_a_copy_of_its_own(self, opened):
        store = opened(made_recipe(augmentation__copies=None))
        draws = [store.draw(epoch, self.IDS[0]) for epoch in range(50)]
        assert len(set(draws)) == 50
        assert 0 not in draws


class TestCopies:
    def test_a_setting_that_changes_the_waveform_makes_copies_and_no_other_does(self):
        changes: dict[str, object] = {
            "speed": (0.9, 1.1),
            "gain_db": (-1, 1),
            "noise_factor": 0.1,
            "noise_snr_db": (10, 20),
            "pitch_semitones": (-1, 1),
            "stretch": (0.9, 1.1),
            "shift_s": 0.1,
            "babble_snr_db": (5, 20),
            "echo_rt60_s": (0.2, 0.8),
            "low_pass_hz": (3_000, 7_000),
            "clip_share": 0.1,
        }
        band = {"band_low_hz": (200, 400), "band_high_hz": (3_000, 3_800)}  # neither goes alone
        assert AugmentationSettings.model_validate(band).n_copies is None
        for name, value in changes.items():
            assert AugmentationSettings.model_validate({name: value}).n_copies is None, name
            assert AugmentationSettings.model_validate({name: value, "copies": 7}).n_copies == 7, name
        probabilities = {"noise_probability", "pitch_probability", "stretch_probability"}
        probabilities |= {
            f"{name}_probability" for name in ("babble", "echo", "band", "mu_law", "low_pass", "clip")
        }
        how = {"copies", "echo_direct_db"}
        assert {*changes, *band, *probabilities, *how} == set(WAVEFORM_CHANGES)
        after = {"shift_frames", "feature_noise", "frequency_masks", "frequency_mask_share"}
        after |= {"time_masks", "time_mask_share", "mixup_alpha", "mixup_probability", "vocal_tract"}
        every = {*WAVEFORM_CHANGES, *after}
        assert every == AugmentationSettings.model_fields.keys()  # a new setting must find its place
        others = dict.fromkeys(after | probabilities, 1) | {"vocal_tract": (0.9, 1.1)}
        assert AugmentationSettings.model_validate(others | {"copies": 7}).n_copies == 0

    def test_a_recipe_that_changes_features_alone_keeps_one_stack_a_clip(self, opened, folder, manifest):
        opened(made_recipe(augmentation={"shift_frames": 3, "feature_noise": 0.1, "copies": 7}))
        (name,) = files_in(folder)
        assert (folder / name).stat().st_size == 4 * N_FEATURES * FRAMES * 4  # clips, float32

    def test_bounded_copies_have_their_place_in_the_file(self, opened, folder):
        opened(made_recipe())
        (name,) = files_in(folder)
        assert (folder / name).stat().st_size == 4 * 3 * N_FEATURES * FRAMES * 4  # each clip and two copies

    def test_without_a_bound_changed_clips_are_computed_anew_and_not_kept(
        self, opened, audio, folder, manifest, computed
    ):
        recipe = made_recipe(augmentation__copies=None)
        store, name = opened(recipe), manifest.utterances[0].id
        stacks = [store.stack(name, store.draw(epoch, name)) for epoch in (0, 1, 0)]
        assert len(computed) == 3
        assert torch.equal(stacks[0], stacks[2])
        assert not torch.equal(stacks[0][:, :9], stacks[1][:, :9])
        assert torch.equal(stacks[1], anew(recipe, audio, name, 2))
        assert not any(any(path.read_bytes()) for path in folder.iterdir())
        for _ in range(2):  # the clip as it is has its place
            store.stack(name)
        assert len(computed) == 4 + 1  # with the one of `anew`


class TestFile:
    def test_a_second_store_finds_what_the_first_computed(self, opened, manifest, computed):
        expected = [opened(made_recipe()).stack(spoken.id, 1) for spoken in manifest]
        assert len(computed) == 4
        again = opened(made_recipe())
        found = [again.stack(spoken.id, 1) for spoken in manifest]
        assert len(computed) == 4
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))

    def test_two_stores_at_once_see_what_the_other_computed(self, opened, manifest, computed):
        one, other = opened(made_recipe()), opened(made_recipe())
        for position, spoken in enumerate(manifest):
            (one, other)[position % 2].stack(spoken.id, 1)
        assert all(torch.equal(one.stack(spoken.id, 1), other.stack(spoken.id, 1)) for spoken in manifest)
        assert len(computed) == 4

    @pytest.mark.parametrize(
        "changes",
        [
            {"features__n_fft": 512},
            {"features__frames": 41},
            {"features__round_to_bits": 16},
            {"features__amplitude": "peak"},
            {"features__stack": [{"name": "log_mel", "n_mels": 9}]},
            {"window_s": 0.5},
            {"augmentation__copies": 3},
            {"augmentation__speed": [0.8, 1.2]},
            {"augmentation__noise_probability": 0.1},
            {"training__seed": 1},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_what_decides_on_the_numbers_gets_another_file(self, opened, folder, changes):
        opened(made_recipe())
        opened(made_recipe(**changes))
        assert len(files_in(folder)) == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"features__normalisation": "utterance"},
            {
                "augmentation__mixup_alpha": 0.3,
                "augmentation__time_masks": 2,
                "augmentation__shift_frames": 3,
            },
            {"network": {"name": "cnn1d"}, "training__epochs": 7, "emotions": ["sad", "happy"]},
        ],
        ids=["normalisation", "changes to the features", "network and training"],
    )
    def test_what_does_not_shares_the_file(self, opened, folder, changes):
        opened(made_recipe())
        opened(made_recipe(**changes))
        assert len(files_in(folder)) == 1

    @pytest.mark.parametrize("augmentation", [{}, {"speed": [0.8, 1.2]}], ids=["no changes", "no bound"])
    def test_a_seed_counts_only_where_copies_are_kept(self, opened, folder, augmentation):
        for seed in (0, 1):
            opened(made_recipe(augmentation=augmentation, training__seed=seed))
        assert len(files_in(folder)) == 1

    def test_other_audio_gets_another_file(self, opened, audio, manifest, folder, tmp_path):
        fewer = AudioStore.build(
            manifest.select([manifest.utterances[0].id]), RATE, 4_000, tmp_path / "decoded"
        )
        for store in (audio, fewer):
            opened(made_recipe(), store)
        assert len(files_in(folder)) == 2

    def test_other_code_gets_another_file(self, opened, folder, monkeypatch):
        opened(made_recipe())
        monkeypatch.setattr(feature_store, "_CODE", "digest of other code")
        opened(made_recipe())
        assert len(files_in(folder)) == 2

    def test_a_change_in_any_module_of_a_package_is_other_code(self, tmp_path):
        package = tmp_path / "features"
        package.mkdir()
        sources = [package / "__init__.py", package / "mel.py", tmp_path / "augment.py"]
        modules = [ModuleType("features"), ModuleType("augment")]
        modules[0].__file__, modules[1].__file__ = str(sources[0]), str(sources[2])
        for source in sources:
            source.write_text("as it was")
        digests = {feature_store._digest_of(*modules)}
        for source in sources:
            source.write_text("changed")
            digests.add(feature_store._digest_of(*modules))
        assert len(digests) == 4

    def test_other_versions_of_libraries_get_another_file(self, opened, folder, monkeypatch):
        opened(made_recipe())
        monkeypatch.setattr(feature_store, "version", lambda name: "a newer one")
        opened(made_recipe())
        assert len(files_in(folder)) == 2

    def test_by_default_it_lies_in_the_cache_folder(self, audio, tmp_path, monkeypatch):
        monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
        recipe = made_recipe()
        FeatureStore(recipe, audio, FrontEnd(recipe.features, RATE))
        assert len(files_in(tmp_path / "cache" / "features")) == 1

    def test_a_stack_that_was_half_written_is_computed_again(self, opened, audio, manifest):
        class KilledHalfway:
            def __init__(self, stacks: np.ndarray) -> None:
                self.stacks = stacks

            def __setitem__(self, key: tuple[Any, ...], stack: np.ndarray) -> None:
                self.stacks[key[0], :, : stack.shape[1] // 2] = 1e9
                raise KeyboardInterrupt

        recipe, name = made_recipe(), manifest.utterances[0].id
        killed = opened(recipe)
        killed._stacks = KilledHalfway(killed._stacks)
        with pytest.raises(KeyboardInterrupt):
            killed.stack(name, 1)
        assert torch.equal(opened(recipe).stack(name, 1), anew(recipe, audio, name, 1))


class TestTravel:
    def test_it_travels_to_a_process_without_its_stacks(self, opened, manifest, computed):
        # Ten thousand copies of four clips would take 56 MB; a front end of 256 points takes some 20 kB.
        store = opened(made_recipe(augmentation__copies=10_000))
        name = manifest.utterances[0].id
        expected = store.stack(name, 9_000)
        parcel = pickle.dumps(store)
        assert len(parcel) < 100_000
        assert torch.equal(pickle.loads(parcel).stack(name, 9_000), expected)
        assert len(computed) == 1

    # PyTorch warns of two workers on one core, Python 3.12 of a fork beside threads: neither matters here.
    @pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:This process")
    def test_two_processes_at_once_compute_what_all_find(self, opened, manifest, computed):
        recipe = made_recipe()
        store, front_end = opened(recipe), FrontEnd(recipe.features, RATE)
        every = [(0, position, 0) for position in range(4)]
        clips = WholeClips(store, front_end, manifest, changed=True)
        both = list(DataLoader(clips, batch_sampler=[every, every], num_workers=2, timeout=300))
        assert len(both) == 2  # each process was asked for all four
        found = [clips[key][0] for key in every]
        assert computed == []  # not in this process
        for features, positions in both:
            assert positions.tolist() == [0, 1, 2, 3]
            # another process may add up with another number of threads
            torch.testing.assert_close(features, torch.stack(found), rtol=0, atol=1e-4)
