"""The app as people start it: the real command, on a free port, for a browser."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(folder: Path, *arguments: object) -> Iterator[str]:
    """Run ``vocalics app`` in a folder, on a free port; yields the address.

    Its temporary files go to ``folder/tmp``.
    """
    (folder / "tmp").mkdir(parents=True)
    program = "import sys; from vocalics.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "app", "--no-browser", "--port", "0", *map(str, arguments)]
    # A home of its own: no settings of Streamlit's that somebody has on this machine.
    own = {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
    own |= {"VOCALICS_CACHE": str(folder / "cache")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        told = process.stdout.readline()
        found = re.search(r"the page is at (http://\S+);", told)
        assert found, told + process.stdout.read()
        wait_for(found[1], process)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, rest
    assert "Traceback" not in rest, rest


def wait_for(address: str, process: subprocess.Popen) -> None:
    """Return once the server answers."""
    for _ in range(300):
        assert process.poll() is None, process.stdout.read()
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{address} does not answer")
