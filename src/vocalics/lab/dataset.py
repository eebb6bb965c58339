"""Decoded audio, memory-mapped, and the batches of an epoch."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from vocalics import audio
from vocalics.errors import TrainingError
from vocalics.lab.augment import Samples, augment_waveform
from vocalics.lab.babble import Voices
from vocalics.lab.corpora import cache_folder
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.schema import AugmentationSettings

_FULL_SCALE = 32_767.0


class AudioStore:
    """Decoded, mono, resampled clips of a manifest in one memory-mapped 16-bit file.

    The file is named by a digest of what is in it, so a second training finds it, and processes share its
    pages.

    Parameters
    ----------
    path
        The raw file.
    offsets
        (n_clips + 1,): where each clip starts, in samples.
    ids
        Utterance ids, in the order of the clips.
    """

    def __init__(self, path: Path, offsets: npt.NDArray[np.int64], ids: Sequence[str]) -> None:
        self._path, self._offsets = path, offsets
        self._samples = np.memmap(path, dtype=np.int16, mode="r")
        self._position = {name: position for position, name in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._position)

    @property
    def name(self) -> str:
        """Digest of what is in it."""
        return self._path.stem

    def position(self, utterance_id: str) -> int:
        """Return the place of a clip among the others."""
        return self._position[utterance_id]

    def __getitem__(self, utterance_id: str) -> Samples:
        """Return the samples (n,) of one clip, float32 in [-1, 1]."""
        position = self._position[utterance_id]
        start, stop = self._offsets[position], self._offsets[position + 1]
        return np.asarray(self._samples[start:stop], dtype=np.float32) / np.float32(_FULL_SCALE)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a worker process as the file's name: a pickled memory map would carry every sample."""
        return AudioStore, (self._path, self._offsets, list(self._position))

    @classmethod
    def build(
        cls,
        manifest: Manifest,
        sample_rate: int,
        bandwidth_hz: float,
        folder: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "AudioStore":
        """Decode a manifest once; `progress` hears (done, total)."""
        folder = folder or cache_folder() / "audio"
        ids = [utterance.id for utterance in manifest]
        what = [sample_rate, bandwidth_hz, *((utterance.id, utterance.digest) for utterance in manifest)]
        key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
        raw, index = folder / f"{key}.int16", folder / f"{key}.npy"
        if not (raw.is_file() and index.is_file()):
            folder.mkdir(parents=True, exist_ok=True)
            lengths = cls._decode(manifest, sample_rate, bandwidth_hz, raw, progress)
            partial = index.with_suffix(f".{os.getpid()}.part.npy")
            np.save(partial, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
            partial.replace(index)
        return cls(raw, np.load(index), ids)

    @staticmethod
    def _decode(
        manifest: Manifest,
        sample_rate: int,
        bandwidth_hz: float,
        raw: Path,
        progress: Callable[[int, int], None] | None,
    ) -> list[int]:
        def decode(path: Path) -> npt.NDArray[np.int16]:
            waveform = audio.read(path).mono().resampled(sample_rate, bandwidth_hz)
            levels: Samples = np.round(np.clip(waveform.samples[0], -1, 1) * _FULL_SCALE)
            return levels.astype(np.int16)

        lengths: list[int] = []
        partial = raw.with_suffix(f".{os.getpid()}.part")
        try:
            with partial.open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
                for clip in pool.map(decode, [manifest.audio_path(utterance) for utterance in manifest]):
                    file.write(clip.tobytes())
                    lengths.append(len(clip))
                    if progress:
                        progress(len(lengths), len(manifest))
            partial.replace(raw)
        finally:  # a file that cannot be decoded, or Ctrl-C, leaves nothing behind
            partial.unlink(missing_ok=True)
        return lengths


class TrainingClips(Dataset[tuple[torch.Tensor, int]]):
    """Augmented crops, addressed by (epoch, position, crop length).

    There is no state, so workers cannot fall out of step.

    Parameters
    ----------
    store
        Decoded audio.
    manifest
        The training part.
    settings
        Waveform changes; None leaves every clip as it is and crops its middle.
    sample_rate
        Hz.
    seed
        Of the run; a clip's changes follow from (seed, epoch, utterance) alone, and its babble also from the
        other clips of the part.

    Raises
    ------
    UsageError
        The settings ask for babble, and it is not known who speaks, or nobody else does.
    """

    def __init__(
        self,
        store: AudioStore,
        manifest: Manifest,
        settings: AugmentationSettings | None,
        sample_rate: int,
        seed: int,
    ) -> None:
        self._store, self._manifest, self._settings = store, manifest, settings
        self._sample_rate, self._seed = sample_rate, seed
        self._voices = Voices(store, manifest) if settings and settings.babble_snr_db else None

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[torch.Tensor, int]:
        """Return the crop (crop_samples,) and its position in the manifest."""
        epoch, position, crop_samples = key
        utterance = self._manifest.utterances[position]
        samples = self._store[utterance.id]
        if self._settings is None:
            return torch.from_numpy(middle(samples, crop_samples)), position
        rng = clip_rng(self._seed, epoch, utterance.id)
        babble = partial(self._voices.mixed, utterance) if self._voices else None
        samples = augment_waveform(samples, self._settings, self._sample_rate, rng, babble)
        room = len(samples) - crop_samples
        if room >= 0:
            start = int(rng.integers(0, room + 1))
            return torch.from_numpy(samples[start : start + crop_samples].copy()), position
        padded = np.zeros(crop_samples, dtype=np.float32)
        start = int(rng.integers(0, -room + 1))
        padded[start : start + len(samples)] = samples
        return torch.from_numpy(padded), position


def utterance_number(utterance_id: str) -> int:
    """Return a number that stands for an utterance in seeds, the same on every machine."""
    return int.from_bytes(hashlib.sha256(utterance_id.encode()).digest()[:8], "big")


def clip_rng(seed: int, draw: int, utterance_id: str) -> np.random.Generator:
    """Return the source of the changes to a clip: they follow from run, epoch or copy, and utterance."""
    return np.random.default_rng([seed, draw, utterance_number(utterance_id)])


def middle(samples: Samples, length: int) -> Samples:
    """Cut or pad `samples` (n,) around its middle to `length`."""
    if len(samples) >= length:
        start = (len(samples) - length) // 2
        return samples[start : start + length].copy()
    left = (length - len(samples)) // 2
    return np.pad(samples, (left, length - len(samples) - left))


class EpochBatches(Sampler[list[tuple[int, int, int]]]):
    """The batches of one epoch: shuffled, each with one crop length, from (seed, epoch) alone.

    Parameters
    ----------
    groups
        Positions by corpus.
    epoch, seed
        What the shuffle follows from.
    batch_size
        Clips a batch, over all processes; a last batch that is smaller is dropped, unless it is the only one.
    crop_samples
        Range (low, high) that each batch's length is drawn from.
    balance
        Draw from every corpus as many clips as the smallest has.
    share
        Which process asks, and of how many: each batch is dealt out among them evenly, so that the mean of
        their gradients is that of the batch. It is the same for any number, but for an only batch that is
        smaller: what cannot be dealt evenly is left out.

    Raises
    ------
    TrainingError
        There are fewer clips than processes.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        epoch: int,
        seed: int,
        batch_size: int,
        crop_samples: tuple[int, int],
        balance: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        rng = np.random.default_rng([seed, epoch])
        smallest = min(len(group) for group in groups)
        drawn = [rng.permutation(np.asarray(group))[: smallest if balance else None] for group in groups]
        order = rng.permutation(np.concatenate(drawn))
        rank, processes = share
        size = min(batch_size, len(order)) // processes * processes
        if not size:
            raise TrainingError(
                f"an epoch has {len(order)} training clips, fewer than the {processes} processes; give fewer "
                "trainer.devices."
            )
        self._batches = [
            [(epoch, int(position), length) for position in order[k * size : (k + 1) * size][rank::processes]]
            for k in range(len(order) // size)
            for length in [int(rng.integers(crop_samples[0], crop_samples[1] + 1))]
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        return iter(self._batches)
