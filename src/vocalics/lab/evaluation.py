"""Figures of a model: from answers to one record that says how good, how sure, and for whom."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.card import ModelCard
from vocalics.errors import UsageError
from vocalics.lab import metrics
from vocalics.lab.adaptation import adapted_figures
from vocalics.lab.manifest import Manifest
from vocalics.lab.scores import Scores

#: Bins of equal mass for the expected calibration error.
ECE_BINS = 10

#: The least probability that the likelihood counts: float32, and files, round what lies below to 0.
FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers for clips, of one fold or pooled: all that the figures need, and all that is kept of a fold.

    Attributes
    ----------
    emotions
        Labels in the order of `probabilities`.
    ids, truth, speakers, genders, corpora
        One entry a clip; `truth` holds indices, `speakers` are named ``corpus/speaker``.
    probabilities
        (n_clips, n_emotions).
    no_speech
        Where ``predict`` would say "no speech".
    thresholds
        Abstention threshold of the model that answered the clip.
    """

    emotions: tuple[str, ...]
    ids: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    speakers: tuple[str, ...]
    genders: tuple[str, ...]
    corpora: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    no_speech: npt.NDArray[np.bool_]
    thresholds: npt.NDArray[np.float64]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Indices of the most probable emotions, (n_clips,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @classmethod
    def from_scores(cls, scores: Scores, threshold: float) -> "Answers":
        """Keep of one model's scores what the figures need."""
        return cls(
            emotions=scores.emotions,
            ids=tuple(utterance.id for utterance in scores.utterances),
            truth=scores.truth,
            speakers=tuple(scores.speakers),
            genders=tuple(utterance.gender or "unknown" for utterance in scores.utterances),
            corpora=tuple(utterance.corpus for utterance in scores.utterances),
            probabilities=scores.probabilities,
            no_speech=scores.no_speech,
            thresholds=np.full(len(scores), threshold),
        )

    @classmethod
    def pooled(cls, parts: "list[Answers]") -> "Answers":
        """Put the folds of one system together.

        Raises
        ------
        UsageError
            There is no fold, two have other emotions, or a clip was tested in two.
        """
        if len({part.emotions for part in parts}) != 1:
            raise UsageError("folds with different emotions cannot be pooled; take those of one system.")
        twice = [name for name, count in Counter(n for p in parts for n in p.ids).items() if count > 1]
        if twice:
            raise UsageError(
                f"{len(twice)} clips are tested in two folds (first: '{twice[0]}'); each may be tested once. "
                "Take the folds of one system and one seed."
            )
        return cls(
            emotions=parts[0].emotions,
            ids=tuple(name for part in parts for name in part.ids),
            truth=np.concatenate([part.truth for part in parts]),
            speakers=tuple(name for part in parts for name in part.speakers),
            genders=tuple(name for part in parts for name in part.genders),
            corpora=tuple(name for part in parts for name in part.corpora),
            probabilities=np.concatenate([part.probabilities for part in parts]),
            no_speech=np.concatenate([part.no_speech for part in parts]),
            thresholds=np.concatenate([part.thresholds for part in parts]),
        )

    def where(self, keep: npt.NDArray[np.bool_]) -> "Answers":
        """Keep the answers of the clips for which `keep` (n_clips,) is true."""
        rows = np.flatnonzero(keep)
        return Answers(
            emotions=self.emotions,
            ids=tuple(self.ids[row] for row in rows),
            truth=self.truth[rows],
            speakers=tuple(self.speakers[row] for row in rows),
            genders=tuple(self.genders[row] for row in rows),
            corpora=tuple(self.corpora[row] for row in rows),
            probabilities=self.probabilities[rows],
            no_speech=self.no_speech[rows],
            thresholds=self.thresholds[rows],
        )

    def confusions(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the confusion matrix of every speaker, rows by truth."""
        speakers, predicted = np.array(self.speakers), self.predicted
        return {
            name: metrics.confusion(self.truth[speakers == name], predicted[speakers == name], self.emotions)
            for name in sorted(set(self.speakers))
        }


def evaluate(
    answers: Answers,
    adapted: dict[str, dict[str, npt.NDArray[np.int64]]] | None = None,
    conditions: dict[str, npt.NDArray[np.float64]] | None = None,
) -> dict[str, Any]:
    """Measure answers, and return every figure as plain numbers for JSON.

    Parameters
    ----------
    answers
        Each clip once.
    adapted
        Confusion matrices by setting and speaker, from `adaptation.adapted_confusions`.
    conditions
        Probabilities (n_clips, n_emotions) for the same clips by condition, from
        `conditions.condition_probabilities`.

    Returns
    -------
    Rates from 0 to 1, intervals of 95 % by bootstrap over speakers, and groups by speaker, gender and corpus.
    """
    truth, predicted, speakers = answers.truth, answers.predicted, answers.speakers
    counts = metrics.confusion(truth, predicted, answers.emotions)
    right = predicted == truth
    answered = answers.probabilities.max(axis=1) >= answers.thresholds
    bins = min(ECE_BINS, len(truth))
    expected_ece = metrics.expected_ece(answers.probabilities, bins, rng=np.random.default_rng(0))
    figures: dict[str, Any] = {
        "clips": len(truth),
        "speakers": len(set(speakers)),
        "emotions": list(answers.emotions),
        **{
            name: metrics.bootstrap_interval(name, truth, predicted, speakers).to_dict()
            for name in ("uar", "accuracy", "macro_f1")
        },
        "recall": metrics.recall(counts, answers.emotions),
        "confusion": counts.tolist(),
        "ece": metrics.ece(answers.probabilities, truth, bins),
        "ece_if_perfectly_calibrated": expected_ece,
        "reliability": [one.to_dict() for one in metrics.reliability(answers.probabilities, truth, bins)],
        "brier": metrics.brier(answers.probabilities, truth),
        "nll": metrics.nll(answers.probabilities.clip(FLOOR), truth),
        "abstention": {
            "coverage": float(answered.mean()),
            "accuracy_when_answering": float(right[answered].mean()) if answered.any() else None,
        },
        "risk_coverage": metrics.risk_coverage(answers.probabilities, truth).to_dict(),
        "no_speech": int(answers.no_speech.sum()),
        "by_speaker": metrics.by_group(truth, predicted, speakers).to_dict(),
        "by_gender": metrics.by_group(truth, predicted, answers.genders).to_dict(),
        "by_corpus": metrics.by_group(truth, predicted, answers.corpora).to_dict(),
    }
    if adapted:
        plain = answers.confusions()
        figures["adapted"] = {
            setting: adapted_figures(confusions, plain, answers.emotions)
            for setting, confusions in adapted.items()
        }
    if conditions:
        figures["conditions"] = {name: _under(answers, heard) for name, heard in conditions.items()}
    return figures


def _under(answers: Answers, probabilities: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the figures under a condition, and how much UAR was lost, on the same drawn speakers."""
    truth, speakers, predicted = answers.truth, answers.speakers, probabilities.argmax(axis=1)
    return {
        "uar": metrics.bootstrap_interval("uar", truth, predicted, speakers).to_dict(),
        "uar_lost": metrics.paired_difference("uar", truth, answers.predicted, predicted, speakers).to_dict(),
        "accuracy": metrics.bootstrap_interval("accuracy", truth, predicted, speakers).to_dict(),
        "ece": metrics.ece(probabilities, truth, min(ECE_BINS, len(truth))),
    }


def seen_speakers(card: ModelCard, manifest: Manifest) -> list[str]:
    """Name the speakers of the manifest that a model was trained on by its card, as ``corpus/speaker``.

    Where a table does not tell who speaks, all its unknown speakers count as one, ``corpus/unknown``.
    """
    trained: dict[str, list[str]] = card.training.get("speakers", {})
    return [
        f"{corpus}/{speaker or 'unknown'}"
        for corpus, speaker in manifest.speakers
        if speaker in trained.get(corpus, [])
    ]
