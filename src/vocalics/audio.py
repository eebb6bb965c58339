"""The audio door: sound comes in here, is checked once, and is trusted inside.

The only way to the codecs. A recording that was cut short is read as far as its decoder goes, so half a wav,
mp3, ogg or webm is half a recording; where the decoder reports an error (flac, m4a), it is refused.
"""

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics.decoders import AudioInfo, Decoder, FloatArray, Source, opened, pcm_to_float
from vocalics.errors import AudioError
from vocalics.resampling import MAXIMUM_RATE, MINIMUM_RATE, check_rate, resample

__all__ = [
    "ENCODED_BITS_PER_S",
    "ENCODED_RATE",
    "MAXIMUM_CHANNELS",
    "MAXIMUM_PEAK",
    "MAXIMUM_RATE",
    "MINIMUM_RATE",
    "SUFFIXES",
    "AudioInfo",
    "Waveform",
    "blocks",
    "encode",
    "info",
    "read",
]

#: Most channels of a recording (seventh-order ambisonics); more means an array that lies on its side.
MAXIMUM_CHANNELS = 64

#: Largest sample, 40 dB over full scale; more means integers that were cast to float without scaling.
MAXIMUM_PEAK = 100.0

#: Sample rate at which `encode` compresses, Hz, and bits a second for mono and for stereo: wideband speech
#: that is easily followed, at some 7 and 11 MB an hour.
ENCODED_RATE, ENCODED_BITS_PER_S = 16_000, (16_000, 24_000)

#: What a walk through a folder takes for a recording; a file that is named outright is read under any suffix.
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "w64", "rf64", "aif", "aiff", "aifc", "au", "caf", "sph", "flac"),
        *("ogg", "oga", "opus", "mp3", "m4a", "m4b", "aac", "ac3", "amr", "wma", "mka", "weba"),
        *("webm", "mp4", "m4v", "mov", "mkv", "avi", "wmv", "flv", "3gp", "mpg", "mpeg", "ogv"),
    )
)


@dataclass(frozen=True, eq=False)
class Waveform:
    """Sound that was checked once.

    Attributes
    ----------
    samples
        float32 (channels, n_samples), C-contiguous and read-only; full scale is 1.
    sample_rate
        Hz, from `MINIMUM_RATE` to `MAXIMUM_RATE`.

    Raises
    ------
    AudioError
        Samples of another type or shape, none at all, not finite or far over full scale; a rate out of range.

    Examples
    --------
    >>> tone = Waveform(np.zeros((1, 8000), dtype=np.float32), 16_000)
    >>> tone.duration_s, tone.n_channels
    (0.5, 1)
    """

    samples: FloatArray
    sample_rate: int

    def __post_init__(self) -> None:
        samples = self.samples
        if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or samples.ndim != 2:
            raise AudioError(
                f"samples are {_describe(samples)}; a Waveform takes float32 (channels, n_samples): "
                "use Waveform.from_array."
            )
        _check_format(self.sample_rate, samples.shape[0])
        if samples.size == 0:
            raise AudioError("there are no samples; record at least a moment of sound.")
        peak = max(float(samples.max()), -float(samples.min()))  # NaN when any sample is
        if not math.isfinite(peak):
            raise AudioError("some samples are NaN or infinite; repair the recording or export it again.")
        if peak > MAXIMUM_PEAK:
            raise AudioError(
                f"samples reach {peak:.0f} where full scale is 1; divide them by their full scale, "
                "32768 for 16 bit, before the cast to float."
            )
        samples = np.ascontiguousarray(samples).view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "sample_rate", int(self.sample_rate))

    @classmethod
    def from_array(cls, samples: npt.ArrayLike, sample_rate: int) -> "Waveform":
        """Copy an array into a Waveform.

        Parameters
        ----------
        samples
            (n_samples,) or (channels, n_samples): floats with full scale 1, or int16, int32 or uint8 PCM,
            which is scaled.
        sample_rate
            Hz.

        Raises
        ------
        AudioError
            As the class, and for an array that lies on its side, (n_samples, channels).

        Examples
        --------
        >>> Waveform.from_array(np.array([0, 16384, -32768], dtype=np.int16), 8000).samples
        array([[ 0. ,  0.5, -1. ]], dtype=float32)
        """
        array = np.asarray(samples)
        if array.ndim == 2 and array.shape[0] > array.shape[1] > 0:
            raise AudioError(
                f"samples are {_describe(array)}, more channels than samples; transpose them to "
                "(channels, n_samples)."
            )
        if array.ndim not in (1, 2) or not (
            array.dtype.kind == "f" or array.dtype.name in ("int16", "int32", "uint8")
        ):
            raise AudioError(
                f"samples are {_describe(array)}; give (n_samples,) or (channels, n_samples) of "
                "floats, int16, int32 or uint8."
            )
        return cls(np.array(pcm_to_float(np.atleast_2d(array))), sample_rate)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate

    def mono(self) -> "Waveform":
        """Return the mean of the channels."""
        if self.n_channels == 1:
            return self
        return Waveform(self.samples.mean(axis=0, keepdims=True), self.sample_rate)

    def split(self) -> "tuple[Waveform, ...]":
        """Return each channel by itself."""
        return tuple(Waveform(channel[np.newaxis], self.sample_rate) for channel in self.samples)

    def resampled(self, sample_rate: int, bandwidth_hz: float | None = None) -> "Waveform":
        """Return the sound at another rate, if need be without anything above a frequency.

        Parameters
        ----------
        sample_rate, bandwidth_hz
            Hz, as of `vocalics.resampling.resample`.

        Examples
        --------
        >>> Waveform.from_array(np.zeros(4800), 48_000).resampled(16_000).n_samples
        1600
        """
        samples = resample(self.samples, self.sample_rate, sample_rate, bandwidth_hz)
        return self if samples is self.samples else Waveform(samples, sample_rate)


def info(source: Source, name: str | None = None) -> AudioInfo:
    """Read what a recording's header says; parameters and errors are those of `read`."""
    with _recording(source, _name_of(source, name)) as decoder:
        return decoder.info


def read(
    source: Source,
    start_s: float = 0.0,
    end_s: float | None = None,
    name: str | None = None,
    *,
    max_duration_s: float | None = None,
) -> Waveform:
    """Decode a recording, or a span of it that is cut to the sample.

    A span's beginning is sought where that is exact (mp4, and all that soundfile reads but Vorbis); elsewhere
    what lies before it is decoded and dropped.

    Parameters
    ----------
    source
        Path, the bytes of a file, or a file open in binary mode, which is read from its beginning.
    start_s, end_s
        Span in seconds. An end beyond the recording means its end, as None does.
    name
        What errors call the source; by default its path.
    max_duration_s
        Refuse more seconds than this: before decoding where the container tells, else once they are passed.

    Raises
    ------
    AudioError
        Not found, not audio, empty, damaged, not finite, a rate out of range, a span outside, too long.
    """
    name = _name_of(source, name)
    if not (math.isfinite(start_s) and start_s >= 0 and (end_s is None or end_s > start_s)):
        raise AudioError(
            f"{name}: a span starts at 0 s or later and ends after that, not {start_s} s to {end_s} s."
        )
    with _recording(source, name) as decoder:
        told_s = decoder.info.duration_s
        if told_s is not None:
            if start_s >= told_s:
                raise AudioError(f"{name} lasts {told_s:.2f} s; a span cannot start at {start_s:.2f} s.")
            _check_duration(min(told_s, end_s or math.inf) - start_s, max_duration_s, name)
        pieces: list[FloatArray] = []
        n_samples = 0
        for piece in decoder.decode(start_s, end_s):
            pieces.append(piece)
            n_samples += piece.shape[1]
            _check_duration(n_samples / decoder.info.sample_rate, max_duration_s, name)
        if start_s and not pieces:
            raise AudioError(f"{name} ends before {start_s:.2f} s; start the span earlier.")
        return _waveform(pieces, decoder.info.sample_rate, name)


def blocks(source: Source, block_s: float, name: str | None = None) -> Iterator[Waveform]:
    """Decode a recording block by block, in memory that does not depend on its length.

    Parameters
    ----------
    source, name
        As of `read`.
    block_s
        Length of every block but the last, which may be shorter; seconds, rounded to a sample.

    Raises
    ------
    AudioError
        As of `read`: when the first block is asked for, or where a damaged recording breaks off.
    """
    name = _name_of(source, name)
    if not (math.isfinite(block_s) and block_s > 0):
        raise AudioError(f"{name}: a block lasts more than 0 s, not {block_s} s.")
    with _recording(source, name) as decoder:
        sample_rate = decoder.info.sample_rate
        n_block = max(1, round(block_s * sample_rate))
        held: list[FloatArray] = []  # decoded, not yet yielded, together shorter than a block
        n_held = 0
        n_decoded = 0
        for piece in decoder.decode(0.0, None):
            held.append(piece)
            n_held += piece.shape[1]
            n_decoded += piece.shape[1]
            if n_held < n_block:
                continue
            samples = np.concatenate(held, axis=1)
            n_whole = n_held - n_held % n_block
            for start in range(0, n_whole, n_block):
                yield _waveform([samples[:, start : start + n_block]], sample_rate, name)
            held, n_held = [samples[:, n_whole:]], n_held - n_whole
        if n_held or not n_decoded:
            yield _waveform(held, sample_rate, name)


def encode(pieces: Iterable[Waveform]) -> bytes:
    """Compress sound to be listened to, in memory that grows by the compressed bytes alone.

    Opus in WebM: browsers play it and seek in it. FFmpeg's Opus encoder is taken, as libsndfile's is some ten
    times slower.

    Parameters
    ----------
    pieces
        Consecutive, all of one rate and with the same channels; stereo stays stereo, more than two channels
        are mixed to mono. Beyond full scale it is clipped.

    Returns
    -------
    A WebM file that holds what lies below half of `ENCODED_RATE` in about `ENCODED_BITS_PER_S`; the same
    sound gives the same bytes.

    Raises
    ------
    AudioError
        There are no pieces.

    Examples
    --------
    >>> webm = encode([Waveform(np.zeros((1, 8000), dtype=np.float32), 16_000)])
    >>> read(webm).duration_s
    0.5
    """
    import av

    pieces = iter(pieces)
    first = next(pieces, None)
    if first is None:
        raise AudioError("there is no sound to encode; give at least one piece.")
    layout = "stereo" if first.n_channels == 2 else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format="webm", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream("libopus", rate=ENCODED_RATE, layout=layout)
        stream.bit_rate = ENCODED_BITS_PER_S[layout == "stereo"]
        # Frames of 60 ms cost fewer bits for containers than 20; complexity 3 of 10 takes half the time.
        stream.codec_context.options = {"frame_duration": "60", "compression_level": "3"}
        resampler = av.AudioResampler(format="flt", layout=layout, rate=ENCODED_RATE)
        n_samples = 0
        for piece in itertools.chain([first], pieces):
            sound = piece if layout == "stereo" else piece.mono()
            samples = np.clip(sound.samples, -1.0, 1.0)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = sound.sample_rate, n_samples
            frame.time_base = Fraction(1, sound.sample_rate)
            n_samples += sound.n_samples
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return file.getvalue()


@contextmanager
def _recording(source: Source, name: str) -> Iterator[Decoder]:
    """Open a recording whose rate and channels are accepted."""
    with opened(source, name) as decoder:
        with _named(name):
            _check_format(decoder.info.sample_rate, decoder.info.n_channels)
        yield decoder


def _waveform(pieces: list[FloatArray], sample_rate: int, name: str) -> Waveform:
    """Join what was decoded of a recording, and check it."""
    if not pieces:
        raise AudioError(f"{name} has a header but no samples; record or export it again.")
    with _named(name):
        return Waveform(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1), sample_rate)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which recording an error is about."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from None


def _check_format(sample_rate: object, n_channels: int) -> None:
    check_rate(sample_rate)
    if n_channels > MAXIMUM_CHANNELS:
        raise AudioError(
            f"there are {n_channels} channels; at most {MAXIMUM_CHANNELS} can be used, and samples have the "
            "shape (channels, n_samples)."
        )


def _check_duration(duration_s: float, max_duration_s: float | None, name: str) -> None:
    if max_duration_s is not None and duration_s - max_duration_s > 1e-6:  # less is rounding
        raise AudioError(
            f"{name} has more than {max_duration_s:g} s of sound to read; read a shorter span of it."
        )


def _name_of(source: Source, name: str | None) -> str:
    if name is not None:
        return name
    told = source if isinstance(source, (str, Path)) else getattr(source, "name", None)
    return str(told) if isinstance(told, (str, Path)) and str(told) else "the recording"


def _describe(samples: object) -> str:
    return (
        f"{samples.dtype} {samples.shape}"
        if isinstance(samples, np.ndarray)
        else f"of type {type(samples).__name__}"
    )
