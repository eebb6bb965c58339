"""Adapted answers of folds, by what the other folds' speakers tell of how speakers differ.

Only the answers of a fold are kept, and they suffice: `SpeakerPrior` adapts logits.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocalics.card import SpeakerNumbers
from vocalics.files import write_atomically
from vocalics.lab import adaptation
from vocalics.lab.manifest import Utterance
from vocalics.lab.scores import Scores
from vocalics.recognition import speaker_prior
from vocalics.recognition.head import AffineHead
from vocalics.recognition.speaker_prior import SpeakerPrior

Result = dict[str, Any]


def adapted_by_others(
    results: Sequence[Result], numbers: Sequence[SpeakerNumbers], folder: Path | None
) -> list[dict[str, Any]]:
    """Adapt the answers of each fold.

    Parameters
    ----------
    results
        As `benchmark.run_fold` wrote them, not calibrated.
    numbers
        For each, how the speakers of the other folds differ.
    folder
        Where they lie. It takes minutes, so what comes of it is kept there, for as long as nothing changes.

    Returns
    -------
    For each fold ``counts``, confusion matrices by setting and speaker, and ``probabilities`` of its clips at
    temperature 1, adapted with all other clips of their speakers.
    """
    path = folder / f"adapted-seed-{results[0]['seed']}.json" if folder else None
    method = [value for name, value in sorted(vars(speaker_prior).items()) if name.isupper()]
    asked = [[result["clips"] for result in results], method, [own.model_dump() for own in numbers]]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    if path and path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == digest:
            return list(kept["folds"])
    folds = [_adapted(result, own) for result, own in zip(results, numbers, strict=True)]
    if path:
        write_atomically(path, json.dumps({"of": digest, "folds": folds}, separators=(",", ":")) + "\n")
    return folds


def _adapted(result: Result, numbers: SpeakerNumbers) -> dict[str, Any]:
    """Return one fold's counts and probabilities."""
    scores = _scores(result)
    size = len(scores.emotions)
    # A head that takes logits for embeddings, and leaves them as they are.
    head = AffineHead(
        np.eye(size), np.zeros(size), np.zeros(size), np.ones(size), 1.0, SpeakerPrior.from_card(numbers)
    )
    counts = adaptation.adapted_confusions(
        scores, head, list(range(size)), adaptation.list_settings(scores.emotions)
    )
    probabilities = adaptation.adapted_probabilities(scores, head)
    return {
        "counts": {
            setting: {speaker: matrix.tolist() for speaker, matrix in by_speaker.items()}
            for setting, by_speaker in counts.items()
        },
        "probabilities": [[float(f"{p:.4g}") for p in row] for row in probabilities],
    }


def _scores(result: Result) -> Scores:
    """Return a fold's answers, with logits for embeddings; twins have one sentence, whatever they say."""
    clips = result["clips"]
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
    emotions = tuple(result["recipe"]["emotions"])
    return Scores(utterances, emotions, probabilities, np.log(probabilities.clip(1e-12)), silent)
