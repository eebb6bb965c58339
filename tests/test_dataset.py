"""Decoded audio comes back as it was written; every crop and batch follows from seed, epoch and utterance."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from made_manifests import utterance
from sounds import amplitude_of, sine
from vocalics import audio
from vocalics.errors import AudioError
from vocalics.lab.dataset import (
    AudioStore,
    EpochBatches,
    TrainingClips,
    clip_rng,
    middle,
    utterance_number,
)
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.schema import AugmentationSettings

RATE = 16_000
LENGTHS = (12_000, 16_001, 8_000, 20_000)  # samples of the four clips

CHANGES = AugmentationSettings(
    speed=(0.9, 1.1),
    pitch_semitones=(-2, 2),
    pitch_probability=0.5,
    noise_snr_db=(10, 20),
    gain_db=(-6, 6),
)


def clip(number: int) -> np.ndarray:
    """Noise on the 16-bit grid, another for each number, so that a wav holds it exactly."""
    rng = np.random.default_rng(number)
    return (rng.integers(-20_000, 20_000, LENGTHS[number]) / 32_768).astype(np.float32)


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    """Four clips of two corpora, and their files."""
    utterances = [utterance(corpus, "a", number) for number, corpus in enumerate(("x", "x", "y", "y"))]
    for number, spoken in enumerate(utterances):
        path = tmp_path / "corpora" / spoken.path
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip(number), RATE, subtype="PCM_16")
    return Manifest(tmp_path / "corpora", tuple(utterances))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where decoded audio is kept."""
    return tmp_path / "decoded"


@pytest.fixture
def store(manifest, folder) -> AudioStore:
    return AudioStore.build(manifest, RATE, 8_000, folder)


class TestAudioStore:
    def test_it_returns_what_was_written(self, manifest, store):
        for number, spoken in enumerate(manifest):
            samples = store[spoken.id]
            assert samples.dtype == np.float32
            # rounded to steps of 1 / 32767: half a step, and half a step of float32 besides
            np.testing.assert_allclose(samples, clip(number), rtol=0, atol=0.51 / 32_767)

    def test_a_second_build_decodes_nothing(self, manifest, folder, store, monkeypatch):
        def refuse(path: Path) -> None:
            raise AssertionError(f"{path} was decoded again")

        monkeypatch.setattr(audio, "read", refuse)
        again = AudioStore.build(manifest, RATE, 8_000, folder)
        assert all(np.array_equal(again[spoken.id], store[spoken.id]) for spoken in manifest)
        with pytest.raises(AssertionError, match="was decoded again"):  # for another rate it has to be
            AudioStore.build(manifest, 8_000, 4_000, folder)

    def test_audio_that_changed_is_decoded_again(self, manifest, folder, store):
        first, *others = manifest
        soundfile.write(manifest.audio_path(first), -clip(0), RATE, subtype="PCM_16")
        newer = replace(manifest, utterances=(replace(first, digest="another"), *others))
        assert np.array_equal(AudioStore.build(newer, RATE, 8_000, folder)[first.id], -store[first.id])

    def test_stereo_at_another_rate_becomes_mono_at_the_models_rate(self, manifest, folder):
        first = manifest.utterances[0]
        tone = sine(1_000, 48_000, amplitude=0.5)
        soundfile.write(manifest.audio_path(first), np.stack([tone, 0 * tone], axis=1), 48_000)
        samples = AudioStore.build(manifest, RATE, 8_000, folder)[first.id]
        assert len(samples) == RATE  # one second
        # the mean of a tone and silence has half the amplitude; the resampler keeps it within 0.1 %
        assert amplitude_of(samples, 1_000, RATE) == pytest.approx(0.25, rel=1e-3)

    def test_what_is_over_full_scale_is_clipped(self, manifest, folder):
        first = manifest.utterances[0]
        loud = np.array([1.5, -1.5, 0.5] * 1_000, np.float32)
        soundfile.write(manifest.audio_path(first), loud, RATE, subtype="FLOAT")
        samples = AudioStore.build(manifest, RATE, 8_000, folder)[first.id]
        np.testing.assert_allclose(samples[:3], [1.0, -1.0, 0.5], rtol=0, atol=0.51 / 32_767)

    def test_clips_have_their_places_in_the_order_of_the_manifest(self, manifest, store):
        assert [store.position(spoken.id) for spoken in manifest] == list(range(len(store))) == [0, 1, 2, 3]

    def test_its_name_tells_what_is_in_it(self, manifest, folder, store):
        assert AudioStore.build(manifest, RATE, 8_000, folder).name == store.name
        first, *others = manifest
        changed = replace(manifest, utterances=(replace(first, digest="another"), *others))
        names = {
            store.name,
            AudioStore.build(changed, RATE, 8_000, folder).name,
            AudioStore.build(manifest, RATE, 7_000, folder).name,
            AudioStore.build(manifest, 8_000, 4_000, folder).name,
        }
        assert len(names) == 4

    def test_progress_hears_of_every_clip(self, manifest, folder):
        heard: list[tuple[int, int]] = []
        AudioStore.build(manifest, RATE, 8_000, folder, progress=lambda *counts: heard.append(counts))
        assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def test_a_file_that_cannot_be_decoded_is_named_and_leaves_nothing_behind(self, manifest, folder):
        manifest.audio_path(manifest.utterances[2]).write_bytes(b"no sound")
        with pytest.raises(AudioError, match=r"a_002\.wav"):
            AudioStore.build(manifest, RATE, 8_000, folder)
        assert list(folder.iterdir()) == []

    def test_it_travels_to_a_worker_without_its_samples(self, manifest, store):
        parcel = pickle.dumps(store)
        assert len(parcel) < 2_000  # its samples are 113 kB
        arrived = pickle.loads(parcel)
        assert all(np.array_equal(arrived[spoken.id], store[spoken.id]) for spoken in manifest)

    def test_by_default_it_lies_in_the_cache_folder(self, manifest, tmp_path, monkeypatch):
        monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
        AudioStore.build(manifest, RATE, 8_000)
        assert {path.suffix for path in (tmp_path / "cache" / "audio").iterdir()} == {".int16", ".npy"}


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
    def test_the_number_of_workers_changes_nothing(self, clips):
        batches = EpochBatches([[0, 1], [2, 3]], epoch=0, seed=5, batch_size=2, crop_samples=(6_000, 8_000))
        alone = list(DataLoader(clips, batch_sampler=batches, num_workers=0))
        shared = list(DataLoader(clips, batch_sampler=batches, num_workers=2, timeout=300))
        assert len(alone) == len(shared) == 2
        for (waveforms, positions), (others, other_positions) in zip(alone, shared, strict=True):
            assert torch.equal(waveforms, others)
            assert torch.equal(positions, other_positions)

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
