"""Sound to MP3, the lossy coding that recordings have most often been through."""

import io
from fractions import Fraction

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def encode_mp3(samples: FloatArray, sample_rate: int, bits_per_s: int) -> bytes:
    """Compress sound to an MP3 file of a constant bit rate, by LAME.

    Parameters
    ----------
    samples
        float32 (n_samples,), one channel; beyond full scale it is clipped.
    sample_rate
        Hz, one that MP3 knows: 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz.
    bits_per_s
        One that MP3 knows at that rate, such as 32 000.

    Returns
    -------
    A file that says how many samples it holds, so that `vocalics.audio.read` gives as many back.

    Examples
    --------
    >>> from vocalics.audio import read
    >>> read(encode_mp3(np.zeros(8000, dtype=np.float32), 16_000, 32_000)).n_samples
    8000
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream("libmp3lame", rate=sample_rate, layout="mono")
        stream.bit_rate = bits_per_s
        frame = av.AudioFrame.from_ndarray(np.clip(samples, -1.0, 1.0)[np.newaxis], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
