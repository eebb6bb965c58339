"""Write the README's figures and its picture of real output: python docs/make_figures.py [--check].

The figures come from ``docs/results``, which ``vocalics benchmark`` and ``vocalics evaluate`` wrote: its
leaderboard is made anew from the folds, then the README's tables from that. The picture is what
``vocalics predict examples`` prints with the bundled model.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

import vocalics
from vocalics.cli.screen import show
from vocalics.lab.leaderboard import write_leaderboard
from vocalics.lab.recipes import Recipe, list_recipes, load_recipe
from vocalics.lab.standings import claimed_accuracy, figure_text, folds_text, is_whole, table_line
from vocalics.recognition.recordings import list_recordings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
CLIPS = ("1", "5", "20", "all")
TITLES = {
    "ravdess": "RAVDESS",
    "tess": "TESS",
    "savee": "SAVEE",
    "cremad": "CREMA-D",
    "emodb": "EMO-DB",
    "nemo": "nEMO",
}
PROTOCOLS = ("random", "speaker")

Row = dict[str, Any]


def main() -> int:
    """Write, or with ``--check`` say whether the README is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the README is stale"
    )
    wanted = parser.parse_args()
    readme = ROOT / "README.md"
    current = readme.read_text()
    if wanted.check:
        return int(current != with_figures(current, RESULTS))
    write_leaderboard(RESULTS)
    readme.write_text(with_figures(current, RESULTS))
    draw_picture(ROOT / "docs" / "predict.svg")
    return 0


def with_figures(readme: str, results: Path) -> str:
    """Return the README's text with what stands between its marks made anew."""
    for name, made in (("figures", figures(results)), ("systems", systems(results))):
        begin = readme.index("\n", readme.index(f"<!-- {name}: ")) + 1
        readme = readme[:begin] + made + readme[readme.index(f"<!-- end of {name} -->") :]
    return readme


# ---- the bundled model -----------------------------------------------------------------------------------


def figures(results: Path) -> str:
    """Return the tables: the recipe's folds, then the bundled file on corpora that it never heard."""
    adapted = " | ".join(f"adapted, {n} clip{'' if n == '1' else 's'}" for n in CLIPS)
    head = f"| UAR, % | clips | plain | {adapted} | accuracy | ECE |"
    rule = "|---|---|---|" + "---|" * len(CLIPS) + "---|---|"
    folds = [json.loads(path.read_text()) for path in results.glob("vocalics/*/speaker/summary-*.json")]
    folds = [summary for summary in folds if len(summary["tested_on"]) == 1 and not summary["leaky"]]
    folds.sort(key=lambda summary: list(TITLES).index(summary["tested_on"][0]))
    files = [json.loads(path.read_text()) for path in sorted(results.glob("bundled/*/evaluation.json"))]
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


def what_of_folds(summary: Row) -> str:
    """Say what a row of folds measures."""
    trained = " and ".join(TITLES[name] for name in summary["corpora"])
    tested, n_emotions = TITLES[summary["tested_on"][0]], len(summary["recall"])
    return f"{tested}, {n_emotions} emotions (trained on {trained}, {folds_text(summary)} folds)"


def by_fold(summary: Row) -> str:
    """Return the UAR of each fold, in percent, in the order of the folds."""
    return ", ".join(f"{100 * uar:.1f}" for uar in summary["uar_by_fold"])


def what_of_file(report: Row) -> str:
    """Say what a row of the bundled file measures."""
    tested, n_emotions = TITLES[report["corpora"][0]], len(report["emotions"])
    return f"{tested}, {n_emotions} emotions ({report['speakers']} speakers)"


def row(what: str, record: Row) -> str:
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


# ---- the published systems -------------------------------------------------------------------------------


def systems(results: Path) -> str:
    """Return the table of every recipe that states a claim, and the plot once one of them is measured."""
    rows = [row for row in json.loads((results / "leaderboard.json").read_text()) if not row["adapted_clips"]]
    measured = {system_of(row): row for row in rows if row["tested_on"] == row["corpora"]}
    figures = [f"`{name}`: {figure}" for name in PROTOCOLS for figure in ("accuracy", "UAR")]
    columns = ["recipe", "what it is", "data", "claim", *figures]
    lines = [table_line(columns), table_line(["---"] * len(columns))]
    recipes = published_recipes()
    for recipe in recipes:
        for gender in (None, "female", "male"):
            key = (recipe.name, recipe.corpora, gender)
            own = {name: measured[*key, name] for name in PROTOCOLS if (*key, name) in measured}
            if own or gender is None or claimed_accuracy(recipe.claim, gender) is not None:
                lines.append(system_row(recipe, gender, own))
    lines += [
        "",
        "Accuracy and UAR in percent on test clips that were heard once, with 95 % intervals over speakers. "
        "`random`: five folds, the same speakers on both sides, as behind most published figures; `speaker`: "
        "nobody on both sides. In neither do changed copies of a clip leave the training part. What is "
        "missing: `vocalics benchmark RECIPE --protocol random --protocol speaker -o docs/results`.",
        "",
    ]
    if {recipe.name for recipe in recipes} & {row["recipe"] for row in rows}:
        lines += ["![Claim, random and speaker, side by side](docs/results/leaderboard.svg)", ""]
    return "\n".join(lines)


def published_recipes() -> list[Recipe]:
    """Return the bundled recipes that state a claim, each ``-plus`` variant after the one it changes."""
    recipes = [load_recipe(name) for name in list_recipes()]
    return sorted(
        (recipe for recipe in recipes if recipe.claim),
        key=lambda recipe: (recipe.name.removesuffix("-plus"), recipe.name),
    )


def system_of(row: Row) -> tuple[Any, ...]:
    """Return what tells a system from others."""
    return row["recipe"], tuple(row["corpora"]), row["gender"], row["protocol"]


def system_row(recipe: Recipe, gender: str | None, rows: Mapping[str, Row]) -> str:
    """Return one line: what the recipe says of itself, and its figures under each protocol."""
    corpora = ", ".join(TITLES.get(name, name) for name in recipe.corpora)
    what, claim = recipe.description.strip().rstrip("."), recipe.claim or ""
    name, data = f"`{recipe.name}`", f"{corpora}; {len(recipe.emotions)} emotions"
    if gender:
        of_gender = claimed_accuracy(claim, gender)
        name, what, data = f"{name}, {gender}", "the same", f"the {gender} speakers of these"
        claim = "" if of_gender is None else f"{100 * of_gender:g} %"
    figures = [
        system_figure(rows[protocol], metric) if protocol in rows else "to come"
        for protocol in PROTOCOLS
        for metric in ("accuracy", "uar")
    ]
    return table_line((name, what, data, claim, *figures))


def system_figure(row: Row, metric: str) -> str:
    """Return a figure, said to be of some folds where others are missing."""
    return interval(row[metric]) if is_whole(row) else figure_text(row, metric)


# ---- what both need --------------------------------------------------------------------------------------


def interval(figure: Row) -> str:
    """Return a rate in percent, with its interval where there is one."""
    mean, low, high = (figure[name] for name in ("mean", "low", "high"))
    return f"{100 * mean:.1f}" + ("" if low is None else f" ({100 * low:.1f} to {100 * high:.1f})")


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
