"""Which recordings are meant by files, folders, patterns, tables, lists and URLs; one by one."""

import csv
import glob
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from vocalics.errors import AudioError, UsageError
from vocalics.recognition.batch import urls
from vocalics.recognition.parquet import require_parquet
from vocalics.recognition.recordings import walk

#: Column of a table that names the recordings, and one that may name the folder they are relative to; in a
#: Parquet file its metadata name that.
PATH, ROOT, ROOT_METADATA = "path", "root", b"vocalics.root"

#: Rows of a Parquet table that are read at once.
ROWS_AT_ONCE = 10_000


def list_names(paths: Iterable[str | Path], failed: dict[str, AudioError]) -> Iterator[str]:
    """Yield the names of recordings that `paths` mean; a name may come twice.

    Parameters
    ----------
    paths
        Files (taken whatever their suffix), folders (walked recursively, files with a suffix in
        `audio.SUFFIXES`, no hidden ones), glob patterns, tables (``.csv``, ``.tsv``, ``.parquet``) with a
        column ``path``, lists (``.txt``) with a recording a line, and URLs of all of these; over http a
        folder's address ends in a slash. What stands in a table or a list is relative to the table's
        ``root``, else to where it lies itself.
    failed
        Gets an error for every folder that cannot be opened.

    Raises
    ------
    UsageError
        A path leads to no recording, or is not what it should be.
    """
    for path in map(str, paths):
        found = False
        try:
            for name in _names(path, failed):
                found = True
                yield name
        except OSError as error:
            raise UsageError(f"'{path}' cannot be read: {error.strerror or error}.") from None
        if not found:
            raise UsageError(str(failed.get(path) or _nothing_in(path)))


def _names(path: str, failed: dict[str, AudioError]) -> Iterator[str]:
    """Yield what one path means."""
    kind = _LISTS.get(os.path.splitext(path)[1].lower())  # noqa: PTH122, it may be a URL
    if not path:
        raise UsageError("an empty path names no recording; check the shell's variables.")
    if urls.is_url(path):
        yield from kind(path) if kind and not urls.is_folder(path) else urls.walk(path)
    elif os.path.isdir(path):  # noqa: PTH112, Path raises in a closed folder
        yield from walk(path, failed)
    elif os.path.lexists(path):
        yield from kind(path) if kind else [path]
    elif glob.has_magic(path):
        for match in glob.iglob(path, recursive=True):  # noqa: PTH207, Path.glob knows no absolute pattern
            yield from walk(match, failed) if os.path.isdir(match) else [match]  # noqa: PTH112
    else:
        raise UsageError(f"there is no file or folder '{path}'; check the path.")


def _nothing_in(path: str) -> str:
    if urls.is_url(path):
        return f"there are no audio files at '{path}'; check the address."
    if os.path.isdir(path):  # noqa: PTH112
        return f"the folder '{path}' holds no audio files; name a folder with recordings, or files."
    if glob.has_magic(path):
        return f"no recording matches the pattern '{path}'; check it, or name files or folders."
    return f"'{path}' names no recordings; give a table with a column '{PATH}' or a list with one a line."


def _read_text(path: str) -> Iterator[str]:
    """Yield the recordings of a list, one a line."""
    folder = _folder_of(path)
    with _lines_of(path) as lines:
        for line in lines:
            if line.strip():
                yield _placed(line.rstrip("\r\n"), folder)


def _read_csv(path: str) -> Iterator[str]:
    """Yield the recordings of a table of text."""
    with _lines_of(path) as lines:
        rows = csv.DictReader(lines, delimiter="\t" if path.lower().endswith(".tsv") else ",")
        try:
            if PATH not in (rows.fieldnames or ()):
                raise UsageError(_no_column(path, rows.fieldnames or ()))
            for row in rows:
                if row[PATH]:
                    yield _placed(row[PATH], row.get(ROOT) or _folder_of(path))
        except csv.Error as error:
            raise UsageError(f"'{path}' is no CSV table: {error}.") from None


def _read_parquet(path: str) -> Iterator[str]:
    """Yield the recordings of a Parquet table."""
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _opened(path) as file:
        try:
            table = pq.ParquetFile(file)
        except pa.ArrowException as error:
            raise UsageError(f"'{path}' is no Parquet table: {error}.") from None
        if PATH not in table.schema_arrow.names:
            raise UsageError(_no_column(path, table.schema_arrow.names))
        root = (table.schema_arrow.metadata or {}).get(ROOT_METADATA, b"").decode() or _folder_of(path)
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=[PATH]):
            for name in batch.column(0).to_pylist():
                if name:
                    yield _placed(str(name), root)


#: Files that name recordings, by suffix, and how they are read.
_LISTS: dict[str, Callable[[str], Iterator[str]]] = {
    ".txt": _read_text,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}


def _opened(path: str) -> BinaryIO:
    """Open a file that names recordings."""
    if urls.is_url(path):
        return urls.open_file(path)
    return Path(path).open("rb")


def _lines_of(path: str) -> io.TextIOWrapper:
    """Open a text; names that are no UTF-8 stay what they are for the system."""
    return io.TextIOWrapper(_opened(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0] if urls.is_url(path) else os.path.dirname(path)  # noqa: PTH120, no './'


def _placed(name: str, folder: str) -> str:
    """Return where a recording lies that a table or list in a folder names."""
    if urls.is_url(name) or os.path.isabs(name) or not folder:  # noqa: PTH117
        return name
    return f"{folder.rstrip('/')}/{name}" if urls.is_url(folder) else os.path.join(folder, name)  # noqa: PTH118


def _no_column(path: str, columns: Iterable[str]) -> str:
    told = re.sub(r"\s+", " ", ", ".join(map(str, columns)))[:80]
    return f"the table '{path}' has no column '{PATH}', only {told or 'nothing'}; name one that has."
