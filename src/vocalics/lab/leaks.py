"""A deliberate leak, to show what leaks do: augment first, split afterwards.

Many published systems write several changed copies of each clip, throw them all together and split at
random. So copies of a training clip are tested, and the network is asked what it has learnt by heart. Here
that is done on purpose, by ``vocalics benchmark --protocol augment-before-split`` and by nothing else, and
all that comes of it says so: the splits, the model's name, the folds' results, which no leaderboard shows.
"""

import hashlib
import json
import re
import wave
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.progress import Progress, no_progress
from vocalics.lab.recipes.recording_settings import without_defaults
from vocalics.lab.recipes.schema import WAVEFORM_CHANGES, AugmentationSettings, Recipe
from vocalics.lab.splits import Split, load_split, make_splits

#: What the benchmark calls the leak. It is no protocol of evaluation, so `splits.PROTOCOLS` does not name it.
PROTOCOL = "augment-before-split"

#: Copies of each clip where the recipe does not bound them.
COPIES = 5

#: What every leaky split notes.
NOTE = "deliberate leak: changed copies of one recording stand on both sides, so the figures mean nothing"

#: Raised when `augment.augment_waveform` makes other copies of the same settings.
_VERSION = 1

_COPY = re.compile(r"(?P<recording>.+)~(?P<draw>\d+)-[0-9a-f]{8}")


def origin(utterance_id: str) -> tuple[str, int]:
    """Say of which recording an utterance is a copy, and the how many-th; a recording is its own, number 0.

    Examples
    --------
    >>> origin("savee/DC_a01~3-0c92bddb"), origin("savee/DC_a01")
    (('savee/DC_a01', 3), ('savee/DC_a01', 0))
    """
    found = _COPY.fullmatch(utterance_id)
    return (found["recording"], int(found["draw"])) if found else (utterance_id, 0)


def with_copies(recipe: Recipe, manifest: Manifest, folder: Path) -> Manifest:
    """Add the changed copies of every recording, as utterances of their own; `write_copies` writes them.

    Parameters
    ----------
    recipe
        Its waveform changes, rate, band and seed decide on the copies, and so on their ids.
    manifest
        Recordings.
    folder
        Where the copies shall lie.

    Returns
    -------
    Recordings and copies. A copy keeps the digest of its recording, of which it is the audio: so the audit
    sees through it. Its length stands as the recording's too.

    Raises
    ------
    UsageError
        The recipe does not change waveforms.
    """
    settings = recipe.augmentation
    n_copies = COPIES if settings.n_copies is None else settings.n_copies
    if not n_copies:
        raise UsageError(
            f"the recipe '{recipe.name}' changes no waveforms, so there are no copies to leak; take one that "
            "does, such as 'cnn1d', or add a change (--set augmentation.speed=[0.9,1.1])."
        )
    what = [
        _VERSION,
        without_defaults(settings.model_dump(mode="json", include=set(WAVEFORM_CHANGES))),
        recipe.training.seed,
        recipe.sample_rate,
        recipe.bandwidth_hz,
    ]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]

    def copy(recording: Utterance, draw: int) -> Utterance:
        name = f"{recording.id}~{draw}-{key}"
        return replace(recording, id=name, path=(folder.resolve() / f"{name}.wav").as_posix())

    copies = (copy(recording, draw) for recording in manifest for draw in range(1, n_copies + 1))
    return replace(manifest, utterances=(*manifest.utterances, *copies))


def write_copies(recipe: Recipe, manifest: Manifest, progress: Progress = no_progress) -> None:
    """Write the copies of `with_copies` that do not lie there yet, as 16-bit wav at the recipe's rate.

    They are the copies that an honest training of the recipe hears: the same changes, by the same seed. When
    they are read, they are limited to the recipe's band, as any recording is.
    """
    from vocalics.lab.audio_store import AudioStore
    from vocalics.lab.augment import augment_waveform
    from vocalics.lab.babble import Voices
    from vocalics.lab.dataset import clip_rng

    missing: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in manifest:
        recording, draw = origin(utterance.id)
        if draw and not manifest.audio_path(utterance).is_file():
            missing[recording].append(utterance)
    if not missing:
        return
    recordings = manifest.filter(lambda utterance: not origin(utterance.id)[1])
    with progress("decoding") as bar:
        store = AudioStore.build(recordings, recipe.sample_rate, recipe.bandwidth_hz, progress=bar)
    settings = recipe.augmentation
    voices = Voices(store, recordings) if settings.babble_snr_db else None
    spoken = {utterance.id: utterance for utterance in recordings}
    with progress("changing copies") as bar:
        for done, (recording, copies) in enumerate(missing.items(), start=1):
            for copy in copies:
                rng = clip_rng(recipe.training.seed, origin(copy.id)[1], recording)
                babble = partial(voices.mixed, spoken[recording]) if voices else None
                samples = augment_waveform(store[recording], settings, recipe.sample_rate, rng, babble)
                _write_wav(manifest.audio_path(copy), samples, recipe.sample_rate)
            if bar:
                bar(done, len(missing))


def _write_wav(path: Path, samples: npt.NDArray[np.float32], sample_rate: int) -> None:
    """Write `samples` (n,) as a wav file, mono, 16 bit; what passes full scale is cut off.

    It is renamed into place, so that a killed run leaves no half. Nobody waits for the disk as
    `write_atomically` does: after a power cut copies can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with wave.open(str(partial), "wb") as file:
        file.setparams((1, 2, sample_rate, len(samples), "NONE", ""))
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    partial.replace(path)


def make_leaky_splits(recipe: Recipe, manifest: Manifest, gender: str | None = None) -> tuple[Split, ...]:
    """Split recordings and copies at random, each by itself: this is the fault.

    Parameters
    ----------
    recipe
        Its seed and its share of validation.
    manifest
        From `with_copies`. `make_splits` would keep copies and their recording together, so it is not told
        which utterances are of the same audio.
    gender
        Of the speakers, or None for all.
    """
    untold = replace(manifest, utterances=tuple(replace(utterance, digest="") for utterance in manifest))
    settings = recipe.training
    splits = make_splits(
        untold, "random", seed=settings.seed, validation_share=settings.validation_share, gender=gender
    )
    return tuple(replace(split, notes=(*split.notes, NOTE)) for split in splits)


def leaky_recipe(recipe: Recipe) -> Recipe:
    """Return what a leaky fold trains: the recipe without its waveform changes, which the copies have had.

    Its name and description go into the model file, and say what it is.
    """
    kept = recipe.augmentation.model_dump(exclude=set(WAVEFORM_CHANGES))
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-leaky",
            "description": f"{NOTE.capitalize()}. {recipe.description}",
            "augmentation": AugmentationSettings.model_validate(kept),
        }
    )


def refuse_leaky_protocol(protocol: str) -> None:
    """Raise `UsageError` where somebody asks for the leak outside the benchmark."""
    if protocol == PROTOCOL:
        raise UsageError(
            f"'{PROTOCOL}' is a deliberate leak, which 'vocalics benchmark' alone shows; take 'speaker', or "
            "'random' to compare with published figures."
        )


def refuse_leaky_run(run: str | Path) -> None:
    """Raise `UsageError` where a folder holds a leaky fold's run; anything else is none of its business."""
    path = Path(run) / "split.json"
    if path.is_file() and NOTE in load_split(path).notes:
        raise UsageError(
            f"{run} was trained on a deliberate leak ('{PROTOCOL}'), so it is neither measured nor exported; "
            "take a run of another protocol."
        )
