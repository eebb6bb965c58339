"""Stretches of speech, found in the probabilities of speech as they come."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vocalics.recognition.rttm import Turn
from vocalics.recognition.voice import CHUNK_S

# The offset is lower, and the padding wider, than Silero's own: of RAVDESS's shouting voices, which the
# detector hardly knows, they find more.

#: Probability at which a stretch is noticed, and under which it ends.
ONSET, OFFSET = 0.5, 0.15

#: Shorter speech is no stretch, shorter pauses end none, and stretches are widened on both sides; seconds.
MINIMUM_SPEECH_S, MINIMUM_PAUSE_S, PADDING_S = 0.25, 0.3, 0.2

#: Chunks before it was noticed that a stretch may reach back, as long as they are at least `OFFSET`.
LEAD_CHUNKS = 16

_SPEECH_CHUNKS = math.ceil(MINIMUM_SPEECH_S / CHUNK_S)
_PAUSE_CHUNKS = math.ceil(MINIMUM_PAUSE_S / CHUNK_S)

#: Longest time after the end of speech until its end is known, seconds.
PAUSE_S = _PAUSE_CHUNKS * CHUNK_S


@dataclass(frozen=True)
class Stretch:
    """Speech between two pauses.

    Attributes
    ----------
    start_s, end_s
        Seconds, padding included.
    known_s
        When it was known that the speech had ended: the end of the pause, or of the speaker's turn.
    speaker
        Whose it is, by the place among the speakers of the channel.
    """

    start_s: float
    end_s: float
    known_s: float
    speaker: int = 0


class StretchFinder:
    """Finds the stretches of one speaker.

    A stretch is noticed by a chunk of at least `ONSET`; it consists of that one and its neighbours of at
    least `OFFSET`. With `turns`, only what lies in the speaker's own turns counts, and a turn's end ends the
    stretch.

    Parameters
    ----------
    turns
        The speaker's turns, in order and apart from each other; None: all speech is the speaker's.
    speaker
        As of `Stretch`.

    Attributes
    ----------
    open_since_s
        Where the stretch began that is going on, padding included; None in pauses, and until speech is long
        enough to be a stretch.

    Examples
    --------
    >>> finder = StretchFinder()
    >>> found = [finder.push(p) for p in [0.0] * 10 + [1.0] * 10 + [0.0] * 10]
    >>> [(round(one.start_s, 2), round(one.end_s, 2)) for one in found if one]
    [(0.12, 0.84)]
    """

    def __init__(self, turns: Sequence[Turn] | None = None, speaker: int = 0) -> None:
        self.open_since_s: float | None = None
        self._speaker = speaker
        self._turns = None if turns is None else list(reversed(turns))
        self._last_end_s = 0.0  # of the stretch before
        self._turn_end_s = math.inf  # of the turn that the last chunk lay in
        self._chunk = 0
        self._n_faint = 0  # chunks of at least `OFFSET` that lead up to the present one
        self._start: int | None = None  # first chunk of the speech
        self._stop: int | None = None  # first chunk of the pause that the speech is in, if any

    def push(self, probability: float) -> Stretch | None:
        """Take the next chunk's probability; return the stretch that is known to have ended with it."""
        turn_start_s, self._turn_end_s = self._turn()
        mine = turn_start_s <= (self._chunk + 0.5) * CHUNK_S
        if self._start is None:
            if mine and probability >= ONSET:
                self._start = self._chunk - self._n_faint
        elif probability >= (OFFSET if self._stop is None else ONSET):
            self._stop = None
        elif self._stop is None:
            self._stop = self._chunk
        self._n_faint = min(self._n_faint + 1, LEAD_CHUNKS) if probability >= OFFSET else 0
        self._chunk += 1
        if self._start is not None and self._stop is None and self._chunk - self._start >= _SPEECH_CHUNKS:
            self.open_since_s = max(self._start * CHUNK_S - PADDING_S, turn_start_s, self._last_end_s)
        if self._stop is not None and self._chunk - self._stop >= _PAUSE_CHUNKS:
            return self._close(self._stop)
        if (self._chunk + 0.5) * CHUNK_S >= self._turn_end_s:  # the next chunk is not the speaker's
            return self.finish()
        return None

    def finish(self) -> Stretch | None:
        """End the sound here; return the stretch that was going on."""
        return self._close(self._chunk if self._stop is None else self._stop)

    def _close(self, stop: int) -> Stretch | None:
        start_s, self.open_since_s = self.open_since_s, None
        self._start = self._stop = None
        if start_s is None:
            return None
        known_s = min(self._chunk * CHUNK_S, self._turn_end_s)
        self._last_end_s = min(stop * CHUNK_S + PADDING_S, known_s)
        return Stretch(start_s, self._last_end_s, known_s, self._speaker)

    def _turn(self) -> tuple[float, float]:
        """Return the turn that the present chunk lies in, or the next one; ``(inf, inf)`` after the last."""
        if self._turns is None:
            return 0.0, math.inf
        while self._turns and self._turns[-1].end_s <= (self._chunk + 0.5) * CHUNK_S:
            self._turns.pop()
        return (self._turns[-1].start_s, self._turns[-1].end_s) if self._turns else (math.inf, math.inf)
