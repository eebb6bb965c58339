"""What ranks do in the tests of `vocalics.lab.ranks`: a process of its own cannot see inside a test."""

import os
import signal
import time

from vocalics.errors import TrainingError

FOREVER_S = 600.0  # longer than any test waits


def count(rank, say):
    """Say three numbers, and return."""
    for number in range(3):
        say((rank, number))


def second_raises(rank, say):
    """Rank 1 raises an error of ours; rank 0 would work on."""
    if rank == 1:
        raise TrainingError("the loss is nan.")
    time.sleep(FOREVER_S)


def second_is_killed(rank, say):
    """Rank 1 ends as where the memory is used up; rank 0 would work on."""
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(FOREVER_S)


def work_on(rank, say):
    """Say the process's id, and work on."""
    say(os.getpid())
    time.sleep(FOREVER_S)
