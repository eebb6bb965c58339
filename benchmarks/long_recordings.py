"""How fast a long call becomes a timeline, where the time goes, and how much memory it takes.

    python benchmarks/long_recordings.py [--data DIR] [--hours 10] [-o FILE.json]

A call of two speakers of TESS (benchmarks/conversations.py) is repeated to the length wanted and written as
16-bit FLAC in stereo. `vocalics.timeline` hears it on one core, each channel a speaker, a window of 3 s every
second. Times real time is the file's duration, both channels at once, over the time of the whole call,
decoding included. The stages are timed inside the same run. Memory is the peak of the resident set of a
process that does nothing else.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import vocalics
from conversations import RATE, of_tess
from vocalics import audio
from vocalics.audio import Waveform
from vocalics.files import write_atomically
from vocalics.recognition.channel import Channel
from vocalics.recognition.model import Model
from vocalics.recognition.timeline import timeline
from vocalics.recognition.voice import VoiceActivity
from vocalics.resampling import Resampler

#: Most that a ten-hour recording may take, MB.
MEMORY_MB = 300


def write_call(path: Path, sample_rate: int, minutes: float, data: Path | None) -> None:
    """Write a stereo call of that length."""
    call = np.hstack([one.samples for one in of_tess(data, n_clips=300, n_turns=40)])
    block = Waveform(call, RATE).resampled(sample_rate).samples.T  # (n_samples, 2)
    n_left = round(60 * minutes * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, 2, "PCM_16") as file:
        while n_left > 0:
            file.write(block[:n_left])
            n_left -= len(block)


class Stages:
    """Time spent in functions while they are replaced by ones that are timed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Time the calls of a method, and of what it yields."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)


def hear(path: str) -> dict[str, Any]:
    """Make the timeline of a call in this process; return times and memory."""
    model = vocalics.load()
    timeline((np.zeros((2, 16_000)), 16_000), model, channels="split")  # what is loaded once
    stages = Stages()
    stages.watch(Resampler, "push", "resampling")
    stages.watch(VoiceActivity, "push", "voice activity")
    stages.watch(Model, "answer", "model")
    decoded_s = 0.0
    blocks = audio.blocks

    def timed_blocks(*args: Any) -> Any:
        nonlocal decoded_s
        iterator = blocks(*args)
        while True:
            start = time.perf_counter()
            block = next(iterator, None)
            decoded_s += time.perf_counter() - start
            if block is None:
                return
            yield block

    audio.blocks = timed_blocks
    channels: list[Channel] = []
    make = Channel.__init__
    Channel.__init__ = lambda self, *args: channels.append(self) or make(self, *args)  # type: ignore[method-assign]
    start, start_cpu = time.perf_counter(), time.process_time()
    found = timeline(path, model, channels="split")
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    stages.seconds["decoding"] = decoded_s
    shares = {stage: spent / seconds for stage, spent in sorted(stages.seconds.items())}
    return {
        "minutes": found.duration_s / 60,
        "times real time": found.duration_s / seconds,
        "times real time, by processor time": found.duration_s / cpu,
        "speech": sum(one.speech_s for one in found.speakers) / (2 * found.duration_s),
        "dropped by the gate": sum(one.voice.n_dropped for one in channels)
        / sum(one.voice.n_chunks for one in channels),
        "shares": shares | {"else": 1 - sum(shares.values())},
        "peak MB": peak_mb(),
    }


def peak_mb() -> float:
    """Peak of this process's resident set; what `getrusage` says may be that of the process it came from."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hear_apart(path: Path) -> dict[str, Any]:
    """Make the timeline in a process of its own, on one core."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    one_core = ["taskset", "-c", "0"] if sys.platform == "linux" else []
    command = [*one_core, sys.executable, __file__, "--hear", str(path)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(told))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per corpus (VOCALICS_DATA)")
    parser.add_argument("--hours", type=float, default=10.0, help="the longest recording")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    parser.add_argument("--hear", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hear:
        print(json.dumps(hear(options.hear)))
        return
    result: dict[str, Any] = {"command": "python benchmarks/long_recordings.py"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "call.flac")
        for sample_rate, minutes in (
            (8_000, 60.0),
            (48_000, 60.0),
            (8_000, 10.0),
            (8_000, 60 * options.hours),
        ):
            write_call(path, sample_rate, minutes, options.data)
            figures = hear_apart(path)
            name = f"{minutes:g} min at {sample_rate / 1000:g} kHz"
            result[name] = figures
            speed, peak = figures["times real time"], figures["peak MB"]
            print(f"{name:20} {speed:6.0f} times real time, peak {peak:.0f} MB")
            told = {
                **{"speech": figures["speech"], "gate": figures["dropped by the gate"]},
                **figures["shares"],
            }
            print(
                "  " + ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in told.items()), flush=True
            )
            if figures["peak MB"] > MEMORY_MB:
                print(f"  more than the {MEMORY_MB} MB that are allowed")
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
