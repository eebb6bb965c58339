"""Which recordings a person means: files, folders, patterns, and the forms a caller may hand over."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError

#: One recording: a path, a `Waveform`, ``(array, sample_rate)``, the bytes of an audio file, or a binary
#: file object.
Recording: TypeAlias = str | Path | Waveform | tuple[npt.ArrayLike, int] | bytes | BinaryIO

#: One recording or several.
Recordings: TypeAlias = Recording | Iterable[Recording]

#: Longest recording that one answer may stand for; a longer one is what the timeline is for, and would fill
#: the memory.
MAX_DURATION_S = 600.0

#: Seconds decoded at once of a recording of any length.
BLOCK_S = 10.0


def is_recording(value: object) -> TypeGuard[Recording]:
    """Tell whether `value` is one recording.

    Examples
    --------
    >>> is_recording("clip.wav"), is_recording(["clip.wav"]), is_recording(([0.0, 0.5], 16000))
    (True, False, True)
    """
    if isinstance(value, str | Path | Waveform | bytes) or hasattr(value, "read"):
        return True
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int | np.integer)


def each_recording(recordings: Recordings) -> Iterator[Recording]:
    """Yield the recordings one by one, each checked to be one; `UsageError` says what may be given."""
    if isinstance(recordings, np.ndarray):
        raise UsageError("an array alone has no sample rate; give (array, sample_rate).")
    many = [recordings] if is_recording(recordings) else recordings
    if not isinstance(many, Iterable):
        raise UsageError(_not_a_recording(many))
    for recording in many:
        if not is_recording(recording):
            raise UsageError(_not_a_recording(recording))
        yield recording


def read_recording(recording: Recording) -> Waveform:
    """Decode one recording of at most `MAX_DURATION_S`; errors as of `audio.read`."""
    if isinstance(recording, Waveform):
        return recording
    if isinstance(recording, tuple):
        return Waveform.from_array(*recording)
    return audio.read(recording, name=recording_name(recording), max_duration_s=MAX_DURATION_S)


def recording_blocks(recording: Recording) -> Iterator[Waveform]:
    """Decode one recording of any length in blocks of `BLOCK_S`; errors as of `audio.blocks`."""
    if isinstance(recording, tuple):
        recording = Waveform.from_array(*recording)
    if not isinstance(recording, Waveform):
        yield from audio.blocks(recording, BLOCK_S, recording_name(recording))
        return
    n_block = round(BLOCK_S * recording.sample_rate)
    for start in range(0, recording.n_samples, n_block):
        yield Waveform(recording.samples[:, start : start + n_block], recording.sample_rate)


def recording_name(recording: Recording) -> str | None:
    """Return the path as the caller wrote it, the name of a file object, or None for what is in memory."""
    if isinstance(recording, str | Path):
        return str(recording)
    own = getattr(recording, "name", None)
    return own if isinstance(own, str) else None


def list_recordings(paths: Iterable[str | Path]) -> tuple[list[str], dict[str, AudioError]]:
    """List the recordings that files, folders and patterns mean.

    Parameters
    ----------
    paths
        Files (taken whatever their suffix), folders (walked recursively, files with a suffix in
        `audio.SUFFIXES`, no hidden ones), or glob patterns (``**`` for any depth).

    Returns
    -------
    found, failed
        Paths, each once, in the order given and sorted within a folder or pattern; and the error for every
        given path that leads to no recording, and for every folder that cannot be opened.
    """
    found: dict[str, None] = {}
    failed: dict[str, AudioError] = {}
    for path in map(str, paths):
        inside: list[str] = []
        if not path:
            failed[path] = AudioError("an empty path names no recording; check the shell's variables.")
        elif os.path.isdir(path):  # noqa: PTH112, Path raises in a closed folder
            inside = sorted(walk(path, failed))
            if not inside and path not in failed:
                failed[path] = AudioError(
                    f"the folder '{path}' holds no audio files; name a folder with recordings, or files."
                )
        elif glob.has_magic(path) and not os.path.lexists(path):
            matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207, Path.glob knows no absolute pattern
            inside, _ = list_recordings(matches)
            if not inside:
                failed[path] = AudioError(
                    f"no recording matches the pattern '{path}'; check it, or name files or folders."
                )
        else:
            inside = [path]
        found |= dict.fromkeys(inside)
    return list(found), failed


def walk(folder: str, failed: dict[str, AudioError]) -> Iterator[str]:
    """Yield the audio files under a folder, as they are met: those of one folder in the order of the system.

    Linked folders are followed, and each real folder is entered once. A folder that cannot be opened leads to
    an error in `failed`.
    """
    entered: set[str] = set()
    ahead = [folder]
    while ahead:
        parent = ahead.pop()
        real = os.path.realpath(parent)
        if real in entered:
            continue
        entered.add(real)
        inside: list[str] = []
        try:
            with os.scandir(parent) as entries:  # one by one: a folder may hold a million
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        inside.append(entry.path)  # it keeps './' and the caller's slashes as given
                    elif os.path.splitext(entry.name)[1].lower() in audio.SUFFIXES:  # noqa: PTH122, faster
                        yield entry.path
        except OSError as error:
            failed[parent] = AudioError(f"the folder '{parent}' cannot be opened: {error.strerror}.")
        ahead += sorted(inside, reverse=True)  # by which of its names a folder is entered must not vary


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _not_a_recording(value: object) -> str:
    return (
        f"a {type(value).__name__} is not a recording; give a path, the bytes of an audio file, "
        "(array, sample_rate), a Waveform, or a list of these."
    )
