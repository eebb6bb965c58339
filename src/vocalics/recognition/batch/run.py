"""An archive of recordings into a folder of rows."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Protocol, Self

from vocalics.errors import UsageError, VocalicsError
from vocalics.recognition.batch import request
from vocalics.recognition.batch.folder import Folder, Record, open_folder
from vocalics.recognition.batch.pieces import Piece, cut
from vocalics.recognition.batch.reports import Progress, Summary
from vocalics.recognition.batch.tally import Tally
from vocalics.recognition.batch.task import Heard, Task

#: Longest time that one recording may be worked on, for a prediction and for a timeline; seconds.
LIMIT_S, LIMIT_OF_TIMELINES_S = 120.0, 1800.0


class Engine(Protocol):
    """Where recordings are heard; in a ``with`` block, which ends what it has begun.

    Attributes
    ----------
    workers
        How many recordings are heard at once.
    largest_piece
        Most recordings that should be handed out at once.
    """

    workers: int
    largest_piece: int

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""

    def hear(self, pieces: Iterable[Piece]) -> Generator[tuple[int, Heard], None, None]:
        """Yield the place of every recording among all, and what became of it, in any order."""


def _in_processes(task: Task, workers: int | None, limit_s: float, name: str) -> Engine:
    from vocalics.recognition.batch.processes import Crew

    return Crew(task, workers, limit_s, name)


def _on_ray(task: Task, workers: int | None, limit_s: float, name: str) -> Engine:
    from vocalics.recognition.batch.on_ray import RayCrew

    return RayCrew(task, workers, limit_s, name)


#: The engines by the name that the command line calls them: from the task, how many workers (None: one for
#: each core), the longest time for a recording and the model's name.
ENGINES: dict[str, Callable[[Task, int | None, float, str], Engine]] = {
    "processes": _in_processes,
    "ray": _on_ray,
}


def batch(
    paths: str | Path | Iterable[str | Path],
    output: str | Path,
    model: str | Path | None = None,
    *,
    timeline: bool | None = None,
    channels: str | None = None,
    adapt: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    abstain_below: float | None = None,
    format: str | None = None,
    part_size: int | None = None,
    engine: str = "processes",
    workers: int | None = None,
    max_work_s: float | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Answer an archive of recordings, however many: a row for each, or for each segment.

    The rows stand in the order of the sorted names, in files of `part_size` recordings, and depend on nothing
    else: not on the number of workers, the engine, or how often the run was killed and resumed.

    Parameters
    ----------
    paths
        Files, folders, patterns, tables, lists and URLs, as of `listing.list_names`. With `resume` there may
        be none: the run's own list is taken.
    output
        A folder that is not there or empty, but for `resume`.
    model
        A bundled model's name, or the path of an ``.onnx`` file; None for the bundled default.
    timeline
        A row is a segment of a timeline, instead of the prediction for a whole recording. A recording without
        speech, and one that fails, has a row as well.
    channels, adapt, window_s, hop_s
        As of `vocalics.timeline`, `adapt` being ``"auto"`` or ``"none"``; for `timeline` alone.
    abstain_below
        As of `Model.predict`.
    format
        ``"parquet"`` or ``"jsonl"``; by default Parquet where pyarrow is installed.
    part_size
        Recordings in one file; by default `request.PART_SIZE`, of timelines `request.PART_SIZE_OF_TIMELINES`.
    engine
        ``"processes"`` on this machine, or ``"ray"``: on the cluster that the environment variable
        ``RAY_ADDRESS`` names, else on this machine.
    workers
        How many recordings are heard at once; by default one for each core.
    max_work_s
        Longest time that one recording may be worked on; by default `LIMIT_S`, for a timeline
        `LIMIT_OF_TIMELINES_S`.
    resume
        Go on with the run in the folder, if there is one. What is not given is as it was then, and what is
        given must be.
    progress
        Told how far it is, again and again.

    Raises
    ------
    UsageError
        There are no recordings, the folder cannot be used, a value is out of range or not what it was.
    ModelError
        The model cannot be used.

    Examples
    --------
    >>> summary = batch("calls", "calls-emotions", timeline=True)  # doctest: +SKIP
    >>> summary.emotions  # doctest: +SKIP
    {'neutral': 0.61, 'angry': 0.21, 'abstained': 0.18}
    """
    settings = {
        "timeline": timeline,
        "channels": channels,
        "adapt": adapt,
        "window_s": window_s,
        "hop_s": hop_s,
        "abstain_below": abstain_below,
        "format": format,
        "part_size": part_size,
    }
    given = {what: value for what, value in settings.items() if value is not None}
    named = [str(paths)] if isinstance(paths, str | Path) else list(map(str, paths))
    tell = progress or (lambda _: None)
    if engine not in ENGINES:
        raise UsageError(f"there is no engine '{engine}'; give one of {', '.join(ENGINES)}.")
    for what, value in {"workers": workers, "part_size": part_size, "max_work_s": max_work_s}.items():
        if value is not None and not value > 0:
            raise UsageError(f"{what} is {value}; give a number above 0.")
    with open_folder(Path(output), resume) as folder:
        if folder.record is not None:
            request.resume(folder, folder.record, named, model, given, tell)
        record = folder.record or request.begin(folder, named, model, given, tell)
        limit_s = max_work_s or (LIMIT_OF_TIMELINES_S if record.settings["timeline"] else LIMIT_S)
        begin = partial(ENGINES[engine], _task(record), workers, limit_s, record.model)
        return _hear_all(folder, record, begin, tell)


def _task(record: Record) -> Task:
    """Return what is asked of every recording of a run."""
    asked = {what: value for what, value in record.settings.items() if what not in ("format", "part_size")}
    return Task(record.model_file, record.model_digest, **asked)


def _hear_all(
    folder: Folder, record: Record, begin: Callable[[], Engine], tell: Callable[[Progress], None]
) -> Summary:
    """Hear what is not in a finished part, and write each part as soon as all of its rows are there."""
    finished = folder.finished()
    total = Tally()
    for tally in finished.values():
        total.add(tally)
    done, failed = total.recordings, total.failed
    heard, audio_s, began = 0, 0.0, monotonic()
    tell(Progress(record.recordings, done, failed))
    if done < record.recordings:
        parts: dict[int, dict[int, Heard]] = {}  # those begun: what became of a recording, by its place
        with begin() as crew:
            pieces = cut(folder.inputs, record.part_size, finished, crew.largest_piece, crew.workers)
            with closing(crew.hear(pieces)) as answers:
                for place, one in answers:
                    part = place // record.part_size
                    answered = parts.setdefault(part, {})
                    answered[place] = one
                    if len(answered) == record.size_of(part):
                        total.add(folder.write_part(part, [answered[place] for place in sorted(answered)]))
                        del parts[part]
                    heard, failed, audio_s = heard + 1, failed + one.failed, audio_s + one.audio_s
                    elapsed_s = monotonic() - began
                    tell(Progress(record.recordings, done + heard, failed, heard, audio_s, elapsed_s))
    if total.recordings != record.recordings:
        raise VocalicsError(
            f"{record.recordings - total.recordings:,} recordings were not answered; resume the run."
        )
    return _summary(folder, record, total, heard, audio_s, monotonic() - began)


def _summary(
    folder: Folder, record: Record, total: Tally, heard: int, audio_s: float, elapsed_s: float
) -> Summary:
    weight = sum(total.emotions.values())
    return Summary(
        folder=folder.path,
        recordings=total.recordings,
        rows=total.rows,
        parts=record.n_parts,
        no_speech=total.no_speech,
        audio_s=total.audio_s,
        failed=total.failed,
        reasons=dict(sorted(total.reasons.items(), key=lambda item: -item[1].count)),
        emotions={emotion: share / weight for emotion, share in total.emotions.most_common()},
        closed=record.closed,
        heard=heard,
        heard_audio_s=audio_s,
        elapsed_s=elapsed_s,
    )
