"""A WebSocket: sound comes in as it is spoken, answers go out.

The first message from the client is a JSON object, the hello. Then each message is eight bytes, its number,
big endian, and PCM, one channel; or a JSON object that tells that sound was lost, or that this was the end.
The numbers rise by one. Each is answered with one JSON object.
"""

import asyncio
import json
import logging
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import Response, WebSocket, WebSocketDisconnect

from vocalics.errors import VocalicsError
from vocalics.service.door import error_body
from vocalics.service.processes import Fault, WorkerError
from vocalics.service.refusals import Refused
from vocalics.service.service import Service
from vocalics.service.shapes import End, Hello, Lost, checked
from vocalics.service.streams import OpenStream

log = logging.getLogger("vocalics.service")

#: What comes before the samples of a message.
NUMBER = struct.Struct(">Q")

#: Longest sound in one message, and what of it a worker hears at once before others have their turn; seconds.
LONGEST_MESSAGE_S, PIECE_S = 5.0, 0.5

#: Largest message on a socket, bytes; five seconds at 48 kHz in float32 fit in.
LARGEST_MESSAGE_BYTES = 1 << 20

#: Longest text message, characters.
LONGEST_TEXT = 4096

#: A stream is heard so many times faster than it is spoken at most, but for the first seconds of delay.
FASTEST, AHEAD_S = 16.0, 10.0

_SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4}

# Codes with which a WebSocket is closed (RFC 6455 and IANA's registry).
_NORMAL, _NOT_ALLOWED, _FAILED, _COME_AGAIN = 1000, 1008, 1011, 1012


class _Ended(Exception):
    """The stream ends here: with a code, and a sentence where something is wrong."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


async def serve_stream(websocket: WebSocket, service: Service) -> None:
    """Serve one socket from its handshake to its end."""
    try:
        with service.streams.socket():
            _refuse_other_pages(websocket.headers)
            await websocket.accept()
            with suppress(WebSocketDisconnect):
                await _Session(websocket, service).run()
    except Refused as refusal:
        body = error_body(refusal.sentence)
        headers = {"content-type": "application/json", **refusal.headers}
        await websocket.send_denial_response(Response(body, refusal.status, headers))


class _Session:
    """One socket that was accepted."""

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._websocket = websocket
        self._service = service
        self._idle_s = service.settings.idle_s
        self._sequence = 0  # the last message that was heard
        self._heard_s = 0.0
        self._began = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Talk to the client until one of the two has enough."""
        try:
            hello = await self._greet()
            card = self._service.card(hello.model)
            self._sequence = hello.sequence - 1
            async with self._service.streams.opened(card["name"], hello.model_dump()) as (stream, told):
                await self._tell(told)
                while not await self._answer_next(stream, hello):
                    pass
            await self._websocket.close(_NORMAL)
        except _Ended as ended:
            await self._end(ended.code, ended.sentence)
        except (Refused, VocalicsError) as error:
            await self._end(_NOT_ALLOWED, str(error))
        except WorkerError:
            await self._end(_COME_AGAIN, "the stream broke off; connect again, with the last 'resume'.")
        except Fault as fault:
            log.error("a worker met a fault:\n%s", fault)
            await self._end(_FAILED, "the service failed at this stream; its log says more.")

    async def _greet(self) -> Hello:
        """Wait for the first message."""
        message = await self._next()
        if isinstance(message, bytes):
            raise _Ended(_NOT_ALLOWED, "the first message is binary; first send the hello, a JSON object.")
        return checked(Hello, _json_object(message))

    async def _answer_next(self, stream: OpenStream, hello: Hello) -> bool:
        """Wait for a message and answer it; tell whether it was the last."""
        message = await self._next()
        if isinstance(message, bytes):
            await self._hear(stream, hello, message)
            return False
        record = _json_object(message)
        if "end" not in record:
            lost = checked(Lost, record)
            self._follow(lost.sequence)
            await self._tell(await stream.ask("lose", sequence=lost.sequence, lost_s=lost.lost_s))
            return False
        checked(End, record)
        await self._tell(await stream.ask("finish") | {"end": True})
        return True

    async def _hear(self, stream: OpenStream, hello: Hello, message: bytes) -> None:
        """Have the sound of one message heard, piece by piece, and answer."""
        if len(message) < NUMBER.size:
            raise _Ended(
                _NOT_ALLOWED,
                f"a message has {len(message)} bytes; it begins with its number, {NUMBER.size} bytes big "
                "endian.",
            )
        (sequence,) = NUMBER.unpack_from(message)
        pcm = message[NUMBER.size :]
        n_bytes = _SAMPLE_BYTES[hello.encoding]
        duration_s = len(pcm) / n_bytes / hello.sample_rate
        if len(pcm) % n_bytes or duration_s > LONGEST_MESSAGE_S:
            raise _Ended(
                _NOT_ALLOWED,
                f"message {sequence} has {len(pcm)} bytes of samples; send whole samples of {n_bytes} bytes, "
                f"and at most {LONGEST_MESSAGE_S:g} s of them.",
            )
        self._follow(sequence)
        n_piece = round(PIECE_S * hello.sample_rate) * n_bytes
        answers: list[Any] = []
        told: Mapping[str, Any] = {}
        for start in range(0, max(1, len(pcm)), n_piece):
            last = start + n_piece >= len(pcm)
            piece = pcm[start : start + n_piece]
            told = await stream.ask("hear", piece, sequence=sequence, last=last)
            answers += told["answers"]
        self._service.metrics.audio_seconds.labels("/v1/stream").inc(duration_s)
        await self._tell({**told, "answers": answers})
        await self._hold_back(duration_s)

    def _follow(self, sequence: int) -> None:
        """Take the number of the next message, which must follow on the last."""
        if sequence != self._sequence + 1:
            raise _Ended(
                _NOT_ALLOWED,
                f"message {sequence} came after {self._sequence}; the next one is {self._sequence + 1}. What "
                'is lost is told by {"sequence": N, "lost_s": S}.',
            )
        self._sequence = sequence

    async def _hold_back(self, duration_s: float) -> None:
        """Wait where sound comes much faster than it can be spoken; the network then holds back the rest."""
        self._heard_s += duration_s
        elapsed_s = asyncio.get_running_loop().time() - self._began
        ahead_s = self._heard_s - AHEAD_S - FASTEST * elapsed_s
        if ahead_s > 0:
            await asyncio.sleep(ahead_s / FASTEST)

    async def _next(self) -> str | bytes:
        """Wait for a message, not longer than a client may be silent."""
        try:
            async with asyncio.timeout(self._idle_s):
                message = await self._websocket.receive()
        except TimeoutError:
            raise _Ended(
                _NOT_ALLOWED,
                f"no message came for {self._idle_s:g} s; send silence, or connect when there is sound.",
            ) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data: str | bytes | None = message.get("bytes")
        return message["text"] if data is None else data

    async def _tell(self, told: Mapping[str, Any]) -> None:
        await self._send({"sequence": self._sequence, **told})

    async def _end(self, code: int, sentence: str) -> None:
        """Say what is wrong, and close."""
        await self._send({"sequence": self._sequence, "error": sentence, "retry": code == _COME_AGAIN})
        await self._websocket.close(code)

    async def _send(self, record: Mapping[str, Any]) -> None:
        """Send a message; a client that does not read is left."""
        try:
            async with asyncio.timeout(self._idle_s):
                await self._websocket.send_text(json.dumps(record))
        except TimeoutError:
            raise WebSocketDisconnect(1006) from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text) if len(text) <= LONGEST_TEXT else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise _Ended(
            _NOT_ALLOWED,
            f"a message is '{text[:50]}'; text messages are JSON objects of {LONGEST_TEXT} characters at "
            "most.",
        )
    return record


def _refuse_other_pages(headers: Mapping[str, str]) -> None:
    """Refuse sockets that a page from elsewhere opens: browsers ask nobody before they let it."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        raise Refused(
            403, f"a page at {origin[:100]} may not open a stream here; ask from a program of your own."
        )
