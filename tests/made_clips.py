"""Clips of noise and a recipe that takes them undivided, for the tests of feature stacks."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from made_manifests import utterance
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.augment import augment_waveform
from vocalics.lab.dataset import clip_rng
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes import Recipe
from vocalics.lab.recipes.schema import parse_recipe

RATE, HOP, FRAMES = 8_000, 128, 40
LENGTHS = (
    4_000,
    2_500,
    3_001,
    8_200,
)  # samples: fewer than 40 frames (5,120), and more than the window (8,000)
N_FEATURES = 9  # eight bands and the level

RECIPE: dict[str, Any] = {
    "name": "whole",
    "description": "For tests.",
    "corpora": ["x"],
    "emotions": ["happy", "sad"],
    "sample_rate": RATE,
    "window_s": 1.0,
    "features": {
        "n_fft": 256,
        "hop_length": HOP,
        "stack": [{"name": "log_mel", "n_mels": 8}, {"name": "rms"}],
        "frames": FRAMES,
    },
    "network": {"name": "lstm"},
    "augmentation": {"copies": 2, "speed": [0.8, 1.25], "noise_factor": 0.01},
    "training": {"epochs": 1, "crop_s": None},
}


class Unheard:
    """A store for what is never asked for a clip."""

    def positions(self, manifest: Manifest) -> np.ndarray:
        return np.arange(len(manifest))


def made_recipe(**changes: object) -> Recipe:
    """The recipe with values at dotted paths, whose dots are written ``__``."""
    content = copy.deepcopy(RECIPE)
    for path, value in changes.items():
        target = content
        *parents, last = path.split("__")
        for part in parents:
            target = target[part]
        target[last] = value
    return parse_recipe(content)


def written_manifest(root: Path) -> Manifest:
    """Four clips of noise that fades, so that no two frames are alike, and their files below `root`."""
    utterances = tuple(utterance("x", "a", number) for number in range(len(LENGTHS)))
    for number, spoken in enumerate(utterances):
        path = root / spoken.path
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, LENGTHS[number])
        soundfile.write(path, noise * np.linspace(1, 0.1, LENGTHS[number]), RATE, subtype="PCM_16")
    return Manifest(root, utterances)


def anew(recipe: Recipe, audio: AudioStore, utterance_id: str, draw: int) -> torch.Tensor:
    """The stack (n_features, frames) without a store."""
    samples = audio[utterance_id]
    if draw:
        rng = clip_rng(recipe.training.seed, draw, utterance_id)
        samples = augment_waveform(samples, recipe.augmentation, RATE, rng)
    heard = torch.from_numpy(samples[: round(recipe.window_s * RATE)].copy())
    return FrontEnd(recipe.features, RATE).stack(heard[None])[0]
