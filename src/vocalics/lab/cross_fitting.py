"""Calibration of a recipe that trains on every speaker it may: each fold by the other folds.

Where no speaker is kept back for validation, there is nobody in a fold to fit its temperature on but those
that it is tested on. The other folds know strangers too: their test speakers, whom their own models never
heard. They are training speakers of this fold, so nothing is fitted on those that it is tested on. The same
strangers tell how speakers differ, by which a model adapts to one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocalics.card import SpeakerNumbers
from vocalics.files import write_atomically
from vocalics.lab import adaptation
from vocalics.lab.calibration import (
    Calibration,
    abstention_threshold,
    equal_weights,
    fit_temperature,
    tempered,
)
from vocalics.lab.manifest import Utterance
from vocalics.lab.scores import Scores
from vocalics.lab.speaker_statistics import FEWEST_SPEAKERS, measure_speakers
from vocalics.recognition import speaker_prior
from vocalics.recognition.head import AffineHead
from vocalics.recognition.speaker_prior import SpeakerPrior

Result = dict[str, Any]


def is_uncalibrated(result: Result) -> bool:
    """Tell whether a fold's recipe keeps nobody back for validation."""
    return float(result["recipe"]["training"]["validation_share"]) == 0


def cross_fitted(results: Sequence[Result], folder: Path | None = None) -> list[Result]:
    """Calibrate each fold of one system and seed by all the others, each corpus counting the same.

    Parameters
    ----------
    results
        As `benchmark.run_fold` wrote them. Where their recipe has a validation part, or there is one fold
        alone, they stay as they are.
    folder
        Where they lie. Adapting takes minutes, so what comes of it is kept there.

    Returns
    -------
    The results with new probabilities, ``temperature``, ``abstain_below`` and, where the other folds can tell
    how speakers differ, ``adapted``.
    """
    if len(results) < 2 or not all(map(is_uncalibrated, results)):
        return list(results)
    fits = [fitted([other for other in results if other is not result]) for result in results]
    calibrated = [_calibrated(result, fit) for result, fit in zip(results, fits, strict=True)]
    numbers = [fit.speakers for fit in fits]
    if None in numbers or any("twin" not in result["clips"] for result in results):
        return calibrated
    adapted = _kept_or_adapted(results, [own for own in numbers if own], folder)
    return [own | {"adapted": counts} for own, counts in zip(calibrated, adapted, strict=True)]


def fitted(results: Sequence[Result]) -> Calibration:
    """Fit temperature and threshold on the test parts of folds, each corpus counting the same.

    Under a protocol that keeps speakers apart, how they differ is measured besides: on the speakers of whom
    there are clips of every emotion.
    """
    emotions = results[0]["recipe"]["emotions"]
    clips = [result["clips"] for result in results]
    probabilities = np.concatenate([np.asarray(own["probabilities"]) for own in clips])
    truth = np.array([emotions.index(emotion) for own in clips for emotion in own["truth"]])
    corpora = [corpus for own in clips for corpus in own["corpus"]]
    weights = equal_weights(corpora)
    logits = np.log(probabilities.clip(1e-12))
    temperature = fit_temperature(logits, truth, weights)
    threshold = abstention_threshold(tempered(probabilities, temperature), weights=weights)
    source = f"the test parts of {len(results)} folds, {len(truth)} utterances, each corpus counting the same"
    speakers = None
    if results[0]["protocol"] in ("speaker", "loso"):
        who = [speaker for own in clips for speaker in own["speaker"]]
        speakers = _speakers(logits, truth, who, emotions)
    return Calibration(temperature, threshold, source, speakers)


def _speakers(
    logits: np.ndarray, truth: np.ndarray, speakers: list[str], emotions: list[str]
) -> SpeakerNumbers | None:
    """Measure how speakers differ on those who show every emotion, where they are enough."""
    shown = Counter(speaker for speaker, _ in {*zip(speakers, truth.tolist(), strict=True)})
    whole = [speaker for speaker, count in shown.items() if count == len(emotions)]
    if len(whole) < FEWEST_SPEAKERS:
        return None
    rows = np.flatnonzero(np.isin(speakers, whole))
    corpora = sorted({speaker.split("/")[0] for speaker in whole})
    source = f"{len(whole)} speakers of {', '.join(corpora)}, in folds whose models never heard them"
    return measure_speakers(logits[rows], truth[rows], [speakers[row] for row in rows], source)


def _calibrated(result: Result, calibration: Calibration) -> Result:
    probabilities = tempered(result["clips"]["probabilities"], calibration.temperature)
    return {
        **result,
        "temperature": calibration.temperature,
        "abstain_below": calibration.abstain_below,
        "clips": {**result["clips"], "probabilities": probabilities.tolist()},
    }


# Adapted answers -----------------------------------------------------------------------------------------


def _kept_or_adapted(
    results: Sequence[Result], numbers: Sequence[SpeakerNumbers], folder: Path | None
) -> list[dict[str, Any]]:
    """Return each fold's adapted counts, from the file beside the folds where that is of these very folds."""
    path = folder / f"adapted-seed-{results[0]['seed']}.json" if folder else None
    method = [value for name, value in sorted(vars(speaker_prior).items()) if name.isupper()]
    asked = [[result["clips"] for result in results], method, [own.model_dump() for own in numbers]]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    if path and path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == digest:
            return list(kept["adapted"])
    adapted = [_adapted(result, own) for result, own in zip(results, numbers, strict=True)]
    if path:
        write_atomically(path, json.dumps({"of": digest, "adapted": adapted}, separators=(",", ":")) + "\n")
    return adapted


def _adapted(result: Result, numbers: SpeakerNumbers) -> dict[str, Any]:
    """Return one fold's counts by setting and speaker, adapted by what other folds' speakers tell."""
    emotions, clips = tuple(result["recipe"]["emotions"]), result["clips"]
    probabilities = np.asarray(clips["probabilities"], dtype=np.float64)
    silent = np.zeros(len(probabilities), dtype=bool)
    silent[clips["no_speech"]] = True
    columns = ("id", "corpus", "speaker", "gender", "truth", "twin")
    utterances = tuple(
        Utterance(
            id=name,
            path="",
            corpus=corpus,
            speaker=speaker.removeprefix(f"{corpus}/"),
            gender=gender,
            emotion=emotion,
            intensity="",
            sentence=str(twin),
            duration_s=0.0,
            digest="",
        )
        for name, corpus, speaker, gender, emotion, twin in zip(
            *(clips[column] for column in columns), strict=True
        )
    )
    size = len(emotions)
    # A head that takes logits for embeddings, and leaves them as they are.
    head = AffineHead(
        np.eye(size), np.zeros(size), np.zeros(size), np.ones(size), 1.0, SpeakerPrior.from_card(numbers)
    )
    logits = np.log(probabilities.clip(1e-12))
    found = adaptation.adapted_confusions(
        Scores(utterances, emotions, probabilities, logits, silent),
        head,
        list(range(size)),
        adaptation.list_settings(emotions),
    )
    return {
        setting: {speaker: counts.tolist() for speaker, counts in by_speaker.items()}
        for setting, by_speaker in found.items()
    }
