"""Segments of timelines that no model answered."""

from collections.abc import Sequence

from vocalics.recognition.prediction import Segment


def segment(
    start_s: float,
    end_s: float,
    emotion: str,
    speaker: str,
    confidence: float = 0.5,
    *,
    emotions: Sequence[str] = ("neutral", "happy", "sad"),
    path: str = "calls/one two.wav",
    abstained: bool = False,
) -> Segment:
    """A segment of one emotion; the others share what is left of the probability."""
    rest = (1 - confidence) / (len(emotions) - 1)
    return Segment(
        path=path,
        emotion=emotion,
        confidence=confidence,
        probabilities={name: confidence if name == emotion else rest for name in emotions},
        abstained=abstained,
        reason="low confidence" if abstained else None,
        duration_s=end_s - start_s,
        model="toy",
        start_s=start_s,
        end_s=end_s,
        speaker=speaker,
    )
