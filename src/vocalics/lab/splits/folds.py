"""Which fold tests which utterance, for the protocols that test every utterance once.

``speaker`` takes the published folds where a corpus has them: for RAVDESS and SAVEE those of EmoBox [1]_;
TESS has two speakers, one a fold. Any other corpus is dealt into folds by speaker, balanced by gender and by
number of utterances.

.. [1] Ma et al.: EmoBox: Multilingual multi-corpus speech emotion recognition toolkit and benchmark.
   Interspeech 2024.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from vocalics.errors import SplitError
from vocalics.lab.manifest import Manifest, Utterance

#: Test speakers of each published fold, by corpus.
PUBLISHED: dict[str, tuple[tuple[str, ...], ...]] = {
    "ravdess": (
        ("01", "11", "20", "21"),
        ("04", "10", "12", "14"),
        ("08", "09", "19", "23"),
        ("03", "05", "07", "24"),
        ("02", "15", "16", "18"),
        ("06", "13", "17", "22"),
    ),
    "savee": (("JE",), ("KL",), ("DC",), ("JK",)),
    "tess": (("OAF",), ("YAF",)),
}

#: Folds under ``random``, and under ``speaker`` of a corpus without published ones.
DEFAULT_FOLDS = 5

#: Folds under ``speaker`` when one gender speaks alone.
GENDER_FOLDS = 6

#: Id of every utterance -> the fold that tests it, from 0 on.
Dealing = dict[str, int]


def generator(seed: int, fold: int, corpus: str = "") -> np.random.Generator:
    """Source of randomness of one fold, counted from 1; fold 0 is the dealing of the folds itself.

    Each corpus has a source of its own, so that it is dealt the same whatever other corpora are there.
    """
    return np.random.default_rng([seed, fold, *corpus.encode()])


def deal_by_speaker(manifest: Manifest, n_folds: int | None, gender: str | None, seed: int) -> Dealing:
    """Deal every corpus by speaker; fold k joins the k-th folds of all corpora.

    Parameters
    ----------
    manifest
        Of one gender alone where `gender` is given.
    n_folds
        Instead of a corpus's published folds, or of the default number.
    gender
        Published folds are for both genders: with one alone, its speakers are dealt anew.
    seed
        Of the dealing; published folds do not depend on it.
    """
    _refuse_unknown_speakers(manifest, "speaker")
    dealing: Dealing = {}
    for corpus in manifest.corpora:
        utterances = [u for u in manifest if u.corpus == corpus]
        fold_of = None if gender or n_folds else _published_folds(corpus, utterances)
        if fold_of is None:
            n_dealt = n_folds or (GENDER_FOLDS if gender else DEFAULT_FOLDS)
            fold_of = _balanced_folds(utterances, n_dealt, generator(seed, 0, corpus))
        dealing |= {u.id: fold_of[u.speaker] for u in utterances}
    if not any(dealing.values()):
        raise SplitError(
            "the protocol 'speaker' needs a corpus of two speakers or more, and here none has; "
            "take 'loso' for several corpora of one speaker each, 'random' for a single speaker."
        )
    return dealing


def deal_one_speaker_a_fold(manifest: Manifest) -> Dealing:
    """Give every (corpus, speaker) a fold, in their order."""
    _refuse_unknown_speakers(manifest, "loso")
    if len(manifest.speakers) < 2:
        raise SplitError(
            "the protocol 'loso' needs two speakers or more, this manifest has one; take 'random'."
        )
    fold_of = {speaker: fold for fold, speaker in enumerate(manifest.speakers)}
    return {u.id: fold_of[u.corpus, u.speaker] for u in manifest}


def deal_at_random(manifest: Manifest, n_folds: int | None, seed: int) -> Dealing:
    """Deal recordings, whoever speaks, so that every fold has its share of each emotion of each corpus."""
    recordings = stratified_recordings(manifest, generator(seed, 0))
    if len(recordings) < 2:
        raise SplitError(
            f"the protocol 'random' needs two different recordings, this manifest has {len(recordings)}."
        )
    n_folds = min(n_folds or DEFAULT_FOLDS, len(recordings))
    return {u.id: index % n_folds for index, recording in enumerate(recordings) for u in recording}


def stratified_recordings(utterances: Iterable[Utterance], rng: np.random.Generator) -> list[list[Utterance]]:
    """Group utterances by their audio; order the recordings by corpus and emotion, at random within.

    Whoever takes every n-th recording takes an equal share of each emotion of each corpus.
    """
    by_audio: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in sorted(utterances, key=lambda u: u.id):
        by_audio[utterance.digest or utterance.id].append(utterance)
    recordings = list(by_audio.values())
    shuffled = [recordings[index] for index in rng.permutation(len(recordings))]
    return sorted(shuffled, key=lambda recording: (recording[0].corpus, recording[0].emotion))


def _published_folds(corpus: str, utterances: Sequence[Utterance]) -> dict[str, int] | None:
    """Fold of each speaker here, or None when they have no published folds, or all have the same.

    Where only a part of the corpus is here, folds without speakers are left out, and the others count on.
    """
    here = {u.speaker for u in utterances}
    folds = [present for speakers in PUBLISHED.get(corpus, ()) if (present := here.intersection(speakers))]
    if len(folds) < 2 or here != set().union(*folds):
        return None
    return {speaker: fold for fold, speakers in enumerate(folds) for speaker in speakers}


def _balanced_folds(
    utterances: Sequence[Utterance], n_folds: int, rng: np.random.Generator
) -> dict[str, int]:
    """Fold of each speaker of one corpus.

    One gender after the other, those with most utterances first, they go to the fold with fewest speakers of
    their gender; among such folds, with fewest speakers; among such, with fewest utterances. So folds differ
    by one speaker at most, and by one of each gender.
    """
    clips = Counter(u.speaker for u in utterances)
    gender_of = {u.speaker: u.gender for u in utterances}
    speakers = sorted(clips)
    shuffled = [speakers[index] for index in rng.permutation(len(speakers))]
    folds: list[list[str]] = [[] for _ in range(min(n_folds, len(speakers)))]

    def fullness(fold: list[str], gender: str) -> tuple[int, int, int]:
        of_gender = sum(gender_of[name] == gender for name in fold)
        return of_gender, len(fold), sum(clips[name] for name in fold)

    for speaker in sorted(shuffled, key=lambda name: (gender_of[name], -clips[name])):
        min(folds, key=lambda fold: fullness(fold, gender_of[speaker])).append(speaker)
    return {speaker: fold for fold, members in enumerate(folds) for speaker in members}


def _refuse_unknown_speakers(manifest: Manifest, protocol: str) -> None:
    unknown = Counter(u.corpus for u in manifest if not u.speaker)
    if unknown:
        corpus, count = unknown.most_common(1)[0]
        raise SplitError(
            f"{count} utterances of '{corpus}' have no speaker, and the protocol '{protocol}' keeps speakers "
            "apart; add a column 'speaker' to its table, or take the protocol 'random'."
        )
