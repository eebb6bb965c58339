"""RTTM: who speaks when, as a diarization wrote it.

A line of the format of NIST's Rich Transcription evaluations [1]_ has ten fields, parted by blanks: type
(here ``SPEAKER``), file, channel, beginning and duration in seconds, orthography and subtype (``<NA>`` of a
turn), the speaker, a confidence, and a lookahead time.

.. [1] NIST: The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan, appendix A, 2009.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vocalics.errors import UsageError
from vocalics.recognition.formats import one_line

#: Of ten fields those behind the speaker are not read, and may be missing.
FEWEST_FIELDS, MOST_FIELDS = 8, 10


@dataclass(frozen=True)
class Turn:
    """Somebody speaks.

    Attributes
    ----------
    speaker
        The name in the file.
    start_s, end_s
        Seconds from the recording's beginning.
    """

    speaker: str
    start_s: float
    end_s: float


def read_rttm(path: str | Path, recording: str | None = None) -> list[Turn]:
    """Read the turns of one recording.

    Parameters
    ----------
    path
        An RTTM file. Lines of other types than ``SPEAKER``, comments (``;;``) and blank lines are passed
        over.
    recording
        Which one is meant, where the file tells of several: as the file names it, or a path whose last part,
        with or without suffix, is that name; blanks in it may be ``_``.

    Returns
    -------
    list of Turn
        Sorted by their beginnings, none without length. Turns of one speaker that overlap or touch are one;
        those of two may overlap.

    Raises
    ------
    UsageError
        The file cannot be read, a turn in it is not as it should be, it has none, or it has those of several
        recordings and not of the one that is meant.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "call.rttm"
    >>> path.write_text("SPEAKER call 1 0.50 2.00 <NA> <NA> ann <NA> <NA>") > 0
    True
    >>> read_rttm(path)
    [Turn(speaker='ann', start_s=0.5, end_s=2.5)]
    """
    turns: dict[str, list[Turn]] = {}
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        fields = line.split()
        if fields and fields[0].upper() == "SPEAKER":
            turn = _turn(fields, f"{path}, line {number}")
            turns.setdefault(fields[1], []).append(turn)
    if not turns:
        raise UsageError(f"{path} has no line that begins with SPEAKER; give the RTTM file of a diarization.")
    return _joined(turns[_which(list(turns), path, recording)])


def one_word(text: str) -> str:
    """Return a name as RTTM can hold it: blanks become ``_``.

    Examples
    --------
    >>> one_word("channel 1")
    'channel_1'
    """
    return one_line(text).replace(" ", "_")


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; check the path.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8; give the RTTM file of a diarization.") from None


def _turn(fields: list[str], where: str) -> Turn:
    """Read the fields of one line; errors say `where` it stands."""
    if not FEWEST_FIELDS <= len(fields) <= MOST_FIELDS:
        raise UsageError(
            f"{where}, has {len(fields)} fields; a turn has ten, and no name has blanks: "
            "SPEAKER file 1 start_s duration_s <NA> <NA> name <NA> <NA>."
        )
    try:
        start_s, duration_s = float(fields[3]), float(fields[4])
    except ValueError:
        start_s = duration_s = math.nan
    if not (math.isfinite(start_s + duration_s) and start_s >= 0 and duration_s >= 0):
        raise UsageError(
            f"{where}, begins at '{fields[3]}' and lasts '{fields[4]}'; both are seconds, 0 or more."
        )
    # To a microsecond, so that a turn that is written to end where the next begins touches it.
    return Turn(fields[7], start_s, round(start_s + duration_s, 6))


def _which(names: list[str], path: str | Path, recording: str | None) -> str:
    """Return which of the recordings is meant that an RTTM file tells of."""
    if len(names) == 1:
        return names[0]
    told = f"{path} tells of {len(names)} recordings ({', '.join(names[:5])}{', ...' if names[5:] else ''})"
    if recording is None:
        raise UsageError(f"{told}; say which one is meant.")
    for name in (recording, Path(recording).name, Path(recording).stem, one_word(Path(recording).stem)):
        if name in names:
            return name
    raise UsageError(f"{told}, and none is called '{recording}'; keep the lines of the one that is meant.")


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """Join the turns of each speaker that overlap or touch."""
    joined: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        own = joined.setdefault(turn.speaker, [])
        if own and turn.start_s <= own[-1].end_s:
            own[-1] = Turn(turn.speaker, own[-1].start_s, max(own[-1].end_s, turn.end_s))
        elif turn.start_s < turn.end_s:
            own.append(turn)
    return sorted(
        (turn for own in joined.values() for turn in own), key=lambda turn: (turn.start_s, turn.speaker)
    )
