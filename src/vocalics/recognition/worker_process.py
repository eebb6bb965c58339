"""Processes that decode and hear for others: alone with their pipes, within limits, on one thread."""

import contextlib
import os
import signal
from pathlib import Path
from typing import BinaryIO

#: Libraries that would start threads of their own are told not to: there is a worker for every core.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, kept for messages alone, whatever a library may print or read."""
    orders, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return orders, replies


def limit_resources(memory_bytes: int, file_bytes: int | None = None, niceness: int = 0) -> None:
    """Take so much more memory at most, leave no image of it behind, and yield to others.

    The memory is what is addressed: a detector of voice activity takes 90 MB of that, and 3 MB in truth.

    Parameters
    ----------
    memory_bytes
        What may be taken beyond what is taken now.
    file_bytes
        Largest file that may be written.
    niceness
        As of the command ``nice``.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    os.nice(niceness)
    limits = [(resource.RLIMIT_CORE, 0)]
    if file_bytes is not None:
        limits.append((resource.RLIMIT_FSIZE, file_bytes))
    pages = Path("/proc/self/statm")
    if pages.exists():
        taken = int(pages.read_text().split()[0]) * resource.getpagesize()
        limits.append((resource.RLIMIT_AS, taken + memory_bytes))
    for limit, value in limits:
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
            resource.setrlimit(limit, (value, value))


def set_alarm(seconds: float) -> None:
    """Let the system end this process by then, should it hang in a decoder; 0 for no alarm."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def cause_of_end(code: int) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> cause_of_end(-11), cause_of_end(1)
    ('SIGSEGV', 'exit code 1')
    """
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
