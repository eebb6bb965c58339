"""Features of many recordings in one file: a table of functionals, or an archive of frames.

Each kind of file is a context manager that yields what adds one recording; it holds few of them at a time.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.files import written_whole
from vocalics.lab.manifest import COLUMNS, Utterance

FloatArray = npt.NDArray[np.float32]

#: Adds a recording: its utterance, and its functionals (n_columns,) or its frames (n_rows, n_frames).
Add = Callable[[Utterance, FloatArray], None]

#: Rows of a Parquet table that are written at a time.
_ROWS_AT_A_TIME = 1_000

#: Arrays of an archive beside the frames: what stands in them for each recording, by column of the manifest.
_TOLD = {"ids": "id", "corpora": "corpus", "speakers": "speaker", "genders": "gender", "emotions": "emotion"}
_RESERVED = {*_TOLD, "keys", "row_names", "hop_s", "recipe"}


@dataclass(frozen=True)
class Content:
    """What stands in a file of features, apart from the recordings.

    Attributes
    ----------
    row_names
        Of the rows of the front end.
    functionals
        Of the columns of a table; empty for frames.
    hop_s
        Between frames, seconds.
    recipe
        As YAML.
    root
        Folder that the utterances' paths are relative to.
    """

    row_names: tuple[str, ...]
    functionals: tuple[str, ...]
    hop_s: float
    recipe: str
    root: Path

    @property
    def columns(self) -> list[str]:
        """Columns of a table that hold features: all functionals of the first row, of the second, and so on.

        Examples
        --------
        >>> Content(("rms", "zero_crossing_rate"), ("mean", "std"), 0.016, "", Path()).columns
        ['rms_mean', 'rms_std', 'zero_crossing_rate_mean', 'zero_crossing_rate_std']
        """
        return [f"{row}_{functional}" for row in self.row_names for functional in self.functionals]


@contextmanager
def parquet_table(file: BinaryIO, content: Content) -> Iterator[Add]:
    """One row for each recording: the manifest's columns, then those of `Content.columns` as float32.

    Its metadata have ``vocalics.root``, so that the table is a manifest too, and ``vocalics.recipe``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = [(name, pa.float64() if name == "duration_s" else pa.string()) for name in COLUMNS]
    metadata = {"vocalics.root": _text(str(content.root.resolve())), "vocalics.recipe": content.recipe}
    schema = pa.schema([*own, *((name, pa.float32()) for name in content.columns)], metadata)
    held: list[tuple[Utterance, FloatArray]] = []

    def write() -> None:
        told = [[_cell(utterance, name) for utterance, _ in held] for name in COLUMNS]
        values = np.stack([values for _, values in held], axis=1)  # (n_columns, n_recordings)
        writer.write_table(pa.table([*told, *values], schema=schema))
        held.clear()

    def add(utterance: Utterance, values: FloatArray) -> None:
        held.append((utterance, values))
        if len(held) == _ROWS_AT_A_TIME:
            write()

    with pq.ParquetWriter(file, schema) as writer:
        yield add
        if held:
            write()


@contextmanager
def csv_table(file: BinaryIO, content: Content) -> Iterator[Add]:
    """Write the same rows as `parquet_table` does, with a column ``root``; numbers read back as they were."""

    def write(*cells: object) -> None:
        line = io.StringIO()
        # The writer quotes cells that hold a character of its own line end: with this one, CR too.
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        file.write(line.getvalue().removesuffix("\r\n").encode() + b"\n")

    root = _text(str(content.root.resolve()))
    write(*COLUMNS, "root", *content.columns)
    yield lambda utterance, values: write(*(_cell(utterance, name) for name in COLUMNS), root, *values)


@contextmanager
def frame_archive(file: BinaryIO, content: Content) -> Iterator[Add]:
    """One array (n_rows, n_frames) for each recording, and arrays about all; `numpy.load` opens it.

    ``ids`` and ``keys`` say which array is whose: a key is the id, but for characters that not every system
    takes in a name, which are percent-encoded. ``emotions``, ``speakers``, ``genders`` and ``corpora`` stand
    in the same order; ``row_names``, ``hop_s`` and ``recipe`` hold for all. Nothing is pickled.
    """
    heard: list[Utterance] = []

    def write(key: str, array: npt.NDArray[np.generic]) -> None:
        # Without a date in it, so that equal features make equal files.
        with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)

    def add(utterance: Utterance, frames: FloatArray) -> None:
        heard.append(utterance)
        write(_key(utterance.id), frames)

    with zipfile.ZipFile(file, "w") as archive:
        yield add
        for name, column in _TOLD.items():
            write(name, np.array([getattr(utterance, column) for utterance in heard]))
        write("keys", np.array([_key(utterance.id) for utterance in heard]))
        write("row_names", np.array(content.row_names))
        write("hop_s", np.array(content.hop_s))
        write("recipe", np.array(content.recipe))


#: Kinds of files by suffix.
TABLES: dict[str, Callable[[BinaryIO, Content], AbstractContextManager[Add]]] = {
    ".parquet": parquet_table,
    ".csv": csv_table,
}
ARCHIVES = {".npz": frame_archive}


@contextmanager
def feature_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file as `files.written_whole` does.

    Raises
    ------
    UsageError
        The file cannot be written there.
    """
    try:
        with written_whole(path) as file:
            yield file
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be written: {error.strerror or error}; name another file."
        ) from None


def _key(utterance_id: str) -> str:
    """Return the name of a recording's array; `urllib.parse.unquote` makes the id of it again.

    Examples
    --------
    >>> _key("ravdess/03-01-06-01-02-01-12"), _key("folder/ça va?"), _key("ids")
    ('ravdess/03-01-06-01-02-01-12', 'folder/%C3%A7a%20va%3F', '%69ds')
    """
    key = quote(utterance_id, safe="/", errors="surrogateescape")
    return f"%{ord(key[0]):02x}{key[1:]}" if key in _RESERVED else key


def _cell(utterance: Utterance, column: str) -> str | float:
    value = getattr(utterance, column)
    return value if isinstance(value, float) else _text(value)


def _text(value: str) -> str:
    """Return what UTF-8 can hold: a file name that is not Unicode has lone surrogates."""
    return value.encode(errors="backslashreplace").decode()
