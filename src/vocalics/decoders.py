"""The two libraries behind the audio door, and what each of them is trusted with.

soundfile (libsndfile) decodes wav, flac, ogg, opus, mp3 and their older kin; PyAV (FFmpeg) decodes what it
does not know: m4a, webm, the sound of a video, and so on. Only `vocalics.audio` comes here.
"""

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from vocalics.errors import AudioError

FloatArray = npt.NDArray[np.float32]
Source = str | Path | bytes | BinaryIO

#: Samples decoded at once, all channels together, so that a header that lies cannot claim the memory.
PIECE_SAMPLES = 1 << 20

#: Seconds decoded and dropped after a seek, since a lossy frame leans on those before it: MP3's bit reservoir
#: reaches about ten frames back (0.3 s at 44.1 kHz), Opus asks for 0.08 s, AAC for two frames.
PREROLL_S = 0.5

#: With so many channels, each in a plane of its own, PyAV takes what lies in memory behind the last plane for
#: planes too, and reading those may end the process. (It looks for a null pointer, and FFmpeg sets none.)
_MANY_CHANNELS = 8

_TAKEN = "give wav, flac, ogg, opus, mp3, m4a, webm or a video with sound"


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's header says; what is decoded may be shorter, when the recording was cut short.

    Attributes
    ----------
    duration_s
        Seconds; None when the container does not say, as a stream saved by a browser does not.
    sample_rate
        Hz.
    n_channels
        Number of channels.
    format
        Container and coding, such as ``wav pcm_16`` or ``mov aac``.
    """

    duration_s: float | None
    sample_rate: int
    n_channels: int
    format: str


class Decoder(Protocol):
    """An open recording."""

    info: AudioInfo

    def decode(self, start_s: float, end_s: float | None) -> Iterator[FloatArray]:
        """Decode a span consecutively, in pieces (channels, n), none of them empty; once only."""

    def close(self) -> None:
        """Let go of the library's resources, not of the file."""


@contextmanager
def opened(source: Source, name: str) -> Iterator[Decoder]:
    """Open a recording with the library that knows it.

    While it is open, whatever the libraries throw leaves as `AudioError`, one sentence that calls it `name`.
    """
    with ExitStack() as stack:
        decoder = _decoder(_binary_file(source, name, stack), name)
        stack.callback(decoder.close)
        try:
            yield decoder
        except AudioError:
            raise
        except MemoryError as error:
            raise AudioError(
                f"{name} takes more memory than can be had; read a shorter span of it, or lower its rate."
            ) from error
        except Exception as error:  # the libraries, and the C code below them, throw what they like
            raise AudioError(
                f"{name} is damaged or cut short ({_reason(error)}); export or download it again."
            ) from error


#: Silence and full scale of integer PCM; 8 bits are unsigned by convention.
_PCM = {"uint8": (128.0, 2.0**7), "int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31)}


def pcm_to_float(pcm: npt.NDArray[Any]) -> FloatArray:
    """Scale integers to full scale 1, and cast floats; `KeyError` for integers without a known full scale."""
    if pcm.dtype.kind == "f":
        with np.errstate(
            over="ignore"
        ):  # what float32 cannot hold becomes infinite, which a Waveform refuses
            return pcm.astype(np.float32, copy=False)
    silence, full_scale = _PCM[pcm.dtype.name]
    return ((pcm - silence) / full_scale).astype(np.float32)


class _SoundFile:
    """A recording that libsndfile decodes."""

    def __init__(self, file: BinaryIO) -> None:
        import soundfile

        self._sound = sound = soundfile.SoundFile(_Seekable(file))
        if not 0 < sound.frames < 1 << 62:  # 2**63 - 1 stands for "unknown"
            sound.close()
            raise ValueError("the header does not tell the length")  # FFmpeg can read on all the same
        self.info = AudioInfo(
            duration_s=sound.frames / sound.samplerate,
            sample_rate=sound.samplerate,
            n_channels=sound.channels,
            format=f"{sound.format} {sound.subtype}".lower(),
        )

    def decode(self, start_s: float, end_s: float | None) -> Iterator[FloatArray]:
        first, n_kept = _span_samples(start_s, end_s, self.info.sample_rate)
        origin = first
        if self._sound.subtype == "VORBIS":
            origin = 0  # libsndfile seeks a block window beside the sample (its issue 885)
        elif self._sound.subtype.startswith("MPEG"):
            origin = max(0, first - round(PREROLL_S * self.info.sample_rate))
        if origin:
            self._sound.seek(origin)
        n_dropped = first - origin
        return _cut(self._pieces(n_dropped + n_kept), n_dropped, n_kept)

    def _pieces(self, n_left: float) -> Iterator[FloatArray]:
        n_piece = max(1, PIECE_SAMPLES // self.info.n_channels)
        while n_left > 0:
            piece = self._sound.read(int(min(n_left, n_piece)), dtype="float32", always_2d=True)
            if not len(piece):
                return
            n_left -= len(piece)
            yield np.ascontiguousarray(piece.T)  # (channels, n)

    def close(self) -> None:
        self._sound.close()


class _Seekable:
    """A file in which a damaged header may ask for a place before the beginning; it then stays where it is.

    What a file throws in libsndfile's callbacks cannot be caught, and would be printed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell, self.write = file.read, file.tell, file.write

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return self._file.tell()


class _FFmpeg:
    """A recording that FFmpeg decodes."""

    #: Streams without a container: FFmpeg guesses their length from the bit rate.
    _RAW_STREAMS = frozenset({"aac", "ac3", "amr", "dts", "eac3", "loas", "mlp", "mp3", "truehd"})

    def __init__(self, file: BinaryIO, name: str) -> None:
        import av

        self._name = name
        self._packer: Any = None
        # A playlist could name other files or addresses. No protocol is allowed, so only `file` is read.
        options = {"protocol_whitelist": "none"}
        self._container = container = av.open(file, mode="r", metadata_errors="ignore", options=options)
        stream: Any = container.streams.best("audio")
        if stream is None:
            kinds = " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            container.close()
            raise AudioError(f"{name} holds no sound, only {kinds}; {_TAKEN}.")
        self._stream = stream
        kind, codec = container.format.name.split(",")[0], stream.codec_context
        duration_s = None
        if kind not in self._RAW_STREAMS:
            if stream.duration is not None:
                duration_s = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                duration_s = container.duration / av.time_base
        self.info = AudioInfo(duration_s, codec.sample_rate, codec.channels, f"{kind} {codec.name}")

    def decode(self, start_s: float, end_s: float | None) -> Iterator[FloatArray]:
        rate, time_base = self.info.sample_rate, self._stream.time_base
        first, n_kept = _span_samples(start_s, end_s, rate)
        # A seek is exact only where timestamps count samples: Matroska's count milliseconds.
        seeks = start_s > PREROLL_S and self.info.format.startswith("mov ") and time_base * rate == 1
        frames = self._frames()
        n_dropped = first
        if seeks:
            origin = self._stream.start_time or 0
            self._container.seek(origin + first - round(PREROLL_S * rate), stream=self._stream)
            head = next(frames, None)
            if head is None:
                return iter(())
            n_dropped = max(0, first - (head.pts - origin))
            frames = itertools.chain([head], frames)
        return _cut(map(self._samples, frames), n_dropped, n_kept)

    def _frames(self) -> Iterator[Any]:
        """Decode packet after packet; a failure is forgiven at the very end, where sound was cut short."""
        import av

        failure: Exception | None = None
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError as error:
                failure = failure or error
                continue
            if failure is not None and packet.size:
                raise failure
            yield from frames

    def _samples(self, frame: Any) -> FloatArray:
        """Return a frame as (channels, n)."""
        n_channels = frame.layout.nb_channels
        if (frame.sample_rate, n_channels) != (self.info.sample_rate, self.info.n_channels):
            raise AudioError(
                f"{self._name} changes its sample rate or channels in the middle; export it with one format."
            )
        if not frame.format.is_planar:
            return pcm_to_float(frame.to_ndarray().reshape(-1, n_channels).T)
        if n_channels < _MANY_CHANNELS:
            return pcm_to_float(frame.to_ndarray())  # (channels, n)
        return self._samples(self._packed(frame))

    def _packed(self, frame: Any) -> Any:
        """Return a frame whose channels take turns."""
        from av.audio.resampler import AudioResampler

        self._packer = self._packer or AudioResampler(format=frame.format.packed.name, layout=frame.layout)
        (packed,) = self._packer.resample(frame)
        return packed

    def close(self) -> None:
        self._container.close()


def _decoder(file: BinaryIO, name: str) -> Decoder:
    """Open with soundfile, and with FFmpeg whatever soundfile refuses, for whatever reason."""
    try:
        return _SoundFile(file)
    except Exception:
        file.seek(0)
    try:
        return _FFmpeg(file, name)
    except AudioError:
        raise
    except Exception as error:
        raise AudioError(f"{name} is not audio that can be decoded, or was cut short; {_TAKEN}.") from error


def _binary_file(source: Source, name: str, stack: ExitStack) -> BinaryIO:
    """Return a source as a seekable binary file at its beginning, known not to be empty."""
    try:
        if isinstance(source, (str, Path)):
            file: BinaryIO = stack.enter_context(Path(source).open("rb"))  # noqa: SIM115 (the stack closes it)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            file = io.BytesIO(source)
        else:
            file = source
        if not file.seekable():  # a pipe
            file = io.BytesIO(file.read())
        file.seek(0)
        head = file.read(1)
        file.seek(0)
    except FileNotFoundError:
        raise AudioError(f"there is no file {name}; check the path.") from None
    except IsADirectoryError:
        raise AudioError(f"{name} is a folder; name one recording.") from None
    except PermissionError:
        raise AudioError(f"{name} may not be read (Permission denied); change its permissions.") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise AudioError(
            f"{name} cannot be read ({_reason(error)}); give a path, bytes or a file open in binary mode."
        ) from error
    if isinstance(head, str):
        raise AudioError(f"{name} is open as text; open it in binary mode ('rb').")
    if not head:
        raise AudioError(f"{name} is empty (0 bytes); record or download it again.")
    return file


def _span_samples(start_s: float, end_s: float | None, sample_rate: int) -> tuple[int, float]:
    """Return the first sample of a span and how many it has, at least one, infinitely many without an end."""
    first = round(start_s * sample_rate)
    return first, math.inf if end_s is None else max(1, round(end_s * sample_rate) - first)


def _cut(pieces: Iterator[FloatArray], n_dropped: int, n_kept: float) -> Iterator[FloatArray]:
    """Drop the first samples of consecutive pieces and stop when enough were kept."""
    for piece in pieces:
        kept = piece[:, n_dropped:]
        n_dropped -= piece.shape[1] - kept.shape[1]
        kept = kept[:, : int(min(n_kept, kept.shape[1]))]
        n_kept -= kept.shape[1]
        if kept.size:
            yield kept
        if n_kept <= 0:
            return


def _reason(error: Exception) -> str:
    """Return what an error says, without its number and full stop."""
    told = str(getattr(error, "strerror", None) or error).removeprefix("Error : ").rstrip(". ")
    return told or type(error).__name__
