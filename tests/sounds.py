"""Sounds in closed form, and files of them in every coding."""

import io
from fractions import Fraction

import av
import numpy as np
import soundfile

RATE = 48_000

# What soundfile writes, by suffix, as (container, coding).
SOUNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_24"),
    "aiff": ("AIFF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}

# What PyAV writes, by suffix, as (container, coding); the last two have a picture beside the sound.
FFMPEG = {
    "m4a": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "pcm_s16le"),
    "aac": ("adts", "aac"),
    "mp4": ("mp4", "aac"),
    "mkv": ("matroska", "libopus"),
}

LAYOUTS = {1: "mono", 2: "stereo", 8: "7.1"}

EXACT = {"wav", "flac", "aiff", "mka"}

BLACK = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")


def sine(frequency_hz, sample_rate=RATE, duration_s=1.0, amplitude=0.5):
    t = np.arange(int(duration_s * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def amplitude_of(samples, frequency_hz, sample_rate):
    """Amplitude of one frequency by projection, exact over whole periods; 0.1 s are left out at the ends."""
    edge = sample_rate // 10
    samples = np.asarray(samples, dtype=np.float64)[edge:-edge]
    phase = 2 * np.pi * frequency_hz * np.arange(len(samples)) / sample_rate
    return 2 * abs(np.mean(samples * np.exp(-1j * phase)))


def sweep(duration_s=3.0, sample_rate=RATE):
    """A rising tone, so that no instant is like another, in two channels; the second at half the level."""
    t = np.arange(int(duration_s * sample_rate)) / sample_rate
    tone = 0.5 * np.sin(2 * np.pi * (200 + 300 * t) * t)
    return np.stack([tone, tone / 2]).astype(np.float32)


def encode(path, samples, sample_rate=RATE, **options):
    """Write samples (channels, n) under the coding of the path's suffix."""
    suffix = path.suffix[1:]
    if suffix in SOUNDFILE:
        container, coding = SOUNDFILE[suffix]
        soundfile.write(path, samples.T, sample_rate, format=container, subtype=coding)
        return path
    container, coding = FFMPEG[suffix]
    with av.open(path, "w", format=container, options=options) as output:
        picture = output.add_stream("mpeg4", rate=25) if suffix in ("mp4", "mkv") else None
        sound = output.add_stream(coding, rate=sample_rate, layout=LAYOUTS[len(samples)])
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            for _ in range(25):
                output.mux(picture.encode(BLACK))
            output.mux(picture.encode())
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=sound.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        output.mux(sound.encode(frame))
        output.mux(sound.encode())
    return path


def wav_bytes(samples, sample_rate=16_000, subtype="PCM_16"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def picture_bytes(codec, container, pixels):
    """A film of one picture, without sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=1, width=64, height=64, pix_fmt=pixels)
        output.mux(stream.encode(BLACK))
        output.mux(stream.encode())
    return buffer.getvalue()
