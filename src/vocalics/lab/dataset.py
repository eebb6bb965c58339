"""Decoded audio, memory-mapped, and the batches of an epoch."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from vocalics import audio
from vocalics.lab.augment import Samples, augment_waveform
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
        Of the run; a clip's changes follow from (seed, epoch, utterance) alone.
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

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[torch.Tensor, int]:
        """Return the crop (crop_samples,) and its position in the manifest."""
        epoch, position, crop_samples = key
        utterance = self._manifest.utterances[position]
        samples = self._store[utterance.id]
        if self._settings is None:
            return torch.from_numpy(middle(samples, crop_samples)), position
        name = int.from_bytes(hashlib.sha256(utterance.id.encode()).digest()[:8], "big")
        rng = np.random.default_rng([self._seed, epoch, name])
        samples = augment_waveform(samples, self._settings, self._sample_rate, rng)
        room = len(samples) - crop_samples
        if room >= 0:
            start = int(rng.integers(0, room + 1))
            return torch.from_numpy(samples[start : start + crop_samples].copy()), position
        padded = np.zeros(crop_samples, dtype=np.float32)
        start = int(rng.integers(0, -room + 1))
        padded[start : start + len(samples)] = samples
        return torch.from_numpy(padded), position


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
        Clips a batch; a last batch that is smaller is dropped, unless it is the only one.
    crop_samples
        Range (low, high) that each batch's length is drawn from.
    balance
        Draw from every corpus as many clips as the smallest has.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        epoch: int,
        seed: int,
        batch_size: int,
        crop_samples: tuple[int, int],
        balance: bool = False,
    ) -> None:
        rng = np.random.default_rng([seed, epoch])
        smallest = min(len(group) for group in groups)
        drawn = [rng.permutation(np.asarray(group))[: smallest if balance else None] for group in groups]
        order = rng.permutation(np.concatenate(drawn))
        n_batches = max(1, len(order) // batch_size)
        self._batches = [
            [(epoch, int(position), length) for position in order[k * batch_size : (k + 1) * batch_size]]
            for k in range(n_batches)
            for length in [int(rng.integers(crop_samples[0], crop_samples[1] + 1))]
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        return iter(self._batches)
