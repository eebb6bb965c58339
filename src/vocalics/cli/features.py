"""``vocalics features``: any recipe's features of any recordings, as a table or as frames."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocalics.cli.lab import Data, Settings
from vocalics.cli.screen import progress, tell
from vocalics.errors import UsageError

if TYPE_CHECKING:
    from vocalics.lab.corpora import Note

app = typer.Typer()


@app.command()
def features(
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="RECIPE", help="A bundled recipe's name, or a YAML file.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Functionals as .parquet or .csv, or frames as .npz."
        ),
    ],
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="MANIFEST", help="A manifest, a table, or a folder, instead of --data."),
    ] = None,
    data: Data = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This corpus alone; may be repeated. Default: all that are there."),
    ] = None,
    functionals: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Of a table, comma-separated; default: mean,std,min,q1,median,q3,max.",
        ),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Only the recipe's emotions, merged as it merges them.")
    ] = False,
    settings: Settings = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes.", show_default="one a core, fewer for few recordings"),
    ] = None,
) -> None:
    """Write a recipe's features of every recording: one row of functionals each, or all frames.

    The features are those that the recipe's model hears, before it normalises
    them. In a table they stand behind the manifest's columns, as mfcc_0_mean,
    mfcc_0_std and so on. In an archive, data["keys"] names the arrays of frames.

    Exit code 1: some recordings could not be used; the others are in the file.
    """
    from vocalics.lab.corpora import load_data
    from vocalics.lab.extraction import choose_functionals, extract
    from vocalics.lab.recipes import load_recipe

    chosen = load_recipe(recipe, settings or [])
    given = [name.strip() for name in functionals.split(",")] if functionals is not None else None
    names = choose_functionals(output, given)
    if manifest is not None and data is not None:
        raise UsageError(f"'{manifest}' and --data are both given; give one of them.")
    if manifest is not None and manifest.resolve() == output.resolve():
        raise UsageError(f"'{output}' is the manifest itself; name another file.")
    folder, table = (manifest, None) if manifest is not None and manifest.is_dir() else (data, manifest)
    notes: list[Note] = []
    with progress("reading the corpora") as bar:
        utterances = load_data(folder, table, corpus, progress=bar, notes=notes.append)
    for note in notes:
        tell(note.message)
    if project:
        utterances, dropped = utterances.project(chosen.emotions, chosen.merge)
        for emotion, count in dropped.items():
            tell(f"left out: {count} utterances of '{emotion}', which the recipe does not name")
    with progress("listening") as bar:
        try:
            extracted = extract(
                chosen,
                utterances,
                output,
                functionals=names,
                workers=workers,
                progress=bar,
                tell=tell,
            )
        except KeyboardInterrupt:
            tell(f"interrupted; '{output}' is as it was")
            raise typer.Exit(130) from None
    tell(f"{extracted.recordings:,} recordings, {len(extracted.row_names)} features of {chosen.name}")
    typer.echo(str(output))
    if extracted.failed or any(note.failed for note in notes):
        raise typer.Exit(1)
