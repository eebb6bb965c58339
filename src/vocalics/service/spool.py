"""The folder in which uploads lie until their requests end.

Nothing of a recording stays: each file is removed when its request ends, and what a service that was killed
left behind is removed when the next one starts.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from vocalics.service.refusals import too_busy

#: Bytes of an upload that are held in memory before they are written.
HELD_BYTES = 1 << 18

_PREFIX = "vocalics-serve-"
_LOCK = "lock"


class Spool:
    """The folder of uploads, of one service alone."""

    def __init__(self, max_bytes: int) -> None:
        self.used_bytes = 0
        self._max_bytes = max_bytes
        self._number = 0
        self._folder = Path()
        self._lock: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Make the folder, and remove those of services that were killed."""
        _remove_abandoned(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = _locked(self._folder / _LOCK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder."""
        if self._lock is not None:
            self._lock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_path(self) -> Path:
        """Return a path in the folder that was never used."""
        self._number += 1
        return self._folder / str(self._number)

    def claim(self, n_bytes: int) -> None:
        """Count bytes that will be written, or refuse them."""
        if self.used_bytes + n_bytes > self._max_bytes:
            raise too_busy("the service holds as many uploads as it may")
        self.used_bytes += n_bytes


class Upload:
    """One file of a request.

    Attributes
    ----------
    path
        Where it lies.
    name
        What the client calls it; None where it does not.
    n_bytes
        How much came so far.
    """

    def __init__(self, spool: Spool, name: str | None) -> None:
        self.path = spool.new_path()
        self.name = name
        self.n_bytes = 0
        self._spool = spool
        self._held = bytearray()
        self._file: BinaryIO | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Take more of it."""
        self._spool.claim(len(data))
        self.n_bytes += len(data)
        self._held += data

    async def relieve(self) -> None:
        """Write what is held in memory where it is much."""
        if len(self._held) >= HELD_BYTES:
            held, self._held = self._held, bytearray()
            await asyncio.to_thread(self._write, held)

    def finish(self) -> None:
        """Write the rest: there is no more."""
        self._write(self._held)
        self._held = bytearray()
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._spool.used_bytes -= self.n_bytes
        self.n_bytes = 0

    def _write(self, data: bytearray) -> None:
        if self._file is None:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb", buffering=0)
        view = memoryview(data)
        while len(view):
            view = view[self._file.write(view) :]


def _locked(path: Path) -> BinaryIO | None:
    """Open and lock a file, whose lock ends with the process; None where another process holds it."""
    file = path.open("wb")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows, which lets nobody remove an open file
        pass
    except OSError:
        file.close()
        return None
    return file


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of services that are no more."""
    for path in _own_folders(folder):
        if (path / _LOCK).exists() and (lock := _locked(path / _LOCK)) is not None:
            lock.close()
            shutil.rmtree(path, ignore_errors=True)


def _own_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of services that ran as the same user."""
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if own and path.is_dir() and not path.is_symlink():
                yield path
