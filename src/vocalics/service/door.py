"""What every request passes on its way in and out: the token, security headers, the counters.

A plain ASGI application around the other one, so that nothing gets by it.
"""

import asyncio
import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from vocalics.service.metrics import Metrics
from vocalics.service.settings import TOKEN_VARIABLE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Nothing here is a page that needs scripts, styles or frames, and no answer may be kept.
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

#: What may be asked without the token: whether the service is well, and what it offers.
OPEN_ROUTES = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})

#: Paths that the counters tell apart.
ROUTES = OPEN_ROUTES | {"/v1/predict", "/v1/timeline", "/v1/models", "/v1/stream", "/metrics"}


#: How long what still comes of a body is read and dropped before an answer, seconds: many clients read none
#: before they have sent all.
DISCARD_S = 2.0


class Door:
    """The outermost layer.

    Parameters
    ----------
    app
        What answers.
    token
        What clients must show, or None.
    metrics
        Where requests are counted.
    """

    def __init__(self, app: Application, token: str | None, metrics: Metrics) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in ROUTES else "other"
        headers = dict(scope["headers"])
        body = _Body(receive, headers)
        began = perf_counter()

        async def send_guarded(message: Message) -> None:
            if message["type"] in _BEGINNINGS:
                message["headers"] = [*message.get("headers", ()), *HEADERS]
                if message["type"] == "http.response.start" and not await body.is_over():
                    message["headers"].append((b"connection", b"close"))
                self._metrics.requests.labels(route, str(message.get("status", 101))).inc()
            await send(message)

        if route in OPEN_ROUTES or self._knows(headers.get(b"authorization", b"")):
            await self._app(scope, body.receive, send_guarded)
        else:
            await _turn_away(scope, send_guarded)
        if scope["type"] == "http":
            self._metrics.request_seconds.labels(route).observe(perf_counter() - began)

    def _knows(self, shown: bytes) -> bool:
        """Tell whether the token was shown, in a time that tells nothing about it."""
        if self._token is None:
            return True
        kind, _, token = shown.partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and kind.lower() == b"bearer"


#: With these an answer begins.
_BEGINNINGS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class _Body:
    """The body of a request, which must be over before the connection can be used for another one."""

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        self._receive = receive
        self._over = not (b"content-length" in headers or b"transfer-encoding" in headers)
        # A client that asks before it sends its body need not send it.
        self._asks = headers.get(b"expect", b"").lower() == b"100-continue"

    async def receive(self) -> Message:
        """Wait for the next piece, as of ASGI."""
        self._asks = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._over = True
        return message

    async def is_over(self) -> bool:
        """Drop what is left, for a short time; tell whether that was all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                while not self._over and not self._asks:
                    await self.receive()
        return self._over


def error_body(sentence: str) -> bytes:
    """Return the JSON of an error."""
    return json.dumps({"error": sentence}).encode()


async def _turn_away(scope: Scope, send: Send) -> None:
    """Answer a request, or the handshake of a WebSocket, without the token."""
    body = error_body(
        "this service asks for a token; send the header 'Authorization: Bearer TOKEN' with the value "
        f"that its operator has in {TOKEN_VARIABLE}."
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 401, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
