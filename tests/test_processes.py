"""Work shared among processes: order, bounded memory, and every way to end."""

import multiprocessing
import os
import subprocess
import sys
import time
from functools import partial

import pytest

from vocalics.errors import UsageError
from vocalics.lab.processes import AHEAD, map_in_order

SQUARE = partial(partial, pow, 2)  # prepares what makes 2 ** n of n


@pytest.fixture
def started():
    """Says which processes this test has started and not ended."""
    before = set(multiprocessing.active_children())
    return lambda: set(multiprocessing.active_children()) - before


def test_answers_keep_their_order():
    assert list(map_in_order(SQUARE, range(30), workers=2)) == [2**n for n in range(30)]


def test_things_are_taken_only_a_few_ahead(started):
    taken = []
    answers = map_in_order(SQUARE, (taken.append(n) or n for n in range(100)), workers=2)
    assert [next(answers) for _ in range(10)] == [2**n for n in range(10)]
    assert len(taken) == 9 + 2 * AHEAD  # when the tenth answer is given, as many are under way
    answers.close()
    assert not started()


def test_an_error_in_a_process_is_the_callers(started):
    with pytest.raises(TypeError, match="unsupported operand"):
        list(map_in_order(SQUARE, ["no number"], workers=2))
    assert not started()


def test_a_process_that_is_killed_ends_in_one_sentence(started):
    sleep = partial(partial, time.sleep)
    answers = map_in_order(sleep, [0.0, *[60.0] * 20], workers=2)
    next(answers)
    for process in started():
        process.kill()
    with pytest.raises(UsageError, match="one of 2 worker processes was ended from outside"):
        next(answers)


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_no_process_outlives_a_parent_that_was_killed():
    program = """
from functools import partial
from vocalics.lab.processes import map_in_order
if __name__ == "__main__":
    for pid in map_in_order(partial(partial, eval), ["__import__('os').getpid()"] * 20, workers=2):
        print(pid, flush=True)
        input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as parent:
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        parent.communicate(timeout=240)  # until all who write there have ended
