"""Four clips of noise on the 16-bit grid, and their files, for the tests of decoded audio and its batches."""

from pathlib import Path

import numpy as np
import soundfile

from made_manifests import utterance
from vocalics.lab.manifest import Manifest

RATE = 16_000
LENGTHS = (12_000, 16_001, 8_000, 20_000)  # samples of the four clips


def clip(number: int) -> np.ndarray:
    """Noise on the 16-bit grid, another for each number, so that a wav holds it exactly."""
    rng = np.random.default_rng(number)
    return (rng.integers(-20_000, 20_000, LENGTHS[number]) / 32_768).astype(np.float32)


def written_manifest(root: Path) -> Manifest:
    """Four clips of two corpora, and their files below `root`."""
    utterances = [utterance(corpus, "a", number) for number, corpus in enumerate(("x", "x", "y", "y"))]
    for number, spoken in enumerate(utterances):
        path = root / spoken.path
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip(number), RATE, subtype="PCM_16")
    return Manifest(root, tuple(utterances))
