"""``vocalics listen``: which emotion is in what is being said."""

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from vocalics.cli.files import adapted, check_output, write_output
from vocalics.cli.screen import printable, tell
from vocalics.errors import AudioError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from vocalics.recognition.listening import Answer, Listening
    from vocalics.recognition.microphone import Source
    from vocalics.recognition.model import Model
    from vocalics.recognition.timeline_formats import TimelineFormat

app = typer.Typer()

#: Time between two pictures, seconds: the level meter moves, the rest is still.
FRAME_S = 0.2

#: Losses are told at most so often where there is no picture, seconds of sound.
TELL_EVERY_S = 1.0


@app.command()
def listen(
    device: Annotated[
        str | None,
        typer.Option(
            "--device", "-d", metavar="NUMBER|NAME", help="An input of the machine; else its default."
        ),
    ] = None,
    input: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="A recording, heard in the time it lasts.")
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List the inputs of the machine, and end.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model, or an .onnx file."),
    ] = None,
    adapt: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Unlabelled recordings of the speaker (may be repeated)."),
    ] = None,
    window_s: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Seconds heard at once.", show_default="3, or what the model hears at most"
        ),
    ] = None,
    hop_s: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds from answer to answer.", show_default="0.25")
    ] = None,
    first_s: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Seconds of speech before the first answer after a pause.",
            show_default="1, or the window where that is shorter",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="At the end, write the timeline there, in the format of the suffix."
        ),
    ] = None,
) -> None:
    """Hear a microphone and show the emotion in what is said, until Ctrl-C; then sum up.

    In a terminal the present answer and the last minute are drawn; else every answer is one JSON object on
    stdout. Exit code: 0 ended by Ctrl-C or with the recording, 1 the sound broke off, 2 the call was wrong.
    """
    from vocalics.recognition.listening import Listening
    from vocalics.recognition.model import load
    from vocalics.recognition.stream import Stream

    if list_devices:
        _print_inputs()
        return
    if device is not None and input is not None:
        raise UsageError("--device and --input are both given; choose one of the two.")
    form = None if save is None else _format(save)
    opened = load(model)
    if adapt:
        opened = adapted(opened, adapt)
    with _stopping() as stop, _source(device, input) as source:
        stream = Stream(
            opened,
            sample_rate=source.sample_rate,
            window_s=window_s,
            hop_s=hop_s,
            first_s=first_s,
            record=True,
        )
        listening = Listening(stream, source.sample_rate, None if input is None else str(input))
        if form is not None:
            form.write(listening.timeline())  # a missing package is told now, not after an hour
        answers = _hear(source, listening, stop)
        broke_off, console = None, _terminal()
        try:
            if console is None:
                _print(answers, listening, source.name)
            else:
                _show(answers, listening, source.name, opened, console)
        except AudioError as error:
            if not listening.position_s:
                raise
            broke_off = str(error)
        finally:  # whatever ended it, an hour of listening is not lost
            listening.finish()
            if save is not None and form is not None and listening.position_s:
                write_output(save, form.write(listening.timeline()))
    _sum_up(listening, save, console)
    if broke_off is not None:
        tell(broke_off)
        raise typer.Exit(1)


def _format(save: Path) -> "TimelineFormat":
    """Return the format of a suffix; refuse what cannot be written to."""
    from vocalics.recognition.timeline_formats import FORMATS

    by_suffix = {form.suffix.lower(): form for form in FORMATS.values()}
    suffixes = ", ".join(form.suffix for form in FORMATS.values())
    check_output(save, suffixes)
    if save.suffix.lower() not in by_suffix:
        raise UsageError(f"'{save}' names no format of a timeline; let it end in one of {suffixes}.")
    return by_suffix[save.suffix.lower()]


def _print_inputs() -> None:
    from vocalics.recognition.microphone import list_inputs

    inputs = list_inputs()
    if not inputs:
        tell("this machine has no microphone; connect one.")
    for one in inputs:
        channels = "1 channel" if one.n_channels == 1 else f"{one.n_channels} channels"
        default = ", default" if one.is_default else ""
        typer.echo(f"{one.index:3}  {printable(one.name)} ({channels}, {one.sample_rate:,} Hz){default}")


def _source(device: str | None, input: Path | None) -> "AbstractContextManager[Source]":
    from vocalics.recognition.microphone import microphone, played

    if input is not None:
        return played(input)
    return microphone(int(device) if device is not None and device.isdecimal() else device)


@contextmanager
def _stopping() -> Iterator[Event]:
    """Note a Ctrl-C, or another wish that this should end, for a moment that suits; obey a second one."""
    stop = Event()
    wishes = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {wish: signal.getsignal(wish) for wish in wishes if signal.getsignal(wish) != signal.SIG_IGN}

    def restore() -> None:
        for wish, handler in before.items():
            signal.signal(wish, handler)

    def note(*_: object) -> None:
        stop.set()
        restore()

    for wish in before:
        signal.signal(wish, note)
    try:
        yield stop
    finally:
        restore()


def _hear(source: "Source", listening: "Listening", stop: Event) -> "Iterator[list[Answer]]":
    """Yield the answers to each piece of sound, and those that are due at the end."""
    for sound in source.sounds:
        yield listening.hear(sound)
        if stop.is_set():
            break
    yield listening.finish()


def _terminal() -> "Console | None":
    """Return the terminal that stdout is, where it can move its cursor."""
    from rich.console import Console

    console = Console()
    return console if sys.stdout.isatty() and not console.is_dumb_terminal else None


def _show(
    answers: "Iterator[list[Answer]]", listening: "Listening", source: str, model: "Model", console: "Console"
) -> None:
    """Draw a picture of each moment."""
    from rich.live import Live

    from vocalics.cli.live import picture

    no_color = console.no_color or console.color_system is None
    drawn_at = -FRAME_S
    with Live(console=console, auto_refresh=False, transient=True) as screen:
        for _ in answers:
            if perf_counter() - drawn_at >= FRAME_S:
                drawn_at = perf_counter()
                drawn = picture(
                    listening.view(),
                    source,
                    model.name,
                    model.emotions,
                    *console.size,
                    ascii_only=console.options.ascii_only,
                    no_color=no_color,
                )
                screen.update(drawn, refresh=True)


def _print(answers: "Iterator[list[Answer]]", listening: "Listening", source: str) -> None:
    """Write each answer to stdout, and tell what was lost."""
    tell(f"listening to {source}; Ctrl-C ends it.")
    told_s, told_at_s = 0.0, -TELL_EVERY_S
    for new in answers:
        for answer in new:
            sys.stdout.buffer.write(_to_json(answer).encode())  # UTF-8 everywhere: programs read this
            sys.stdout.buffer.flush()
        if listening.lost_s > told_s and listening.position_s >= told_at_s + TELL_EVERY_S:
            tell(f"{listening.lost_s - told_s:.2f} s of sound were lost until {listening.position_s:.1f} s.")
            told_s, told_at_s = listening.lost_s, listening.position_s


def _to_json(answer: "Answer") -> str:
    """Return a segment's JSON contract and the latency, one line."""
    from vocalics.recognition.formats import json_text, rounded

    latency_s = None if answer.latency_s is None else round(answer.latency_s, 3)
    return json_text(rounded(answer.segment).to_dict() | {"latency_s": latency_s}) + "\n"


def _sum_up(listening: "Listening", save: Path | None, console: "Console | None") -> None:
    """Say what was heard, in the terminal or on stderr."""
    from vocalics.cli.live import summary

    if not listening.position_s:
        tell("nothing was heard.")
        return
    lines = summary(listening.timeline(), listening.latencies_s, listening.lost_s)
    if save is not None:
        lines.append(f"The timeline is in {printable(str(save))}.")
    for line in lines:
        if console is None:
            tell(line[0].lower() + line[1:])
        else:
            console.print(line, markup=False, highlight=False)
