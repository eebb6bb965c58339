"""``vocalics predict``: which emotion is in these recordings."""

import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocalics.cli.files import adapted, check_output, open_recording, write_output
from vocalics.cli.screen import PAGE_WIDTH, show, summary, tell
from vocalics.errors import UsageError, VocalicsError

if TYPE_CHECKING:
    from vocalics.recognition.prediction import Prediction
    from vocalics.recognition.recordings import Recording

app = typer.Typer()

#: From so many recordings on, progress and a summary are told on stderr.
MANY = 6


class Format(StrEnum):
    """How predictions are written."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Audio or video files, folders (walked recursively), patterns, or - for standard input.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model, or an .onnx file."),
    ] = None,
    adapt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|self",
            help="Unlabelled recordings of the same speaker (may be repeated), or 'self': the given ones are "
            "all of one person.",
        ),
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="Confidence, 0 to 1, under which the model abstains; else its own."),
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Play each recording, then show its answer, one after another.")
    ] = False,
    format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="Else: the suffix of FILE; a table in a terminal; jsonl."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
) -> None:
    """Say which emotion is in each recording, and how sure that is.

    Exit code: 0 all answered ("no speech" is an answer), 1 some recordings failed, 2 the call was wrong.
    """
    from vocalics.recognition.model import load
    from vocalics.recognition.prediction import Prediction
    from vocalics.recognition.recordings import list_recordings

    form = _choose_format(format, output)
    opened = load(model)
    if adapt and adapt != ["self"]:
        opened = adapted(opened, adapt, _track)
    found, failed = list_recordings(paths)

    in_sight = form is not Format.table and output is None and sys.stdout.isatty()  # the answers themselves
    recordings = [open_recording(path) for path in found]
    answers = opened.predict_iter(
        recordings if in_sight or play else _track(recordings),
        abstain_below=abstain_below,
        adapt="self" if adapt == ["self"] else None,
    )
    named: Iterable[Prediction] = (
        replace(answer, path=path) for path, answer in zip(found, answers, strict=True)
    )
    if play:
        named = _played(recordings, named)
    lost = [
        Prediction(path, None, None, model=opened.name, error=str(error)) for path, error in failed.items()
    ]

    counts: Counter[str] = Counter()
    _write(_told(chain(lost, named), counts), form, output, opened.emotions, one_by_one=play)
    if counts.total() >= MANY:
        tell(summary(counts))
    if counts["failed"]:
        raise typer.Exit(1)


def _choose_format(format: Format | None, output: str | None) -> Format:
    """Return the format asked for, else that of the file's suffix, else what suits stdout."""
    if output is not None:
        check_output(output, ".json, .jsonl or .csv")
    if format is not None:
        return format
    if output is None:
        return Format.table if sys.stdout.isatty() else Format.jsonl
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix not in list(Format):
        raise UsageError(
            f"'{output}' names no format; let it end in .json, .jsonl or .csv, or give --format."
        )
    return Format(suffix)


def _track(recordings: "Sequence[Recording]") -> "Iterable[Recording]":
    """Yield the recordings, under a progress bar when they are many and stderr is a terminal."""
    if len(recordings) < MANY or not sys.stderr.isatty():
        return recordings
    from rich.console import Console
    from rich.progress import track

    return track(recordings, description="Listening", console=Console(stderr=True), transient=True)


def _played(recordings: "Iterable[Recording]", predictions: "Iterable[Prediction]") -> "Iterator[Prediction]":
    """Yield each prediction once its recording was played; that it cannot be is said once."""
    from vocalics.recognition.playback import play
    from vocalics.recognition.recordings import read_recording

    silent = False
    for recording, prediction in zip(recordings, predictions, strict=True):
        if not silent and prediction.error is None:
            try:
                play(read_recording(recording))
            except VocalicsError as error:
                tell(f"--play: {error}")
                silent = True
        yield prediction


def _told(predictions: "Iterable[Prediction]", counts: Counter[str]) -> "Iterator[Prediction]":
    """Yield the predictions; tell every failure on stderr, and count what was answered."""
    for prediction in predictions:
        if prediction.error is not None:
            tell(prediction.error)
            counts["failed"] += 1
        else:
            counts[prediction.emotion or "no speech"] += 1
        yield prediction


def _write(
    predictions: "Iterable[Prediction]",
    form: Format,
    output: str | None,
    emotions: Sequence[str],
    one_by_one: bool,
) -> None:
    """Draw a table in the terminal, write text to stdout as answers come, or a file when all are there."""
    if form is Format.table and output is None:
        from rich.console import Console

        # One table of all, since the columns' widths depend on all; or each answer drawn by itself.
        for shown in ([one] for one in predictions) if one_by_one else [list(predictions)]:
            show(shown, Console())
        return
    pieces = _to_text(predictions, form, emotions)
    if output is not None:
        write_output(output, "".join(pieces))
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode())  # UTF-8 everywhere: programs read this
        sys.stdout.buffer.flush()


def _to_text(predictions: "Iterable[Prediction]", form: Format, emotions: Sequence[str]) -> Iterator[str]:
    from vocalics.recognition import formats

    if form is Format.table:
        return _plain_table(list(predictions))
    if form is Format.csv:
        return formats.predictions_to_csv(predictions, emotions)
    return {Format.json: formats.predictions_to_json, Format.jsonl: formats.predictions_to_jsonl}[form](
        predictions
    )


def _plain_table(predictions: "list[Prediction]") -> Iterator[str]:
    from rich.console import Console

    page = io.StringIO()
    show(predictions, Console(file=page, width=PAGE_WIDTH))
    yield page.getvalue()
