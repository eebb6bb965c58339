"""Write docs/command-line.md from the command line's own help (``just docs``); a test fails when it is stale.

python docs/make_command_line.py [FILE]
"""

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from vocalics.cli import app

TOP = """# The command line

Made by `just docs` from the commands' own help: change it there.
"""

Command = TyperCommand | TyperGroup


def sections(command: Command, name: str, parent: typer.Context | None = None) -> Iterator[str]:
    """One Markdown section for a command, then one for each of its subcommands, in the order of the help."""
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    subcommands = command.commands if isinstance(command, TyperGroup) else {}
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    yield f"## `{path}`"
    yield inspect.cleandoc(command.help or "")
    yield f"```\n{usage}\n```"
    yield bullets(record for record in records if record)
    if subcommands:
        yield "Commands:"
        yield bullets((f"{path} {name}", summary(sub)) for name, sub in subcommands.items())
    for name, subcommand in subcommands.items():
        yield from sections(subcommand, name, context)


def bullets(records: Iterable[tuple[str, str]]) -> str:
    """One line for each name and what it means."""
    return "\n".join(f"- `{name}`: {' '.join(text.split())}" for name, text in records)


def summary(command: Command) -> str:
    """First paragraph of a command's help."""
    return inspect.cleandoc(command.help or "").split("\n\n")[0]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("command-line.md")
    blocks = [TOP.strip(), *sections(typer.main.get_command(app), "vocalics")]
    target.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")
