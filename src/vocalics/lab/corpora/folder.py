"""Recordings of one's own: folders named by emotion, file names with an emotion in them, or a table.

No corpus, but what people have. A folder is read in one of two layouts, settled once for the whole folder:

- ``happy/clip_01.wav``, ``anna/03-Sadness/clip.wav``: the nearest folder above that names an emotion is the
  label. Where one folder does, the others are labels too, in lower case, by the folder a file lies in:
  ``boredom/x.wav`` is ``boredom``.
- ``clip_angry_01.wav``, ``anna/anna-fear-2.flac``: no folder names an emotion, but a word of the file name
  does.

If neither has any, every folder's own name is taken as a label outside the eight. Speaker and gender are
unknown.

A table (CSV or Parquet) has the columns ``path`` and ``emotion``, and may have ``speaker``, ``gender``,
``intensity`` and ``sentence``. Paths are relative to the table's folder, or absolute. Labels are brought to
the eight by `vocalics.emotions.canonical`; others are kept in lower case.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Unpack

from vocalics import emotions
from vocalics.errors import CorpusError
from vocalics.lab.corpora.files import AudioFile, check_folder, find_audio
from vocalics.lab.corpora.info import Labels
from vocalics.lab.corpora.notes import NoteBook
from vocalics.lab.corpora.scanning import ScanOptions, make_manifest
from vocalics.lab.corpora.table import TABLE_SUFFIXES, read_table
from vocalics.lab.manifest import Manifest


def scan_folder(root: Path, skip: Iterable[Path] = (), **options: Unpack[ScanOptions]) -> Manifest:
    """Read a folder of recordings, or the recordings that a table names.

    Parameters
    ----------
    root
        The folder or the table.
    skip
        Folders not to enter.
    options
        As for `vocalics.lab.corpora.scan`.
    """
    book = NoteBook(str(root))
    if root.is_file() and root.suffix.lower() in TABLE_SUFFIXES:
        return make_manifest("folder", root.parent, read_table(root, book), book, **options)
    check_folder(root)
    files = find_audio(root, book, skip)
    label_of = _layout(files)
    labelled = []
    for file in files:
        if label := label_of(file):
            labelled.append((file, Labels(str(file.path.with_suffix("")), "", "", label)))
        else:
            book.add("unlabelled", str(file.path))
    if not labelled:
        raise CorpusError(
            f"no recording in '{root}' has an emotion: neither a folder nor a file name names one "
            f"({len(files)} audio files there). Put them into folders such as 'happy' and 'sad', or name "
            "them in a table with the columns path and emotion."
        )
    return make_manifest("folder", root, labelled, book, **options)


def names_emotions(files: Sequence[AudioFile]) -> bool:
    """Whether any folder or file name there names an emotion."""
    return any(_folder_emotion(file) or emotion_in(file.stem) for file in files)


def emotion_in(name: str) -> str:
    """Return the one emotion that the words of a name mean, or nothing.

    Examples
    --------
    >>> emotion_in("03-Sadness"), emotion_in("clip_angry_01"), emotion_in("happy_or_sad")
    ('sad', 'angry', '')
    """
    whole = emotions.canonical(name)
    if whole:
        return whole
    words = re.findall(r"[^\W\d_]{3,}", name)  # shorter ones, such as "ps", mean other things too
    found = {emotion for word in words if (emotion := emotions.canonical(word))}
    return found.pop() if len(found) == 1 else ""


def _layout(files: Sequence[AudioFile]) -> Callable[[AudioFile], str]:
    """Settle where the labels stand: in the names of folders or of files."""
    if any(emotion_in(file.stem) for file in files) and not any(_folder_emotion(file) for file in files):
        return lambda file: emotion_in(file.stem)
    return lambda file: _folder_emotion(file) or file.folder.strip().lower() or emotion_in(file.stem)


def _folder_emotion(file: AudioFile) -> str:
    """Emotion of the nearest folder above that names one."""
    return next((emotion for folder in file.path.parents if (emotion := emotion_in(folder.name))), "")
