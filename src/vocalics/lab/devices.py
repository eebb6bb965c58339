"""On how many devices and machines a training runs, and what that asks of it."""

import os

import torch

from vocalics.errors import TrainingError
from vocalics.lab.recipes.schema import Recipe, TrainerSettings

#: Variables by which the processes of several machines find each other, as all programs with PyTorch do.
MEETING_PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


def on_gpu(settings: TrainerSettings) -> bool:
    """Say whether graphics processors train; ``auto`` takes them where PyTorch finds one."""
    return settings.accelerator != "cpu" and torch.cuda.is_available()


def n_devices(settings: TrainerSettings) -> int:
    """Count the devices of this machine that train; ``auto`` is every GPU, or one processor."""
    if settings.devices == "auto":
        return torch.cuda.device_count() if on_gpu(settings) else 1
    return settings.devices


def n_processes(settings: TrainerSettings) -> int:
    """Count the processes that train, on all machines: one for each device."""
    return settings.num_nodes * n_devices(settings)


def on_first_machine(settings: TrainerSettings) -> bool:
    """Say whether this machine keeps log and checkpoints, and exports."""
    return settings.num_nodes == 1 or os.environ["NODE_RANK"] == "0"


def require_devices(recipe: Recipe) -> None:
    """Raise `TrainingError` where a recipe cannot be trained on the devices and machines that it asks for.

    Each machine is given the command once, which starts a process for each of its devices.
    """
    settings, batch_size = recipe.trainer, recipe.training.batch_size
    if settings.accelerator == "gpu" and not torch.cuda.is_available():
        raise TrainingError(
            "trainer.accelerator is gpu, and PyTorch finds none here; give auto, or a PyTorch that knows it."
        )
    if n_devices(settings) < 1:
        raise TrainingError(f"trainer.devices is {settings.devices}; give 1 or more, or auto.")
    if on_gpu(settings) and n_devices(settings) > torch.cuda.device_count():
        raise TrainingError(
            f"trainer.devices is {settings.devices}, and PyTorch finds {torch.cuda.device_count()}; give "
            "no more, or train on the processor (trainer.accelerator=cpu)."
        )
    processes = n_processes(settings)
    if processes == 1:
        return
    if "LOCAL_RANK" in os.environ:
        raise TrainingError(
            "LOCAL_RANK is set: another program, such as torchrun, started this process as one of several; "
            "give the command itself, once on each machine, and it starts them."
        )
    unset = [name for name in MEETING_PLACE if name not in os.environ]
    if settings.num_nodes > 1 and unset:
        raise TrainingError(
            f"trainer.num_nodes is {settings.num_nodes}, and {', '.join(unset)} not set: on each machine set "
            "MASTER_ADDR and MASTER_PORT to the first one's address and a free port, and NODE_RANK to its "
            "number, from 0."
        )
    if batch_size % processes:
        raise TrainingError(
            f"training.batch_size is {batch_size}, and {processes} processes share each batch evenly; give a "
            f"multiple of {processes}."
        )
