"""From the folds' results to figures: one summary a system, one list of rows, tables and a plot for people.

Deliberate leaks, marked ``"leaky": true`` in their folds, never reach any of these.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.files import write_atomically
from vocalics.lab import metrics
from vocalics.lab.cross_fitting import cross_fitted
from vocalics.lab.evaluation import ECE_BINS, Answers, evaluate
from vocalics.lab.standings import is_whole, list_claims, markdown, rows_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = dict[str, Any]
FloatArray = npt.NDArray[np.float64]

#: Setting -> speaker -> rows of a confusion matrix.
Counts = dict[str, dict[str, list[list[int]]]]


def read_result(path: Path) -> Result:
    """Read one fold's result, as `benchmark.run_fold` wrote it."""
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    return result


def read_answers(result: Result) -> Answers:
    """Read the answers out of one fold's result."""
    clips = result["clips"]
    emotions = tuple(result["recipe"]["emotions"])
    silent = np.zeros(len(clips["id"]), dtype=bool)
    silent[clips["no_speech"]] = True
    return Answers(
        emotions=emotions,
        ids=tuple(clips["id"]),
        truth=np.array([emotions.index(emotion) for emotion in clips["truth"]]),
        speakers=tuple(clips["speaker"]),
        genders=tuple(clips["gender"]),
        corpora=tuple(clips["corpus"]),
        probabilities=np.array(clips["probabilities"], dtype=np.float64),
        no_speech=silent,
        thresholds=np.full(len(silent), result["abstain_below"]),
    )


def summarise(files: Sequence[Path], corpus: str | None = None) -> dict[str, Any]:
    """Sum up one system over its folds, pooled; each fold's UAR stands beside.

    Parameters
    ----------
    files
        Results of `benchmark.run_fold`, of one system. A condition is summed up once all of them have it.
        With several seeds the figures are those of the lowest one, and ``uar_by_seed`` holds mean and
        deviation over the seeds that have the same folds.
    corpus
        Only the clips of this corpus.

    Raises
    ------
    UsageError
        There is no result, or a clip is tested in two of them.
    """
    results = [read_result(path) for path in sorted(files)]
    if not results:
        raise UsageError("there are no folds to sum up; run 'vocalics benchmark' first.")
    return _sum_up(results, Path(files[0]).parent, corpus)


def _sum_up(results: list[Result], folder: Path, corpus: str | None = None) -> dict[str, Any]:
    """Do what `summarise` does with results that are read."""
    first = results[0]
    results, seeds = _of_equal_folds(results)
    folds_by_seed = [cross_fitted([own for own in results if own["seed"] == seed], folder) for seed in seeds]
    results = [result for folds in folds_by_seed for result in folds]
    by_seed = [_figures(folds, corpus) for folds in folds_by_seed]
    summary = {
        "recipe": first["recipe"]["name"],
        "corpora": first["recipe"]["corpora"],
        "tested_on": [corpus] if corpus else first["recipe"]["corpora"],
        "protocol": first["protocol"],
        "gender": first["gender"],
        "leaky": any(result.get("leaky") for result in results),
        "claim": first["recipe"]["claim"],
        "folds": len({result["fold"] for result in results}),
        "folds_of_protocol": first["folds"],
        "seeds": len(seeds),
        "parameters": first["parameters"],
        "train_accuracy": float(np.mean([result["train_accuracy"] for result in results])),
        "temperature": float(np.exp(np.mean(np.log([result["temperature"] for result in results])))),
        "abstain_below": float(np.mean([result["abstain_below"] for result in results])),
        "command": first["command"],
        **by_seed[0],
    }
    if len(seeds) > 1:
        summary["uar_by_seed"] = _over_seeds([figures["uar"]["mean"] for figures in by_seed])
        for setting, figures in summary.get("adapted", {}).items():
            figures["uar_by_seed"] = _over_seeds([own["adapted"][setting]["uar"]["mean"] for own in by_seed])
    return summary


def _over_seeds(values: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}


def write_leaderboard(folder: Path) -> list[dict[str, Any]]:
    """Sum up every system below a benchmark's folder, and write the leaderboard there.

    ``leaderboard.json`` holds the rows, ``leaderboard.md`` shows them with ``leaderboard.svg``. In the folder
    of each system lie its summaries, and once all its folds are measured ``confusion-CORPORA.svg`` and
    ``adapted-CORPORA.svg``.

    Returns
    -------
    The summaries, one for each system and, where a system knows several corpora, one for each of them too.
    """
    summaries = list(_summaries(folder))
    rows = [row for summary in summaries for row in rows_of(summary)]
    lines = ",\n".join(json.dumps(row) for row in rows)  # a row a line: half as long, and read by its change
    write_atomically(folder / "leaderboard.json", f"[{lines}]\n")
    plot = _write_plot(folder / "leaderboard.svg", rows)
    write_atomically(folder / "leaderboard.md", markdown(summaries, plot))
    for summary in summaries:
        system, tested = folder / summary["folder"], "+".join(summary["tested_on"])
        write_atomically(system / f"summary-{tested}.json", json.dumps(summary, indent=1) + "\n")
        if summary["tested_on"] == summary["corpora"]:
            _write_confusion(system / f"confusion-{tested}.svg", summary)
        _write_adaptation(system / f"adapted-{tested}.svg", summary)
    return summaries


def rows_of(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of one system: plain, then adapted with 1, 3, 5, 10, 20 and all other clips.

    Parameters
    ----------
    summary
        From `summarise`.

    Returns
    -------
    Rows with the keys of the contract, in its order, besides ``tested_on`` and ``folds_of_protocol``. The
    calibration of adapted answers is measured with all clips alone: other rows have the ``ece`` None.
    """
    settings = {
        "all" if name == "all" else int(name): figures
        for name, figures in summary.get("adapted", {}).items()
        if name == "all" or name.isdigit()
    }
    plain = {name: summary[name] for name in ("uar", "accuracy", "macro_f1", "recall", "ece")}
    return [
        {
            **{name: summary[name] for name in ("recipe", "corpora", "tested_on")},
            "emotions": len(summary["emotions"]),
            **{name: summary[name] for name in ("protocol", "gender", "folds", "folds_of_protocol")},
            "adapted_clips": clips,
            **{name: figures[name] for name in ("uar", "accuracy", "macro_f1")},
            "train_accuracy": summary["train_accuracy"],
            "recall": figures["recall"],
            "ece": figures.get("ece"),
            **{name: summary[name] for name in ("seeds", "parameters", "claim", "command")},
        }
        for clips, figures in ({0: plain} | settings).items()
    ]


def _summaries(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the summary of each system, and where it knows several corpora, of each of them."""
    for system in sorted({path.parent for path in folder.glob("*/*/*/fold-*.json")}):
        results = [read_result(path) for path in sorted(system.glob("fold-*.json"))]
        honest = [result for result in results if not result.get("leaky")]
        if not honest:
            continue
        told = {"folder": system.relative_to(folder).as_posix()}
        whole = _sum_up(honest, system)
        yield whole | told
        if len(whole["corpora"]) > 1:
            heard = {corpus for result in honest for corpus in result["clips"]["corpus"]}
            for corpus in whole["corpora"]:
                if corpus in heard:  # a corpus with few folds may lie in those that are still missing
                    yield _sum_up(honest, system, corpus) | told


def _write_plot(path: Path, rows: Sequence[dict[str, Any]]) -> str | None:
    """Draw the leaderboard in the metric that is claimed; return the file's name, where there are rows."""
    from vocalics.lab import plots

    if not rows:
        path.unlink(missing_ok=True)
        return None
    drawn = rows_to_draw(rows)
    write_atomically(path, _to_svg(plots.leaderboard(drawn, "accuracy", list_claims(drawn))))
    return path.name


def _write_confusion(path: Path, summary: dict[str, Any]) -> None:
    """Draw the confusion matrix of a system that has all its folds; of another there shall be none."""
    from vocalics.lab import plots

    if not is_whole(summary):
        path.unlink(missing_ok=True)
        return
    write_atomically(path, _to_svg(plots.confusion_matrix(summary["confusion"], summary["emotions"])))


def _write_adaptation(path: Path, summary: dict[str, Any]) -> None:
    """Draw what adaptation gains and loses in a system that has all its folds, where it was measured."""
    from vocalics.lab import plots

    if not is_whole(summary) or not summary.get("adapted"):
        path.unlink(missing_ok=True)
        return
    write_atomically(path, _to_svg(plots.adaptation(summary["uar"], summary["adapted"])))


def _to_svg(figure: "Figure") -> bytes:
    """Return a figure as a small SVG file, byte for byte the same for the same figures.

    Words stay words, so that they can be searched and read aloud; where a reader has not the font of the
    figures, Verdana is as wide.
    """
    from matplotlib import rc_context

    file = io.BytesIO()
    nothing_told = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": "vocalics", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=nothing_told)
    return file.getvalue().replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")


def _of_equal_folds(results: list[Result]) -> tuple[list[Result], list[int]]:
    """Keep the seeds that have all folds of the lowest one: a mean over unequal folds compares nothing."""
    folds: dict[int, set[int]] = {}
    for result in results:
        folds.setdefault(result["seed"], set()).add(result["fold"])
    wanted = folds[min(folds)]
    seeds = sorted(seed for seed, own in folds.items() if own >= wanted)
    return [result for result in results if result["seed"] in seeds and result["fold"] in wanted], seeds


def _figures(results: list[Result], corpus: str | None) -> dict[str, Any]:
    """Return the figures of one seed over its folds."""
    parts = [read_answers(result) for result in results]
    kept = [np.array([not corpus or own == corpus for own in part.corpora], dtype=bool) for part in parts]
    tested = [part.where(keep) for part, keep in zip(parts, kept, strict=True)]
    tested = [part for part in tested if part.ids]  # a corpus with fewer folds is missing in the others
    everywhere = set.intersection(*({*result.get("conditions", {})} for result in results))
    figures = evaluate(
        Answers.pooled(tested),
        _pooled([result["adapted"] for result in results], corpus),
        {
            name: _probabilities([own["conditions"][name] for own in results], kept)
            for name in results[0].get("conditions", {})
            if name in everywhere
        },
    )
    if all("adapted_probabilities" in result for result in results):
        adapted = _probabilities([own["adapted_probabilities"] for own in results], kept)
        truth = np.concatenate([part.truth for part in tested])
        figures["adapted"]["all"]["ece"] = metrics.ece(adapted, truth, min(ECE_BINS, len(truth)))
    figures["uar_by_fold"] = [
        metrics.uar(metrics.confusion(part.truth, part.predicted, part.emotions)) for part in tested
    ]
    return figures


def _probabilities(folds: list[list[list[float]]], kept: list[npt.NDArray[np.bool_]]) -> FloatArray:
    """Put the rows of folds together, those that are kept; three digits of each do not sum to one."""
    rows = np.concatenate([np.array(fold)[keep] for fold, keep in zip(folds, kept, strict=True)])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _pooled(parts: list[Counts], corpus: str | None) -> dict[str, dict[str, np.ndarray]]:
    """Add up counts by setting and speaker; under ``random`` a speaker is tested in several folds."""
    pooled: dict[str, dict[str, np.ndarray]] = {}
    for part in parts:
        for setting, by_speaker in part.items():
            rows = pooled.setdefault(setting, {})
            for speaker, counts in by_speaker.items():
                if not corpus or speaker.startswith(f"{corpus}/"):
                    rows[speaker] = rows.get(speaker, 0) + np.array(counts, dtype=np.int64)
    return pooled
