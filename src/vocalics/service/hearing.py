"""What a worker does with one recording: the answers of the command line, ready to be sent.

Everything here runs in a process of its own, which may die of what strangers send.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError, VocalicsError
from vocalics.recognition.formats import json_text, rounded
from vocalics.recognition.model import Model
from vocalics.recognition.parquet import require_parquet
from vocalics.recognition.prediction import Prediction, Timeline
from vocalics.recognition.recordings import MAX_DURATION_S
from vocalics.recognition.rttm import Turn, read_rttm
from vocalics.recognition.timeline import USUAL_PLAN, timeline
from vocalics.recognition.timeline_formats import FORMATS

#: Files up to this size are read at once, bytes: decoders ask for little pieces.
READ_AT_ONCE_BYTES = 8 << 20

#: What a recording is called that has no name.
UNNAMED = "the recording"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes
    ----------
    body
        The document.
    form
        Its format, as of `timeline_formats`.
    failed
        Whether the recording could not be used, or not to its end; the document is JSON and says why.
    duration_s
        Length of the recording; None when it could not be read.
    """

    body: bytes
    form: str
    failed: bool
    duration_s: float | None


@dataclass(frozen=True, eq=False)
class _Upload(Waveform):
    """Sound that knows what its sender calls it, as a file does."""

    name: str | None = None


class _TooLong(VocalicsError):
    """A recording goes on beyond the limit."""


def predict(model: Model, path: str, name: str | None, options: Mapping[str, Any]) -> Answer:
    """Answer with the JSON contract of a prediction.

    Parameters
    ----------
    model
        An open model.
    path, name
        The file, and what its sender calls it.
    options
        ``abstain_below`` as of `Model.predict`, and ``max_duration_s``.
    """
    try:
        sound = _read(path, name, min(options["max_duration_s"], MAX_DURATION_S))
    except AudioError as error:
        return failed_prediction(name, model.name, str(error))
    (found,) = model.predict_iter([sound], abstain_below=options["abstain_below"])
    return _prediction_answer(found)


def tell_timeline(model: Model, path: str, name: str | None, options: Mapping[str, Any]) -> Answer:
    """Answer with a timeline in the format that is asked for, or in JSON where the recording fails.

    Parameters
    ----------
    model, path, name
        As of `predict`.
    options
        ``channels``, ``adapt``, ``hop_s``, ``window_s`` and ``abstain_below`` as of `vocalics.timeline`;
        ``rttm``, the path of a diarization, or None; ``format``; and ``max_duration_s``.

    Raises
    ------
    UsageError
        An option is out of range, or the diarization cannot be used.
    """
    if options["format"] == "parquet":
        require_parquet()
    limit_s = options["max_duration_s"]

    def watch(done_s: float, total_s: float | None) -> None:
        if max(done_s, total_s or 0.0) > limit_s:
            raise _TooLong(
                f"{name or UNNAMED} has more than {limit_s:g} s of sound, which is the most that is heard "
                "here; send a shorter span of it."
            )

    try:
        with _file(path, name) as file:
            found = timeline(
                file,
                model,
                channels=options["channels"],
                turns=None if options["rttm"] is None else _read_turns(options["rttm"], name),
                adapt=options["adapt"],
                hop_s=options["hop_s"],
                window_s=options["window_s"],
                abstain_below=options["abstain_below"],
                progress=watch,
            )
    except (AudioError, _TooLong) as error:
        card = model.card
        return failed_timeline(name, card.name, card.emotions, card.window_s, options, str(error))
    return _timeline_answer(replace(found, path=name), options["format"])


def failed_prediction(name: str | None, model: str, error: str) -> Answer:
    """Return the answer for a recording that cannot be used."""
    return _prediction_answer(Prediction(name, None, None, model=model, error=error))


def failed_timeline(
    name: str | None,
    model: str,
    emotions: Sequence[str],
    longest_window_s: float,
    options: Mapping[str, Any],
    error: str,
) -> Answer:
    """Return the timeline of a recording that cannot be used."""
    window_s = options["window_s"] or min(USUAL_PLAN.window_s, longest_window_s)
    hop_s = options["hop_s"] or min(USUAL_PLAN.hop_s, window_s)
    found = Timeline(name, 0.0, model, tuple(emotions), window_s, hop_s, (), (), error=error)
    return _timeline_answer(found, "json")


def _prediction_answer(found: Prediction) -> Answer:
    body = json_text(rounded(found).to_dict()).encode()
    return Answer(body, "json", found.error is not None, found.duration_s)


def _timeline_answer(found: Timeline, form: str) -> Answer:
    form = form if found.error is None else "json"
    content = FORMATS[form].write(found)
    body = content if isinstance(content, bytes) else content.encode()
    return Answer(body, form, found.error is not None, found.duration_s)


def _file(path: str, name: str | None) -> Any:
    """Open an upload under the name that its sender gave it, so that errors and answers call it so."""
    if Path(path).stat().st_size <= READ_AT_ONCE_BYTES:
        small: Any = io.BytesIO(Path(path).read_bytes())
        small.name = name
        return small
    large: Any = io.FileIO(path)
    large.name = name
    return io.BufferedReader(large)


def _read(path: str, name: str | None, limit_s: float) -> _Upload:
    """Decode an upload; say so when it takes too much memory."""
    try:
        with _file(path, name) as file:
            sound = audio.read(file, name=name or UNNAMED, max_duration_s=limit_s)
    except (AudioError, MemoryError) as error:
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
            raise AudioError(
                f"{name or UNNAMED} takes more memory than one recording is granted; send fewer channels, a "
                "lower sample rate or a shorter span of it."
            ) from None
        raise
    return _Upload(sound.samples, sound.sample_rate, name)


def _read_turns(path: str, name: str | None) -> list[Turn]:
    """Read a diarization; errors do not tell where it lies here."""
    try:
        return read_rttm(path, name)
    except UsageError as error:
        raise UsageError(str(error).replace(path, "the diarization")) from None
