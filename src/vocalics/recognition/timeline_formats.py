"""Timelines as files: JSON, CSV, Parquet, Praat TextGrid, Audacity labels, WebVTT and RTTM; and back.

Times are written to the millisecond, probabilities to six decimals. Where a format shows a segment as a word,
the word is its emotion, with a question mark where the model abstains. Only JSON keeps any name as it is: the
tables write what is not Unicode as escapes, the others besides put names on one line.

Examples
--------
>>> from vocalics.recognition.prediction import SpeakerSummary
>>> sad = Segment("a.wav", "sad", 0.75, {"sad": 0.75, "calm": 0.25}, start_s=0.5, end_s=2.5, speaker="ann")
>>> summary = SpeakerSummary("ann", 2.0, {"sad": 1.0, "calm": 0.0, "abstained": 0.0}, -0.4, -0.3)
>>> timeline = Timeline("a.wav", 4.0, "toy", ("sad", "calm"), 3.0, 1.0, (sad,), (summary,))
>>> print(timeline_to_webvtt(timeline))
WEBVTT
<BLANKLINE>
00:00:00.500 --> 00:00:02.500
<v ann>sad 75 %</v>
<BLANKLINE>
>>> print(timeline_to_rttm(timeline))
SPEAKER a 1 0.500 2.000 sad <NA> ann 0.750000 <NA>
<BLANKLINE>
"""

import html
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from vocalics.recognition.formats import (
    AFTER_OF_SEGMENTS,
    BEFORE,
    cells,
    csv_rows,
    json_text,
    one_line,
    prediction_fields,
    predictions_to_csv,
    rounded,
)
from vocalics.recognition.parquet import require_parquet, rows_to_parquet
from vocalics.recognition.prediction import Segment, SpeakerSummary, Timeline, TurningPoint
from vocalics.recognition.rttm import one_word

# The parts of a TextGrid.
_TEXTGRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = {duration_s}
tiers? <exists>
size = {n_tiers}
item []:
"""
_TIER = """\
    item [{number}]:
        class = "IntervalTier"
        name = {name}
        xmin = 0
        xmax = {duration_s}
        intervals: size = {n_intervals}
"""
_INTERVAL = """\
        intervals [{number}]:
            xmin = {start_s}
            xmax = {end_s}
            text = {label}
"""


def timeline_to_json(timeline: Timeline) -> str:
    """Return one JSON object: the timeline, its segments, a summary of every speaker."""
    record = timeline.to_dict() | {
        "duration_s": round(timeline.duration_s, 3),
        "segments": [rounded(segment).to_dict() for segment in timeline.segments],
        "speakers": [_rounded_summary(summary).to_dict() for summary in timeline.speakers],
    }
    fields = (f" {json_text(key)}: {_json_lines(value)}" for key, value in record.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def json_to_timeline(text: str) -> Timeline:
    """Read what `timeline_to_json` wrote; the curves are not in it."""
    record = json.loads(text)
    record["segments"] = tuple(Segment(**segment) for segment in record["segments"])
    record["speakers"] = tuple(_summary(**summary) for summary in record["speakers"])
    return Timeline(**record | {key: tuple(record[key]) for key in ("emotions", "notes")})


def timeline_to_csv(timeline: Timeline) -> str:
    """Return a table, one row a segment, one column for every emotion."""
    return "".join(predictions_to_csv(timeline.segments, timeline.emotions, AFTER_OF_SEGMENTS))


def csv_to_segments(text: str) -> list[Segment]:
    """Read what `timeline_to_csv` wrote."""
    return [
        Segment(
            **prediction_fields(row),
            start_s=float(row["start_s"]),
            end_s=float(row["end_s"]),
            speaker=row["speaker"],
        )
        for row in csv_rows(text)
    ]


def timeline_to_parquet(timeline: Timeline) -> bytes:
    """Return the table of `timeline_to_csv` as a Parquet file with typed columns.

    The schema's metadata say ``vocalics.model``, ``vocalics.window_s`` and ``vocalics.hop_s``.

    Raises
    ------
    MissingExtraError
        The extra ``batch`` is not installed.
    """
    metadata = {
        "vocalics.model": timeline.model,
        "vocalics.window_s": f"{timeline.window_s:g}",
        "vocalics.hop_s": f"{timeline.hop_s:g}",
    }
    rows = (cells(segment, timeline.emotions, AFTER_OF_SEGMENTS) for segment in timeline.segments)
    return rows_to_parquet(rows, timeline.emotions, AFTER_OF_SEGMENTS, metadata)


def parquet_to_segments(table: bytes | str | Path) -> list[Segment]:
    """Read what `timeline_to_parquet` wrote, given as bytes or by a path; its errors, and pyarrow's."""
    require_parquet()
    import pyarrow.parquet as pq

    segments = []
    for row in pq.read_table(io.BytesIO(table) if isinstance(table, bytes) else table).to_pylist():
        fields = {column: row.pop(column) for column in (*BEFORE, *AFTER_OF_SEGMENTS)}
        probabilities = {emotion: p for emotion, p in row.items() if p is not None}
        segments.append(Segment(**fields, probabilities=probabilities))
    return segments


def timeline_to_textgrid(timeline: Timeline) -> str:
    """Return a TextGrid for Praat in its long text form: a tier of intervals for every speaker.

    Every tier reaches from 0 to `Timeline.duration_s`, which is not rounded, so that it is as long as the
    sound. Where the speaker is silent the label is empty.
    """
    names = _names(timeline, one_line)
    tiers = []
    for number, (speaker, name) in enumerate(names.items(), start=1):
        own = [segment for segment in timeline.segments if segment.speaker == speaker]
        intervals = [
            _INTERVAL.format(number=place, start_s=start_s, end_s=end_s, label=_quoted(label))
            for place, (start_s, end_s, label) in enumerate(_intervals(own, timeline.duration_s), start=1)
        ]
        tiers.append(
            _TIER.format(
                number=number, name=_quoted(name), duration_s=timeline.duration_s, n_intervals=len(intervals)
            )
        )
        tiers += intervals
    return _TEXTGRID.format(duration_s=timeline.duration_s, n_tiers=len(names)) + "".join(tiers)


def timeline_to_audacity(timeline: Timeline) -> str:
    """Return a label track for Audacity: beginning, end and label, parted by tabs.

    The label begins with the speaker where there are several.
    """
    names = _names(timeline, one_line)
    lines = []
    for segment in timeline.segments:
        who = f"{names[segment.speaker]}: " if len(names) > 1 else ""
        times = "\t".join(f"{round(time_s, 3):.12g}" for time_s in (segment.start_s, segment.end_s))
        lines.append(f"{times}\t{who}{one_line(_label(segment))}\n")
    return "".join(lines)


def timeline_to_webvtt(timeline: Timeline) -> str:
    """Return subtitles for the web: a cue for every segment, the speaker as its voice."""
    names = _names(timeline, one_line)
    cues = []
    for segment in _lasting(timeline.segments):
        words = one_line(_label(segment))
        if segment.confidence is not None:
            words += f" {100 * segment.confidence:.0f} %"
        cues.append(
            f"\n{_clock(segment.start_s)} --> {_clock(segment.end_s)}\n"
            # Escaped, no '-->' is left that would begin a cue of its own.
            f"<v {html.escape(names[segment.speaker], quote=False)}>{html.escape(words, quote=False)}</v>\n"
        )
    return "".join(["WEBVTT\n", *cues])


def timeline_to_rttm(timeline: Timeline) -> str:
    """Return the segments as the turns of a diarization, one ``SPEAKER`` line each.

    The emotion stands in the field for orthography and its probability in the one for confidence. Readers of
    diarizations pass over both. The field for a subtype would be nearer in meaning, but there NIST's md-eval
    refuses all but ``<NA>``, as it does line types of one's own; and some readers know no comments.

    The recording is named by its file, without folder and suffix. Names are one word each: blanks become
    ``_``.
    """
    recording = one_word(PurePath(timeline.path or "").stem) or "recording"
    names = _names(timeline, one_word)
    lines = []
    for segment in _lasting(map(rounded, timeline.segments)):
        times = f"{segment.start_s:.3f} {segment.duration_s:.3f}"
        confidence = "<NA>" if segment.confidence is None else f"{segment.confidence:.6f}"
        emotion = one_word(_label(segment)) or "<NA>"
        lines.append(
            f"SPEAKER {recording} 1 {times} {emotion} <NA> {names[segment.speaker]} {confidence} <NA>\n"
        )
    return "".join(lines)


@dataclass(frozen=True)
class TimelineFormat:
    """How a timeline is written.

    Attributes
    ----------
    suffix
        Of the file.
    write
        From the timeline to the file's content.
    """

    suffix: str
    write: Callable[[Timeline], str | bytes]


#: The formats by the name that the command line calls them.
FORMATS: dict[str, TimelineFormat] = {
    "json": TimelineFormat(".json", timeline_to_json),
    "csv": TimelineFormat(".csv", timeline_to_csv),
    "parquet": TimelineFormat(".parquet", timeline_to_parquet),
    "textgrid": TimelineFormat(".TextGrid", timeline_to_textgrid),
    "audacity": TimelineFormat(".txt", timeline_to_audacity),
    "webvtt": TimelineFormat(".vtt", timeline_to_webvtt),
    "rttm": TimelineFormat(".rttm", timeline_to_rttm),
}


def _rounded_summary(summary: SpeakerSummary) -> SpeakerSummary:
    return replace(
        summary,
        speech_s=round(summary.speech_s, 3),
        share={label: round(share, 6) for label, share in summary.share.items()},
        valence=None if summary.valence is None else round(summary.valence, 6),
        arousal=None if summary.arousal is None else round(summary.arousal, 6),
        turning_points=tuple(
            replace(point, time_s=round(point.time_s, 3), change=round(point.change, 6))
            for point in summary.turning_points
        ),
        adapted_s=round(summary.adapted_s, 3),
    )


def _summary(turning_points: Sequence[dict[str, Any]], **rest: Any) -> SpeakerSummary:
    return SpeakerSummary(**rest, turning_points=tuple(TurningPoint(**point) for point in turning_points))


def _json_lines(value: Any) -> str:
    """Return JSON, of a list of records one a line."""
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return json_text(value)
    return "[\n" + ",\n".join(f"  {json_text(record)}" for record in value) + "\n ]"


def _intervals(segments: Sequence[Segment], duration_s: float) -> Iterator[tuple[float, float, str]]:
    """Yield beginning, end and label of intervals that fill a tier, those without speech among them."""
    reached_s = 0.0
    for segment in segments:
        start_s, end_s = (
            # The rounded end of the recording may lie before its end, or behind.
            duration_s if round(time_s, 3) >= round(duration_s, 3) else max(reached_s, round(time_s, 3))
            for time_s in (segment.start_s, segment.end_s)
        )
        if start_s < end_s:  # a tier holds no interval without length
            if reached_s < start_s:
                yield reached_s, start_s, ""
            yield start_s, end_s, _label(segment)
            reached_s = end_s
    if reached_s < duration_s:
        yield reached_s, duration_s, ""


def _lasting(segments: Iterable[Segment]) -> list[Segment]:
    """List the segments that last, as written; readers refuse the others, or never show them."""
    return [segment for segment in segments if round(segment.start_s, 3) < round(segment.end_s, 3)]


def _names(timeline: Timeline, spell: Callable[[str], str]) -> dict[str, str]:
    """Spell the speakers as a format can, still told apart: of two that look the same one gets a number."""
    names: dict[str, str] = {}
    speakers = [summary.speaker for summary in timeline.speakers]
    for speaker in dict.fromkeys(speakers + [segment.speaker for segment in timeline.segments]):
        plain = name = spell(speaker) or "speaker"
        number = 1
        while name in names.values():
            number += 1
            name = f"{plain}_{number}"
        names[speaker] = name
    return names


def _label(segment: Segment) -> str:
    return f"{segment.emotion or ''}{'?' if segment.abstained else ''}"


def _quoted(text: str) -> str:
    """Return a string as Praat reads it: quotes within are doubled."""
    return '"' + one_line(text).replace('"', '""') + '"'


def _clock(time_s: float) -> str:
    """Return hours, minutes, seconds and milliseconds, as WebVTT has them.

    Examples
    --------
    >>> _clock(36_000.0416)
    '10:00:00.042'
    """
    seconds, milliseconds = divmod(round(1000 * time_s), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
