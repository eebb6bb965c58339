"""Every crop and batch follows from seed, epoch and utterance, whoever makes it ready."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from noise_clips import RATE, written_manifest
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.dataset import (
    EpochBatches,
    FeaturesOfCrops,
    TrainingClips,
    clip_rng,
    middle,
    utterance_number,
)
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recipes.schema import AugmentationSettings

CHANGES = AugmentationSettings(
    speed=(0.9, 1.1),
    pitch_semitones=(-2, 2),
    pitch_probability=0.5,
    noise_snr_db=(10, 20),
    gain_db=(-6, 6),
)


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return written_manifest(tmp_path / "corpora")


@pytest.fixture
def store(manifest, tmp_path) -> AudioStore:
    return AudioStore.build(manifest, RATE, 8_000, tmp_path / "decoded")


class TestTrainingClips:
    @pytest.fixture
    def clips(self, store, manifest) -> TrainingClips:
        return TrainingClips(store, manifest, CHANGES, RATE, seed=5)

    def test_a_crop_follows_from_seed_epoch_and_utterance_alone(self, clips, store, manifest):
        keys = [(epoch, position, 8_000) for epoch in (0, 1) for position in range(4)]
        forwards = {key: clips[key][0] for key in keys}
        backwards = {key: clips[key][0] for key in reversed(keys)}
        assert all(torch.equal(forwards[key], backwards[key]) for key in keys)
        fewer = replace(manifest, utterances=manifest.utterances[2:])  # there the same clips stand elsewhere
        elsewhere = TrainingClips(store, fewer, CHANGES, RATE, seed=5)
        assert torch.equal(elsewhere[0, 1, 8_000][0], forwards[0, 3, 8_000])

    def test_another_epoch_or_seed_changes_a_clip_anew(self, clips, store, manifest):
        crop = clips[0, 1, 8_000][0]
        assert not torch.equal(clips[1, 1, 8_000][0], crop)
        assert not torch.equal(TrainingClips(store, manifest, CHANGES, RATE, seed=6)[0, 1, 8_000][0], crop)

    # PyTorch warns of two workers on one core, Python 3.12 of a fork beside threads: neither matters here.
    @pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:This process")
    @pytest.mark.parametrize("hears", [False, True], ids=["crops", "their features"])
    def test_the_number_of_workers_changes_no_bit(self, clips, hears):
        features = load_recipe("vocalics").features
        join = FeaturesOfCrops(FrontEnd(features, RATE)) if hears else None
        batches = EpochBatches([[0, 1], [2, 3]], epoch=0, seed=5, batch_size=2, crop_samples=(6_000, 8_000))
        loaders = [
            DataLoader(clips, batch_sampler=batches, collate_fn=join, num_workers=n) for n in (0, 1, 2)
        ]
        alone, *shared = map(list, loaders)
        assert len(alone) == 2
        assert alone[0][0].ndim == (3 if hears else 2)
        for others in shared:
            for (heard, positions), (other, other_positions) in zip(alone, others, strict=True):
                assert torch.equal(heard, other)
                assert torch.equal(positions, other_positions)

    def test_they_travel_to_a_worker_without_sound_or_utterances(self, clips):
        parcel = pickle.dumps(clips)
        assert len(parcel) < 3_000  # settings and four places; the sound of the clips is 113 kB
        assert torch.equal(pickle.loads(parcel)[1, 2, 8_000][0], clips[1, 2, 8_000][0])

    def test_it_returns_each_clip_with_its_position(self, clips):
        assert len(clips) == 4
        assert [clips[0, position, 100][1] for position in range(4)] == [0, 1, 2, 3]

    def test_a_longer_clip_is_cropped_somewhere(self, store, manifest):
        unchanged = TrainingClips(store, manifest, AugmentationSettings(), RATE, seed=5)
        whole = store[manifest.utterances[3].id]
        starts = set()
        for epoch in range(8):
            crop = unchanged[epoch, 3, 8_000][0].numpy()
            (start,) = [
                at for at in np.flatnonzero(whole == crop[0]) if np.array_equal(whole[at : at + 8_000], crop)
            ]
            starts.add(int(start))
        assert len(starts) > 4  # of 12,001 places

    def test_a_clip_that_is_shorter_than_the_crop_is_padded_with_silence(self, store, manifest):
        unchanged = TrainingClips(store, manifest, AugmentationSettings(), RATE, seed=5)
        whole = store[manifest.utterances[2].id]
        assert whole[0] != 0
        starts = set()
        for epoch in range(8):
            crop = unchanged[epoch, 2, 10_000][0].numpy()
            start = int(crop.nonzero()[0][0])
            expected = np.zeros(10_000, np.float32)
            expected[start : start + 8_000] = whole
            assert np.array_equal(crop, expected)
            starts.add(start)
        assert len(starts) > 4  # of 2,001 places

    def test_a_clip_as_long_as_the_crop_is_heard_whole(self, store, manifest):
        unchanged = TrainingClips(store, manifest, AugmentationSettings(), RATE, seed=5)
        assert np.array_equal(unchanged[0, 2, 8_000][0].numpy(), store[manifest.utterances[2].id])

    def test_the_validation_part_is_never_changed_and_cropped_in_its_middle(self, store, manifest):
        heard = TrainingClips(store, manifest, None, RATE, seed=5)
        whole = store[manifest.utterances[3].id]
        for epoch in (0, 1):
            assert np.array_equal(heard[epoch, 3, 8_000][0].numpy(), whole[6_000:14_000])

    @pytest.mark.parametrize(
        ("length", "expected"),
        [
            (3, [2, 3, 4]),
            (2, [2, 3]),
            (5, [1, 2, 3, 4, 5]),
            (8, [0, 1, 2, 3, 4, 5, 0, 0]),
            (7, [0, 1, 2, 3, 4, 5, 0]),
        ],
    )
    def test_the_middle_is_cut_or_padded_on_both_sides(self, length, expected):
        assert middle(np.array([1, 2, 3, 4, 5], np.float32), length).tolist() == expected


class TestSeeds:
    def test_a_clip_s_changes_follow_from_run_draw_and_utterance(self):
        seeds = [(0, 1, "x/a"), (1, 1, "x/a"), (0, 2, "x/a"), (0, 1, "x/b"), (1, 0, "x/a")]
        assert len({clip_rng(*seed).random() for seed in seeds}) == len(seeds)
        assert clip_rng(*seeds[0]).random() == clip_rng(*seeds[0]).random()

    def test_an_utterance_has_the_same_number_on_every_machine(self):
        # the first 16 of the 64 digits of its SHA-256; Python's own hash differs from process to process
        digest = hashlib.sha256("ravdess/złość".encode()).hexdigest()
        assert utterance_number("ravdess/złość") == int(digest[:16], 16)


class TestEpochBatches:
    GROUPS = (range(20), range(20, 27), range(27, 40))  # three corpora: 20, 7 and 13 clips

    def batches(self, epoch: int = 0, seed: int = 3, **others: object) -> list[list[tuple[int, int, int]]]:
        settings = {"batch_size": 4, "crop_samples": (100, 103)} | others
        return list(EpochBatches(self.GROUPS, epoch, seed, **settings))

    def test_every_clip_is_heard_once_an_epoch(self):
        heard = [position for batch in self.batches() for _, position, _ in batch]
        assert sorted(heard) == list(range(40))  # 40 = 10 batches of 4: none is left over

    def test_a_last_batch_that_is_smaller_is_dropped(self):
        batches = self.batches(batch_size=7)
        assert [len(batch) for batch in batches] == [7] * 5  # 40 = 5 x 7 + 5
        heard = [position for batch in batches for _, position, _ in batch]
        assert len(set(heard)) == 35

    def test_an_epoch_smaller_than_a_batch_is_one_batch(self):
        (batch,) = self.batches(batch_size=64)
        assert sorted(position for _, position, _ in batch) == list(range(40))

    def test_balance_draws_equally_from_every_corpus(self):
        heard = [position for batch in self.batches(balance=True, batch_size=3) for _, position, _ in batch]
        assert len(set(heard)) == len(heard) == 21  # three times the smallest corpus's 7 clips
        assert [sum(position in group for position in heard) for group in self.GROUPS] == [7, 7, 7]

    def test_under_balance_the_larger_corpora_are_heard_in_turn(self):
        heard = {
            position
            for epoch in range(20)
            for batch in self.batches(epoch, balance=True, batch_size=3)
            for _, position, _ in batch
        }
        assert heard == set(range(40))  # a clip of the 20 is left out of 20 epochs with 0.65**20 = 0.02 %

    def test_each_batch_has_one_length_within_the_range(self):
        lengths = [{length for _, _, length in batch} for epoch in range(10) for batch in self.batches(epoch)]
        assert all(len(batch) == 1 for batch in lengths)
        assert set.union(*lengths) == {100, 101, 102, 103}  # both ends included

    def test_each_clip_is_addressed_with_its_epoch(self):
        assert {epoch for batch in self.batches(epoch=6) for epoch, _, _ in batch} == {6}

    def test_the_same_epoch_has_the_same_batches(self):
        assert self.batches(epoch=2) == self.batches(epoch=2)

    def test_other_epochs_and_seeds_have_other_batches(self):
        def order(batches: list[list[tuple[int, int, int]]]) -> tuple[int, ...]:
            return tuple(position for batch in batches for _, position, _ in batch)

        orders = {order(self.batches(epoch, seed)) for epoch in range(3) for seed in range(3)}
        assert len(orders) == 9
