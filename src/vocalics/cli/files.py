"""Where commands read recordings from and write answers to, standard input among them."""

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vocalics.cli.screen import tell
from vocalics.errors import UsageError
from vocalics.files import write_atomically

if TYPE_CHECKING:
    from vocalics.recognition.model import Model
    from vocalics.recognition.recordings import Recording


class _StandardInput(io.BytesIO):
    """All of stdin, with the name that errors call it."""

    name = "standard input"


def open_recording(path: str) -> "Recording":
    """Return the path, or for ``-`` what stands in standard input."""
    if path != "-":
        return path
    if sys.stdin.isatty():
        raise UsageError("'-' means audio on standard input, which is the keyboard; pipe a file into it.")
    return _StandardInput(sys.stdin.buffer.read())


def adapted(
    model: "Model",
    paths: Sequence[str],
    track: "Callable[[Sequence[Recording]], Iterable[Recording]]" = iter,
) -> "Model":
    """Adapt a model to the recordings that ``--adapt`` names, and tell when not all of them could be used.

    `track` may show how far it is.
    """
    from vocalics.recognition.recordings import list_recordings

    found, failed = list_recordings(paths)
    if failed:
        raise UsageError(f"--adapt: {next(iter(failed.values()))}")
    adapted_model = model.adapt(track(found))
    left_out = len(found) - adapted_model.adapted_clips
    if left_out:
        tell(f"{left_out} of {len(found)} recordings to adapt with hold no speech or cannot be read.")
    return adapted_model


def check_output(path: str | Path, suffixes: str) -> None:
    """Refuse what cannot be written to, before any work is done; `suffixes` says what a file ends in."""
    try:
        if Path(path).is_dir():
            raise UsageError(f"'{path}' is a folder; name a file that ends in {suffixes}.")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}; name another file.") from None


def write_output(path: str | Path, data: str | bytes) -> None:
    """Write a whole file or nothing."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}.") from None
