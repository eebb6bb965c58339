"""The program: a listening socket, an event loop, and the limits that uvicorn leaves to others."""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from vocalics.errors import UsageError
from vocalics.service.api import build
from vocalics.service.door import HEADERS, error_body
from vocalics.service.service import Service
from vocalics.service.settings import Settings
from vocalics.service.sockets import LARGEST_MESSAGE_BYTES

#: Longest head of a request, bytes.
LONGEST_HEAD_BYTES = 32_768

#: A connection on which nothing is asked is closed after this, seconds.
KEEP_ALIVE_S = 10


def run(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; then finish what was taken, and return.

    Parameters
    ----------
    settings
        Models and limits.
    host, port
        Where to listen; port 0 for any free one.
    announce
        Told the URL as soon as requests are answered.

    Raises
    ------
    VocalicsError
        A model cannot be used, or the address.
    """
    _allow_files(2 * settings.max_connections)
    service = Service(settings)
    config = uvicorn.Config(
        build(service, entered=True),
        http=partial(_Http, settings),  # type: ignore[arg-type]  # it is only called
        ws=partial(_WebSocket, settings),  # type: ignore[arg-type]
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_ping_interval=None,  # a client sends anyhow; and one that is held back could not answer
        ws_per_message_deflate=False,  # what is small on the wire must not be large here
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.max_wait_s + settings.max_work_s),
    )
    with (
        contextlib.closing(_listener(host, port)) as listener,
        asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
    ):
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        runner.run(_serve(service, _Server(config, partial(announce, url)), listener))


async def _serve(service: Service, server: "_Server", listener: socket.socket) -> None:
    async with service:
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which ends as this program does."""

    def __init__(self, config: uvicorn.Config, when_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_started = when_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        self._when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Note the wish to end; uvicorn would raise the signal once more when all is done."""
        wishes = (signal.SIGINT, signal.SIGTERM)
        before = {wish: signal.signal(wish, self.handle_exit) for wish in wishes}
        try:
            yield
        finally:
            for wish, handler in before.items():
                signal.signal(wish, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; at the second wish at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


class _Patience:
    """A timer that gives something up unless it is stopped."""

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Http(HttpToolsProtocol):
    """uvicorn's HTTP, with an end to its patience: with silence, endless heads, clients that do not read."""

    def __init__(self, settings: Settings, **rest: Any) -> None:
        super().__init__(**rest)
        self._settings = settings
        self._n_head_bytes = 0
        self._in_head = True
        self._unanswered: list[RequestResponseCycle | None] = []
        self._head = _Patience(settings.idle_s, self._close)
        self._reader = _Patience(settings.idle_s, self._abort)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self._refuse(b"503 Service Unavailable", "too many connections are open; come back in 2 s.")
        else:
            self._head.start()

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._n_head_bytes > LONGEST_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", "the head of the request is too long.")
            return
        super().data_received(data)
        if self._in_head:
            self._n_head_bytes += len(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._n_head_bytes = 0
        self._head.start()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head.stop()
        super().on_headers_complete()
        self._unanswered = [one for one in self._unanswered if one and not one.response_complete]
        self._unanswered.append(self.cycle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reader.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        super().connection_lost(exc)
        self._reader.stop()
        for cycle in self._unanswered:  # of several requests that came at once uvicorn tells only the last
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", "this is no HTTP request.")

    def _refuse(self, status: bytes, sentence: str) -> None:
        """Answer without the application, and close."""
        body = error_body(sentence)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", b"2"),
            (b"connection", b"close"),
            *HEADERS,
        ]
        lines = [b"HTTP/1.1 " + status, *(b": ".join(header) for header in headers), b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def _close(self) -> None:
        self.transport.close()

    def _abort(self) -> None:
        self.transport.abort()


class _WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which leaves clients that do not read."""

    def __init__(self, settings: Settings, **rest: Any) -> None:
        super().__init__(**rest)
        self._reader = _Patience(settings.idle_s, self._abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reader.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reader.stop()

    def _abort(self) -> None:
        self.transport.abort()


def _listener(host: str, port: int) -> socket.socket:
    """Open the socket that clients connect to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --host or --port."
        ) from None


def _allow_files(n_files: int) -> None:
    """Raise the number of files that may be open, where the system lets us: each connection is one."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
