"""What a scan passed over, so that nothing is lost silently."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

_LOGGER = logging.getLogger("vocalics.lab.corpora")
_SHOWN = 3  # examples in one sentence


@dataclass(frozen=True)
class Note:
    """One kind of thing that a scan passed over or wants known.

    Attributes
    ----------
    kind
        ``unreadable``, ``empty`` or ``missing`` (an input failed); ``copy``, ``name``, ``conflict``,
        ``unlabelled``, ``column``, ``gender``, ``hidden`` or ``not audio`` (left out on purpose).
    message
        A sentence with the count and examples.
    count
        How many files or rows it is about.
    """

    kind: str
    message: str
    count: int

    @property
    def failed(self) -> bool:
        """Whether it tells of inputs that should have been usable."""
        return self.kind in ("unreadable", "empty", "missing")

    def __str__(self) -> str:
        return self.message


#: What is told, by kind, and in this order: singular and plural.
_SENTENCES = {
    "unreadable": ("file cannot be read", "files cannot be read"),
    "empty": ("file is empty", "files are empty"),
    "missing": ("file of the table is missing", "files of the table are missing"),
    "copy": ("more copy of a recording left out", "more copies of recordings left out"),
    "name": (
        "recording left out, not named as this corpus's",
        "recordings left out, not named as this corpus's",
    ),
    "conflict": ("recording left out, with two emotions", "recordings left out, with two emotions each"),
    "unlabelled": ("recording left out, without an emotion", "recordings left out, without an emotion"),
    "column": ("column of the table not used", "columns of the table not used"),
    "gender": ("gender neither female nor male, left empty", "genders neither female nor male, left empty"),
    "hidden": ("hidden file left out", "hidden files left out"),
    "not audio": ("file is not audio", "files are not audio"),
}


@dataclass
class NoteBook:
    """Collects what a scan passes over and tells it, one sentence for each kind.

    Attributes
    ----------
    where
        Folder or table, for the sentences.
    """

    where: str
    _found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Remember one file or row of a kind."""
        self._found.setdefault(kind, []).append(example)

    def count(self, kind: str) -> int:
        """Return how many there are of a kind."""
        return len(self._found.get(kind, ()))

    def notes(self) -> tuple[Note, ...]:
        """Return one `Note` for each kind that was found, what failed first."""
        return tuple(self._note(kind) for kind in _SENTENCES if kind in self._found)

    def _note(self, kind: str) -> Note:
        found = self._found[kind]
        singular, plural = _SENTENCES[kind]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        what = singular if len(found) == 1 else plural
        return Note(
            kind, f"{self.where}: {len(found)} {what} ({'; '.join(found[:_SHOWN])}{more}).", len(found)
        )


def tell(book: NoteBook, notes: Callable[[Note], None] | None) -> None:
    """Hand every note to the caller; to the log ``vocalics.lab.corpora`` when it takes none."""
    for note in book.notes():
        if notes is not None:
            notes(note)
        else:
            _LOGGER.log(
                logging.INFO if note.kind in ("hidden", "not audio") else logging.WARNING, "%s", note.message
            )
