"""What a run is asked for: checked, written down when it begins, and compared when it is resumed."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vocalics.errors import AudioError, UsageError
from vocalics.recognition.batch.folder import Folder, Record, writing
from vocalics.recognition.batch.inputs import AT_MOST, Inputs, compare, write_inputs
from vocalics.recognition.batch.listing import list_names
from vocalics.recognition.batch.reports import Progress
from vocalics.recognition.batch.task import model_digest
from vocalics.recognition.channel import WindowPlan
from vocalics.recognition.model import Model
from vocalics.recognition.model_file import list_models, locate
from vocalics.recognition.parquet import require_parquet
from vocalics.recognition.timeline import USUAL_PLAN

#: Recordings in a part, of predictions and of timelines: of clips a part takes seconds, of calls minutes, so
#: that little is lost with a part that is not finished.
PART_SIZE, PART_SIZE_OF_TIMELINES = 1000, 100

#: What is asked unless something else is given; None leaves it to the model, or to what is installed.
USUAL: dict[str, Any] = {
    "timeline": False,
    "channels": "mix",
    "adapt": "auto",
    "window_s": None,
    "hop_s": None,
    "abstain_below": None,
    "format": None,
    "part_size": None,
}

#: What can be chosen among.
CHOICES = {"channels": ("mix", "split"), "adapt": ("auto", "none"), "format": ("parquet", "jsonl")}

#: What has a meaning for timelines alone.
OF_TIMELINES = ("channels", "adapt", "window_s", "hop_s")

#: Names listed from one telling of progress to the next.
NAMES_A_TELLING = 10_000


def begin(
    folder: Folder,
    paths: list[str],
    model: str | Path | None,
    given: Mapping[str, Any],
    tell: Callable[[Progress], None],
) -> Record:
    """Begin a run: check what is asked, make the list of recordings, and write both down."""
    import vocalics

    if not paths:
        raise UsageError("no recordings are named; name files, folders, patterns, tables, lists or URLs.")
    settings = _settled(given)
    opened = Model.load(model)
    opened.abstaining_below(settings["abstain_below"])
    WindowPlan.for_model(opened.card, USUAL_PLAN, window_s=settings["window_s"], hop_s=settings["hop_s"])
    failed: dict[str, AudioError] = {}
    inputs = _list(paths, folder.inputs_path, failed, tell)
    bundled = {path: name for name, path in list_models().items()}
    record = Record(
        version=vocalics.__version__,
        model=opened.name,
        model_file=bundled.get(opened.path) or str(opened.path.resolve()),
        model_digest=model_digest(opened.path),
        emotions=opened.emotions,
        settings=settings,
        recordings=inputs.count,
        inputs_digest=inputs.digest,
        closed=tuple(map(str, failed.values())),
    )
    folder.begin(record)
    return record


def resume(
    folder: Folder,
    record: Record,
    paths: list[str],
    model: str | Path | None,
    given: Mapping[str, Any],
    tell: Callable[[Progress], None],
) -> None:
    """Raise `UsageError` where something is asked for that the run in the folder was not begun with."""
    different = [
        f"{what} was {record.settings.get(what)!r} and is {value!r} now"
        for what, value in given.items()
        if record.settings.get(what) != value
    ]
    path = locate(record.model_file if model is None else model)
    if (digest := model_digest(path)) != record.model_digest:
        different.append(
            f"the model was '{record.model}' (SHA-256 {record.model_digest[:12]}...) and is {path} "
            f"({digest[:12]}...) now"
        )
    if paths:
        different += _changes(folder, record, paths, tell)
    if different:
        raise UsageError(
            f"the run in '{folder.path}' cannot be resumed so: {'; '.join(different)}. Give what it was "
            "begun with, or name another folder."
        )
    if record.settings["format"] == "parquet":
        require_parquet()


def _settled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, checked."""
    for what, choices in CHOICES.items():
        if what in given and given[what] not in choices:
            raise UsageError(f"{what} is '{given[what]}'; give one of {', '.join(choices)}.")
    if not given.get("timeline") and (odd := [what for what in given if what in OF_TIMELINES]):
        raise UsageError(f"{' and '.join(odd)} is for timelines alone; ask for timelines, or leave it out.")
    settings = USUAL | dict(given)
    if settings["format"] is None:
        settings["format"] = "parquet" if _parquet_is_there() else "jsonl"
    elif settings["format"] == "parquet":
        require_parquet()
    settings["part_size"] = settings["part_size"] or (
        PART_SIZE_OF_TIMELINES if settings["timeline"] else PART_SIZE
    )
    return settings


def _parquet_is_there() -> bool:
    try:
        require_parquet()
    except UsageError:
        return False
    return True


def _list(
    paths: list[str], file: Path, failed: dict[str, AudioError], tell: Callable[[Progress], None]
) -> Inputs:
    """Make the list of recordings."""

    def told(names: Iterator[str]) -> Iterator[str]:
        for count, name in enumerate(names):
            if count % NAMES_A_TELLING == 0:
                tell(Progress(count))
            yield name

    with writing(file.parent.parent):
        return write_inputs(told(list_names(paths, failed)), file)


def _changes(folder: Folder, record: Record, paths: list[str], tell: Callable[[Progress], None]) -> list[str]:
    """Say how the recordings that are named now differ from those of the run."""
    file = folder.inputs_path.with_name("inputs-now.jsonl")
    try:
        now = _list(paths, file, {}, tell)
        if now.digest == record.inputs_digest:
            return []
        gone, new = compare(folder.inputs, now)
    finally:
        file.unlink(missing_ok=True)
    told = []
    for names, what in ((gone, "not named now"), (new, "new")):
        if names:
            count = f"{len(names):,}{' or more' if len(names) == AT_MOST else ''}"
            told.append(f"{count} of the recordings {'is' if len(names) == 1 else 'are'} {what} ({names[0]})")
    return told
