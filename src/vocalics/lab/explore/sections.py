"""The sections of the page about a corpus, from what is odd to how it was measured."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from vocalics import audio
from vocalics.errors import AudioError
from vocalics.lab import plots
from vocalics.lab.corpora import CORPORA
from vocalics.lab.explore.listening import NEIGHBOURS, Heard, Map
from vocalics.lab.explore.measures import Voice
from vocalics.lab.explore.oddities import list_oddities
from vocalics.lab.explore.sample import one_of_each
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.page import Block, Cell, Code, Picture, Points, Section, Table
from vocalics.lab.plots.style import in_order
from vocalics.recognition.model import Model

#: What is drawn of every voice: attribute, name, unit.
_DRAWN = (
    ("pitch_hz", "pitch", "median, Hz"),
    ("pitch_range_semitones", "melody", "range of pitch, semitones"),
    ("level_db", "loudness", "dB, full scale is 0"),
    ("dynamics_db", "dynamics", "range of loudness, dB"),
    ("brightness_hz", "brightness", "centre of the spectrum, Hz"),
    ("sounding_s", "speech", "first sound to last, s"),
)


def what_is_odd(manifest: Manifest, heard: Sequence[Heard], errors: Sequence[str]) -> Section:
    """Tell what is odd, or that nothing is."""
    found = list_oddities(manifest, heard, errors)
    if not found:
        return Section(
            "What is odd", ["Nothing: no copies, no flaws, no gaps, and the classes are balanced."]
        )
    return Section("What is odd", [Points(found)])


def examples(manifest: Manifest) -> Section:
    """Draw one recording of each emotion."""
    sounds, used = [], []
    for utterance in one_of_each(manifest):
        try:
            waveform = audio.read(manifest.audio_path(utterance)).mono()
        except AudioError:  # told among what is odd, if the sample meets it
            continue
        sounds.append(plots.Sound(utterance.emotion, waveform.samples[0], waveform.sample_rate))
        used.append(utterance)
    if not sounds:
        return Section("What it looks like", [])
    one_voice = len({(u.corpus, u.speaker) for u in used}) == 1 and bool(used[0].speaker)
    one_sentence = one_voice and len({u.sentence for u in used}) == 1 and bool(used[0].sentence)
    who = f"{used[0].corpus}, speaker {used[0].speaker}"
    if one_sentence:
        title = f"One speaker, one sentence, {len(used)} emotions"
        says = f"The same person ({who}) says the same words (sentence {used[0].sentence}) in every row."
    elif one_voice:
        title = f"One speaker, {len(used)} emotions"
        says = f"The same person ({who}) speaks in every row, in different words."
    else:
        title = f"One recording of each of {len(used)} emotions"
        says = "The rows come from several people or sentences, so not every difference is one of emotion."
    look = (
        "Loudness shows in the height of the waveform; pitch in the distance of the bright lines, which are "
        "the harmonics of the voice; melody in how they bend."
    )
    figure = plots.waveforms_and_spectrograms(sounds, title)
    files = Table(["emotion", "recording"], [[u.emotion, u.id] for u in used], "Which these are", folded=True)
    return Section("What it looks like", [f"{says} {look}", Picture("examples", figure, title), files])


def balance(manifest: Manifest) -> Section:
    """Count clips by emotion, gender and speaker."""
    clips: dict[str, Counter[str]] = defaultdict(Counter)
    by_speaker: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for utterance in manifest:
        clips[utterance.emotion][_gender(utterance)] += 1
        if utterance.speaker:
            by_speaker[utterance.corpus, utterance.speaker][utterance.emotion] += 1
    counts = [sum(genders.values()) for genders in clips.values()]
    told = (
        f"Who always answers with the largest class is right in {100 * max(counts) / sum(counts):.0f} % of "
        f"the clips, and has an unweighted average recall of {100 / len(counts):.1f} %: that is the floor of "
        "every figure."
    )
    blocks: list[Block] = [
        told,
        Picture("balance", plots.class_balance(clips), "Clips by emotion and gender"),
    ]
    if len(by_speaker) > 1:
        emotions = in_order(list(clips))
        speakers = sorted(by_speaker)
        table = [[by_speaker[speaker][emotion] for speaker in speakers] for emotion in emotions]
        figure = plots.speaker_balance(table, speakers, emotions)
        blocks.append(Picture("speakers", figure, "Clips of each emotion by speaker"))
    return Section("Who says what, how often", blocks)


def lengths(manifest: Manifest, heard: Sequence[Heard]) -> Section:
    """Draw how long the clips are, and tell how much of them is speech."""
    lengths = _by_emotion((u.emotion, u.duration_s) for u in manifest)
    longest, shortest = _extremes({name: float(np.median(values)) for name, values in lengths.items()})
    every = np.array([u.duration_s for u in manifest])
    low, high = np.percentile(every, [5, 95])
    title = f"Nine clips in ten last {low:.1f} to {high:.1f} s"
    sounding = [
        one.measures.voice.sounding_s / one.utterance.duration_s
        for one in heard
        if one.measures.voice and one.utterance.duration_s > 0
    ]
    told = f"The median clip of {longest[0]} lasts {longest[1]:.1f} s"
    told += f", that of {shortest[0]} {shortest[1]:.1f} s." if len(lengths) > 1 else "."
    if sounding:
        share = min(1.0, float(np.median(sounding)))
        told += (
            f" In the median clip {100 * share:.0f} % lies between the first sound and the last; the rest is "
            "silence."
        )
    figure = plots.distributions([plots.Measured("length", "seconds", lengths)], title)
    return Section("How long it is", [told, Picture("lengths", figure, title)])


def sound(heard: Sequence[Heard]) -> list[Section]:
    """Draw what was measured of the voices; nothing where no voice was heard."""
    voices = [(one.utterance, one.measures.voice) for one in heard if one.measures.voice]
    if not voices:
        return []
    several = len({u.corpus for u, _ in voices}) > 1
    if several:  # an emotion that only a soft corpus has would else seem soft itself
        voices = _levelled(voices)
    measured = [
        plots.Measured(
            name,
            "dB over the median of its corpus" if several and key == "level_db" else unit,
            _by_emotion((u.emotion, getattr(voice, key)) for u, voice in voices),
        )
        for key, name, unit in _DRAWN
    ]
    title = f"How {len(voices):,} recordings sound, by emotion"
    told = _told_of_sound(measured, {u.gender for u, _ in voices})
    return [Section("How it sounds", [told, Picture("sound", plots.distributions(measured, title), title)])]


def _levelled(voices: Sequence[tuple[Utterance, Voice]]) -> list[tuple[Utterance, Voice]]:
    """Return the voices with their levels over the median of their own corpus."""
    levels: dict[str, list[float]] = defaultdict(list)
    for utterance, voice in voices:
        levels[utterance.corpus].append(voice.level_db)
    medians = {corpus: float(np.median(values)) for corpus, values in levels.items()}
    return [(u, replace(voice, level_db=voice.level_db - medians[u.corpus])) for u, voice in voices]


def _told_of_sound(measured: Sequence[plots.Measured], genders: set[str]) -> str:
    medians = [
        {
            emotion: float(np.nanmedian(values))
            for emotion, values in one.values.items()
            if np.isfinite(values).any()
        }
        for one in measured
    ]
    pitch, _, level, _, brightness, _ = medians
    told = []
    if len(level) > 1:
        (loud, high_db), (soft, low_db) = _extremes(level)
        told.append(f"{loud.capitalize()} is the loudest, {high_db - low_db:.0f} dB above {soft}.")
    if len(pitch) > 1:
        (high, high_hz), (low, low_hz) = _extremes(pitch)
        told.append(f"Pitch is highest in {high} ({high_hz:.0f} Hz) and lowest in {low} ({low_hz:.0f} Hz).")
    if len(brightness) > 1:
        (bright, _), (dark, _) = _extremes(brightness)
        told.append(f"{bright.capitalize()} has the brightest sound, {dark} the darkest.")
    if {"female", "male"} <= genders:
        told.append("Where pitch has two bulges, the lower is mostly male voices, the higher female ones.")
    told.append("An arrow leads from the emotion with the lowest median to the one with the highest.")
    return " ".join(told)


def nearness(layout: Map, model: Model | None) -> Section:
    """Draw the map, and tell whether it keeps emotions together."""
    utterances = [one.utterance for one in layout.heard]
    title = f"{len(utterances):,} recordings as points: like lies near like"
    what = f"the embeddings of the model {model.name}" if model else "what was measured of each voice"
    told = (
        f"Each point is a recording, placed by {layout.method} from {what}; the axes mean nothing, nearness "
        f"does. Of a recording's {NEIGHBOURS} nearest neighbours {100 * layout.same_emotion:.0f} % have its "
        f"emotion (chance: {100 * layout.by_chance:.0f} %)"
    )
    told += "." if layout.same_speaker is None else f", {100 * layout.same_speaker:.0f} % are by its speaker."
    notes = []
    known = _trained_on(model, utterances)
    if known:
        notes.append(
            f"{known:,} of these {len(utterances):,} recordings are by speakers whom the model was trained "
            "on, so it keeps their emotions apart better than it would those of strangers."
        )
    genders = [_gender(u) for u in utterances]
    figure = plots.embedding_map(layout.points, [u.emotion for u in utterances], genders, title)
    return Section("A map", [told, *notes, Picture("map", figure, title)])


def _trained_on(model: Model | None, utterances: Sequence[Utterance]) -> int:
    """Count the recordings whose speaker the model was trained on, by its card."""
    trained: dict[str, list[str]] = model.card.training.get("speakers", {}) if model else {}
    return sum(u.speaker in trained.get(u.corpus, []) for u in utterances)


def numbers(manifest: Manifest, heard: Sequence[Heard]) -> Section:
    """Tell the same in tables, and what is to be cited."""
    voices = [(one.utterance, one.measures.voice) for one in heard if one.measures.voice]
    rows: list[list[Cell]] = []
    for emotion in in_order([u.emotion for u in manifest]):
        own = [u for u in manifest if u.emotion == emotion]
        spoken = [(u, voice) for u, voice in voices if u.emotion == emotion]
        rows.append(
            [
                emotion,
                len(own),
                f"{100 * len(own) / len(manifest):.1f} %",
                len({(u.corpus, u.speaker) for u in own if u.speaker}) or None,
                f"{sum(u.duration_s for u in own) / 60:.1f}",
                f"{np.median([u.duration_s for u in own]):.1f}",
                _median([voice for u, voice in spoken if u.gender == "female"], "pitch_hz"),
                _median([voice for u, voice in spoken if u.gender == "male"], "pitch_hz"),
                _median([voice for _, voice in spoken], "level_db"),
                _median([voice for _, voice in spoken], "brightness_hz"),
            ]
        )
    headers = ["emotion", "clips", "share", "speakers", "minutes", "median s"]
    headers += ["female pitch, Hz", "male pitch, Hz", "level, dB", "brightness, Hz"]
    caption = f"The last four columns are medians over the {len(voices):,} recordings listened to."
    cited = [f"{name}: {CORPORA[name].citation}" for name in manifest.corpora if name in CORPORA]
    citations: list[Block] = ["Who uses these recordings cites:", Points(cited)] if cited else []
    return Section("In numbers", [Table(headers, rows, caption), _corpora(manifest), *citations])


def _corpora(manifest: Manifest) -> Table:
    rows: list[list[Cell]] = []
    for corpus in manifest.corpora:
        own = [u for u in manifest if u.corpus == corpus]
        info = CORPORA.get(corpus)
        rows.append(
            [
                corpus,
                len(own),
                len({u.speaker for u in own if u.speaker}) or None,
                len({u.emotion for u in own}),
                f"{sum(u.duration_s for u in own) / 3600:.2f}",
                info.licence if info else None,
            ]
        )
    headers = ["corpus", "clips", "speakers", "emotions", "hours", "licence"]
    return Table(headers, rows)


def _median(voices: Sequence[Voice], key: str) -> str | None:
    values = np.array([getattr(voice, key) for voice in voices], dtype=np.float64)
    values = values[np.isfinite(values)]
    return f"{np.median(values):.0f}" if len(values) else None


def method(
    manifest: Manifest, chosen: Sequence[Utterance], seed: int, model: Model | None, command: str
) -> Section:
    """Tell how all this was measured."""
    listened = (
        f"all {len(chosen):,} recordings were listened to"
        if len(chosen) == len(manifest)
        else f"{len(chosen):,} of {len(manifest):,} recordings were listened to, drawn evenly from every "
        f"corpus, emotion and gender (seed {seed})"
    )
    told = (
        f"Counts and lengths are those of the manifest; {listened}. Pitch is sought from 60 to 600 Hz by the "
        "normalised square difference in frames of 64 ms; level, dynamics and brightness are those of the "
        "frames that lie at most 35 dB under the loud ones; all of it at 16 kHz. "
    )
    told += f"The map is made with the model {model.name}." if model else "The map is made without a model."
    return Section("How this was made", [told, Code(command)] if command else [told])


def _gender(utterance: Utterance) -> str:
    """Return the gender as it is drawn: what is neither female nor male counts as not known."""
    return utterance.gender if utterance.gender in ("female", "male") else ""


def _by_emotion(pairs: Iterable[tuple[str, float]]) -> dict[str, np.ndarray]:
    values: dict[str, list[float]] = defaultdict(list)
    for emotion, value in pairs:
        values[emotion].append(value)
    return {emotion: np.array(values[emotion]) for emotion in in_order(list(values))}


def _extremes(medians: dict[str, float]) -> tuple[tuple[str, float], tuple[str, float]]:
    """Return the emotion with the highest median and the one with the lowest, each with its median."""
    ordered = sorted(medians.items(), key=lambda item: item[1])
    return ordered[-1], ordered[0]
