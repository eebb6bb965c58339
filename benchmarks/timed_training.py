"""Trainings that tell how long their parts take, for ``training_rates.py``; no script of its own."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vocalics.lab.audio_store import AudioStore
from vocalics.lab.dataset import TrainingClips
from vocalics.lab.feature_store import FeatureStore, WholeClips
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.module import TrainingModule
from vocalics.lab.progress import no_progress, tell_nobody
from vocalics.lab.recipes import Recipe, load_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.trainer import run_epochs

#: Epochs of a run, of which the last is told: in the first libraries warm up, and stored features are made.
EPOCHS = 2

#: What a recipe is measured with: no part is validated, and the rate of learning takes no time to find.
SETTINGS = (
    f"training.epochs={EPOCHS}",
    "training.schedule=constant",
    "training.early_stopping_patience=null",
    "training.select=last",
)


class TimedModule(TrainingModule):
    """A training that notes how long each epoch learned and waited, in ``times.json`` in its folder."""

    def __init__(self, run: Path, *parts: Any) -> None:
        super().__init__(*parts)
        self._file, self._epochs = run / "times.json", list[dict[str, float]]()

    def _begin(self) -> None:
        self._began_s = self._ended_s = time.perf_counter()
        self._waited_s = self._core_s = self._heard_core_s = 0.0

    def on_train_start(self) -> None:
        """Begin to count."""
        self._begin()

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        """Note how long the batch was waited for."""
        super().on_train_batch_start(batch, batch_index)
        self._waited_s += time.perf_counter() - self._ended_s
        self._core_since_s = time.process_time()

    def on_train_batch_end(self, *parts: Any) -> None:
        """Note how much the step took of the processor."""
        super().on_train_batch_end(*parts)
        self._core_s += time.process_time() - self._core_since_s
        self._ended_s = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Write the epoch down."""
        self._epochs.append(
            {
                "seconds": self._ended_s - self._began_s,  # without log and checkpoint
                "seconds waited": self._waited_s,
                "core-seconds of learning": self._core_s - self._heard_core_s,
            }
        )
        if self.global_rank == 0:
            self._file.write_text(json.dumps(self._epochs))
        self._begin()

    def _hear(self, recogniser: Recogniser, heard: Tensor) -> Tensor:
        began_s = time.process_time()
        features = super()._hear(recogniser, heard)
        self._heard_core_s += time.process_time() - began_s
        return features


def loading(
    recipe: Recipe, store: AudioStore, manifest: Manifest, folder: Path, clip_s: float
) -> dict[str, Callable[[], object]]:
    """Return what is done with a batch of clips of `clip_s` before a step, each part by itself."""
    crop = round(clip_s * recipe.sample_rate)
    batch = [(0, position % len(manifest), crop) for position in range(recipe.training.batch_size)]
    front_end = FrontEnd(recipe.features, recipe.sample_rate)
    clips = TrainingClips(store, manifest, recipe.augmentation, recipe.sample_rate, seed=0)
    waveforms = torch.stack([clips[key][0] for key in batch])
    if recipe.training.crop_s is None:
        kept = FeatureStore(recipe, store, front_end, folder / "stacks")
        clips = WholeClips(kept, front_end, manifest, changed=True)

    def hear() -> None:
        with torch.no_grad():
            front_end(waveforms)

    return {"reading and changing": lambda: [clips[key] for key in batch], "features": hear}


def epochs(
    recipe: Recipe, store: AudioStore, manifest: Manifest, folder: Path, *changes: str
) -> list[dict[str, float]]:
    """Train some epochs, as `vocalics.lab.training.fit` does between decoding and calibration."""
    recipe = load_recipe(recipe.name, [*_settings(recipe), *changes])
    run = Path(tempfile.mkdtemp(dir=folder))
    torch.manual_seed(0)
    recogniser = Recogniser(recipe)
    stacks = (recogniser.front_end.stack(torch.from_numpy(store.clip(place))[None])[0] for place in range(8))
    recogniser.front_end.fit(stacks)
    features = None
    if recipe.training.crop_s is None:
        features = FeatureStore(recipe, store, recogniser.front_end, run)
    nobody = Manifest(manifest.root, ())
    module = TimedModule(run, recipe, recogniser, store, manifest, nobody, features)
    run_epochs(module, run, no_progress, tell_nobody)
    times: list[dict[str, float]] = json.loads((run / "times.json").read_text())
    return times


def _settings(recipe: Recipe) -> list[str]:
    return [*SETTINGS, f"training.batch_size={recipe.training.batch_size}"]


def stored(recipe: Recipe) -> dict[str, int]:
    """Say how many stacks of features of a clip are kept on the disk, and how large one is."""
    if recipe.training.crop_s:
        return {"stacks kept of a clip": 0, "bytes of a stack": 0}
    n_features = FrontEnd(recipe.features, recipe.sample_rate).n_features
    return {
        "stacks kept of a clip": 1 + (recipe.augmentation.n_copies or 0),
        "bytes of a stack": 4 * n_features * recipe.features.fixed_frames,
    }


def count_parameters(recipe: Recipe) -> int:
    """Count what a recipe's network learns."""
    return sum(weight.numel() for weight in Recogniser(recipe).parameters())
