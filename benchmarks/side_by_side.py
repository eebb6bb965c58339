"""What benchmarks against other people's programs share: a process for each contender, and who takes part.

A contender is a program in ``contenders/``, written as its users write it. It prints lines of JSON, the first
of them as soon as it has done what it is for once; a Python other than this one may run it.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch import on_cores

CONTENDERS = Path(__file__).parent / "contenders"

#: What ``contenders/keras_cnn2d.py`` imports.
KERAS_NEEDS = ("tensorflow", "keras", "librosa")

#: What tells libraries how many threads to take. They are also held to as many cores.
THREADS = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)

#: Asks a Python which packages it lacks, without importing them.
_LACKING = (
    "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"
)
_VERSIONS = (
    "import json, sys; from importlib.metadata import packages_distributions, version; "
    "known = packages_distributions(); "
    "print(json.dumps({n: version(known[n][0]) for n in sys.argv[1:] if n in known}))"
)


@dataclass(frozen=True)
class Contender:
    """A program that takes part.

    Attributes
    ----------
    name
        What tables call it.
    program
        File in ``contenders/``, and what it is always given.
    packages
        What its Python must have, by their import names.
    python
        Its Python.
    option
        The option that names another Python.
    """

    name: str
    program: Sequence[str]
    packages: Sequence[str]
    python: str = sys.executable
    option: str = ""

    def lacking(self) -> list[str]:
        """Return the packages that its Python does not have."""
        return self._ask(_LACKING).split()

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages."""
        return dict(json.loads(self._ask(_VERSIONS)))

    def _ask(self, question: str) -> str:
        command = [self.python, "-c", question, *self.packages]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def those_present(contenders: Iterable[Contender]) -> list[Contender]:
    """Return those whose packages are there, and say of the others what to install."""
    present = []
    for contender in contenders:
        if lacking := contender.lacking():
            elsewhere = (
                f", into this Python or the one that {contender.option} names" if contender.option else ""
            )
            print(
                f"left out: {contender.name}; install {', '.join(lacking)} "
                f"(pip install -r benchmarks/requirements.txt{elsewhere})",
                file=sys.stderr,
            )
        else:
            present.append(contender)
    return present


def run(
    contender: Contender, arguments: Sequence[object], cores: int = 1
) -> tuple[float, list[dict[str, Any]]]:
    """Run a contender on so many cores, with as many threads.

    Returns
    -------
    Seconds from the start of its process until its first line came, and all its lines.
    """
    environment = os.environ | dict.fromkeys(THREADS, str(cores))
    program, *given = contender.program
    command = [contender.python, str(CONTENDERS / program), *given, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as said, on_cores(cores):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
        assert process.stdout
        first = process.stdout.readline()
        first_s = time.perf_counter() - began
        rest, _ = process.communicate()
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{contender.name} failed ({process.returncode}):\n{said.read()[-2000:]}")
    return first_s, [json.loads(line) for line in [first, *rest.splitlines()]]


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the runs."""
    return {figure: statistics.median(one[figure] for one in runs) for figure in runs[0]}


def machine() -> dict[str, Any]:
    """Say what was measured on."""
    processor, listed = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if listed.is_file():
        named = [line for line in listed.read_text().splitlines() if line.startswith("model name")]
        processor = named[0].partition(":")[2].strip() if named else processor
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
