"""Recordings at URLs, through fsspec: which there are, and their bytes.

Any protocol that fsspec knows and whose package is installed: ``s3://``, ``gs://``, ``http(s)://``,
``memory://`` and so on. Keys and addresses are those of the environment, as fsspec and the packages read it.
"""

import io
import os
import posixpath
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from vocalics import audio
from vocalics.errors import AudioError, MissingExtraError, UsageError

#: A recording up to this size is asked for at once and kept in memory; a larger one goes to a temporary file.
IN_MEMORY_BYTES = 32 << 20

#: Seconds waited after a request that failed, before it is made again; then the recording is given up.
PAUSES_S = (0.5, 3.0)

_URL = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://", re.ASCII)


def is_url(name: str) -> bool:
    r"""Tell a URL from a path.

    Examples
    --------
    >>> [is_url(name) for name in ("s3://calls/a.wav", "memory://a.wav", "calls/a.wav", "C:\\calls\\a.wav")]
    [True, True, False, False]
    """
    return _URL.match(name) is not None


def is_folder(url: str) -> bool:
    """Tell whether a URL means several recordings: a folder or a pattern."""
    files, path = _file_system(url)
    if _is_web(url):
        return url.endswith("/")  # each address may also be read as a page of links
    return _has_magic(path) or bool(_asked(url, files.isdir, path))


def walk(url: str) -> Iterator[str]:
    """Yield the audio files that a URL means: of a folder, of a pattern, or the file itself.

    Raises
    ------
    UsageError
        The folder cannot be listed.
    """
    if not is_folder(url):
        yield url
        return
    files, path = _file_system(url)
    matches, top = None, path
    if _has_magic(path) and not _is_web(url):
        from fsspec.utils import glob_translate

        matches = re.compile(glob_translate(path))
        fixed = path[: re.search(r"[*?\[]", path).start()]  # type: ignore[union-attr]  # it has one
        top = posixpath.dirname(fixed)
    elif _has_magic(path):
        raise UsageError(f"'{url}' is a pattern, and web servers cannot be asked for one; name a folder.")
    listing = files.walk(top)
    while (step := _asked(url, next, listing, None)) is not None:
        parent, folders, names = step
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        files.invalidate_cache()  # it would keep every name
        for name in names:
            place = f"{parent.rstrip('/')}/{name}" if parent else name
            if matches is not None and not matches.match(place):
                continue
            if posixpath.splitext(name)[1].lower() in audio.SUFFIXES and not name.startswith("."):
                yield str(files.unstrip_protocol(place))


def open_file(url: str) -> BinaryIO:
    """Open a file to be read from its beginning to its end; `UsageError` where it cannot be."""
    files, path = _file_system(url)
    return cast(BinaryIO, _asked(url, files.open, path, "rb"))


def fetch(url: str) -> BinaryIO:
    """Return the bytes of a recording as a file that has the URL for a name.

    Raises
    ------
    AudioError
        They cannot be had.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return _fetched(url)
        except FileNotFoundError:
            raise AudioError(f"there is no file {url}; check the address.") from None
        except PermissionError as error:
            raise AudioError(f"{url} may not be read ({_told(error)}); check the keys.") from None
        except UsageError as error:
            raise AudioError(str(error)) from None
        except Exception as error:  # each protocol's package has errors of its own
            if pause_s is None:
                raise AudioError(f"{url} cannot be fetched ({_told(error)}); try again later.") from error
            time.sleep(pause_s)
    raise AssertionError("unreachable")


class _Bytes(io.BytesIO):
    """Bytes that have a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def _fetched(url: str) -> BinaryIO:
    files, path = _file_system(url)
    try:
        content = files.cat_file(path, start=0, end=IN_MEMORY_BYTES)
    except FileNotFoundError:
        raise
    except Exception:  # an empty file has no such range; the next request tells
        content = None
    if content is not None and len(content) != IN_MEMORY_BYTES:
        return _Bytes(content, url)
    with tempfile.TemporaryFile() as kept, files.open(path, "rb") as file:
        shutil.copyfileobj(file, kept, 1 << 20)
        kept.seek(0)
        raw = io.FileIO(os.dup(kept.fileno()))
    raw.name = url
    return io.BufferedReader(raw)


def _file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError(
            f"'{url}' is a URL, and these need fsspec, which is not installed: pip install 'vocalics[batch]'"
        ) from None
    protocol = url.partition(":")[0]
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        package = re.search(r"(?i)install \W?([\w-]+)", str(error))
        name = package[1] if package else error.name
        raise MissingExtraError(
            f"'{url}' needs {name}, which is not installed: pip install {name}"
            if name
            else f"'{url}' needs a package that is not installed: {_told(error)}."
        ) from None
    except ValueError as error:
        if "not known" not in str(error):
            raise UsageError(f"'{url}' is not understood: {_told(error)}.") from None
        raise UsageError(
            f"'{protocol}://' is no protocol that fsspec knows; give a path, or a URL such as s3://, gs:// "
            "or https://."
        ) from None
    except Exception as error:  # a protocol's package that cannot begin
        raise UsageError(f"'{url}' cannot be reached: {_told(error)}.") from None
    return files, path


def _asked(url: str, call: Any, *arguments: Any) -> Any:
    """Ask a file system; what it throws becomes one sentence."""
    try:
        return call(*arguments)
    except FileNotFoundError:
        raise UsageError(f"there is nothing at '{url}'; check the address.") from None
    except Exception as error:  # each protocol's package has errors of its own
        raise UsageError(f"'{url}' cannot be read: {_told(error)}.") from None


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _has_magic(path: str) -> bool:
    return re.search(r"[*?\[]", path) is not None


def _told(error: Exception) -> str:
    """Return what an error says in one line, without a full stop."""
    return " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
