"""Voices of known pitch and level."""

import numpy as np

from vocalics.audio import Waveform
from vocalics.lab.explore.measures import Measures, measure

RATE = 16_000


def voice(hertz, amplitude=0.3, seconds=0.6, pause_s=0.1, rate=RATE):
    """Ten harmonics, each with half the power of the one below, between two pauses: (n_samples,) float32."""
    t = np.arange(round(seconds * rate)) / rate
    wave = sum(2 ** (-n / 2) * np.sin(2 * np.pi * n * hertz * t) for n in range(1, 11))
    pause = np.zeros(round(pause_s * rate))
    return np.concatenate([pause, amplitude * wave / np.abs(wave).max(), pause]).astype(np.float32)


def measured(samples, rate=RATE) -> Measures:
    return measure(Waveform.from_array(samples, rate))
