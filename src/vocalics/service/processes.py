"""A worker process as the service sees it."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from vocalics.errors import VocalicsError
from vocalics.recognition.worker_process import ONE_THREAD, cause_of_end
from vocalics.service import wire
from vocalics.service.settings import TOKEN_VARIABLE, WORKER_MEMORY_BYTES, Settings

#: How long a worker may take to open its models, and to end when it is told to; seconds.
START_S, END_S = 120.0, 5.0


class WorkerError(Exception):
    """A worker gave no answer; the message continues a sentence that begins with what it worked on."""


class Fault(Exception):
    """A worker met an error that nobody raised on purpose; the message is its trace."""


class Worker:
    """A worker process.

    Attributes
    ----------
    cards
        What its models say of themselves.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.cards: list[dict[str, Any]] = []
        self._process = process
        self._asked: deque[asyncio.Future[tuple[wire.Header, bytes]]] = deque()
        self._why_dead: str | None = None
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, settings: Settings, *, decodes: bool) -> "Worker":
        """Start a worker and wait until it has opened its models.

        Parameters
        ----------
        settings
            Models and limits.
        decodes
            Whether it decodes what strangers send, within limits, and yields to streams.

        Raises
        ------
        VocalicsError
            It says that it cannot.
        WorkerError, Fault
            It died of it, or takes too long.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "vocalics.service.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # decoders complain there of every crafted file
            env={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE} | ONE_THREAD,
            start_new_session=True,  # an interrupt in the terminal is for the service alone
        )
        worker = cls(process)
        order = {
            "models": list(settings.models),
            "max_duration_s": settings.max_duration_s,
            "max_work_s": settings.max_work_s,
            "memory_bytes": WORKER_MEMORY_BYTES if decodes else None,
        }
        try:
            told, _ = await worker.ask(order, limit_s=START_S)
        except BaseException:
            await worker.end()
            raise
        worker.cards = told["cards"]
        return worker

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._why_dead is None

    async def ask(
        self, order: Mapping[str, Any], body: bytes = b"", *, limit_s: float
    ) -> tuple[wire.Header, bytes]:
        """Ask and wait for the answer; several may be asked at once, and are answered in their order.

        Raises
        ------
        VocalicsError
            What was asked cannot be answered.
        WorkerError
            The worker died, or took longer than `limit_s` and was ended.
        Fault
            The worker met an error of its own.
        """
        if self._why_dead is not None:
            raise WorkerError(self._why_dead)
        assert self._process.stdin is not None
        answer = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        with contextlib.suppress(RuntimeError):  # just dead: uvloop refuses, and the listener will tell
            self._process.stdin.write(wire.pack(dict(order), body))
        try:
            async with asyncio.timeout(limit_s):
                told, content = await answer
        except TimeoutError:
            why = f"takes longer than the {limit_s:g} s that one recording is granted; send a shorter span."
            self.kill(why)
            raise WorkerError(why) from None
        if "error" in told:
            raise VocalicsError(told["error"])
        if "fault" in told:
            raise Fault(told["fault"])
        return told, content

    def kill(self, why: str) -> None:
        """End the process at once; whoever waits for it is told why."""
        self._why_dead = self._why_dead or why
        if self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """Let the process end, or make it."""
        assert self._process.stdin is not None
        self._why_dead = self._why_dead or "came when the service was ended; send it again."
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        await self._listening

    def when_dead(self, call: Callable[["Worker"], None]) -> None:
        """Have something called when the process has ended."""
        self._listening.add_done_callback(lambda _: call(self))

    async def _listen(self) -> None:
        """Hand the answers to whoever asked, until the process ends."""
        assert self._process.stdout is not None
        try:
            while True:
                reply = await wire.receive(self._process.stdout)
                if self._asked and not (answer := self._asked.popleft()).done():
                    answer.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except wire.WireError:
            self.kill("led its decoder astray; export it again.")
        code = await self._process.wait()
        self._why_dead = self._why_dead or f"made its decoder end ({cause_of_end(code)}); export it again."
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(WorkerError(self._why_dead))
        self._asked.clear()
