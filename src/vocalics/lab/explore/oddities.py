"""What is odd about a corpus: what a person should know before a model learns it instead of emotions."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vocalics import emotions
from vocalics.lab.explore.listening import Heard
from vocalics.lab.manifest import Manifest
from vocalics.lab.metrics import MINIMUM_SPEAKERS

#: A class or gender is told as unbalanced from this ratio of the larger to the smaller on.
UNBALANCED = 1.5

#: Recordings whose peak stays under this, full scale 1 (-40 dB), are nearly silent.
SILENT_PEAK = 0.01

#: Lengths that are told: under this many seconds, or over so many times the median.
SHORT_S, LONG_RATIO = 0.5, 4.0

#: Corpora whose median levels lie so far apart can be told from each other by loudness alone, dB.
LEVEL_GAP_DB = 6.0

#: So few sentences are learnt by heart.
FEW_SENTENCES = 20


def list_oddities(manifest: Manifest, heard: Sequence[Heard], errors: Sequence[str]) -> list[str]:
    """Tell one sentence for each thing that is odd, what concerns labels first.

    Parameters
    ----------
    manifest
        All of it is looked at.
    heard, errors
        The recordings that were listened to, and what was said of those that cannot be read.
    """
    return [
        *_same_audio(manifest),
        *_unbalanced(manifest),
        *_people(manifest),
        *_sentences(manifest),
        *_foreign_labels(manifest),
        *_lengths(manifest),
        *_flaws(heard, errors),
        *_formats(heard),
        *_levels(heard),
    ]


def _same_audio(manifest: Manifest) -> Iterator[str]:
    by_digest = defaultdict(list)
    for utterance in manifest:
        if utterance.digest:
            by_digest[utterance.digest].append(utterance)
    copies = [group for group in by_digest.values() if len(group) > 1]
    conflicts = [group for group in copies if len({u.emotion for u in group}) > 1]
    if copies:
        first = " and ".join(u.id for u in copies[0][:2])
        told = f"{_count(len(copies), 'recording')} {_verb(copies, 'stands', 'stand')} under more than one id"
        yield f"{told}, byte for byte the same sound: {first}{', and others' if len(copies) > 1 else ''}."
    if conflicts:
        first = " and ".join(f"{u.id} ({u.emotion})" for u in conflicts[0][:2])
        yield f"{_count(len(conflicts), 'recording')} of these under different emotions: {first}."


def _unbalanced(manifest: Manifest) -> Iterator[str]:
    classes = Counter(u.emotion for u in manifest).most_common()
    (most, many), (least, few) = classes[0], classes[-1]
    if many >= UNBALANCED * few:
        yield (
            f"{least.capitalize()} is rare: {few:,} clips against {many:,} of {most}. Plain accuracy favours "
            "the large classes, the unweighted average recall (UAR) does not."
        )
    genders = Counter(u.gender for u in manifest if u.gender).most_common()
    if len(genders) == 1 and len({(u.corpus, u.speaker) for u in manifest}) > 1:
        yield f"All speakers whose gender is known are {genders[0][0]}: nothing is said about other voices."
    elif len(genders) > 1 and genders[0][1] >= UNBALANCED * genders[1][1]:
        share = genders[0][1] / (genders[0][1] + genders[1][1])
        yield f"{100 * share:.0f} % of the clips are by {genders[0][0]} speakers."


def _people(manifest: Manifest) -> Iterator[str]:
    nobody = sum(not u.speaker for u in manifest)
    if nobody:
        yield (
            f"{_count(nobody, 'clip')} {_verb(range(nobody), 'names', 'name')} no speaker: without speakers "
            "nobody can say how a model does on people it has never heard."
        )
    for corpus in manifest.corpora:
        own = [u for u in manifest if u.corpus == corpus and u.speaker]
        speakers = defaultdict(set)
        for utterance in own:
            speakers[utterance.speaker].add(utterance.emotion)
        if 0 < len(speakers) < MINIMUM_SPEAKERS:
            yield (
                f"{corpus} has {_count(len(speakers), 'speaker')}: too few for an interval, and a model may "
                "learn the people instead of the emotions."
            )
        all_emotions = set().union(*speakers.values())
        lacking = sorted(name for name, said in speakers.items() if said != all_emotions)
        if lacking:
            some = ", ".join(lacking[:3]) + (" ..." if len(lacking) > 3 else "")
            who = f"{_count(len(lacking), 'speaker')} of {corpus} ({some})"
            yield f"{who} {_verb(lacking, 'lacks', 'lack')} at least one of its {len(all_emotions)} emotions."


def _sentences(manifest: Manifest) -> Iterator[str]:
    for corpus in manifest.corpora:
        said = Counter(u.sentence for u in manifest if u.corpus == corpus)
        if said and "" not in said and len(said) <= FEW_SENTENCES and said.total() > 2 * len(said):
            yield (
                f"All {said.total():,} clips of {corpus} say one of {_count(len(said), 'sentence')}, so both "
                "sides of every split share them: figures tell little about other words."
            )


def _foreign_labels(manifest: Manifest) -> Iterator[str]:
    foreign = Counter(u.emotion for u in manifest if u.emotion not in emotions.EMOTIONS)
    if foreign:
        told = ", ".join(f"{name} ({count:,})" for name, count in foreign.most_common())
        yield f"Labels outside the eight emotions, which a recipe must name to use: {told}."


def _lengths(manifest: Manifest) -> Iterator[str]:
    lengths = np.array([u.duration_s for u in manifest])
    median = float(np.median(lengths))
    short, long = lengths < SHORT_S, lengths > LONG_RATIO * median
    if short.any():
        which = manifest.utterances[int(lengths.argmin())].id
        told = _verb(range(int(short.sum())), "lasts", "last")
        yield (
            f"{_count(int(short.sum()), 'clip')} {told} less than {SHORT_S:g} s; the shortest, {which}, "
            f"{lengths.min():.2f} s."
        )
    if long.any():
        which = manifest.utterances[int(lengths.argmax())].id
        verb = _verb(range(int(long.sum())), "lasts", "last")
        yield (
            f"{_count(int(long.sum()), 'clip')} {verb} more than {LONG_RATIO:g} times the median of "
            f"{median:.1f} s; the longest, {which}, {lengths.max():.1f} s."
        )


def _flaws(heard: Sequence[Heard], errors: Sequence[str]) -> Iterator[str]:
    n = len(heard) + len(errors)
    if errors:
        yield f"{len(errors):,} of {n:,} recordings listened to cannot be read; the first: {errors[0]}"
    clipped = [one for one in heard if one.measures.clipped]
    if clipped:
        worst = max(clipped, key=lambda one: one.measures.clipped)
        yield (
            f"{len(clipped):,} of {n:,} recordings listened to {_verb(clipped, 'is', 'are')} clipped, their "
            f"tops cut flat; most of all {worst.utterance.id}, {_count(worst.measures.clipped, 'sample')}."
        )
    silent = [one for one in heard if one.measures.voice is None or one.measures.peak < SILENT_PEAK]
    if silent:
        yield (
            f"{len(silent):,} of {n:,} recordings listened to {_verb(silent, 'is', 'are')} silent or nearly "
            f"so (peak under -40 dB); the first: {silent[0].utterance.id}."
        )


def _formats(heard: Sequence[Heard]) -> Iterator[str]:
    rates = Counter(one.measures.sample_rate for one in heard).most_common()
    if len(rates) > 1:
        told = ", ".join(f"{rate:,} Hz ({count:,})" for rate, count in rates)
        yield f"Sample rates are mixed, so a model can tell recordings apart by their highest tones: {told}."
    channels = Counter(one.measures.n_channels for one in heard).most_common()
    if len(channels) > 1:
        yield (
            "Channels are mixed: " + ", ".join(f"{n} in {count:,}" for n, count in channels) + " recordings."
        )


def _levels(heard: Sequence[Heard]) -> Iterator[str]:
    by_corpus = defaultdict(list)
    for one in heard:
        if one.measures.voice:
            by_corpus[one.utterance.corpus].append(one.measures.voice.level_db)
    medians = {corpus: float(np.median(levels)) for corpus, levels in by_corpus.items()}
    if len(medians) < 2:
        return
    loudest, softest = max(medians, key=lambda c: medians[c]), min(medians, key=lambda c: medians[c])
    gap_db = medians[loudest] - medians[softest]
    if gap_db >= LEVEL_GAP_DB:
        yield (
            f"{loudest} is {gap_db:.0f} dB louder than {softest}: over several corpora a model can take "
            "loudness for the corpus, and the corpus for an emotion."
        )


def _count(n: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> _count(1, "clip"), _count(1200, "clip")
    ('1 clip', '1,200 clips')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _verb(subjects: Sequence[object] | range, one: str, many: str) -> str:
    return one if len(subjects) == 1 else many
