"""Write the figures of docs/performance.md, and their picture: python docs/make_performance.py [--check].

They come from ``docs/results/performance``, which scripts in ``benchmarks`` wrote; the page names them.
"""

import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from marked_page import write_or_check
from matplotlib import rc_context
from matplotlib.figure import Figure

from vocalics.files import write_atomically
from vocalics.lab.plots.style import BLUE, INK, ORANGE, page, quiet, styled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
RESULTS = ROOT / "docs" / "results" / "performance"

#: What is compared from file to label, and how the page says it.
LABELS = {
    "throughput": "clips a second, one core",
    "cold start": "from the start of a process to its first label",
    "memory": "peak memory",
}

_LINE_IN = 0.215  # height of a bar with its room
_AROUND_IN = 0.55  # of the axis under the bars

Measured = dict[str, Any]


@dataclass(frozen=True)
class Gain:
    """How many times less one needs than with something else.

    Attributes
    ----------
    what
        What is done, or what is saved.
    instead_of
        What is compared with.
    ratio
        Above 1 vocalics is better.
    mark
        What was to be reached at least, if anything.
    """

    what: str
    instead_of: str
    ratio: float
    mark: float | None = None


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    code = write_or_check(PAGE, figures(RESULTS), __doc__)
    if "--check" not in sys.argv:
        write_atomically(PICTURE, to_svg(picture(gains(read(RESULTS)))))
    return code


def read(results: Path) -> dict[str, Measured]:
    """Return all results by the names of their files."""
    return {name: json.loads((results / f"{name}.json").read_text()) for name in PARTS}


def figures(results: Path) -> str:
    """Return what stands between the page's marks."""
    measured = read(results)
    parts = [part(measured[name]) for name, part in PARTS.items()]
    return what_is_gained(gains(measured)) + "".join(parts)


# ---- what is gained --------------------------------------------------------------------------------------


def gains(measured: dict[str, Measured]) -> list[Gain]:
    """Return every ratio that was measured, in the order of the page."""
    found = []
    for what, told in LABELS.items():
        for row in others(measured["peers"]["contenders"]):
            mark = row["marks"].get(what, {}).get("mark")
            found.append(Gain(f"From file to label: {told}", row["contender"], row["ratios"][what], mark))
    for row in others(measured["features"]["table"]):
        found.append(Gain("The nine features of `cnn2d`", row["contender"], row["ratio"], row["mark"]))
    for row in others(measured["front_ends"]["contenders"]):
        told = "Features of a clip" if "openSMILE" in row["contender"] else "Log-mel of a clip"
        found.append(Gain(told, row["contender"], row["ratio"]))
    for row in others(measured["training_epoch"]["contenders"]):
        found.append(Gain("An epoch of training", row["contender"], row["ratio"]))
    return found


def others(rows: Iterable[Measured]) -> list[Measured]:
    """Leave out what is vocalics itself."""
    return [row for row in rows if not row["contender"].startswith("vocalics")]


def what_is_gained(found: Iterable[Gain]) -> str:
    """Return the ratios as a table under their picture."""
    rows = []
    for what, of_one in groupby(found, key=lambda gain: gain.what):
        for gain in of_one:
            met = "" if gain.mark is None else "met" if gain.ratio >= gain.mark else "missed"
            mark = "" if gain.mark is None else f"{gain.mark:g}, {met}"
            rows.append((what, gain.instead_of, f"**{times(gain.ratio)}**", mark))
            what = ""
    return _section(
        "## What you gain",
        "![How many times better vocalics is, by task and contender](performance.svg)",
        _table(("what", "instead of", "times better", "mark"), rows),
        "## How it was measured",
    )


def times(ratio: float) -> str:
    """Return a ratio with as many digits as it is worth."""
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


@styled
def picture(found: list[Gain]) -> Figure:
    """Draw the ratios as bars from 1 on a logarithmic axis; those under 1 go to the left, in orange."""
    lines: list[str | Gain] = []
    for what, rows in groupby(found, key=lambda gain: gain.what):
        lines += [what.replace("`", ""), *rows]
    figure = page(_AROUND_IN + _LINE_IN * len(lines))
    axes = figure.subplots()
    quiet(axes, "x")
    bars = {position: line for position, line in enumerate(lines) if isinstance(line, Gain)}
    for position, line in enumerate(lines):
        if isinstance(line, str):
            place = axes.get_yaxis_transform()
            axes.text(0, position, line, transform=place, va="center", color=INK, fontweight="bold")
    for position, gain in bars.items():
        better = gain.ratio >= 1
        axes.barh(position, gain.ratio - 1, left=1, height=0.62, color=BLUE if better else ORANGE)
        axes.annotate(
            times(gain.ratio),
            (gain.ratio, position),
            xytext=(4 if better else -4, 0),
            textcoords="offset points",
            va="center",
            ha="left" if better else "right",
        )
        if gain.mark is not None:
            axes.plot([gain.mark] * 2, [position - 0.42, position + 0.42], color=INK, linewidth=1.2)
    ratios = [gain.ratio for gain in found]
    axes.set_xscale("log")
    axes.set_xlim(0.6 * min(1.0, *ratios), 1.8 * max(ratios))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} \N{MULTIPLICATION SIGN}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("how many times better vocalics is; a line is a mark that was to be reached")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(list(bars), [gain.instead_of for gain in bars.values()])
    return figure


def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, always the same; words stay words, in a font that readers have."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "vocalics", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return file.getvalue().replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")


# ---- how it was measured ---------------------------------------------------------------------------------


def peers(measured: Measured) -> str:
    """Tell the figures behind the comparison from file to label."""
    words = (
        f"`{measured['command']}`: files of {measured['clip s']:g} s of speech, wav at 16 kHz. Every "
        "contender runs as its users write it, in a process of its own on one core, and they take turns; "
        f"these are medians over {measured['rounds']} rounds. The weights of the others are at random, the "
        "arithmetic is that of the real ones. librosa + Keras is the published system `cnn2d` by TensorFlow, "
        "whose answer comes by `model.predict`, or by calling the model, which is quicker for one clip. The "
        "pipeline of transformers is handed samples, since for files it starts ffmpeg."
    )
    rows = [
        (
            row["contender"],
            f"{row['clips a second']:.1f}",
            f"{row['times real time']:.0f}",
            f"{row['cold start s']:.2f} s",
            f"{row['peak MB']:.0f} MB",
        )
        for row in measured["contenders"]
    ]
    columns = ("contender", "clips a second", "times real time", "cold start", "peak memory")
    return _section("### From file to label", words, _table(columns, rows), _on(measured))


def features(measured: Measured) -> str:
    """Tell what the nine features cost."""
    words = (
        "`python benchmarks/features.py`: 32 clips of 4 s, one thread. Ours equal librosa's, which is "
        "checked first. librosa's come as they are usually written, each call from the samples, and from one "
        "shared spectrum."
    )
    rows = [(row["contender"], f"{row['processor_ms'] / 32:.1f} ms") for row in measured["table"]]
    table = _table(("contender", "processor time, a clip"), rows)
    return _section("### The nine features of `cnn2d`", words, table)


def front_ends(measured: Measured) -> str:
    """Tell what log-mel and openSMILE cost."""
    words = (
        f"`{measured['command']}`: clips of {measured['clip s']:g} s, one thread. The log-mel front ends "
        "give the very same numbers, which is checked first; openSMILE's functionals are other features, the "
        "usual ones for emotion in speech."
    )
    rows = [(row["contender"], f"{row['processor ms']:.2f} ms") for row in measured["contenders"]]
    table = _table(("contender", "processor time, a clip"), rows)
    return _section("### Log-mel, and openSMILE", words, table, _on(measured))


def training_epoch(measured: Measured) -> str:
    """Tell how long an epoch takes."""
    n_features, frames = measured["shape"]
    words = (
        f"`{measured['command']}`: the network of `cnn2d` ({measured['parameters']:,} parameters), "
        f"{measured['clips']:,} clips of {n_features} features by {frames} frames, batches of "
        f"{measured['batch']}. Ours also changes the features, averages the weights, and writes its log and "
        "a checkpoint."
    )
    rows = [
        (
            row["contender"],
            _PRECISIONS[row["precision"]],
            f"{row['epoch s']:.1f} s",
            f"{row['peak MB']:.0f} MB",
        )
        for row in measured["contenders"]
    ]
    table = _table(("contender", "precision", "an epoch", "peak memory"), rows)
    return _section("### An epoch of training", words, table, _on(measured))


def batch(measured: Measured) -> str:
    """Tell how fast an archive becomes rows."""
    words = (
        f"`{measured['command']}`: clips of 3 s become rows of Parquet. The start is the time to the first "
        f"answer. Two workers do {measured['ratios']['2 workers to 1']:.2f} times what one does."
    )
    rows = [
        (name, f"{own['times real time']:.0f}", f"{own['start, s']:.1f} s")
        for name, own in measured["speeds"].items()
    ]
    return _section("### An archive", words, _table(("how", "times real time", "start"), rows))


def floor(measured: Measured) -> str:
    """Tell what the machine must do at least, and how near a prediction is to it."""
    counts, files = measured["multiply-adds"], measured["files"]
    counts = {**counts, "all": sum(counts.values())}
    name, heard = next(iter(files.items()))
    least, decoded = measured["at least, ms"], heard["at least, ms"]["decoding"]
    whole = heard["measured, ms"]["all"]
    words = (
        f"NumPy multiplies float32 matrices at {measured['matrix product, GFLOP/s']:.0f} GFLOP/s there, two "
        f"operations a multiply-add. At that speed the graph takes **{least:.2f} ms**; its session takes "
        f"{measured['session.run, ms']:.2f} ms, {100 * measured['share of the floor']:.0f} % of that speed. "
        f"The file, {name}, has {heard['bytes']:,} bytes; one call of NumPy makes floats of them in "
        f"{decoded:.3f} ms. Floor of the whole: {least + decoded:.2f} ms. A prediction takes {whole:.2f} ms, "
        f"**{whole / (least + decoded):.1f} times its floor**."
    )
    spent = [
        (stage, *(f"{own['measured, ms'][stage]:.2f}" for own in files.values()))
        for stage in heard["measured, ms"]
    ]
    return _section(
        "## The floor",
        f"`{measured['command']}`, one core. What cannot be saved of a clip of {measured['clip s']:g} s, and "
        "what is spent:",
        _table(("multiply-adds", "million"), [(name, f"{n / 1e6:.1f}") for name, n in counts.items()]),
        words,
        _table(("`Model.predict`, ms", *files), spent),
        _on(measured),
    )


_PRECISIONS = {"bf16-mixed": "bfloat16", "32-true": "float32"}


def _on(measured: Measured) -> str:
    """Say on what it was measured, and against which versions."""
    machine, versions = measured["machine"], measured.get("versions", {})
    told = [machine["processor"], f"{machine['cores']} cores", machine["system"]]
    told += [f"{name} {number}" for name, number in {"Python": machine["python"], **versions}.items()]
    return f"({', '.join(told)}.)"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(*paragraphs: str) -> str:
    return "\n\n".join([*paragraphs, ""])


#: Every result, and what tells of it, in the order of the page.
PARTS = {
    "peers": peers,
    "features": features,
    "front_ends": front_ends,
    "training_epoch": training_epoch,
    "batch": batch,
    "floor": floor,
}

if __name__ == "__main__":
    raise SystemExit(main())
