"""How late live answers come, and whether a stream holds out for a working day.

    python benchmarks/live.py [--data DIR] [--hours 8] [-o FILE.json]

A conversation of two speakers of TESS (benchmarks/conversations.py) is pushed into a `vocalics.Stream` in
pieces of 10 ms, as a sound card gives them, at the stream's own hop of 0.25 s, on one core.

Latency is the time from the end of a window until its answer is there: what was pushed after the end (the
rest of the piece, what resampling keeps back, the pause that tells that speech has ended) and the time of the
push itself. Answers that the end of speech brings on are told apart, since nothing can know sooner that it
has ended.

The soak pushes the conversation over and over, as fast as it goes. Resident memory is told every hour of
sound, and at the end whether the clock of the stream is that of the samples pushed.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vocalics
from conversations import RATE, of_tess
from vocalics.audio import Waveform
from vocalics.files import write_atomically

PIECE_S = 0.01
RATES = (16_000, 48_000, 8_000)


def make_call(data: Path | None) -> npt.NDArray[np.float32]:
    """Return a conversation of some minutes, mixed to one channel at `RATE`."""
    call = next(of_tess(data, n_clips=150, n_turns=60))
    return call.samples.sum(axis=0)


def latencies(model: vocalics.Model, call: npt.NDArray[np.float32], sample_rate: int) -> dict[str, float]:
    """Push a call piece by piece; return percentiles of the latency in ms, and the time of a push."""
    samples = Waveform(call[np.newaxis], RATE).resampled(sample_rate).samples[0]
    stream = vocalics.Stream(model, sample_rate=sample_rate)
    n_piece = round(PIECE_S * sample_rate)
    stream.push(samples[: 10 * sample_rate])  # what is loaded once
    regular, last, pushes = [], [], []
    for start in range(10 * sample_rate, len(samples), n_piece):
        began = time.perf_counter()
        answers = stream.push(samples[start : start + n_piece])
        spent_s = time.perf_counter() - began
        pushes.append(spent_s)
        for answer in answers:
            late_s = stream.position_s - answer.end_s + spent_s
            (regular if late_s - spent_s <= stream.latency_s - 0.25 + PIECE_S else last).append(late_s)
    return {
        "answers": len(regular) + len(last),
        "answers that came later than stated": len(last),
        "p50 ms": 1000 * float(np.percentile(regular, 50)),
        "p99 ms": 1000 * float(np.percentile(regular, 99)),
        "worst ms": 1000 * max(regular),
        "push p50 ms": 1000 * float(np.percentile(pushes, 50)),
        "push p99 ms": 1000 * float(np.percentile(pushes, 99)),
    }


def soak(model: vocalics.Model, call: npt.NDArray[np.float32], hours: float) -> dict[str, Any]:
    """Push a call over and over."""
    stream = vocalics.Stream(model, sample_rate=RATE)
    n_piece = round(PIECE_S * RATE)
    pieces = [call[start : start + n_piece] for start in range(0, len(call) - n_piece, n_piece)]
    n_pushed = n_answers = 0
    memory: list[float] = []
    began = time.perf_counter()
    n_wanted = round(3600 * hours * RATE)
    while n_pushed < n_wanted:
        for piece in pieces:
            n_answers += len(stream.push(piece))
            n_pushed += len(piece)
            if n_pushed >= (len(memory) + 1) * 3600 * RATE:
                memory.append(resident_mb())
                print(f"  hour {len(memory)}: {memory[-1]:.1f} MB, {n_answers} answers", flush=True)
            if n_pushed >= n_wanted:
                break
    return {
        "hours": hours,
        "answers": n_answers,
        "resident MB by the hour": memory,
        "samples that the clock misses": round(abs(n_pushed - stream.position_s * RATE)),
        "times real time": n_pushed / RATE / (time.perf_counter() - began),
    }


def resident_mb() -> float:
    """Resident set of this process now."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(lines["VmRSS"].split()[0]) / 1024


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per corpus (VOCALICS_DATA)")
    parser.add_argument("--hours", type=float, default=8.0, help="of the soak; 0 for none")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    model = vocalics.load()
    call = make_call(options.data)
    result: dict[str, Any] = {"command": "python benchmarks/live.py"}
    for sample_rate in RATES:
        figures = latencies(model, call, sample_rate)
        result[f"{sample_rate} Hz"] = figures
        print(
            f"{sample_rate:6} Hz" + "".join(f"  {name} {value:.4g}" for name, value in figures.items()),
            flush=True,
        )
    if options.hours:
        result["soak"] = soak(model, call, options.hours)
        print("  " + ", ".join(f"{name} {value}" for name, value in result["soak"].items()))
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
