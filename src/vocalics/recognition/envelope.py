"""The envelope of a recording of any length: what is drawn of its waveform."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vocalics.audio import Waveform

#: Points of an envelope, all channels together: for an hour of mono, 17 a second.
MOST_POINTS = 60_000

#: Points a second of a short recording.
MOST_RATE = 200


class Envelope:
    """The smallest and the largest sample of every point of a recording, gathered block by block.

    Parameters
    ----------
    speakers
        Names; where each is ``"channel N"`` and the recording has those channels, every speaker's channel has
        an envelope of its own, in this order. Else there is one, of the channels' mean.
    duration_s
        Length of the recording in seconds; what comes beyond counts for the last point.

    Attributes
    ----------
    channels
        The channel of each speaker, from 0; empty where there is one envelope for all.

    Examples
    --------
    >>> envelope = Envelope(["speaker"], duration_s=1.0)
    >>> for _ in range(10):
    ...     envelope.push(Waveform(np.full((1, 800), 0.5, dtype=np.float32), 8000))
    >>> envelope.levels().shape
    (1, 200, 2)
    """

    def __init__(self, speakers: Sequence[str], duration_s: float) -> None:
        names = [re.fullmatch(r"channel ([1-9]\d?)", speaker) for speaker in speakers]
        self.channels = [int(name[1]) - 1 for name in names if name]
        if len(self.channels) < len(names):
            self.channels = []
        self._duration_s = duration_s
        self._n_seen = 0
        self._n_samples = 0.0  # that the recording should have
        self._low = self._high = np.zeros((1, 1), dtype=np.float32)  # (n_rows, n_points)

    def push(self, block: Waveform) -> None:
        """Take the next block."""
        if not self._n_seen:
            self._begin(block)
        rows = block.samples[self.channels] if self.channels else block.mono().samples  # (n_rows, n_samples)
        n_points = self._low.shape[1]
        rate = n_points / self._n_samples  # points a sample
        first = min(int(self._n_seen * rate), n_points - 1)
        last = min(int((self._n_seen + block.n_samples - 1) * rate), n_points - 1)
        # Where each of these points begins within the block.
        edges = np.ceil(np.arange(first, last + 1) / rate).astype(np.int64) - self._n_seen
        edges = np.clip(edges, 0, block.n_samples - 1)
        points = slice(first, last + 1)
        self._low[:, points] = np.minimum(self._low[:, points], np.minimum.reduceat(rows, edges, axis=1))
        self._high[:, points] = np.maximum(self._high[:, points], np.maximum.reduceat(rows, edges, axis=1))
        self._n_seen += block.n_samples

    def _begin(self, block: Waveform) -> None:
        if any(channel >= block.n_channels for channel in self.channels):
            self.channels = []  # names out of a diarization that look like channels
        n_rows = max(1, len(self.channels))
        self._n_samples = self._duration_s * block.sample_rate
        n_points = int(min(MOST_POINTS / n_rows, MOST_RATE * self._duration_s, self._n_samples))
        self._low = np.full((n_rows, max(1, n_points)), np.inf, dtype=np.float32)
        self._high = np.full_like(self._low, -np.inf)

    def levels(self) -> npt.NDArray[np.int8]:
        """Return (n_rows, n_points, 2), smallest and largest, where 127 is nearly the loudest of a row."""
        seen = np.isfinite(self._low)
        low, high = np.where(seen, self._low, 0.0), np.where(seen, self._high, 0.0)
        peaks = np.maximum(-low, high)
        # One bang must not flatten the rest, and silence must stay flat.
        full_scale = np.maximum(np.quantile(peaks, 0.998, axis=1), 1e-3)
        levels = np.rint(127 * np.stack([low, high], axis=-1) / full_scale[:, np.newaxis, np.newaxis])
        return np.asarray(np.clip(levels, -127, 127), dtype=np.int8)
