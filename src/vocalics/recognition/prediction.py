"""What a model answers: frozen records that turn into the contract's JSON."""

from dataclasses import dataclass, field
from typing import Any


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
