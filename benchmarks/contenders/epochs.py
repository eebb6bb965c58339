"""How a contender tells how long its epochs take: one line of JSON.

It is run as ``python benchmarks/contenders/NAME.py [--clips N] [--epochs N]``. The first epoch, in which
libraries compile and choose, goes before those that count.
"""

import argparse
import json
import time
from itertools import pairwise
from typing import Any

from predicting import peak_mb


def parser() -> argparse.ArgumentParser:
    """Return the options that all contenders have."""
    options = argparse.ArgumentParser()
    options.add_argument("--clips", type=int, default=1152)
    options.add_argument("--epochs", type=int, default=3, help="that count")
    return options


class Ends:
    """When epochs ended, by the clock and in processor time of all threads."""

    def __init__(self) -> None:
        self.clock_s: list[float] = []
        self.cpu_s: list[float] = []

    def note(self) -> None:
        """Note that one has ended."""
        self.clock_s.append(time.perf_counter())
        self.cpu_s.append(time.process_time())


def tell(ends: Ends, **told: Any) -> None:
    """Print the length of each epoch that counts, and what else is known, such as the network's size."""
    spent = {"epochs s": ends.clock_s, "epochs CPU s": ends.cpu_s}
    figures = {name: [end - begin for begin, end in pairwise(noted)] for name, noted in spent.items()}
    print(json.dumps({**figures, "peak MB": peak_mb(), **told}), flush=True)
