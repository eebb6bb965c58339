"""A data folder: where it is, and which corpora lie in it."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from vocalics.errors import CorpusError, UsageError
from vocalics.lab.corpora.decoding import cache_folder
from vocalics.lab.corpora.files import AudioFile, find_audio
from vocalics.lab.corpora.folder import names_emotions, scan_folder
from vocalics.lab.corpora.notes import Note, NoteBook
from vocalics.lab.corpora.registry import CORPORA, get
from vocalics.lab.corpora.scanning import ScanOptions, scan_corpus
from vocalics.lab.corpora.table import is_manifest
from vocalics.lab.manifest import Manifest, Utterance, load_manifest


def data_folder(option: Path | None = None) -> Path:
    """Return the data folder: the option, else ``VOCALICS_DATA``, else ``corpora`` in `cache_folder`."""
    if option is not None:
        return option
    named = os.environ.get("VOCALICS_DATA")
    return Path(named) if named else cache_folder() / "corpora"


def find_corpora(data: Path, wanted: Iterable[str] | None = None) -> dict[str, Path]:
    """Say which corpora lie in a data folder, and where.

    Parameters
    ----------
    data
        A folder with one folder for each corpus, or with one corpus in it; see
        `vocalics.lab.corpora.scan_data`.
    wanted
        Names in the registry, or ``folder``; by default all but RAVDESS's songs, and ``folder`` when no other
        is there.

    Raises
    ------
    CorpusError
        There is no such folder, or nothing that is wanted lies in it.
    """
    names = (
        tuple(name for name, info in CORPORA.items() if not info.part_of) if wanted is None else tuple(wanted)
    )
    if not data.is_dir():
        raise CorpusError(
            f"there is no data folder '{data}'. Name one with --data or VOCALICS_DATA, or get a corpus: "
            "vocalics corpus download ravdess."
        )
    found = {name: folder for name in names if (folder := _own_folder(data, name))}
    missing = [name for name in names if name not in found]
    if missing:  # perhaps `data` itself is the corpus, or it lies deeper
        rest = find_audio(data, NoteBook(str(data)), found.values())
        found |= {name: data for name in missing if _any_of(name, rest)}
        if not found and wanted is None and names_emotions(rest):
            found["folder"] = data
        missing = [name for name in names if name not in found]
    if not found or (missing and wanted is not None):
        lies_there = ", ".join(sorted(path.name for path in data.iterdir())[:5]) or "nothing"
        raise CorpusError(
            f"'{data}' holds nothing of {', '.join(missing)}: no folder of that name, no file named as theirs"
            f"{' and no folder named by emotion' if wanted is None else ''}; in it lie {lies_there}. Name "
            "another folder with --data, or get a corpus: vocalics corpus download NAME."
        )
    return found


def scan(
    name: str,
    root: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    notes: Callable[[Note], None] | None = None,
    workers: int | None = None,
    cache: bool = True,
    skip: Iterable[Path] = (),
) -> Manifest:
    """Read one corpus in one folder.

    Every file is decoded once, for its length and the digest of its samples; results are remembered, so that
    the next scan takes about a second. What is passed over (copies, empty and unreadable files, foreign
    names) is told, and the rest goes on.

    Parameters
    ----------
    name
        A name in the registry, or ``folder`` for recordings of one's own.
    root
        The corpus's folder, in its original layout or flat, in any coding; for ``folder`` also a table.
    progress
        Called with (files done, files) while they are decoded.
    notes
        Called with a `Note` for each kind of thing passed over; without it they go to the log
        ``vocalics.lab.corpora``.
    workers
        Threads that decode; by default one for each core, eight at most.
    cache
        Remember results in ``VOCALICS_CACHE`` or the platform's cache folder.
    skip
        Folders not to look into.

    Raises
    ------
    UsageError
        The corpus is not known.
    CorpusError
        The folder holds nothing of it.
    """
    options: ScanOptions = {"progress": progress, "notes": notes, "workers": workers, "cache": cache}
    if name == "folder":
        return scan_folder(root, skip, **options)
    return scan_corpus(get(name), root, skip, **options)


def scan_data(
    data: Path,
    corpora: Iterable[str] | None = None,
    **options: Unpack[ScanOptions],
) -> Manifest:
    """Read the corpora of a data folder into one manifest.

    Folders that are found, whatever the case of their names: one folder for each corpus (``ravdess``,
    ``tess``, ``savee``, ``cremad``, ``emodb``, ``nemo``), the bundle on Kaggle (``Ravdess``, ``Crema``,
    ``Savee``, ``Tess``), one corpus directly in it (``Actor_01`` ... ``Actor_24``), or folders named by
    emotion, which make the corpus ``folder``.

    Parameters
    ----------
    data
        The folder; paths of the manifest are relative to it.
    corpora
        Names in the registry, or ``folder``; by default what is there.
    options
        As for `vocalics.lab.corpora.scan`.

    Raises
    ------
    CorpusError
        The folder, or a corpus that was named, is not there.
    """
    places = find_corpora(data, corpora)
    utterances: list[Utterance] = []
    for name, place in places.items():
        others = [other for other in places.values() if other != place]
        found = scan(name, place, skip=others, **options)
        inside = place.relative_to(data)
        utterances += [replace(u, path=(inside / u.path).as_posix()) for u in found]
    return Manifest(data, tuple(utterances))


def load_data(
    data: Path | None = None,
    manifest: Path | None = None,
    corpora: Iterable[str] | None = None,
    **options: Unpack[ScanOptions],
) -> Manifest:
    """Return what ``--data DIR`` or ``--manifest FILE`` names.

    Parameters
    ----------
    data
        A data folder; with neither, the one that `data_folder` knows.
    manifest
        A manifest that ``vocalics corpus scan`` wrote, or a table of one's own (path, emotion, perhaps
        speaker).
    corpora
        Keep these alone.
    options
        As for `vocalics.lab.corpora.scan`.
    """
    if manifest is None:
        return scan_data(data_folder(data), corpora, **options)
    if data is not None:
        raise UsageError(
            "--data and --manifest are both given; a manifest already says where the audio is. Give one."
        )
    loaded = load_manifest(manifest) if is_manifest(manifest) else scan("folder", manifest, **options)
    if corpora is None:
        return loaded
    wanted = tuple(corpora)
    kept = loaded.filter(lambda utterance: any(_belongs(utterance, name) for name in wanted))
    if not len(kept):
        raise CorpusError(
            f"{manifest} has no utterance of {', '.join(wanted)}; it has {', '.join(loaded.corpora)}."
        )
    return kept


def _belongs(utterance: Utterance, name: str) -> bool:
    """Whether an utterance is of the corpus; speech and songs of RAVDESS have one name of corpus."""
    info = CORPORA.get(name)
    if info is None:
        return utterance.corpus == name
    stem = utterance.id.rpartition("/")[2]
    return utterance.corpus == info.corpus and info.read_name(stem, "") is not None


def _own_folder(data: Path, name: str) -> Path | None:
    """Folder of `data` that is named after a corpus; the songs of RAVDESS may lie among its speech."""
    if name == "folder":
        return _named(data, ("folder",))
    info = get(name)
    own = _named(data, info.folders)
    if own or not info.part_of:
        return own
    shared = _named(data, get(info.part_of).folders)
    return shared if shared and _any_of(name, find_audio(shared, NoteBook(str(shared)))) else None


def _named(data: Path, names: Sequence[str]) -> Path | None:
    folders = sorted((path for path in data.iterdir() if path.is_dir()), reverse=True)
    spelled = {re.sub(r"[^a-z0-9]", "", path.name.lower()): path for path in folders}
    return next((spelled[name] for name in names if name in spelled), None)


def _any_of(name: str, files: Sequence[AudioFile]) -> bool:
    """Whether any of the files is a recording of the corpus."""
    if name == "folder":
        return names_emotions(files)
    return any(get(name).read_name(file.stem, file.folder) for file in files)
