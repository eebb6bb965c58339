"""What predictions look like in a terminal."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from vocalics.recognition.prediction import Prediction, SpeakerSummary, Timeline

#: Width of a table that goes to a file, in characters.
PAGE_WIDTH = 100

_EIGHTHS = " ▏▎▍▌▋▊▉"
_WIDEST_BAR, _NARROWEST_BAR, _NARROWEST_PATH = 30, 10, 8  # characters
_WIDE_PAGE = 76  # from here on there is a place for the runner-up
_MEDIUM_PAGE = 60  # from here on a timeline has bars
_GAP = 2  # blanks between columns


def printable(text: str) -> str:
    r"""Return `text` with everything that a terminal would act on, or cannot show, as an escape.

    File names may hold line feeds, control sequences, and bytes that are not Unicode.

    Examples
    --------
    >>> print(printable("caf\u00e9\n\x1b[31m\udcff.wav"))
    café\n\x1b[31m\udcff.wav
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def tell(sentence: str) -> None:
    """Print one line on stderr, as from this program; above a progress bar when there is one."""
    sys.stderr.write(f"vocalics: {printable(sentence)}\n")


@contextmanager
def progress(what: str, in_bytes: bool = False) -> Iterator[Callable[[int, int | None], None] | None]:
    """Draw a bar on stderr when that is a terminal; yields what to call with (done, all), or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    counter = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counter, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)


@contextmanager
def progress_in_time(what: str) -> Iterator[Callable[[float, float | None], None] | None]:
    """Draw a bar of recorded time, as `progress` does; yields what to call with (done_s, all_s), or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[heard]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None, heard="")

        def heard(done_s: float, total_s: float | None) -> None:
            told = clock(done_s) + (f" of {clock(total_s)}" if total_s else "")
            drawn.update(task, completed=done_s, total=total_s, heard=told)

        yield heard


def clock(time_s: float) -> str:
    """Return a time of a recording as people write it.

    Examples
    --------
    >>> clock(7.26), clock(754), clock(3600)
    ('0:07', '12:34', '1:00:00')
    """
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _moment(time_s: float) -> str:
    """Return a time to a tenth of a second."""
    return f"{clock(time_s)}.{int(10 * time_s) % 10}"


def bar(share: float, width: int, ascii_only: bool = False) -> str:
    """Return a bar of `share` (0 to 1) of `width` characters, drawn in eighths where the terminal has them.

    Examples
    --------
    >>> bar(0.5, 8), bar(0.3125, 8), bar(0.5, 8, ascii_only=True)
    ('████', '██▌', '####')
    """
    if ascii_only:
        return "#" * round(share * width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()


def show(predictions: Sequence["Prediction"], console: "Console") -> None:
    """Print one prediction with a bar for every emotion, or several as a table."""
    if len(predictions) == 1 and predictions[0].error is None:
        _show_one(predictions[0], console)
    elif predictions:
        console.print(_table(predictions, console))


def show_timeline(timeline: "Timeline", console: "Console") -> None:
    """Print the segments as a table, a summary of every speaker, and the notes."""
    from rich.table import Table
    from rich.text import Text

    head = Text(printable(timeline.path or "-"), style="bold")
    head.append(f"  {clock(timeline.duration_s)}  {timeline.model}", style="dim not bold")
    console.print(head, soft_wrap=True)
    several, ascii_only = len(timeline.speakers) > 1, console.options.ascii_only
    width = _WIDEST_BAR if console.width >= _WIDE_PAGE else _NARROWEST_BAR
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    if several:
        table.add_column("speaker", no_wrap=True)
    table.add_column("emotion", no_wrap=True)
    if bars := console.width >= _MEDIUM_PAGE:
        table.add_column("confidence", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    for segment in timeline.segments:
        style, confidence = _color(segment.emotion or ""), segment.confidence or 0.0
        if segment.abstained:
            style = "dim"
        table.add_row(
            _moment(segment.start_s),
            _moment(segment.end_s),
            *([printable(segment.speaker)] if several else []),
            Text(segment.emotion or "-", style=style if segment.abstained else f"bold {style}"),
            *([Text(bar(confidence, width, ascii_only), style=style)] if bars else []),
            _percent(confidence),
            Text(_note(segment), style="dim"),
        )
    if timeline.segments:
        console.print(table)
    for speaker in timeline.speakers:
        console.print(Text(printable(speaker.speaker), style="bold"), Text(_shares(speaker)), sep="  ")
        for point in speaker.turning_points:
            console.print(f"  {clock(point.time_s)}  from {point.before} to {point.after}")
    for note in timeline.notes:
        console.print(Text(printable(note), style="dim"))


def _shares(speaker: "SpeakerSummary") -> str:
    """Say in a line how much somebody spoke, and how."""
    if not speaker.share:
        return "no speech"
    ranked = sorted(speaker.share.items(), key=lambda item: -item[1])
    parts = [f"{_percent(share).strip()} {label}" for label, share in ranked if round(100 * share) > 0]
    position = (
        "" if speaker.valence is None else f"; valence {speaker.valence:+.2f}, arousal {speaker.arousal:+.2f}"
    )
    return f"{clock(speaker.speech_s)} of speech: {', '.join(parts)}{position}"


def summary(predictions: Counter[str]) -> str:
    """Return one line about many answers, counted by emotion, ``no speech`` and ``failed``.

    Examples
    --------
    >>> summary(Counter(angry=2, sad=3, failed=1))
    '6 recordings: 3 sad, 2 angry, 1 failed'
    """
    last = ("no speech", "failed")
    parts = [f"{count} {what}" for what, count in predictions.most_common() if what not in last]
    parts += [f"{predictions[what]} {what}" for what in last if predictions[what]]
    return f"{predictions.total()} recordings: {', '.join(parts)}"


def _show_one(prediction: "Prediction", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    head = Text(printable(prediction.path or "-"), style="bold")
    head.append(f"  {prediction.duration_s:.1f} s  {prediction.model}", style="dim not bold")
    console.print(head, soft_wrap=True)
    if prediction.emotion is None:
        console.print(f"  {prediction.reason}")
        return
    table = Table(box=None, show_header=False, padding=(0, _GAP, 0, 0), pad_edge=False)
    width = max(_NARROWEST_BAR, min(2 * _WIDEST_BAR, console.width - 24))
    for emotion, probability in sorted(prediction.probabilities.items(), key=lambda item: -item[1]):
        best = "bold" if emotion == prediction.emotion else ""
        drawn = Text(bar(probability, width, console.options.ascii_only), style=_color(emotion))
        table.add_row(Text(f"  {emotion}", style=best), drawn, Text(_percent(probability), style=best))
    console.print(table)
    if prediction.abstained:
        console.print(f"  abstained: {prediction.reason}", style="dim")


def _table(predictions: Sequence["Prediction"], console: "Console") -> "Table":
    """Lay out one row a prediction, with as many columns as fit."""
    from rich.table import Table
    from rich.text import Text

    ascii_only = console.options.ascii_only
    paths = [printable(prediction.path or "-") for prediction in predictions]
    columns = _column_widths(predictions, paths, console.width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for header, width in columns:
        if width:
            table.add_column(header, width=width, no_wrap=True)
    for path, prediction in zip(paths, predictions, strict=True):
        color = _color(prediction.emotion or "")
        confidence = prediction.confidence
        cells = [
            Text(_shorten(path, columns[0][1], "..." if ascii_only else "…")),
            Text(prediction.emotion or "-", style=f"bold {color}" if prediction.emotion else "dim"),
            Text("" if confidence is None else bar(confidence, columns[2][1], ascii_only), style=color),
            Text("" if confidence is None else _percent(confidence)),
            Text(_runner_up(prediction), style="dim"),
            Text(_note(prediction), style="red" if prediction.error else "dim"),
        ]
        table.add_row(*(cell for cell, (_, width) in zip(cells, columns, strict=True) if width))
    return table


def _column_widths(
    predictions: Sequence["Prediction"], paths: list[str], page_width: int
) -> list[tuple[str, int]]:
    """Share a page among the columns, as (header, width); what has no place gets 0."""
    from rich.cells import cell_len

    percent = len("100 %")
    label = max([len("emotion"), *(len(emotion) for one in predictions for emotion in one.probabilities)])
    runner_up = label + 1 + percent if page_width >= _WIDE_PAGE else 0
    note = max(len(_note(prediction)) for prediction in predictions)
    left = page_width - sum(width + _GAP for width in (label, percent, runner_up, note) if width)
    bars = min(_WIDEST_BAR, left // 3)
    bars = bars if bars >= _NARROWEST_BAR else 0
    path = max(_NARROWEST_PATH, min(left - (bars + _GAP if bars else 0), max(map(cell_len, paths))))
    return [
        ("recording", path),
        ("emotion", label),
        ("confidence", bars),
        ("", percent),
        ("next", runner_up),
        ("", note),
    ]


def _note(prediction: "Prediction") -> str:
    if prediction.error is not None:
        return "failed"
    return {"low confidence": "abstained"}.get(prediction.reason or "", prediction.reason or "")


def _runner_up(prediction: "Prediction") -> str:
    """Return the second most probable emotion and its probability."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    return f"{ranked[1][0]} {_percent(ranked[1][1]).strip()}" if len(ranked) > 1 else ""


def _percent(share: float) -> str:
    return f"{100 * share:3.0f} %"


def _shorten(path: str, width: int, ellipsis: str) -> str:
    """Cut a path on the left, since its end tells files apart; a wide character takes two cells."""
    from rich.cells import cell_len

    if cell_len(path) <= width:
        return path
    while path and cell_len(ellipsis + path) > width:
        path = path[1:]
    return ellipsis + path


def _color(emotion: str) -> str:
    from vocalics import emotions

    return emotions.color(emotion)
