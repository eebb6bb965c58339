"""What is told of a run: how far it is, and what it led to."""

from dataclasses import dataclass
from pathlib import Path

from vocalics.recognition.batch.tally import Reason


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    listed
        Recordings found, while they are listed; all of them afterwards.
    done
        Recordings answered, those of earlier runs among them; None while they are listed.
    failed
        Those among them that failed.
    heard, audio_s, elapsed_s
        Recordings answered by this run alone, seconds of sound in them, and since it began to hear.
    """

    listed: int
    done: int | None = None
    failed: int = 0
    heard: int = 0
    audio_s: float = 0.0
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a run led to.

    Attributes
    ----------
    folder
        Where the rows are.
    recordings, rows, parts
        How many there are in all.
    no_speech
        Recordings in which nobody speaks.
    audio_s
        Seconds of sound in them.
    failed, reasons
        Recordings that failed, whole or in part, and why: by the sentence without names and numbers, the most
        frequent first.
    emotions
        Share of each emotion, and of ``abstained``, the largest first: of the predictions, or of the time of
        the segments; empty without speech.
    closed
        Errors of folders that could not be opened.
    heard, heard_audio_s, elapsed_s
        Recordings that this run answered, seconds of sound in them, and how long it took to hear them.
    """

    folder: Path
    recordings: int
    rows: int
    parts: int
    no_speech: int
    audio_s: float
    failed: int
    reasons: dict[str, Reason]
    emotions: dict[str, float]
    closed: tuple[str, ...]
    heard: int
    heard_audio_s: float
    elapsed_s: float
