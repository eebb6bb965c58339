"""Messages between the service and its workers: a JSON header and a body of bytes.

JSON, since a worker decodes what strangers send: should it ever be taken over, the service must not
unpickle what it says.
"""

import json
import struct
from asyncio import StreamReader
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">II")

#: Longest header and body; a worker that announces more is out of its mind.
MOST_BYTES = 1 << 28

Header = dict[str, Any]


class WireError(Exception):
    """What came is no message."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """Return a message as bytes.

    Examples
    --------
    >>> pack({"do": "hear"}, b"..")[8:]
    b'{"do": "hear"}..'
    """
    head = json.dumps(header).encode()
    return _LENGTHS.pack(len(head), len(body)) + head + body


def read(file: BinaryIO) -> tuple[Header, bytes] | None:
    """Wait for a message; None at the end."""
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    n_head, n_body = _LENGTHS.unpack(lengths)
    head, body = file.read(n_head), file.read(n_body)
    if len(head) < n_head or len(body) < n_body:
        return None
    return json.loads(head), body


async def receive(reader: StreamReader) -> tuple[Header, bytes]:
    """Wait for a message.

    Raises
    ------
    asyncio.IncompleteReadError
        The other side has gone.
    WireError
        What came is no message.
    """
    n_head, n_body = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    if max(n_head, n_body) > MOST_BYTES:
        raise WireError(f"a message of {n_head} and {n_body} bytes was announced")
    head, body = await reader.readexactly(n_head), await reader.readexactly(n_body)
    try:
        header = json.loads(head)
    except ValueError:
        raise WireError("a header is no JSON") from None
    if not isinstance(header, dict):
        raise WireError("a header is no object")
    return header, body
