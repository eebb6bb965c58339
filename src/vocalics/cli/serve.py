"""``vocalics serve``: the same answers over HTTP and WebSockets."""

import os
from typing import Annotated

import typer

from vocalics.cli.screen import tell

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; 0.0.0.0 for all of the machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65_535, help="0: any free one.")] = 8000,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help="A bundled model, or an .onnx file (may be repeated); requests choose by name, else the "
            "first one answers.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Processes that decode and listen.", show_default="one for each core"
        ),
    ] = None,
    max_mb: Annotated[float, typer.Option(metavar="MB", help="Largest body of a request.")] = 100.0,
    max_duration_s: Annotated[float, typer.Option(metavar="S", help="Longest recording.")] = 3600.0,
    max_work_s: Annotated[
        float, typer.Option(metavar="S", help="Longest time that one recording may be worked on.")
    ] = 120.0,
    max_waiting: Annotated[
        int, typer.Option(metavar="N", help="Recordings that may wait; more are told to come back later.")
    ] = 512,
    max_streams: Annotated[int, typer.Option(metavar="N", help="WebSockets at once.")] = 128,
    idle_s: Annotated[
        float, typer.Option(metavar="S", help="How long a connection may be silent or stand still.")
    ] = 30.0,
) -> None:
    """Serve predictions, timelines and streams over HTTP, until Ctrl-C.

    With the environment variable VOCALICS_TOKEN set, clients must show its value as a bearer token. What
    was taken is finished before the command ends.

    Exit code: 0 ended by Ctrl-C or SIGTERM, 2 the call was wrong.
    """
    from vocalics.recognition.worker_process import count_cores
    from vocalics.service.server import run
    from vocalics.service.settings import TOKEN_VARIABLE, Settings

    settings = Settings(
        models=tuple(model or ()),
        workers=workers or count_cores(),
        max_mb=max_mb,
        max_duration_s=max_duration_s,
        max_work_s=max_work_s,
        max_waiting=max_waiting,
        max_streams=max_streams,
        idle_s=idle_s,
        token=os.environ.get(TOKEN_VARIABLE),
    )

    def announce(url: str) -> None:
        tell(f"serving at {url}, which lists the routes; Ctrl-C ends it.")
        if settings.token is None and host not in ("127.0.0.1", "::1", "localhost"):
            tell(f"whoever reaches {host} may ask; set {TOKEN_VARIABLE} to ask for a token.")

    run(settings, host, port, announce)
