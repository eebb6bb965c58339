"""One channel of sound, piece by piece: where each speaker talks, and the windows for the model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vocalics.card import ModelCard
from vocalics.errors import UsageError
from vocalics.recognition.rttm import Turn
from vocalics.recognition.speech import VAD_RATE
from vocalics.recognition.stretches import Stretch, StretchFinder
from vocalics.recognition.voice import CHUNK_S, VoiceActivity
from vocalics.resampling import Resampler

FloatArray = npt.NDArray[np.float32]

#: What is kept of the past beyond a window, seconds: that there is speech is known a quarter of a second
#: late, and resampling lags by some milliseconds.
SLACK_S = 1.5


@dataclass(frozen=True)
class WindowPlan:
    """Which windows of a stretch of speech the model hears.

    A window ends, to the next 32 ms, `first_s` after the stretch's beginning and then every `hop_s`, as long
    as the stretch goes on, and reaches back `window_s`, but not before the stretch. The last one ends when it
    is known that the stretch is over; a stretch shorter than `first_s` has that one alone. No window needs to
    know what comes after it.

    Attributes
    ----------
    window_s, hop_s, first_s
        Seconds.

    Raises
    ------
    UsageError
        A hop shorter than 32 ms or longer than the window; a first window longer than the window.
    """

    window_s: float
    hop_s: float
    first_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.window_s) and CHUNK_S <= self.hop_s <= self.window_s):
            raise UsageError(
                f"a window of {self.window_s:g} s every {self.hop_s:g} s is not possible; the hop is at "
                f"least {CHUNK_S:g} s and at most the window."
            )
        if not CHUNK_S <= self.first_s <= self.window_s:
            raise UsageError(
                f"the first window ends after {self.first_s:g} s; give at least {CHUNK_S:g} s and at most "
                f"the window, {self.window_s:g} s."
            )

    @classmethod
    def for_model(
        cls,
        card: ModelCard,
        usual: "WindowPlan",
        *,
        window_s: float | None = None,
        hop_s: float | None = None,
        first_s: float | None = None,
    ) -> "WindowPlan":
        """Return the usual plan, shortened to what the model hears at once, but for what is given.

        Raises
        ------
        UsageError
            As of the class, and as of `require_heard_by`.
        """
        if window_s is None:
            window_s = min(usual.window_s, card.window_s)
        plan = cls(
            window_s,
            min(usual.hop_s, window_s) if hop_s is None else hop_s,
            min(usual.first_s, window_s) if first_s is None else first_s,
        )
        plan.require_heard_by(card)
        return plan

    def require_heard_by(self, card: ModelCard) -> None:
        """Raise `UsageError` where a model hears no windows of that length."""
        if not card.minimum_s <= self.window_s <= card.window_s:
            raise UsageError(
                f"the window is {self.window_s:g} s; the model '{card.name}' hears {card.minimum_s:g} to "
                f"{card.window_s:g} s at once."
            )


@dataclass(frozen=True, eq=False)
class Window:
    """What the model shall hear next.

    Attributes
    ----------
    speaker
        Whose speech it is, by the place among the speakers of the channel.
    start_s, end_s
        Seconds from the beginning of the sound.
    samples
        (n_samples,), at the model's rate.
    """

    speaker: int
    start_s: float
    end_s: float
    samples: FloatArray


class Channel:
    """Cuts the speech in one channel into windows, in memory that does not depend on its length.

    Parameters
    ----------
    sample_rate
        Of the sound that will be pushed, Hz.
    card
        Of the model.
    plan
        Which windows are cut.
    turns
        For every speaker in the channel the turns, in order and apart from each other; None: all speech.

    Attributes
    ----------
    voice
        The voice activity detector, which counts chunks.
    lag_s
        How much later than it was pushed a sound can be heard, seconds: what resampling keeps back.
    """

    def __init__(
        self,
        sample_rate: int,
        card: ModelCard,
        plan: WindowPlan,
        turns: Sequence[Sequence[Turn] | None] = (None,),
    ) -> None:
        plan.require_heard_by(card)
        self.voice = VoiceActivity()
        self._to_voice = Resampler(sample_rate, VAD_RATE)
        shared = card.sample_rate == VAD_RATE and card.bandwidth_hz >= VAD_RATE / 2
        self._to_model = None if shared else Resampler(sample_rate, card.sample_rate, card.bandwidth_hz)
        self.lag_s = max(one.latency_s for one in (self._to_voice, self._to_model) if one is not None)
        self._cutters = [
            _Cutter(StretchFinder(own, speaker), speaker, plan, card.minimum_s)
            for speaker, own in enumerate(turns)
        ]
        self._rate = card.sample_rate
        self._n_shortest = round(card.minimum_s * card.sample_rate)
        self._n_kept = round((plan.window_s + SLACK_S) * card.sample_rate)
        self._samples: FloatArray = np.empty(0, dtype=np.float32)  # the last ones, at the model's rate
        self._n_before = 0  # samples before these
        self._due: list[_Span | Stretch] = []  # known, not yet yielded

    def push(self, samples: FloatArray) -> Iterator[Window | Stretch]:
        """Hear more sound.

        Parameters
        ----------
        samples
            (n_samples,), at the rate that was given.

        Yields
        ------
        Window or Stretch
            The windows that are complete now, and the stretches that are known to have ended, each after its
            windows.
        """
        voiced = self._to_voice.push(samples)
        self._keep(voiced if self._to_model is None else self._to_model.push(samples))
        self._find(self.voice.push(voiced))
        yield from self._ready(self._end_s)
        n_old = max(0, len(self._samples) - self._n_kept)
        self._samples = self._samples[n_old:]
        self._n_before += n_old

    def finish(self) -> Iterator[Window | Stretch]:
        """End the sound; yield what was still going on, as `push` does."""
        voiced = self._to_voice.finish()
        self._keep(voiced if self._to_model is None else self._to_model.finish())
        self._find([*self.voice.push(voiced), *self.voice.finish()])
        self._due += [item for cutter in self._cutters for item in cutter.finish()]
        yield from self._ready(math.inf)

    @property
    def _end_s(self) -> float:
        """How far the samples reach."""
        return (self._n_before + len(self._samples)) / self._rate

    def _keep(self, samples: FloatArray) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def _find(self, probabilities: list[float]) -> None:
        self._due += [item for p in probabilities for cutter in self._cutters for item in cutter.push(p)]

    def _ready(self, until_s: float) -> Iterator[Window | Stretch]:
        """Yield in their order what is due and ends by then."""
        while self._due and (isinstance(self._due[0], Stretch) or self._due[0].end_s <= until_s):
            item = self._due.pop(0)
            if isinstance(item, Stretch):
                yield replace(item, end_s=min(item.end_s, self._end_s))
            elif len(samples := self._cut(item)) >= self._n_shortest:
                yield Window(item.speaker, item.start_s, min(item.end_s, self._end_s), samples)

    def _cut(self, span: "_Span") -> FloatArray:
        start, stop = (
            max(0, round(at_s * self._rate) - self._n_before) for at_s in (span.start_s, span.end_s)
        )
        return self._samples[start:stop]


@dataclass(frozen=True)
class _Span:
    """A window without its samples."""

    speaker: int
    start_s: float
    end_s: float


class _Cutter:
    """Cuts the stretches of one speaker by the plan."""

    def __init__(self, finder: StretchFinder, speaker: int, plan: WindowPlan, minimum_s: float) -> None:
        self._finder = finder
        self._speaker = speaker
        self._plan = plan
        self._minimum_s = minimum_s
        self._n_chunks = 0
        self._ends_s: float | None = None  # end of the present stretch's last span
        self._n_spans = 0  # of the present stretch

    def push(self, probability: float) -> Iterator[_Span | Stretch]:
        """Take the next chunk's probability of speech."""
        stretch = self._finder.push(probability)
        self._n_chunks += 1
        if stretch is not None:
            yield from self._close(stretch)
        elif self._finder.open_since_s is not None:
            yield from self._go_on(self._finder.open_since_s, self._n_chunks * CHUNK_S)

    def finish(self) -> Iterator[_Span | Stretch]:
        """End the sound."""
        stretch = self._finder.finish()
        if stretch is not None:
            yield from self._close(stretch)

    def _go_on(self, since_s: float, until_s: float) -> Iterator[_Span]:
        """Yield the spans that end by then."""
        plan = self._plan
        while (end_s := _chunks(since_s + plan.first_s + self._n_spans * plan.hop_s)) <= until_s:
            yield _Span(self._speaker, max(since_s, end_s - plan.window_s), end_s)
            self._ends_s = end_s
            self._n_spans += 1

    def _close(self, stretch: Stretch) -> Iterator[_Span | Stretch]:
        """Yield what is left of a stretch, and the stretch."""
        yield from self._go_on(stretch.start_s, stretch.known_s)
        if self._ends_s is None or self._ends_s < stretch.end_s:
            start_s = max(stretch.start_s, stretch.known_s - self._plan.window_s)
            yield _Span(self._speaker, min(start_s, stretch.known_s - self._minimum_s), stretch.known_s)
        yield stretch
        self._ends_s, self._n_spans = None, 0


def _chunks(time_s: float) -> float:
    """Return the next end of a chunk, so that a window need not wait for the chunk that it ends in."""
    return math.ceil(time_s / CHUNK_S - 1e-9) * CHUNK_S
