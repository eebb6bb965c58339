"""Data to matplotlib Figure; nothing here shows or saves, and pyplot, which keeps every figure, is not used.

Titles say what is seen; `title` puts another in their place. Rates are 0 to 1 and drawn in percent.

::

    style.py        the one style: colours, fonts, and the page that every figure is drawn on
    training.py     curves of a training, with polynomial fits
    answers.py      confusion matrix, recall and precision of each emotion, figures of every speaker
    confidence.py   reliability; risk and coverage
    intervals.py    figures with intervals, one a row, such as adaptation
    standings.py    the leaderboard: claim, random and speaker side by side
    sounds.py       waveforms and spectrograms
    explanation.py  one prediction, and what it hangs on
    corpus.py       class balance, durations, features by emotion, a map of embeddings
"""

from vocalics.lab.plots.adapted import adaptation
from vocalics.lab.plots.answers import confusion_matrix, groups, per_class_bars
from vocalics.lab.plots.confidence import reliability_diagram, risk_coverage
from vocalics.lab.plots.corpus import Measured, class_balance, distributions, embedding_map, speaker_balance
from vocalics.lab.plots.explanation import explained_prediction
from vocalics.lab.plots.intervals import IntervalRow, interval_rows
from vocalics.lab.plots.sounds import Sound, waveforms_and_spectrograms
from vocalics.lab.plots.standings import leaderboard
from vocalics.lab.plots.training import PolynomialFit, polynomial_fits, training_curves

__all__ = [
    "IntervalRow",
    "Measured",
    "PolynomialFit",
    "Sound",
    "adaptation",
    "class_balance",
    "confusion_matrix",
    "distributions",
    "embedding_map",
    "explained_prediction",
    "groups",
    "interval_rows",
    "leaderboard",
    "per_class_bars",
    "polynomial_fits",
    "reliability_diagram",
    "risk_coverage",
    "speaker_balance",
    "training_curves",
    "waveforms_and_spectrograms",
]
