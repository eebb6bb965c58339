"""An epoch of the recipe ``cnn2d`` as ``vocalics train`` does it, on clips of noise.

The clips go through the recipe's own features, which are computed before and cached, as in a training. So are
changes to them (shifted frames, noise), the penalty of the dense layers, averaged weights, the log and a
checkpoint an epoch, which `vocalics train` has and the other side has not. Left out is the validation part:
the other side has none either.
"""

import os
import tempfile
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import epochs
import numpy as np
import soundfile
import torch

from vocalics.lab.audio_store import AudioStore
from vocalics.lab.feature_store import FeatureStore
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.module import TrainingModule
from vocalics.lab.progress import tell_nobody
from vocalics.lab.recipes import Recipe, load_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.trainer import best_precision, run_epochs

#: Without what a validation part is needed for.
SETTINGS = (
    "training.schedule=constant",
    "training.select=last",
    "training.early_stopping_patience=null",
)


def make_clips(folder: Path, recipe: Recipe, count: int) -> Manifest:
    """Write clips of noise of as many frames as the network hears."""
    rng, rate = np.random.default_rng(0), recipe.sample_rate
    n_samples = (recipe.features.frames - 1) * recipe.features.hop_length
    told = {"corpus": "noise", "speaker": "", "gender": "", "intensity": "", "sentence": ""}
    utterances = []
    for number in range(count):
        path = f"{number:05}.wav"
        soundfile.write(folder / path, 0.1 * rng.standard_normal(n_samples), rate)
        told["emotion"] = recipe.emotions[number % len(recipe.emotions)]
        told |= {"id": f"noise/{number:05}", "path": path, "digest": f"{number:064}"}
        utterances.append(Utterance(duration_s=n_samples / rate, **told))
    return Manifest(folder, tuple(utterances))


def train(folder: Path, wanted: Namespace) -> None:
    """Train and tell."""
    changed = [f"training.epochs={1 + wanted.epochs}", f"training.precision={wanted.precision}"]
    recipe = load_recipe("cnn2d", [*SETTINGS, *changed])
    clips = make_clips(folder, recipe, wanted.clips)
    store = AudioStore.build(clips, recipe.sample_rate, recipe.bandwidth_hz, folder)
    torch.manual_seed(recipe.training.seed)
    recogniser = Recogniser(recipe)
    features = FeatureStore(recipe, store, recogniser.front_end, folder)
    recogniser.front_end.fit(features.stack(utterance.id) for utterance in clips)
    module = TrainingModule(recipe, recogniser, store, clips, clips.select([]), features)
    ends = epochs.Ends()
    n_batches = wanted.clips // recipe.training.batch_size

    def note(done: int, of: int | None) -> None:
        if done % n_batches == 0:
            ends.note()

    run_epochs(module, folder / "run", lambda title: nullcontext(note), tell_nobody)
    shape = [recogniser.front_end.n_features, recipe.features.frames]
    epochs.tell(
        ends,
        parameters=recogniser.n_parameters,
        shape=shape,
        batch=recipe.training.batch_size,
        precision=best_precision(wanted.precision),
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    options = epochs.parser()
    options.add_argument("--precision", choices=("auto", "float32"), default="auto")
    with tempfile.TemporaryDirectory() as chosen:
        os.environ["VOCALICS_CACHE"] = chosen
        train(Path(chosen), options.parse_args())
