"""The clips and the batches of an epoch."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from vocalics.errors import TrainingError
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.augment import Samples, augment_waveform
from vocalics.lab.babble import Voices
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.schema import AugmentationSettings

#: What a clip is asked for by: epoch, position in the manifest, crop length in samples.
Key = tuple[int, int, int]


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
        # Places and no utterances: Python's objects are copied into every process that touches them.
        self._store, self._places = store, store.positions(manifest)
        self._settings, self._sample_rate, self._seed = settings, sample_rate, seed
        babbles = settings is not None and settings.babble_snr_db is not None
        self._voices = Voices(store, manifest) if babbles else None
        self._utterances = manifest.utterances if babbles else ()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        """Return the crop (crop_samples,) and its position in the manifest."""
        epoch, position, crop_samples = key
        place = int(self._places[position])
        samples = self._store.clip(place)
        if self._settings is None:
            return torch.from_numpy(middle(samples, crop_samples)), position
        rng = clip_rng(self._seed, epoch, self._store.utterance_id(place))
        babble = partial(self._voices.mixed, self._utterances[position]) if self._voices else None
        samples = augment_waveform(samples, self._settings, self._sample_rate, rng, babble)
        room = len(samples) - crop_samples
        if room >= 0:
            start = int(rng.integers(0, room + 1))
            return torch.from_numpy(samples[start : start + crop_samples].copy()), position
        padded = np.zeros(crop_samples, dtype=np.float32)
        start = int(rng.integers(0, -room + 1))
        padded[start : start + len(samples)] = samples
        return torch.from_numpy(padded), position


class FeaturesOfCrops:
    """Joins crops to a batch and computes what the network hears of it, in whatever process does so.

    Parameters
    ----------
    front_end
        With its statistics, on the processor.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end

    def __call__(self, clips: Sequence[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (batch, n_features, frames) and the clips' positions (batch,)."""
        crops, positions = zip(*clips, strict=True)
        with torch.no_grad():
            return self._front_end(torch.stack(crops)), torch.tensor(positions)


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


class EpochBatches(Sampler[list[Key]]):
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
        groups: Sequence[Sequence[int] | npt.NDArray[np.int64]],
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
        n_batches = len(order) // size
        self._epoch = epoch
        self._positions = order[: n_batches * size].reshape(n_batches, size)[:, rank::processes]
        low, high = crop_samples
        self._lengths = [int(rng.integers(low, high + 1)) for _ in range(n_batches)]

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[list[Key]]:
        for positions, length in zip(self._positions, self._lengths, strict=True):
            yield [(self._epoch, position, length) for position in positions.tolist()]
