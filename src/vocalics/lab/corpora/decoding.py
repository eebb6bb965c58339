"""Decode every file of a corpus once: how long it lasts and the digest of its samples."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from vocalics import audio
from vocalics.errors import AudioError
from vocalics.files import write_atomically
from vocalics.lab.processes import AHEAD, in_order

#: Raised when `audio_digest` or the file's layout changes, so that older files are ignored.
_CACHE_VERSION = 1


@dataclass(frozen=True)
class Decoded:
    """What decoding says of a file.

    Attributes
    ----------
    duration_s
        Seconds.
    digest
        `audio_digest` of its samples.
    error
        Why it cannot be used; empty otherwise.
    """

    duration_s: float = 0.0
    digest: str = ""
    error: str = ""


def audio_digest(waveform: audio.Waveform) -> str:
    """SHA-256 of the mono samples as 16-bit integers, little-endian, at the file's own rate.

    So a 16-bit wav and its flac copy have the same digest; a copy in a lossy coding, at another rate or
    level, has another.

    Examples
    --------
    >>> import numpy as np
    >>> from vocalics.audio import Waveform
    >>> silence = np.zeros((1, 16000), dtype=np.float32)
    >>> audio_digest(Waveform(silence, 16000))[:16]
    '0c92bddb4e96f3ea'
    """
    mono = waveform.samples.mean(axis=0) if len(waveform.samples) > 1 else waveform.samples[0]  # (n_samples,)
    integers = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype("<i2")
    return hashlib.sha256(integers.tobytes()).hexdigest()


def cache_folder() -> Path:
    """Return where what can be made again is kept: ``VOCALICS_CACHE``, or the platform's cache folder."""
    return Path(os.environ.get("VOCALICS_CACHE") or platformdirs.user_cache_path("vocalics"))


def decode_all(
    root: Path,
    paths: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    *,
    cache: bool = True,
) -> list[Decoded]:
    """Decode files in threads; what was decoded before and has not changed since is remembered.

    Parameters
    ----------
    root
        Folder that the paths are relative to.
    paths
        With forward slashes.
    progress
        Called with (done, all) as files are done.
    workers
        Threads; by default one for each core, eight at most.
    cache
        Remember results by path, size and time of change, in a file for each root under `cache_folder`.

    Returns
    -------
    list of Decoded
        One for each path, in their order; what cannot be decoded has an `error`.
    """
    stamps = [_stamp(root / path) for path in paths]
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]
    cache_file = cache_folder() / "scans" / f"{key}.json"
    known = _load(cache_file) if cache else {}
    results = [_known(known.get(path), stamp) for path, stamp in zip(paths, stamps, strict=True)]
    to_do = [index for index, result in enumerate(results) if result is None]
    if progress:
        progress(len(paths) - len(to_do), len(paths))

    threads = workers or min(8, os.cpu_count() or 1)
    executor = ThreadPoolExecutor(threads)
    try:
        waiting = (root / paths[index] for index in to_do)
        decoded = in_order(lambda path: executor.submit(_decode, path), waiting, AHEAD * threads)
        for count, (index, result) in enumerate(zip(to_do, decoded, strict=True), start=1):
            results[index] = result
            if progress:
                progress(len(paths) - len(to_do) + count, len(paths))
    finally:  # what an interrupted scan has done is kept too
        executor.shutdown(cancel_futures=True)
        if cache and to_do:
            _save(cache_file, {**known, **_entries(paths, stamps, results)})
    return [result for result in results if result is not None]


def _decode(path: Path) -> Decoded:
    try:
        waveform = audio.read(path)
    except AudioError as error:
        return Decoded(error=str(error))
    return Decoded(round(waveform.duration_s, 6), audio_digest(waveform))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _known(entry: object, stamp: tuple[int, int]) -> Decoded | None:
    """Read an entry ``[size, mtime_ns, duration_s, digest]`` of the cache, if it is one and still holds."""
    match entry:
        case [size, mtime_ns, float(duration_s), str(digest)] if (size, mtime_ns) == stamp:
            return Decoded(duration_s, digest)
        case _:
            return None


def _entries(
    paths: Sequence[str], stamps: Iterable[tuple[int, int]], results: Iterable[Decoded | None]
) -> dict[str, object]:
    return {
        path: [*stamp, result.duration_s, result.digest]
        for path, stamp, result in zip(paths, stamps, results, strict=True)
        if result is not None and not result.error
    }


def _load(cache_file: Path) -> dict[str, object]:
    try:
        content = json.loads(cache_file.read_bytes())
    except (OSError, ValueError):  # absent, cut short, not ours: decoded again
        return {}
    if not isinstance(content, dict) or content.get("version") != _CACHE_VERSION:
        return {}
    files = content.get("files")
    return files if isinstance(files, dict) else {}


def _save(cache_file: Path, files: dict[str, object]) -> None:
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        write_atomically(cache_file, json.dumps({"version": _CACHE_VERSION, "files": files}))
