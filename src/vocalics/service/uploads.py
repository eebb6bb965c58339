"""The body of a request: from the network to files, within limits of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vocalics.service.refusals import Refused, too_busy
from vocalics.service.settings import MOST_PARTS, SLOWEST_UPLOAD_BYTES_PER_S, Settings
from vocalics.service.spool import Spool, Upload

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

#: Of a client's name for a file so many characters are kept.
LONGEST_NAME = 255


@dataclass
class Form:
    """What came with a request.

    Attributes
    ----------
    recordings
        In the order in which they came.
    others
        Other files, by the name of their field.
    many
        Whether they came as multipart, and the answer is a list.
    """

    recordings: list[Upload] = field(default_factory=list)
    others: dict[str, Upload] = field(default_factory=dict)
    many: bool = False

    def remove(self) -> None:
        """Remove all files."""
        for upload in (*self.recordings, *self.others.values()):
            upload.remove()


async def receive_form(
    headers: Mapping[str, str],
    receive: Receive,
    spool: Spool,
    settings: Settings,
    others: tuple[str, ...] = (),
) -> Form:
    """Read the body of a request into files.

    Parameters
    ----------
    headers
        Of the request, lower case.
    receive
        As of ASGI.
    spool, settings
        Where to, and the limits.
    others
        Fields that are allowed besides ``files``, one file each.

    Raises
    ------
    Refused
        It is of another type, too large, too slow, empty or not as it should be.
    """
    form = Form()
    body = _Body(headers, receive, settings)
    try:
        kind, parameters = parse_options_header(headers.get("content-type", ""))
        if kind == b"multipart/form-data":
            form.many = True
            await _read_multipart(body, parameters, form, spool, others)
        elif kind.startswith((b"audio/", b"video/")) or kind == b"application/octet-stream":
            await _read_raw(body, form, spool)
        else:
            raise Refused(
                415,
                f"the content type is '{kind.decode('latin-1')}'; send audio/*, video/* or "
                "application/octet-stream for one recording, or multipart/form-data with the field 'files'.",
            )
        return form
    except BaseException as error:
        form.remove()
        if isinstance(error, OSError):
            raise too_busy(f"the upload cannot be stored ({error.strerror})") from None
        raise


class _Body:
    """The body of a request, as it comes, within limits of size and time."""

    def __init__(self, headers: Mapping[str, str], receive: Receive, settings: Settings) -> None:
        self.ended = False
        self._receive = receive
        self._settings = settings
        self._n_bytes = 0
        self._began = asyncio.get_running_loop().time()
        announced = headers.get("content-length", "")
        self._announced = int(announced[:20]) if announced.isdecimal() else 0

    async def next(self) -> bytes:
        """Wait for the next piece; empty at the end."""
        if self._announced > self._settings.max_body_bytes:
            raise self._too_large()
        while not self.ended:
            patience_s = self._settings.idle_s + self._n_bytes / SLOWEST_UPLOAD_BYTES_PER_S
            try:
                async with asyncio.timeout_at(self._began + patience_s):
                    message = await self._receive()
            except TimeoutError:
                raise Refused(
                    408,
                    f"{self._n_bytes} bytes came in {patience_s:.0f} s; at least "
                    f"{SLOWEST_UPLOAD_BYTES_PER_S} bytes a second are needed.",
                ) from None
            if message["type"] == "http.disconnect":
                self.ended = True
                raise Refused(400, "the client went away before its request was complete.")
            self.ended = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            self._n_bytes += len(piece)
            if self._n_bytes > self._settings.max_body_bytes:
                raise self._too_large()
            if piece:
                return piece
        return b""

    def _too_large(self) -> Refused:
        return Refused(
            413,
            f"the request is larger than {self._settings.max_mb:g} MB, which is the most that is taken; send "
            "fewer recordings at once, a shorter span, or flac instead of wav.",
        )


async def _read_raw(body: _Body, form: Form, spool: Spool) -> None:
    upload = Upload(spool, None)
    form.recordings.append(upload)
    while piece := await body.next():
        upload.write(piece)
        await upload.relieve()
    if not upload.n_bytes:
        raise Refused(422, "the request has no body; send the bytes of a recording.")
    upload.finish()


async def _read_multipart(
    body: _Body, parameters: Mapping[bytes, bytes], form: Form, spool: Spool, others: tuple[str, ...]
) -> None:
    parts = _Parts(form, spool, others)
    try:
        parser = MultipartParser(parameters.get(b"boundary", b""), parts.callbacks)  # type: ignore[arg-type]
        while piece := await body.next():
            parser.write(piece)
            if parts.current is not None:
                await parts.current.relieve()
        parser.finalize()
    except FormParserError:
        raise Refused(
            400, "the body is not multipart/form-data as its content type says; check boundary and end."
        ) from None
    if not parts.complete:
        raise Refused(400, "the multipart body breaks off before its end.")
    if not form.recordings:
        raise Refused(422, "the form has no field 'files'; send at least one recording in it.")


class _Parts:
    """The parts of a multipart body, as the parser comes upon them."""

    def __init__(self, form: Form, spool: Spool, others: tuple[str, ...]) -> None:
        self.current: Upload | None = None
        self.complete = False
        self._form = form
        self._spool = spool
        self._others = others
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._n_parts = 0

    @property
    def callbacks(self) -> dict[str, Callable[..., None]]:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._n_parts += 1
        if self._n_parts > MOST_PARTS:
            raise Refused(413, f"the form has more than {MOST_PARTS} parts; send fewer recordings at once.")

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        name = parameters.get(b"name", b"").decode(errors="replace")
        told = parameters.get(b"filename")
        upload = Upload(self._spool, told.decode(errors="replace")[:LONGEST_NAME] if told else None)
        if name == "files":
            self._form.recordings.append(upload)
        elif name in self._others and name not in self._form.others:
            self._form.others[name] = upload
        elif name in self._others:
            raise Refused(422, f"the field '{name}' comes twice; send it once.")
        else:
            known = ", ".join(f"'{one}'" for one in ("files", *self._others))
            raise Refused(422, f"the form has a field '{name}'; the fields here are {known}.")
        self.current = upload

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self.current is not None:
            self.current.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self.current is not None:
            self.current.finish()
        self.current = None

    def _complete(self) -> None:
        self.complete = True
