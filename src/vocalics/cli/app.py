"""``vocalics app``: the page in a browser."""

from typing import Annotated

import typer

from vocalics.cli.screen import tell

app = typer.Typer()


@app.command("app")
def start(
    host: Annotated[
        str,
        typer.Option(help="Where it is reached; anything but this machine itself shows it to others."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8501,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help="A model to offer beside the bundled ones; may be repeated.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
) -> None:
    """Show the page: record, upload, look and listen, in a browser, until Ctrl-C.

    It works without a network, and what it is given stays in memory and goes
    when the page is closed. docs/app.md tells what is there.
    """
    from vocalics.app.server import serve

    serve(tuple(model or ()), host, port, browser, tell)
