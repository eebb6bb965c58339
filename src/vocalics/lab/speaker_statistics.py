"""How speakers differ, measured on those that a model was not trained on, for `SpeakerPrior`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vocalics.card import SpeakerNumbers
from vocalics.errors import TrainingError

FloatArray = npt.NDArray[np.float64]

#: Fewest speakers that say how speakers differ.
FEWEST_SPEAKERS = 6

#: Rounds of the alternating means; the tables are nearly balanced, and two would do.
_ROUNDS = 50

#: Least variance of a direction, as a share of the mean over directions: few speakers may seem to agree.
_FLOOR = 0.05


def measure_speakers(
    logits: npt.ArrayLike, truth: npt.ArrayLike, speakers: Sequence[str], source: str
) -> SpeakerNumbers:
    """Part the variance of logits into that of speakers, of their ways with emotions, and of clips.

    The estimates are by moments, as in an analysis of variance with two factors: every speaker with every
    emotion is one cell, and cells count the same however many clips they have.

    Parameters
    ----------
    logits
        (n, n_emotions), of clips whose speakers the model was not trained on.
    truth
        (n,), indices of the emotions.
    speakers
        (n,), who speaks.
    source
        Whose they are, in words, for the card.

    Raises
    ------
    TrainingError
        There are too few speakers, or one of them lacks an emotion: then the means of emotions could not be
        told from how speakers differ.
    """
    values, labels = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    names, who = np.unique(np.asarray(speakers), return_inverse=True)
    n_speakers, n_emotions = len(names), values.shape[1]
    basis = _differences(n_emotions)
    cells = [
        [values[(who == s) & (labels == e)] @ basis for e in range(n_emotions)] for s in range(n_speakers)
    ]
    sizes = np.array([[len(cell) for cell in row] for row in cells])
    lacking = int((sizes == 0).any(axis=1).sum())
    if n_speakers < FEWEST_SPEAKERS or lacking:
        raise TrainingError(
            f"how speakers differ is measured on {FEWEST_SPEAKERS} speakers or more, each with clips of all "
            f"emotions; given {n_speakers}, of whom {lacking} lack an emotion."
        )
    means = np.array([[cell.mean(axis=0) for cell in row] for row in cells])  # (speakers, emotions, n - 1)
    within = sum((cell - cell.mean(axis=0)).T @ (cell - cell.mean(axis=0)) for row in cells for cell in row)
    within = np.asarray(within) / max(int((sizes - 1).sum()), 1)

    of_emotions = means.mean(axis=0)
    of_speakers = (means - of_emotions).mean(axis=1)
    ways = (means - of_emotions - of_speakers[:, None]).reshape(-1, n_emotions - 1)
    freedom = (n_speakers - 1) * (n_emotions - 1)
    noise = within * (1 / sizes).mean()  # of a cell's mean
    between_ways = ways.T @ ways / freedom - noise
    between = of_speakers.T @ of_speakers / (n_speakers - 1) - (between_ways + noise) / n_emotions

    within, between_ways, between = map(_positive, (within, between_ways, between))
    scale, directions = np.linalg.eigh(within)
    whitening = directions / np.sqrt(scale)
    variances, rotation = np.linalg.eigh(whitening.T @ between_ways @ whitening)
    coordinates = (basis @ whitening @ rotation).T
    into = whitening @ rotation
    return SpeakerNumbers(
        coordinates=_rows(coordinates),
        means=_rows(of_emotions @ into),
        ways=tuple(float(f"{value:.6g}") for value in variances),
        speakers=_rows(into.T @ between @ into),
        source=source,
    )


def _differences(size: int) -> FloatArray:
    """Return orthonormal directions in which values differ from their mean, (size, size - 1)."""
    helmert = np.zeros((size, size - 1))
    for column in range(1, size):
        helmert[:column, column - 1] = 1
        helmert[column, column - 1] = -column
    return np.asarray(helmert / np.linalg.norm(helmert, axis=0))


def _positive(covariance: FloatArray) -> FloatArray:
    """Return the covariance with no direction under a floor."""
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    floor = max(_FLOOR * float(np.abs(variances).mean()), 1e-9)
    return np.asarray((directions * np.maximum(variances, floor)) @ directions.T)


def _rows(matrix: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.6g}") for value in row) for row in matrix)
