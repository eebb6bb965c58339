"""How much a model gains from unlabelled clips of a speaker, and loses when they are one-sided.

For every tested clip sets of *other* clips of its speaker are drawn; its twin (same emotion, intensity and
sentence) and any clip with the same audio are never among them. The draws follow from the seed and the clip
alone, so all methods get the same sets.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from vocalics.errors import UsageError
from vocalics.lab.manifest import Utterance
from vocalics.lab.metrics import bootstrap_interval, recall, uar
from vocalics.lab.scores import Scores
from vocalics.recognition.head import AffineHead

IntArray = npt.NDArray[np.int64]

#: Sets drawn for every tested clip, where there is more than one way to draw.
DRAWS = 20

#: Clips of the speaker in the balanced settings; None is all that may be used.
CLIP_COUNTS: tuple[int | None, ...] = (1, 3, 5, 10, 20, None)

#: Clips in the settings with a skewed composition.
SKEWED_CLIPS = 10

#: Sets that are adapted to at once.
_HEAP = 512

_CALM = ("neutral", "calm")

#: A draw: candidate clips of the speaker and a generator to positions of the chosen ones.
_Draw = Callable[[list[Utterance], np.random.Generator], IntArray]


@dataclass(frozen=True)
class Setting:
    """One way to choose clips of a speaker.

    Attributes
    ----------
    name
        Such as ``5``, ``all``, ``only-angry``, ``mostly-neutral`` or ``dirichlet``.
    draws
        Sets for each tested clip.
    draw
        How a set is drawn; an empty one leaves the plain model.
    """

    name: str
    draws: int
    draw: _Draw


def list_settings(
    emotions: tuple[str, ...], clip_counts: tuple[int | None, ...] = CLIP_COUNTS
) -> tuple[Setting, ...]:
    """List every composition that an adapted figure is told for: balanced by chance, then skewed.

    Examples
    --------
    >>> [setting.name for setting in list_settings(("happy", "sad"), (5, None))]
    ['5', 'all', 'only-happy', 'only-sad', 'mostly-neutral', 'dirichlet']
    """

    def some(n_clips: int | None) -> _Draw:
        return lambda clips, rng: rng.permutation(len(clips))[:n_clips]

    def only(emotion: str) -> _Draw:
        return lambda clips, rng: np.array(
            [i for i, clip in enumerate(clips) if clip.emotion == emotion], dtype=int
        )

    balanced = (Setting(str(n or "all"), DRAWS if n else 1, some(n)) for n in clip_counts)
    single = (Setting(f"only-{emotion}", 1, only(emotion)) for emotion in emotions)
    return (
        *balanced,
        *single,
        Setting("mostly-neutral", DRAWS, _mostly_neutral),
        Setting("dirichlet", DRAWS, _dirichlet),
    )


def _mostly_neutral(clips: list[Utterance], rng: np.random.Generator) -> IntArray:
    """Choose ten clips, eight of them neutral or calm, as far as there are so many."""
    order = rng.permutation(len(clips))
    calm = [i for i in order if clips[i].emotion in _CALM][: SKEWED_CLIPS * 8 // 10]
    others = [i for i in order if clips[i].emotion not in _CALM][: SKEWED_CLIPS * 2 // 10]
    return np.array([*calm, *others], dtype=int)


def _dirichlet(clips: list[Utterance], rng: np.random.Generator) -> IntArray:
    """Choose ten clips, with shares of the emotions from a Dirichlet distribution of concentration 0.5."""
    if not clips:  # the speaker has no other clip in this fold
        return np.array([], dtype=int)
    emotions = sorted({clip.emotion for clip in clips})
    shares = dict(zip(emotions, rng.dirichlet([0.5] * len(emotions)), strict=True))
    weights = np.array([shares[clip.emotion] for clip in clips]) + 1e-9
    n_clips = min(SKEWED_CLIPS, len(clips))
    return rng.choice(len(clips), size=n_clips, replace=False, p=weights / weights.sum())


def adapted_confusions(
    scores: Scores,
    head: AffineHead,
    columns: list[int],
    settings: tuple[Setting, ...],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict[str, IntArray]]:
    """Count right and wrong answers of every setting and speaker, over clips and draws.

    Parameters
    ----------
    scores
        Plain answers and embeddings.
    head
        The model's own head.
    columns
        Of the head's emotions, those that `scores` chooses among.
    settings
        Compositions, from `list_settings`.
    draws
        Sets for each clip and setting, where there is more than one way to draw.
    seed
        Of the draws.

    Returns
    -------
    setting -> ``corpus/speaker`` -> confusion matrix (n_emotions, n_emotions).

    Raises
    ------
    UsageError
        It is not known who speaks.
    """
    unknown = sum(not utterance.speaker for utterance in scores.utterances)
    if settings and unknown:
        raise UsageError(
            f"{unknown} of {len(scores)} recordings have no speaker to adapt to; add a column 'speaker' to "
            "their table, or leave out --adapt."
        )
    size = len(scores.emotions)
    speakers, truth, embeddings = scores.speakers, scores.truth, scores.embeddings
    found: dict[str, dict[str, IntArray]] = {
        setting.name: {speaker: np.zeros((size, size), dtype=np.int64) for speaker in dict.fromkeys(speakers)}
        for setting in settings
    }
    waiting: list[_Set] = []
    for tested in range(len(scores) if settings else 0):
        others = _others(scores.utterances, tested)
        clips = [scores.utterances[i] for i in others]
        for setting in settings:
            counts = found[setting.name][speakers[tested]]
            for rng in _generators(seed, scores.utterances[tested].id, min(setting.draws, draws)):
                rows = [others[i] for i in setting.draw(clips, rng)]
                if rows and head.prior:
                    waiting.append(_Set(setting.name, tested, rows))
                    continue
                adapted = head.adapted(embeddings[rows]) if rows else head
                logits = adapted.logits(embeddings[tested : tested + 1])[0, columns]
                counts[truth[tested], int(logits.argmax())] += 1
    for drawn, logits in _adapted_together(head, embeddings, waiting):
        counts = found[drawn.setting][speakers[drawn.tested]]
        counts[truth[drawn.tested], int(logits[columns].argmax())] += 1
    return found


def adapted_probabilities(scores: Scores, head: AffineHead) -> npt.NDArray[np.float64]:
    """Answer each clip adapted with all other clips of its speaker but its twins and copies.

    Parameters
    ----------
    scores
        Plain answers and embeddings.
    head
        The model's own head, with its temperature; it must know how speakers differ.

    Returns
    -------
    Probabilities (n_clips, n_emotions); those of a speaker's only clip stay plain.
    """
    logits = head.logits(scores.embeddings)
    others = [_Set("all", tested, _others(scores.utterances, tested)) for tested in range(len(scores))]
    for heard, adapted in _adapted_together(head, scores.embeddings, [one for one in others if one.rows]):
        logits[heard.tested] = adapted
    return np.asarray(softmax(logits / head.temperature, axis=1))


@dataclass(frozen=True)
class _Set:
    """Clips of a speaker, by which the answer to another one is adapted."""

    setting: str
    tested: int
    rows: list[int]


def _adapted_together(
    head: AffineHead, embeddings: npt.NDArray[np.float64], sets: list[_Set]
) -> Iterator[tuple[_Set, npt.NDArray[np.float64]]]:
    """Yield the adapted logits for each set, many at once: one by one it would take an hour."""
    if not sets or head.prior is None:
        return
    logits = head.logits(embeddings)
    sets = sorted(sets, key=lambda one: len(one.rows))  # so that those of one heap are about as long
    for first in range(0, len(sets), _HEAP):
        heap = sets[first : first + _HEAP]
        longest = len(heap[-1].rows)
        rows = np.array([one.rows + [0] * (longest - len(one.rows)) for one in heap])
        heard = np.array([[1.0] * len(one.rows) + [0.0] * (longest - len(one.rows)) for one in heap])
        matrix, offset = head.prior.adapted(logits[rows], heard)
        plain = logits[[one.tested for one in heap]]
        adapted = (matrix @ plain[:, :, None])[:, :, 0] + offset
        yield from zip(heap, adapted, strict=True)


def twins(utterances: tuple[Utterance, ...]) -> list[int]:
    """Give a clip, its twins and its copies one number, which no other clip has.

    Results keep it, so that sets can be drawn from them as `adapted_confusions` draws them.
    """
    known: dict[tuple[str, ...], int] = {}
    numbers = []
    for i, clip in enumerate(utterances):
        who = (clip.corpus, clip.speaker)
        names: list[tuple[str, ...]] = []
        if clip.sentence:
            names.append((*who, clip.emotion, clip.intensity, clip.sentence))
        if clip.digest:
            names.append((*who, clip.digest))
        numbers.append(min((known[name] for name in names if name in known), default=i))
        for name in names:
            known.setdefault(name, numbers[-1])
    return numbers


def _others(utterances: tuple[Utterance, ...], tested: int) -> list[int]:
    """Positions of the other clips of the tested clip's speaker, without its twins and copies."""
    clip = utterances[tested]
    twin = (clip.emotion, clip.intensity, clip.sentence)
    others = []
    for i, other in enumerate(utterances):
        if i == tested or (other.corpus, other.speaker) != (clip.corpus, clip.speaker):
            continue
        is_twin = bool(clip.sentence) and (other.emotion, other.intensity, other.sentence) == twin
        is_copy = bool(clip.digest) and other.digest == clip.digest
        if not is_twin and not is_copy:
            others.append(i)
    return others


def _generators(seed: int, utterance_id: str, draws: int) -> Iterator[np.random.Generator]:
    """Yield a generator a draw: the same for every setting and method."""
    name = int.from_bytes(hashlib.sha256(utterance_id.encode()).digest()[:8], "big")
    return (np.random.default_rng([seed, name, draw]) for draw in range(draws))


def adapted_figures(
    confusions: dict[str, IntArray], plain: dict[str, IntArray], emotions: tuple[str, ...]
) -> dict[str, Any]:
    """Return the figures of one setting over all clips and draws.

    Parameters
    ----------
    confusions, plain
        Confusion matrix of every speaker, adapted and plain.
    emotions
        Labels in their order.

    Returns
    -------
    UAR, accuracy and macro-F1 with intervals over speakers, the recall of each emotion, and
    ``speakers_not_worse``: the share of speakers whose own UAR did not fall.
    """
    truth, predicted, speakers = flatten_counts(confusions)
    kept = sum(uar(confusions[speaker]) >= uar(plain[speaker]) - 1e-12 for speaker in confusions)
    return {
        **{
            name: bootstrap_interval(name, truth, predicted, speakers).to_dict()
            for name in ("uar", "accuracy", "macro_f1")
        },
        "recall": recall(sum(confusions.values()), emotions),
        "speakers_not_worse": kept / len(confusions),
    }


def flatten_counts(confusions: dict[str, IntArray]) -> tuple[IntArray, IntArray, list[str]]:
    """Turn counts back into one row an answer: truth, answer, speaker."""
    truth, predicted, speakers = [], [], []
    for speaker, counts in confusions.items():
        rows, columns = np.indices(counts.shape).reshape(2, -1)
        truth.append(np.repeat(rows, counts.ravel()))
        predicted.append(np.repeat(columns, counts.ravel()))
        speakers += [speaker] * int(counts.sum())
    return np.concatenate(truth), np.concatenate(predicted), speakers
