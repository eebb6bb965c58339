"""What an encoder that stays as it is answers to each clip: computed once, and kept on the disk.

Of every clip the states of all layers are kept, since the weights of their sum are learned: 50 steps a second
of 16-bit numbers, 77 kB a second for each layer of width 768. A clip has a file of its own, so folds, corpora
and recipes share what they have in common.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from vocalics.files import written_whole
from vocalics.lab import augment
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.corpora import cache_folder
from vocalics.lab.dataset import clip_rng, utterance_number
from vocalics.lab.encoders.front_end import EncoderFrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.progress import Bar
from vocalics.lab.recipes.schema import WAVEFORM_CHANGES, Recipe

Samples = npt.NDArray[np.float32]

#: What computes the states, and what changes clips, besides our own code.
_LIBRARIES = ("torch", "transformers")
_CHANGERS = ("audiomentations", "librosa", "numpy", "scipy", "soxr")


def _digest_of(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


#: The code that computes the states, and the code that changes clips, as they are when they are imported.
_CODE = _digest_of(
    *(Path(__file__).with_name(name) for name in ("families.py", "front_end.py", "log_mel.py"))
)
_CHANGES = _digest_of(Path(inspect.getfile(augment)))


class StateStore:
    """States of whole clips and of their changed copies, each (steps, n_states, width).

    Parameters
    ----------
    recipe
        With an encoder that stays as it is.
    audio
        Decoded clips.
    front_end
        The encoder; `fill` asks it, and nothing else does.
    folder
        Where the states lie; by default in the cache folder.
    """

    def __init__(
        self, recipe: Recipe, audio: AudioStore, front_end: EncoderFrontEnd, folder: Path | None = None
    ) -> None:
        self._audio = audio
        self._augmentation, self._seed = recipe.augmentation, recipe.training.seed
        self._sample_rate, self._longest = recipe.sample_rate, round(recipe.window_s * recipe.sample_rate)
        self._copies = recipe.augmentation.n_copies or 0
        self._shape = (len(front_end.layers), front_end.n_features)
        self.folder = _own_folder(folder or cache_folder() / "encoders", front_end)
        self._digests: dict[str, str] = {}

    def fill(
        self,
        front_end: EncoderFrontEnd,
        train: Manifest,
        validation: Manifest,
        device: str = "cpu",
        progress: Bar | None = None,
    ) -> int:
        """Compute what is missing: of the training part clips and copies, of the validation part the clips.

        Parameters
        ----------
        front_end
            That of the store.
        train, validation
            The two parts.
        device
            Where the encoder computes.
        progress
            Hears (done, all).

        Returns
        -------
        Bytes that the states of both parts take.
        """
        wanted = [(utterance.id, draw) for utterance in train for draw in range(1 + self._copies)]
        wanted += [(utterance.id, 0) for utterance in validation]
        size = 0
        front_end.eval().to(device)
        for done, (name, draw) in enumerate(wanted, start=1):
            path = self._path(name, draw)
            if not self._is_whole(path):
                self._write(path, front_end, self._samples(name, draw), device)
            size += path.stat().st_size
            if progress:
                progress(done, len(wanted))
        front_end.cpu()
        return size

    def draw(self, epoch: int, utterance_id: str) -> int:
        """Say which copy an epoch hears: 0 is the clip as it is."""
        return (epoch + utterance_number(utterance_id)) % (self._copies + 1)

    def states(self, utterance_id: str, draw: int = 0) -> Tensor:
        """Return the states (steps, n_states, width) of a clip, float16; draw 0 is the clip as it is."""
        return torch.from_numpy(np.load(self._path(utterance_id, draw), allow_pickle=False))

    def _samples(self, utterance_id: str, draw: int) -> Samples:
        samples = self._audio[utterance_id]
        if draw:
            rng = clip_rng(self._seed, draw, utterance_id)
            samples = augment.augment_waveform(samples, self._augmentation, self._sample_rate, rng)
        return samples[: self._longest]

    def _path(self, utterance_id: str, draw: int) -> Path:
        """Say where the states of a clip lie: by the digest of what is heard, and of what changes it."""
        if utterance_id not in self._digests:
            self._digests[utterance_id] = hashlib.sha256(self._audio[utterance_id].tobytes()).hexdigest()
        what: list[object] = [self._digests[utterance_id], self._longest]
        if draw:
            changes = self._augmentation.model_dump(mode="json", include=set(WAVEFORM_CHANGES) - {"copies"})
            what += [utterance_id, self._seed, draw, changes, _CHANGES, *map(version, _CHANGERS)]
        name = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.npy"

    def _is_whole(self, path: Path) -> bool:
        try:
            states = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        return bool(states.dtype == np.float16 and states.ndim == 3 and states.shape[1:] == self._shape)

    def _write(self, path: Path, front_end: EncoderFrontEnd, samples: Samples, device: str) -> None:
        with torch.inference_mode():
            states = front_end.stack(torch.from_numpy(samples.copy())[None].to(device))[0]
        with written_whole(path) as file:
            np.save(file, states.half().cpu().numpy(), allow_pickle=False)


class WholeStates(Dataset[tuple[Tensor, int]]):
    """States of whole clips, addressed by (epoch, position, anything).

    Parameters
    ----------
    store
        Has them.
    manifest
        The part.
    changed
        Whether copies are heard, or the clips as they are.
    """

    def __init__(self, store: StateStore, manifest: Manifest, changed: bool) -> None:
        self._store, self._manifest, self._changed = store, manifest, changed

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[Tensor, int]:
        """Return the states (steps, n_states, width) and the clip's position in the manifest."""
        epoch, position, _ = key
        name = self._manifest.utterances[position].id
        return self._store.states(name, self._store.draw(epoch, name) if self._changed else 0), position


def join_states(clips: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Join clips of different lengths to a batch.

    Returns
    -------
    States (batch, steps, n_states, width), zeros after the end of a clip; positions (batch,); and how many
    steps each clip has (batch,).
    """
    states, positions = zip(*clips, strict=True)
    lengths = torch.tensor([len(clip) for clip in states])
    return pad_sequence(list(states), batch_first=True), torch.tensor(positions), lengths


def _own_folder(folder: Path, front_end: EncoderFrontEnd) -> Path:
    """Return the folder of an encoder's states, named so that people know whose they are.

    What else the same encoder is called does not matter: it is found by what decides on the states.
    """
    provenance = front_end.provenance
    what = [provenance.digest, front_end.layers, _CODE, *(version(name) for name in _LIBRARIES)]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", Path(provenance.source).name)[:40]
    return next(folder.glob(f"*-{digest}"), folder / f"{name}-{digest}")
