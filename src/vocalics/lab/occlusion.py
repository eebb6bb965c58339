"""How a part of a recording is taken out: a stretch of time, or a band of frequencies.

What is taken out is not silenced. Silence is an event: it has edges, and for a model that relates each moment
to the recording's mean level it changes all the others too. Instead the recording's own background takes the
part's place, noise with the spectrum of its quietest moments. It is hardly noticed: taken out of the quietest
quarter second of 60 RAVDESS clips with white noise 30 dB under them, where nothing is said, it changed the
log-odds to base 2 by 0.03 on average, zeros by 0.34 (tests/test_explain.py).
"""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import librosa
import numpy as np
import numpy.typing as npt

from vocalics.recognition import speech

FloatArray = npt.NDArray[np.floating]

#: From one moment to the next, seconds: a quarter of the quarter second, about a syllable, that a moment
#: lasts. A longer window has so many moments and no more, a shorter one no fewer than `FEWEST_HOPS` hops.
HOP_S, HOPS_PER_MOMENT, MOST_HOPS, FEWEST_HOPS = 1 / 16, 4, 128, 16

#: In the first and last part of a moment the background fades in and out, seconds.
FADE_S = 0.01

#: Bands, of equal width on the mel scale. Neighbours share this part of a band about their edge.
N_BANDS, BAND_FADE = 16, 0.5

#: The background is what the quietest share of frames, of so many seconds, sounds like, but no louder than
#: this under the recording's mean level: a recording without a pause would be replaced by itself.
QUIETEST_SHARE, FRAME_S, BACKGROUND_DB = 0.1, 0.032, -20.0


def background(samples: FloatArray, sample_rate: int) -> FloatArray:
    """Return stationary noise that sounds like the quietest moments of a recording, as long as it.

    The noise is always the same one, coloured and levelled. The quietest `QUIETEST_SHARE` of the frames gives
    the spectrum; the level is at most `BACKGROUND_DB` relative to the recording's own.

    Parameters
    ----------
    samples
        (n_samples,), at least a frame of `FRAME_S`.
    sample_rate
        Hz.

    Examples
    --------
    >>> bool(background(np.zeros(8000), 16_000).any())
    False
    """
    n_frame = round(FRAME_S * sample_rate)
    window = np.hanning(n_frame)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_frame)[:: n_frame // 2]
    power = np.square(np.abs(np.fft.rfft(frames * window)))  # (n_frames, n_bins)
    n_quiet = max(1, round(QUIETEST_SHARE * len(power)))
    quietest = np.argsort(power.sum(axis=1), kind="stable")[:n_quiet]
    density = power[quietest].mean(axis=0) / np.square(window).sum()  # of white noise: its variance
    noise = np.fft.rfft(np.random.default_rng(0).standard_normal(len(samples)))
    gain = np.interp(np.linspace(0, 1, len(noise)), np.linspace(0, 1, len(density)), np.sqrt(density))
    coloured = np.fft.irfft(noise * gain, len(samples))
    loudest = 10 ** (BACKGROUND_DB / 20) * _rms(samples)
    level = _rms(coloured)
    return np.asarray(coloured * (loudest / level if level > loudest else 1.0))


def moment_spans(n_samples: int, sample_rate: int) -> list[tuple[int, int]]:
    """Cut a window into the overlapping moments that are taken out, as (start, stop) in samples.

    Examples
    --------
    >>> spans = moment_spans(16_000, 16_000)
    >>> spans[:2], spans[-1]
    ([(0, 4000), (1000, 5000)], (12000, 16000))
    """
    hop_s = max(HOP_S, n_samples / sample_rate / MOST_HOPS)
    hop = round(min(hop_s * sample_rate, n_samples / FEWEST_HOPS))
    return speech.windows(n_samples, HOPS_PER_MOMENT * hop, hop)


def band_edges(highest_hz: float) -> FloatArray:
    """Edges of `N_BANDS` bands of equal width on Slaney's mel scale, (N_BANDS + 1,), Hz from 0.

    Examples
    --------
    >>> band_edges(8000.0).round()[[0, 1, 2, -1]]
    array([   0.,  189.,  377., 8000.])
    """
    edges_hz = librosa.mel_frequencies(N_BANDS + 1, fmin=0.0, fmax=highest_hz)
    edges_hz[-1] = highest_hz  # to the last digit
    return np.asarray(edges_hz)


def without_moments(
    samples: FloatArray, change: FloatArray, spans: Iterable[tuple[int, int]], sample_rate: int
) -> Iterator[FloatArray]:
    """Yield the window with one moment after another replaced; outside of it no sample changes.

    Parameters
    ----------
    samples
        (n_samples,).
    change
        What leads from them to what takes their place, (n_samples,).
    spans
        As of `moment_spans`.
    sample_rate
        Hz.
    """
    fade = _rise((np.arange(round(FADE_S * sample_rate)) + 0.5) / round(FADE_S * sample_rate))
    for start, stop in spans:
        share = np.ones(stop - start)
        share[: len(fade)] = fade
        share[-len(fade) :] = fade[::-1]
        replaced = samples.copy()
        replaced[start:stop] += share * change[start:stop]
        yield replaced


def without_bands(
    samples: FloatArray, change: FloatArray, edges_hz: FloatArray, sample_rate: int
) -> Iterator[FloatArray]:
    """Yield the window with one band after another replaced, by a filter without phase.

    What the bands lose adds up to the whole: neighbours share what lies about their edge, and the last band
    reaches up to half the sample rate.

    Parameters
    ----------
    samples, change, sample_rate
        As of `without_moments`.
    edges_hz
        (n_bands + 1,), evenly spaced in mel.
    """
    n_padded = 2 ** int(np.ceil(np.log2(1.1 * len(samples))))  # the end does not ring into the beginning
    spectrum = np.fft.rfft(change, n_padded)
    mel = librosa.hz_to_mel(np.fft.rfftfreq(n_padded, 1 / sample_rate))  # (n_bins,)
    lowest, *inner, _ = librosa.hz_to_mel(edges_hz)
    fade = BAND_FADE * (inner[0] - lowest)
    # How much of each frequency lies above each edge: all above the lowest, none above the highest.
    shares = (_rise((mel - edge) / fade + 0.5) for edge in inner)
    for lower, upper in pairwise(chain([np.ones_like(mel)], shares, [np.zeros_like(mel)])):
        yield samples + np.fft.irfft((lower - upper) * spectrum, n_padded)[: len(samples)]


def _rise(position: FloatArray) -> FloatArray:
    """Go from 0 to 1 along half a cosine while `position` does, and stay there."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(position, 0.0, 1.0)))


def _rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))
