"""A table that people made themselves: which recording, which emotion, and perhaps who."""

import csv
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from vocalics import emotions
from vocalics.errors import CorpusError, MissingExtraError
from vocalics.lab.corpora.files import AudioFile
from vocalics.lab.corpora.info import Labels
from vocalics.lab.corpora.notes import NoteBook
from vocalics.lab.manifest import COLUMNS

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")

_REQUIRED = ("path", "emotion")
_OPTIONAL = ("speaker", "gender", "intensity", "sentence")
_GENDERS = {
    "f": "female",
    "female": "female",
    "woman": "female",
    "m": "male",
    "male": "male",
    "man": "male",
    "": "",
}


def read_table(path: Path, book: NoteBook) -> list[tuple[AudioFile, Labels]]:
    """Read the labels of the recordings that a table names.

    Parameters
    ----------
    path
        A ``.csv`` or ``.tsv`` file (comma, semicolon or tab between the columns) or a ``.parquet`` file.
    book
        Told of missing files, rows without an emotion, and columns that are not used.

    Raises
    ------
    CorpusError
        It is no such table, lacks a column, or none of its files exists.
    """
    columns, rows = _read(path)
    names = _column_names(path, columns, book)
    labelled: dict[str, list[tuple[AudioFile, Labels]]] = {}
    for row in rows:
        values = {name: _text(row.get(column)) for name, column in names.items()}
        if not values["path"] or not values["emotion"]:
            book.add("unlabelled", values["path"] or "a row without a path")
        elif not (audio := _find(path.parent, values["path"])):
            book.add("missing", values["path"])
        else:
            labels = _labels(audio, values, book)
            labelled.setdefault(labels.stem, []).append((audio, labels))
    for stem, found in list(labelled.items()):
        told = sorted({labels.emotion for _, labels in found})
        if len(told) > 1:
            book.add("conflict", f"{stem}: {', '.join(told)}")
            del labelled[stem]
    if not labelled:
        raise CorpusError(
            f"{path} names no recording that can be read: of {len(rows)} rows {book.count('missing')} name "
            f"files that do not exist and {book.count('unlabelled')} have no path or emotion. Paths are "
            f"relative to '{path.parent}', or absolute."
        )
    return [row for found in labelled.values() for row in found]


def is_manifest(path: Path) -> bool:
    """Whether a table has every column of a manifest, so that nothing need be decoded."""
    if not path.is_file() or path.suffix.lower() not in TABLE_SUFFIXES:
        return True  # `load_manifest` says what is wrong
    columns, _ = _read(path)
    return set(COLUMNS) <= set(columns)


def _read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)


def _find(root: Path, name: str) -> AudioFile | None:
    """Find the file that a row names; a table from Windows may part folders with backslashes."""
    for spelling in (name, name.replace("\\", "/")):
        path = root / spelling
        if _is_file(path):
            inside = path.is_relative_to(root)  # an absolute path elsewhere stays as it is
            return AudioFile(PurePosixPath((path.relative_to(root) if inside else path).as_posix()))
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file
        return False


def _labels(audio: AudioFile, values: Mapping[str, str], book: NoteBook) -> Labels:
    gender = _GENDERS.get(values.get("gender", "").lower())
    if gender is None:
        book.add("gender", values["gender"])
    return Labels(
        stem=str(audio.path.with_suffix("")).lstrip("/"),
        speaker=values.get("speaker", ""),
        gender=gender or "",
        emotion=emotions.canonical(values["emotion"]) or values["emotion"].lower(),
        intensity=values.get("intensity", ""),
        sentence=values.get("sentence", ""),
    )


def _column_names(path: Path, columns: Sequence[str], book: NoteBook) -> dict[str, str]:
    """Map each known name to the table's own spelling of it."""
    own = {column.strip().lower(): column for column in columns}
    for name in _REQUIRED:
        if name not in own:
            near = get_close_matches(name, own, n=1)
            hint = f"; is '{_on_one_line(own[near[0]])}' meant? Rename it" if near else ""
            given = ", ".join(map(_on_one_line, columns)) or "no columns"
            raise CorpusError(
                f"{path} has no column '{name}'{hint}. It has {given}; needed are path and emotion, allowed "
                f"are {', '.join(_OPTIONAL)}."
            )
    known = (*_REQUIRED, *_OPTIONAL)
    for name, column in own.items():
        if name not in known:
            near = get_close_matches(name, [other for other in known if other not in own], n=1)
            book.add("column", f"'{column}'" + (f", did you mean '{near[0]}'?" if near else ""))
    return {name: own[name] for name in known if name in own}


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter)
            rows: list[dict[str, Any]] = list(reader)
            return list(reader.fieldnames or ()), rows
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read as a CSV table in UTF-8: {error}.") from None


def _read_parquet(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(
            "Parquet tables need pyarrow: pip install 'vocalics[batch]', or save as CSV."
        ) from None
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise CorpusError(f"{path} cannot be read as a Parquet table: {error}.") from None
    return table.column_names, table.to_pylist()


def _text(value: Any) -> str:
    """Return a cell as text; None and NaN are empty, and a speaker 3.0 is 3."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
