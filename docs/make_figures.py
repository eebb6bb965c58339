"""Write the README's figures and its picture of real output: python docs/make_figures.py [--check].

The figures come from ``docs/results``, which ``vocalics benchmark`` and ``vocalics evaluate`` wrote; the
picture is what ``vocalics predict examples`` prints with the bundled model.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

import vocalics
from vocalics.cli.screen import show
from vocalics.recognition.recordings import list_recordings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- figures: ", "<!-- end of figures -->"
CLIPS = ("1", "5", "20", "all")
TITLES = {"ravdess": "RAVDESS", "nemo": "nEMO", "tess": "TESS", "savee": "SAVEE"}


def main() -> int:
    """Write, or with ``--check`` say whether the README is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the README is stale"
    )
    wanted = parser.parse_args()
    readme = ROOT / "README.md"
    current = readme.read_text()
    fresh = with_figures(current)
    if wanted.check:
        return int(current != fresh)
    readme.write_text(fresh)
    draw_picture(ROOT / "docs" / "predict.svg")
    return 0


def with_figures(readme: str) -> str:
    """Return the README's text with its figures made anew."""
    begin = readme.index("\n", readme.index(BEGIN)) + 1
    return readme[:begin] + figures() + readme[readme.index(END) :]


def figures() -> str:
    """Return the tables: the recipe's folds, then the bundled file on corpora that it never heard."""
    adapted = " | ".join(f"adapted, {n} clip{'' if n == '1' else 's'}" for n in CLIPS)
    head = f"| UAR, % | clips | plain | {adapted} | accuracy | ECE |"
    rule = "|---|---|---|" + "---|" * len(CLIPS) + "---|---|"
    folds = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*/*/speaker/summary-*.json"))]
    folds = [summary for summary in folds if len(summary["tested_on"]) == 1]
    folds.sort(key=lambda summary: list(TITLES).index(summary["tested_on"][0]))
    files = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("bundled/*/evaluation.json"))]
    lines = [
        "Speakers never heard, by the recipe's folds (each clip by a model trained without its speaker):",
        "",
        head,
        rule,
        *(row(what_of_folds(summary), summary) for summary in folds),
        "",
        *(f"- UAR by fold, {TITLES[one['tested_on'][0]]}: {by_fold(one)}" for one in folds),
        "",
        "The bundled file itself, on corpora that it never heard, among the emotions they share:",
        "",
        head,
        rule,
        *(row(what_of_file(report), report) for report in files),
        "",
        "Made by:",
        "",
        "```sh",
        *dict.fromkeys(summary["command"] for summary in [*folds, *files]),
        "```",
        "",
    ]
    return "\n".join(lines)


def what_of_folds(summary: dict[str, Any]) -> str:
    """Say what a row of folds measures."""
    trained = " and ".join(TITLES[name] for name in summary["corpora"])
    tested, n_emotions = TITLES[summary["tested_on"][0]], len(summary["recall"])
    return f"{tested}, {n_emotions} emotions (trained on {trained}, {summary['folds']} folds)"


def by_fold(summary: dict[str, Any]) -> str:
    """Return the UAR of each fold, in percent, in the order of the folds."""
    return ", ".join(f"{100 * uar:.1f}" for uar in summary["uar_by_fold"])


def what_of_file(report: dict[str, Any]) -> str:
    """Say what a row of the bundled file measures."""
    tested, n_emotions = TITLES[report["corpora"][0]], len(report["emotions"])
    return f"{tested}, {n_emotions} emotions ({report['speakers']} speakers)"


def row(what: str, record: dict[str, Any]) -> str:
    """Return one row of the table."""
    adapted = record.get("adapted", {})
    cells = [
        what,
        str(record["clips"]),
        interval(record["uar"]),
        *(interval(adapted[n]["uar"]) if n in adapted else "" for n in CLIPS),
        interval(record["accuracy"]),
        f"{record['ece']:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def interval(figure: dict[str, Any]) -> str:
    """Return a rate in percent, with its interval where there is one."""
    mean, low, high = (figure[name] and f"{100 * figure[name]:.1f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})" if low and high else f"{mean}"


def draw_picture(path: Path) -> None:
    """Draw what ``vocalics predict examples`` prints."""
    recordings, _ = list_recordings(["examples"])
    console = Console(record=True, width=96, file=sys.stderr)
    console.print("[dim]$[/dim] vocalics predict examples", highlight=False)
    show(vocalics.load().predict(recordings), console)
    drawing = console.export_svg(title="vocalics")
    path.write_text(re.sub(r"@font-face {.*?}", "", drawing, flags=re.DOTALL))  # nothing is fetched to see it


if __name__ == "__main__":
    sys.exit(main())
