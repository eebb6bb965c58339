"""A made-up corpus in RAVDESS's names and a recipe that learns it in seconds, for the tests of the lab.

What an emotion sounds like is planted: each has a pitch of its own, and anger is noise. A speaker moves the
pitches by a few percent, a take brings its own noise, so no two recordings are the same. One take of joy and
one of sorrow have both their pitches: nobody can tell them apart, so no calibrated model is sure of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import yaml

if TYPE_CHECKING:
    from vocalics.lab.manifest import Manifest
    from vocalics.lab.recipes import Recipe
    from vocalics.lab.splits import Split

SAMPLE_RATE = 8000  # Hz, the lowest that is accepted: small files, short trainings
DURATION_S = 0.4

#: A man and a woman of each of RAVDESS's published folds 1, 3 and 4, which are folds 1, 2 and 3 here.
ACTORS = (1, 20, 8, 9, 3, 24)

#: RAVDESS's number of each emotion, and its pitch in Hz; anger is noise.
EMOTIONS = {"neutral": ("01", 300.0), "happy": ("03", 2400.0), "sad": ("04", 900.0), "angry": ("05", 0.0)}

#: Emotions of which one take is not to be told apart.
AMBIGUOUS = ("happy", "sad")

SENTENCES = TAKES = (1, 2)

#: Utterances of one speaker.
UTTERANCES = len(EMOTIONS) * len(SENTENCES) * len(TAKES)

RECIPE = {
    "name": "tiny",
    "description": "Learns made-up sounds in seconds; for tests, not for people.",
    "corpora": ["ravdess"],
    "emotions": list(EMOTIONS),
    "sample_rate": SAMPLE_RATE,
    "bandwidth_hz": SAMPLE_RATE / 2,
    "window_s": 1.0,
    "features": {
        "n_fft": 256,
        "hop_length": 128,
        "normalisation": "level",
        "stack": [{"name": "log_mel", "n_mels": 16}],
    },
    "network": {
        "name": "cnn_bilstm_attention",
        "parameters": {
            "channels": [4, 8],
            "time_pools": [2, 1],
            "lstm_inputs": 8,
            "lstm_units": 8,
            "attention_units": 4,
            "embedding_size": 8,
            "dropout": 0.1,
        },
    },
    "augmentation": {"speed": [0.97, 1.03], "time_masks": 1, "mixup_alpha": 0.2},
    "training": {
        "epochs": 12,
        "batch_size": 4,
        "crop_s": [0.3, 0.35],
        "learning_rate": 0.01,
        "label_smoothing": 0.1,
        "precision": "float32",
    },
}


def sound(actor: int, emotion: str, sentence: int, take: int) -> np.ndarray:
    """Samples (n,) of one recording, float64 in [-1, 1]."""
    rng = np.random.default_rng([actor, *emotion.encode(), sentence, take])
    time_s = np.arange(round(DURATION_S * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.standard_normal(len(time_s))
    if emotion == "angry":
        return 0.1 * noise
    ambiguous = emotion in AMBIGUOUS and (sentence, take) == (SENTENCES[-1], TAKES[-1])
    voice = 1 + 0.04 * np.sin(actor)
    tones = [
        np.sin(2 * np.pi * voice * EMOTIONS[name][1] * time_s + rng.uniform(0, 2 * np.pi))
        for name in (AMBIGUOUS if ambiguous else (emotion,))
    ]
    return 0.3 * np.mean(tones, axis=0) + 0.003 * noise


def write_corpus(data: Path, actors: tuple[int, ...] = ACTORS) -> Path:
    """Write ``ravdess/`` below the data folder, and return that folder."""
    (data / "ravdess").mkdir(parents=True)
    for actor in actors:
        for emotion, (number, _) in EMOTIONS.items():
            for sentence in SENTENCES:
                for take in TAKES:
                    name = f"03-01-{number}-01-{sentence:02d}-{take:02d}-{actor:02d}.wav"
                    soundfile.write(
                        data / "ravdess" / name, sound(actor, emotion, sentence, take), SAMPLE_RATE
                    )
    return data


def write_recipe(path: Path, **training: Any) -> Path:
    """Write the recipe as YAML, with changes to its section ``training``."""
    content = RECIPE | {"training": RECIPE["training"] | training}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@dataclass(frozen=True)
class Tiny:
    """What a training needs, and one that is finished.

    Attributes
    ----------
    data
        The data folder.
    recipe_file
        The recipe as YAML.
    recipe, manifest, split
        What `fit` takes; the split is fold 1 of the protocol ``speaker``.
    run
        The finished run: the model is the exporter's own.
    cache
        Decoded audio, for ``VOCALICS_CACHE``.
    """

    data: Path
    recipe_file: Path
    recipe: "Recipe"
    manifest: "Manifest"
    split: "Split"
    run: Path
    cache: Path

    @property
    def model(self) -> Path:
        """The model file."""
        return self.run / "model.onnx"

    @property
    def tested(self) -> "Manifest":
        """The test part."""
        return self.manifest.select(self.split.test)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread: with another number it adds up in another order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train(folder: Path) -> Tiny:
    """Write corpus and recipe into an empty folder, and train the recipe on them."""
    import pytest

    from vocalics.lab.corpora import scan_data
    from vocalics.lab.recipes import load_recipe
    from vocalics.lab.splits import make_splits
    from vocalics.lab.training import fit

    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setenv("VOCALICS_CACHE", str(folder / "cache"))
        data = write_corpus(folder / "data")
        recipe_file = write_recipe(folder / "tiny.yaml")
        recipe, manifest = load_recipe(recipe_file), scan_data(data)
        split = make_splits(manifest, validation_share=recipe.training.validation_share)[0]
        run = folder / "run"
        fit(recipe, manifest, split, run, command="vocalics train tiny.yaml")
    return Tiny(data, recipe_file, recipe, manifest, split, run, folder / "cache")
