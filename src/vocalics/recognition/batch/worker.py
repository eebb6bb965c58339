"""The worker: a process that holds the model and answers the recordings that it is given, in their order.

It is started as ``python -m vocalics.recognition.batch.worker``. On its standard input it reads what it is
for, then lists of names, each a line of JSON; on its standard output it answers with messages of `task.pack`,
at the end of each list and meanwhile from time to time. It ends when its input does, at once: who started it
has all the answers then, or is gone.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import BinaryIO

from vocalics.errors import VocalicsError
from vocalics.recognition.batch import urls
from vocalics.recognition.batch.task import Heard, Listener, Task, pack
from vocalics.recognition.worker_process import limit_resources, set_alarm, take_over_standard_streams

#: Answers wait for each other at most so long, seconds: a message for each would cost more than its worth.
MESSAGE_S = 0.2

#: Recordings that are fetched from elsewhere while others are heard.
FETCHED_AHEAD = 8

#: Memory that one recording may take beyond what the worker takes by itself.
MEMORY_BYTES = 2 << 30

#: How much longer than whoever started it would wait a worker goes on when that one is gone, seconds.
GRACE_S = 10.0


def main() -> None:
    """Answer until there is nobody to ask."""
    orders, replies = take_over_standard_streams()
    order = json.loads(orders.readline())
    try:
        listener = Listener(Task(**order["task"]))
    except Exception as error:
        told = str(error) if isinstance(error, VocalicsError) else f"{type(error).__name__}: {error}"
        _send(replies, json.dumps({"error": told}).encode() + b"\n")
        return
    limit_resources(MEMORY_BYTES)
    _send(replies, b'{"ready": true}\n')
    lists: SimpleQueue[list[str]] = SimpleQueue()
    Thread(target=_read, args=(orders, lists), daemon=True).start()

    answers: list[Heard] = []
    sent = monotonic()
    for name, fetched, last in _coming(lists):
        set_alarm(order["limit_s"] + GRACE_S)
        answers.append(listener.hear(name, None if fetched is None else fetched.result))
        set_alarm(0)
        if last or monotonic() - sent > MESSAGE_S:
            _send(replies, pack(answers))
            answers, sent = [], monotonic()


def _read(orders: BinaryIO, lists: "SimpleQueue[list[str]]") -> None:
    """Take lists of names in as they come; at the end, end the process, whatever it does."""
    for line in orders:
        lists.put(json.loads(line))
    os._exit(0)


def _coming(lists: "SimpleQueue[list[str]]") -> Iterator[tuple[str, "Future[BinaryIO] | None", bool]]:
    """Yield each name, its bytes to come where it is a URL, and whether it is the last of its list."""
    pool = ThreadPoolExecutor(FETCHED_AHEAD)
    names: deque[tuple[str, bool]] = deque()
    ahead: deque[tuple[str, Future[BinaryIO] | None, bool]] = deque()
    while True:
        while not (names or ahead) or not lists.empty():
            some = lists.get()
            names += ((name, place == len(some)) for place, name in enumerate(some, start=1))
        while names and len(ahead) < FETCHED_AHEAD:
            name, last = names.popleft()
            ahead.append((name, pool.submit(urls.fetch, name) if urls.is_url(name) else None, last))
        yield ahead.popleft()


def _send(replies: BinaryIO, message: bytes) -> None:
    try:
        replies.write(message)
        replies.flush()
    except BrokenPipeError:  # nobody is there
        sys.exit()


if __name__ == "__main__":
    main()
