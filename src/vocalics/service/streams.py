"""The workers that hear streams."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from vocalics.errors import VocalicsError
from vocalics.service import wire
from vocalics.service.metrics import Metrics
from vocalics.service.processes import Fault, Worker, WorkerError
from vocalics.service.refusals import too_busy
from vocalics.service.settings import Settings

#: Longest time until a worker has heard a piece of a stream, those of others before it included; seconds.
HEAR_S = 30.0


class OpenStream:
    """A stream in a worker."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker = worker
        self._number = number

    async def ask(self, do: str, body: bytes = b"", **rest: Any) -> wire.Header:
        """Ask the worker about this stream; errors as of `Worker.ask`."""
        order = {"do": do, "stream": self._number, **rest}
        told, _ = await self._worker.ask(order, body, limit_s=HEAR_S)
        return told


class Streams:
    """Workers for streams, which share the streams evenly and are started when there is a first one.

    They are others than those that decode recordings, so that no crafted file ends a stream and no long
    recording holds one up. A stream whose worker dies is taken up again by its client.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._workers: list[Worker] = []
        self._n_streams: Counter[Worker] = Counter()
        self._n_sockets = 0
        self._numbers = itertools.count(1)
        self._starting = asyncio.Lock()
        metrics.streams.set_function(lambda: self._n_sockets)

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Take one of the places for sockets.

        Raises
        ------
        Refused
            All are taken.
        """
        if self._n_sockets >= self._settings.max_streams:
            raise too_busy(f"{self._n_sockets} streams are open, which is the most that is served")
        self._n_sockets += 1
        try:
            yield
        finally:
            self._n_sockets -= 1

    @asynccontextmanager
    async def opened(
        self, model: str, hello: Mapping[str, Any]
    ) -> AsyncIterator[tuple[OpenStream, wire.Header]]:
        """Open a stream; yield it, and what its worker said at that.

        Raises
        ------
        VocalicsError, WorkerError, Fault
            As of `Worker.ask` and `Worker.start`.
        """
        worker = await self._least_busy()
        stream = OpenStream(worker, next(self._numbers))
        self._n_streams[worker] += 1
        try:
            yield stream, await stream.ask("open", model=model, hello=dict(hello))
        finally:
            self._n_streams[worker] -= 1
            with suppress(VocalicsError, WorkerError, Fault):
                await stream.ask("close")

    async def close(self) -> None:
        """End the workers."""
        await asyncio.gather(*(worker.end() for worker in self._workers))

    async def _least_busy(self) -> Worker:
        async with self._starting:
            alive = [worker for worker in self._workers if worker.alive]
            self._metrics.worker_restarts.inc(len(self._workers) - len(alive))
            missing = self._settings.workers - len(alive)
            self._workers = alive
            started = await asyncio.gather(
                *(Worker.start(self._settings, decodes=False) for _ in range(missing)), return_exceptions=True
            )
            self._workers += [one for one in started if isinstance(one, Worker)]
            if not self._workers:
                raise next(one for one in started if isinstance(one, BaseException))
        return min(self._workers, key=lambda worker: self._n_streams[worker])
