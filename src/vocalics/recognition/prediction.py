"""What a model answers: frozen records that turn into the contract's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The answer for one recording.

    Attributes
    ----------
    path
        The recording as the caller named it; None for samples in memory.
    emotion
        The most probable emotion, or None when there is no speech or the recording failed.
    confidence
        Its calibrated probability; None with `emotion`.
    probabilities
        Calibrated probability of every emotion of the model, in the card's order; empty with `emotion` None.
    abstained
        True when the model does not vouch for an emotion; `reason` says why (``"no speech"`` or ``"low
        confidence"``).
    duration_s
        Length of the recording in seconds; None when it could not be read.
    model
        Name of the model.
    error
        One sentence when the recording failed, else None.
    """

    path: str | None
    emotion: str | None
    confidence: float | None
    probabilities: dict[str, float] = field(default_factory=dict)
    abstained: bool = False
    reason: str | None = None
    duration_s: float | None = None
    model: str = ""
    error: str | None = None

    @classmethod
    def from_probabilities(
        cls, probabilities: FloatArray, emotions: Sequence[str], abstain_below: float, **rest: Any
    ) -> Self:
        """Return the answer that probabilities, (n_emotions,), lead to; `rest` are its other fields."""
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        unsure = confidence < abstain_below
        return cls(
            emotion=emotions[best],
            confidence=confidence,
            probabilities=dict(zip(emotions, probabilities.tolist(), strict=True)),
            abstained=unsure,
            reason="low confidence" if unsure else None,
            **rest,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON contract of one prediction, keys in its order."""
        return {
            "path": self.path,
            "emotion": self.emotion,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "abstained": self.abstained,
            "reason": self.reason,
            "duration_s": self.duration_s,
            "model": self.model,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class Segment(Prediction):
    """A stretch of a recording in which one speaker is of one emotion.

    Its `duration_s` is its own length, its `path` that of the whole recording.

    Attributes
    ----------
    start_s, end_s
        Seconds from the recording's beginning.
    speaker
        Whose speech it is: a name out of a diarization, ``"channel 1"``, or ``"speaker"`` where voices are
        not told apart.
    """

    start_s: float
    end_s: float
    speaker: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON contract of one segment: that of a prediction, and when and who."""
        return {
            **super().to_dict(),
            "start_s": self.start_s,
            "end_s": self.end_s,
            "speaker": self.speaker,
        }


@dataclass(frozen=True)
class TurningPoint:
    """A moment from which on a speaker sounds otherwise than before.

    Attributes
    ----------
    time_s
        Seconds from the recording's beginning.
    before, after
        The emotion that was the most probable one over the speech before, and after.
    change
        How far apart the two lie on the plane of valence and arousal, 0 to 2.9.
    """

    time_s: float
    before: str
    after: str
    change: float

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return {"time_s": self.time_s, "before": self.before, "after": self.after, "change": self.change}


@dataclass(frozen=True)
class SpeakerSummary:
    """What a timeline says of one speaker as a whole.

    Attributes
    ----------
    speaker
        As in `Segment.speaker`.
    speech_s
        Seconds of speech.
    share
        Share of the speech that is of each emotion, in the model's order, and ``"abstained"``; sums to 1, or
        is empty without speech.
    valence, arousal
        Means over the speech of the coordinates in `vocalics.emotions`, weighted by the probabilities, each
        in [-1, 1]; None without speech, or for a model whose labels have no coordinates.
    turning_points
        In order of time.
    adapted_s
        Seconds of the speaker's own speech that the model was adapted with; 0 for the plain model.
    """

    speaker: str
    speech_s: float
    share: dict[str, float]
    valence: float | None
    arousal: float | None
    turning_points: tuple[TurningPoint, ...] = ()
    adapted_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return {
            "speaker": self.speaker,
            "speech_s": self.speech_s,
            "share": dict(self.share),
            "valence": self.valence,
            "arousal": self.arousal,
            "turning_points": [point.to_dict() for point in self.turning_points],
            "adapted_s": self.adapted_s,
        }


@dataclass(frozen=True, eq=False)
class Curve:
    """What the model said of every window of one speaker: the curves behind the segments.

    Attributes
    ----------
    speaker
        As in `Segment.speaker`.
    starts_s, ends_s
        (n_windows,), seconds from the recording's beginning, in order of the ends.
    probabilities
        (n_windows, n_emotions), in the order of `Timeline.emotions`; not smoothed.
    """

    speaker: str
    starts_s: FloatArray
    ends_s: FloatArray
    probabilities: FloatArray


@dataclass(frozen=True, eq=False)
class Timeline:
    """Who felt what, when, and how sure that is, in one recording.

    Attributes
    ----------
    path
        The recording as the caller named it; None for samples in memory.
    duration_s
        Its length in seconds.
    model
        Name of the model.
    emotions
        Labels in the model's order.
    window_s, hop_s
        How much the model heard at once, and how often it was asked, seconds.
    segments
        In order of their beginnings; those of two speakers may overlap, those of one do not.
    speakers
        A summary for every speaker, in the order of channels, or of first words.
    curves
        The windows behind the segments, for every speaker, in the order of `speakers`.
    notes
        What the reader should know: whether the model was adapted, and why not.
    error
        One sentence when the recording broke off before its end, else None; the rest is what came before.
    """

    path: str | None
    duration_s: float
    model: str
    emotions: tuple[str, ...]
    window_s: float
    hop_s: float
    segments: tuple[Segment, ...]
    speakers: tuple[SpeakerSummary, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON contract of a timeline; the curves are not part of it."""
        return {
            "path": self.path,
            "duration_s": self.duration_s,
            "model": self.model,
            "emotions": list(self.emotions),
            "window_s": self.window_s,
            "hop_s": self.hop_s,
            "segments": [segment.to_dict() for segment in self.segments],
            "speakers": [summary.to_dict() for summary in self.speakers],
            "notes": list(self.notes),
            "error": self.error,
        }
