"""Fetch a corpus from its public home into the data folder."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from vocalics.errors import DownloadError
from vocalics.lab.corpora.files import find_audio
from vocalics.lab.corpora.http import Progress, digest_of, fetch
from vocalics.lab.corpora.info import CorpusInfo, RemoteFile
from vocalics.lab.corpora.notes import NoteBook
from vocalics.lab.corpora.registry import get
from vocalics.lab.corpora.unpack import unpack

_MOST_FAILURES = 5  # then the rest is not tried: the network is down, or the address wrong


@dataclass(frozen=True)
class Download:
    """What a download did.

    Attributes
    ----------
    folder
        Where the corpus lies now.
    fetched, already_there
        How many files were fetched, and how many needed not be.
    recordings
        How many of the corpus's recordings lie there now, by their names.
    unverified
        Files whose digest nobody published, as (address, digest found): write it down to compare later.
    """

    folder: Path
    fetched: int
    already_there: int
    recordings: int
    unverified: tuple[tuple[str, str], ...]


def download(
    name: str,
    data: Path,
    *,
    mirror: str = "",
    progress: Progress | None = None,
    workers: int = 4,
    attempts: int = 4,
    pause_s: float = 1.0,
) -> Download:
    """Fetch a corpus into ``data/name``: resumable, each file checked, archives unpacked.

    A second call fetches what is missing or damaged.

    Parameters
    ----------
    name
        In the registry.
    data
        The data folder.
    mirror
        Address to use instead of the corpus's own base address.
    progress
        Called with (bytes there, bytes in all or None).
    workers
        Files fetched at the same time.
    attempts, pause_s
        As for `vocalics.lab.corpora.http.fetch`.

    Raises
    ------
    UsageError
        The corpus is not known.
    DownloadError
        It is given on request only, or could not be fetched; what has arrived is kept.
    """
    info = get(name)
    if info.remote_files is None:
        raise DownloadError(f"{info.name} cannot be downloaded: {info.how_to_get}.")
    folder = data / info.name
    complete = _count_recordings(info, folder) >= info.utterances
    files = info.remote_files((mirror or info.base_url).rstrip("/"))
    missing = [file for file in files if not (complete if file.unpack else _is_there(file, folder))]
    meter = _Meter(missing, progress)

    def get_one(file: RemoteFile) -> tuple[RemoteFile, str]:
        target = folder / _safe(file.path)
        digest = fetch(file, target, progress=partial(meter.update, file), attempts=attempts, pause_s=pause_s)
        if file.unpack:
            unpack(target, folder)
            target.unlink()
        return file, digest

    fetched, failures = _run(get_one, missing, workers, meter)
    if failures:
        done = (
            f"{len(fetched):,} of {len(missing):,} files of {name} were fetched. " if len(missing) > 1 else ""
        )
        raise DownloadError(f"{done}{failures[0]}")
    return Download(
        folder=folder,
        fetched=len(fetched),
        already_there=len(files) - len(missing),
        recordings=_count_recordings(info, folder),
        unverified=tuple((file.url, digest) for file, digest in fetched if not file.digest),
    )


class _Meter:
    """Adds up the progress of files that are fetched at the same time."""

    def __init__(self, files: Sequence[RemoteFile], progress: Progress | None) -> None:
        sizes = [file.size_bytes for file in files]
        self._known = sum(size for size in sizes if size is not None)
        self._is_known = None not in sizes
        self._alone = len(files) == 1
        self._done: dict[str, int] = {}
        self._progress = progress
        self._lock = Lock()
        self.stopped = False

    def update(self, file: RemoteFile, done: int, total: int | None) -> None:
        """Take note of how much of a file is there; raises when the whole download was stopped."""
        if self.stopped:
            raise DownloadError("stopped.")
        if self._progress is None:
            return
        with self._lock:
            self._done[file.path] = done
            everything = self._known if self._is_known else total if self._alone else None
            self._progress(sum(self._done.values()), everything)


def _run(
    get_one: Callable[[RemoteFile], tuple[RemoteFile, str]],
    files: Sequence[RemoteFile],
    workers: int,
    meter: _Meter,
) -> tuple[list[tuple[RemoteFile, str]], list[DownloadError]]:
    """Fetch files in threads; one that fails does not stop the others, `_MOST_FAILURES` do."""
    fetched, failures = [], []
    executor = ThreadPoolExecutor(workers)
    futures = [executor.submit(get_one, file) for file in files]
    try:
        for future in as_completed(futures):
            try:
                fetched.append(future.result())
            except DownloadError as error:
                failures.append(error)
            if len(failures) == _MOST_FAILURES:
                break
    finally:  # Ctrl-C too: nobody wants to wait for the files under way
        meter.stopped = True
        executor.shutdown(cancel_futures=True)
    return fetched, failures


def _is_there(file: RemoteFile, folder: Path) -> bool:
    target = folder / _safe(file.path)
    if not target.is_file() or file.size_bytes not in (None, target.stat().st_size):
        return False
    return not file.digest or digest_of(target, file.digest.partition(":")[0]) == file.digest


def _count_recordings(info: CorpusInfo, folder: Path) -> int:
    """How many recordings of a corpus lie in a folder, by their names and in any coding."""
    files = find_audio(folder, NoteBook(str(folder))) if folder.is_dir() else []
    return len({labels.stem for file in files if (labels := info.read_name(file.stem, file.folder))})


def _safe(path: str) -> Path:
    """Return a path that a server named, if it stays inside the folder."""
    parts = Path(path).parts
    if not parts or Path(path).is_absolute() or ".." in parts:
        raise DownloadError(f"the server names a file '{path}', outside the folder; nothing was fetched.")
    return Path(path)
