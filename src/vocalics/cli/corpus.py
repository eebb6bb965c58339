"""``vocalics corpus``: which corpora there are, how to get one, what a folder holds, and what leaks in it."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vocalics.cli.screen import printable, progress, tell

if TYPE_CHECKING:
    from vocalics.lab.corpora import Note
    from vocalics.lab.manifest import Manifest

app = typer.Typer(help="List, download, scan and audit corpora of emotional speech.", no_args_is_help=True)


class Format(StrEnum):
    """How an answer is written to stdout."""

    table = "table"
    json = "json"


Form = Annotated[
    Format | None, typer.Option("--format", "-f", help="Default: table in a terminal, else json.")
]


@app.command("list")
def list_corpora(format: Form = None) -> None:
    """List the corpora that can be read, with their licences and how to get them."""
    from vocalics.lab.corpora import CORPORA

    shown = ("name", "languages", "speakers", "utterances", "emotions", "licence", "how_to_get")
    fields = (*shown, "title", "citation", "home")
    rows = [{field: getattr(info, field) for field in fields} for info in CORPORA.values()]
    if _form(format) is Format.json:
        _print_json(rows)
        return
    _print_table(
        [field.replace("_", " ") for field in shown], [[row[field] for field in shown] for row in rows]
    )
    tell("recordings of your own are read too: see 'vocalics corpus scan --help'")


@app.command()
def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the corpus; 'vocalics corpus list' has them.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder; the corpus goes to DIR/NAME.", metavar="DIR", show_default="VOCALICS_DATA"
        ),
    ] = None,
    mirror: Annotated[
        str, typer.Option(metavar="URL", help="Address to use instead of the corpus's own.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, max=32, help="Files fetched at the same time.")] = 4,
) -> None:
    """Fetch a corpus from its public home; a download that was cut goes on where it stopped."""
    from vocalics.lab import corpora

    info = corpora.get(name)
    tell(f"{info.title}, {info.licence}; please cite: {info.citation}")
    with progress(f"fetching {name}", in_bytes=True) as bar:
        done = corpora.download(name, corpora.data_folder(data), mirror=mirror, progress=bar, workers=workers)
    tell(f"{done.fetched:,} files fetched, {done.already_there:,} were there already")
    for url, digest in done.unverified:
        tell(f"not verified, since nobody published its digest: {url} is {digest}")
    if done.recordings != info.utterances:
        tell(f"{done.recordings:,} of the corpus's {info.utterances:,} recordings are there")
    typer.echo(str(done.folder))


@app.command()
def scan(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the corpus; 'folder' for recordings of your own; 'all' for a whole data folder.",
        ),
    ],
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="Its folder; for 'folder' also a CSV or Parquet table.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MANIFEST", help="A .parquet or .csv file.")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode.", show_default="one a core")
    ] = None,
    format: Form = None,
) -> None:
    """Read a corpus's folder and write its manifest: one row per recording.

    For 'folder', the labels stand in the names of folders (happy/clip.wav), in
    the names of files (clip_angry_01.wav), or in a table with the columns path
    and emotion, and perhaps speaker, gender, intensity and sentence.

    Exit code 1: some files could not be read; the others are in the manifest.
    """
    from vocalics.errors import UsageError
    from vocalics.lab import corpora

    if output.suffix not in (".parquet", ".csv"):
        raise UsageError(f"'{output}' names no kind of table; let the manifest end in .parquet or .csv.")
    notes: list[Note] = []
    with progress(f"reading {name}") as bar:
        if name == "all":
            manifest = corpora.scan_data(root, progress=bar, notes=notes.append, workers=workers)
        else:
            manifest = corpora.scan(name, root, progress=bar, notes=notes.append, workers=workers)
    for note in notes:
        tell(note.message)
    manifest.save(output)
    _print_manifest(manifest, output, notes, _form(format))
    if any(note.failed for note in notes):
        raise typer.Exit(1)


@app.command()
def audit(
    manifest: Annotated[Path, typer.Argument(help="A manifest from 'vocalics corpus scan'.")],
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="A split made from it.")] = None,
    format: Form = None,
) -> None:
    """Look for leaks: the same audio twice, and with a split what stands on two sides of it.

    Exit code 1: something was found that forbids a training.
    """
    from vocalics.lab.audit import audit as look_for_leaks
    from vocalics.lab.manifest import load_manifest
    from vocalics.lab.splits import load_split

    report = look_for_leaks(load_manifest(manifest), load_split(split) if split else None)
    if _form(format) is Format.json:
        _print_json(report.to_dict())
    else:
        _print_table(
            ["", "kind", "what was found"],
            [[finding.severity, finding.kind, finding.message] for finding in report.findings],
        )
    if any(finding.severity == "refused" for finding in report.findings):
        raise typer.Exit(1)


@app.command()
def explore(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST", help="A manifest, or the folder of a corpus, or of several, or a table."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for index.html and the pictures.")
    ],
    corpus: Annotated[
        list[str] | None, typer.Option(help="Look at this corpus alone; may be repeated.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Recordings to listen to, at most.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the sample and the map.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(help="Makes the map; 'none' for none.", show_default="the bundled one"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that listen.", show_default="one a core")
    ] = None,
) -> None:
    """Draw what a corpus holds: one page to read, DIR/index.html, and its pictures.

    How many clips and how long, by emotion, speaker and gender; what emotions
    look and sound like; a map of the recordings; and what is odd.
    """
    from vocalics.lab.corpora import load_data
    from vocalics.lab.explore import explore as write_exploration

    with progress("reading") as bar:
        where: dict[str, Any] = {"data" if manifest.is_dir() else "manifest": manifest}
        utterances = load_data(corpora=corpus, progress=bar, **where)
    with progress("listening") as bar:
        page = write_exploration(
            utterances,
            output,
            sample=sample,
            seed=seed,
            model=model,
            workers=workers,
            command=shlex.join(["vocalics", *sys.argv[1:]]),
            progress=bar,
        )
    typer.echo(str(page))


def _print_manifest(manifest: "Manifest", path: Path, notes: "Sequence[Note]", form: Format) -> None:
    """Print what a manifest holds: for each corpus its speakers, hours and emotions."""
    rows = []
    for corpus in manifest.corpora:
        own = [utterance for utterance in manifest if utterance.corpus == corpus]
        rows.append(
            {
                "corpus": corpus,
                "utterances": len(own),
                "speakers": len({utterance.speaker for utterance in own if utterance.speaker}),
                "hours": round(sum(utterance.duration_s for utterance in own) / 3600, 2),
                "emotions": dict(Counter(utterance.emotion for utterance in own).most_common()),
            }
        )
    if form is Format.json:
        told = [{"kind": note.kind, "count": note.count, "message": note.message} for note in notes]
        _print_json({"manifest": str(path), "corpora": rows, "notes": told})
    else:
        _print_table(list(rows[0]), [list(row.values()) for row in rows])


def _form(format: Format | None) -> Format:
    return format or (Format.table if sys.stdout.isatty() else Format.json)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="dim")
    for index, name in enumerate(names):
        numbers = bool(rows) and isinstance(rows[0][index], int | float)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return printable(f"{value:,}" if isinstance(value, int) else str(value))
