"""Ray Data: the same answers on a cluster, or on this machine.

Pieces of the list are the rows of a dataset; a pool of actors hears them, a few waiting for each, and answers
come as they are ready. An actor is a crew of one worker process, so whatever a recording does to its
process, the actor and Ray live on.
"""

import io
import logging
import os
import signal
import sys
import threading
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from vocalics.errors import MissingExtraError, UsageError, VocalicsError
from vocalics.recognition.batch.pieces import Piece
from vocalics.recognition.batch.processes import Crew
from vocalics.recognition.batch.task import Heard, Task, pack, unpack
from vocalics.recognition.worker_process import count_cores

#: What Ray is told by its environment: no reports of usage, no bars, no advice.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

#: Memory that Ray's processes share where Ray is started here, bytes; names and rows are small.
SHARED_BYTES = 256 << 20


class RayCrew:
    """Actors that hear pieces of the work; use it in a ``with`` block, which ends what it has started.

    Parameters
    ----------
    task, workers, limit_s, name
        As of `Crew`; `workers` None for one for each core of the cluster.
    """

    #: An answer is a whole piece, and each costs Ray some milliseconds.
    largest_piece = 128

    def __init__(self, task: Task, workers: int | None, limit_s: float, name: str) -> None:
        self.workers = workers or 0
        self._asked: dict[str, Any] = {"task": task, "limit_s": limit_s, "name": name}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Connect to the cluster that the environment names, else start Ray here."""
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        try:
            import ray.data
        except ImportError:
            raise MissingExtraError(
                "the engine 'ray' needs Ray, which is not installed: pip install 'vocalics[ray]'"
            ) from None
        if not ray.is_initialized():
            self._stack.enter_context(_own_ray(self.workers or count_cores()))
        self.workers = self.workers or int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call, unused-ignore]
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the cluster, or end Ray where it was started here."""
        self._stack.close()

    def hear(self, pieces: Iterable[Piece]) -> Generator[tuple[int, Heard], None, None]:
        """Yield the place of every recording among all, and what became of it, in any order."""
        import pyarrow as pa
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # A block for each piece, made here: to split a table Ray would start processes of its own.
        blocks = [
            pa.table({"first": [piece.first], "names": [zlib.compress(b"\n".join(piece.names))]})
            for piece in pieces
        ]
        answers = ray.data.from_blocks(blocks).map_batches(
            _Actor,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(self.workers, len(blocks))),
            fn_constructor_kwargs=self._asked,
            num_cpus=1,
        )
        with ExitStack() as starting:
            starting.enter_context(_unheard())
            for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
                starting.close()  # the first answer: the actors are there
                yield from _answers(batch)


def _answers(batch: Any) -> Iterator[tuple[int, Heard]]:
    """Take what an actor has answered apart."""
    for row in batch.to_pylist():
        if row["error"] is not None:
            raise VocalicsError(row["error"])
        yield from enumerate(unpack(io.BytesIO(row["answers"])) or (), start=row["first"])


class _Actor:
    """What Ray starts: a crew of one worker process."""

    def __init__(self, task: Task, limit_s: float, name: str) -> None:
        self._crew = Crew(task, 1, limit_s, name)

    def __call__(self, batch: Any) -> Any:
        """Hear the pieces of a table; an error that is everyone's is told in it."""
        import pyarrow as pa

        answers: list[bytes | None] = []
        error: str | None = None
        for row in batch.to_pylist():
            piece = Piece(row["first"], tuple(zlib.decompress(row["names"]).split(b"\n")))
            try:
                heard = dict(self._crew.hear([piece]))
                answers.append(pack([heard[place] for place in sorted(heard)]))
            except VocalicsError as failure:
                error = str(failure)
                answers.append(None)
        columns = {
            "answers": pa.array(answers, pa.binary()),
            "error": pa.array([error] * len(answers), pa.string()),
        }
        return pa.table({"first": batch["first"], **columns})


@contextmanager
def _own_ray(n_cores: int) -> Iterator[None]:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start Ray on this machine; and let go of it."""
    import ray

    here: dict[str, Any] = {
        "address": "local",
        "num_cpus": n_cores,
        "include_dashboard": False,
        "object_store_memory": SHARED_BYTES,
    }
    in_main_thread = threading.current_thread() is threading.main_thread()
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            **({} if os.environ.get("RAY_ADDRESS") else here),
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        told = " ".join(str(error).split())[:200]
        raise UsageError(f"Ray cannot be reached or started ({told}); check RAY_ADDRESS.") from None
    except SystemExit:  # Ray takes SIGTERM for itself, and it came
        raise KeyboardInterrupt from None
    if in_main_thread:
        signal.signal(signal.SIGTERM, at_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _unheard() -> Iterator[None]:
    """Let nothing but Python write to the terminal.

    Ray tells there of each actor that it starts for Ray Data that it may not restart (its issue 57733).
    """
    python: Any = sys.stderr
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    if python is sys.__stderr__ and python is not None:
        python.flush()
        kept = os.dup(terminal)
        sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=python.encoding, errors=python.errors)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        if sys.stderr is not python:
            sys.stderr.close()
            sys.stderr = python
        os.dup2(terminal, 2)
        os.close(terminal)
