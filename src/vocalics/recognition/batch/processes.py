"""Worker processes on this machine: each holds the model, and none of them can take the others along.

A worker may die of a crafted recording, of lack of memory, or of somebody's hand. What it was hearing is
given to others, one recording by one; a recording that ends its worker again and again is answered by an
error, and nothing is lost.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, BinaryIO, Self, cast

from vocalics.errors import VocalicsError
from vocalics.recognition.batch.pieces import Piece
from vocalics.recognition.batch.task import Heard, Task, failed, unpack
from vocalics.recognition.batch.worker import MESSAGE_S
from vocalics.recognition.worker_process import ONE_THREAD, cause_of_end, count_cores

#: How long a worker may take to open the model, and to end when it is told to; seconds.
START_S, END_S = 120.0, 5.0

#: Workers in a row that may end before they have begun.
MOST_FALSE_STARTS = 3

#: Workers that a recording may end when it is heard alone.
MOST_DEATHS = 2

#: Pieces that a worker has before it, so that it need not wait for the next.
AHEAD = 2


class _Worker:
    """A worker process as seen from outside.

    Attributes
    ----------
    asked
        Pieces that it has not answered to the end, in their order.
    done
        Recordings of the first of them that it has answered.
    ready
        Whether it has opened the model.
    since
        When it was last heard of, or first asked after a rest; `time.monotonic`.
    slow
        Whether it was ended since it took too long.
    """

    def __init__(self, order: bytes, events: "SimpleQueue[tuple[_Worker, Any]]") -> None:
        self.asked: deque[Piece] = deque()
        self.done = 0
        self.ready = self.slow = False
        self.since = monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vocalics.recognition.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders complain there of every crafted file
            env=os.environ | ONE_THREAD,
            start_new_session=True,  # Ctrl-C in the terminal is for whoever started it
        )
        self._send(order)
        Thread(target=self._listen, args=(events,), daemon=True).start()

    def ask(self, piece: Piece) -> None:
        """Give it more to do."""
        if not self.asked:
            self.since = monotonic()
        self.asked.append(piece)
        self._send(piece.line)

    def answered(self, n_answers: int) -> int:
        """Take note of answers; return the place of the first of them among all recordings."""
        place = self.asked[0].first + self.done
        self.done += n_answers
        self.since = monotonic()
        if self.done == len(self.asked[0].names):
            self.asked.popleft()
            self.done = 0
        return place

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()

    def end(self, within_s: float) -> int:
        """Let the process end, or make it; return its exit code."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # just dead: the listener will tell
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def _listen(self, events: "SimpleQueue[tuple[_Worker, Any]]") -> None:
        """Pass on what the worker says; None at its end."""
        replies = self.process.stdout
        assert replies is not None
        with replies, suppress(ValueError, TypeError):  # what is no message comes from one out of its mind
            events.put((self, json.loads(replies.readline() or b"{}")))
            while (answers := unpack(cast(BinaryIO, replies))) is not None:
                events.put((self, answers))
        self.process.kill()
        events.put((self, None))


class Crew:
    """Workers that hear pieces of the work; use it in a ``with`` block, which ends them.

    Parameters
    ----------
    task
        What is asked of every recording.
    workers
        Processes, None for one for each core; they start when there are pieces for them.
    limit_s
        Longest time that one recording may be worked on.
    name
        The model's name, for what is said of recordings that a worker cannot answer.
    """

    #: Many recordings cost no more than few: while they are heard, answers come all the time.
    largest_piece = 32

    def __init__(self, task: Task, workers: int | None, limit_s: float, name: str) -> None:
        self.workers = workers or count_cores()
        self._order = json.dumps({"task": asdict(task), "limit_s": limit_s}).encode() + b"\n"
        self._task, self._limit_s, self._name = task, limit_s, name
        self._crew: list[_Worker] = []
        self._events: SimpleQueue[tuple[_Worker, Any]] = SimpleQueue()
        self._false_starts = 0
        self._left: deque[Piece] = deque()
        self._pieces: Iterator[Piece] = iter(())

    def __enter__(self) -> Self:
        """Begin; the first workers start with the first piece."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers; at once those that have something to do, or have not begun."""
        for worker in self._crew:
            if worker.asked or not worker.ready:
                worker.kill()
        for worker in self._crew:
            worker.end(END_S)

    def hear(self, pieces: Iterable[Piece]) -> Generator[tuple[int, Heard], None, None]:
        """Yield the place of every recording among all, and what became of it, in any order.

        Raises
        ------
        VocalicsError
            No worker can begin.
        """
        self._pieces = iter(pieces)
        while self._hand_out():
            try:
                worker, message = self._events.get(timeout=self._patience_s())
            except Empty:
                self._end_the_slow()
                continue
            if message is None:
                self._crew.remove(worker)
                yield from self._lost(worker)
            elif worker.ready:
                place = worker.answered(len(message))
                yield from enumerate(message, start=place)
            elif "error" in message:
                raise VocalicsError(message["error"])
            elif "ready" in message:
                worker.ready, self._false_starts = True, 0

    def _hand_out(self) -> bool:
        """Give the idle something to do; tell whether anything is left to wait for."""
        while len(self._crew) < self.workers and self._has_more(1 + sum(not one.asked for one in self._crew)):
            self._crew.append(_Worker(self._order, self._events))
        for depth in range(1, AHEAD + 1):
            for worker in self._crew:
                if worker.ready and len(worker.asked) < depth and self._has_more():
                    if worker.asked and (worker.asked[0].alone or self._left[0].alone):
                        continue
                    worker.ask(self._left.popleft())
        return self._has_more() or any(worker.asked for worker in self._crew)

    def _has_more(self, n_pieces: int = 1) -> bool:
        """Tell whether so many pieces are left, which then stand in `_left`."""
        self._left.extend(islice(self._pieces, max(0, n_pieces - len(self._left))))
        return len(self._left) >= n_pieces

    def _patience_s(self) -> float | None:
        """Return after how many seconds a worker is too slow."""
        ends_s = [
            worker.since + (self._limit_s + MESSAGE_S if worker.ready else START_S)
            for worker in self._crew
            if worker.asked or not worker.ready
        ]
        return max(0.0, min(ends_s) - monotonic()) if ends_s else None

    def _end_the_slow(self) -> None:
        """End the workers that take too long."""
        for worker in self._crew:
            limit_s = self._limit_s + MESSAGE_S if worker.ready else START_S
            if (worker.asked or not worker.ready) and monotonic() - worker.since >= limit_s:
                worker.slow = True
                worker.since = monotonic()
                worker.kill()

    def _lost(self, worker: _Worker) -> Iterator[tuple[int, Heard]]:
        """Take back what a worker had to do when it ended; yield what no other shall try again."""
        code = worker.end(END_S)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts == MOST_FALSE_STARTS:
                raise VocalicsError(
                    f"the workers end before they have begun (the last by {cause_of_end(code)}); perhaps the "
                    "memory is used up: give fewer workers."
                )
        if not worker.asked:
            return
        first, *others = worker.asked
        again = first.singly(worker.done)
        if first.alone:
            again = [replace(first, deaths=first.deaths + 1)]
            if worker.slow or again[0].deaths == MOST_DEATHS:
                yield first.first, self._given_up(first, worker.slow, code)
                again = []
        self._left.extendleft(reversed([*again, *others]))

    def _given_up(self, piece: Piece, slow: bool, code: int) -> Heard:
        """Say why nobody hears a recording any more."""
        name = json.loads(piece.names[0])
        sentence = (
            f"{name} takes longer than the {self._limit_s:g} s that one recording is granted; cut it up, or "
            "raise max_work_s."
            if slow
            else f"{name} made the process that heard it end ({cause_of_end(code)}), and the next ones too; "
            "export it again."
        )
        return failed(name, self._name, sentence, timeline=self._task.timeline)
