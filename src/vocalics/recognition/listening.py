"""Listening to a source through a stream: the answers, how late they come, and what to show meanwhile."""

import math
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from vocalics.errors import AudioError
from vocalics.recognition.microphone import Sound
from vocalics.recognition.prediction import Segment, Timeline
from vocalics.recognition.stream import Stream

#: How far back a view reaches, seconds.
VIEW_S = 60.0

#: Time constant of the level meter, seconds, and under what it shows silence, dB of full scale: one step
#: of 16 bit is -90.
LEVEL_S, SILENCE_DB = 0.15, -100.0

#: An answer is the present one for the stream's latency and so long: by then the next has come, or nobody
#: speaks; seconds.
GRACE_S = 0.1


@dataclass(frozen=True)
class Answer:
    """One answer, and how late it came.

    Attributes
    ----------
    segment
        The window that it is about, and the smoothed answer at its end.
    latency_s
        From the end of the window until the answer was there; None where the end of the sound, or a loss,
        brought it on.
    """

    segment: Segment
    latency_s: float | None


@dataclass(frozen=True)
class Passage:
    """A piece of the last minute in which somebody spoke, or sound was lost.

    Attributes
    ----------
    start_s, end_s
        Seconds from the beginning.
    emotion
        The answer; None for lost sound.
    abstained
        Whether the model vouches for it.
    """

    start_s: float
    end_s: float
    emotion: str | None
    abstained: bool = False


@dataclass(frozen=True)
class View:
    """What there is to show at one moment.

    Attributes
    ----------
    position_s
        How much sound there was.
    answer
        The last answer.
    speaking
        Whether it is about the present.
    level_db
        Loudness of the sound, dB of full scale; minus infinity under `SILENCE_DB`.
    passages
        Of the last `VIEW_S` seconds, in order; between them nobody spoke.
    latency_s, worst_latency_s
        Median and maximum over the answers of the last `VIEW_S` seconds; None before there is one.
    lost_s
        Seconds of sound lost in all.
    """

    position_s: float
    answer: Segment | None
    speaking: bool
    level_db: float
    passages: tuple[Passage, ...]
    latency_s: float | None
    worst_latency_s: float | None
    lost_s: float


class Listening:
    """A stream that is being listened to.

    Parameters
    ----------
    stream
        A new one that is recorded.
    sample_rate
        The stream's, Hz.
    path
        What the segments and the timeline say that was heard; None for a microphone.
    clock
        As that of `Sound.ended_at`.

    Attributes
    ----------
    latencies_s
        Of all answers that have one, 4 bytes each.
    """

    def __init__(
        self,
        stream: Stream,
        sample_rate: int,
        path: str | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.latencies_s = array("f")
        self._stream = stream
        self._sample_rate = sample_rate
        self._path = path
        self._clock = clock
        self._last: Segment | None = None
        self._power = 0.0
        self._passages: deque[Passage] = deque()
        self._recent: deque[tuple[float, float]] = deque()  # when an answer was about, and its latency

    @property
    def position_s(self) -> float:
        """How much sound there was, lost sound too."""
        return self._stream.position_s

    @property
    def lost_s(self) -> float:
        """Seconds of sound lost in all."""
        return self._stream.lost_s

    def hear(self, sound: Sound) -> list[Answer]:
        """Hear more; return the answers that it leads to.

        Samples that are no sound, as a broken driver may send them, count as lost.
        """
        self._forget()
        answers = self._lose(sound.lost_s) if sound.lost_s else []
        duration_s = len(sound.samples) / self._sample_rate
        if not duration_s:
            return answers
        try:
            segments = self._stream.push(sound.samples)
        except AudioError:
            return answers + self._lose(duration_s)
        power = float(np.square(sound.samples).mean())
        self._power += (1 - math.exp(-duration_s / LEVEL_S)) * (power - self._power)
        waited_s = self._clock() - sound.ended_at
        for segment in segments:
            latency_s = waited_s + self.position_s - segment.end_s
            self.latencies_s.append(latency_s)
            self._recent.append((segment.end_s, latency_s))
            answers.append(self._answer(segment, latency_s))
        return answers

    def finish(self) -> list[Answer]:
        """End the sound; return the answers that were still due."""
        return [self._answer(segment, None) for segment in self._stream.finish()]

    def timeline(self) -> Timeline:
        """Return what was heard, as of `Stream.timeline`."""
        timeline = self._stream.timeline()
        segments = tuple(replace(segment, path=self._path) for segment in timeline.segments)
        return replace(timeline, path=self._path, segments=segments)

    def view(self) -> View:
        """Return what there is to show now."""
        self._forget()
        latencies_s = [latency_s for _, latency_s in self._recent]
        until_s = -math.inf if self._last is None else self._last.end_s + self._stream.latency_s + GRACE_S
        level_db = 10 * math.log10(max(self._power, 1e-20))
        return View(
            position_s=self.position_s,
            answer=self._last,
            speaking=self.position_s <= until_s,
            level_db=level_db if level_db > SILENCE_DB else -math.inf,
            passages=tuple(self._passages),
            latency_s=float(np.median(latencies_s)) if latencies_s else None,
            worst_latency_s=max(latencies_s, default=None),
            lost_s=self.lost_s,
        )

    def _forget(self) -> None:
        """Drop what lies before the view."""
        begin_s = self.position_s - VIEW_S
        while self._passages and self._passages[0].end_s <= begin_s:
            self._passages.popleft()
        while self._recent and self._recent[0][0] <= begin_s:
            self._recent.popleft()

    def _lose(self, duration_s: float) -> list[Answer]:
        answers = [self._answer(segment, None) for segment in self._stream.skip(duration_s)]
        self._passages.append(Passage(self.position_s - duration_s, self.position_s, None))
        return answers

    def _answer(self, segment: Segment, latency_s: float | None) -> Answer:
        """Note what an answer says of the time since the one before it."""
        segment = replace(segment, path=self._path)
        last = self._passages[-1] if self._passages else Passage(0.0, 0.0, None)
        start_s = max(segment.start_s, last.end_s)
        if start_s == last.end_s and (last.emotion, last.abstained) == (segment.emotion, segment.abstained):
            start_s = self._passages.pop().start_s
        if start_s < segment.end_s:
            self._passages.append(Passage(start_s, segment.end_s, segment.emotion, segment.abstained))
        self._last = segment
        return Answer(segment, latency_s)


def percentile_s(latencies_s: Sequence[float], percent: float) -> float | None:
    """Return the latency under which so many percent of the answers stay; None without an answer."""
    return float(np.percentile(latencies_s, percent)) if latencies_s else None
