"""What became of many recordings, counted."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

#: Reasons of failures that are told apart; those met later are counted together.
MOST_REASONS = 50
OTHER_REASONS = "of other reasons"


@dataclass
class Reason:
    """Why recordings failed.

    Attributes
    ----------
    count
        How many.
    example
        The first of them.
    """

    count: int
    example: str


@dataclass
class Tally:
    """What became of recordings.

    Attributes
    ----------
    recordings, rows
        How many.
    no_speech
        Recordings in which nobody speaks.
    audio_s
        Seconds of sound that were heard.
    emotions
        Weight of each emotion, and of ``abstained``: predictions, or seconds of segments.
    reasons
        Failed recordings by the sentence that tells why, without names and numbers.
    """

    recordings: int = 0
    rows: int = 0
    no_speech: int = 0
    audio_s: float = 0.0
    emotions: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Reason] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return what `to_dict` told."""
        reasons = {reason: Reason(**one) for reason, one in record["reasons"].items()}
        return cls(**{**record, "emotions": Counter(record["emotions"]), "reasons": reasons})

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return asdict(self) | {"emotions": dict(self.emotions)}

    @property
    def failed(self) -> int:
        """Recordings that failed, whole or in part."""
        return sum(reason.count for reason in self.reasons.values())

    def count(self, rows: Iterable[Mapping[str, Any]], audio_s: float) -> None:
        """Count one recording: its rows, as of the JSON contract, and its length."""
        self.recordings += 1
        self.audio_s += audio_s
        for row in rows:
            self.rows += 1
            if row["error"] is not None:
                self._add_reason(reason_of(row["error"], row["path"]), Reason(1, row["path"]))
            elif row["emotion"] is None:
                self.no_speech += 1
            else:
                weight = row["duration_s"] if "start_s" in row else 1
                self.emotions["abstained" if row["abstained"] else row["emotion"]] += weight

    def add(self, other: "Tally") -> None:
        """Count what another tally has counted."""
        self.recordings += other.recordings
        self.rows += other.rows
        self.no_speech += other.no_speech
        self.audio_s += other.audio_s
        self.emotions.update(other.emotions)
        for text, reason in other.reasons.items():
            self._add_reason(text, reason)

    def _add_reason(self, text: str, reason: Reason) -> None:
        if text not in self.reasons and len(self.reasons) >= MOST_REASONS:
            text = OTHER_REASONS
        known = self.reasons.setdefault(text, Reason(0, reason.example))
        known.count += reason.count


def reason_of(sentence: str, name: str) -> str:
    """Return an error's sentence without what is of one recording alone.

    Examples
    --------
    >>> reason_of("a/7.wav lasts 0.08 s; at least 0.25 s is needed. Record longer, or join clips.", "a/7.wav")
    '... lasts # s; at least # s is needed. Record longer, or join clips.'
    """
    return re.sub(r"\d+(?:[.,]\d+)*", "#", sentence.replace(name, "..."))
