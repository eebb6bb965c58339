"""Figures of an evaluation: UAR and its relatives, intervals over speakers, calibration. Pure NumPy.

``truth`` and ``predicted`` are emotion indices, (n,); ``probabilities`` is (n, n_emotions), a row a clip.
A figure that cannot be computed is an error (`UsageError`), never a stand-in number.

::

    answers.py        confusion matrix; UAR, accuracy, macro-F1, recall of each emotion
    speakers.py       intervals by bootstrap over speakers, paired differences, figures by group
    probabilities.py  ECE, and what a perfectly calibrated model reads; Brier score, NLL; risk and coverage
"""

from vocalics.lab.metrics.answers import Statistic, accuracy, confusion, macro_f1, recall, uar
from vocalics.lab.metrics.probabilities import RiskCoverage, brier, ece, expected_ece, nll, risk_coverage
from vocalics.lab.metrics.speakers import (
    MINIMUM_SPEAKERS,
    GroupFigures,
    Groups,
    Interval,
    bootstrap_interval,
    by_group,
    paired_difference,
)

__all__ = [
    "MINIMUM_SPEAKERS",
    "GroupFigures",
    "Groups",
    "Interval",
    "RiskCoverage",
    "Statistic",
    "accuracy",
    "bootstrap_interval",
    "brier",
    "by_group",
    "confusion",
    "ece",
    "expected_ece",
    "macro_f1",
    "nll",
    "paired_difference",
    "recall",
    "risk_coverage",
    "uar",
]
