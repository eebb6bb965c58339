"""Find the recordings under a folder."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vocalics.audio import SUFFIXES
from vocalics.errors import CorpusError
from vocalics.lab.corpora.notes import NoteBook

#: Of several copies of a recording one in these codings is taken rather than a lossy one.
_LOSSLESS = (".wav", ".flac", ".aiff", ".aif", ".w64", ".rf64", ".au", ".caf")


@dataclass(frozen=True, order=True)
class AudioFile:
    """A file that may be a recording.

    Attributes
    ----------
    path
        Relative to the folder that was walked.
    """

    path: PurePosixPath

    @property
    def stem(self) -> str:
        """Name without suffix."""
        return self.path.stem

    @property
    def folder(self) -> str:
        """Name of the folder it lies in, empty at the top."""
        return self.path.parent.name

    @property
    def preference(self) -> tuple[bool, int, str]:
        """Sort key among copies of one recording: lossless, near the top, first by name."""
        return (self.path.suffix.lower() not in _LOSSLESS, len(self.path.parts), str(self.path))


def find_audio(root: Path, book: NoteBook, skip: Iterable[Path] = ()) -> list[AudioFile]:
    """Return the recordings under a folder, sorted; the book is told what else lies there.

    Folders to `skip` are not entered. Folders that are links are followed, each once. ``__MACOSX``, which a
    Mac adds to zip archives, counts as hidden.
    """
    found = []
    for path in _walk(root, set(skip), book):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if any(part.startswith(".") or part == "__MACOSX" for part in relative.parts):
            book.add("hidden", str(relative))
        elif relative.suffix.lower() not in SUFFIXES:
            book.add("not audio", str(relative))
        elif not _is_unicode(str(relative)):
            book.add("unreadable", f"{str(relative)!a}: its name is not Unicode")
        elif _is_empty(path):
            book.add("empty", str(relative))
        else:
            found.append(AudioFile(relative))
    return sorted(found)


def check_folder(root: Path) -> None:
    """Raise `CorpusError` when there is no such folder."""
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise CorpusError(f"'{root}' {what}. Give the folder that holds the corpus's audio files.")


def _walk(root: Path, skip: set[Path], book: NoteBook) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        book.add("unreadable", f"{error.filename}: {error.strerror}")

    visited = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=closed):
        identity = Path(folder).stat()
        if (identity.st_dev, identity.st_ino) in visited:  # a link to a folder above, or to one already seen
            folders.clear()
            continue
        visited.add((identity.st_dev, identity.st_ino))
        folders[:] = sorted(name for name in folders if Path(folder, name) not in skip)
        yield from (Path(folder, name) for name in sorted(names))


def _is_unicode(name: str) -> bool:
    """Whether a file name can be written into a manifest; elsewhere than on Linux each can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:  # a link to nowhere: decoding says so
        return False
