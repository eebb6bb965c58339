"""The list of recordings on disk: sorted, each once, read in pieces, so that a million take no memory."""

import hashlib
import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from vocalics.files import written_whole

#: Names sorted in memory; more are sorted by so many and merged from the disk.
NAMES_AT_ONCE = 200_000

#: Names of each kind that `compare` tells.
AT_MOST = 1000


@dataclass(frozen=True)
class Inputs:
    """A list on disk: one name a line as a JSON string, sorted by code points.

    Attributes
    ----------
    path
        The file.
    count
        Names in it.
    digest
        SHA-256 of the file.
    """

    path: Path
    count: int
    digest: str

    def lines(self) -> Iterator[bytes]:
        """Yield the names as they stand there."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

    def __iter__(self) -> Iterator[str]:
        return map(json.loads, self.lines())


def write_inputs(names: Iterable[str], path: Path) -> Inputs:
    """Sort names onto the disk, each once; the file is there whole or not at all."""
    count, digest = 0, hashlib.sha256()
    with ExitStack() as stack:
        before = None
        ordered = _in_order(iter(names), stack, path.parent)
        file = stack.enter_context(written_whole(path))
        for name in ordered:
            if name != before:
                line = json.dumps(name).encode() + b"\n"  # all ASCII: it may be a name that is no Unicode
                digest.update(line)
                file.write(line)
                count += 1
            before = name
    return Inputs(path, count, digest.hexdigest())


def compare(before: Iterable[str], now: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what of two ordered lists stands in `before` alone, and in `now` alone, `AT_MOST` names each."""
    alone: tuple[list[str], list[str]] = ([], [])
    both = heapq.merge(((name, 0) for name in before), ((name, 1) for name in now))
    for name, places in groupby(both, key=itemgetter(0)):
        first, *others = (place for _, place in places)
        if not others and len(alone[first]) < AT_MOST:
            alone[first].append(name)
    return alone


def _in_order(names: Iterator[str], stack: ExitStack, folder: Path) -> Iterator[str]:
    """Yield names in order; what is more than `NAMES_AT_ONCE` waits in files that end with the stack."""
    first = sorted(islice(names, NAMES_AT_ONCE))
    runs: list[Iterator[str]] = []
    while some := sorted(islice(names, NAMES_AT_ONCE)):
        runs.append(_put_aside(some, stack, folder))
    if not runs:
        return iter(first)
    runs.append(_put_aside(first, stack, folder))
    del first
    return heapq.merge(*runs)


def _put_aside(names: list[str], stack: ExitStack, folder: Path) -> Iterator[str]:
    file = stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115, the stack closes it
    file.writelines(json.dumps(name).encode() + b"\n" for name in names)
    file.seek(0)
    return map(json.loads, file)
