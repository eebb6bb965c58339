"""Corpora of made audio under true names, for the tests of the readers."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000  # Hz, the lowest that is accepted: small files


def write(path: Path, samples: np.ndarray | None = None) -> Path:
    """Write a tenth of a second of noise, other for each name; the suffix says the coding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if samples is None:
        seed = int(hashlib.sha256(path.stem.encode()).hexdigest()[:8], 16)
        samples = np.random.default_rng(seed).integers(-3000, 3000, RATE // 10).astype(np.int16)
    coding = {".opus": {"format": "OGG", "subtype": "OPUS"}}.get(path.suffix, {})
    soundfile.write(path, samples, RATE, **coding)
    return path


def write_all(root: Path, names: Iterable[str]) -> Path:
    """Write a file for each name, and return the folder."""
    for name in names:
        write(root / name)
    return root


def ids(manifest) -> list[str]:
    """Ids of a manifest."""
    return [utterance.id for utterance in manifest]


def kinds(notes) -> dict[str, int]:
    """How many things of each kind were told."""
    return {note.kind: note.count for note in notes}
