"""A long recording, of one or several speakers: who felt what, when, and how sure that is.

Blocks of sound go from the decoder through voice activity detection to the model, so memory holds a few
windows and what was answered, whatever the length.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.card import ModelCard
from vocalics.errors import AudioError, UsageError
from vocalics.recognition.channel import Channel, Window, WindowPlan
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model, load
from vocalics.recognition.prediction import Segment, SpeakerSummary, Timeline
from vocalics.recognition.recordings import Recording, Recordings, recording_blocks, recording_name
from vocalics.recognition.rttm import Turn
from vocalics.recognition.stretches import Stretch
from vocalics.recognition.track import Speaker, Track, join_cells, mean_position, turning_points

#: How much the model hears at once, how often it is asked, and when first. Crops of 3 s are what the bundled
#: recipe is trained on.
USUAL_PLAN = WindowPlan(window_s=3.0, hop_s=1.0, first_s=3.0)

#: What the speaker is called where voices are not told apart.
SPEAKER = "speaker"

#: Clips of a speaker, windows that do not overlap, from which on ``adapt="auto"`` considers it.
ENOUGH_CLIPS = 5

#: Most that adaptation may lose with the clips of any one emotion alone to be used unasked: 2 points of UAR.
TOLERATED_LOSS = 0.02

#: Called with the seconds done and the seconds in all, None where the container does not tell.
Progress = Callable[[float, float | None], None]


def timeline(
    recording: Recording,
    model: Model | str | Path | None = None,
    *,
    channels: str = "mix",
    turns: Sequence[Turn] | None = None,
    adapt: str | Recordings | Mapping[str, Recordings] = "auto",
    hop_s: float | None = None,
    window_s: float | None = None,
    abstain_below: float | None = None,
    progress: Progress | None = None,
) -> Timeline:
    """Recognise emotion over time, by speaker.

    Parameters
    ----------
    recording
        As of `Model.predict`, of any length.
    model
        An open `Model`, else as of `load`.
    channels
        ``"mix"``: the channels are one sound; ``"split"``: each is a speaker of its own, ``"channel 1"`` and
        so on.
    turns
        Who speaks when, from a diarization (`read_rttm`). Only speech in a speaker's turns counts.
    adapt
        ``"auto"``: to each speaker, by the speech in this recording, where there is enough of it and the
        model's card shows that it helps and does no harm; ``"none"``; recordings of the speaker; or such for
        some speakers, by their names. The network runs once in any case.
    hop_s, window_s
        As of `WindowPlan`, whose first window is a whole one; None: as of `USUAL_PLAN`, or as much as the
        model hears at once.
    abstain_below
        As of `Model.predict`.
    progress
        Told after every block.

    Raises
    ------
    AudioError
        The recording cannot be used. One that breaks off later leads to a timeline with an `error`.
    UsageError
        A value is out of range or unknown.
    """
    opened = model if isinstance(model, Model) else load(model)
    threshold = opened.abstaining_below(abstain_below)
    plan = WindowPlan.for_model(opened.card, USUAL_PLAN, window_s=window_s, hop_s=hop_s)
    plan = replace(plan, first_s=plan.window_s)
    if channels not in ("mix", "split"):
        raise UsageError(f"channels is '{channels}'; give 'mix' or 'split'.")
    if channels == "split" and turns is not None:
        raise UsageError("channels are split and a diarization is given; choose one of the two.")

    if isinstance(recording, tuple):
        recording = Waveform.from_array(*recording)
    total_s, blocks = _duration_s(recording), recording_blocks(recording)
    first = next(blocks)
    tracks = partial(Track, len(opened.emotions), keep_embeddings=adapt != "none")
    groups = _speakers(channels, turns, first.n_channels, tracks)  # one for each channel that is listened to
    speakers = [speaker for group in groups for speaker in group]
    _adapt_beforehand(opened, speakers, adapt)
    listeners = [
        Channel(first.sample_rate, opened.card, plan, [one.turns for one in group]) for group in groups
    ]

    done_s = 0.0
    error: str | None = None
    try:
        for block in chain([first], blocks):
            waveforms = block.split() if channels == "split" else (block.mono(),)
            for waveform, channel, group in zip(waveforms, listeners, groups, strict=True):
                _hear(opened, channel.push(waveform.samples[0]), group)
            done_s += block.duration_s
            if progress is not None:
                progress(done_s, total_s)
    except AudioError as broken:  # what was heard until then is not lost
        error = str(broken)
    for channel, group in zip(listeners, groups, strict=True):
        _hear(opened, channel.finish(), group)

    notes = _adapt_afterwards(opened, speakers) if adapt == "auto" else []
    found = summarise(opened, plan, recording_name(recording), done_s, speakers, threshold, notes)
    return replace(found, error=error)


def summarise(
    model: Model,
    plan: WindowPlan,
    path: str | None,
    duration_s: float,
    speakers: Sequence[Speaker],
    abstain_below: float,
    notes: Sequence[str] = (),
) -> Timeline:
    """Return what was heard of the speakers as a timeline; the other values are what it says of itself."""
    segments: list[Segment] = []
    summaries, curves = [], []
    for speaker in speakers:
        probabilities = speaker.track.probabilities(speaker.head)
        cells = speaker.track.cells(probabilities)
        pieces = join_cells(cells)
        own = [
            Segment.from_probabilities(
                piece.probabilities,
                model.emotions,
                abstain_below,
                path=path,
                duration_s=piece.end_s - piece.start_s,
                model=model.name,
                start_s=piece.start_s,
                end_s=piece.end_s,
                speaker=speaker.name,
            )
            for piece in pieces
        ]
        segments += own
        curves.append(speaker.track.curve(speaker.name, probabilities))
        position = mean_position(cells, model.emotions)
        summaries.append(
            SpeakerSummary(
                speaker=speaker.name,
                speech_s=sum(piece.speech_s for piece in pieces),
                share=_shares(own, [piece.speech_s for piece in pieces], model.emotions),
                valence=position and position[0],
                arousal=position and position[1],
                turning_points=turning_points(cells, model.emotions),
                adapted_s=speaker.adapted_s,
            )
        )
    return Timeline(
        path=path,
        duration_s=duration_s,
        model=model.name,
        emotions=model.emotions,
        window_s=plan.window_s,
        hop_s=plan.hop_s,
        segments=tuple(sorted(segments, key=lambda segment: (segment.start_s, segment.speaker))),
        speakers=tuple(summaries),
        curves=tuple(curves),
        notes=tuple(notes),
    )


def _duration_s(recording: str | Path | Waveform | bytes | BinaryIO) -> float | None:
    """Return how long a recording lasts, where that is known beforehand."""
    if isinstance(recording, Waveform):
        return recording.duration_s
    return audio.info(recording, recording_name(recording)).duration_s


def _speakers(
    channels: str, turns: Sequence[Turn] | None, n_channels: int, track: Callable[[], Track]
) -> list[list[Speaker]]:
    """List the speakers of each channel that is listened to."""
    if channels == "split":
        return [[Speaker(f"channel {number}", track())] for number in range(1, n_channels + 1)]
    if turns is None:
        return [[Speaker(SPEAKER, track())]]
    by_name: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        by_name.setdefault(turn.speaker, []).append(turn)
    return [[Speaker(name, track(), own) for name, own in by_name.items()]]


def _hear(model: Model, items: Iterable[Window | Stretch], speakers: Sequence[Speaker]) -> None:
    """Ask the model about every window, and keep what it says."""
    for item in items:
        track = speakers[item.speaker].track
        if isinstance(item, Stretch):
            track.add_stretch(item.start_s, item.end_s)
        else:
            (probabilities,), (embedding,) = model.answer(item.samples[np.newaxis])
            track.add_window(item.start_s, item.end_s, probabilities, embedding)


def _adapt_beforehand(
    model: Model, speakers: Sequence[Speaker], adapt: str | Recordings | Mapping[str, Recordings]
) -> None:
    """Give speakers the heads that other recordings of them lead to."""
    if isinstance(adapt, str) and adapt in ("auto", "none"):
        return
    names = [speaker.name for speaker in speakers]
    if not isinstance(adapt, Mapping) and len(speakers) > 1:
        raise UsageError(
            f"adapt names recordings of one speaker, and here are {len(speakers)} ({', '.join(names)}); "
            "say whose they are."
        )
    by_name: Mapping[str, Recordings] = adapt if isinstance(adapt, Mapping) else {names[0]: adapt}
    for name, recordings in by_name.items():
        if name not in names:
            raise UsageError(f"there is no speaker '{name}' to adapt to; here are {', '.join(names)}.")
        speakers[names.index(name)].head = model.adapt(recordings).speaker_head


def _adapt_afterwards(model: Model, speakers: Sequence[Speaker]) -> list[str]:
    """Give speakers the heads that their own speech leads to, where that is safe; say what was done."""
    if model.speaker_head is not None:
        return ["The model came adapted to a speaker."]
    if reason := why_not_adapt(model.card):
        return [f"Not adapted to the speakers: {reason}"]
    notes = []
    for speaker in speakers:
        clips, duration_s = speaker.track.clips()
        if len(clips) < ENOUGH_CLIPS:
            notes.append(f"Not adapted to {speaker.name}: there is too little speech.")
            continue
        speaker.head = AffineHead.from_card(model.card.head).adapted(clips)
        speaker.adapted_s = duration_s
        notes.append(f"Adapted to {speaker.name} by {duration_s:.0f} s of the speaker's own speech.")
    return notes


def why_not_adapt(card: ModelCard) -> str | None:
    """Say why a model should not be adapted unasked; None where its card shows that this is safe.

    On every corpus that the card has figures of, adaptation with `ENOUGH_CLIPS` clips must gain UAR, and with
    the clips of any one emotion alone it must not lose more than `TOLERATED_LOSS`.
    """
    figures = [one for one in card.evaluation.values() if isinstance(one, dict) and "uar" in one]
    if not figures:
        return "the model's card has no figures of what that does."
    for one in figures:
        plain, adapted = (
            one["uar"]["mean"],
            {name: own["uar"]["mean"] for name, own in one.get("adapted", {}).items()},
        )
        alone = [uar for name, uar in adapted.items() if name.startswith("only-")]
        if str(ENOUGH_CLIPS) not in adapted or not alone:
            return "the model's card has no figures of what that does to a speaker who shows one emotion."
        if adapted[str(ENOUGH_CLIPS)] <= plain:
            return "by the model's card it does not help."
        if min(alone) < plain - TOLERATED_LOSS:
            return "by the model's card it does harm where a speaker shows one emotion alone."
    return None


def _shares(
    segments: Sequence[Segment], speech_s: Sequence[float], emotions: Sequence[str]
) -> dict[str, float]:
    """Share of the speech of each emotion, and of what the model abstains from."""
    if not segments:
        return {}
    spoken = dict.fromkeys([*emotions, "abstained"], 0.0)
    for segment, length_s in zip(segments, speech_s, strict=True):
        spoken["abstained" if segment.abstained else str(segment.emotion)] += length_s
    return {label: length_s / sum(speech_s) for label, length_s in spoken.items()}
