"""Work on many things in several processes: answers in order, bounded memory, a clean end."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from vocalics.errors import UsageError

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

#: Things under way or waiting to be yielded, for each worker: none is idle, and few answers are held.
AHEAD = 4

_work: Callable[[Any], Any]  # in a worker process: what it does


def map_in_order(
    prepare: Callable[[], Callable[[Thing], Answer]], things: Iterable[Thing], workers: int
) -> Generator[Answer, None, None]:
    """Yield the answer to each thing, in the order of the things, however many processes work on them.

    Close the iterator (`contextlib.closing`) where it may be left early: that ends the processes.

    Parameters
    ----------
    prepare
        Called once in every process: returns what is done with a thing. It must be picklable, as things and
        answers must.
    things
        Taken as the answers are, a few ahead.
    workers
        Processes; with one, all is done in this process.

    Raises
    ------
    UsageError
        A process was ended from outside, as a system does that runs out of memory.

    Examples
    --------
    >>> from functools import partial
    >>> list(map_in_order(partial(partial, pow, 2), [1, 2, 3], workers=1))
    [2, 4, 8]
    """
    if workers == 1:
        yield from map(prepare(), things)
        return
    # A forked process would inherit locks that PyTorch's threads hold; one that is spawned starts clean.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(prepare,))

    def submit(thing: Thing) -> Future[Answer]:
        with interrupt_held():  # a process may be started here
            return executor.submit(_do, thing)

    try:
        yield from in_order(submit, things, AHEAD * workers)
    except BrokenProcessPool:
        raise UsageError(
            f"one of {workers} worker processes was ended from outside, perhaps since the memory was used "
            "up; give fewer workers."
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def in_order(
    submit: Callable[[Thing], Future[Answer]], things: Iterable[Thing], ahead: int
) -> Generator[Answer, None, None]:
    """Yield the answers to things in their order, at most `ahead` of them under way or waiting."""
    under_way: deque[Future[Answer]] = deque()
    for thing in things:
        under_way.append(submit(thing))
        if len(under_way) == ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _start(prepare: Callable[[], Callable[[Any], Any]]) -> None:
    """Begin a worker process; it ends when its parent does, even if that was killed."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the others
    threading.Thread(target=end_with_parent, daemon=True).start()
    _work = prepare()


def _do(thing: Any) -> Any:
    return _work(thing)


def end_with_parent() -> None:
    """End this process when the one that started it ends, however that came; for a thread of its own."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold back Ctrl-C for a moment; a process that is started meanwhile is deaf to it from its first line.

    Otherwise it would tell of an interrupted import at length. Windows has no such mask.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
