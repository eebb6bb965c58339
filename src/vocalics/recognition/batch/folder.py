"""The folder that rows are written to: parts that are whole or not there, and a record of the run.

::

    calls/
      part-00000.parquet ...   rows, in the order of the list
      _run/                    what readers of tables pass over
        run.json               what was asked
        inputs.jsonl           the list of recordings
        parts.jsonl            a line for every part, written before the part is put in its place
        lock                   held by the run that works here
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from vocalics.errors import UsageError
from vocalics.files import write_atomically
from vocalics.recognition.batch.inputs import Inputs
from vocalics.recognition.batch.tally import Tally
from vocalics.recognition.batch.task import Heard
from vocalics.recognition.formats import AFTER, AFTER_OF_SEGMENTS, record_cells
from vocalics.recognition.parquet import rows_to_parquet

#: Least digits of a part's number, so that parts are in order by their names.
DIGITS = 5


@dataclass(frozen=True)
class Record:
    """What a run was asked for.

    Attributes
    ----------
    version
        Of vocalics.
    model, model_file, model_digest
        Its name, the path of its file (of a bundled one the name), and the file's SHA-256.
    emotions
        The model's.
    settings
        What rows depend on.
    recordings, inputs_digest
        How many there are, and the SHA-256 of their list.
    closed
        Errors of folders that could not be opened when the list was made.
    """

    version: str
    model: str
    model_file: str
    model_digest: str
    emotions: tuple[str, ...]
    settings: dict[str, Any]
    recordings: int
    inputs_digest: str
    closed: tuple[str, ...] = ()

    @property
    def part_size(self) -> int:
        """Recordings in a part."""
        return int(self.settings["part_size"])

    @property
    def n_parts(self) -> int:
        """How many parts there will be."""
        return -(-self.recordings // self.part_size)

    def size_of(self, part: int) -> int:
        """Return how many recordings a part has."""
        return min(self.part_size, self.recordings - part * self.part_size)


class Folder:
    """A folder of rows; `open_folder` opens one.

    Attributes
    ----------
    path
        The folder.
    record
        What its run was asked for; None where none has begun.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "_run"
        self.record: Record | None = None
        run = self.state / "run.json"
        if run.is_file():
            self.record = _read_record(run)

    @property
    def inputs_path(self) -> Path:
        """Where the list of recordings lies."""
        return self.state / "inputs.jsonl"

    @property
    def inputs(self) -> Inputs:
        """The list of recordings."""
        assert self.record is not None
        return Inputs(self.inputs_path, self.record.recordings, self.record.inputs_digest)

    def begin(self, record: Record) -> None:
        """Write down what is asked; from here on the run can be resumed."""
        with writing(self.path):
            write_atomically(self.state / "run.json", json.dumps(asdict(record), indent=1) + "\n")
        self.record = record

    def finished(self) -> dict[int, Tally]:
        """Return what is counted of every part that is there."""
        told: dict[int, Tally] = {}
        if self._parts.is_file():
            for line in self._parts.read_bytes().split(b"\n"):
                try:
                    record = json.loads(line)
                except ValueError:  # a line that was broken off
                    continue
                part = record.pop("part")
                told[part] = Tally.of(record)
        return {part: tally for part, tally in sorted(told.items()) if self.part_path(part).is_file()}

    def part_path(self, part: int) -> Path:
        """Return where a part lies."""
        assert self.record is not None
        digits = max(DIGITS, len(str(self.record.n_parts - 1)))
        return self.path / f"part-{part:0{digits}}.{self.record.settings['format']}"

    def write_part(self, part: int, answers: Sequence[Heard]) -> Tally:
        """Write a part, and count what is in it.

        Parameters
        ----------
        part
            Its number.
        answers
            What became of its recordings, in their order.
        """
        assert self.record is not None
        tally = Tally()
        records = json.loads(b"[" + b",".join(row for one in answers for row in one.rows) + b"]")
        left = iter(records)
        for one in answers:
            tally.count(islice(left, len(one.rows)), one.audio_s)
        if self.record.settings["format"] == "parquet":
            after = AFTER_OF_SEGMENTS if self.record.settings["timeline"] else AFTER
            cells = (record_cells(row, self.record.emotions, after) for row in records)
            told = {
                "vocalics.version": self.record.version,
                "vocalics.model": self.record.model,
                "vocalics.model_sha256": self.record.model_digest,
            }
            content = rows_to_parquet(cells, self.record.emotions, after, told)
        else:
            content = b"".join(row for one in answers for row in one.rows)
        with writing(self.path):
            self._note({"part": part} | tally.to_dict())
            write_atomically(self.part_path(part), content)
        return tally

    def clean(self) -> None:
        """Remove what a run that was killed left half written."""
        for half in self.path.glob(".part-*.part"):
            half.unlink(missing_ok=True)
        if self._parts.is_file() and not self._parts.read_bytes().endswith(b"\n"):
            with self._parts.open("ab") as file:
                file.write(b"\n")

    @property
    def _parts(self) -> Path:
        return self.state / "parts.jsonl"

    def _note(self, record: dict[str, Any]) -> None:
        """Add a line to what is told of the parts."""
        with self._parts.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _read_record(path: Path) -> Record:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Record(**told | {"emotions": tuple(told["emotions"]), "closed": tuple(told["closed"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"'{path}' does not tell what its run was asked for ({error}); begin anew in another folder."
        ) from None


@contextmanager
def open_folder(path: Path, resume: bool) -> Iterator[Folder]:
    """Open a folder, for this run alone.

    Raises
    ------
    UsageError
        It cannot be written to; it is not empty and nothing is to be resumed; there is nothing to resume; or
        another run works there.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        state = path / "_run"
        begun = state.is_dir()
        if not resume and any(path.iterdir()):
            advice = "go on with its run by resuming it (--resume)" if begun else "or empty it"
            raise UsageError(f"the folder '{path}' is not empty; name a new one, {advice}.")
        if resume and not begun and any(path.iterdir()):
            raise UsageError(
                f"the folder '{path}' holds no run to be resumed; name the folder of one, or a new one."
            )
        state.mkdir(exist_ok=True)
        lock = (state / "lock").open("wb")
    with lock:
        _take(lock, path)
        folder = Folder(path)
        folder.clean()
        yield folder


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence that the folder cannot be written to."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the folder '{path}' cannot be written to: {error.strerror}; make that good and resume the run "
            "(--resume), or name another folder."
        ) from error


def _take(lock: BinaryIO, path: Path) -> None:
    """Hold a folder's lock until its file is closed, or this process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has none of this kind
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"another run works in '{path}'; wait until it has ended, or name another folder."
        ) from None
    except OSError:  # a file system without locks
        return
