"""From a corpus's folder to its manifest."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from vocalics.errors import CorpusError
from vocalics.lab.corpora.decoding import decode_all
from vocalics.lab.corpora.files import AudioFile, check_folder, find_audio
from vocalics.lab.corpora.info import CorpusInfo, Labels
from vocalics.lab.corpora.notes import Note, NoteBook, tell
from vocalics.lab.corpora.registry import CORPORA
from vocalics.lab.manifest import Manifest, Utterance


class ScanOptions(TypedDict, total=False):
    """How a scan is done; `vocalics.lab.corpora.scan` explains each."""

    progress: Callable[[int, int], None] | None
    notes: Callable[[Note], None] | None
    workers: int | None
    cache: bool


def scan_corpus(
    info: CorpusInfo, root: Path, skip: Iterable[Path] = (), **options: Unpack[ScanOptions]
) -> Manifest:
    """Read one corpus of the registry: every file under `root` whose name is one of its names.

    Parameters
    ----------
    info
        The corpus.
    root
        Its folder.
    skip
        Folders not to enter.
    options
        As for `vocalics.lab.corpora.scan`.
    """
    check_folder(root)
    book = NoteBook(str(root))
    files = find_audio(root, book, skip)
    labelled = _read_names(info, files, book)
    if not labelled:
        raise CorpusError(_nothing_found(info, root, files, book))
    return make_manifest(info.corpus, root, labelled, book, **options)


def make_manifest(
    corpus: str,
    root: Path,
    labelled: Iterable[tuple[AudioFile, Labels]],
    book: NoteBook,
    **options: Unpack[ScanOptions],
) -> Manifest:
    """Decode labelled files, one for each recording; what can be decoded makes the manifest."""
    chosen = _without_copies(labelled, book)
    paths = [str(file.path) for file, _ in chosen]
    decoded = decode_all(
        root, paths, options.get("progress"), options.get("workers"), cache=options.get("cache", True)
    )
    utterances = []
    for path, (_, labels), result in zip(paths, chosen, decoded, strict=True):
        if result.error:
            book.add("unreadable", result.error)
            continue
        utterances.append(
            Utterance(
                id=f"{corpus}/{labels.stem}",
                path=path,
                corpus=corpus,
                speaker=labels.speaker,
                gender=labels.gender,
                emotion=labels.emotion,
                intensity=labels.intensity,
                sentence=labels.sentence,
                duration_s=result.duration_s,
                digest=result.digest,
            )
        )
    tell(book, options.get("notes"))
    if not utterances:
        raise CorpusError(
            f"none of the {len(paths)} recordings in '{root}' can be decoded; the first: {decoded[0].error}"
        )
    return Manifest(root, tuple(utterances))


def _read_names(
    info: CorpusInfo, files: Iterable[AudioFile], book: NoteBook
) -> list[tuple[AudioFile, Labels]]:
    labelled = []
    for file in files:
        if labels := info.read_name(file.stem, file.folder):
            labelled.append((file, labels))
        else:
            book.add("name", f"{file.path}{_of_another(file)}")
    return labelled


def _of_another(file: AudioFile) -> str:
    others = (name for name, info in CORPORA.items() if info.read_name(file.stem, file.folder))
    return next((f", of {name}" for name in others), "")


def _without_copies(
    labelled: Iterable[tuple[AudioFile, Labels]], book: NoteBook
) -> list[tuple[AudioFile, Labels]]:
    """Keep one file for each recording, a lossless one rather than its lossy copy, sorted by name."""
    by_stem: dict[str, tuple[AudioFile, Labels]] = {}
    for file, labels in sorted(labelled, key=lambda row: row[0].preference):
        if labels.stem in by_stem:
            book.add("copy", f"{file.path} of {by_stem[labels.stem][0].path}")
        else:
            by_stem[labels.stem] = (file, labels)
    return [by_stem[stem] for stem in sorted(by_stem)]


def _nothing_found(info: CorpusInfo, root: Path, files: Sequence[AudioFile], book: NoteBook) -> str:
    lies_there = [
        f"{len(files)} audio files with other names (first: '{files[0].path}')" if files else "",
        f"{book.count('not audio')} other files" if book.count("not audio") else "",
        f"{book.count('empty')} empty files" if book.count("empty") else "",
    ]
    there = ", ".join(text for text in lies_there if text) or "nothing"
    return (
        f"no recording of {info.name} in '{root}': looked for names such as '{info.example}' (any coding, "
        f"any folders), found {there}. Give the folder that holds them, or get the corpus: {info.how_to_get}."
    )
