"""The validation part: held out of the training part, for early stopping, calibration, any choice at all."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from vocalics.lab.manifest import Utterance
from vocalics.lab.splits.folds import generator, stratified_recordings

#: What a split notes when nobody could be spared.
BY_UTTERANCE = "validation is taken by utterance: no corpus has a training speaker to spare"


def hold_out_speakers(train: Sequence[Utterance], share: float, seed: int, fold: int) -> set[str]:
    """Ids of the utterances to validate on, whole speakers; empty when no corpus has a speaker to spare.

    Of every corpus with speakers to spare, `share` of its women and `share` of its men, rounded, but one of
    each at least and never the last of them.
    """
    held: set[tuple[str, str]] = set()
    for corpus, genders in speakers_to_spare(train).items():
        rng = generator(seed, fold, corpus)
        quotas = {
            gender: min(max(1, _rounded(share * len(speakers))), len(speakers) - 1)
            for gender, speakers in genders.items()
        }
        if not any(quotas.values()):  # one speaker of each gender: one of them goes
            quotas[sorted(quotas)[rng.integers(len(quotas))]] = 1
        for gender, speakers in sorted(genders.items()):
            chosen = rng.permutation(len(speakers))[: quotas[gender]]
            held |= {(corpus, speakers[index]) for index in chosen}
    return {u.id for u in train if (u.corpus, u.speaker) in held}


def hold_out_recordings(train: Sequence[Utterance], share: float, seed: int, fold: int) -> set[str]:
    """Ids of the utterances to validate on: `share` of each emotion of each corpus, at least one recording.

    A single recording is left to train on.
    """
    recordings = stratified_recordings(train, generator(seed, fold))
    n = len(recordings)
    count = min(max(1, _rounded(share * n)), n - 1)
    # `count` positions of n, evenly spaced, so that each stratum gives its share.
    chosen = [recordings[i] for i in range(n) if (i + 1) * count // n > i * count // n]
    return {u.id for recording in chosen for u in recording}


def speakers_to_spare(utterances: Iterable[Utterance]) -> dict[str, dict[str, list[str]]]:
    """Corpora that can give a speaker away: corpus -> gender -> its speakers, sorted.

    All speakers of such a corpus are known, and they are three or more. Two will do when no corpus has three:
    one of two is half of the corpus, which is not spared lightly.
    """
    gender_of: dict[str, dict[str, str]] = defaultdict(dict)
    for utterance in utterances:
        gender_of[utterance.corpus][utterance.speaker] = utterance.gender
    known = {corpus: speakers for corpus, speakers in sorted(gender_of.items()) if "" not in speakers}
    enough = 3 if any(len(speakers) > 2 for speakers in known.values()) else 2
    spare: dict[str, dict[str, list[str]]] = {}
    for corpus, speakers in known.items():
        if len(speakers) >= enough:
            spare[corpus] = defaultdict(list)
            for speaker, gender in sorted(speakers.items()):
                spare[corpus][gender].append(speaker)
    return spare


def _rounded(number: float) -> int:
    """Round half up; `round` would take a half to the even number."""
    return int(number + 0.5)
