"""Training: recipe, manifest and split in, run folder with a model file out."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vocalics.errors import TrainingError
from vocalics.files import write_atomically
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.audit import audit
from vocalics.lab.calibration import UNCALIBRATED, Calibration, abstention_threshold, fit_temperature
from vocalics.lab.curves import write_curves
from vocalics.lab.devices import on_first_machine, on_gpu, require_devices
from vocalics.lab.encoders import EncoderFrontEnd, StateStore
from vocalics.lab.export import Evidence, export
from vocalics.lab.feature_store import FeatureStore
from vocalics.lab.initial import Initial, load_weights
from vocalics.lab.log import read_log
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.module import TrainingModule
from vocalics.lab.parted_models import weights_name
from vocalics.lab.progress import Bar, Progress, Tell, no_progress, tell_nobody
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recipes.difference import differing_settings
from vocalics.lab.recipes.schema import Recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.splits import Split, load_split
from vocalics.lab.trainer import run_epochs

#: File in a run folder that says with which model's weights it began.
INITIAL = "initial.json"

#: Clips, about, for the statistics that a model file does not hold.
CLIPS_FOR_STATISTICS = 200

#: Clips, about, of which the statistics of features and embeddings, and the calibration, are taken where a
#: part has more: one process hears them, and they tell a mean to 0.3 % of the deviation.
MOST_CLIPS_HEARD = 100_000


def fit(
    recipe: Recipe,
    manifest: Manifest,
    split: Split,
    run: Path,
    *,
    command: str = "",
    initial: Initial | None = None,
    leaky: bool = False,
    progress: Progress = no_progress,
    tell: Tell = tell_nobody,
) -> Path:
    """Train a recipe on one split and export it.

    A run that was interrupted goes on from its last whole epoch when it is started again with the same recipe
    and split; a finished one is left as it is.

    Parameters
    ----------
    recipe
        What to train.
    manifest
        Utterances in the recipe's vocabulary, in which the split's ids are found.
    split
        Its test part is decoded with the rest, so that all folds share one store, and never used here.
    run
        Folder for recipe, split, log, checkpoints and model.
    command
        The command line, for the card.
    initial
        A model file whose weights the training begins with; its card says of the new one's speakers that they
        were heard too.
    leaky
        Train although the audit refuses the split, and tell what it refuses. The benchmark alone says so, for
        the deliberate leak of `leaks`, whose name and description are then in the model file.
    progress
        Opens a progress bar under a title.
    tell
        Hears a line every few epochs.

    Returns
    -------
    Path of the model file, ``run/model.onnx``.

    Raises
    ------
    LeakError
        The same speaker or audio stands on two sides, or the initial model knows a speaker of the test part.
    TrainingError
        The run folder belongs to another training, the recipe asks for what the split does not have, or the
        training diverged.
    ExportError
        The exported file does not answer as the trained network.
    KeyboardInterrupt
        Somebody pressed Ctrl-C; nothing was exported.
    """
    _refuse_another_training(run, recipe, split, initial)
    if initial and recipe.encoder:
        raise TrainingError(
            "a model with an encoder cannot be trained on from its file; train some of the encoder's layers "
            "instead (encoder.fine_tune)."
        )
    model_path = run / "model.onnx"
    if model_path.is_file():
        tell(f"the training in {run} is finished; nothing was done")
        return model_path
    report = audit(manifest, split)
    if leaky:
        refused = "; ".join(finding.message for finding in report.refused)
        tell(f"leaky on purpose, what the audit refuses: {refused}")
    else:
        report.raise_if_refused()
    train, validation = manifest.select(split.train), manifest.select(split.validation)
    if initial:
        initial.refuse_known_speakers(manifest.select(split.test), "test", "nothing could be measured there")
        initial.refuse_known_speakers(validation, "validation", "it would be too sure of itself")
    _require(recipe, train, validation)
    require_devices(recipe)
    write_atomically(run / "recipe.yaml", recipe.to_yaml())
    split.save(run / "split.json")
    if initial:
        write_atomically(run / INITIAL, json.dumps(initial.to_dict()) + "\n")

    with progress("decoding") as bar:
        store = AudioStore.build(
            manifest,
            recipe.sample_rate,
            recipe.bandwidth_hz,
            progress=bar,
            workers=recipe.training.workers,
        )
    torch.manual_seed(recipe.training.seed)  # the first weights; each epoch is seeded anew
    recogniser = Recogniser(recipe)
    front_end, features, states, encoder = recogniser.front_end, None, None, None
    if isinstance(front_end, EncoderFrontEnd):
        states = _encoder_states(recipe, front_end, store, train, validation, run, progress, tell)
        # While its states are trained on, it would only be copied and saved with what learns.
        encoder, front_end.encoder = front_end.encoder, None if states else front_end.encoder
    elif recipe.training.crop_s is None:
        features = FeatureStore(recipe, store, front_end)
    if initial:
        load_weights(recogniser, initial, recipe, _some_clips(store, train, recipe))
    else:
        with progress("features") as bar:
            recogniser.front_end.fit(_stacks(recogniser, store, features, _even_share(train), bar))
    module = TrainingModule(recipe, recogniser, store, train, validation, states or features)
    run_epochs(module, run, progress, tell)
    if not on_first_machine(recipe.trainer):
        tell(f"done; the machine with NODE_RANK=0 writes {model_path}")
        return model_path
    write_curves(run, tell)

    trained = module.trained.eval().cpu()
    heard = states or store
    told = _even_share(train)
    embeddings = _whole_clips(trained, heard, told, recipe, lambda answer: answer.embedding)
    trained.set_statistics(embeddings)
    calibration = UNCALIBRATED
    if len(validation):
        calibration = _calibrate(trained, heard, _even_share(validation), recipe)
    trained.temperature.fill_(calibration.temperature)
    if states:
        trained.front_end.encoder = encoder
    begun_with = (initial.card, initial.to_dict()) if initial else None
    evidence = Evidence(calibration, train, split, command, len(read_log(run)), begun_with)
    export(recipe, trained, store, _emotion_means(embeddings, told), evidence, model_path)
    weights = model_path.with_name(weights_name(model_path))
    if weights.is_file():
        tell(f"{weights.name} beside {model_path} holds its weights; move and copy both together")
    return model_path


def _refuse_another_training(run: Path, recipe: Recipe, split: Split, initial: Initial | None) -> None:
    """Raise `TrainingError` where the folder holds another training than this."""
    differing = []
    if (run / "recipe.yaml").is_file():
        differing = differing_settings(load_recipe(run / "recipe.yaml"), recipe)
    if (run / "split.json").is_file() and load_split(run / "split.json").digest != split.digest:
        differing.append("split")
    if (run / "recipe.yaml").is_file():
        known = json.loads((run / INITIAL).read_text()) if (run / INITIAL).is_file() else None
        if known != (initial.to_dict() if initial else None):
            differing.append("initial model")
    if differing:
        raise TrainingError(
            f"{run} holds another training (its {', '.join(differing)} differ); give another folder with -o, "
            "or remove this one."
        )


def _require(recipe: Recipe, train: Manifest, validation: Manifest) -> None:
    """Raise `TrainingError` where the parts do not have what the recipe asks for."""
    heard = {utterance.emotion for utterance in train}
    missing = [emotion for emotion in recipe.emotions if emotion not in heard]
    if missing:
        raise TrainingError(
            f"the training part has no utterance for {', '.join(missing)}; take a corpus that has them, or a "
            "recipe without them (--set emotions=[...])."
        )
    settings = recipe.training
    chooses = settings.schedule == "plateau" or settings.early_stopping_patience or settings.select == "best"
    if chooses and not len(validation):
        raise TrainingError(
            "the split has no validation part, which early stopping, plateaus and the choice of an epoch "
            "need; take another protocol, or a fixed number of epochs (training.schedule=one_cycle, "
            "training.select=last)."
        )
    if chooses and settings.check_every > settings.epochs:
        raise TrainingError(
            f"training.check_every is {settings.check_every}, more than the {settings.epochs} epochs, so the "
            "validation part would never be heard; lower it."
        )


def _encoder_states(
    recipe: Recipe,
    front_end: EncoderFrontEnd,
    store: AudioStore,
    train: Manifest,
    validation: Manifest,
    run: Path,
    progress: Progress,
    tell: Tell,
) -> StateStore | None:
    """Let an encoder that stays as it is hear every clip once; of one that learns nothing is stored."""
    front_end.provenance.keep(run)
    if recipe.encoder is None or not recipe.encoder.is_frozen:
        return None
    states = StateStore(recipe, store, front_end)
    with progress("encoder") as bar:
        device = "cuda" if on_gpu(recipe.trainer) else "cpu"
        size = states.fill(front_end, train, validation, device, bar)
    told = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    tell(f"what the encoder answers to each clip takes {told} in {states.folder}")
    return states


def _even_share(part: Manifest) -> Manifest:
    """Return a part, or of a very large one every so many clips of each emotion."""
    step = math.ceil(len(part) / MOST_CLIPS_HEARD)
    if step <= 1:
        return part
    by_emotion: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in part:
        by_emotion[utterance.emotion].append(utterance)
    return replace(part, utterances=tuple(u for clips in by_emotion.values() for u in clips[::step]))


def _some_clips(store: AudioStore, train: Manifest, recipe: Recipe) -> list[torch.Tensor]:
    """Return clips (1, samples) from all over the training part, undivided."""
    longest = round(recipe.window_s * recipe.sample_rate)
    step = max(1, len(train) // CLIPS_FOR_STATISTICS)
    return [torch.from_numpy(store[utterance.id][None, :longest]) for utterance in train.utterances[::step]]


def _stacks(
    recogniser: Recogniser, store: AudioStore, features: FeatureStore | None, train: Manifest, bar: Bar | None
) -> Iterator[torch.Tensor]:
    """Yield the stack (n_features, frames) of each training clip as it is, before normalisation."""
    for done, utterance in enumerate(train, start=1):
        if features:
            yield features.stack(utterance.id)
        else:
            yield recogniser.front_end.stack(torch.from_numpy(store[utterance.id])[None])[0]
        if bar:
            bar(done, len(train))


# After the last epoch -------------------------------------------------------------------------------------


def _whole_clips(
    recogniser: Recogniser,
    store: AudioStore | StateStore,
    manifest: Manifest,
    recipe: Recipe,
    pick: Callable[[Any], torch.Tensor],
) -> np.ndarray:
    """Answers (n, ...) for undivided clips, each by itself, as recognition hears them."""
    longest = round(recipe.window_s * recipe.sample_rate)
    rows = []
    with torch.inference_mode():
        for utterance in manifest:
            if isinstance(store, StateStore):  # the encoder has heard them
                answer = recogniser.answer(recogniser.front_end.finish(store.states(utterance.id)[None]))
            else:
                answer = recogniser(torch.from_numpy(store[utterance.id][:longest])[None])
            rows.append(pick(answer)[0].numpy())
    return np.stack(rows)


def _emotion_means(embeddings: np.ndarray, train: Manifest) -> dict[str, np.ndarray]:
    """Mean embedding (embedding_size,) of the training utterances of each emotion."""
    emotions = np.array([utterance.emotion for utterance in train])
    return {str(emotion): embeddings[emotions == emotion].mean(axis=0) for emotion in np.unique(emotions)}


def _calibrate(
    recogniser: Recogniser, store: AudioStore | StateStore, validation: Manifest, recipe: Recipe
) -> Calibration:
    """Fit temperature and threshold on whole clips of the validation part, by a module of temperature 1."""
    probabilities = _whole_clips(recogniser, store, validation, recipe, lambda answer: answer.probabilities)
    logits = np.log(probabilities.clip(1e-12))
    truth = [recipe.emotions.index(utterance.emotion) for utterance in validation]
    temperature = fit_temperature(logits, truth)
    scaled = np.exp(logits / temperature)
    threshold = abstention_threshold(scaled / scaled.sum(axis=1, keepdims=True))
    source = f"{len(validation)} validation utterances of {len(validation.speakers)} speakers"
    return Calibration(temperature, threshold, source)
