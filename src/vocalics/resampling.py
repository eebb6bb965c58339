"""Sound at another rate: as a whole, or as it comes."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.errors import AudioError

FloatArray = npt.NDArray[np.float32]

#: Sample rates that are accepted, Hz: from the telephone's to the fastest studio converters'.
MINIMUM_RATE, MAXIMUM_RATE = 8_000, 192_000

#: soxr's name for what suits 16 bits, and then some.
_QUALITY = "HQ"


def check_rate(sample_rate: object) -> None:
    """Raise `AudioError` for a sample rate that is not accepted."""
    if not isinstance(sample_rate, (int, np.integer)) or not MINIMUM_RATE <= sample_rate <= MAXIMUM_RATE:
        raise AudioError(
            f"the sample rate is {sample_rate} Hz; {MINIMUM_RATE} to {MAXIMUM_RATE}, whole, can be used."
        )


def resample(
    samples: FloatArray, sample_rate: int, to_rate: int, bandwidth_hz: float | None = None
) -> FloatArray:
    """Return samples, (channels, n_samples), at another rate, if need be without anything above a frequency.

    Parameters
    ----------
    samples
        float32, (channels, n_samples).
    sample_rate, to_rate
        Hz.
    bandwidth_hz
        Where it lies below half of both rates, the sound goes through ``2 * bandwidth_hz`` on its way, so
        that nothing above is left: a model trained on 16 kHz audio never heard what lies above 8 kHz.
    """
    steps = _steps(sample_rate, to_rate, bandwidth_hz)
    if not steps:
        return samples
    import soxr

    frames = samples.T  # (n_samples, channels)
    for before, after in steps:
        frames = soxr.resample(frames, before, after, quality=_QUALITY)
    return np.ascontiguousarray(frames.T)


class Resampler:
    """`resample` for sound that comes piece by piece, one channel.

    Parameters
    ----------
    sample_rate, to_rate, bandwidth_hz
        As of `resample`.

    Attributes
    ----------
    latency_s
        Longest time that a sample is kept back.

    Examples
    --------
    >>> resampler = Resampler(48_000, 16_000)
    >>> pieces = [resampler.push(np.zeros(4800, dtype=np.float32)), resampler.finish()]
    >>> sum(map(len, pieces))
    1600
    """

    def __init__(self, sample_rate: int, to_rate: int, bandwidth_hz: float | None = None) -> None:
        steps = _steps(sample_rate, to_rate, bandwidth_hz)
        self._streams = [_stream(before, after) for before, after in steps]
        self.latency_s = sum(_latency_s(before, after) for before, after in steps)

    def push(self, samples: FloatArray) -> FloatArray:
        """Take more samples, (n_samples,); return those that are ready."""
        return self._run(samples, last=False)

    def finish(self) -> FloatArray:
        """Return the last samples."""
        return self._run(np.empty(0, dtype=np.float32), last=True)

    def _run(self, samples: FloatArray, last: bool) -> FloatArray:
        for stream in self._streams:
            samples = stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        return samples


def _steps(sample_rate: int, to_rate: int, bandwidth_hz: float | None) -> list[tuple[float, float]]:
    """List the changes of rate on the way; none where nothing needs to be done."""
    check_rate(sample_rate)
    check_rate(to_rate)
    rates: list[float] = [sample_rate, to_rate]
    if bandwidth_hz is not None and 0 < bandwidth_hz < min(rates) / 2:
        rates.insert(1, 2 * bandwidth_hz)
    return [] if len(set(rates)) == 1 else list(itertools.pairwise(rates))


def _stream(rate: float, to_rate: float) -> Any:
    import soxr

    return soxr.ResampleStream(rate, to_rate, num_channels=1, dtype="float32", quality=_QUALITY)


@cache
def _latency_s(rate: float, to_rate: float) -> float:
    """Longest time that a sample is kept back, found by trying, for the library does not say."""
    stream = _stream(rate, to_rate)
    piece = np.zeros(max(1, int(rate / 1000)), dtype=np.float32)
    n_out, latency_s = 0, 0.0
    for n_pieces in range(1, 501):
        n_out += len(stream.resample_chunk(piece))
        latency_s = max(latency_s, n_pieces * len(piece) / rate - n_out / to_rate)
    return latency_s
