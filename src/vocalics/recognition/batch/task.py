"""What is asked of every recording, and how one of them is answered: name in, rows out."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from vocalics.errors import AudioError, ModelError
from vocalics.recognition.external_weights import external_files
from vocalics.recognition.formats import json_text, rounded
from vocalics.recognition.model import Model
from vocalics.recognition.prediction import Prediction
from vocalics.recognition.timeline import timeline

#: What a row about a segment says besides, where there is no segment to tell of.
_NO_SEGMENT = {"start_s": None, "end_s": None, "speaker": None}


@dataclass(frozen=True)
class Task:
    """What is asked of every recording.

    Attributes
    ----------
    model, digest
        Name of a bundled model or path of a file, and the SHA-256 that it must have.
    timeline
        Whether a row is a segment; else it is a prediction.
    channels, adapt, window_s, hop_s
        As of `vocalics.timeline`.
    abstain_below
        As of `Model.predict`.
    """

    model: str
    digest: str
    timeline: bool = False
    channels: str = "mix"
    adapt: str = "auto"
    window_s: float | None = None
    hop_s: float | None = None
    abstain_below: float | None = None


@dataclass(frozen=True)
class Heard:
    """What became of one recording.

    Attributes
    ----------
    rows
        At least one, each a line of JSON as in the contract, its end included.
    audio_s
        Seconds of sound that were heard.
    failed
        Whether a row has an error.
    """

    rows: tuple[bytes, ...]
    audio_s: float
    failed: bool


class Listener:
    """Answers recordings, one after another; it holds the model.

    Raises
    ------
    ModelError
        The model cannot be opened, or is not the one that is meant.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._model = Model.load(task.model)
        if (found := model_digest(self._model.path)) != task.digest:
            raise ModelError(
                f"the model file {self._model.path} is not the one that the run began with (its SHA-256 is "
                f"{found[:12]}..., not {task.digest[:12]}...); give that one, or begin in another folder."
            )

    def hear(self, name: str, fetch: Callable[[], BinaryIO] | None = None) -> Heard:
        """Answer one recording; whatever is wrong with it is an answer too.

        Parameters
        ----------
        name
            The path, or what the recording is called.
        fetch
            Returns what is no local file as a file that has this name.
        """
        answer = self._segments if self._task.timeline else self._prediction
        try:
            return answer(name, name if fetch is None else fetch())
        except Exception as error:
            return failed(name, self._model.name, _sentence(name, error), timeline=self._task.timeline)

    def _prediction(self, name: str, source: str | BinaryIO) -> Heard:
        (found,) = self._model.predict_iter([source], abstain_below=self._task.abstain_below)
        return Heard((_row(found),), found.duration_s or 0.0, found.error is not None)

    def _segments(self, name: str, source: str | BinaryIO) -> Heard:
        task = self._task
        found = timeline(
            source,
            self._model,
            channels=task.channels,
            adapt=task.adapt,
            window_s=task.window_s,
            hop_s=task.hop_s,
            abstain_below=task.abstain_below,
        )
        rows = [_row(segment) for segment in found.segments]
        rest = Prediction(name, None, None, duration_s=found.duration_s, model=self._model.name)
        if found.error is not None:
            rows.append(_row(replace(rest, error=found.error), _NO_SEGMENT))
        elif not rows:
            rows.append(_row(replace(rest, abstained=True, reason="no speech"), _NO_SEGMENT))
        return Heard(tuple(rows), found.duration_s, found.error is not None)


def failed(name: str, model: str, sentence: str, *, timeline: bool) -> Heard:
    """Return what is told of a recording that cannot be used."""
    row = Prediction(name, None, None, model=model, error=sentence)
    return Heard((_row(row, _NO_SEGMENT if timeline else {}),), 0.0, True)


def model_digest(path: Path) -> str:
    """Return the SHA-256 of a model file; where weights lie beside it, that of all of them in a row."""
    digest = hashlib.sha256(model := path.read_bytes())
    for name in external_files(model, path):
        with path.with_name(name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def pack(answers: Sequence[Heard]) -> bytes:
    """Return answers as a message: a line of JSON, and the rows."""
    head = [[len(one.rows), round(one.audio_s, 3), one.failed] for one in answers]
    return b"".join([json.dumps(head).encode(), b"\n", *(row for one in answers for row in one.rows)])


def unpack(file: BinaryIO) -> list[Heard] | None:
    """Wait for a message of `pack`; None at the end, or where it breaks off.

    Raises
    ------
    ValueError
        What comes is no such message.

    Examples
    --------
    >>> import io
    >>> silence = failed("a.wav", "toy", "a.wav is empty.", timeline=False)
    >>> unpack(io.BytesIO(pack([silence, silence]))) == [silence, silence]
    True
    """
    head = file.readline()
    if not head.endswith(b"\n"):
        return None
    answers = []
    for n_rows, audio_s, has_failed in json.loads(head):
        rows = tuple(file.readline() for _ in range(n_rows))
        if not rows or not rows[-1].endswith(b"\n"):
            return None
        answers.append(Heard(rows, float(audio_s), bool(has_failed)))
    return answers


def _row(prediction: Prediction, rest: dict[str, Any] | None = None) -> bytes:
    return json_text(rounded(prediction).to_dict() | (rest or {})).encode() + b"\n"


def _sentence(name: str, error: Exception) -> str:
    """Say what is wrong with a recording."""
    if isinstance(error, MemoryError):
        return f"{name} takes more memory than one recording is granted; cut it up, or lower its rate."
    if isinstance(error, AudioError):
        return str(error)
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{name} led vocalics astray ({told}); please report this with the recording."
