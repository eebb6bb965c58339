"""Several processes at one work: all are heard, and none outlives another's end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rank_work
from vocalics.errors import TrainingError
from vocalics.lab.ranks import run_ranks

posix = pytest.mark.skipif(os.name != "posix", reason="ends a process by a signal")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")  # a container without an init never buries its dead
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_each_rank_is_heard_in_its_order():
    heard = []
    run_ranks(rank_work.count, 2, heard.append)
    assert sorted(heard) == [(rank, number) for rank in (0, 1) for number in (0, 1, 2)]
    assert [number for rank, number in heard if rank == 1] == [0, 1, 2]


def test_an_error_in_one_rank_is_the_callers_and_ends_the_others():
    with pytest.raises(TrainingError, match=r"^the loss is nan\.$"):
        run_ranks(rank_work.second_raises, 2, print)


@posix
def test_a_rank_that_is_killed_ends_all_in_one_sentence():
    with pytest.raises(TrainingError, match=r"one of 2 processes \(rank 1\) was ended by SIGKILL"):
        run_ranks(rank_work.second_is_killed, 2, print)


@posix
def test_ctrl_c_ends_all_ranks():
    pids = []

    def interrupt(pid):
        pids.append(pid)
        if len(pids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ranks(rank_work.work_on, 2, interrupt)
    assert not any(is_alive(pid) for pid in pids)


@posix
def test_no_rank_outlives_a_parent_that_was_killed():
    program = """
import rank_work
from vocalics.lab.ranks import run_ranks
if __name__ == "__main__":
    run_ranks(rank_work.work_on, 2, lambda pid: print(pid, flush=True))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes) as parent:
        ranks = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while alive := [pid for pid in ranks if is_alive(pid)]:
        assert time.monotonic() < deadline, f"{alive} still run"
        time.sleep(0.05)
