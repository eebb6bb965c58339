"""Training: recipe, manifest and split in, run folder with a model file out."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, TQDMProgressBar

from vocalics.errors import TrainingError
from vocalics.files import write_atomically
from vocalics.lab.audit import audit
from vocalics.lab.calibration import UNCALIBRATED, Calibration, abstention_threshold, fit_temperature
from vocalics.lab.dataset import AudioStore
from vocalics.lab.export import Evidence, export
from vocalics.lab.manifest import Manifest
from vocalics.lab.module import TrainingModule
from vocalics.lab.recipes.schema import Recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.splits import Split


def fit(
    recipe: Recipe,
    manifest: Manifest,
    split: Split,
    run: Path,
    *,
    command: str = "",
    progress: bool = True,
) -> Path:
    """Train a recipe on one split and export it.

    A run that was interrupted goes on from its last whole epoch when it is started again with the same recipe and split.

    Parameters
    ----------
    recipe
        What to train.
    manifest
        Utterances in the recipe's vocabulary; train, validation and test part are found in it by the split's ids.
    split
        Its test part is decoded with the rest, so that all folds share one store, and never used here.
    run
        Folder for recipe, split, log, checkpoint and model.
    command
        The command line, for the card.
    progress
        Draw a progress bar on stderr.

    Returns
    -------
    Path of the model file, ``run/model.onnx``.

    Raises
    ------
    LeakError
        The same speaker or audio stands on two sides.
    TrainingError
        The run folder belongs to another training, or the recipe chooses on a validation part that is empty.
    ExportError
        The exported file does not answer as the trained network.
    """
    _claim(run, recipe, split)
    model_path = run / "model.onnx"
    if model_path.is_file():
        return model_path
    audit(manifest, split).raise_if_refused()
    train, validation = manifest.select(split.train), manifest.select(split.validation)
    _require(recipe, train, validation)

    lightning.seed_everything(recipe.training.seed, verbose=False)
    store = AudioStore.build(manifest, recipe.sample_rate, recipe.bandwidth_hz)
    recogniser = Recogniser(recipe)
    recogniser.front_end.fit(torch.from_numpy(store[utterance.id])[None] for utterance in train)
    module = TrainingModule(recipe, recogniser, store, train, validation)
    _trainer(recipe, run, progress, bool(len(validation))).fit(module, ckpt_path=_last_checkpoint(run))
    if recipe.training.select == "best":
        module.load_state_dict(torch.load(run / "best.ckpt", weights_only=True)["state_dict"])

    trained = module.trained.eval().cpu().float()
    embeddings = _embeddings(trained, store, train, recipe)
    trained.set_statistics(embeddings)
    calibration = _calibrate(trained, store, validation, recipe) if len(validation) else UNCALIBRATED
    trained.temperature.fill_(calibration.temperature)
    evidence = Evidence(calibration, train, split, command, read_log(run))
    export(recipe, trained, store, _emotion_means(embeddings, train), evidence, model_path)
    return model_path


def read_log(run: Path) -> list[dict[str, float]]:
    """Rows of a run's ``log.csv``, one an epoch."""
    path = run / "log.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _claim(run: Path, recipe: Recipe, split: Split) -> None:
    """Take the folder for this training, or find that it is another's."""
    wanted = {"recipe.yaml": recipe.to_yaml(), "split.json": json.dumps(split.to_dict(), indent=1) + "\n"}
    for name, text in wanted.items():
        path = run / name
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise TrainingError(
                f"{run} holds a training with another {path.stem}; give another folder with -o, or remove this one."
            )
    for name, text in wanted.items():
        write_atomically(run / name, text)


def _require(recipe: Recipe, train: Manifest, validation: Manifest) -> None:
    missing = [
        emotion for emotion in recipe.emotions if emotion not in {utterance.emotion for utterance in train}
    ]
    if missing:
        raise TrainingError(
            f"the training part has no utterance for {', '.join(missing)}; take a corpus that has them, or a recipe "
            "without them (--set emotions=[...])."
        )
    settings = recipe.training
    chooses = settings.schedule == "plateau" or settings.early_stopping_patience or settings.select == "best"
    if chooses and not len(validation):
        raise TrainingError(
            "the split has no validation part, which early stopping, plateaus and the choice of an epoch need; take another "
            "protocol, or a fixed number of epochs (training.schedule=one_cycle, training.select=last)."
        )


# ---- Lightning -------------------------------------------------------------------------------------------------------


def best_precision(wanted: str) -> Any:
    """Lightning's name of the precision: bfloat16 where the processor computes in it, else float32."""
    supported = torch.cuda.is_available() or bool(
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    )
    if wanted == "bfloat16" or (wanted == "auto" and supported):
        return "bf16-mixed"
    return "32-true"


def _trainer(recipe: Recipe, run: Path, progress: bool, has_validation: bool) -> lightning.Trainer:
    settings = recipe.training
    callbacks: list[Callback] = [_Log(run)]
    if settings.early_stopping_patience:
        callbacks.append(EarlyStopping("validation_loss", patience=settings.early_stopping_patience))
    if settings.select == "best":
        callbacks.append(_BestCheckpoint(run))
    callbacks.append(_LastCheckpoint(run))  # after the others: it keeps their states
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    return lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator=recipe.trainer.accelerator if torch.cuda.is_available() else "cpu",
        devices=recipe.trainer.devices,
        strategy=recipe.trainer.strategy,
        num_nodes=recipe.trainer.num_nodes,
        precision=best_precision(settings.precision),
        gradient_clip_val=settings.gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        limit_val_batches=None if has_validation else 0,
        check_val_every_n_epoch=settings.check_every,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        default_root_dir=run,
        callbacks=callbacks,
    )


class _Log(Callback):
    """One row an epoch in ``log.csv``; a resumed run drops the rows of the epoch that was lost."""

    _COLUMNS = (
        "epoch",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "validation_uar",
        "learning_rate",
    )

    def __init__(self, run: Path) -> None:
        self._run = run

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        epoch = trainer.current_epoch
        rows: list[dict[str, float]] = [row for row in read_log(self._run) if row["epoch"] < epoch]
        rows.append({"epoch": epoch, **_training_module(module).epoch_figures()})
        text = io.StringIO()
        writer = csv.DictWriter(text, self._COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
        write_atomically(self._run / "log.csv", text.getvalue())


class _LastCheckpoint(Callback):
    """``last.ckpt`` after every epoch, renamed into place, so that a killed run finds a whole one."""

    name = "last"

    def __init__(self, run: Path) -> None:
        self._path = run / f"{self.name}.ckpt"

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: lightning.Trainer) -> None:
        """Write the checkpoint beside its place, then rename it."""
        partial = self._path.with_suffix(".part")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            os.replace(partial, self._path)


class _BestCheckpoint(_LastCheckpoint):
    """``best.ckpt``: the epoch with the lowest validation loss so far."""

    name = "best"

    def __init__(self, run: Path) -> None:
        super().__init__(run)
        self.lowest = float("inf")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        loss = _training_module(module).epoch_figures()["validation_loss"]
        if loss < self.lowest:
            self.lowest = loss
            self.save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest = state_dict["lowest"]


def _training_module(module: lightning.LightningModule) -> TrainingModule:
    if not isinstance(module, TrainingModule):
        raise TrainingError("these callbacks serve vocalics' own training module.")
    return module


def _last_checkpoint(run: Path) -> Path | None:
    path = run / "last.ckpt"
    return path if path.is_file() else None


# ---- after the last epoch --------------------------------------------------------------------------------------------


def _whole_clips(
    recogniser: Recogniser,
    store: AudioStore,
    manifest: Manifest,
    recipe: Recipe,
    pick: Callable[[Any], torch.Tensor],
) -> np.ndarray:
    """Answers (n, ...) for undivided clips, each by itself, as recognition hears them."""
    longest = round(recipe.window_s * recipe.sample_rate)
    rows = []
    with torch.inference_mode():
        for utterance in manifest:
            waveform = torch.from_numpy(store[utterance.id][:longest])[None]
            rows.append(pick(recogniser(waveform))[0].numpy())
    return np.stack(rows)


def _embeddings(recogniser: Recogniser, store: AudioStore, train: Manifest, recipe: Recipe) -> np.ndarray:
    return _whole_clips(recogniser, store, train, recipe, lambda answer: answer.embedding)


def _emotion_means(embeddings: np.ndarray, train: Manifest) -> dict[str, np.ndarray]:
    """Mean embedding (embedding_size,) of the training utterances of each emotion."""
    emotions = np.array([utterance.emotion for utterance in train])
    return {str(emotion): embeddings[emotions == emotion].mean(axis=0) for emotion in np.unique(emotions)}


def _calibrate(
    recogniser: Recogniser, store: AudioStore, validation: Manifest, recipe: Recipe
) -> Calibration:
    """Fit temperature and threshold on whole clips of the validation part; the module's temperature is still
    1."""
    probabilities = _whole_clips(recogniser, store, validation, recipe, lambda answer: answer.probabilities)
    logits = np.log(probabilities.clip(1e-12))
    truth = [recipe.emotions.index(utterance.emotion) for utterance in validation]
    temperature = fit_temperature(logits, truth)
    scaled = np.exp(logits / temperature)
    threshold = abstention_threshold(scaled / scaled.sum(axis=1, keepdims=True))
    source = f"{len(validation)} validation utterances of {len(validation.speakers)} speakers"
    return Calibration(temperature, threshold, source)
