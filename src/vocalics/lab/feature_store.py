"""Feature stacks of whole clips and their changed copies, computed once and memory-mapped."""

import copy
import hashlib
import inspect
import json
import os
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vocalics.lab import augment
from vocalics.lab import features as features_package
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.corpora import cache_folder
from vocalics.lab.dataset import clip_rng, utterance_number
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes import feature_settings
from vocalics.lab.recipes.feature_settings import FeatureSettings
from vocalics.lab.recipes.recording_settings import without_defaults
from vocalics.lab.recipes.schema import WAVEFORM_CHANGES, Recipe

Number = TypeVar("Number", np.float32, np.int32)

#: What computes the stacks with our own code.
_LIBRARIES = ("audiomentations", "librosa", "numpy", "scipy", "soxr", "torch")


def _digest_of(*modules: ModuleType) -> str:
    """Digest of the source of modules; of a package, of all that lies in it."""
    digest = hashlib.sha256()
    for path in (Path(inspect.getfile(module)) for module in modules):
        for source in sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()


#: The code that computes the stacks, as it is when it is imported: with that a long run goes on, whatever the
#: files hold by then.
_CODE = _digest_of(features_package, augment, feature_settings)


class FeatureStore:
    """Feature stacks before normalisation, of clips as they are and of changed copies of them.

    Where the recipe bounds the copies (``augmentation.copies``, or no change to the waveform at all), each
    stack is computed when it is first asked for and kept in a memory-mapped file, which all folds and
    processes share. The file is named by a digest of all that decides on what is in it, the code included.

    Parameters
    ----------
    recipe
        With ``training.crop_s`` None: its features have a fixed number of frames.
    audio
        Decoded clips.
    front_end
        Of the recipe; its statistics are not needed. A copy of it works on the processor.
    folder
        Where the file lies; by default in the cache folder.
    """

    def __init__(
        self, recipe: Recipe, audio: AudioStore, front_end: FrontEnd, folder: Path | None = None
    ) -> None:
        self.audio, self._front_end = audio, copy.deepcopy(front_end).cpu()  # a model may leave for a GPU
        self._augmentation, self._seed = recipe.augmentation, recipe.training.seed
        self._sample_rate, self._longest = recipe.sample_rate, round(recipe.window_s * recipe.sample_rate)
        self._copies = recipe.augmentation.n_copies
        frames = front_end.settings.fixed_frames or 0
        self._shape = (len(audio) * (1 + (self._copies or 0)), front_end.n_features, frames)
        folder = folder or cache_folder() / "features"
        self._path = folder / f"{_key(recipe, front_end.settings, audio)}.float32"
        folder.mkdir(parents=True, exist_ok=True)
        self._open()

    def __getstate__(self) -> dict[str, object]:
        """Travel to a worker process without the maps: pickled, they would carry every stack."""
        return {name: value for name, value in vars(self).items() if name not in ("_stacks", "_lengths")}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the maps again."""
        vars(self).update(state)
        self._open()

    def draw(self, epoch: int, utterance_id: str) -> int:
        """Say which copy an epoch hears: 0 is the clip as it is; without copies every epoch has its own."""
        if self._copies is None:
            return epoch + 1
        return (epoch + utterance_number(utterance_id)) % (self._copies + 1)

    def stack(self, utterance_id: str, draw: int = 0) -> Tensor:
        """Return the stack (n_features, frames) of a clip; draw 0 is the clip as it is."""
        if draw > (self._copies or 0):
            return self._compute(utterance_id, draw)
        row = self.audio.position(utterance_id) * (1 + (self._copies or 0)) + draw
        if not self._lengths[row]:
            stack = self._compute(utterance_id, draw).numpy()
            self._stacks[row, :, : stack.shape[1]] = stack
            self._lengths[row] = stack.shape[1]  # last: it says that the stack is whole
        return torch.from_numpy(np.array(self._stacks[row, :, : self._lengths[row]]))

    def _compute(self, utterance_id: str, draw: int) -> Tensor:
        samples = self.audio[utterance_id]
        if draw:
            rng = clip_rng(self._seed, draw, utterance_id)
            samples = augment.augment_waveform(samples, self._augmentation, self._sample_rate, rng)
        with torch.no_grad():
            return self._front_end.stack(torch.from_numpy(samples[: self._longest].copy())[None])[0]

    def _open(self) -> None:
        self._stacks: npt.NDArray[np.float32] = _shared(self._path, np.float32, self._shape)
        lengths = self._path.with_suffix(".lengths")
        self._lengths: npt.NDArray[np.int32] = _shared(lengths, np.int32, self._shape[:1])


class WholeClips(Dataset[tuple[Tensor, int]]):
    """Features of whole clips, addressed by (epoch, position, anything).

    Parameters
    ----------
    store
        Their stacks.
    front_end
        With the statistics of the training part, on the processor.
    manifest
        The part.
    changed
        Whether copies are heard, or the clips as they are.
    """

    def __init__(self, store: FeatureStore, front_end: FrontEnd, manifest: Manifest, changed: bool) -> None:
        self._store, self._front_end, self._changed = store, front_end, changed
        self._places = store.audio.positions(manifest)  # and no utterances, as of `TrainingClips`

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[Tensor, int]:
        """Return what the network hears, (n_features, frames), and the clip's position in the manifest."""
        epoch, position, _ = key
        name = self._store.audio.utterance_id(int(self._places[position]))
        stack = self._store.stack(name, self._store.draw(epoch, name) if self._changed else 0)
        with torch.no_grad():
            return self._front_end.finish(stack[None])[0], position


def _key(recipe: Recipe, features: FeatureSettings, audio: AudioStore) -> str:
    """Digest of all that decides on the stacks: audio, settings, and the code that computes them."""
    what = [
        audio.name,
        recipe.window_s,
        features.model_dump(mode="json", exclude={"normalisation"}),
        _CODE,
        *(version(name) for name in _LIBRARIES),
    ]
    if recipe.augmentation.n_copies:
        changes = recipe.augmentation.model_dump(mode="json", include=set(WAVEFORM_CHANGES))
        what += [recipe.training.seed, without_defaults(changes)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def _shared(path: Path, kind: type[Number], shape: tuple[int, ...]) -> npt.NDArray[Number]:
    """Map a file of that shape, zeros where nothing was written yet; several processes may do so at once."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    with path.open("ab") as file:
        os.truncate(file.fileno(), size)  # grows it without taking room on the disk, or leaves it as it is
    return np.memmap(path, dtype=kind, mode="r+", shape=shape)
