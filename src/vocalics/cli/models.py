"""``vocalics models``: which models there are, what their cards say, and how one gets onto the hub."""

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vocalics.cli.screen import tell

if TYPE_CHECKING:
    from vocalics.recognition.model import Model

app = typer.Typer(
    help="List models, read a model's card, or push a model to the Hugging Face hub.",
    invoke_without_command=True,
)

#: In a table for people: how many entries are spelled out, and how deep mappings are followed.
_SPELLED_OUT, _DEEPEST = 12, 3


class Format(StrEnum):
    """How a card is written."""

    table = "table"
    json = "json"


Output = Annotated[
    Format | None, typer.Option("--format", "-f", help="Default: table in a terminal, else json.")
]


@app.callback()
def models(context: typer.Context) -> None:
    """List models, read a model's card, or push a model to the Hugging Face hub."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(
    repository: Annotated[
        str | None,
        typer.Argument(
            metavar="[hf://OWNER/NAME]",
            help="The models in a repository on the hub, instead of those of this installation.",
            show_default=False,
        ),
    ] = None,
    format: Output = None,
) -> None:
    """List the models that came with this installation, or those in a repository on the hub."""
    if repository is not None:
        _list_repository(repository, format)
        return
    from vocalics.recognition import model_file
    from vocalics.recognition.model import Model

    found = [Model.load(name) for name in model_file.list_models()]
    if _form(format) is Format.json:
        rows = [model.card.model_dump(mode="json", exclude={"head"}) for model in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for model in found:
        typer.echo(f"{model.path.stem}  {_size(model)}, {model.card.licence}")
        typer.echo(f"    {model.card.description}")
        typer.echo(f"    {', '.join(model.emotions)}")
    if not found:
        tell("no model is bundled with this installation; name one by its path.")


def _list_repository(repository: str, format: Format | None) -> None:
    """List the model files on the hub, by the names that open them; their cards come with the files."""
    from dataclasses import replace

    from vocalics.recognition.hub import HubName, look_up

    name = HubName.parse(repository)
    listing = look_up(name)
    names = {file: str(replace(name, file=file)) for file in listing.models}
    if _form(format) is Format.json:
        rows = [
            {"name": names[file], "bytes": listing.sizes[file], "digest": listing.digests[file]}
            for file in names
        ]
        typer.echo(json.dumps(rows))
        return
    for file, told in names.items():
        typer.echo(f"{told}  {listing.sizes[file] / 1e6:.1f} MB")
    if not names:
        tell(f"{name.repository} on the hub holds no model: it has no .onnx file.")


@app.command("info")
def info(
    model: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="A bundled model, an .onnx file, or hf://OWNER/NAME."),
    ],
    format: Output = None,
) -> None:
    """Read a model's card: what it answers, how well, what it was made from, and its limits."""
    from vocalics.recognition.model import Model

    opened = Model.load(model)
    if _form(format) is Format.json:
        typer.echo(opened.card.to_json())
        return
    card = opened.card
    typer.echo(f"{card.name}  ({opened.path.name}, {_size(opened)})\n{card.description}\n")
    about = {
        "answers": ", ".join(card.emotions),
        "hears": f"mono at {card.sample_rate:,} Hz, up to {card.bandwidth_hz:,.0f} Hz; "
        f"{card.minimum_s:g} s or longer, in windows of {card.window_s:g} s",
        "abstains": f"below a confidence of {card.abstain_below:g}",
        "network": f"{card.network}, {card.parameters:,} parameters (recipe {card.recipe})",
        "languages": ", ".join(card.languages) or "not stated",
        "licence": card.licence,
    }
    training = {key: value for key, value in card.training.items() if key != "recipe"}  # JSON has all of it
    sections = {"": about, "training": training, "evaluation": _figures(card.evaluation)}
    for heading, section in sections.items():
        lines = list(_lines(section))
        if heading and lines:
            typer.echo(f"\n{heading}")
        for line in lines:
            typer.echo(f"  {line}" if heading else line)
    if card.limits:
        typer.echo("\nlimits")
    for limit in card.limits:
        typer.echo(f"  - {limit}")


@app.command("push")
def push(
    model: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="A bundled model, or an .onnx file.", show_default=False),
    ],
    repository: Annotated[
        str,
        typer.Argument(
            metavar="hf://OWNER/NAME",
            help="Where to: with @BRANCH, or with /FILE.onnx to call the model so there.",
            show_default=False,
        ),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository that only its owner sees.")
    ] = False,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the commit.")] = None,
) -> None:
    """Put a model onto the Hugging Face hub, with a page about it made from its card.

    The repository is made where there is none. It needs a token: 'hf auth login',
    or HF_TOKEN. On stdout comes the name by which the model can be opened.
    """
    from vocalics.recognition.hub_push import push as push_model

    pushed = push_model(model, repository, private=private, message=message)
    if pushed.kept_page:
        tell("the repository's README.md was not made here, so it stays as it is.")
    tell(f"pushed {', '.join(pushed.files)}: {pushed.url}")
    typer.echo(pushed.name)


def _form(format: Format | None) -> Format:
    return format or (Format.table if sys.stdout.isatty() else Format.json)


#: What an entry of a card's evaluation has when `vocalics export --evaluation` put it there.
_MEASURED = {"uar", "accuracy", "ece", "folds", "speakers", "clips"}


def _figures(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Sum up what a card tells of each measurement in one line; JSON has all of it."""
    return {
        name: _figure(entry) if isinstance(entry, dict) and entry.keys() >= _MEASURED else entry
        for name, entry in evaluation.items()
    }


def _figure(entry: dict[str, Any]) -> str:
    plain = f"UAR {_percent(entry['uar'])}, accuracy {_percent(entry['accuracy'])}, ECE {entry['ece']:.3f}"
    adapted = entry.get("adapted", {})
    told = f"; UAR adapted with all clips {_percent(adapted['all']['uar'])}" if "all" in adapted else ""
    return f"{plain}{told} ({entry['folds']} folds, {entry['speakers']} speakers, {entry['clips']} clips)"


def _percent(interval: dict[str, float | None]) -> str:
    """Spell a rate with its interval, where it has one.

    Examples
    --------
    >>> _percent({"mean": 0.617, "low": 0.57, "high": 0.669})
    '61.7 % (57.0 to 66.9)'
    """
    mean, low, high = (None if value is None else f"{100 * value:.1f}" for value in interval.values())
    return f"{mean} % ({low} to {high})" if low and high else f"{mean} %"


def _lines(section: dict[str, Any], depth: int = 1) -> Iterator[str]:
    """Spell out a mapping, one line an entry, deeper ones indented."""
    width = max((len(key) for key in section), default=0)
    for key, value in section.items():
        text = _spell(value)
        if text is None and depth < _DEEPEST and len(value) <= _SPELLED_OUT:
            yield key
            yield from (f"  {line}" for line in _lines(value, depth + 1))
        else:
            yield f"{key:{width}}  {text or f'{len(value)} entries'}"


def _spell(value: Any) -> str | None:
    """Return a value in a line, or None for a mapping that needs several.

    Examples
    --------
    >>> _spell(0.61803), _spell({"mean": 0.62, "low": 0.58, "high": 0.66}), _spell({"nemo": ["01", "02"]})
    ('0.618', '0.62 (0.58 to 0.66)', '2 (nemo 2)')
    """
    if isinstance(value, dict):
        if value.keys() == {"mean", "low", "high"}:
            return f"{_spell(value['mean'])} ({_spell(value['low'])} to {_spell(value['high'])})"
        if value and all(isinstance(entries, list) for entries in value.values()):
            parts = ", ".join(f"{name} {len(entries)}" for name, entries in value.items())
            return f"{sum(map(len, value.values()))} ({parts})"
        return None if value else "none"
    if isinstance(value, list):
        if len(value) > _SPELLED_OUT or any(isinstance(entry, list | dict) for entry in value):
            return f"{len(value)} entries"
        return ", ".join(_spell(entry) or "" for entry in value) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "not known" if value is None else str(value)


def _size(model: "Model") -> str:
    """Return how large a model is, with the weights that lie beside its file."""
    from vocalics.recognition.external_weights import external_files

    beside = external_files(model.path.read_bytes(), model.path)
    sizes = [path.stat().st_size for path in (model.path, *map(model.path.with_name, beside))]
    told = f"{sum(sizes) / 1e6:.1f} MB"
    return f"{told}, with its weights in {' and '.join(beside)}" if beside else told
