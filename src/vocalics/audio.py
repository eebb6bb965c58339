"""The audio door: the only module that meets codecs."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Waveform:
    """Sound that was checked once: float32 samples (channels, n_samples) and their rate in Hz."""

    samples: npt.NDArray[np.float32]
    sample_rate: int


def read(source: str | Path | bytes | BinaryIO, start_s: float = 0.0, end_s: float | None = None) -> Waveform:
    """Decode."""
    raise NotImplementedError
