"""Sound at another rate: as a whole, or as it comes."""

import itertools
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vocalics.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame

FloatArray = npt.NDArray[np.float32]

#: Sample rates that are accepted, Hz: from the telephone's to the fastest studio converters'.
MINIMUM_RATE, MAXIMUM_RATE = 8_000, 192_000

#: soxr's name for what suits 16 bits, and then some; and a filter of FFmpeg's with nearly its pass band.
_QUALITY = "HQ"
_FILTER = "filter_size=128:filter_type=kaiser:kaiser_beta=9:cutoff=0.96"


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
    """Sound at another rate as it comes, piece by piece, one channel.

    It is FFmpeg's resampler, which keeps a sample back for some milliseconds; soxr's, which `resample` takes,
    is faster, but its streams keep one back for up to a tenth of a second. What comes out does not depend on
    how the sound was divided, and up to 92 % of the band equals that of `resample` to 70 dB.

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
        self._steps = [_Step(round(before), round(after)) for before, after in steps]
        self.latency_s = sum(_latency_s(round(before), round(after)) for before, after in steps)

    def push(self, samples: FloatArray) -> FloatArray:
        """Take more samples, (n_samples,); return those that are ready."""
        for step in self._steps:
            samples = step.push(samples)
        return samples

    def finish(self) -> FloatArray:
        """Return the last samples."""
        samples: FloatArray = np.empty(0, dtype=np.float32)
        for step in self._steps:
            samples = np.concatenate([step.push(samples), step.finish()])
        return samples


class _Step:
    """One change of rate, Hz."""

    def __init__(self, rate: int, to_rate: int) -> None:
        from av.filter import Graph

        self._rate = rate
        self._n_samples = 0
        self._graph = Graph()
        source = self._graph.add_abuffer(
            sample_rate=rate, format="fltp", layout="mono", time_base=Fraction(1, rate)
        )
        resampler = self._graph.add("aresample", f"{to_rate}:{_FILTER}")
        sink = self._graph.add("abuffersink")
        source.link_to(resampler)
        resampler.link_to(sink)
        self._graph.configure()

    def push(self, samples: FloatArray) -> FloatArray:
        """Take more samples; return those that are ready."""
        from av import AudioFrame

        if not len(samples):
            return samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples[np.newaxis]), "fltp", "mono")
        frame.sample_rate, frame.pts = self._rate, self._n_samples
        self._n_samples += len(samples)
        return self._pass_on(frame)

    def finish(self) -> FloatArray:
        """Return the last samples."""
        return self._pass_on(None)

    def _pass_on(self, frame: "AudioFrame | None") -> FloatArray:
        from av.error import BlockingIOError as NothingReady
        from av.error import EOFError as AllGiven

        self._graph.push(frame)
        ready: list[FloatArray] = [np.empty(0, dtype=np.float32)]
        try:
            while True:
                ready.append(self._graph.pull().to_ndarray()[0])
        except (NothingReady, AllGiven):
            return np.concatenate(ready)


def _steps(sample_rate: int, to_rate: int, bandwidth_hz: float | None) -> list[tuple[float, float]]:
    """List the changes of rate on the way; none where nothing needs to be done."""
    check_rate(sample_rate)
    check_rate(to_rate)
    rates: list[float] = [sample_rate, to_rate]
    if bandwidth_hz is not None and 0 < bandwidth_hz < min(rates) / 2:
        rates.insert(1, 2 * bandwidth_hz)
    return [] if len(set(rates)) == 1 else list(itertools.pairwise(rates))


@cache
def _latency_s(rate: int, to_rate: int) -> float:
    """Longest time that a sample is kept back, found by trying, for the library does not say."""
    step = _Step(rate, to_rate)
    piece = np.zeros(max(1, rate // 1000), dtype=np.float32)
    n_out, latency_s = 0, 0.0
    for n_pieces in range(1, 101):
        n_out += len(step.push(piece))
        latency_s = max(latency_s, n_pieces * len(piece) / rate - n_out / to_rate)
    return latency_s
