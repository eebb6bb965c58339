"""Processes that do one work together, each a rank; what they say is heard where they were started."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from vocalics.errors import TrainingError, VocalicsError
from vocalics.lab.processes import end_with_parent, interrupt_held

#: Hears what a rank says; in a rank: says it.
Hear = Callable[[Any], None]


def run_ranks(work: Callable[[int, Hear], None], n_ranks: int, hear: Hear) -> None:
    """Call ``work(rank, say)`` in so many new processes at once, and wait until all have returned.

    None outlives this call, nor the process that made it: with one of them all end.

    Parameters
    ----------
    work
        Picklable.
    n_ranks
        Processes; `rank` is 0 to ``n_ranks - 1``.
    hear
        Called in this process with each picklable thing that a rank says.

    Raises
    ------
    VocalicsError
        As a rank raised it.
    TrainingError
        A rank was ended from outside, or by an error that is none of ours; that one it has printed itself.
    """
    # A forked process would inherit locks that PyTorch's threads hold; one that is spawned starts clean.
    context = multiprocessing.get_context("spawn")
    ranks: dict[Connection, BaseProcess] = {}  # by the end of the pipe that is heard here
    try:
        for rank in range(n_ranks):
            ear, mouth = context.Pipe(duplex=False)
            process = context.Process(target=_start, args=(work, rank, mouth), name=f"rank {rank}")
            with interrupt_held():
                process.start()
            mouth.close()  # here; the rank's own copy closes with the rank
            ranks[ear] = process
        speaking = list(ranks)
        while speaking:
            ready = wait(speaking)
            for ear in [ear for ear in speaking if ear in ready]:
                try:
                    said = ear.recv()
                except (EOFError, OSError):  # at the end of a thing, or in the midst of one
                    speaking.remove(ear)
                    _require_success(ranks[ear], n_ranks)
                    continue
                if isinstance(said, VocalicsError):
                    raise said
                hear(said)
    finally:
        for started in ranks.values():
            started.kill()
        for ear, started in ranks.items():
            started.join()
            ear.close()


def _require_success(process: BaseProcess, n_ranks: int) -> None:
    """Raise `TrainingError` where a process that has ended did not return."""
    process.join()
    if not process.exitcode:
        return
    how = (
        f"was ended by {signal.Signals(-process.exitcode).name}, perhaps since the memory was used up"
        if process.exitcode < 0
        else "failed; its report stands above"
    )
    raise TrainingError(
        f"one of {n_ranks} processes ({process.name}) {how}. Give the same command again, perhaps with fewer "
        "trainer.devices; it goes on from the last whole epoch."
    )


def _start(work: Callable[[int, Hear], None], rank: int, mouth: Connection) -> None:
    """Do the work of a rank."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the others
    threading.Thread(target=end_with_parent, daemon=True).start()

    def say(thing: Any) -> None:
        try:
            mouth.send(thing)
        except BrokenPipeError:
            os._exit(1)  # nobody is there to hear it

    try:
        work(rank, say)
    except VocalicsError as error:
        say(error)
        threading.Event().wait()  # until the parent ends all: others would fail loudly for want of this rank
