"""What ``vocalics serve`` carries over WebSockets: 100 clients that speak at once, and what breaks cost them.

    python benchmarks/service_streams.py [--clients N] [--seconds S] [--workers N] [-o FILE.json]

Every client sends a talk, made of the examples and pauses, in messages of 0.1 s at the time at which they
would be spoken, and asks for an answer every 0.5 s, the service's usual hop. The clients begin at random
within the first message. Three rounds on the same cores as the clients:

- *alone*: nothing else happens;
- *bad company*: one tenth as many clients besides are silent, do not read, or vanish, and are replaced;
- *killed*: in the middle the service is killed and started again, and the clients go on from what it
  acknowledged.

Told are the delay of each message, from when it was due until it was answered first, and of each answer, from
the end of its window until it was there. After each round the answers of every client are compared with those
of a stream that never broke, made in this process: one that is missing, comes twice or differs counts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

import vocalics
from service_load import cpu_s, family, memory_mb, percentile_ms
from vocalics import audio
from vocalics.files import write_atomically
from vocalics.recognition.formats import rounded
from vocalics.recognition.stream import Stream
from vocalics.service.resumable import ResumableStream

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE = 16_000
MESSAGE_S, HOP_S = 0.1, 0.5
PROGRAM = "import sys; from vocalics.cli import main; sys.exit(main())"
HELLO = {"sample_rate": RATE, "encoding": "pcm_s16le", "hop_s": HOP_S}
N_TALKS = 8  # different ones; more would only make the comparison longer

Samples = npt.NDArray[np.int16]


def make_talks(seconds: float) -> list[list[Samples]]:
    """Return talks as messages: clips at different levels, and pauses that fill half as much time."""
    clips = [audio.read(path).mono().resampled(RATE).samples[0] for path in sorted(EXAMPLES.glob("*an*.*"))]
    talks = []
    for seed in range(N_TALKS):
        dice = np.random.default_rng(seed)
        pieces: list[Any] = []
        while sum(map(len, pieces)) < seconds * RATE:
            clip = clips[dice.integers(len(clips))] * dice.uniform(0.3, 1.0)
            pause = dice.normal(0, 1e-3, int(len(clip) * dice.choice([0.1, 0.4, 1.0])))
            pieces += [clip, pause]
        samples = np.concatenate(pieces)[: round(seconds * RATE)]
        n_message = round(MESSAGE_S * RATE)
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
        talks.append([pcm[start : start + n_message] for start in range(0, len(pcm), n_message)])
    return talks


def expected(talks: list[list[Samples]]) -> list[list[dict[str, Any]]]:
    """Return the answers to each talk, of a stream that never breaks."""
    model = vocalics.load()

    def new_stream(start_s: float, after_s: float) -> Stream:
        return Stream(model, sample_rate=RATE, hop_s=HOP_S, start_s=start_s, after_s=after_s)

    found = []
    for talk in talks:
        stream = ResumableStream(new_stream, 1.0)
        answers = [answer for n, samples in enumerate(talk, start=1) for answer in stream.hear(n, samples)]
        found.append([rounded(answer).to_dict() for answer in answers + stream.finish()])
    return found


@dataclass
class Talker:
    """A client that speaks in real time, and takes up its stream again when the connection breaks.

    Attributes
    ----------
    talk
        What it sends.
    url
        To whom.
    begins_at
        When its first message was spoken, by the loop's clock.
    """

    talk: list[Samples]
    url: str
    begins_at: float
    answers: list[dict[str, Any]] = field(default_factory=list)
    message_delays_s: list[float] = field(default_factory=list)
    answer_delays_s: list[float] = field(default_factory=list)
    n_connections: int = 0
    kept: deque[int] = field(default_factory=deque)  # numbers of messages that were not acknowledged
    resume: dict[str, Any] = field(default_factory=dict)
    n_spoken: int = 0
    n_heard: int = 0
    ended: bool = False

    async def run(self) -> None:
        """Speak until all is said and answered."""
        while not self.ended:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(self.url, compression=None, open_timeout=60, ping_interval=None) as socket:
                    self.n_connections += 1
                    await self._talk(socket)
            await asyncio.sleep(0 if self.ended else 0.2)

    async def _talk(self, socket: ClientConnection) -> None:
        first = self.kept[0] if self.kept else self.n_spoken + 1
        await socket.send(json.dumps(HELLO | self.resume | {"sequence": first}))
        self._take(json.loads(await socket.recv()))
        listening = asyncio.create_task(self._listen(socket))
        try:
            for number in list(self.kept):
                await socket.send(self._message(number))
            while self.n_spoken < len(self.talk):
                await asyncio.sleep(self._due(self.n_spoken + 1) - asyncio.get_running_loop().time())
                self.n_spoken += 1
                self.kept.append(self.n_spoken)
                await socket.send(self._message(self.n_spoken))
            await socket.send('{"end": true}')
            await listening
        finally:
            listening.cancel()

    async def _listen(self, socket: ClientConnection) -> None:
        while not self.ended:
            told = json.loads(await socket.recv())
            now = asyncio.get_running_loop().time()
            self._take(told)
            self.ended = told.get("end", False)
            if not self.ended:
                if told["sequence"] > self.n_heard:  # else it was answered before the break too
                    self.n_heard = told["sequence"]
                    self.message_delays_s.append(now - self._due(self.n_heard))
                self.answer_delays_s += [now - self.begins_at - answer["end_s"] for answer in told["answers"]]

    def _take(self, told: dict[str, Any]) -> None:
        if "error" in told:
            raise (OSError if told["retry"] else SystemExit)(told["error"])
        self.answers += told["answers"]
        self.resume = told["resume"]
        while self.kept and self.kept[0] <= told["acknowledged"]:
            self.kept.popleft()

    def _message(self, number: int) -> bytes:
        return number.to_bytes(8, "big") + self.talk[number - 1].tobytes()

    def _due(self, number: int) -> float:
        """When a message was spoken to its end."""
        return self.begins_at + number * MESSAGE_S


class Server:
    """The service on a port of its own, which can be killed."""

    def __init__(self, folder: Path, n_clients: int, workers: int | None) -> None:
        self._log = folder / "log"
        self._options = ["--max-streams", str(2 * n_clients), "--idle-s", "5"]
        self._options += [] if workers is None else ["--workers", str(workers)]
        self._environment = os.environ | {"TMPDIR": str(folder)}
        self.port = 0

    async def start(self) -> None:
        """Start, on the port of before if there was one."""
        command = [sys.executable, "-c", PROGRAM, "serve", "--port", str(self.port), *self._options]
        with self._log.open("w") as file:
            self.process = await asyncio.create_subprocess_exec(*command, stderr=file, env=self._environment)
        while "serving at" not in self._log.read_text():
            if self.process.returncode is not None:
                raise SystemExit(self._log.read_text())
            await asyncio.sleep(0.05)
        self.port = int(self._log.read_text().partition("://")[2].partition(":")[2].partition(",")[0])
        self.url = f"ws://127.0.0.1:{self.port}/v1/stream"

    async def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """End it."""
        self.process.terminate()
        await self.process.wait()


async def be_a_nuisance(url: str, talk: list[Samples], kind: int) -> None:
    """Be silent, do not read, or vanish, again and again."""
    while True:
        with contextlib.suppress(OSError, WebSocketException):
            socket = await connect(url, compression=None, ping_interval=None, max_queue=1).__aenter__()
            try:
                await socket.send(json.dumps(HELLO))
                number = 0
                while kind and number < (len(talk) if kind == 1 else 20):
                    number += 1
                    await socket.send(number.to_bytes(8, "big") + talk[(number - 1) % len(talk)].tobytes())
                    await asyncio.sleep(MESSAGE_S)
                if not kind:
                    await asyncio.sleep(10)
            finally:
                socket.transport.abort()
        await asyncio.sleep(0.5)


async def one_round(
    server: Server, talks: list[list[Samples]], n_clients: int, *, bad: int = 0, kill: bool = False
) -> list[Talker]:
    """Let the clients talk."""
    dice = random.Random(0)
    now = asyncio.get_running_loop().time() + 1.0
    talkers = [
        Talker(talks[n % len(talks)], server.url, now + dice.random() * MESSAGE_S) for n in range(n_clients)
    ]
    company = [
        asyncio.create_task(be_a_nuisance(server.url, talks[n % len(talks)], n % 3)) for n in range(bad)
    ]
    tasks = [asyncio.create_task(one.run()) for one in talkers]
    if kill:
        await asyncio.sleep(1.0 + MESSAGE_S * len(talks[0]) / 2)
        await server.kill()
        await server.start()
    await asyncio.gather(*tasks)
    for one in company:
        one.cancel()
    await asyncio.gather(*company, return_exceptions=True)
    return talkers


def summary(talkers: list[Talker], right: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Put what the clients found into figures."""
    lost = repeated = different = 0
    for index, talker in enumerate(talkers):
        wanted = {answer["end_s"]: answer for answer in right[index % len(right)]}
        got = [answer["end_s"] for answer in talker.answers]
        lost += len(set(wanted) - set(got))
        repeated += len(got) - len(set(got))
        different += sum(answer != wanted.get(answer["end_s"]) for answer in talker.answers)
    messages = [delay for one in talkers for delay in one.message_delays_s]
    answers = [delay for one in talkers for delay in one.answer_delays_s]
    return {
        "clients": len(talkers),
        "connections": sum(one.n_connections for one in talkers),
        "messages": len(messages),
        "message p50 ms": percentile_ms(messages, 50),
        "message p99 ms": percentile_ms(messages, 99),
        "answers": sum(len(one.answers) for one in talkers),
        "answer p50 ms": percentile_ms(answers, 50),
        "answer p99 ms": percentile_ms(answers, 99),
        "answers lost": lost,
        "answers twice": repeated,
        "answers that differ": different,
    }


async def measure_round(
    server: Server,
    talks: list[list[Samples]],
    right: list[list[dict[str, Any]]],
    n_clients: int,
    what: dict[str, Any],
) -> dict[str, Any]:
    """Run one round, and put it into figures."""
    await one_round(server, [talk[:20] for talk in talks], 4)  # so that its processes are there
    before, own, began = cpu_s(family(server.process.pid)), time.process_time(), time.perf_counter()
    figures = summary(await one_round(server, talks, n_clients, **what), right)
    spent_s = time.perf_counter() - began
    if "kill" not in what:  # the processes are the same as before
        pids = family(server.process.pid)
        figures["cores of the service"] = round((cpu_s(pids) - before) / spent_s, 2)
        figures["cores of the clients"] = round((time.process_time() - own) / spent_s, 2)
        figures["MB"] = memory_mb(pids)
    return figures


async def measure(options: argparse.Namespace, talks: list[list[Samples]]) -> dict[str, Any]:
    """Run the rounds."""
    print("what the answers must be", flush=True)
    right = expected(talks)
    rounds: dict[str, dict[str, Any]] = {
        "alone": {},
        "bad company": {"bad": max(3, options.clients // 10)},
        "killed": {"kill": True},
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), options.clients, options.workers)
        await server.start()
        try:
            for name, what in rounds.items():
                found[name] = await measure_round(server, talks, right, options.clients, what)
                told = ", ".join(f"{key} {value}" for key, value in found[name].items())
                print(f"{name}: {told}", flush=True)
        finally:
            await server.end()
    return found


def main() -> int:
    """Measure, print, write; return 0 when no answer was lost, came twice or differs, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each talk")
    parser.add_argument("--workers", type=int, help="of the service; default: its own")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(options, make_talks(options.seconds)))
    if options.output:
        record = {
            "command": "python benchmarks/service_streams.py",
            "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
            "seconds": options.seconds,
            "rounds": found,
        }
        write_atomically(options.output, json.dumps(record, indent=1) + "\n")
    faults = ("answers lost", "answers twice", "answers that differ")
    return int(any(one[fault] for one in found.values() for fault in faults))


if __name__ == "__main__":
    sys.exit(main())
