"""Decoded audio: each recording once, in a memory-mapped file that all processes of a machine share."""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.files import written_whole
from vocalics.lab.corpora import cache_folder
from vocalics.lab.manifest import Manifest
from vocalics.lab.processes import AHEAD, in_order, map_in_order

Samples = npt.NDArray[np.float32]
Levels = npt.NDArray[np.int16]

#: Clips between two moments at which what was decoded is made sure of; a kill loses no more than these.
CLIPS_A_COMMIT = 1_000

_FULL_SCALE = 32_767.0


class AudioStore:
    """Decoded, mono, resampled clips of a manifest in one memory-mapped 16-bit file.

    The file is named by a digest of what is in it, so a second training finds it. Beside it lie where each
    clip begins and what it is called, memory-mapped too: a process that opens a store of ten million clips
    holds nothing of them but the pages that it reads, and shares these with the others.

    Parameters
    ----------
    path
        The file of samples, ``KEY.int16``, beside ``KEY.npy`` and ``KEY.ids``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples = np.memmap(path, dtype=np.int16, mode="r")
        self._offsets: npt.NDArray[np.int64] = np.load(path.with_suffix(".npy"), mmap_mode="r")
        self._ids: npt.NDArray[np.bytes_] = np.load(path.with_suffix(".ids"), mmap_mode="r")

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def name(self) -> str:
        """Digest of what is in it."""
        return self._path.stem

    def position(self, utterance_id: str) -> int:
        """Return the place of a clip among the others; `KeyError` where it is not there."""
        name = utterance_id.encode()
        position = int(np.searchsorted(self._ids, np.bytes_(name)))
        if position == len(self) or self._ids[position] != name:
            raise KeyError(utterance_id)
        return position

    def positions(self, manifest: Manifest) -> npt.NDArray[np.int64]:
        """Return the place of each utterance of a manifest, (n_utterances,); `KeyError` names one missing."""
        names = _names(manifest)
        found = np.searchsorted(self._ids, names)
        there = self._ids[np.minimum(found, len(self) - 1)] == names
        if not there.all():
            raise KeyError(manifest.utterances[int(np.argmin(there))].id)
        return found.astype(np.int64)

    def utterance_id(self, position: int) -> str:
        """Return what the clip at a place is called."""
        return bytes(self._ids[position]).decode()

    def clip(self, position: int) -> Samples:
        """Return the samples (n,) of the clip at a place, float32 in [-1, 1]."""
        start, stop = self._offsets[position], self._offsets[position + 1]
        return np.asarray(self._samples[start:stop], dtype=np.float32) / np.float32(_FULL_SCALE)

    def __getitem__(self, utterance_id: str) -> Samples:
        """Return the samples (n,) of one clip, float32 in [-1, 1]."""
        return self.clip(self.position(utterance_id))

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process as the file's name: a pickled memory map would carry every sample."""
        return AudioStore, (self._path,)

    @classmethod
    def build(
        cls,
        manifest: Manifest,
        sample_rate: int,
        bandwidth_hz: float,
        folder: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
        workers: int = 0,
    ) -> "AudioStore":
        """Decode a manifest once, in memory that does not depend on its length.

        Whatever ends it, given again it goes on; only one process decodes the same clips at a time, and
        another one waits for it.

        Parameters
        ----------
        manifest
            The recordings.
        sample_rate, bandwidth_hz
            As of `audio.Waveform.resampled`.
        folder
            Where the file lies; by default in the cache folder.
        progress
            Hears (done, total).
        workers
            Processes that decode; with fewer than two, threads of this one do, one for each core. A script
            that asks for processes does so under ``if __name__ == "__main__":``.

        Raises
        ------
        AudioError
            A recording cannot be decoded; those before it are kept.
        """
        folder = folder or cache_folder() / "audio"
        folder.mkdir(parents=True, exist_ok=True)
        raw = folder / f"{_key(manifest, sample_rate, bandwidth_hz)}.int16"
        offsets, ids = raw.with_suffix(".npy"), raw.with_suffix(".ids")
        if not (raw.is_file() and offsets.is_file()):
            with _alone(raw.with_suffix(".lock")):
                if not (raw.is_file() and offsets.is_file()):  # nobody else has decoded it meanwhile
                    decode = partial(decoded, sample_rate, bandwidth_hz)
                    _decode_all(manifest, decode, raw, workers, progress)
        if not ids.is_file():  # last, and also for a file of older versions, which had none
            with written_whole(ids) as file:
                np.save(file, _names(manifest))
        return cls(raw)


def decoded(sample_rate: int, bandwidth_hz: float, path: Path) -> Levels:
    """Decode a recording as the store has it: mono, at that rate, 16-bit levels (n,)."""
    waveform = audio.read(path).mono().resampled(sample_rate, bandwidth_hz)
    levels: Samples = np.round(np.clip(waveform.samples[0], -1, 1) * _FULL_SCALE)
    return levels.astype(np.int16)


def _key(manifest: Manifest, sample_rate: int, bandwidth_hz: float) -> str:
    """Digest of the JSON of rate, bandwidth and every clip, which is never there as a whole."""
    digest = hashlib.sha256(f"[{json.dumps(sample_rate)}, {json.dumps(bandwidth_hz)}".encode())
    for utterance in manifest:
        digest.update(f", {json.dumps([utterance.id, utterance.digest])}".encode())
    digest.update(b"]")
    return digest.hexdigest()[:24]


def _names(manifest: Manifest) -> npt.NDArray[np.bytes_]:
    """Return the ids (n_utterances,) as bytes, which have the order of the manifest."""
    width = max((len(utterance.id.encode()) for utterance in manifest), default=1)
    return np.fromiter((utterance.id.encode() for utterance in manifest), f"S{width}", count=len(manifest))


def _decode_all(
    manifest: Manifest,
    decode: Callable[[Path], Levels],
    raw: Path,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the file and where its clips begin; what an earlier call left half done is gone on with."""
    part, journal = raw.with_suffix(".part"), raw.with_suffix(".lengths")
    done = _whole_clips(part, journal)
    waiting: list[int] = []  # lengths of clips that the journal does not name yet

    with part.open("ab") as samples, journal.open("ab") as lengths:

        def commit() -> None:
            """Let the journal name what is surely written, so that it never says more than is there."""
            samples.flush()
            os.fsync(samples.fileno())
            lengths.write(np.array(waiting, dtype=np.int64).tobytes())
            lengths.flush()
            os.fsync(lengths.fileno())
            waiting.clear()

        paths = (manifest.audio_path(utterance) for utterance in manifest.utterances[done:])
        try:
            with closing(_each(decode, paths, workers)) as clips:
                for clip in clips:
                    samples.write(clip.tobytes())
                    waiting.append(len(clip))
                    done += 1
                    if len(waiting) == CLIPS_A_COMMIT:
                        commit()
                    if progress:
                        progress(done, len(manifest))
        finally:  # Ctrl-C, or a file that cannot be decoded, loses nothing
            commit()
    ends = np.cumsum(np.fromfile(journal, dtype=np.int64))
    with written_whole(raw.with_suffix(".npy")) as file:
        np.save(file, np.concatenate([[0], ends]).astype(np.int64))
    part.replace(raw)
    journal.unlink()


def _each(
    decode: Callable[[Path], Levels], paths: Iterator[Path], workers: int
) -> Generator[Levels, None, None]:
    """Yield every file decoded, in the order of the files, a few ahead."""
    if workers > 1:
        yield from map_in_order(partial(_same, decode), paths, workers)
        return
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        yield from in_order(lambda path: pool.submit(decode, path), paths, AHEAD * threads)


def _same(decode: Callable[[Path], Levels]) -> Callable[[Path], Levels]:
    """Return what a worker process does with a file: nothing has to be prepared for it."""
    return decode


def _whole_clips(part: Path, journal: Path) -> int:
    """Cut an unfinished file and its journal to the clips that both hold whole; return how many these are."""
    if not (part.is_file() and journal.is_file()):
        part.unlink(missing_ok=True)
        journal.unlink(missing_ok=True)
        return 0
    ends = np.cumsum(np.fromfile(journal, dtype=np.int64))  # what is no whole number is left out
    n_whole = int(np.searchsorted(ends, part.stat().st_size // 2, side="right"))
    os.truncate(part, 2 * int(ends[n_whole - 1]) if n_whole else 0)
    os.truncate(journal, 8 * n_whole)
    return n_whole


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in such a block; the first to end well removes the lock.

    Whoever comes later must find what that one made.
    """
    try:
        import fcntl
    except ImportError:  # Windows: let nobody do it twice at once
        yield
        return
    with lock.open("wb") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
        lock.unlink(missing_ok=True)
