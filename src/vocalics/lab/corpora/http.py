"""Fetch one file over HTTP: resumed where it was cut, checked, then put in place whole."""

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from vocalics.errors import DownloadError
from vocalics.lab.corpora.info import RemoteFile

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18
_LONGEST_PAUSE_S = 120.0
_MARGIN_BYTES = 16 << 20  # left free on the disk
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP: too busy, or broken for the moment
_PARTIAL, _NOTHING_AFTER = 206, 416  # HTTP: here is what you lack; there is nothing after what you have

Progress = Callable[[int, int | None], None]


def fetch(
    file: RemoteFile,
    target: Path,
    *,
    progress: Progress | None = None,
    attempts: int = 4,
    pause_s: float = 1.0,
) -> str:
    """Fetch a file to `target`, and return the digest that was found.

    What has arrived stands in ``target.part``; a call after a cut goes on from there. `target` appears only
    when it is complete and its digest, where one is known, is right.

    Parameters
    ----------
    file
        What to fetch.
    target
        Where to put it.
    progress
        Called with (bytes there, bytes in all or None).
    attempts
        How many in a row may bring nothing before it gives up.
    pause_s
        Before the second attempt; doubled for each further one. A server that says how long to wait is
        obeyed.

    Returns
    -------
    str
        ``md5:...`` or ``sha256:...``, of the kind of `file.digest`; SHA-256 where none is known.

    Raises
    ------
    DownloadError
        No network, no such file, no room on the disk, or another digest: then nothing is kept.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(file, part)
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _go_on(file, part, progress)
            break
        except (OSError, HTTPException) as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            _wait_or_give_up(error, file.url, fruitless, attempts, pause_s)
    found = _checked_digest(file, part)
    part.replace(target)
    _version_file(part).unlink(missing_ok=True)
    return found


def fetch_text(url: str, *, attempts: int = 4, pause_s: float = 1.0) -> str:
    """Return what an address answers, as text; raises as `fetch` does."""
    fruitless = 0
    while True:
        try:
            with _open(url, {}) as response:
                return response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            fruitless += 1
            _wait_or_give_up(error, url, fruitless, attempts, pause_s)


def digest_of(path: Path, kind: str = "sha256") -> str:
    """Return ``kind:hexadecimal`` of a file."""
    with path.open("rb") as content:
        return f"{kind}:{hashlib.file_digest(content, kind).hexdigest()}"


def _go_on(file: RemoteFile, part: Path, progress: Progress | None) -> None:
    """Fetch what `part` lacks; `OSError` or `HTTPException` when the connection ends too early."""
    version = _read_version(part)
    start = _size(part) if version or file.digest else 0  # else nobody could tell whether the halves fit
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and version:
        headers["If-Range"] = version  # a file that has changed is sent whole
    try:
        response = _open(file.url, headers)
    except HTTPError as error:
        if error.code != _NOTHING_AFTER:
            raise
        error.close()
        if start == file.size_bytes:
            return
        part.unlink()
        raise ConnectionError("what had arrived is longer than the file; it starts anew") from None
    with response:
        if response.status != _PARTIAL:
            start = 0
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            part.unlink()
            raise ConnectionError("the server sent another part of the file than was asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else file.size_bytes
        _write_version(part, response.headers)
        with part.open("ab" if start else "wb") as sink:
            while chunk := response.read(_CHUNK_BYTES):
                sink.write(chunk)
                if progress:
                    progress(sink.tell(), total)
    if total is not None and _size(part) < total:
        raise ConnectionError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _open(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"'{url}' is no address of the web; it must begin with http:// or https://.")
    request = Request(url, headers={"User-Agent": "vocalics", **headers})
    response: HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)
    return response


def _wait_or_give_up(error: Exception, url: str, fruitless: int, attempts: int, pause_s: float) -> None:
    """Sleep before the next attempt, or raise `DownloadError` when there is no sense in one."""
    pause = min(pause_s * 2 ** max(fruitless - 1, 0), _LONGEST_PAUSE_S)
    last = fruitless >= attempts
    if isinstance(error, HTTPError):
        error.close()
        asked = error.headers.get("Retry-After") or ""
        pause = min(float(asked), _LONGEST_PAUSE_S) if asked.isdigit() else pause
        if error.code not in _TRY_AGAIN:
            raise DownloadError(
                f"{url} answered {error.code} ({error.reason}). The file has moved or is not public; look at "
                "the corpus's home page, or name another address with --mirror."
            ) from None
        if last:
            raise DownloadError(f"{url} answered {error.code} ({error.reason}). Try again later.") from None
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DownloadError(f"the disk is full. Make room and call again; {url} then goes on.") from None
    elif last:
        reason = error.reason if isinstance(error, URLError) else error
        raise DownloadError(
            f"{url} cannot be fetched ({reason}). Check the network and call again; what has arrived is kept."
        ) from None
    time.sleep(pause)


def _checked_digest(file: RemoteFile, part: Path) -> str:
    """Return the digest of what arrived; delete it and raise when it is not what was promised."""
    kind = file.digest.partition(":")[0] or "sha256"
    found = digest_of(part, kind)
    wrong = ""
    if file.size_bytes not in (None, _size(part)):
        wrong = f"has {_size(part):,} bytes instead of {file.size_bytes:,}"
    elif file.digest and found != file.digest:
        wrong = f"has the digest {found} instead of {file.digest}"
    if wrong:
        part.unlink()
        _version_file(part).unlink(missing_ok=True)
        raise DownloadError(
            f"{file.url} {wrong}; nothing was kept. Call again; if it stays so, the file there has changed."
        )
    return found


def _check_room(file: RemoteFile, part: Path) -> None:
    free = shutil.disk_usage(part.parent).free
    needed = (file.size_bytes or 0) - _size(part) + _MARGIN_BYTES
    if file.size_bytes and free < needed:
        raise DownloadError(
            f"{file.url} needs {needed / 1e6:,.0f} MB and the disk of '{part.parent}' has {free / 1e6:,.0f} "
            "MB left. Make room, or name another folder with --data."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _version_file(part: Path) -> Path:
    """Return where the server's mark of the version lies whose first bytes have arrived."""
    return part.with_name(f"{part.name}.version")


def _read_version(part: Path) -> str:
    mark = _version_file(part)
    return mark.read_text() if mark.exists() else ""


def _write_version(part: Path, headers: Message) -> None:
    tag = headers.get("ETag") or ""
    version = (
        tag if tag and not tag.startswith("W/") else headers.get("Last-Modified") or ""
    )  # W/: a weak tag
    if version:
        _version_file(part).write_text(version)
    else:
        _version_file(part).unlink(missing_ok=True)
