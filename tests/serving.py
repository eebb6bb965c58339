"""The service for tests: within this process, without a socket; or as the program that people start."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from vocalics.service.api import build
from vocalics.service.service import Service
from vocalics.service.settings import Settings

PATIENCE_S = 120.0  # for what comes in a moment on a machine with nothing else to do
PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"


def wait_for(condition, what: str) -> Any:
    """Return what `condition` returns as soon as that is true."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


class InProcess:
    """A service in an event loop of its own thread."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._app = build(self.service, entered=True)

    def __enter__(self):
        self._thread.start()
        try:
            self.run(self.service.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self.run(self.service.__aexit__(None, None, None))
        self._stop()

    def _stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, coroutine):
        """Begin something in the loop; its result can be waited for."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine):
        """Do something in the loop and wait for it."""
        return self.start(coroutine).result(PATIENCE_S)

    def begin(self, method: str, route: str, **rest):
        """Begin a request."""
        return self.start(self._request(method, route, **rest))

    def request(self, method: str, route: str, **rest) -> httpx.Response:
        """Ask, and wait for the answer."""
        return self.begin(method, route, **rest).result(PATIENCE_S)

    def get(self, route: str, **rest) -> httpx.Response:
        return self.request("GET", route, **rest)

    def post(self, route: str, content: Any = None, **rest) -> httpx.Response:
        """Send bytes as one recording, or with `files` or `headers` whatever they say."""
        if content is not None:
            rest = {"headers": {"content-type": "audio/wav"}} | rest
        return self.request("POST", route, content=content, **rest)

    def metric(self, name: str, **labels: str) -> float:
        """Read one of the counters."""
        return self.service.metrics._registry.get_sample_value(f"vocalics_{name}", labels) or 0.0

    @property
    def workers(self) -> list[Any]:
        """The workers that hear recordings."""
        return list(self.service.line._workers)

    @property
    def spooled(self) -> list[Path]:
        """What lies in the folder of uploads."""
        return [path for path in self.service.spool._folder.iterdir() if path.name != "lock"]

    async def _request(self, method: str, route: str, **rest) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=None) as client:
            return await client.request(method, route, **rest)


@dataclass
class Program:
    """``vocalics serve`` in a process of its own."""

    url: str
    process: subprocess.Popen
    log: Path = field(repr=False)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def children(self) -> set[int]:
        """Numbers of the processes that it started."""
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(number) for number in told.split()}

    def end(self, how: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def program(
    folder: Path, *options: object, environment: dict[str, str] | None = None, text: str = PROGRAM
) -> Iterator[Program]:
    """Start the program, with a port of its own unless the options name one; end it if need be.

    Its temporary files lie in the folder, unless the environment says where.
    """
    log = folder / f"log-{time.monotonic_ns()}"
    given = [str(option) for option in options]
    port = [] if "--port" in given else ["--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", text, "serve", *port, *given],
            stderr=file,
            env={"TMPDIR": str(folder)} | dict(os.environ if environment is None else environment),
        )

    def address() -> str | None:
        assert process.poll() is None, log.read_text()
        found = re.search(r"serving at (http://\S+),", log.read_text())
        return found and found[1]

    try:
        yield Program(wait_for(address, "the service"), process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
