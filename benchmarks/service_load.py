"""What ``vocalics serve`` carries over HTTP: throughput, delay and memory, on loopback.

    python benchmarks/service_load.py [--seconds S] [--requests N] [--workers N] [-o FILE.json]

A client in this process keeps 1, 8, 64 and 256 connections busy with a wav file of 3 s, some seconds each.
The service runs beside it on the same cores, as `vocalics serve` starts it. The mark: from 8 connections on
it answers at least 70 % of what one process does from file to answer on these cores with no service at all
(the better of one thread and one for each core), and nothing but 200, 429 and 503. Delay is from the first
byte of a request to the last of its answer.

Then `--requests` requests go over 8 connections, and the memory of the service and its workers is told at
every tenth of the way. The mark: the second half takes no more than 2 % above what the first half took at
most.

CPU times are of the processes themselves, so that it can be seen what the protocol costs.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import vocalics
from vocalics.files import write_atomically

CLIP = Path(__file__).parents[1] / "examples" / "woman.wav"
CLIP_S = 3.0
CONNECTIONS = (1, 8, 64, 256)
MARK, MEMORY_MARK = 0.70, 1.02
PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def make_clip(folder: Path) -> Path:
    """Write the first seconds of an example as wav."""
    samples, rate = soundfile.read(CLIP, dtype="int16")
    path = folder / "clip.wav"
    soundfile.write(path, samples[: round(CLIP_S * rate)], rate)
    return path


def without_a_service(clip: Path, seconds: float) -> dict[str, float]:
    """Clips a second from file to answer in this process, by the number of threads."""
    model = vocalics.load()
    found = {}
    for n_threads in sorted({1, len(os.sched_getaffinity(0))}):

        def work(until: float) -> int:
            n_done = 0
            while time.perf_counter() < until:
                model.predict(clip)
                n_done += 1
            return n_done

        model.predict(clip)
        with ThreadPoolExecutor(n_threads) as pool:
            began, cpu = time.perf_counter(), time.process_time()
            done = sum(pool.map(work, [began + seconds] * n_threads))
            spent_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        found[f"{n_threads} threads"] = done / spent_s
        found[f"{n_threads} threads, CPU ms a clip"] = 1000 * cpu_s / done
    return found


@contextlib.contextmanager
def service(*options: str) -> Iterator[tuple[str, int, int]]:
    """Start the service; yield host, port and the number of its process."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", *options]
            process = subprocess.Popen(command, stderr=file, env=os.environ | {"TMPDIR": folder})
        try:
            while not (found := re.search(r"http://([\d.]+):(\d+)", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.05)
            yield found[1], int(found[2]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def family(pid: int) -> list[int]:
    """List a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def memory_mb(pids: list[int]) -> list[float]:
    """Resident memory of processes, 10^6 bytes."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return [round(n * os.sysconf("SC_PAGE_SIZE") / 1e6, 1) for n in pages]


def cpu_s(pids: list[int]) -> float:
    """CPU time of processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


@dataclass
class Load:
    """What the connections have found.

    Attributes
    ----------
    left
        Requests that may still be sent.
    until
        Nothing is sent after this, by `time.perf_counter`.
    """

    left: int
    until: float
    statuses: Counter[int] = field(default_factory=Counter)
    delays_s: list[float] = field(default_factory=list)
    broken: int = 0


class Connection(asyncio.Protocol):
    """Sends the same request over and over, each as soon as the one before is answered.

    Where it is told to come back later it does so at once: a harder client than most.
    """

    def __init__(self, request: bytes, load: Load) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._load = load
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take what comes; at the end of an answer, ask again."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not found or length is None or len(body) < int(length[1]):
            return
        status = int(head[9:12])
        self._load.statuses[status] += 1
        if status == 200:
            self._load.delays_s.append(time.perf_counter() - self._began)
        self._answer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a connection that the service closes counts as broken."""
        if not self.ended.done():
            self._load.broken += 1
            self.ended.set_result(None)

    def _send(self) -> None:
        if self._load.left <= 0 or time.perf_counter() >= self._load.until:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._load.left -= 1
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def ask(host: str, port: int, request: bytes, n_connections: int, load: Load) -> float:
    """Keep connections busy; return how long it took."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = []
    for _ in range(n_connections):
        _, one = await loop.create_connection(lambda: Connection(request, load), host, port)
        connections.append(one)
    await asyncio.gather(*(one.ended for one in connections))
    return time.perf_counter() - began


def run(host: str, port: int, request: bytes, n_connections: int, load: Load) -> float:
    """Run a client of its own event loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ask(host, port, request, n_connections, load))


def percentile_ms(delays_s: list[float], percent: float) -> float | None:
    """Percentile of delays."""
    return round(1000 * float(np.percentile(delays_s, percent)), 2) if delays_s else None


def measure_load(host: str, port: int, pid: int, request: bytes, seconds: float) -> list[dict[str, Any]]:
    """Throughput and delay by the number of connections."""
    rows = []
    run(host, port, request, 8, Load(200, time.perf_counter() + 60))  # so that every worker is warm
    for n_connections in CONNECTIONS:
        load = Load(1_000_000, time.perf_counter() + seconds)
        service_cpu, workers_cpu, own_cpu = cpu_s([pid]), cpu_s(family(pid)[1:]), time.process_time()
        spent_s = run(host, port, request, n_connections, load)
        n_good = load.statuses[200]
        rows.append(
            {
                "connections": n_connections,
                "clips a second": round(n_good / spent_s, 1),
                "p50 ms": percentile_ms(load.delays_s, 50),
                "p99 ms": percentile_ms(load.delays_s, 99),
                "answered": n_good,
                "told to come back": load.statuses[503] + load.statuses[429],
                "errors": load.broken
                + sum(n for status, n in load.statuses.items() if status not in (200, 429, 503)),
                "CPU ms a clip": {
                    "service": round(1000 * (cpu_s([pid]) - service_cpu) / max(1, n_good), 3),
                    "workers": round(1000 * (cpu_s(family(pid)[1:]) - workers_cpu) / max(1, n_good), 3),
                    "client": round(1000 * (time.process_time() - own_cpu) / max(1, n_good), 3),
                },
            }
        )
        print("  " + ", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def measure_memory(host: str, port: int, pid: int, request: bytes, n_requests: int) -> list[dict[str, Any]]:
    """Memory of the service and its workers while many requests come."""
    rows = []
    for tenth in range(11):
        if tenth:
            load = Load(n_requests // 10, time.perf_counter() + 1800)
            run(host, port, request, 8, load)
            if set(load.statuses) != {200} or load.broken:
                raise SystemExit(f"answers that were not to be: {load.statuses}, {load.broken} broken")
        processes = memory_mb(family(pid))
        rows.append(
            {"requests": tenth * n_requests // 10, "service MB": processes[0], "workers MB": processes[1:]}
        )
        print("  " + ", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def is_flat(rows: list[dict[str, Any]]) -> bool:
    """Tell whether the second half took hardly more than the first."""
    totals = [row["service MB"] + sum(row["workers MB"]) for row in rows]
    return max(totals[6:]) <= MEMORY_MARK * max(totals[1:6])


def main() -> int:
    """Measure, print, write; return 0 when the marks are met, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each number of connections")
    parser.add_argument("--requests", type=int, default=20_000, help="while the memory is watched; 0: none")
    parser.add_argument("--workers", type=int, help="of the service; default: its own")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder))
        body = clip.read_bytes()
        head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav"
        request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        print("without a service")
        alone = without_a_service(clip, options.seconds)
        print("  " + ", ".join(f"{name} {value:.2f}" for name, value in alone.items()), flush=True)
        best = max(value for name, value in alone.items() if "CPU" not in name)
        workers = [] if options.workers is None else ["--workers", str(options.workers)]
        print("with it")
        with service(*workers) as (host, port, pid):
            rows = measure_load(host, port, pid, request, options.seconds)
            memory = measure_memory(host, port, pid, request, options.requests) if options.requests else []
    shares = [row["clips a second"] / best for row in rows if row["connections"] >= 8]
    met = {
        "throughput": min(shares) >= MARK,
        "no errors": not any(row["errors"] for row in rows),
        "memory": is_flat(memory) if memory else None,
    }
    for name, value in met.items():
        print(f"mark: {name} {'not measured' if value is None else 'met' if value else 'MISSED'}")
    print(f"shares of {best:.1f} clips a second: {', '.join(f'{100 * share:.0f} %' for share in shares)}")
    if options.output:
        record = {
            "command": "python benchmarks/service_load.py",
            "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
            "clip": {"seconds": CLIP_S, "bytes": len(body)},
            "without a service, clips a second": {name: round(value, 2) for name, value in alone.items()},
            "load": rows,
            "share of the best without a service, from 8 connections on": [
                round(share, 3) for share in shares
            ],
            "memory": memory,
            "marks": met,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")
    return 0 if all(value is not False for value in met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
