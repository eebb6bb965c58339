"""Write the figures of docs/timeline.md: python docs/make_timeline.py [--check].

They come from ``docs/results/timeline``, which the scripts in ``benchmarks`` wrote.
"""

import json
from pathlib import Path
from typing import Any

from marked_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "timeline.md"
RESULTS = ROOT / "docs" / "results" / "timeline"


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    return write_or_check(PAGE, figures(RESULTS), __doc__)


def figures(results: Path) -> str:
    """Return what stands between the page's marks."""
    parts = {
        "conversations": conversations,
        "long_recordings": long_recordings,
        "live": live,
        "voice_gate": gate,
    }
    return "\n".join(part(json.loads((results / f"{name}.json").read_text())) for name, part in parts.items())


def conversations(measured: dict[str, Any]) -> str:
    """Say how near timelines come to a planted answer."""
    columns = ("found", "accuracy", "UAR", "answered", "right when answering", "turns", "segments a turn")
    lines = [
        "### A planted answer",
        "",
        f"`{measured['command']}` splices conversations of two speakers from clips of corpora that the "
        "bundled model never heard, and compares in frames of 10 ms. *Found*: speech that lies in a "
        "segment of its speaker; *accuracy* and *UAR* are over all of the speech, in percent, what was "
        "not found being wrong; *turns*: those whose beginning and end both have a border within 0.5 s. "
        "*Clip by clip* is the model's own limit: `predict`, told where each clip begins and ends.",
        "",
        f"| corpus | how | {' | '.join(columns)} |",
        "|---|---|" + "---|" * len(columns),
    ]
    for corpus in ("tess", "savee"):
        for how in ("stereo", "mono with RTTM", "clip by clip"):
            own = measured[corpus][how]
            cells = [_cell(column, own.get(column)) for column in columns]
            lines.append(
                f"| {corpus.upper()}, {measured[corpus]['turns']} turns | {how} | {' | '.join(cells)} |"
            )
    return "\n".join([*lines, "", ""])


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if column == "segments a turn" else f"{100 * value:.1f}"


def long_recordings(measured: dict[str, Any]) -> str:
    """Say how fast, and in how much memory."""
    stages = ("decoding", "resampling", "voice activity", "model", "else")
    lines = [
        "### Speed and memory",
        "",
        f"`{measured['command']}`: stereo, each channel a speaker, one core, a window every second. Times "
        "real time is of the file, both channels at once, decoding included; the stages are shares of "
        "that time.",
        "",
        f"| recording | times real time | peak memory | speech | {' | '.join(stages)} |",
        "|---|---|---|---|" + "---|" * len(stages),
    ]
    for name, own in measured.items():
        if name == "command":
            continue
        shares = " | ".join(f"{100 * own['shares'][stage]:.0f} %" for stage in stages)
        speed, peak = f"{own['times real time']:.0f}", f"{own['peak MB']:.0f} MB"
        lines.append(f"| {name} | {speed} | {peak} | {100 * own['speech']:.0f} % | {shares} |")
    return "\n".join([*lines, "", ""])


def live(measured: dict[str, Any]) -> str:
    """Say how late, and whether it holds out."""
    soak = measured["soak"]
    memory = soak["resident MB by the hour"]
    lines = [
        "### Live",
        "",
        f"`{measured['command']}`: pieces of 10 ms, a window every 0.25 s, one core. Latency is from the "
        "end of a window to its answer; at another rate than the model's 16 kHz it includes what "
        "resampling keeps back.",
        "",
        "| input | answers | p50 | p99 | worst |",
        "|---|---|---|---|---|",
    ]
    for name, own in measured.items():
        if name.endswith(" Hz"):
            times = " | ".join(f"{own[key]:.0f} ms" for key in ("p50 ms", "p99 ms", "worst ms"))
            lines.append(f"| {int(name.split()[0]):,} Hz | {own['answers']} | {times} |")
    lines += [
        "",
        f"A soak of {soak['hours']:g} hours, as fast as it goes: {soak['answers']:,} answers, resident "
        f"memory {memory[0]:.1f} MB after the first hour and {memory[-1]:.1f} MB after the last, "
        f"{soak['samples that the clock misses']} samples lost.",
    ]
    return "\n".join([*lines, "", ""])


def gate(measured: dict[str, Any]) -> str:
    """Say what the gate drops, and that it loses nothing."""
    rows = measured["rows"]
    counted = ("clips", "stretches", "cut", "lost", "shortened")
    total = {key: sum(row[key] for row in rows) for key in counted}
    harmed = sum(min(row["cut"], row["lost"] + row["shortened"]) for row in rows)  # at most
    dropped = ", ".join(f"{100 * row['dropped']:.0f} %" for row in rows if not row["gain_db"])
    return "\n".join(
        [
            "### The gate",
            "",
            f"`{measured['command']}`: {total['clips']:,} clips, each at its level and 30 dB quieter, with "
            "pauses of silence, flipping last bits, hum and faint noise between: of "
            f"{total['stretches']:,} stretches of speech {total['cut']} have a chunk for which the detector "
            f"was not asked; {harmed or 'none'} of these is lost or shorter by more than 0.1 s. Of the "
            f"others {total['lost'] + total['shortened'] - harmed} are: the detector remembers, and answers "
            f"otherwise after another past. The gate spares it {dropped} of the sound (RAVDESS, TESS, SAVEE, "
            "nEMO; the pauses are short here).",
            "",
            "",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
