"""Voice activity, piece by piece: sound at 16 kHz in, the probability of speech in every chunk of 32 ms out.

The detector hears speech at one level, and a gate before it drops what is surely not speech, so that the
silent half of a call costs nothing. Both know the past alone, so that a stream and a file are heard alike.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vocalics.recognition.speech import CHUNK_SAMPLES, LEVEL, STRETCH_CHUNKS, VAD_RATE, new_detector

FloatArray = npt.NDArray[np.float32]

#: Seconds of one chunk.
CHUNK_S = CHUNK_SAMPLES / VAD_RATE

#: What counts as loud is forgotten at this rate, dB a second: a quiet voice is heard again some time after a
#: shout.
FORGET_DB_PER_S = 0.6

#: The quietest loudness that is still brought to the detector's level, dB of full scale; it bounds the gain
#: to 44 dB.
QUIETEST_DB = -70.0

# benchmarks/voice_gate.py tells, over the 9,201 clips, what the gate's constants do to the stretches of
# speech.

#: A chunk so many dB under the loudest of late is surely not speech. Loudness is that of the difference
#: between neighbouring samples, which weighs hum of 50 Hz 20 dB less than a vowel at 500 Hz.
GATE_DB = -50.0

#: The gate stays open so many chunks after sound, and what it dropped of the last ones is heard when it
#: opens.
HANGOVER_CHUNKS, PREROLL_CHUNKS = 16, 24

#: Share of an offset (a microphone's direct current) that one chunk takes away.
OFFSET_SHARE = 0.05


class VoiceActivity:
    """The detector, its gate and the level it hears at, for one channel.

    Parameters
    ----------
    gate
        Whether what is surely not speech is dropped before the detector; False only to measure what that
        costs.

    Attributes
    ----------
    n_chunks, n_dropped
        Chunks so far, and how many of them the detector never heard.

    Examples
    --------
    >>> voice = VoiceActivity()
    >>> voice.push(np.zeros(16_000, dtype=np.float32))[:3], voice.n_chunks, voice.n_dropped
    ([0.0, 0.0, 0.0], 31, 31)
    """

    def __init__(self, gate: bool = True) -> None:
        self.n_chunks = 0
        self.n_dropped = 0
        self._gate = gate
        self._detector = new_detector()
        self._held: FloatArray = np.empty(0, dtype=np.float32)  # less than a chunk
        self._offset: float | None = None
        self._powers: deque[float] = deque(maxlen=STRETCH_CHUNKS)
        self._loudness = 0.0  # power of the loudest stretch of late
        self._sharpness = 0.0  # the same of the difference between neighbours
        self._open_until = -1  # the last chunk that the open gate lets through
        self._dropped: deque[FloatArray] = deque(maxlen=PREROLL_CHUNKS)

    def push(self, samples: FloatArray) -> list[float]:
        """Hear more sound; return the probabilities of the chunks that it completed.

        Parameters
        ----------
        samples
            (n_samples,), mono, at `VAD_RATE`.
        """
        samples = np.concatenate([self._held, samples])
        n_whole = len(samples) - len(samples) % CHUNK_SAMPLES
        self._held = samples[n_whole:]
        return list(self._probabilities(samples[:n_whole].reshape(-1, CHUNK_SAMPLES)))

    def finish(self) -> list[float]:
        """Hear what is left, filled up with silence to a chunk."""
        n_missing = -len(self._held) % CHUNK_SAMPLES
        return self.push(np.zeros(n_missing, dtype=np.float32))

    def _probabilities(self, chunks: FloatArray) -> Iterator[float]:
        """Yield the probability of each of consecutive chunks, (n_chunks, CHUNK_SAMPLES)."""
        if not len(chunks):
            return
        chunks = chunks - self._offsets(chunks.mean(axis=1, dtype=np.float64))[:, np.newaxis]
        powers = np.square(chunks).mean(axis=1, dtype=np.float64)
        sharpnesses = np.square(np.diff(chunks, axis=1)).mean(axis=1, dtype=np.float64)
        for chunk, power, sharpness in zip(chunks, powers.tolist(), sharpnesses.tolist(), strict=True):
            self._follow(power, sharpness)
            if sharpness > self._sharpness * _GATE or not self._gate:
                self._open_until = self.n_chunks + HANGOVER_CHUNKS
            if self.n_chunks <= self._open_until:
                yield self._detect(chunk)
            else:
                self._dropped.append(chunk)
                self.n_dropped += 1
                yield 0.0
            self.n_chunks += 1

    def _offsets(self, means: npt.NDArray[np.float64]) -> FloatArray:
        """Return the running offset at each chunk."""
        offsets = np.empty(len(means), dtype=np.float32)
        offset = float(means[0]) if self._offset is None else self._offset
        for index, mean in enumerate(means.tolist()):
            offset += OFFSET_SHARE * (mean - offset)
            offsets[index] = offset
        self._offset = offset
        return offsets

    def _follow(self, power: float, sharpness: float) -> None:
        """Follow how loud it is: at once upwards, slowly downwards.

        A single chunk is up to 3 dB louder than the syllable around it, so by itself it counts half.
        """
        self._powers.append(power)
        stretch = sum(self._powers) / len(self._powers)
        self._loudness = max(self._loudness * _FORGET, stretch, power / 2, _QUIETEST)
        self._sharpness = max(self._sharpness * _FORGET, sharpness, _QUIETEST_SHARPNESS)

    def _detect(self, chunk: FloatArray) -> float:
        """Ask the detector; after a pause of the gate it first hears what came just before."""
        gain = np.float32(LEVEL / self._loudness**0.5)
        for dropped in self._dropped:
            self._detector.process_samples((dropped * gain).tolist())
        self.n_dropped -= len(self._dropped)
        self._dropped.clear()
        return float(self._detector.process_samples((chunk * gain).tolist()))


def _power(level_db: float) -> float:
    return float(10 ** (level_db / 10))


_GATE = _power(GATE_DB)
_FORGET = _power(-FORGET_DB_PER_S * CHUNK_S)
_QUIETEST = _power(QUIETEST_DB)
_QUIETEST_SHARPNESS = _power(QUIETEST_DB - 20)  # a quiet vowel's, see `GATE_DB`
