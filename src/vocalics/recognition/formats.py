"""Predictions as text and back: JSON, JSON Lines and CSV.

Every writer yields pieces of text as the predictions come, so that a reader at the other end of a pipe need
not wait for the last. Probabilities are written to six decimals and times to the millisecond; more would be
noise.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from unicodedata import category

from vocalics.recognition.prediction import Prediction, Segment

#: Columns of a table before and after one column for every emotion: the JSON contract's order.
BEFORE = ("path", "emotion", "confidence")
AFTER = ("abstained", "reason", "duration_s", "model", "error")

#: The same, for segments.
AFTER_OF_SEGMENTS = (*AFTER, "start_s", "end_s", "speaker")

_P = TypeVar("_P", bound=Prediction)


def predictions_to_jsonl(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Yield one JSON object a line.

    Examples
    --------
    >>> sad = Prediction("a.wav", "sad", 0.75, {"sad": 0.75, "calm": 0.25}, duration_s=2.5, model="toy")
    >>> print("".join(predictions_to_jsonl([sad])))
    {"path": "a.wav", "emotion": "sad", "confidence": 0.75, "probabilities": {"sad": 0.75, "calm": 0.25},
     "abstained": false, "reason": null, "duration_s": 2.5, "model": "toy", "error": null}
    """
    return (f"{_to_json(prediction)}\n" for prediction in predictions)


def predictions_to_json(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Yield the text of one JSON list of objects."""
    separator = "[\n"
    for prediction in predictions:
        yield f"{separator} {_to_json(prediction)}"
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def predictions_to_csv(
    predictions: Iterable[Prediction], emotions: Sequence[str], after: Sequence[str] = AFTER
) -> Iterator[str]:
    """Yield the lines of a CSV table with one column for every emotion; what is not known stays empty.

    Behind the emotions stand the columns `after`.

    Examples
    --------
    >>> failed = Prediction("a.wav", None, None, model="toy", error="no such file")
    >>> print("".join(predictions_to_csv([failed], ["sad", "calm"])))
    path,emotion,confidence,sad,calm,abstained,reason,duration_s,model,error
    a.wav,,,,,false,,,toy,no such file
    """
    yield _csv_line([*BEFORE, *emotions, *after])
    for prediction in predictions:
        yield _csv_line(cells(prediction, emotions, after))


def cells(prediction: Prediction, emotions: Sequence[str], after: Sequence[str]) -> list[Any]:
    """Return one row of a table: the values under `BEFORE`, the emotions and `after`."""
    return record_cells(rounded(prediction).to_dict(), emotions, after)


def record_cells(record: Mapping[str, Any], emotions: Sequence[str], after: Sequence[str]) -> list[Any]:
    """Return one row of a table, as `cells` does, out of the JSON contract's object."""
    probabilities = record["probabilities"]
    return [
        *(record[key] for key in BEFORE),
        *(probabilities.get(emotion) for emotion in emotions),
        *(record[key] for key in after),
    ]


def jsonl_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_jsonl` wrote."""
    return [Prediction(**json.loads(line)) for line in text.split("\n") if line]


def json_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_json` wrote."""
    return [Prediction(**record) for record in json.loads(text)]


def csv_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_csv` wrote."""
    return [Prediction(**prediction_fields(row)) for row in csv_rows(text)]


def csv_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV table, its cells by their columns."""
    return csv.DictReader(io.StringIO(text, newline=""))


def prediction_fields(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a prediction, or those that a segment shares with it, from a row of text."""
    emotions = [column for column in row if column not in (*BEFORE, *AFTER_OF_SEGMENTS)]
    return {
        "path": row["path"] or None,
        "emotion": row["emotion"] or None,
        "confidence": _number(row["confidence"]),
        "probabilities": {emotion: float(row[emotion]) for emotion in emotions if row[emotion]},
        "abstained": row["abstained"] == "true",
        "reason": row["reason"] or None,
        "duration_s": _number(row["duration_s"]),
        "model": row["model"],
        "error": row["error"] or None,
    }


def rounded(prediction: _P) -> _P:
    """Return a prediction, or a segment, with its numbers as they are written."""
    changes: dict[str, Any] = {
        "confidence": None if prediction.confidence is None else round(prediction.confidence, 6),
        "probabilities": {emotion: round(p, 6) for emotion, p in prediction.probabilities.items()},
        "duration_s": None if prediction.duration_s is None else round(prediction.duration_s, 3),
    }
    if isinstance(prediction, Segment):
        start_s, end_s = round(prediction.start_s, 3), round(prediction.end_s, 3)
        # By itself it could differ by a millisecond from what the two tell.
        changes |= {"start_s": start_s, "end_s": end_s, "duration_s": round(end_s - start_s, 3)}
    return replace(prediction, **changes)


def json_text(value: Any) -> str:
    """Return a value as JSON in one line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # A file name that is not Unicode holds lone surrogates: no UTF-8 text can, but a JSON escape brings
    # them back.
    return text if _is_unicode(text) else json.dumps(value, allow_nan=False)


def unicode_text(text: str) -> str:
    r"""Return text that UTF-8 can hold: lone surrogates become escapes.

    Examples
    --------
    >>> unicode_text("caf\udce9.wav")
    'caf\\udce9.wav'
    """
    return text.encode(errors="backslashreplace").decode()


def one_line(text: str) -> str:
    r"""Return text as `unicode_text` in one line: line ends, tabs and control characters become blanks.

    Examples
    --------
    >>> one_line("Ann\tB.\n")
    'Ann B.'
    """
    blanked = (" " if category(character) == "Cc" else character for character in unicode_text(text))
    return " ".join("".join(blanked).split())


def _to_json(prediction: Prediction) -> str:
    return json_text(rounded(prediction).to_dict())


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    # The writer quotes cells that hold a character of its own line end, so this one makes it quote CR and LF.
    csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return unicode_text(value) if isinstance(value, str) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
