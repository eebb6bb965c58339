"""Write the figures of docs/service.md: python docs/make_service.py [--check].

They come from ``docs/results/service``, which the benchmarks ``service_load.py`` and ``service_streams.py``
wrote.
"""

import json
from pathlib import Path
from typing import Any

from marked_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "service.md"
RESULTS = ROOT / "docs" / "results" / "service"


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    return write_or_check(PAGE, figures(RESULTS), __doc__)


def figures(results: Path) -> str:
    """Return what stands between the page's marks."""
    parts = {"load": load, "streams": streams}
    return "\n".join(part(json.loads((results / f"{name}.json").read_text())) for name, part in parts.items())


def load(measured: dict[str, Any]) -> str:
    """Say what goes through, and how fast."""
    own = measured["without a service, clips a second"]
    best = max(value for name, value in own.items() if name.endswith("threads"))
    memory = [row["service MB"] + sum(row["workers MB"]) for row in measured["memory"]]
    lines = [
        "### Requests",
        "",
        f"`{measured['command']}` keeps connections busy with a clip of {measured['clip']['seconds']:g} s, "
        f"on the same {measured['machine']['cores']} cores as the service. Without any service one process "
        f"goes from file to answer {best:.0f} times a second there.",
        "",
        "| connections | clips a second | share of that | p50 | p99 | told to come back | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in measured["load"]:
        rate = row["clips a second"]
        lines.append(
            f"| {row['connections']} | {rate:.0f} | {100 * rate / best:.0f} % | {_duration(row['p50 ms'])} | "
            f"{_duration(row['p99 ms'])} | {row['told to come back']} | {row['errors']} |"
        )
    n_requests = measured["memory"][-1]["requests"]
    lines += [
        "",
        f"Service and workers together hold {memory[1]:.0f} MB after the first {n_requests // 10:,} requests "
        f"and {memory[-1]:.0f} MB after {n_requests:,}.",
    ]
    return "\n".join([*lines, "", ""])


def streams(measured: dict[str, Any]) -> str:
    """Say what a hundred streams cost, and what breaks do to them."""
    told = {
        "alone": "alone",
        "bad company": "beside clients that are silent, deaf or vanish",
        "killed": "the service is killed and started again",
    }
    rounds = measured["rounds"]
    lines = [
        "### Streams",
        "",
        f"`{measured['command']}` lets {rounds['alone']['clients']} clients speak at once in real time for "
        f"{measured['seconds']:g} s, in messages of 0.1 s, on the same {measured['machine']['cores']} cores. "
        "The delay of an answer counts from the end of its window.",
        "",
        "| | message p50 | p99 | answer p50 | p99 | lost | twice | differing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, words in told.items():
        row = rounds[name]
        delays = [
            _duration(row[f"{what} {percent} ms"])
            for what in ("message", "answer")
            for percent in ("p50", "p99")
        ]
        faults = [f"{row[f'answers {fault}']:,}" for fault in ("lost", "twice", "that differ")]
        lines.append(f"| {words} | {' | '.join(delays)} | {' | '.join(faults)} of {row['answers']:,} |")
    return "\n".join([*lines, "", ""])


def _duration(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


if __name__ == "__main__":
    raise SystemExit(main())
