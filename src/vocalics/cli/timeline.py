"""``vocalics timeline``: who felt what, when, in a long recording."""

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocalics.cli.files import check_output, open_recording, write_output
from vocalics.cli.screen import PAGE_WIDTH, progress_in_time, show_timeline, tell
from vocalics.errors import AudioError, UsageError

if TYPE_CHECKING:
    from vocalics.recognition.prediction import Timeline

app = typer.Typer()


class Channels(StrEnum):
    """What the channels of a recording are."""

    MIX = "mix"
    SPLIT = "split"


class Format(StrEnum):
    """How a timeline is written."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    textgrid = "textgrid"
    audacity = "audacity"
    webvtt = "webvtt"
    rttm = "rttm"


@app.command()
def timeline(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="An audio or video file of any length, or - for stdin.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model, or an .onnx file."),
    ] = None,
    channels: Annotated[
        Channels, typer.Option(help="split: each channel is a speaker of its own.")
    ] = Channels.MIX,
    rttm: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who speaks when, as a diarization wrote it.")
    ] = None,
    adapt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="auto|none|[SPEAKER=]PATH",
            help="auto: to each speaker, where the model's card shows that it is safe; or recordings of a "
            "speaker (may be repeated).",
            show_default="auto",
        ),
    ] = None,
    window_s: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Seconds heard at once.", show_default="3, or what the model hears at most"
        ),
    ] = None,
    hop_s: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds from window to window.", show_default="1")
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="Confidence, 0 to 1, under which the model abstains; else its own."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write one page to look at and listen to."),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="Else: the suffix of FILE; a table in a terminal; json."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
) -> None:
    """Say who felt what, when, and how sure that is, in a recording of any length.

    Files are written when all is heard, whole or not at all.

    Exit code: 0 done, 1 the recording cannot be used, or breaks off, 2 the call was wrong.
    """
    from vocalics.recognition import timeline as timelines
    from vocalics.recognition.parquet import require_parquet
    from vocalics.recognition.rttm import read_rttm
    from vocalics.recognition.timeline_formats import FORMATS

    form = _choose_format(format, output)
    if form is Format.parquet:
        require_parquet()  # told now, not after an hour
    if output is not None:
        check_output(output, _SUFFIXES)
    if html is not None:
        check_output(html, ".html")
    recording = open_recording(path)
    try:
        with progress_in_time("Listening") as progress:
            found = timelines.timeline(
                recording,
                model,
                channels=channels.value,
                turns=None if rttm is None else read_rttm(rttm, path),
                adapt=_adapt(adapt or ["auto"]),
                window_s=window_s,
                hop_s=hop_s,
                abstain_below=abstain_below,
                progress=progress,
            )
    except AudioError as error:
        tell(str(error))
        raise typer.Exit(1) from None
    if html is not None:
        from vocalics.recognition.timeline_page import timeline_to_html

        write_output(html, timeline_to_html(found, recording))
    content = _table(found, output) if form is Format.table else FORMATS[form].write(found)
    if output is not None:
        write_output(output, content)
    else:
        sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode())
        sys.stdout.buffer.flush()
    if found.error is not None:
        tell(f"{found.error} What came before it is told.")
        raise typer.Exit(1)


#: What a file may end in.
_SUFFIXES = ".json, .csv, .parquet, .TextGrid, .vtt or .rttm"


def _choose_format(format: Format | None, output: Path | None) -> Format:
    """Return the format asked for, else that of the file's suffix, else what suits stdout."""
    from vocalics.recognition.timeline_formats import FORMATS

    if format is not None:
        return format
    if output is None:
        return Format.table if sys.stdout.isatty() else Format.json
    for name, known in FORMATS.items():
        if known.suffix.lower() == output.suffix.lower() and name != Format.audacity:
            return Format(name)
    raise UsageError(f"'{output}' names no format; let it end in {_SUFFIXES}, or give --format.")


def _adapt(given: list[str]) -> "str | list[str] | dict[str, list[str]]":
    """Sort what ``--adapt`` names by the speaker before an equals sign."""
    if given in (["auto"], ["none"]):
        return given[0]
    by_speaker: dict[str, list[str]] = {}
    for one in given:
        speaker, equals, path = one.partition("=")
        by_speaker.setdefault(speaker if equals else "", []).append(path if equals else one)
    if "" not in by_speaker:
        return by_speaker
    if len(by_speaker) > 1:
        raise UsageError(
            "--adapt: some recordings are given with a speaker and some without; name all or none."
        )
    return by_speaker[""]


def _table(found: "Timeline", output: Path | None) -> str:
    """Return the table for a file, or draw it in the terminal and return nothing."""
    from rich.console import Console

    page = io.StringIO()
    show_timeline(found, Console() if output is None else Console(file=page, width=PAGE_WIDTH))
    return page.getvalue()
