"""What figures look like in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vocalics.cli.screen import bar, printable

if TYPE_CHECKING:
    from rich.console import Console

_BAR = 20  # characters
_FEW_SPEAKERS = 6  # below it no interval is told, but each speaker's own figure


def print_evaluation(figures: dict[str, Any], console: "Console | None" = None) -> None:
    """Print the figures of one model file."""
    console = console or _console()
    console.print(
        f"[bold]{_plain(figures['model'])}[/bold] on {_plain(', '.join(figures['corpora']))}: "
        f"{figures['protocol']}"
    )
    if figures["seen_speakers"]:
        console.print(
            f"  [red]trained on {len(figures['seen_speakers'])} of these speakers: not a measure[/red]"
        )
    _print_figures(figures, console)


def print_summary(summary: dict[str, Any], console: "Console | None" = None) -> None:
    """Print the figures of one system over its folds."""
    console = console or _console()
    gender = f", {summary['gender']} speakers" if summary["gender"] else ""
    console.print(
        f"[bold]{summary['recipe']}[/bold], trained on {', '.join(summary['corpora'])}, tested on "
        f"{', '.join(summary['tested_on'])}: protocol {summary['protocol']}{gender}, {summary['folds']} of "
        f"{summary['folds_of_protocol']} folds"
    )
    _print_figures(summary, console)
    _print_line("UAR by fold", "  ".join(f"{100 * value:.1f}" for value in summary["uar_by_fold"]), console)
    console.print()


def print_genders(summaries: Sequence[dict[str, Any]], console: "Console | None" = None) -> None:
    """Print models of one gender beside the mixed one, a table for each recipe and protocol that has them."""
    from rich.table import Table

    from vocalics.lab.standings import GENDER_COLUMNS, gender_cells, gender_groups

    console = console or _console()
    for group in gender_groups(summaries):
        first = group[0]
        console.print(
            f"[bold]{first['recipe']}[/bold], mixed, female and male models: {', '.join(first['corpora'])}, "
            f"protocol {first['protocol']}, rates in percent"
        )
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
        for column in ("  model", *GENDER_COLUMNS[1:]):
            table.add_column(column, no_wrap=column in ("accuracy", "UAR"))
        for model, *cells in gender_cells(group):
            table.add_row(f"  {model}", *(_plain(cell) for cell in cells))
        console.print(table)
        console.print()


def _print_figures(figures: dict[str, Any], console: "Console") -> None:
    console.print(
        f"  {figures['clips']} clips, {figures['speakers']} speakers, {len(figures['emotions'])} emotions"
    )
    for title, name in (("UAR", "uar"), ("accuracy", "accuracy"), ("macro-F1", "macro_f1")):
        _print_line(title, _interval(figures[name]), console)
    _print_recall(figures["recall"], console)
    ideal = figures["ece_if_perfectly_calibrated"]
    _print_line("ECE", f"{figures['ece']:.3f} ({ideal:.3f} if perfectly calibrated)", console)
    _print_line("UAR by gender", _uar_of_groups(figures["by_gender"]), console)
    worst = figures["by_speaker"]["worst"]
    worst_uar = figures["by_speaker"]["figures"][worst]["uar"]
    _print_line("worst speaker", f"{_plain(worst)} {100 * worst_uar:.1f} %", console)
    if figures["speakers"] < _FEW_SPEAKERS:
        _print_line("UAR by speaker", _uar_of_groups(figures["by_speaker"]), console)
    if figures["no_speech"]:
        _print_line("no speech", f"{figures['no_speech']} clips would be answered so by predict", console)
    if figures.get("adapted"):
        _print_adapted(figures, console)
    if figures.get("conditions"):
        _print_conditions(figures, console)


def _print_line(title: str, value: str, console: "Console") -> None:
    console.print(f"  {title:17} {value}")


def _print_recall(recall: dict[str, float], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from vocalics import emotions

    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for emotion, value in recall.items():
        drawn = Text(bar(value, _BAR, console.options.ascii_only), style=emotions.color(emotion))
        table.add_row(Text(f"    {printable(emotion)}"), drawn, f"{100 * value:5.1f} %")
    console.print("  recall")
    console.print(table)


def _print_adapted(figures: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("  adapted with", "UAR", "gain", "speakers not worse"):
        table.add_column(column)
    for setting, figure in figures["adapted"].items():
        gain = 100 * (figure["uar"]["mean"] - figures["uar"]["mean"])
        counted = setting == "all" or setting.isdigit()
        what = f"{setting} clip{'' if setting == '1' else 's'}" if counted else _plain(setting)
        not_worse = f"{100 * figure['speakers_not_worse']:.0f} %"
        table.add_row(f"  {what}", _interval(figure["uar"]), f"{gain:+.1f}", not_worse)
    console.print(table)


def _print_conditions(figures: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("  recorded with", "UAR", "lost, points"):
        table.add_column(column)
    for name, figure in figures["conditions"].items():
        table.add_row(f"  {_plain(name)}", _interval(figure["uar"]), _points(figure["uar_lost"]))
    console.print(table)


def _points(lost: dict[str, float | None]) -> str:
    """Return a difference of rates in points, with its interval where there is one."""
    mean, low, high = (None if value is None else 100 * value for value in lost.values())
    told = f"{mean or 0.0:.1f}"
    return told if low is None or high is None else f"{told} ({low:.1f} to {high:.1f})"


def _uar_of_groups(groups: dict[str, Any]) -> str:
    return ", ".join(f"{_plain(name)} {100 * one['uar']:.1f} %" for name, one in groups["figures"].items())


def _interval(interval: dict[str, float | None]) -> str:
    mean, low, high = interval["mean"] or 0.0, interval["low"], interval["high"]
    if low is None or high is None:
        return f"{100 * mean:.1f} %"
    return f"{100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _plain(name: str) -> str:
    """Return a name from a table or a file as it is to be read: nothing in it is markup or control."""
    from rich.markup import escape

    return escape(printable(name))


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)
