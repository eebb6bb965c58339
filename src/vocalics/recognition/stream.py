"""Emotion in speech while it is spoken: push samples, get answers."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics.audio import Waveform
from vocalics.errors import UsageError
from vocalics.recognition.channel import Channel, Window, WindowPlan
from vocalics.recognition.model import Model, load
from vocalics.recognition.prediction import Segment, Timeline
from vocalics.recognition.stretches import Stretch
from vocalics.recognition.timeline import SPEAKER, summarise
from vocalics.recognition.track import Speaker, Track
from vocalics.recognition.voice import CHUNK_S

FloatArray = npt.NDArray[np.float64]

#: How much the model hears at once, how often it is asked, and when first.
USUAL_PLAN = WindowPlan(window_s=3.0, hop_s=0.25, first_s=1.0)

#: Time constant of the smoothing, seconds: by then an answer weighs 37 % of what it did.
SMOOTHING_S = 1.0

#: An answer that lies so many time constants back weighs nothing any more, not even in the fourth decimal.
NEGLIGIBLE_AFTER = 24

#: Losses that are remembered one by one.
GAPS_KEPT = 100


@dataclass(frozen=True)
class Gap:
    """Sound that was lost.

    Attributes
    ----------
    start_s, end_s
        Seconds from the beginning of the stream.
    """

    start_s: float
    end_s: float


class Stream:
    """Answers while somebody speaks.

    Speech is found by voice activity detection and heard in the windows of a `WindowPlan`. Each answer is
    smoothed by an exponential mean over the answers before it in the same stretch of speech. Memory does not
    depend on how long the stream runs, unless it is recorded.

    Parameters
    ----------
    model
        An open model, an adapted one too; else as of `load`.
    sample_rate
        Of the samples that will be pushed, Hz.
    hop_s, window_s, first_s
        As of `WindowPlan`; None: as of `USUAL_PLAN`, or as much as the model hears at once.
    smoothing_s
        Time constant of the smoothing; 0 for none.
    abstain_below
        As of `Model.predict`.
    record
        Whether `timeline` shall tell of all that was heard, for which some 60 bytes a window are kept.
    start_s
        Time of the first sample, as for a stream that goes on where another one broke off.
    after_s
        Answers that end by then are not wanted, since that stream gave them: the model is asked only for
        those that later ones are smoothed with, and `timeline` knows nothing of the others.

    Attributes
    ----------
    position_s
        Time of the next sample: how much sound there was, lost sound and `start_s` too.
    heard_s
        End of the last window of speech, whether its answer was wanted or not; `start_s` before the first.
    gaps
        The last losses that `skip` was told, `GAPS_KEPT` at most.
    lost_s
        Seconds lost in all.

    Examples
    --------
    >>> stream = Stream(sample_rate=16_000)
    >>> stream.push(np.zeros(16_000, dtype=np.float32)), stream.finish(), stream.position_s
    ([], [], 1.0)
    """

    def __init__(
        self,
        model: Model | str | Path | None = None,
        *,
        sample_rate: int,
        hop_s: float | None = None,
        window_s: float | None = None,
        first_s: float | None = None,
        smoothing_s: float = SMOOTHING_S,
        abstain_below: float | None = None,
        record: bool = False,
        start_s: float = 0.0,
        after_s: float = 0.0,
    ) -> None:
        if not (math.isfinite(smoothing_s) and smoothing_s >= 0):
            raise UsageError(f"smoothing_s is {smoothing_s}; give seconds, 0 for none.")
        if not (math.isfinite(start_s) and start_s >= 0):
            raise UsageError(f"start_s is {start_s}; give seconds, 0 or more.")
        self.gaps: deque[Gap] = deque(maxlen=GAPS_KEPT)
        self.lost_s = 0.0
        self._model = model if isinstance(model, Model) else load(model)
        self._abstain_below = self._model.abstaining_below(abstain_below)
        self._sample_rate = sample_rate
        self._plan = WindowPlan.for_model(
            self._model.card, USUAL_PLAN, window_s=window_s, hop_s=hop_s, first_s=first_s
        )
        # Of the newest answer.
        self._weight = 1 - math.exp(-self._plan.hop_s / smoothing_s) if smoothing_s else 1.0
        self._smoothed: FloatArray | None = None
        self._track = Track(len(self._model.emotions)) if record else None
        self._n_samples = 0  # since the last gap
        self._after_s = after_s
        n_weighty = math.ceil(NEGLIGIBLE_AFTER * smoothing_s / self._plan.hop_s)
        self._unasked: deque[Window] = deque(maxlen=n_weighty)  # of the present stretch
        self.heard_s = start_s
        self._begin(start_s)

    @property
    def position_s(self) -> float:
        """Time of the next sample."""
        return self._origin_s + self._n_samples / self._sample_rate

    @property
    def latency_s(self) -> float:
        """Longest time from speech until an answer that has heard it, the model's own time not counted.

        At the beginning of a stretch it is the plan's `first_s` instead, or the pause after a shorter one.
        """
        return self._plan.hop_s + CHUNK_S + self._channel.lag_s

    def push(self, samples: npt.ArrayLike) -> list[Segment]:
        """Hear more sound.

        Parameters
        ----------
        samples
            Any number of samples, as of `Waveform.from_array`; channels are mixed.

        Returns
        -------
        list of Segment
            One for every window that is complete now: its times, and the smoothed answer at its end.

        Raises
        ------
        AudioError
            Samples that are no sound: NaN, of another type or shape. The stream can go on.
        """
        given = np.asarray(samples)
        if given.size == 0:
            return []
        mono = Waveform.from_array(given, self._sample_rate).mono().samples[0]
        self._n_samples += len(mono)
        return self._answers(self._channel.push(mono))

    def skip(self, duration_s: float) -> list[Segment]:
        """Tell that sound was lost here: what was going on ends, the clock goes on, `gaps` knows."""
        if not (math.isfinite(duration_s) and duration_s > 0):
            raise UsageError(f"{duration_s} s of sound cannot be lost; give seconds above 0.")
        answers = self.finish()
        start_s = self.position_s
        self.gaps.append(Gap(start_s, start_s + duration_s))
        self.lost_s += duration_s
        self._begin(start_s + duration_s)
        return answers

    def finish(self) -> list[Segment]:
        """End the sound; return the answers that were still due. More sound begins anew."""
        answers = self._answers(self._channel.finish())
        self._begin(self.position_s)
        return answers

    def timeline(self) -> Timeline:
        """Return what was heard so far as a timeline, whose smoothing looks forward too.

        A stretch of speech that has not ended is not yet part of it.

        Raises
        ------
        UsageError
            The stream is not recorded.
        """
        if self._track is None:
            raise UsageError("the stream was not recorded; make it with record=True.")
        return summarise(
            self._model,
            self._plan,
            None,
            self.position_s,
            [Speaker(SPEAKER, self._track)],
            self._abstain_below,
            [f"{self.lost_s:.1f} s of sound were lost."] if self.lost_s else [],
        )

    def _begin(self, origin_s: float) -> None:
        """Begin anew at a time."""
        self._channel = Channel(self._sample_rate, self._model.card, self._plan)
        self._origin_s = origin_s
        self._n_samples = 0
        self._smoothed = None

    def _answers(self, items: Iterable[Window | Stretch]) -> list[Segment]:
        answers = []
        for item in items:
            if isinstance(item, Stretch):
                self._smoothed = None
                self._unasked.clear()
                if self._track is not None:
                    self._track.add_stretch(item.start_s + self._origin_s, item.end_s + self._origin_s)
                continue
            self.heard_s = item.end_s + self._origin_s
            if self.heard_s <= self._after_s:
                self._unasked.append(item)
                continue
            for earlier in self._unasked:
                self._ask(earlier)
            self._unasked.clear()
            answers.append(self._ask(item))
        return answers

    def _ask(self, window: Window) -> Segment:
        """Ask the model about a window; return the smoothed answer at its end."""
        (probabilities,), (embedding,) = self._model.answer(window.samples[np.newaxis])
        start_s, end_s = window.start_s + self._origin_s, window.end_s + self._origin_s
        if self._track is not None:
            self._track.add_window(start_s, end_s, probabilities, embedding)
        before = probabilities if self._smoothed is None else self._smoothed
        self._smoothed = before + self._weight * (probabilities - before)
        return Segment.from_probabilities(
            self._smoothed,
            self._model.emotions,
            self._abstain_below,
            path=None,
            duration_s=end_s - start_s,
            model=self._model.name,
            start_s=start_s,
            end_s=end_s,
            speaker=SPEAKER,
        )
