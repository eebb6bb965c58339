"""One row per utterance: what was said, by whom, with which emotion, and where the audio lies."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from vocalics.errors import CorpusError
from vocalics.files import write_atomically, written_whole


@dataclass(frozen=True, slots=True)  # slots: ten million of them are at home in memory
class Utterance:
    """One labelled recording.

    Attributes
    ----------
    id
        ``corpus/stem``: the same for a wav, flac or opus copy, in folders or flat; splits name utterances by
        it.
    path
        Relative to the manifest's root, with forward slashes.
    corpus
        Name in the registry of corpora, or ``folder``.
    speaker
        Unique within the corpus; empty when unknown.
    gender
        ``female``, ``male`` or empty when unknown.
    emotion
        A canonical emotion, or the corpus's own label where it has no place among the eight.
    intensity
        The corpus's own word, or empty.
    sentence
        The corpus's own code of what was said, or empty.
    duration_s
        Seconds.
    digest
        SHA-256 of the decoded samples (mono, 16 bit), so that a copy in another lossless coding has the same.
    """

    id: str
    path: str
    corpus: str
    speaker: str
    gender: str
    emotion: str
    intensity: str
    sentence: str
    duration_s: float
    digest: str


COLUMNS = tuple(field.name for field in fields(Utterance))

#: Columns whose words come again and again; each word is held once.
_REPEATED = ("corpus", "speaker", "gender", "emotion", "intensity", "sentence")


@dataclass(frozen=True)
class Manifest:
    """Utterances under one root folder, sorted by id, each id once.

    Attributes
    ----------
    root
        Folder that every `Utterance.path` is relative to.
    utterances
        Sorted by id.
    """

    root: Path
    utterances: tuple[Utterance, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.utterances, key=lambda utterance: utterance.id))
        twice = sorted({one.id for one, after in pairwise(ordered) if one.id == after.id})
        if twice:
            raise CorpusError(
                f"{len(twice)} utterance ids stand more than once in the manifest (first: '{twice[0]}'). "
                "Each recording may be listed once; remove the copies."
            )
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "utterances", ordered)

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora in it, sorted."""
        return tuple(sorted({utterance.corpus for utterance in self}))

    @property
    def speakers(self) -> tuple[tuple[str, str], ...]:
        """Every (corpus, speaker), sorted."""
        return tuple(sorted({(utterance.corpus, utterance.speaker) for utterance in self}))

    def audio_path(self, utterance: Utterance) -> Path:
        """Return where the utterance's audio lies."""
        return self.root / utterance.path

    def filter(self, keep: Callable[[Utterance], bool]) -> "Manifest":
        """Return the manifest of the utterances for which `keep` is true."""
        return replace(self, utterances=tuple(u for u in self if keep(u)))

    def select(self, ids: Iterable[str]) -> "Manifest":
        """Return the manifest of these ids; `CorpusError` names the first that is missing."""
        by_id = {utterance.id: utterance for utterance in self}
        wanted = list(ids)
        missing = [name for name in wanted if name not in by_id]
        if missing:
            raise CorpusError(
                f"{len(missing)} of {len(wanted)} utterances are not in the manifest (first: "
                f"'{missing[0]}'). Scan the same corpora that the split was made from."
            )
        return replace(self, utterances=tuple(by_id[name] for name in wanted))

    def project(
        self, emotions: Iterable[str], merge: Mapping[str, str] | None = None
    ) -> "tuple[Manifest, Counter[str]]":
        """Keep the utterances of a vocabulary, and count what was dropped by label.

        Parameters
        ----------
        emotions
            The vocabulary.
        merge
            Labels counted as another, for example ``{"calm": "neutral"}``.
        """
        vocabulary = set(emotions)
        renamed = [replace(u, emotion=(merge or {}).get(u.emotion, u.emotion)) for u in self]
        dropped = Counter(u.emotion for u in renamed if u.emotion not in vocabulary)
        return replace(self, utterances=tuple(u for u in renamed if u.emotion in vocabulary)), dropped

    def save(self, path: str | Path) -> None:
        """Write the table as ``.csv`` or ``.parquet``, atomically; paths are kept relative to `root`."""
        path = Path(path)
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.table({name: [getattr(u, name) for u in self] for name in COLUMNS})
            table = table.replace_schema_metadata({"vocalics.root": str(self.root.resolve())})
            with written_whole(path) as file:
                pq.write_table(table, file)
        elif path.suffix == ".csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow((*COLUMNS, "root"))
            writer.writerows((*asdict(u).values(), self.root.resolve()) for u in self)
            write_atomically(path, text.getvalue().encode())
        else:
            raise CorpusError(
                f"cannot write a manifest to '{path}': name a file that ends in .parquet or .csv."
            )


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest that `Manifest.save` wrote.

    A table that people made themselves (path and emotion, little else) is read by the corpus reader
    ``folder`` instead.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(
            f"there is no manifest '{path}'; make one with 'vocalics corpus scan NAME ROOT -o {path}'."
        )
    root = ""
    utterances: list[Utterance] = []
    try:
        for row, told in _rows(path):
            root = root or told
            missing = [name for name in COLUMNS if name not in row] if not utterances else []
            if missing:
                raise CorpusError(_no_manifest(path, f"lacks the column '{missing[0]}'"))
            utterances.append(_utterance(path, row))
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise CorpusError(f"{path} is neither a CSV nor a Parquet table: {error}.") from None
    if not utterances:
        raise CorpusError(_no_manifest(path, "holds no rows"))
    return Manifest(Path(root) if root else path.parent, tuple(utterances))


def _no_manifest(path: Path, why: str) -> str:
    return f"{path} {why}; make a manifest with 'vocalics corpus scan NAME ROOT -o MANIFEST'."


def _utterance(path: Path, row: Mapping[str, Any]) -> Utterance:
    words = {name: str(row[name] or "") for name in COLUMNS if name != "duration_s"}
    words |= {name: sys.intern(words[name]) for name in _REPEATED}
    try:
        return Utterance(**words, duration_s=float(row["duration_s"]))
    except (TypeError, ValueError) as error:
        raise CorpusError(f"{path} has a value that does not fit its column: {error}.") from None


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each row of a table, and the root that the table says; a few rows are held at a time."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as table:
            root = (table.schema_arrow.metadata or {}).get(b"vocalics.root", b"").decode()
            for batch in table.iter_batches():
                yield from ((row, root) for row in batch.to_pylist())
        return
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from ((row, str(row.get("root") or "")) for row in csv.DictReader(file))
