"""The workers that hear recordings, and the line before them."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from vocalics.errors import ModelError, VocalicsError
from vocalics.service import wire
from vocalics.service.metrics import Metrics
from vocalics.service.processes import Fault, Worker, WorkerError
from vocalics.service.settings import Settings

log = logging.getLogger("vocalics.service")

#: After a worker that could not be started the next is tried so much later, seconds.
RETRY_S = 1.0


class Busy(Exception):
    """There is too much to do now."""


class Gone(Exception):
    """Whoever asked has gone."""


@dataclass(eq=False)
class _Place:
    """Somebody in the line."""

    long: bool
    worker: "asyncio.Future[Worker]"


class Line:
    """Workers, and the line before them.

    A worker that dies is replaced, and whoever it worked for is told. Work that may take long is given to all
    workers but one, where there are several, so that short work goes on.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[_Place] = deque()
        self._n_long = 0
        self._most_long = max(1, settings.workers - 1)
        self._replacing: set[asyncio.Task[None]] = set()
        self._closed = False
        metrics.queue_length.set_function(lambda: self.n_waiting)
        metrics.workers.set_function(lambda: len(self._workers))

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return sum(not place.worker.done() for place in self._waiting)

    @property
    def ready(self) -> bool:
        """Whether there is a worker."""
        return bool(self._workers) and not self._closed

    async def start(self) -> list[dict[str, Any]]:
        """Start the workers; return the cards of their models.

        Raises
        ------
        VocalicsError
            A model cannot be used, or a worker cannot be started.
        """
        starts = (Worker.start(self._settings, decodes=True) for _ in range(self._settings.workers))
        results = await asyncio.gather(*starts, return_exceptions=True)
        for one in results:
            if isinstance(one, Worker):
                self._add(one)
        failures = [one for one in results if isinstance(one, BaseException)]
        if failures:
            await self.close()
            if isinstance(failures[0], VocalicsError):
                raise failures[0]
            raise ModelError(f"a worker could not be started: {failures[0]}")
        return next(iter(self._workers)).cards

    async def close(self) -> None:
        """End the workers."""
        self._closed = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in list(self._workers)))

    async def work(
        self, order: Mapping[str, Any], *, long: bool, gone: Callable[[], Awaitable[None]]
    ) -> tuple[wire.Header, bytes]:
        """Wait for a worker, ask it, and wait for its answer.

        Parameters
        ----------
        order
            What to ask.
        long
            Whether it may take long.
        gone
            Returns when whoever asked has gone; awaited while there is a line to wait in.

        Raises
        ------
        Busy
            Too many wait, or it took too long.
        Gone
            Whoever asked has gone.
        VocalicsError, WorkerError, Fault
            As of `Worker.ask`.
        """
        began = perf_counter()
        worker = await self._take(long, gone)
        self._metrics.queue_seconds.observe(perf_counter() - began)
        try:
            return await worker.ask(order, limit_s=self._settings.max_work_s)
        except asyncio.CancelledError:
            worker.kill("was given up.")
            raise
        finally:
            self._n_long -= long
            self._hand_on(worker)

    async def _take(self, long: bool, gone: Callable[[], Awaitable[None]]) -> Worker:
        """Return a worker with nothing to do, as soon as it is one's turn."""
        if self._idle and not self._is_barred(long):
            self._n_long += long
            return self._idle.pop()
        if self.n_waiting >= self._settings.max_waiting:
            raise Busy
        place = _Place(long, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        watch = asyncio.ensure_future(gone())
        try:
            waits: set[asyncio.Future[Any]] = {place.worker, watch}
            limit_s = self._settings.max_wait_s
            await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if place.worker.done():
                self._n_long -= long
                self._hand_on(place.worker.result())
            raise
        finally:
            watch.cancel()
            place.worker.cancel()  # without effect where a worker came
        if not place.worker.cancelled():
            return place.worker.result()
        raise Gone if watch.done() else Busy

    def _is_barred(self, long: bool) -> bool:
        """Tell whether work must wait even where a worker has nothing to do."""
        return long and self._n_long >= self._most_long

    def _hand_on(self, worker: Worker) -> None:
        """Hand a worker to whoever is next, or let it rest."""
        if not worker.alive:
            return
        while self._waiting and self._waiting[0].worker.done():
            self._waiting.popleft()
        for place in self._waiting:
            if not place.worker.done() and not self._is_barred(place.long):
                self._n_long += place.long
                place.worker.set_result(worker)
                return
        self._idle.append(worker)

    def _add(self, worker: Worker) -> None:
        self._workers.add(worker)
        worker.when_dead(self._replace)
        self._hand_on(worker)

    def _replace(self, dead: Worker) -> None:
        self._workers.discard(dead)
        if dead in self._idle:
            self._idle.remove(dead)
        if not self._closed:
            self._metrics.worker_restarts.inc()
            task = asyncio.create_task(self._start_another())
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _start_another(self) -> None:
        while True:
            try:
                worker = await Worker.start(self._settings, decodes=True)
            except (VocalicsError, WorkerError, Fault, OSError) as error:
                log.error("a worker could not be started, and is tried again: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                self._add(worker)
                return
