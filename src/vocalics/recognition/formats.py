"""Predictions as text and back: JSON, JSON Lines and CSV.

Every writer yields pieces of text as the predictions come, so that a reader at the other end of a pipe need
not wait for the last. Probabilities are written to six decimals and durations to the millisecond; more
would be noise.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from vocalics.recognition.prediction import Prediction

#: Columns of a CSV table before and after one column for every emotion: the JSON contract's order.
_BEFORE = ("path", "emotion", "confidence")
_AFTER = ("abstained", "reason", "duration_s", "model", "error")


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


def predictions_to_csv(predictions: Iterable[Prediction], emotions: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a CSV table with one column for every emotion; what is not known stays empty.

    Examples
    --------
    >>> failed = Prediction("a.wav", None, None, model="toy", error="no such file")
    >>> print("".join(predictions_to_csv([failed], ["sad", "calm"])))
    path,emotion,confidence,sad,calm,abstained,reason,duration_s,model,error
    a.wav,,,,,false,,,toy,no such file
    """
    yield _csv_line([*_BEFORE, *emotions, *_AFTER])
    for prediction in predictions:
        record = _rounded(prediction).to_dict()
        probabilities = record["probabilities"]
        cells = [record[key] for key in _BEFORE]
        cells += [probabilities.get(emotion) for emotion in emotions]
        cells += [record[key] for key in _AFTER]
        yield _csv_line(cells)


def jsonl_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_jsonl` wrote."""
    return [Prediction(**json.loads(line)) for line in text.split("\n") if line]


def json_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_json` wrote."""
    return [Prediction(**record) for record in json.loads(text)]


def csv_to_predictions(text: str) -> list[Prediction]:
    """Read what `predictions_to_csv` wrote."""
    predictions = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        emotions = [column for column in row if column not in (*_BEFORE, *_AFTER)]
        predictions.append(
            Prediction(
                path=row["path"] or None,
                emotion=row["emotion"] or None,
                confidence=_number(row["confidence"]),
                probabilities={emotion: float(row[emotion]) for emotion in emotions if row[emotion]},
                abstained=row["abstained"] == "true",
                reason=row["reason"] or None,
                duration_s=_number(row["duration_s"]),
                model=row["model"],
                error=row["error"] or None,
            )
        )
    return predictions


def _rounded(prediction: Prediction) -> Prediction:
    return replace(
        prediction,
        confidence=None if prediction.confidence is None else round(prediction.confidence, 6),
        probabilities={emotion: round(p, 6) for emotion, p in prediction.probabilities.items()},
        duration_s=None if prediction.duration_s is None else round(prediction.duration_s, 3),
    )


def _to_json(prediction: Prediction) -> str:
    record = _rounded(prediction).to_dict()
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # A file name that is not Unicode holds lone surrogates: no UTF-8 text can, but a JSON escape brings
    # them back.
    return text if _is_unicode(text) else json.dumps(record, allow_nan=False)


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    # The writer quotes cells that hold a character of its own line end, so this one makes it quote CR and LF.
    csv.writer(line, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not _is_unicode(value):
        return value.encode(errors="backslashreplace").decode()
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
