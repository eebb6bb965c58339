"""``vocalics batch``: an archive of recordings into a folder of rows."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from vocalics.cli.screen import clock, tell

if TYPE_CHECKING:
    from vocalics.recognition.batch import Progress, Summary

app = typer.Typer()

#: From telling to telling of progress: in a terminal, and where stderr is none; seconds.
FRAME_S, LINE_S = 0.1, 30.0

#: Reasons of failures that are told one by one.
MOST_REASONS = 10


class Channels(StrEnum):
    """What the channels of a recording are."""

    MIX = "mix"
    SPLIT = "split"


class Adapt(StrEnum):
    """Whether the model adapts to the speakers of a timeline."""

    AUTO = "auto"
    NONE = "none"


class Format(StrEnum):
    """How rows are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


class Engine(StrEnum):
    """Where recordings are heard."""

    PROCESSES = "processes"
    RAY = "ray"


@app.command()
def batch(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A new folder, or that of the run to resume."),
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, folders (walked recursively), patterns, tables with a column 'path' (.csv, .tsv, "
            ".parquet), lists (.txt), or URLs of these; may be left out with --resume.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model, or an .onnx file."),
    ] = None,
    timeline: Annotated[
        bool | None, typer.Option("--timeline", help="A row for each segment, not for each recording.")
    ] = None,
    channels: Annotated[
        Channels | None,
        typer.Option(help="Of a timeline; split: each channel is a speaker.", show_default="mix"),
    ] = None,
    adapt: Annotated[
        Adapt | None,
        typer.Option(
            help="Of a timeline; auto: to each speaker, where the model's card shows that it is safe.",
            show_default="auto",
        ),
    ] = None,
    window_s: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Of a timeline: seconds heard at once.",
            show_default="3, or what the model hears at most",
        ),
    ] = None,
    hop_s: Annotated[
        float | None,
        typer.Option(metavar="S", help="Of a timeline: seconds from window to window.", show_default="1"),
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="Confidence, 0 to 1, under which the model abstains; else its own."),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="Of the rows.",
            show_default="parquet, or jsonl where pyarrow is not installed",
        ),
    ] = None,
    part_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Recordings in one file.", show_default="1000, or 100 timelines"),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="ray: on the cluster that RAY_ADDRESS names, else here.")
    ] = Engine.PROCESSES,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", metavar="N", help="Recordings heard at once.", show_default="one for each core"
        ),
    ] = None,
    max_work_s: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Longest time that one recording may be worked on.",
            show_default="120, or 1800 for a timeline",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in DIR, if there is one; what is not given is as it was then.",
        ),
    ] = False,
) -> None:
    """Answer an archive of recordings, however many: a folder of rows, in the order of the sorted names.

    A recording that fails has a row that says why. Parts of the folder are whole or not there. A run that is
    stopped or killed at any moment goes on with --resume, and leads to the same rows.

    Exit code: 0 all answered ("no speech" is an answer), 1 some recordings failed, 2 the call was wrong, 130
    stopped by Ctrl-C, 143 by SIGTERM.
    """
    from vocalics.recognition import batch as batches

    try:
        with _stopped_by_sigterm(), _shown() as progress:
            summary = batches.batch(
                paths or [],
                output,
                model,
                timeline=timeline,
                channels=channels and channels.value,
                adapt=adapt and adapt.value,
                window_s=window_s,
                hop_s=hop_s,
                abstain_below=abstain_below,
                format=format and format.value,
                part_size=part_size,
                engine=engine.value,
                workers=workers,
                max_work_s=max_work_s,
                resume=resume,
                progress=progress,
            )
    except KeyboardInterrupt as stop:
        tell("stopped; the same call with --resume goes on from here.")
        raise typer.Exit(143 if isinstance(stop, _Terminated) else 130) from None
    for line in _lines(summary):
        tell(line)
    if summary.failed or summary.closed:
        raise typer.Exit(1)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the run as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shown() -> Iterator[Callable[["Progress"], None]]:
    """Show how far a run is: a bar in a terminal, else a line from time to time."""
    if not sys.stderr.isatty():
        told = monotonic()

        def tell_line(now: "Progress") -> None:
            nonlocal told
            if monotonic() - told >= LINE_S:
                told = monotonic()
                tell(_line(now))

        yield tell_line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    bar = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("Listing", total=None, told="")

        drawn = 0.0

        def show(now: "Progress") -> None:
            nonlocal drawn
            if monotonic() - drawn < FRAME_S and now.done != now.listed:
                return
            drawn = monotonic()
            if now.done is None:
                bar.update(task, told=f"{now.listed:,} recordings")
            else:
                bar.update(
                    task, description="Listening", total=now.listed, completed=now.done, told=_line(now)
                )

        yield show


def _line(now: "Progress") -> str:
    """Say how far a run is."""
    if now.done is None:
        return f"{now.listed:,} recordings listed"
    parts = [f"{now.done:,} of {now.listed:,} recordings"]
    if now.elapsed_s > 0:
        rate, times = now.heard / now.elapsed_s, now.audio_s / now.elapsed_s
        parts.append(f"{rate:,.1f} a second, {times:,.0f} times real time")
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    if now.heard and now.elapsed_s > 0:
        parts.append(f"{clock((now.listed - now.done) * now.elapsed_s / now.heard)} left")
    return ", ".join(parts)


def _lines(summary: "Summary") -> Iterator[str]:
    """Say what a run led to."""
    yield (
        f"{summary.recordings:,} recordings, {clock(summary.audio_s)} of sound: {summary.rows:,} rows in "
        f"{summary.parts:,} parts in '{summary.folder}'"
    )
    told = [", ".join(f"{100 * share:.1f} % {emotion}" for emotion, share in summary.emotions.items())]
    if summary.no_speech:
        told.append(f"no speech in {summary.no_speech:,}")
    if any(told):
        yield "; ".join(part for part in told if part)
    if summary.heard:
        seconds = max(summary.elapsed_s, 1e-3)
        yield (
            f"{summary.heard:,} of them heard now in {clock(seconds)}: {summary.heard / seconds:,.1f} a "
            f"second, {summary.heard_audio_s / seconds:,.0f} times real time"
        )
    for reason, one in list(summary.reasons.items())[:MOST_REASONS]:
        yield f"{one.count:,} failed: {reason} (first: {one.example})"
    if (rest := len(summary.reasons) - MOST_REASONS) > 0:
        yield f"{rest} more reasons are told in the rows"
    yield from summary.closed
