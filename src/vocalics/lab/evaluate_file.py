"""Measure a model file on labelled recordings: which ones, among which emotions, and whether that is fair."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vocalics.errors import UsageError
from vocalics.lab.adaptation import adapted_confusions, list_settings
from vocalics.lab.corpora import Note, load_data
from vocalics.lab.evaluation import Answers, evaluate, seen_speakers
from vocalics.lab.manifest import Manifest
from vocalics.lab.progress import Progress, Tell, no_progress, tell_nobody
from vocalics.lab.scores import score
from vocalics.lab.splits import Split, load_split
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model import Model


def evaluate_file(
    model: str,
    *,
    data: Path | None = None,
    manifest: Path | None = None,
    corpora: Sequence[str] | None = None,
    split: Path | None = None,
    emotions: Sequence[str] | None = None,
    adapt: str | None = None,
    conditions: str | None = None,
    allow_seen: bool = False,
    command: str = "",
    progress: Progress = no_progress,
    tell: Tell = tell_nobody,
) -> dict[str, Any]:
    """Measure a model file on recordings that it was not trained on.

    Parameters
    ----------
    model
        A bundled model's name, an ``.onnx`` file, or a run folder. Of a run its own test part is measured,
        unless `corpora` or `split` name something else.
    data, manifest, corpora
        Where the recordings are, as of `corpora.load_data`.
    split
        Measure on the test part of this split alone.
    emotions
        Choose the answers among these, and leave out clips of others; by default those that both sides know.
    adapt
        Measure also adapted to the speaker: with this number of other clips, ``all``, or ``1,5,all``;
        one-sided compositions stand beside it.
    conditions
        Measure also under bad recordings: ``all``, or names of `conditions.CONDITIONS`, ``mp3,telephone``.
    allow_seen
        Measure although the model was trained on these speakers; the figures are marked.
    command
        The command line, for the record.
    progress
        Opens a progress bar under a title.
    tell
        Hears notes.

    Returns
    -------
    The figures of `evaluation.evaluate`, after ``model``, ``corpora``, ``protocol``, ``seen_speakers`` (empty
    where the measure is fair), ``among_emotions`` and ``command``.

    Raises
    ------
    UsageError
        The model was trained on these speakers, shares fewer than two emotions with the recordings, or is of
        a run that is not finished; or a condition does not exist, or needs other speakers.
    """
    clip_counts = () if adapt is None else _clip_counts(adapt)
    condition_names: tuple[str, ...] = ()
    if conditions is not None:
        from vocalics.lab.conditions import condition_probabilities, list_conditions  # which loads PyTorch

        condition_names = list_conditions(conditions)
    run = Path(model) if Path(model).is_dir() else None
    opened = Model.load(_model_of(run) if run else model)
    test_part = _test_part(run, split, measures_elsewhere=corpora is not None)
    own = opened.card.training["recipe"]["corpora"] if run and test_part else None
    notes: list[Note] = []
    with progress("reading the corpora") as bar:
        utterances = load_data(data, manifest, corpora or own, progress=bar, notes=notes.append)
    for note in notes:
        tell(note.message)
    recordings = utterances
    if test_part:
        utterances = utterances.select(test_part.test)

    tested, among = _shared(opened, utterances, emotions, tell)
    seen = seen_speakers(opened.card, tested)
    if test_part and test_part.digest == opened.card.training.get("split_digest"):
        seen = []  # whatever the protocol, these recordings were kept from the training
    if seen and not allow_seen:
        raise UsageError(
            f"'{opened.name}' was trained on {len(seen)} of these speakers ({', '.join(seen[:3])}"
            f"{' ...' if len(seen) > 3 else ''}), so its figures there mean nothing. Measure on other "
            "recordings, or say --allow-seen; the report is then marked."
        )
    with progress("listening") as bar:
        scores = score(opened, tested, progress=bar).among(among)
    settings = list_settings(among, clip_counts) if clip_counts else ()
    columns = [opened.emotions.index(emotion) for emotion in among]
    adapted = adapted_confusions(scores, AffineHead.from_card(opened.card.head), columns, settings)
    badly_recorded = (
        condition_probabilities(opened, tested, among, condition_names, recordings, progress)
        if condition_names
        else {}
    )
    protocol = test_part.protocol if test_part else "every recording"
    return {
        "model": opened.name,
        "corpora": list(tested.corpora),
        "protocol": protocol if seen or test_part else f"{protocol}, none of them trained on",
        "seen_speakers": seen,
        "among_emotions": list(among),
        "command": command,
        **evaluate(Answers.from_scores(scores, opened.card.abstain_below), adapted, badly_recorded),
    }


def _model_of(run: Path) -> Path:
    path = run / "model.onnx"
    if path.is_file():
        return path
    if (run / "recipe.yaml").is_file():
        raise UsageError(
            f"the training in {run} is not finished; give the 'vocalics train' command again, and it goes on."
        )
    raise UsageError(f"{run} is no run folder: it holds no model.onnx. Name a run, or an .onnx file.")


def _test_part(run: Path | None, split: Path | None, measures_elsewhere: bool) -> Split | None:
    """Return the split whose test part is measured, or None for every recording."""
    if split is None and (run is None or measures_elsewhere):
        return None
    chosen = load_split(split or Path(run or "", "split.json"))
    if not chosen.test:
        raise UsageError(
            f"the split of {split or run} keeps nothing to test (protocol '{chosen.protocol}'); name other "
            "recordings with --corpus."
        )
    return chosen


def _shared(
    model: Model, utterances: Manifest, emotions: Sequence[str] | None, tell: Tell
) -> tuple[Manifest, tuple[str, ...]]:
    """Return the recordings of emotions that both sides know, and these emotions in the model's order."""
    unknown = [emotion for emotion in emotions or () if emotion not in model.emotions]
    if unknown:
        raise UsageError(
            f"'{model.name}' does not know '{unknown[0]}'; it knows {', '.join(model.emotions)}."
        )
    merge: dict[str, str] = model.card.training.get("recipe", {}).get("merge", {})
    tested, left_out = utterances.project(emotions or model.emotions, merge)
    there = {utterance.emotion for utterance in tested}
    among = tuple(emotion for emotion in model.emotions if emotion in there)
    if len(among) < 2:
        labels = ", ".join(sorted({utterance.emotion for utterance in utterances}))
        raise UsageError(
            f"the recordings have {len(among)} of the emotions that '{model.name}' chooses among; at least "
            f"two are needed. They are labelled {labels or 'not at all'}."
        )
    for emotion, count in left_out.items():
        tell(f"left out: {count} recordings of '{emotion}'")
    return tested, among


def _clip_counts(adapt: str) -> tuple[int | None, ...]:
    """Return the numbers of clips to adapt with; None is all that there are."""
    counts: list[int | None] = []
    for count in adapt.split(","):
        if count != "all" and not (count.isdecimal() and int(count) >= 1):
            raise UsageError(
                f"--adapt is '{adapt}'; give a number of clips, 1 or more, or 'all', or several: 1,5,all."
            )
        counts.append(None if count == "all" else int(count))
    return tuple(counts)
