"""Which recordings are listened to: a balanced sample, and one example of each emotion."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.plots.style import in_order

#: Words of corpora for an emotion that is acted out fully; such an example is clearer.
_STRONG = ("strong", "high")


def stratified(manifest: Manifest, size: int, seed: int) -> tuple[Utterance, ...]:
    """Draw utterances so that every corpus, emotion and gender has as many as it can of `size`, by id.

    Parameters
    ----------
    manifest
        What to draw from; all of it when it is no larger.
    size
        How many to draw at most.
    seed
        Of the draw.
    """
    if len(manifest) <= size:
        return manifest.utterances
    strata: dict[tuple[str, str, str], list[Utterance]] = defaultdict(list)
    for utterance in manifest:
        strata[utterance.corpus, utterance.emotion, utterance.gender].append(utterance)
    rng = np.random.default_rng(seed)
    # Each utterance gets its turn within its stratum; first turns are drawn first, in random order.
    turns = [
        (turn, rng.random(), stratum[position])
        for stratum in (strata[key] for key in sorted(strata))
        for turn, position in enumerate(rng.permutation(len(stratum)))
    ]
    drawn = sorted(turns, key=lambda entry: entry[:2])[:size]
    return tuple(sorted((utterance for _, _, utterance in drawn), key=lambda utterance: utterance.id))


def one_of_each(manifest: Manifest) -> tuple[Utterance, ...]:
    """Choose one utterance of each emotion that some speaker shows, where possible all in one sentence.

    Of all (corpus, speaker, sentence) the one with most emotions is taken, the first by name among equals;
    emotions that it lacks come from elsewhere.
    """
    groups: dict[tuple[str, str, str], list[Utterance]] = defaultdict(list)
    for utterance in manifest:
        groups[utterance.corpus, utterance.speaker, utterance.sentence].append(utterance)

    def size(key: tuple[str, str, str]) -> int:
        return len({utterance.emotion for utterance in groups[key]})

    best = groups[max(sorted(groups), key=size)]
    return tuple(
        _clearest([u for u in best if u.emotion == emotion] or [u for u in manifest if u.emotion == emotion])
        for emotion in in_order([utterance.emotion for utterance in manifest])
    )


def _clearest(utterances: Sequence[Utterance]) -> Utterance:
    return min(utterances, key=lambda utterance: (utterance.intensity not in _STRONG, utterance.id))
