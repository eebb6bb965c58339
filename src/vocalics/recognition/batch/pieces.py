"""The work in pieces: names to be heard by one worker, in a row."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from vocalics.recognition.batch.inputs import Inputs

#: Bytes of names in a piece, so that two of them fit into a pipe that nobody reads.
MOST_BYTES = 16_000

#: Pieces left for each worker when they begin to shrink: at the end no worker waits long for another.
LEFT_FOR_EACH = 4


@dataclass(frozen=True)
class Piece:
    """Consecutive recordings.

    Attributes
    ----------
    first
        Place of the first one among all.
    names
        As lines of `Inputs`.
    alone
        Whether it is one recording that is heard with none before or behind it, since a worker ended that may
        have been hearing it.
    deaths
        Workers that ended while they heard it alone.
    """

    first: int
    names: tuple[bytes, ...]
    alone: bool = False
    deaths: int = 0

    @property
    def line(self) -> bytes:
        """All of the names as a line of JSON."""
        return b"[" + b",".join(self.names) + b"]\n"

    def singly(self, done: int) -> list["Piece"]:
        """Return what is left of it behind the first `done`, one by one, each to be heard alone."""
        return [
            Piece(self.first + place, (self.names[place],), alone=True)
            for place in range(done, len(self.names))
        ]


def cut(
    inputs: Inputs, part_size: int, finished: Collection[int], most: int, workers: int
) -> Iterator[Piece]:
    """Yield what is not in a finished part, in order, in pieces that lie in one part each.

    Parameters
    ----------
    inputs
        All recordings.
    part_size
        Recordings in a part, of which `finished` holds numbers.
    most
        Recordings in a piece.
    workers
        Among how many they are shared.
    """
    sizes = (min(part_size, inputs.count - first) for first in range(0, inputs.count, part_size))
    left = inputs.count - sum(size for part, size in enumerate(sizes) if part in finished)
    first, names, n_bytes = 0, list[bytes](), 0
    size = 0
    for place, name in enumerate(inputs.lines()):
        part, within = divmod(place, part_size)
        if part in finished:
            continue
        if names and (within == 0 or len(names) >= size or n_bytes + len(name) > MOST_BYTES):
            yield Piece(first, tuple(names))
            names = []
        if not names:
            first, n_bytes = place, 0
            size = max(1, min(most, left // (LEFT_FOR_EACH * workers)))
        names.append(name)
        n_bytes += len(name) + 1
        left -= 1
    if names:
        yield Piece(first, tuple(names))
