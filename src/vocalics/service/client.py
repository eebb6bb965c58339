"""A client in Python: the service's answers as the library's own records.

It needs no model, no FastAPI and, but for streams (``websockets``), nothing beyond the core.

Examples
--------
>>> client = Client("http://127.0.0.1:8000")
>>> client.predict("call.wav").emotion  # doctest: +SKIP
'angry'
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from vocalics.errors import AudioError, UsageError, VocalicsError
from vocalics.recognition.prediction import Prediction, Segment, Timeline
from vocalics.recognition.timeline_formats import json_to_timeline

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

#: Between two tries to reach a service that has gone, seconds.
RETRY_S = 0.2

#: What was kept is sent so many messages ahead of the answers.
AHEAD = 8


class ServiceError(VocalicsError):
    """The service does not do what was asked; the message is its sentence.

    Attributes
    ----------
    status
        Of the answer; None where there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class Client:
    """A service, asked from Python.

    Parameters
    ----------
    url
        Where it is.
    token
        What it asks for, where it does.
    timeout_s
        Longest time for an answer.
    patience_s
        How long what is busy, or gone, is tried again.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = 300.0,
        patience_s: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def predict(self, recording: str | Path | bytes, **options: Any) -> Prediction:
        """Ask which emotion is in a recording.

        Parameters
        ----------
        recording
            A file's path, or its bytes.
        options
            ``model`` and ``abstain_below``, as of the route.

        Raises
        ------
        AudioError
            The recording cannot be used.
        ServiceError
            The service does not answer otherwise.
        """
        answer = json.loads(self._send_form("/v1/predict", [recording], options))
        found = Prediction(**answer["predictions"][0])
        if found.error is not None:
            raise AudioError(found.error)
        return found

    def predict_many(self, recordings: Iterable[str | Path | bytes], **options: Any) -> list[Prediction]:
        """Ask about several recordings in one request; one that cannot be used has `Prediction.error`."""
        answer = json.loads(self._send_form("/v1/predict", recordings, options))
        return [Prediction(**record) for record in answer["predictions"]]

    def timeline(
        self, recording: str | Path | bytes, *, rttm: str | Path | None = None, **options: Any
    ) -> Timeline:
        """Ask who felt what, when, in a recording.

        Parameters
        ----------
        recording
            As of `predict`.
        rttm
            A diarization.
        options
            As of the route, but for ``format``.

        Raises
        ------
        AudioError, ServiceError
            As of `predict`. A recording that breaks off leads to a timeline with an `error`.
        """
        answer = self._send_form("/v1/timeline", [recording], options, rttm)
        found = json_to_timeline(json.dumps(json.loads(answer)["timelines"][0]))
        if found.error is not None and not found.duration_s:
            raise AudioError(found.error)
        return found

    def models(self) -> list[dict[str, Any]]:
        """List the models of the service, the first one being that which answers unless told otherwise."""
        models: list[dict[str, Any]] = json.loads(self._send("/v1/models"))["models"]
        return models

    def stream(self, sample_rate: int, **hello: Any) -> "ClientStream":
        """Open a stream, which outlives breaks of the connection and restarts of the service.

        Parameters
        ----------
        sample_rate
            Of the samples that will be pushed, Hz.
        hello
            ``model``, ``window_s``, ``hop_s``, ``first_s``, ``abstain_below``, as of the first message.
        """
        return ClientStream(self, {"sample_rate": sample_rate, "encoding": "pcm_f32le", **hello})

    def _send_form(
        self,
        route: str,
        recordings: Iterable[str | Path | bytes],
        options: Mapping[str, Any],
        rttm: str | Path | None = None,
    ) -> bytes:
        boundary = secrets.token_hex(16)
        parts = [_part("files", recording, boundary) for recording in recordings]
        if rttm is not None:
            parts.append(_part("rttm", rttm, boundary))
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        query = urlencode({name: value for name, value in options.items() if value is not None})
        return self._send(f"{route}?{query}", body, f"multipart/form-data; boundary={boundary}")

    def _send(self, route: str, body: bytes | None = None, content_type: str | None = None) -> bytes:
        """Ask, and ask again where the service is busy."""
        headers = self.headers | ({} if content_type is None else {"Content-Type": content_type})
        request = urllib.request.Request(f"{self.url}{route}", body, headers)
        give_up_at = time.monotonic() + self.patience_s
        while True:
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                    return bytes(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    sentence = _sentence(error.read())
                busy = error.code in (429, 503)
                retry_s = float(error.headers.get("Retry-After", 1)) if busy else 0.0
                if not busy or time.monotonic() + retry_s > give_up_at:
                    raise ServiceError(sentence, error.code) from None
                time.sleep(retry_s)
            except OSError as error:
                raise ServiceError(f"{self.url} does not answer ({error}); check the address.") from None


class ClientStream:
    """A stream that is heard by a service.

    What was sent is kept until the service acknowledges it. When the connection breaks, or the service ends
    and another one takes its place, the rest is sent again, and no answer is lost or comes twice. Made by
    `Client.stream`; use it in a ``with`` block.

    Attributes
    ----------
    n_connections
        How often it connected.
    """

    def __init__(self, client: Client, hello: Mapping[str, Any]) -> None:
        self.n_connections = 0
        self._client = client
        self._hello = dict(hello)
        self._resume: dict[str, Any] = {}
        self._sequence = 0
        self._kept: deque[tuple[int, bytes | str]] = deque()  # by their numbers, the last of them being new
        self._answers: list[Segment] = []
        self._connection: ClientConnection | None = None
        self._connected = ExitStack()

    def __enter__(self) -> Self:
        """Connect."""
        self._persist(self._connect)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self._disconnect()

    def push(self, samples: npt.ArrayLike) -> list[Segment]:
        """Send more sound, mono floats with full scale 1, at most 5 s; return the answers that it leads to.

        Raises
        ------
        ServiceError
            The service refuses it, or could not be reached for `Client.patience_s`.
        """
        pcm = np.ascontiguousarray(samples, dtype="<f4").tobytes()
        return self._deliver((self._sequence + 1).to_bytes(8, "big") + pcm)

    def lose(self, duration_s: float) -> list[Segment]:
        """Tell that sound was lost; return the answers that were due."""
        return self._deliver(json.dumps({"sequence": self._sequence + 1, "lost_s": duration_s}))

    def finish(self) -> list[Segment]:
        """End the sound; return the answers that were still due."""
        answers = self._deliver(json.dumps({"end": True}))
        self._kept.clear()
        self._disconnect()
        return answers

    def _deliver(self, message: bytes | str) -> list[Segment]:
        """Send a message and wait until it is answered, over however many connections that takes."""
        self._sequence += 1
        self._kept.append((self._sequence, message))
        self._persist(self._send_newest)
        answers, self._answers = self._answers, []
        return answers

    def _persist(self, attempt: Callable[[], None]) -> None:
        """Try, and where the connection breaks, connect again until it holds."""
        from websockets.exceptions import InvalidStatus, WebSocketException

        give_up_at = time.monotonic() + self._client.patience_s
        while True:
            try:
                attempt()
                return
            except InvalidStatus as error:  # the handshake was refused
                sentence, status = _sentence(error.response.body or b""), error.response.status_code
                if status not in (429, 503) or time.monotonic() > give_up_at:
                    raise ServiceError(sentence, status) from None
            except (OSError, WebSocketException, _Again) as error:
                if time.monotonic() > give_up_at:
                    raise ServiceError(f"{self._client.url} does not answer ({error}).") from None
            self._disconnect()
            time.sleep(RETRY_S)
            attempt = self._connect

    def _send_newest(self) -> None:
        if self._connection is None:
            self._connect()
        else:
            self._connection.send(self._kept[-1][1])
            self._take_answer()

    def _connect(self) -> None:
        """Connect, and send all that is kept."""
        from websockets.sync.client import connect

        self._connection = self._connected.enter_context(
            connect(
                f"ws{self._client.url.removeprefix('http')}/v1/stream",
                additional_headers=self._client.headers,
                compression=None,
                open_timeout=self._client.timeout_s,
                ping_interval=None,
            )
        )
        self.n_connections += 1
        first = self._kept[0][0] if self._kept else self._sequence + 1
        messages = [json.dumps(self._hello | self._resume | {"sequence": first})]
        for place, message in enumerate([*messages, *(message for _, message in self._kept)]):
            self._connection.send(message)
            if place >= AHEAD:
                self._take_answer()
        for _ in range(min(AHEAD, 1 + len(self._kept))):
            self._take_answer()

    def _take_answer(self) -> None:
        """Wait for an answer: keep what it says of the sound, forget what it acknowledges."""
        assert self._connection is not None
        told = json.loads(self._connection.recv(self._client.timeout_s))
        if "error" in told:
            raise _Again(told["error"]) if told["retry"] else ServiceError(told["error"])
        self._answers += [Segment(**record) for record in told["answers"]]
        self._resume = told["resume"]
        while self._kept and self._kept[0][0] <= told["acknowledged"]:
            self._kept.popleft()

    def _disconnect(self) -> None:
        self._connection = None
        self._connected.close()


class _Again(Exception):
    """The service says that the same, once more, may go well."""


def _part(field: str, content: str | Path | bytes, boundary: str) -> bytes:
    """Return a file as a part of a form."""
    file_name = ""
    if not isinstance(content, bytes):
        path = Path(content)
        file_name = '; filename="{}"'.format(path.name.replace('"', "%22"))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; check the path.") from None
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{file_name}\r\n\r\n'
    return head.encode(errors="replace") + content + b"\r\n"


def _sentence(body: bytes | bytearray) -> str:
    """Return what an error says."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "the service answers with something that is none of its own; check the address."
