"""Listen to a sample of recordings, several at once: what each is like, and where it lies on a map."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.errors import AudioError
from vocalics.lab.explore.measures import Measures, measure
from vocalics.lab.manifest import Manifest, Utterance

if TYPE_CHECKING:
    from vocalics.recognition.model import Model

FloatArray = npt.NDArray[np.float64]

#: Neighbours that are asked whether the map keeps emotions together.
NEIGHBOURS = 5

#: With fewer recordings t-SNE has nothing to order; the two main components are drawn instead.
FEWEST_FOR_TSNE = 30


@dataclass(frozen=True, eq=False)
class Heard:
    """One recording that was listened to.

    Attributes
    ----------
    utterance
        Which.
    measures
        What was measured.
    embedding
        (n_values,): what the model makes of it, or its functionals; None where it has none.
    """

    utterance: Utterance
    measures: Measures
    embedding: FloatArray | None


@dataclass(frozen=True, eq=False)
class Map:
    """Recordings as points of a plane.

    Attributes
    ----------
    heard
        The recordings that have an embedding.
    points
        (n_clips, 2).
    method
        ``t-SNE`` or ``PCA``.
    same_emotion, by_chance
        Share of a recording's `NEIGHBOURS` nearest on the map with its emotion, and what chance would give.
    same_speaker
        Share of them with its speaker; None when a speaker is unknown.
    """

    heard: tuple[Heard, ...]
    points: FloatArray
    method: str
    same_emotion: float
    by_chance: float
    same_speaker: float | None


def listen(
    manifest: Manifest,
    utterances: Sequence[Utterance],
    model: "Model | None",
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Heard], list[str]]:
    """Decode and measure recordings in threads.

    Parameters
    ----------
    manifest
        Where their audio lies.
    utterances
        Which.
    model
        Makes the embeddings; without it they are the functionals.
    workers
        Threads.
    progress
        Hears (done, total).

    Returns
    -------
    What was heard, in the order of the utterances, and one sentence for each that cannot be read.
    """

    def hear(utterance: Utterance) -> Heard | str:
        try:
            waveform = audio.read(manifest.audio_path(utterance))
        except AudioError as error:
            return str(error)
        measures = measure(waveform)
        return Heard(utterance, measures, _embedding(waveform, measures, model))

    heard: list[Heard] = []
    errors: list[str] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for done, answer in enumerate(pool.map(hear, utterances), start=1):
            heard.append(answer) if isinstance(answer, Heard) else errors.append(answer)
            if progress:
                progress(done, len(utterances))
    return heard, errors


def lay_out(heard: Sequence[Heard], seed: int) -> Map | None:
    """Lay recordings out on a plane so that like ones lie together: t-SNE [1]_, or PCA for a few.

    Returns
    -------
    None with fewer than three recordings that have an embedding.

    References
    ----------
    .. [1] van der Maaten, Hinton: Visualizing data using t-SNE. Journal of Machine Learning Research 9, 2008.
    """
    placed = tuple(one for one in heard if one.embedding is not None)
    if len(placed) < 3:
        return None
    rows = np.stack([one.embedding for one in placed if one.embedding is not None])  # (n_clips, n_values)
    rows = np.where(np.isfinite(rows), rows, np.nanmedian(np.where(np.isfinite(rows), rows, np.nan), axis=0))
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    axes = np.linalg.svd(rows, full_matrices=False)
    components = axes.U[:, :50] * axes.S[:50]  # (n_clips, at most 50)
    method = "t-SNE" if len(rows) >= FEWEST_FOR_TSNE else "PCA"
    points = _tsne(components, seed) if method == "t-SNE" else components[:, :2]
    emotions = np.array([one.utterance.emotion for one in placed])
    speakers = np.array([f"{one.utterance.corpus}/{one.utterance.speaker}" for one in placed])
    n = len(placed)
    alike = [(emotions == emotion).sum() - 1 for emotion in emotions]  # others with the same emotion
    known = all(one.utterance.speaker for one in placed)
    return Map(
        heard=placed,
        points=points,
        method=method,
        same_emotion=_neighbours_alike(points, emotions),
        by_chance=float(np.mean(alike) / (n - 1)),
        same_speaker=_neighbours_alike(points, speakers) if known else None,
    )


def _embedding(waveform: audio.Waveform, measures: Measures, model: "Model | None") -> FloatArray | None:
    if model is None:
        return measures.voice.functionals if measures.voice else None
    try:
        return np.asarray(model.embed(waveform)[0], dtype=np.float64)
    except AudioError:  # shorter than the model can hear
        return None


def _tsne(rows: FloatArray, seed: int) -> FloatArray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(rows) - 1) / 3)
    tsne = TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=seed)
    return np.asarray(tsne.fit_transform(rows.astype(np.float32)), dtype=np.float64)


def _neighbours_alike(points: FloatArray, labels: npt.NDArray[np.str_]) -> float:
    """Share of the nearest neighbours of all points that have the point's own label."""
    distance = np.square(points[:, None] - points).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    n = min(NEIGHBOURS, len(points) - 1)
    nearest = np.argsort(distance, axis=1)[:, :n]  # (n_clips, n)
    return float((labels[nearest] == labels[:, None]).mean())
