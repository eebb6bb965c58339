"""What figures look like in a terminal."""

from typing import TYPE_CHECKING, Any

from vocalics.cli.screen import bar

if TYPE_CHECKING:
    from rich.console import Console

_BAR = 20


def print_evaluation(figures: dict[str, Any], console: "Console | None" = None) -> None:
    """Print the figures of one model file."""
    console = console or _console()
    console.print(
        f"[bold]{figures['model']}[/bold] on {', '.join(figures['corpora'])}: {figures['protocol']}"
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
    folds = "  ".join(f"{100 * value:.1f}" for value in summary["uar_by_fold"])
    console.print(f"  UAR by fold       {folds}\n")


def _print_figures(figures: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    from vocalics import emotions

    console.print(
        f"  {figures['clips']} clips, {figures['speakers']} speakers, {len(figures['emotions'])} emotions"
    )
    for title, name in (("UAR", "uar"), ("accuracy", "accuracy"), ("macro-F1", "macro_f1")):
        console.print(f"  {title:17} {_interval(figures[name])}")
    recalls = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for emotion, value in figures["recall"].items():
        recalls.add_row(
            f"    {emotion}", f"[{emotions.color(emotion)}]{bar(value, _BAR)}", f"{100 * value:5.1f} %"
        )
    console.print("  recall")
    console.print(recalls)
    ideal = figures["ece_if_perfectly_calibrated"]
    console.print(f"  ECE               {figures['ece']:.3f} ({ideal:.3f} if perfectly calibrated)")
    by_gender = figures["by_gender"]["figures"]
    genders = ", ".join(f"{name} {100 * group['uar']:.1f} %" for name, group in by_gender.items())
    console.print(f"  UAR by gender     {genders}")
    worst = figures["by_speaker"]["worst"]
    console.print(
        f"  worst speaker     {worst}, {100 * figures['by_speaker']['figures'][worst]['uar']:.1f} %"
    )
    if figures["speakers"] < 6:
        console.print(
            "  UAR by speaker    "
            + ", ".join(
                f"{name} {100 * group['uar']:.1f} %"
                for name, group in figures["by_speaker"]["figures"].items()
            )
        )
    if figures["no_speech"]:
        console.print(f"  no speech         {figures['no_speech']} clips would be answered so by predict")
    if figures.get("adapted"):
        _print_adapted(figures, console)


def _print_adapted(figures: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("  adapted with", "UAR", "gain", "speakers not worse"):
        table.add_column(column)
    for setting, figure in figures["adapted"].items():
        gain = 100 * (figure["uar"]["mean"] - figures["uar"]["mean"])
        what = f"{setting} clips" if setting == "all" or setting.isdigit() else setting
        not_worse = f"{100 * figure['speakers_not_worse']:.0f} %"
        table.add_row(f"  {what}", _interval(figure["uar"]), f"{gain:+.1f}", not_worse)
    console.print(table)


def _interval(interval: dict[str, float | None]) -> str:
    mean, low, high = interval["mean"], interval["low"], interval["high"]
    if low is None or high is None or mean is None:
        return f"{100 * (mean or 0):.1f} %"
    return f"{100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)
