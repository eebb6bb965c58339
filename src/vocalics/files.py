"""Files written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write `data` so that a reader, or a power cut, sees the old file or the new one, never a half."""
    with written_whole(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def written_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that is at `path` once the block has ended well, and nowhere if it did not.

    The bytes go to a temporary file beside `path`, which is then renamed over it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
