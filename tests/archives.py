"""A small archive of recordings, good and bad, and its rows read back."""

import os
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000

#: How many of each kind there are.
GOOD, BAD, SILENT = 19, 3, 1


def make(folder: Path, clip: Path) -> list[str]:
    """Write clips of 1.2 s, some that cannot be used, and one of silence; return their names, sorted."""
    sound, _ = soundfile.read(clip)
    (folder / "deep").mkdir(parents=True)
    names = []
    for number in range(GOOD):
        # By no order in time are the names in order: 0, 7, 14, 2, ...
        name = folder / ("deep" if number % 3 else ".") / f"{number * 7 % GOOD}.{('wav', 'flac')[number % 2]}"
        soundfile.write(name, np.roll(sound, -1000 * number)[: round(1.2 * RATE)], RATE)
        names.append(name)
    soundfile.write(folder / "short.wav", sound[:1600], RATE)  # 0.1 s, where the toy model wants 0.25
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    (folder / "empty.wav").touch()
    (folder / "letter.wav").write_text("Dear Sir or Madam")
    names += [folder / name for name in ("short.wav", "silent.wav", "empty.wav", "letter.wav")]
    return sorted(map(str, names))


def parts(folder: Path) -> dict[str, bytes]:
    """The parts by their names, in order."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def rows(folder: Path) -> bytes:
    """All rows of an archive in JSON Lines."""
    return b"".join(parts(folder).values())


def workers_of(mark: str) -> set[int]:
    """Processes that hear recordings and were started under a mark in the environment (Linux)."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if os.fsencode(mark) in environment and b"batch.worker" in command:
                found.add(int(entry.name))
    return found
