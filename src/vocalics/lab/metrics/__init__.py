"""Figures of an evaluation: UAR and its relatives, intervals over speakers, calibration. Pure NumPy.

``truth`` and ``predicted`` are emotion indices, (n,); ``probabilities`` is (n, n_emotions), a row a clip.
A figure that cannot be computed is an error (`UsageError`), never a stand-in number.

::

    answers.py        confusion matrix; UAR, accuracy, macro-F1; recall, precision and F1 of each emotion
    speakers.py       intervals by bootstrap over speakers, paired differences, figures by group
    probabilities.py  ECE, its bins, what a perfectly calibrated model reads; Brier, NLL; risk and coverage
"""

from vocalics.lab.metrics.answers import (
    PerClass,
    Statistic,
    accuracy,
    confusion,
    macro_f1,
    per_class,
    recall,
    uar,
)
from vocalics.lab.metrics.probabilities import (
    ReliabilityBin,
    RiskCoverage,
    brier,
    ece,
    expected_ece,
    nll,
    reliability,
    risk_coverage,
)
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
    "PerClass",
    "ReliabilityBin",
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
    "per_class",
    "recall",
    "reliability",
    "risk_coverage",
    "uar",
]
