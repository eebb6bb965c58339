"""Where live sound comes from: a microphone, or a recording that is played as if it were one."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event
from time import perf_counter, sleep
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.sound_card import sounddevice_for

FloatArray = npt.NDArray[np.float32]

#: Length of the pieces in which sound comes, seconds.
BLOCK_S = 0.02

#: How much sound waits at most for a machine that does not keep up, seconds; more is lost, and told.
QUEUE_S = 10.0

#: A source that has nothing says so after this time; one that has nothing for so long is gone; seconds.
TICK_S, PATIENCE_S = 0.1, 3.0

#: Losses are looked for so often, and blocks may come so unevenly before one is suspected, seconds.
PERIOD_S, JITTER_S = 1.0, 0.1

#: A device with more channels is heard through its first two.
STEREO = 2


@dataclass(frozen=True, eq=False)
class Sound:
    """What a source heard last.

    Attributes
    ----------
    samples
        float32 (n_samples,), mono; none where nothing came for `TICK_S`.
    lost_s
        Seconds of sound that were lost before these samples.
    ended_at
        When the last sample came, as `time.perf_counter` tells time. What a sound card holds back itself is
        not counted.
    """

    samples: FloatArray
    lost_s: float
    ended_at: float


@dataclass(frozen=True)
class Source:
    """Sound as it happens.

    Attributes
    ----------
    name
        The device or the file.
    sample_rate
        Hz.
    sounds
        What is heard, piece by piece, each when it has been heard.
    """

    name: str
    sample_rate: int
    sounds: Iterator[Sound]


@dataclass(frozen=True)
class Input:
    """A device that hears.

    Attributes
    ----------
    index
        Its number on this machine, by which it can be chosen.
    name
        What it is called, and the system's interface to it.
    n_channels
        How many it has.
    sample_rate
        Its own, Hz.
    is_default
        Whether it is heard when none is chosen.
    """

    index: int
    name: str
    n_channels: int
    sample_rate: int
    is_default: bool


@contextmanager
def played(path: str | Path, speed: float = 1.0) -> Iterator[Source]:
    """Open a recording that is heard in the time it lasts.

    Nothing of it is lost: where the listener does not keep up, the recording waits, and `Sound.ended_at` says
    when its sound was due.

    Parameters
    ----------
    path
        As of `audio.read`.
    speed
        How much faster than it was recorded.

    Raises
    ------
    AudioError
        As of `audio.blocks`; where a damaged recording breaks off, while it is heard.
    """
    blocks = audio.blocks(path, BLOCK_S)
    first = next(blocks)
    yield Source(str(path), first.sample_rate, _paced(chain([first], blocks), speed))


@contextmanager
def microphone(device: int | str | None = None) -> Iterator[Source]:
    """Open an input of the machine, at its own rate.

    Parameters
    ----------
    device
        Number or part of the name of an input, as of `list_inputs`; None for the system's default.

    Raises
    ------
    MissingExtraError
        The package sounddevice, or the PortAudio library under it, is not installed.
    UsageError
        There is no such input, or it cannot be opened.
    AudioError
        While it is heard: no more sound comes.
    """
    sounddevice = sounddevice_for("listening")
    chosen = _choose(sounddevice, device)
    arrivals = _Arrivals(chosen)
    try:
        stream = sounddevice.InputStream(
            device=chosen.index,
            channels=min(STEREO, chosen.n_channels),
            samplerate=chosen.sample_rate,
            blocksize=round(BLOCK_S * chosen.sample_rate),
            dtype="float32",
            callback=arrivals.take,
            finished_callback=arrivals.ended.set,
        )
        stream.start()
    except sounddevice.PortAudioError as error:
        raise UsageError(
            f"the input '{chosen.name}' cannot be opened ({error}); close what else uses it, allow this "
            "program to hear it in the system's settings, or choose another."
        ) from None
    try:
        yield Source(chosen.name, chosen.sample_rate, iter(arrivals))
    finally:
        stream.close()


def list_inputs() -> list[Input]:
    """List the devices of this machine that hear; raises `MissingExtraError` as `microphone` does."""
    return _list_inputs(sounddevice_for("listening"))


def _list_inputs(sounddevice: Any) -> list[Input]:
    interfaces = [interface["name"] for interface in sounddevice.query_hostapis()]
    try:
        default = sounddevice.query_devices(kind="input")["index"]
    except (sounddevice.PortAudioError, ValueError):  # ValueError: the default is an output
        default = None
    return [
        Input(
            index,
            f"{found['name']}, {interfaces[found['hostapi']]}",
            found["max_input_channels"],
            round(found["default_samplerate"]),
            index == default,
        )
        for index, found in enumerate(sounddevice.query_devices())
        if found["max_input_channels"]
    ]


def _choose(sounddevice: Any, device: int | str | None) -> Input:
    """Return the input that is meant; sounddevice knows how names are matched."""
    inputs = _list_inputs(sounddevice)
    if not inputs:
        raise UsageError("this machine has no microphone; connect one, or listen to a recording instead.")
    known = ", ".join(f"{one.index} '{one.name}'" for one in inputs)
    if device is None:
        chosen = next((one for one in inputs if one.is_default), None)
        if chosen is None:
            raise UsageError(f"this machine has no default microphone; choose one of these: {known}.")
        return chosen
    try:
        index = sounddevice.query_devices(device, "input")["index"]
    except (sounddevice.PortAudioError, ValueError):
        raise UsageError(f"'{device}' names no input, or several; choose one of these: {known}.") from None
    return next(one for one in inputs if one.index == index)


def _paced(blocks: Iterator[Waveform], speed: float) -> Iterator[Sound]:
    """Yield each block when it would have been heard."""
    started_at = perf_counter()
    heard_s = 0.0
    for block in blocks:
        heard_s += block.duration_s
        due_at = started_at + heard_s / speed
        sleep(max(0.0, due_at - perf_counter()))
        yield Sound(block.mono().samples[0], 0.0, min(due_at, perf_counter()))


class _Arrivals:
    """Blocks on their way out of the sound card's thread, which must not wait."""

    def __init__(self, source: Input) -> None:
        self.ended = Event()  # set when the device is closed, or gone
        self._name = source.name
        self._sample_rate = source.sample_rate
        self._queue: Queue[Sound] = Queue(maxsize=round(QUEUE_S / BLOCK_S))
        self._lost_s = 0.0  # since the last block that went into the queue
        self._deficit = _Deficit()

    def take(self, samples: FloatArray, n_samples: int, _times: Any, status: Any) -> None:
        """Take a block, (n_samples, channels), in the sound card's thread."""
        now = perf_counter()
        duration_s = n_samples / self._sample_rate
        self._lost_s += self._deficit.take(duration_s, now, bool(status.input_overflow))
        try:
            self._queue.put_nowait(Sound(samples.mean(axis=1), self._lost_s, now))
            self._lost_s = 0.0
        except Full:
            self._lost_s += duration_s

    def __iter__(self) -> Iterator[Sound]:
        n_ticks = 0  # in a row; no time, since a machine that was asleep has done nothing wrong
        while not (n_ticks * TICK_S >= PATIENCE_S or (n_ticks and self.ended.is_set())):
            try:
                yield self._queue.get(timeout=TICK_S)
                n_ticks = 0
            except Empty:
                yield Sound(np.empty(0, dtype=np.float32), 0.0, perf_counter())
                n_ticks += 1
        raise AudioError(f"no more sound comes from '{self._name}'; connect it again, and listen anew.")


class _Deficit:
    """How much sound a device lost, by the clock.

    PortAudio says at most that some was lost, and through PulseAudio not even that. So sound that came is
    compared with time that passed. After a moment in which the program did not run, what a driver kept comes
    at once; what is still missing a period later is lost. Clocks that differ by some parts in ten thousand
    stay far below `JITTER_S` in a period.
    """

    def __init__(self) -> None:
        self._came_s = 0.0  # what came, and what is known to be lost
        self._last_at = 0.0
        self._period_ends_at = 0.0
        self._lag_s = math.inf  # least time in the period that passed without sound, up to a constant
        self._usual_lag_s = math.inf  # that of the period before
        self._overrun = False

    def take(self, duration_s: float, now: float, overrun: bool) -> float:
        """Count a block that came now, and whether PortAudio says that sound before it was lost.

        Returns
        -------
        float
            Seconds that are known now to be lost.
        """
        self._came_s += duration_s
        if now - self._last_at > PERIOD_S / 2:
            self._begin(now)
        self._last_at = now
        self._lag_s = min(self._lag_s, now - self._came_s)
        self._overrun |= overrun
        if now < self._period_ends_at:
            return 0.0
        lost_s = self._lag_s - self._usual_lag_s
        if self._overrun and math.isfinite(self._usual_lag_s):
            lost_s = max(lost_s, duration_s)
        elif lost_s < JITTER_S:
            self._usual_lag_s = self._lag_s
            lost_s = 0.0
        self._came_s += lost_s
        self._overrun = False
        self._begin(now)
        return lost_s

    def _begin(self, now: float) -> None:
        """Begin a period."""
        self._period_ends_at = now + PERIOD_S
        self._lag_s = math.inf
