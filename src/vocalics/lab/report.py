"""From the figures of an evaluation to a report that a person reads: one HTML page, Markdown, pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocalics.errors import UsageError
from vocalics.lab import metrics, plots
from vocalics.lab.page import (
    Block,
    Cell,
    Code,
    Notice,
    Page,
    Picture,
    Section,
    Table,
    Tile,
    write_page,
)
from vocalics.lab.plots.style import GREY

#: Without these there is nothing to report; `vocalics.lab.evaluation.evaluate` returns them and more.
_REQUIRED = (
    "clips",
    "speakers",
    "emotions",
    "confusion",
    "uar",
    "accuracy",
    "macro_f1",
    "ece",
    "brier",
    "nll",
)

#: A longer table is folded.
MOST_ROWS = 15

_NAMES = {"uar": "UAR", "accuracy": "accuracy", "macro_f1": "macro-F1"}


def write_report(
    figures: Mapping[str, Any], folder: Path, log_rows: Sequence[Mapping[str, float]] | None = None
) -> Path:
    """Write ``report.html`` (self-contained), ``report.md`` and the pictures as PNG.

    Parameters
    ----------
    figures
        What `vocalics.lab.evaluation.evaluate` returns, with or without what `evaluate_file` and
        `leaderboard.summarise` add: the model or recipe, its corpora, the protocol, the command. The
        reliability diagram is drawn from ``reliability`` (`metrics.ReliabilityBin.to_dict` of each bin), the
        curve of risk from ``risk_coverage`` (`metrics.RiskCoverage.to_dict`), where these are there.
    folder
        Made when it is not there.
    log_rows
        Of the training's ``log.csv``; without them there are no curves.

    Returns
    -------
    Path of the HTML page.

    Raises
    ------
    UsageError
        A figure is missing.
    """
    missing = [name for name in _REQUIRED if name not in figures]
    if missing:
        raise UsageError(
            f"the figures lack '{missing[0]}'; give what vocalics.lab.evaluation.evaluate returns, as it is "
            "in evaluation.json."
        )
    sections = [
        _answers(figures),
        _confidence(figures),
        _people(figures),
        _adapted(figures),
        _conditions(figures),
        _training(log_rows),
        _method(figures),
    ]
    page = Page(
        eyebrow="vocalics report",
        title=_title(figures),
        lead=_lead(figures),
        tiles=_tiles(figures),
        sections=[section for section in sections if section.blocks],
        footer="Made by vocalics. Rates are in percent; UAR is the unweighted average recall, the mean over "
        "emotions.",
    )
    return write_page(page, folder, "report", markdown=True)


def _title(figures: Mapping[str, Any]) -> str:
    name = figures.get("model") or figures.get("recipe") or "Evaluation"
    tested = figures.get("tested_on") or figures.get("corpora")
    return f"{name} on {' + '.join(tested)}" if tested else str(name)


def _lead(figures: Mapping[str, Any]) -> str:
    n = len(figures["emotions"])
    protocol = f" Protocol: {figures['protocol']}." if figures.get("protocol") else ""
    low, high = figures["uar"]["low"], figures["uar"]["high"]
    sure = "" if low is None else f", between {_percent(low)} and {_percent(high)} with 95 % confidence"
    return (
        f"{figures['clips']:,} clips of {figures['speakers']:,} speakers, {n} emotions. The mean recall is "
        f"{_percent(figures['uar']['mean'])}{sure}; chance is {_percent(1 / n)}.{protocol}"
    )


def _tiles(figures: Mapping[str, Any]) -> list[Tile]:
    intervals = {key: _between(figures[key]).replace(", ", ",\N{NO-BREAK SPACE}") for key in _NAMES}
    rates = [Tile(_percent(figures[key]["mean"]), name + intervals[key]) for key, name in _NAMES.items()]
    ideal = figures.get("ece_if_perfectly_calibrated")
    beside = "" if ideal is None else f", {ideal:.3f} would be perfect"
    return [*rates, Tile(f"{figures['ece']:.3f}", f"ECE{beside}")]


def _answers(figures: Mapping[str, Any]) -> Section:
    emotions, counts = figures["emotions"], np.array(figures["confusion"])
    of = metrics.per_class(counts)
    rows: list[list[Cell]] = [
        [emotion, int(n), _percent(recall), _percent(precision), _percent(f1)]
        for emotion, n, recall, precision, f1 in zip(
            emotions, of.support, of.recall, of.precision, of.f1, strict=True
        )
    ]
    blocks: list[Block] = [
        "A row of the matrix is one spoken emotion: how often it was answered as each, in percent of its "
        "clips and in clips. What is right stands on the diagonal.",
        Picture("confusion", plots.confusion_matrix(counts, emotions), "Confusion matrix"),
        Picture("per-class", plots.per_class_bars(counts, emotions), "Recall, precision and F1 by emotion"),
        Table(["emotion", "clips", "recall", "precision", "F1"], rows),
        Table(
            ["clips, answered as", *emotions],
            [[e, *map(int, row)] for e, row in zip(emotions, counts, strict=True)],
        ),
    ]
    seen = figures.get("seen_speakers")
    if seen:
        blocks.insert(
            0,
            Notice(
                f"The model was trained on {len(seen)} of these speakers ({', '.join(seen[:3])} ...): this "
                "is not a measure of how it does on others."
            ),
        )
    return Section("What it answers", blocks)


def _confidence(figures: Mapping[str, Any]) -> Section:
    ideal = figures.get("ece_if_perfectly_calibrated")
    told = f"The expected calibration error is {figures['ece']:.3f}"
    told += (
        "." if ideal is None else f"; a perfectly calibrated model would read {ideal:.3f} on as many clips."
    )
    told += f" Brier score {figures['brier']:.3f}, negative log likelihood {figures['nll']:.3f} nats."
    blocks: list[Block] = [told]
    abstention = figures.get("abstention")
    if abstention:
        right = abstention["accuracy_when_answering"]
        when = f" and is then right in {_percent(right)}" if right is not None else ""
        blocks.append(f"At its threshold it answers {_percent(abstention['coverage'])} of the clips{when}.")
    if figures.get("reliability"):
        bins = [metrics.ReliabilityBin(**one) for one in figures["reliability"]]
        says = "Accuracy against confidence"
        blocks.append(Picture("reliability", plots.reliability_diagram(bins, ideal), says))
    if figures.get("risk_coverage"):
        curve, at = figures["risk_coverage"], abstention["coverage"] if abstention else None
        figure = plots.risk_coverage(curve["coverage"], curve["risk"], at)
        blocks.append(Picture("risk-coverage", figure, "Wrong answers against answered clips"))
    if figures.get("no_speech"):
        blocks.append(f"In {figures['no_speech']:,} clips 'vocalics predict' would hear no speech.")
    return Section("How far to believe it", blocks)


def _people(figures: Mapping[str, Any]) -> Section:
    blocks: list[Block] = []
    by_gender, by_speaker, by_corpus = (figures.get(f"by_{what}") for what in ("gender", "speaker", "corpus"))
    if by_speaker and len(by_speaker["figures"]) > 1:
        worst = by_speaker["worst"]
        blocks.append(
            f"Hardest is {worst}, with a UAR of {_percent(by_speaker['figures'][worst]['uar'])}; the best "
            f"speaker lies {100 * by_speaker['gap']:.0f} points above."
        )
    if by_gender and len(by_gender["figures"]) > 1:
        blocks.append(f"Between the genders lie {100 * by_gender['gap']:.1f} points.")
    if by_gender:
        blocks.append(_group_table("gender", by_gender))
    if by_corpus and len(by_corpus["figures"]) > 1:
        blocks.append(_group_table("corpus", by_corpus))
    if by_speaker and len(by_speaker["figures"]) > 1:
        blocks.append(Picture("speakers", plots.groups(by_speaker), "UAR of each speaker"))
        blocks.append(_group_table("speaker", by_speaker))
    return Section("For whom", blocks)


def _group_table(what: str, groups: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [name, one["clips"], *(_percent(one[key]) for key in _NAMES)]
        for name, one in sorted(groups["figures"].items(), key=lambda item: item[1]["uar"])
    ]
    return Table(
        [what, "clips", *_NAMES.values()],
        rows,
        f"Every {what}, the hardest first",
        folded=len(rows) > MOST_ROWS,
    )


def _adapted(figures: Mapping[str, Any]) -> Section:
    adapted: Mapping[str, Any] = figures.get("adapted") or {}
    if not adapted:
        return Section("Adapted to the speaker", [])
    plain = figures["uar"]["mean"]
    drawn = [plots.IntervalRow("plain", **figures["uar"], color=GREY)]
    rows: list[list[Cell]] = []
    for setting, one in adapted.items():
        label = _setting(setting)
        drawn.append(plots.IntervalRow(label, **one["uar"]))
        gain = f"{100 * (one['uar']['mean'] - plain):+.1f}".replace("-", "−")
        rows.append(
            [
                label,
                f"{_percent(one['uar']['mean'])}{_between(one['uar'])}",
                gain,
                _percent(one["accuracy"]["mean"]),
                _percent(one["speakers_not_worse"]),
            ]
        )
    best = max(drawn[1:], key=lambda row: row.mean)
    title = f"Best with {best.label}: {_percent(best.mean)}, plain {_percent(plain)}"
    return Section(
        "Adapted to the speaker",
        [
            "The same clips, after the model heard other, unlabelled clips of the speaker. Sets with one "
            "emotion alone, or mostly neutral ones, show what happens when these are one-sided.",
            Picture("adapted", plots.interval_rows(drawn, "UAR", title, reference=plain), title),
            Table(["adapted with", "UAR", "gain, points", "accuracy", "speakers not worse"], rows),
        ],
    )


def _conditions(figures: Mapping[str, Any]) -> Section:
    conditions: Mapping[str, Any] = figures.get("conditions") or {}
    if not conditions:
        return Section("In bad recordings", [])
    plain = figures["uar"]["mean"]
    drawn = [plots.IntervalRow("as it was recorded", **figures["uar"], color=GREY)]
    drawn += [plots.IntervalRow(name, **one["uar"]) for name, one in conditions.items()]
    rows: list[list[Cell]] = [
        [
            name,
            f"{_percent(one['uar']['mean'])}{_between(one['uar'])}",
            f"{100 * one['uar_lost']['mean']:.1f}{_between(one['uar_lost'])}".replace("-", "−"),
            _percent(one["accuracy"]["mean"]),
            f"{one['ece']:.3f}",
        ]
        for name, one in conditions.items()
    ]
    worst = min(drawn[1:], key=lambda row: row.mean)
    title = f"Worst with {worst.label}: {_percent(worst.mean)}, as recorded {_percent(plain)}"
    return Section(
        "In bad recordings",
        [
            "The same clips with noise, other voices, echo and lossy coding, made by rule: every model hears "
            "the same. The interval of a loss is over the same speakers in both recordings.",
            Picture("conditions", plots.interval_rows(drawn, "UAR", title, reference=plain), title),
            Table(["recorded with", "UAR", "lost, points", "accuracy", "ECE"], rows),
        ],
    )


def _setting(name: str) -> str:
    """Say in words what `adaptation.Setting` calls its clips.

    Examples
    --------
    >>> _setting("5"), _setting("1"), _setting("all"), _setting("only-angry")
    ('5 clips', '1 clip', 'all other clips', 'only angry')
    """
    if name.isdigit():
        return f"{name} clip{'' if name == '1' else 's'}"
    return {"all": "all other clips", "dirichlet": "a random mixture"}.get(name, name.replace("-", " "))


def _training(log_rows: Sequence[Mapping[str, float]] | None) -> Section:
    if not log_rows:
        return Section("How it was trained", [])
    fits = plots.polynomial_fits(log_rows)
    blocks: list[Block] = [Picture("training", plots.training_curves(log_rows), "Curves of the training")]
    if fits:
        rows = [
            [fit.curve.replace("_", " "), *(f"{value:.5f}" for value in fit.coefficients)] for fit in fits
        ]
        caption = "Parabolas through the curves: their coefficients over the epoch n"
        blocks.append(Table(["curve", "n²", "n", "1"], rows, caption))
    return Section("How it was trained", blocks)


def _method(figures: Mapping[str, Any]) -> Section:
    told = [
        "Intervals hold 95 % of 2,000 bootstrap draws over speakers."
        if figures["uar"]["low"] is not None
        else f"There are fewer than {metrics.MINIMUM_SPEAKERS} speakers, so each one's figure stands in the "
        "place of an interval."
    ]
    if figures.get("uar_by_fold"):
        told.append("UAR by fold: " + ", ".join(_percent(value) for value in figures["uar_by_fold"]) + ".")
    if figures.get("train_accuracy") is not None:
        told.append(f"Accuracy on the training part: {_percent(figures['train_accuracy'])}.")
    if figures.get("claim"):
        told.append(f"What its description claims: {figures['claim']}.")
    blocks: list[Block] = [" ".join(told)]
    if figures.get("command"):
        blocks.append(Code(figures["command"]))
    return Section("How it was measured", blocks)


def _percent(rate: float) -> str:
    return "–" if np.isnan(rate) else f"{100 * rate:.1f} %"


def _between(interval: Mapping[str, float | None]) -> str:
    """Return an interval in brackets; nothing where there is none."""
    low, high = interval["low"], interval["high"]
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
