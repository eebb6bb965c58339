"""``vocalics explain``: a picture of what an answer hangs on."""

from pathlib import Path
from typing import Annotated

import typer

from vocalics.cli.files import check_output, open_recording, write_output
from vocalics.cli.screen import tell
from vocalics.errors import AudioError, UsageError

app = typer.Typer()


@app.command()
def explain(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="An audio or video file, or - for standard input.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.png", help="Where the picture is written.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model, or an .onnx file."),
    ] = None,
    start_s: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="Explain the window that begins here, seconds; else, of a long recording, the one in which "
            "its answer is most probable.",
        ),
    ] = None,
) -> None:
    """Draw what the answer for one recording hangs on.

    Waveform, what the network heard, its attention, the probabilities; and how
    the odds of the answer change when a moment or a band is taken out of the
    recording. docs/explain.md says how to read it, and what it cannot tell.

    Exit code: 0 drawn, 1 the recording cannot be explained (nobody speaks, too
    short, not audio), 2 the call was wrong.
    """
    from vocalics.lab.explain import explain as explain_recording
    from vocalics.lab.page import png
    from vocalics.lab.plots import explained_prediction
    from vocalics.recognition.model import load

    if output.suffix.lower() != ".png":
        raise UsageError(f"'{output}' does not end in .png; the picture is a PNG file, so name one.")
    check_output(output, ".png")
    opened = load(model)
    try:
        explained = explain_recording(opened, open_recording(path), start_s)
    except AudioError as error:
        tell(str(error))
        raise typer.Exit(1) from None
    if explained.excerpt and start_s is None:
        tell(
            f"{path} is longer than the {opened.card.window_s:g} s that the model hears at once; drawn are "
            f"{explained.start_s:.1f} to {explained.end_s:.1f} s, where its answer is most probable "
            "(--start-s draws others)."
        )
    write_output(output, png(explained_prediction(explained)))
    typer.echo(str(output))
