"""What was heard of one speaker, and what follows from it: segments, a summary, curves.

Speech is divided where a window begins or ends. Of each such cell, the probabilities are the mean over the
windows that cover it; neighbouring cells of one emotion are a segment.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vocalics import emotions
from vocalics.recognition.head import AffineHead
from vocalics.recognition.prediction import Curve, TurningPoint
from vocalics.recognition.rttm import Turn

FloatArray = npt.NDArray[np.float64]

#: A pause shorter than this parts no two segments of one emotion, seconds.
JOINING_PAUSE_S = 0.5

#: Seconds of speech before and after a moment that are compared to find a turning point, at least and at
#: most.
LEAST_CONTEXT_S, MOST_CONTEXT_S = 6.0, 20.0

#: Distance on the plane of valence and arousal from which on a change is a turning point. Means of
#: probabilities lie nearer to the middle than the emotions themselves: neutral and calm, say, are 0.72 apart.
TURNING_DISTANCE = 0.5

#: Shortest window that counts as a clip of the speaker when the model is adapted, seconds.
SHORTEST_CLIP_S = 1.0


@dataclass(frozen=True, eq=False)
class Cells:
    """The speech of one speaker in pieces that the same windows cover.

    Attributes
    ----------
    starts_s, ends_s
        (n_cells,), in order; a cell begins where the one before ends, or after a pause.
    probabilities
        (n_cells, n_emotions).
    """

    starts_s: FloatArray
    ends_s: FloatArray
    probabilities: FloatArray


@dataclass(frozen=True, eq=False)
class Piece:
    """Neighbouring cells of one emotion.

    Attributes
    ----------
    start_s, end_s
        Seconds; short pauses between are part of it.
    speech_s
        Without these pauses.
    probabilities
        (n_emotions,), the mean over the speech.
    """

    start_s: float
    end_s: float
    speech_s: float
    probabilities: FloatArray


class Track:
    """The windows and stretches of one speaker, as they come.

    Parameters
    ----------
    n_emotions
        Of the model.
    keep_embeddings
        Whether another head shall be able to answer later.
    """

    def __init__(self, n_emotions: int, keep_embeddings: bool = False) -> None:
        self._n_emotions = n_emotions
        self._keep_embeddings = keep_embeddings
        # Arrays of numbers, since ten hours have 36,000 windows and more.
        self._starts_s, self._ends_s = array("d"), array("d")
        self._probabilities, self._embeddings = array("f"), array("f")
        self._stretch_of = array("l")  # each window's
        self._stretches_s = array("d")  # start and end in turn

    def add_window(
        self,
        start_s: float,
        end_s: float,
        probabilities: npt.NDArray[np.float32],
        embedding: npt.NDArray[np.float32],
    ) -> None:
        """Add the model's answer for one window: probabilities (n_emotions,), embedding (n_embedding,)."""
        self._starts_s.append(start_s)
        self._ends_s.append(end_s)
        self._stretch_of.append(len(self._stretches_s) // 2)
        self._probabilities.extend(probabilities.tolist())
        if self._keep_embeddings:
            self._embeddings.extend(embedding.tolist())

    def add_stretch(self, start_s: float, end_s: float) -> None:
        """Add a stretch that has ended, after its windows."""
        self._stretches_s.extend((start_s, end_s))

    def probabilities(self, head: AffineHead | None = None) -> FloatArray:
        """Probabilities of every window, (n_windows, n_emotions): the model's, or those of another head."""
        if head is not None and self._starts_s:
            return head.probabilities(self._embedding_rows())
        return np.array(self._probabilities, dtype=np.float64).reshape(-1, self._n_emotions)

    def clips(self) -> tuple[npt.NDArray[np.float32], float]:
        """Return what a head is adapted with: windows that do not overlap.

        Returns
        -------
        embeddings, duration_s
            (n_clips, n_embedding), and how long these windows are together.
        """
        chosen: list[int] = []
        free_from_s = duration_s = 0.0
        for index, (start_s, end_s) in enumerate(zip(self._starts_s, self._ends_s, strict=True)):
            if start_s >= free_from_s and end_s - start_s >= SHORTEST_CLIP_S:
                chosen.append(index)
                free_from_s = end_s
                duration_s += end_s - start_s
        return self._embedding_rows()[chosen], duration_s

    def curve(self, speaker: str, probabilities: FloatArray) -> Curve:
        """Return the windows with these probabilities, (n_windows, n_emotions)."""
        return Curve(speaker, np.array(self._starts_s), np.array(self._ends_s), probabilities)

    def cells(self, probabilities: FloatArray) -> Cells:
        """Divide the speech where a window begins or ends; stretches that have not ended are left out.

        Parameters
        ----------
        probabilities
            Of every window, (n_windows, n_emotions).
        """
        stretches = np.array(self._stretches_s).reshape(-1, 2)
        stretch_of = np.array(self._stretch_of, dtype=int)
        ended = stretch_of < len(stretches)
        own = stretches[stretch_of[ended]]  # (n_windows, 2)
        starts_s = np.clip(np.array(self._starts_s)[ended], own[:, 0], own[:, 1])
        ends_s = np.clip(np.array(self._ends_s)[ended], own[:, 0], own[:, 1])
        edges_s = np.unique(np.concatenate([starts_s, ends_s, stretches.ravel()]))
        # What the windows add where they begin and take away where they end, summed up: the mean of those
        # between.
        changes = np.zeros((len(edges_s), 1 + self._n_emotions))
        rows = np.column_stack([np.ones(len(starts_s)), probabilities[ended]])
        np.add.at(changes, np.searchsorted(edges_s, starts_s), rows)
        np.add.at(changes, np.searchsorted(edges_s, ends_s), -rows)
        sums = np.cumsum(changes, axis=0)[:-1]
        covered = np.rint(sums[:, 0]) > 0
        means = sums[covered, 1:] / sums[covered, :1]
        return Cells(edges_s[:-1][covered], edges_s[1:][covered], np.clip(means, 0.0, 1.0))

    def _embedding_rows(self) -> npt.NDArray[np.float32]:
        n_windows = len(self._starts_s)
        n_embedding = len(self._embeddings) // max(1, n_windows)
        return np.array(self._embeddings, dtype=np.float32).reshape(n_windows, n_embedding)


@dataclass
class Speaker:
    """Somebody in a recording, while it is being heard.

    Attributes
    ----------
    name
        As in `Segment.speaker`.
    track
        What was heard.
    turns
        When the speaker talks, as a diarization says; None where all speech is the speaker's.
    head
        The head adapted to the speaker, or None for the model's own.
    adapted_s
        How much of the speech in this recording it was adapted with, seconds.
    """

    name: str
    track: Track
    turns: Sequence[Turn] | None = None
    head: AffineHead | None = None
    adapted_s: float = 0.0


def join_cells(cells: Cells) -> list[Piece]:
    """Join neighbouring cells of one emotion, over pauses shorter than `JOINING_PAUSE_S`."""
    if not len(cells.starts_s):
        return []
    best = cells.probabilities.argmax(axis=1)
    pauses_s = cells.starts_s[1:] - cells.ends_s[:-1]
    first = np.flatnonzero(np.r_[True, (best[1:] != best[:-1]) | (pauses_s >= JOINING_PAUSE_S)])
    last = np.r_[first[1:], len(best)] - 1
    lengths_s = cells.ends_s - cells.starts_s
    speech_s = np.add.reduceat(lengths_s, first)
    means = np.add.reduceat(cells.probabilities * lengths_s[:, np.newaxis], first) / speech_s[:, np.newaxis]
    return [
        Piece(float(cells.starts_s[i]), float(cells.ends_s[j]), float(length_s), mean)
        for i, j, length_s, mean in zip(first, last, speech_s, means, strict=True)
    ]


def mean_position(cells: Cells, labels: tuple[str, ...]) -> tuple[float, float] | None:
    """Mean valence and arousal over the speech; None without speech, or where a label has no coordinates."""
    coordinates = _coordinates(labels)
    lengths_s = cells.ends_s - cells.starts_s
    if coordinates is None or not len(lengths_s):
        return None
    valence, arousal = lengths_s @ cells.probabilities @ coordinates / lengths_s.sum()
    return float(valence), float(arousal)


def turning_points(cells: Cells, labels: tuple[str, ...]) -> tuple[TurningPoint, ...]:
    """Moments from which on the speaker sounds otherwise than before, in order of time.

    The mean position on the plane of valence and arousal over up to `MOST_CONTEXT_S` of speech before a
    moment is compared with that after it. Where it lies `TURNING_DISTANCE` apart or more, and another emotion
    is the most probable one, the moment of the largest distance is a turning point; two are `MOST_CONTEXT_S`
    of speech apart.
    """
    coordinates = _coordinates(labels)
    if coordinates is None or len(cells.starts_s) < 2:
        return ()
    lengths_s = cells.ends_s - cells.starts_s
    spoken_s = np.r_[0.0, np.cumsum(lengths_s)]  # speech before each edge between cells
    summed = np.vstack(
        [np.zeros(len(labels)), np.cumsum(cells.probabilities * lengths_s[:, np.newaxis], axis=0)]
    )

    def mean(from_s: FloatArray, to_s: FloatArray) -> FloatArray:
        sums = [
            np.interp(to_s, spoken_s, column) - np.interp(from_s, spoken_s, column) for column in summed.T
        ]
        return np.column_stack(sums) / (to_s - from_s)[:, np.newaxis]

    moments = np.flatnonzero((spoken_s >= LEAST_CONTEXT_S) & (spoken_s <= spoken_s[-1] - LEAST_CONTEXT_S))
    now_s = spoken_s[moments]
    before = mean(np.maximum(now_s - MOST_CONTEXT_S, 0.0), now_s)  # (n_moments, n_emotions)
    after = mean(now_s, np.minimum(now_s + MOST_CONTEXT_S, spoken_s[-1]))
    distances = np.linalg.norm((after - before) @ coordinates, axis=1)
    turns = (distances >= TURNING_DISTANCE) & (before.argmax(axis=1) != after.argmax(axis=1))
    found: list[int] = []
    for index in sorted(np.flatnonzero(turns), key=lambda index: -distances[index]):
        if all(abs(now_s[index] - now_s[other]) >= MOST_CONTEXT_S for other in found):
            found.append(int(index))
    return tuple(
        TurningPoint(
            time_s=float(cells.starts_s[moments[index]]),
            before=labels[before[index].argmax()],
            after=labels[after[index].argmax()],
            change=float(distances[index]),
        )
        for index in sorted(found)
    )


def _coordinates(labels: tuple[str, ...]) -> FloatArray | None:
    """Valence and arousal of every label, (n_emotions, 2)."""
    if any(label not in emotions.EMOTIONS for label in labels):
        return None
    return np.array([(emotions.get(label).valence, emotions.get(label).arousal) for label in labels])
