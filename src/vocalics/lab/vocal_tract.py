"""Vocal tracts of other lengths, heard by moving the filters of mel spectrograms.

A shorter vocal tract has all its formants higher by one factor. So the frequency axis of the spectrum is
warped by a factor near 1 [1]_; where a mel filter bank stands behind the spectrum, it is the same to move its
filters the other way, and costs one small matrix a batch. The pitch's harmonics move with the formants, as
they do in that paper.

.. [1] Jaitly, Hinton: Vocal tract length perturbation (VTLP) improves speech recognition. ICML workshop on
   deep learning for audio, speech and language processing, 2013.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import librosa
import numpy as np
import numpy.typing as npt
import torch

from vocalics.lab.features.filter_bank import FilterBank
from vocalics.lab.features.mel import MelSpectrogram

FloatArray = npt.NDArray[np.float64]

#: Above this share of the highest frequency the warp bends back, so that it ends where the spectrum ends;
#: Jaitly and Hinton take 4.8 kHz of 8.
BEND_SHARE = 0.6


@contextmanager
def warped(mels: Iterable[MelSpectrogram], factor: float) -> Iterator[None]:
    """Let mel spectrograms hear vocal tracts that are shorter by `factor` (longer where it is below 1).

    Parameters
    ----------
    mels
        Their filters are moved, and afterwards stand where they stood.
    factor
        By which formants get higher.
    """
    before = [(mel, mel.filters) for mel in mels]
    try:
        for mel, filters in before:
            device = next(filters.buffers()).device
            mel.filters = FilterBank(torch.from_numpy(_filters(mel, factor))).to(device)
        yield
    finally:
        for mel, filters in before:
            mel.filters = filters


def warp(frequencies_hz: FloatArray, factor: float, highest_hz: float) -> FloatArray:
    """Say where frequencies lie for a vocal tract that is shorter by `factor`.

    Up to the bend they are multiplied; from there a straight line leads to `highest_hz`, which stays.

    Examples
    --------
    >>> warp(np.array([1000.0, 4800.0, 8000.0]), 1.1, 8000.0).round(1).tolist()
    [1100.0, 5184.0, 8000.0]
    """
    bend_hz = BEND_SHARE * highest_hz * min(factor, 1.0) / factor
    slope = (highest_hz - factor * bend_hz) / (highest_hz - bend_hz)
    above = highest_hz - slope * (highest_hz - frequencies_hz)
    return np.where(frequencies_hz <= bend_hz, factor * frequencies_hz, above)


def _filters(mel: MelSpectrogram, factor: float) -> npt.NDArray[np.float32]:
    """Make a mel spectrogram's filters (n_mels, n_bins) for bins that lie where the warp puts them."""
    highest_hz = mel.sample_rate / 2
    edges_hz = librosa.mel_frequencies(mel.n_mels + 2, fmin=mel.fmin, fmax=mel.fmax)
    bins_hz = warp(np.linspace(0, highest_hz, mel.n_fft // 2 + 1), factor, highest_hz)
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])  # Slaney's triangles have the area one
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None], dtype=np.float32)
