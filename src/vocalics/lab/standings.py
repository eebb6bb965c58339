"""The leaderboard for people: its tables, the models of one gender beside the mixed one, and what is drawn.

A system whose folds are not all measured stands in a table of its own, and its figures say so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Summary = Mapping[str, Any]

#: Columns of `gender_cells`.
GENDER_COLUMNS = ("model", "train accuracy", "accuracy", "UAR", "claim", "mixed model, same clips")

_GENDERS = ("mixed", "female", "male")

_COLUMNS = (
    "recipe",
    "trained on",
    "tested on",
    "protocol",
    "folds",
    "accuracy",
    "UAR",
    "macro-F1",
    "train accuracy",
    "ECE",
    "confusion",
    "parameters",
    "claim",
)

#: A percentage, and the words that follow it up to the next one.
_CLAIM = re.compile(r"(\d+(?:\.\d+)?) ?%([^%]*?)(?=\d+(?:\.\d+)? ?%|$)", re.DOTALL)

_ABOUT = """# Leaderboard

Made by `vocalics benchmark` from the folds that lie here; every fold says by which command it was made.
Rates are in percent, over the test clips of all folds, each heard once; 95 % intervals by bootstrap over
speakers stand in brackets (none for fewer than six speakers). `random` has the same speakers on both sides of
the split, as most published figures have; `speaker` has none. Only figures on the same clips compare."""


def is_whole(row: Row) -> bool:
    """Say whether a row or summary rests on all folds of its protocol."""
    return bool(row["folds"] >= row["folds_of_protocol"])


def folds_text(row: Row) -> str:
    """Say on how many folds a row or summary rests.

    Examples
    --------
    >>> folds_text({"folds": 5, "folds_of_protocol": 5}), folds_text({"folds": 3, "folds_of_protocol": 5})
    ('5', '3 of 5')
    """
    return str(row["folds"]) if is_whole(row) else f"{row['folds']} of {row['folds_of_protocol']}"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """Write a rate in percent with its interval, where there are speakers enough for one.

    Examples
    --------
    >>> interval_text({"mean": 0.6123, "low": 0.5821, "high": 0.6402})
    '61.2 [58.2, 64.0]'
    """
    mean, low, high = interval["mean"] or 0.0, interval["low"], interval["high"]
    if low is None or high is None:
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def figure_text(row: Row, metric: str) -> str:
    """Write a figure of a row or summary, so that nobody takes some of its folds for all.

    Examples
    --------
    >>> uar = {"mean": 0.712, "low": 0.6, "high": 0.8}
    >>> figure_text({"folds": 3, "folds_of_protocol": 5, "uar": uar}, "uar")
    '3 of 5 folds: 71.2'
    """
    if is_whole(row):
        return interval_text(row[metric])
    return f"{folds_text(row)} folds: {100 * row[metric]['mean']:.1f}"


def claimed_accuracy(claim: str | None, gender: str | None = None) -> float | None:
    """Take the accuracy, 0 to 1, out of the words in which a recipe's description claims it.

    Parameters
    ----------
    claim
        Such as ``"about 80 % mixed, 75 % female"``: the words behind a percentage say what it is of.
    gender
        Take the percentage whose words name this gender; None takes the first that is not of training.

    Returns
    -------
    None where nothing of the kind is claimed.

    Examples
    --------
    >>> claimed_accuracy("95 % train, about 90 % test accuracy")
    0.9
    >>> claimed_accuracy("about 80 % mixed, 75 % female", "female")
    0.75
    """
    for percentage, words in _CLAIM.findall(claim or ""):
        told = set(re.findall(r"\w+", words.lower()))
        if told & {"train", "training"}:
            continue
        if gender is None or gender in told:
            return float(percentage) / 100
    return None


def list_claims(rows: Iterable[Row]) -> dict[tuple[str, str | None], float]:
    """Return the accuracy that each recipe claims, by its name and the gender (None: all speakers)."""
    claims = {(row["recipe"], row["gender"]): claimed_accuracy(row["claim"], row["gender"]) for row in rows}
    return {key: claim for key, claim in claims.items() if claim is not None}


def rows_to_draw(rows: Sequence[Row]) -> list[Row]:
    """Choose what the plot shows: each system unadapted and on all its corpora.

    Besides, a part of a system's clips where another one is tested on just these, as one that knows several
    corpora is on RAVDESS alone.
    """
    plain = [row for row in rows if row["adapted_clips"] == 0]
    whole = filter(_on_all_corpora, plain)
    tests = [(row["tested_on"], [*row["recall"]], row["gender"]) for row in whole]
    return [row for row in plain if (row["tested_on"], [*row["recall"]], row["gender"]) in tests]


def gender_groups(summaries: Iterable[Summary]) -> list[list[Summary]]:
    """Put models of one gender beside the mixed model of the same recipe, corpora and protocol.

    Returns
    -------
    A list for each recipe that has two of them or all: mixed, female, male. Only figures on all corpora of a
    system are among them.
    """
    groups: dict[tuple[Any, ...], dict[str, Summary]] = {}
    for summary in summaries:
        if _on_all_corpora(summary):
            key = (summary["recipe"], *summary["corpora"], summary["protocol"])
            groups.setdefault(key, {})[summary["gender"] or "mixed"] = summary
    return [
        [models[name] for name in _GENDERS if name in models] for models in groups.values() if len(models) > 1
    ]


def gender_cells(group: Sequence[Summary]) -> list[tuple[str, ...]]:
    """Return the cells of `GENDER_COLUMNS` for each model of one of the `gender_groups`.

    The last one is the accuracy of the mixed model on the speakers whom the model of one gender is for.
    """
    by_gender: Mapping[str, Any] = {}
    if group[0]["gender"] is None and is_whole(group[0]):
        by_gender = group[0]["by_gender"]["figures"]
    rows: list[tuple[str, ...]] = []
    for model in group:
        claim = claimed_accuracy(model["claim"], model["gender"])
        mixed = by_gender.get(model["gender"]) if is_whole(model) else None
        rows.append(
            (
                model["gender"] or "mixed",
                f"{100 * model['train_accuracy']:.1f}",
                figure_text(model, "accuracy"),
                figure_text(model, "uar"),
                "" if claim is None else f"{100 * claim:.1f}",
                f"{100 * mixed['accuracy']:.1f}" if mixed else "",
            )
        )
    return rows


def markdown(summaries: Sequence[Summary], plot: str | None = None) -> str:
    """Write the leaderboard as Markdown.

    Parameters
    ----------
    summaries
        Of `leaderboard.write_leaderboard`.
    plot
        Name of the picture to show, where there is one.
    """
    finished = [summary for summary in summaries if is_whole(summary)]
    unfinished = [summary for summary in summaries if not is_whole(summary) and _on_all_corpora(summary)]
    blocks = [_ABOUT]
    if plot:
        blocks.append(f"![Accuracy of every system: claim, random, speaker]({plot})")
    for title, chosen in (
        ("Systems", [summary for summary in finished if _on_all_corpora(summary)]),
        ("Systems on one of their corpora", [one for one in finished if not _on_all_corpora(one)]),
        ("Unfinished: folds are missing, the figures will change", unfinished),
    ):
        if chosen:
            blocks += [f"## {title}", _table(_COLUMNS, map(_cells, chosen))]
    groups = gender_groups(summaries)
    if groups:
        blocks.append("## Mixed, female and male models")
    for group in groups:
        first, pictures = (
            group[0],
            ", ".join(_confusion(one, one["gender"] or "mixed") for one in group if is_whole(one)),
        )
        told = f"`{first['recipe']}` on {', '.join(first['corpora'])}, `{first['protocol']}`"
        blocks.append(f"{told}; confusion matrices: {pictures}." if pictures else f"{told}.")
        blocks.append(_table(GENDER_COLUMNS, gender_cells(group)))
    adapted = [summary for summary in finished if summary.get("adapted")]
    if adapted:
        about = (
            "UAR after so many other, unlabelled clips of the speaker, with emotions mixed as in the corpus; "
            "how much it changes at worst, in points, with clips of one emotion alone; and the share of "
            "speakers for whom 10 clips made nothing worse."
        )
        blocks += ["## Adapted to the speaker", about, _adapted(adapted)]
    return "\n\n".join(blocks) + "\n"


def _cells(summary: Summary) -> tuple[str, ...]:
    """Return the cells of `_COLUMNS`."""
    return (
        f"`{summary['recipe']}`",
        ", ".join(summary["corpora"]),
        f"{', '.join(summary['tested_on'])} ({len(summary['emotions'])} emotions)",
        _protocol(summary),
        folds_text(summary),
        *(interval_text(summary[name]) for name in ("accuracy", "uar", "macro_f1")),
        f"{100 * summary['train_accuracy']:.1f}" if _on_all_corpora(summary) else "",
        f"{summary['ece']:.3f}",
        _confusion(summary, "picture") if is_whole(summary) and _on_all_corpora(summary) else "",
        f"{summary['parameters']:,}",
        summary["claim"] or "",
    )


def _adapted(summaries: Sequence[Summary]) -> str:
    """Return a line for each system, with the number of clips in columns."""
    settings = dict.fromkeys(
        name for one in summaries for name in one["adapted"] if name == "all" or name.isdigit()
    )
    return _table(
        ("recipe", "tested on", "protocol", "plain", *settings, "one emotion", "not worse", "picture"),
        [
            (
                f"`{one['recipe']}`",
                ", ".join(one["tested_on"]),
                _protocol(one),
                interval_text(one["uar"]),
                *(interval_text(one["adapted"][n]["uar"]) if n in one["adapted"] else "" for n in settings),
                _worst_one_sided(one),
                f"{100 * one['adapted']['10']['speakers_not_worse']:.0f} %" if "10" in one["adapted"] else "",
                f"[picture]({one['folder']}/adapted-{'+'.join(one['tested_on'])}.svg)",
            )
            for one in summaries
        ],
    )


def _worst_one_sided(summary: Summary) -> str:
    """Say with clips of which one emotion the UAR changes worst."""
    changes = {
        name.removeprefix("only-"): 100 * (figures["uar"]["mean"] - summary["uar"]["mean"])
        for name, figures in summary["adapted"].items()
        if name.startswith("only-")
    }
    worst = min(changes, key=lambda name: changes[name], default=None)
    return f"{changes[worst]:+.1f} ({worst})" if worst else ""


def _on_all_corpora(row: Row) -> bool:
    return bool(row["tested_on"] == row["corpora"])


def _confusion(summary: Summary, words: str) -> str:
    """Return a link to the confusion matrix, which is drawn of a whole system on all its corpora alone."""
    return f"[{words}]({summary['folder']}/confusion-{'+'.join(summary['tested_on'])}.svg)"


def _protocol(row: Row) -> str:
    return f"`{row['protocol']}`" + (f", {row['gender']}" if row["gender"] else "")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(table_line, (columns, ["---"] * len(columns), *rows)))


def table_line(cells: Iterable[str]) -> str:
    r"""Write cells as a line of a Markdown table; a bar or a line feed in one of them stays inside it.

    Examples
    --------
    >>> print(table_line(["a", "b|c\nd"]))
    | a | b\|c d |
    """
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"
