"""A timeline as one self-contained page: who felt what, when, beside a player that seeks where one clicks.

Python measures and words; the script in ``page`` draws and plays. The page asks for nothing from anywhere,
and its Content-Security-Policy lets nothing run but its own script. However long the recording is, it holds
at most 32 MB of sound (`MOST_SOUND_BYTES` as base64) and 1 MB of waveform, curves and words; a segment adds
some 40 bytes.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vocalics import audio, emotions
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.envelope import Envelope
from vocalics.recognition.prediction import Curve, Segment, SpeakerSummary, Timeline
from vocalics.recognition.recordings import Recording, recording_blocks

#: Most sound that a page carries, bytes before base64: 2.2 hours of stereo, or 3.3 of mono. With a longer
#: recording the page asks its reader for the file.
MOST_SOUND_BYTES = 24_000_000

#: Windows of all curves together; more are averaged over stretches of time.
CURVE_POINTS = 24_000

#: The parts of the page's script, in the order in which they lean on one another.
_SCRIPTS = ("data", "words", "colours", "lanes", "curves", "player", "pointers", "list", "start")

#: What the style sheet calls the ways of showing the page.
_FRAMES = {None: "whole", "page": "framed", "player": "framed player"}


def timeline_to_html(
    timeline: Timeline, recording: Recording, *, frame: Literal["page", "player"] | None = None
) -> str:
    """Return a page that shows a timeline and plays its recording.

    Parameters
    ----------
    timeline
        What to show. Where every speaker is ``"channel N"``, each has the waveform of that channel; else the
        mean of the channels is drawn once.
    recording
        What the timeline was made of. It is decoded once, in blocks, so memory grows by the page alone.
    frame
        For a frame in another page: ``"page"`` has no heading, ``"player"`` the player and the lanes alone.

    Returns
    -------
    One HTML document.

    Raises
    ------
    AudioError
        The recording cannot be read.
    UsageError
        The recording is of another length than the timeline.
    """
    curves, mean_over_s = _decimated(timeline.curves)
    envelope = Envelope([summary.speaker for summary in timeline.speakers], timeline.duration_s)
    sound = _listen(recording, timeline, envelope)
    title = _text(Path(timeline.path).name if timeline.path else "Recording")
    style, script = _asset("timeline.css"), "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return Template(_asset("timeline.html")).substitute(
        policy=(
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
            "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'"
        ),
        kind=_FRAMES[frame],
        title=title,
        lead=_lead(timeline),
        notes="".join(f"<li>{_text(note)}</li>" for note in _notes(timeline, mean_over_s)),
        duration=_clock(timeline.duration_s),
        legend=_legend(timeline),
        speakers="\n".join(_speaker(summary) for summary in timeline.speakers),
        footer=_text(
            f"Made by vocalics with the model '{timeline.model}'. Emotions are what a model hears in voices, "
            "and no knowledge of what anybody felt. This page asks for nothing from anywhere: keep it, or "
            "send it as it is."
        ),
        data=_json(_data(timeline, envelope, curves)),
        sound=base64.b64encode(sound).decode(),
        style=style,
        script=script,
    )


def _asset(name: str) -> str:
    return files("vocalics.recognition").joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Name an inline part so that a Content-Security-Policy can allow it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# ---- sound -------------------------------------------------------------------------------------------------


def _listen(recording: Recording, timeline: Timeline, envelope: Envelope) -> bytes:
    """Decode a recording once, for its envelope and for what is played: nothing where that would be large."""
    heard_s = 0.0

    def heard() -> Iterator[Waveform]:
        nonlocal heard_s
        try:
            for block in recording_blocks(recording):
                envelope.push(block)
                heard_s += block.duration_s
                yield block
        except AudioError:
            if timeline.error is None:  # else it broke off for the timeline too
                raise

    sound = b""
    blocks = heard()
    first = next(blocks)
    if timeline.duration_s * audio.ENCODED_BITS_PER_S[first.n_channels == 2] / 8 <= MOST_SOUND_BYTES:
        sound = audio.encode(itertools.chain([first], blocks))
    else:
        for _ in blocks:
            pass
    if abs(heard_s - timeline.duration_s) > 1.0:
        raise UsageError(
            f"the recording lasts {heard_s:.1f} s and the timeline {timeline.duration_s:.1f} s; give the "
            "recording that it was made of."
        )
    return sound


# ---- what the script draws ---------------------------------------------------------------------------------


def _decimated(curves: Sequence[Curve]) -> tuple[list[Curve], float]:
    """Average windows over stretches of time until all curves together have at most `CURVE_POINTS`.

    Returns
    -------
    The curves, and the length of the stretches in seconds, 0 where nothing was averaged.
    """
    ordered = []
    for curve in curves:
        order = np.argsort(curve.starts_s + curve.ends_s, kind="stable")
        rows = (curve.starts_s[order], curve.ends_s[order], curve.probabilities[order])
        ordered.append(Curve(curve.speaker, *rows))
    averaged, stretch_s = ordered, 0.0
    while sum(len(curve.starts_s) for curve in averaged) > max(CURVE_POINTS, len(curves)):
        stretch_s = 2 * stretch_s or 1.0
        averaged = [_averaged(curve, stretch_s) for curve in ordered]
    return averaged, stretch_s


def _averaged(curve: Curve, stretch_s: float) -> Curve:
    middles_s = (curve.starts_s + curve.ends_s) / 2
    stretches = np.floor(middles_s / stretch_s)
    first = np.flatnonzero(np.diff(stretches, prepend=-1.0))
    if not len(first):
        return curve
    counts = np.diff(np.r_[first, len(stretches)])[:, np.newaxis]
    return Curve(
        curve.speaker,
        np.minimum.reduceat(curve.starts_s, first),
        np.maximum.reduceat(curve.ends_s, first),
        np.add.reduceat(curve.probabilities, first) / counts,
    )


def _data(timeline: Timeline, envelope: Envelope, curves: Sequence[Curve]) -> dict[str, Any]:
    """Return what the script draws, as JSON has it."""
    levels = envelope.levels()
    by_speaker = {curve.speaker: curve for curve in curves}
    speakers = {summary.speaker: index for index, summary in enumerate(timeline.speakers)}
    labels = {emotion: index for index, emotion in enumerate(timeline.emotions)}
    return {
        "duration_s": timeline.duration_s,
        "emotions": [{"name": name, "color": emotions.color(name)} for name in timeline.emotions],
        "speakers": [
            {
                "name": summary.speaker,
                "words": _spoken(summary),
                "wave": index if envelope.channels or len(speakers) == 1 else None,
                "turns": [[point.time_s, point.before, point.after] for point in summary.turning_points],
            }
            for index, summary in enumerate(timeline.speakers)
        ],
        "segments": [_row(segment, speakers, labels) for segment in timeline.segments],
        "waves": [_base64(row) for row in levels],
        "curves": [
            _curve(by_speaker[name]) if name in by_speaker and len(by_speaker[name].starts_s) else None
            for name in speakers
        ],
        "sound_type": "audio/webm",
        "no_sound": (
            f"The recording lasts {_clock(timeline.duration_s)}, too long for a page to carry its sound. "
            "Choose the file on your own machine to hear it; it goes nowhere from there."
        ),
    }


def _row(segment: Segment, speakers: dict[str, int], labels: dict[str, int]) -> list[float | str | None]:
    """Return one segment as [start_s, end_s, speaker, emotion or -1, confidence, reason where abstained]."""
    emotion = -1 if segment.emotion is None else labels[segment.emotion]
    confidence = None if segment.confidence is None else round(segment.confidence, 3)
    times = [round(segment.start_s, 3), round(segment.end_s, 3)]
    held = [segment.reason or "no reason given"] if segment.abstained or emotion < 0 else []
    return [*times, speakers[segment.speaker], emotion, confidence, *held]


def _curve(curve: Curve) -> dict[str, str]:
    # probabilities: (n_windows, n_emotions)
    return {
        "starts_ms": _base64(np.rint(1000 * curve.starts_s).astype("<u4")),
        "ends_ms": _base64(np.rint(1000 * curve.ends_s).astype("<u4")),
        "probabilities": _base64(np.rint(255 * curve.probabilities).astype(np.uint8)),
    }


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _json(value: object) -> str:
    """Return JSON that can stand in a script element: no ``<`` can end it, whatever a speaker is called."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


# ---- words -------------------------------------------------------------------------------------------------


#: Between a number and its unit, so that no line ends there.
_SPACE = "\N{NO-BREAK SPACE}"


def _text(text: str) -> str:
    """Escape text for HTML; a file name that is not Unicode holds lone surrogates, which a page cannot."""
    return escape(text.encode(errors="backslashreplace").decode())


def _clock(time_s: float) -> str:
    """Return 5025.4 as 1:23:45."""
    whole = round(time_s)
    minutes, seconds = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if whole >= 3600 else f"{minutes}:{seconds:02}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _lead(timeline: Timeline) -> str:
    people, parts = _count(len(timeline.speakers), "speaker"), _count(len(timeline.segments), "segment")
    return _text(
        f"{_clock(timeline.duration_s)} long, {people}, {parts}. The model '{timeline.model}' heard "
        f"{timeline.window_s:g}{_SPACE}s of speech at once, every {timeline.hop_s:g}{_SPACE}s."
    )


def _notes(timeline: Timeline, mean_over_s: float) -> list[str]:
    notes = list(timeline.notes)
    if mean_over_s:
        notes.append(f"The probability curves are means over {mean_over_s:g} s; the segments are not.")
    return notes


def _spoken(summary: SpeakerSummary) -> str:
    """Say how long somebody speaks, and how for the most part."""
    if not summary.share:
        return "no speech"
    most = sorted(summary.share.items(), key=lambda item: -item[1])[:2]
    shares = ", ".join(f"{100 * share:.0f} % {label}" for label, share in most if share >= 0.005)
    return f"{_clock(summary.speech_s)} of speech: {shares}"


_HATCHING = (
    '<svg id="hatches" aria-hidden="true"><defs><pattern id="hatching" width="4" height="4" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2" height="4" fill="#888888"/>'
    "</pattern></defs></svg>"
)


def _legend(timeline: Timeline) -> str:
    swatch = '<svg class="swatch" aria-hidden="true"><rect width="100%" height="100%" rx="3" {}/></svg>'
    entries = [f"<li>{swatch.format(_fill(emotion))}{_text(emotion)}</li>" for emotion in timeline.emotions]
    entries.append(f"<li>{_HATCHING}{swatch.format(_fill('abstained'))}pale and hatched: abstained</li>")
    if any(summary.turning_points for summary in timeline.speakers):
        entries.append("<li>▾ turning point</li>")
    return "".join(entries)


def _fill(label: str) -> str:
    """Return the attributes of a bar in the colour of an emotion, which the script adapts to the theme."""
    if label == "abstained":
        return 'class="hatched"'
    return f'fill="{emotions.color(label)}" data-emotion="{_text(label)}"'


def _speaker(summary: SpeakerSummary) -> str:
    """Return the card of one speaker."""
    shares = "".join(
        f"<tr><td>{_text(label)}</td><td>{_bar(label, share)}</td>"
        f'<td class="n">{100 * share:.0f}{_SPACE}%</td></tr>'
        for label, share in summary.share.items()
        if share >= 0.005
    )
    about = f'<table class="shares">{shares}</table>' if shares else ""
    if summary.turning_points:
        turns = "".join(
            f'<li><a href="#t={point.time_s:.2f}" data-time="{point.time_s:.2f}">{_clock(point.time_s)}</a> '
            f"from {_text(point.before)} to {_text(point.after)}</li>"
            for point in summary.turning_points
        )
        about += f'<h4>Turning points</h4><ul class="turns">{turns}</ul>'
    if about:
        about = f"<div>{about}</div>"
    if summary.valence is not None and summary.arousal is not None:
        about += f"<figure>{_plane(summary.valence, summary.arousal)}</figure>"
    return (
        f'<div class="speaker"><h3>{_text(summary.speaker)}</h3><p>{_text(_speech(summary))}</p>'
        f'<div class="about">{about}</div></div>'
    )


def _speech(summary: SpeakerSummary) -> str:
    adapted = ""
    if summary.adapted_s:
        adapted = f"; the model was adapted with {_clock(summary.adapted_s)} of it"
    return f"{_clock(summary.speech_s)} of speech{adapted}" if summary.share else "no speech"


def _bar(label: str, share: float) -> str:
    rect = f'<rect x="0.5" y="0.5" width="{100 * share:.1f}%" height="90%" rx="3" {_fill(label)}/>'
    return f'<svg class="bar" aria-hidden="true">{rect}</svg>'


def _plane(valence: float, arousal: float) -> str:
    """Draw the plane of valence and arousal: the eight emotions where they conventionally lie, the mean."""

    def place(x: float, y: float) -> tuple[float, float]:
        return 110 + 92 * x, 110 - 92 * y

    landmarks = []
    for emotion in emotions.EMOTIONS.values():
        x, y = place(emotion.valence, emotion.arousal)
        landmarks.append(
            f'<circle class="landmark" cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{emotion.color}"/>'
            f'<text x="{x + 7:.1f}" y="{y + 3:.1f}">{emotion.name}</text>'
        )
    x, y = place(valence, arousal)
    words = f"mean valence {valence:+.2f}, arousal {arousal:+.2f}".replace("-", "−")
    return (
        f'<svg class="plane" viewBox="0 0 230 220" role="img" aria-label="{words}">'
        '<rect class="axis" x="18" y="18" width="184" height="184" rx="10"/>'
        '<path class="axis" d="M18 110H202M110 18V202"/>'
        '<text x="110" y="12" text-anchor="middle">excited</text>'
        '<text x="110" y="215" text-anchor="middle">quiet</text>'
        '<text x="12" y="110" text-anchor="middle" transform="rotate(-90 12 110)">unpleasant</text>'
        '<text x="210" y="110" text-anchor="middle" transform="rotate(90 210 110)">pleasant</text>'
        f'{"".join(landmarks)}<circle class="mean" cx="{x:.1f}" cy="{y:.1f}" r="8"/></svg>'
        f"<figcaption>The ring: {words}</figcaption>"
    )
