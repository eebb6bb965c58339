"""Lightning's trainer as trainings here use it: quiet, one row an epoch in a log, resumable after any end."""

import logging
import os
import pickle
import re
import signal
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.trainer.states import TrainerStatus

from vocalics.lab.devices import MEETING_PLACE, n_devices, n_processes, on_first_machine, on_gpu
from vocalics.lab.log import log_epoch
from vocalics.lab.module import TrainingModule
from vocalics.lab.progress import Bar, Progress, Tell
from vocalics.lab.ranks import Hear, run_ranks
from vocalics.recognition.worker_process import count_cores

#: Lines told over a whole training, about.
LINES = 10

#: Lightning's names of ways to start processes, which is done here.
_OWN_START = re.compile(r"^ddp_(spawn|fork|notebook)")


def run_epochs(module: TrainingModule, run: Path, progress: Progress, tell: Tell) -> None:
    """Train a module to its recipe's last epoch, from the run's last whole epoch on where there is one.

    Afterwards the module holds the weights that the recipe selects. Where the recipe asks for several devices
    or machines, each device has a process of its own, which ends with this call.

    Parameters
    ----------
    module
        What to train; an empty validation part is not asked for.
    run
        Folder of ``log.csv``, ``last.ckpt`` and ``best.ckpt``.
    progress, tell
        A bar that counts batches, and a line every few epochs.

    Raises
    ------
    TrainingError
        The training diverged, or one of its processes was ended.
    KeyboardInterrupt
        Somebody pressed Ctrl-C; the epochs that were whole are kept.
    """
    last = run / "last.ckpt"
    resumed = last if last.is_file() else None
    with progress("training") as bar:
        if n_processes(module.recipe.trainer) == 1:
            _train(module, run, resumed, bar, tell)
        else:
            _train_in_processes(module, run, resumed, bar, tell)
    if on_first_machine(module.recipe.trainer):
        kept = run / f"{module.recipe.training.select}.ckpt"
        # What is loaded was written here, and holds nothing but numbers: no pickle is executed.
        module.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True)["state_dict"])


def _train(module: TrainingModule, run: Path, resumed: Path | None, bar: Bar | None, tell: Tell) -> None:
    """Train in this process."""
    with _quiet():
        trainer = _trainer(module, run, bar, tell)
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, ckpt_path=resumed, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C, after which it is deaf to the next
            if trainer.state.status is not TrainerStatus.INTERRUPTED:
                raise
            signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt from None


def _train_in_processes(
    module: TrainingModule, run: Path, resumed: Path | None, bar: Bar | None, tell: Tell
) -> None:
    """Train in a process for each device of this machine; the first machine's first one is heard here."""

    def hear(said: str | tuple[int, int | None]) -> None:
        if isinstance(said, str):
            tell(said)
        elif bar:
            bar(*said)

    place = {name: os.environ.get(name, "") for name in MEETING_PLACE}
    if module.recipe.trainer.num_nodes == 1:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port()), "NODE_RANK": "0"}
    # As bytes: multiprocessing would hand all processes the same weights in shared memory.
    work = partial(_train_as_rank, pickle.dumps(module), run, resumed, place)
    run_ranks(work, n_devices(module.recipe.trainer), hear)


def _train_as_rank(
    packed: bytes, run: Path, resumed: Path | None, place: dict[str, str], rank: int, say: Hear
) -> None:
    """Train as one of several processes, which Lightning then does not start itself."""
    os.environ |= place | {"LOCAL_RANK": str(rank)}
    module: TrainingModule = pickle.loads(packed)
    if module.recipe.trainer.num_nodes == 1:
        # Without it gloo looks for this machine's name in the network, where it may have none.
        loops = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        os.environ |= {"GLOO_SOCKET_IFNAME": loops[0]} if loops else {}
    if "OMP_NUM_THREADS" not in os.environ:  # else each would take a thread for every core
        torch.set_num_threads(max(1, count_cores() // n_devices(module.recipe.trainer)))
    _train(module, run, resumed, lambda done, of: say((done, of)), say)


def _trainer(module: TrainingModule, run: Path, bar: Bar | None, tell: Tell) -> lightning.Trainer:
    settings, devices = module.recipe.training, module.recipe.trainer
    callbacks: list[Callback] = [_Log(module, run), _Told(module, bar, tell)]
    if settings.early_stopping_patience:
        # At the end of the validation, not of the epoch: there Lightning would ask it after the checkpoints,
        # which would then hold its memory of the epoch before.
        patience = settings.early_stopping_patience
        callbacks.append(EarlyStopping("validation_loss", patience=patience, check_on_train_epoch_end=False))
    if settings.select == "best":
        callbacks.append(_BestCheckpoint(module, run / "best.ckpt"))
    callbacks.append(_LastCheckpoint(run / "last.ckpt"))  # after the others: it keeps their states
    return lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator="gpu" if on_gpu(devices) else "cpu",
        devices=n_devices(devices),
        strategy=_OWN_START.sub("ddp", devices.strategy),
        num_nodes=devices.num_nodes,
        plugins=[LightningEnvironment()],
        precision=best_precision(settings.precision),
        gradient_clip_val=settings.gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        limit_val_batches=None if module.validates else 0,
        check_val_every_n_epoch=settings.check_every,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=run,
        callbacks=callbacks,
    )


def best_precision(wanted: str) -> Any:
    """Return Lightning's name of the precision: bfloat16 where the processor computes in it, else float32."""
    supported = torch.cuda.is_available() or bool(
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    )
    if wanted == "bfloat16" or (wanted == "auto" and supported):
        return "bf16-mixed"
    return "32-true"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's banners, tips and advice from people who asked for a model.

    Its notes (devices found, checkpoints read) go to loggers at level INFO. Its warnings are about choices
    made here on purpose (few workers, for clips that lie decoded in memory; a front end that is not trained)
    or about its own use of PyTorch.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Log(Callback):
    """One row an epoch in ``log.csv``."""

    def __init__(self, module: TrainingModule, run: Path) -> None:
        self._module, self._run = module, run

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        figures = self._module.epoch_figures()  # every process is asked: they are means over all
        if trainer.is_global_zero:
            log_epoch(self._run, trainer.current_epoch, figures)


class _Told(Callback):
    """The bar, and a line after the first, the last and every few epochs."""

    def __init__(self, module: TrainingModule, bar: Bar | None, tell: Tell) -> None:
        self._module, self._bar, self._tell = module, bar, tell

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._first, self._started_s = trainer.current_epoch, time.monotonic()
        self._batches = int(trainer.estimated_stepping_batches)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self._bar and trainer.is_global_zero:
            self._bar(trainer.global_step, self._batches)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        settings, done = self._module.recipe.training, trainer.current_epoch + 1
        checks = max(1, round(settings.epochs / (LINES * settings.check_every)))
        if done % (checks * settings.check_every) == 0 or done in (self._first + 1, settings.epochs):
            spent_s = time.monotonic() - self._started_s
            left_s = spent_s / (done - self._first) * (settings.epochs - done)
            line = epoch_line(done, settings.epochs, self._module.epoch_figures(), left_s)
            if trainer.is_global_zero:
                self._tell(line)


def epoch_line(done: int, epochs: int, figures: dict[str, float], left_s: float) -> str:
    """Say in a line how a training goes.

    Parameters
    ----------
    done, epochs
        Epochs, done and in all.
    figures
        Of the last one, as a row of ``log.csv``.
    left_s
        Time until the last epoch, seconds.

    Examples
    --------
    >>> epoch_line(7, 70, {"train_loss": 1.5, "validation_loss": 1.625, "validation_uar": 0.5}, 3900)
    'epoch 7/70: loss 1.500, validation 1.625, UAR 50.0 %; 65 min left'
    """
    measured = f"epoch {done}/{epochs}: loss {figures['train_loss']:.3f}"
    if "validation_uar" in figures:
        uar = 100 * figures["validation_uar"]
        measured += f", validation {figures['validation_loss']:.3f}, UAR {uar:.1f} %"
    if done == epochs:
        return measured
    return f"{measured}; {round(left_s / 60)} min left" if left_s > 90 else f"{measured}; {left_s:.0f} s left"


class _LastCheckpoint(Callback):
    """``last.ckpt`` after every epoch, renamed into place, so that a killed run finds a whole one.

    Whether early stopping has ended the training is part of it: a run that is killed before its export must
    not go on when it is resumed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = False

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._stopped = trainer.should_stop
        _save(trainer, self._path)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        trainer.should_stop = self._stopped

    def state_dict(self) -> dict[str, Any]:
        return {"stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._stopped = state_dict["stopped"]


class _BestCheckpoint(Callback):
    """``best.ckpt``: the epoch with the lowest validation loss so far, of those that check it."""

    def __init__(self, module: TrainingModule, path: Path) -> None:
        self._module, self._path = module, path
        self._lowest = float("inf")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        loss = self._module.epoch_figures().get("validation_loss", float("inf"))
        if loss < self._lowest:
            self._lowest = loss
            _save(trainer, self._path)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self._lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._lowest = state_dict["lowest"]


def _save(trainer: lightning.Trainer, path: Path) -> None:
    """Write a checkpoint beside its place, then rename it."""
    partial = path.with_suffix(".part")
    trainer.save_checkpoint(partial, weights_only=False)
    if trainer.is_global_zero:
        partial.replace(path)
