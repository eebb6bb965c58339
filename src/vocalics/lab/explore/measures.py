"""What can be measured on a recording without knowing its label: level, pitch, brightness, and its flaws."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vocalics.audio import Waveform

FloatArray = npt.NDArray[np.float64]

#: Everything but the flaws is measured at this rate, Hz, so that corpora can be compared.
SAMPLE_RATE = 16_000

#: Frames of 32 ms every 10 ms for level and spectrum; of 64 ms every 20 ms for pitch (samples).
_FRAME, _HOP = 512, 160
_PITCH_FRAME, _PITCH_HOP = 1024, 320

#: Pitch is looked for from a deep voice to a scream, Hz; less periodic frames than this are not voiced.
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 600.0
_CLARITY = 0.6

#: A frame sounds when it lies at most so far under the loud frames of its recording, and over this floor.
_RANGE_DB, _FLOOR_DB = 35.0, -65.0

#: Bands of the functionals: equal steps of the mel scale, Hz.
_N_BANDS, _BANDS_FROM_HZ, _BANDS_TO_HZ = 24, 60.0, 7600.0

#: So many samples in a row at the recording's own peak, within a step of 16 bits, are a clipped wave
#: when that is near full scale.
_CLIPPED_RUN, _FULL_SCALE, _STEP = 3, 0.985, 1 / 32768


@dataclass(frozen=True, eq=False)
class Voice:
    """What the sounding part of a recording is like.

    Attributes
    ----------
    level_db
        Level of the sounding frames, dB under full scale.
    dynamics_db
        Spread of their levels, from the 10th to the 90th percentile, dB.
    pitch_hz
        Median pitch of the voiced frames, Hz; NaN where none is voiced.
    pitch_range_semitones
        Spread of their pitch, from the 10th to the 90th percentile; NaN where none is voiced.
    brightness_hz
        Median spectral centroid, Hz.
    sounding_s
        From the first sounding frame to the last, seconds.
    bands_db
        Mean, then standard deviation, of the level of each mel band under the frame's, (48,).
    """

    level_db: float
    dynamics_db: float
    pitch_hz: float
    pitch_range_semitones: float
    brightness_hz: float
    sounding_s: float
    bands_db: FloatArray

    @property
    def functionals(self) -> FloatArray:
        """All that describes the voice as one vector (53,), frequencies in octaves."""
        octaves = np.log2([self.pitch_hz, self.brightness_hz])
        others = [self.pitch_range_semitones, self.level_db, self.dynamics_db]
        return np.concatenate([octaves, others, self.bands_db])


@dataclass(frozen=True, eq=False)
class Measures:
    """What was measured on one recording.

    Attributes
    ----------
    sample_rate, n_channels
        Of the file; Hz.
    peak
        Largest sample, full scale 1.
    clipped
        Samples that lie in flat tops at full scale.
    voice
        None where nothing sounds.
    """

    sample_rate: int
    n_channels: int
    peak: float
    clipped: int
    voice: Voice | None


def measure(waveform: Waveform) -> Measures:
    """Measure one recording.

    Examples
    --------
    >>> t = np.arange(16_000) / 16_000
    >>> tone = measure(Waveform.from_array(0.5 * np.sin(2 * np.pi * 200 * t), 16_000))
    >>> round(tone.voice.pitch_hz), round(tone.voice.level_db, 1)  # half of full scale: -6 dB, a sine: -3
    (200, -9.0)
    """
    peak = float(np.abs(waveform.samples).max())
    voice = _voice(waveform.mono().resampled(SAMPLE_RATE).samples[0].astype(np.float64))
    return Measures(waveform.sample_rate, waveform.n_channels, peak, _clipped(waveform), voice)


def _voice(samples: FloatArray) -> Voice | None:
    frames = _frames(samples, _FRAME, _HOP)  # (n_frames, 512)
    levels_db = _decibel(np.mean(frames**2, axis=1))  # (n_frames,)
    sounding = np.flatnonzero(levels_db > max(np.percentile(levels_db, 95) - _RANGE_DB, _FLOOR_DB))
    if not len(sounding):
        return None
    power = np.abs(np.fft.rfft(frames[sounding] * np.hanning(_FRAME), axis=1)) ** 2  # (n_sounding, 257)
    quiet_db, loud_db = np.percentile(levels_db[sounding], [10, 90])
    pitch_hz = _pitch(samples)
    low, middle, high = (
        np.percentile(np.log2(pitch_hz), [10, 50, 90]) if len(pitch_hz) else np.full(3, np.nan)
    )
    return Voice(
        level_db=float(_decibel(np.mean(frames[sounding] ** 2))),
        dynamics_db=float(loud_db - quiet_db),
        pitch_hz=float(2**middle),
        pitch_range_semitones=float(12 * (high - low)),
        brightness_hz=float(np.median(_centroid(power))),
        sounding_s=float((sounding[-1] - sounding[0]) * _HOP + _FRAME) / SAMPLE_RATE,
        bands_db=_bands(power),
    )


def _frames(samples: FloatArray, length: int, hop: int) -> FloatArray:
    """Frames (n_frames, length) of samples (n_samples,), which are padded to one frame at least."""
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def _decibel(power: npt.ArrayLike) -> FloatArray:
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))


def _centroid(power: FloatArray) -> FloatArray:
    """Spectral centroid of each frame, Hz: (n_frames, n_bins) -> (n_frames,)."""
    hertz = np.arange(power.shape[1]) * SAMPLE_RATE / _FRAME
    return np.asarray(power @ hertz / np.maximum(power.sum(axis=1), 1e-30))


def _bands(power: FloatArray) -> FloatArray:
    """Mean and deviation of the mel bands' levels under the frame's, (n_frames, n_bins) -> (48,)."""
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (_BANDS_FROM_HZ, _BANDS_TO_HZ))
    mel = np.linspace(lowest, highest, _N_BANDS + 1)
    edges = (700 * (10 ** (mel / 2595) - 1) * _FRAME / SAMPLE_RATE).round().astype(int)
    edges = np.maximum(edges, np.arange(_N_BANDS + 1) + edges[0])  # a bin at least in each
    level_db = _decibel(np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1))
    under_db = level_db - _decibel(power.sum(axis=1, keepdims=True))
    return np.concatenate([under_db.mean(axis=0), under_db.std(axis=0)])


def _pitch(samples: FloatArray) -> FloatArray:
    """Pitch of the voiced frames, Hz, (n_voiced,), by the normalised square difference [1]_.

    .. [1] McLeod, Wyvill: A smarter way to find pitch. ICMC 2005.
    """
    frames = _frames(samples, _PITCH_FRAME, _PITCH_HOP)
    frames = frames - frames.mean(axis=1, keepdims=True)
    powers_db = _decibel(np.mean(frames**2, axis=1))
    frames = frames[powers_db > max(powers_db.max() - _RANGE_DB, _FLOOR_DB)]
    first, last = int(SAMPLE_RATE / _HIGHEST_HZ), int(np.ceil(SAMPLE_RATE / _LOWEST_HZ))
    spectrum = np.abs(np.fft.rfft(frames, 2 * _PITCH_FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, : last + 2]  # (n_frames, n_lags)
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)  # (n_frames, 1025)
    lags = np.arange(last + 2)
    both = energy[:, _PITCH_FRAME - lags] + energy[:, -1:] - energy[:, lags]
    likeness = 2 * correlation / np.maximum(both, 1e-12)  # 1 at a lag of a whole period
    inner = likeness[:, first : last + 1]
    peaks = (inner > likeness[:, first - 1 : last]) & (inner >= likeness[:, first + 1 : last + 2])
    heights = np.where(peaks, inner, 0.0)
    highest = heights.max(axis=1, keepdims=True)
    chosen = (heights >= np.maximum(0.9 * highest, 1e-6)).argmax(axis=1) + first  # the first high peak
    rows = np.flatnonzero(highest[:, 0] >= _CLARITY)
    lag = chosen[rows]
    before, here, after = (likeness[rows, lag + step] for step in (-1, 0, 1))
    shift = (
        0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-12)
    )  # parabola through the peak
    return np.asarray(SAMPLE_RATE / (lag + shift))


def _clipped(waveform: Waveform) -> int:
    """Count samples in runs of `_CLIPPED_RUN` or more at the recording's own peak, if near full scale."""
    samples = np.abs(waveform.samples)
    peak = float(samples.max())
    if peak < _FULL_SCALE:
        return 0
    flat = np.pad(samples > peak - _STEP, ((0, 0), (1, 1))).astype(np.int8)  # (channels, n_samples + 2)
    steps = np.diff(flat, axis=1)
    lengths = np.argwhere(steps == -1)[:, 1] - np.argwhere(steps == 1)[:, 1]
    return int(lengths[lengths >= _CLIPPED_RUN].sum())
