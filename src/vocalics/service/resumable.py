"""A stream that its client can take up again after a break, on this server or on another one.

The server keeps nothing for a client that has gone. Instead the client keeps what it sent until the server
acknowledges it, and sends the rest again to a stream that begins there. For this to give the very answers of
a stream that never broke, the state of a stream must not reach back beyond what is acknowledged. So the
stream is *renewed* now and then: a new one takes the place of the old, hears the last seconds, and goes on.
What lies before those seconds is acknowledged, and a client that comes back makes the server do just the
same.

A renewal waits for a pause, where nothing depends on the past but the level that the voice activity detector
expects; only speech without a pause for a whole minute is cut.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.recognition.prediction import Segment
from vocalics.recognition.stream import Stream

#: A stream is renewed in the first pause after so long, and at the latest after the second; seconds.
RENEW_AFTER_S, RENEW_AT_LATEST_S = 30.0, 60.0

#: What a new stream hears of the past: longer than the window that the model hears, and than the
#: smoothing reaches back.
WARM_UP_S = 4.0

#: A pause is where no answer fell due for the time until a first answer, and so much more, seconds: by then
#: the end of speech is known.
PAUSE_S = 0.5

#: Answers lie at least 32 ms apart, so what ends so little later is the same one, its time rounded.
TOLERANCE_S = 0.001

Samples = npt.NDArray[Any]


@dataclass
class _Message:
    """What the client sent under one number, in the pieces in which it was heard."""

    sequence: int
    start_s: float
    pieces: list[Samples] = field(default_factory=list)


class ResumableStream:
    """A stream that can be taken up again.

    Parameters
    ----------
    new_stream
        Makes a `Stream` of a ``start_s`` and an ``after_s``.
    first_answer_s
        How much speech a first answer needs, or how far answers lie apart, whichever is longer.
    sequence
        Number of the first message that will come.
    start_s
        Time of its first sample.
    after_s
        Answers that end by then were given before the break; None: none was.

    Attributes
    ----------
    sequence
        Number of the last message that was heard, the one before the first at the beginning.
    acknowledged
        Number of the last message that is not needed any more.
    start_s
        Time of the first sample after that one.
    after_s
        Answers that end by then were given.
    """

    def __init__(
        self,
        new_stream: Callable[[float, float], Stream],
        first_answer_s: float,
        *,
        sequence: int = 1,
        start_s: float = 0.0,
        after_s: float | None = None,
    ) -> None:
        self.sequence = self.acknowledged = sequence - 1
        self.start_s = start_s
        self.after_s = start_s if after_s is None else after_s
        self._new_stream = new_stream
        self._pause_s = first_answer_s + PAUSE_S
        self._stream = self._begin()
        self._kept: deque[_Message] = deque()  # the last ones, as many as warm a new stream up

    @property
    def position_s(self) -> float:
        """Time of the next sample."""
        return self._stream.position_s

    @property
    def latency_s(self) -> float:
        """As of `Stream.latency_s`."""
        return self._stream.latency_s

    def hear(self, sequence: int, samples: Samples, *, last: bool = True) -> list[Segment]:
        """Hear a message, or a piece of it; return the answers that it leads to.

        Parameters
        ----------
        sequence
            Number of the message.
        samples
            As of `Stream.push`.
        last
            Whether the message ends with it.

        Raises
        ------
        AudioError
            As of `Stream.push`; the message counts as not heard.
        """
        if not (self._kept and self._kept[-1].sequence == sequence):
            self._kept.append(_Message(sequence, self.position_s))
        answers = self._given(self._stream.push(samples))
        self._kept[-1].pieces.append(samples)
        if last:
            self.sequence = sequence
            while len(self._kept) > 1 and self._kept[1].start_s <= self.position_s - WARM_UP_S:
                self._kept.popleft()
            if self._is_due():
                self._renew()
        return answers

    def lose(self, sequence: int, duration_s: float) -> list[Segment]:
        """Tell that sound was lost; what came before it is not needed any more."""
        answers = self._given(self._stream.skip(duration_s))
        self._forget(sequence)
        return answers

    def finish(self) -> list[Segment]:
        """End the sound; return the answers that were still due."""
        answers = self._given(self._stream.finish())
        self._forget(self.sequence)
        return answers

    def _begin(self) -> Stream:
        return self._new_stream(self.start_s, self.after_s + TOLERANCE_S)

    def _given(self, answers: list[Segment]) -> list[Segment]:
        """Note which answers are given."""
        if answers:
            self.after_s = answers[-1].end_s
        return answers

    def _is_due(self) -> bool:
        """Tell whether the stream should be renewed: by what it heard since it began, and nothing else."""
        age_s = self.position_s - self.start_s
        pause = self.position_s - max(self.start_s, self._stream.heard_s) >= self._pause_s
        forgets = self._kept[0].start_s > self.start_s
        return forgets and age_s >= (RENEW_AFTER_S if pause else RENEW_AT_LATEST_S)

    def _renew(self) -> None:
        """Begin anew with the last messages; what is answered of them now was answered already."""
        self.after_s = max(self.after_s, self.position_s)
        self.acknowledged = self._kept[0].sequence - 1
        self.start_s = self._kept[0].start_s
        self._stream = self._begin()
        for message in self._kept:
            for samples in message.pieces:
                self._stream.push(samples)

    def _forget(self, sequence: int) -> None:
        """Take all that was heard as acknowledged: the stream begins anew here by itself."""
        self.sequence = self.acknowledged = sequence
        self.start_s = self.position_s
        self.after_s = max(self.after_s, self.start_s)
        self._kept.clear()


#: How samples are written, by the name that a client calls it.
ENCODINGS: dict[str, npt.DTypeLike] = {"pcm_s16le": "<i2", "pcm_f32le": "<f4"}


def pcm_to_samples(pcm: bytes, encoding: str) -> Samples:
    """Return PCM as samples that a stream takes: int16, or float32 with full scale 1.

    Examples
    --------
    >>> pcm_to_samples(bytes([0, 64]), "pcm_s16le")
    array([16384], dtype=int16)
    """
    return np.frombuffer(pcm, dtype=ENCODINGS[encoding])
