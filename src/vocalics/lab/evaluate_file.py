"""Measure one model file on labelled recordings: which ones, among which emotions, and whether that is
fair."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocalics.errors import UsageError
from vocalics.lab.adaptation import adapted_confusions, list_settings
from vocalics.lab.corpora import load_data
from vocalics.lab.evaluation import Answers, evaluate, seen_speakers
from vocalics.lab.manifest import Manifest
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
    allow_seen: bool = False,
    command: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Figures of a model file on recordings that it was not trained on.

    Parameters
    ----------
    model
        A bundled model's name, an ``.onnx`` file, or a run folder, whose own test part is measured then.
    data, manifest, corpora
        Where the recordings are, as of `corpora.load_data`.
    split
        Measure on the test part of this split alone.
    emotions
        The answers are chosen among these, and clips of others left out; by default those that both sides know.
    adapt
        Also adapted to the speaker: with this number of other clips, or ``all``; compositions that are skewed stand beside it.
    allow_seen
        Measure although the model was trained on these speakers; the figures are marked.
    command
        The command line, for the record.
    tell
        Hears notes.

    Raises
    ------
    UsageError
        The model was trained on these speakers, or shares fewer than two emotions with the recordings.
    """
    run = Path(model) if Path(model).is_dir() else None
    opened = Model.load(run / "model.onnx" if run else model)
    known = load_split(split or run / "split.json") if split or run else None  # type: ignore[operator]
    utterances = _recordings(
        opened, load_data(data, manifest, corpora or (_corpora(opened) if run else None)), known
    )
    among = _shared(opened, utterances, emotions)
    left_out = sum(utterance.emotion not in among for utterance in utterances)
    if left_out:
        tell(f"left out: {left_out} utterances of other emotions")
    tested = utterances.filter(lambda utterance: utterance.emotion in among)
    seen = seen_speakers(opened, tested)
    fair = not seen or (known is not None and known.digest == opened.card.training.get("split_digest"))
    if not fair and not allow_seen:
        raise UsageError(
            f"'{opened.name}' was trained on {len(seen)} of these speakers ({', '.join(seen[:3])} ...), so its figures there "
            "mean nothing. Measure on other recordings, or say --allow-seen; the report is then marked."
        )
    scores = score(opened, tested).among(among)
    settings = list_settings(scores.emotions, (_clip_count(adapt),)) if adapt else ()
    head = AffineHead.from_card(opened.card.head)
    columns = [opened.emotions.index(emotion) for emotion in among]
    adapted = adapted_confusions(scores, head, columns, settings)
    figures = evaluate(Answers.from_scores(scores, opened.card.abstain_below), adapted)
    return {
        "model": opened.name,
        "corpora": list(tested.corpora),
        "protocol": known.protocol if known else "every utterance, unseen" if not seen else "every utterance",
        "seen_speakers": seen if not fair else [],
        "among_emotions": list(among),
        "command": command,
        **figures,
    }


def _corpora(model: Model) -> list[str]:
    return list(model.card.training["corpora"])


def _recordings(model: Model, utterances: Manifest, split: Split | None) -> Manifest:
    """The recordings in the model's vocabulary, or the test part of a split."""
    merge: dict[str, str] = model.card.training.get("recipe", {}).get("merge", {})
    renamed = replace(
        utterances,
        utterances=tuple(replace(u, emotion=merge.get(u.emotion, u.emotion)) for u in utterances),
    )
    return renamed.select(split.test) if split else renamed


def _shared(model: Model, utterances: Manifest, emotions: Sequence[str] | None) -> tuple[str, ...]:
    """The emotions to choose among, in the model's order."""
    there = {utterance.emotion for utterance in utterances}
    unknown = [emotion for emotion in emotions or () if emotion not in model.emotions]
    if unknown:
        raise UsageError(
            f"'{model.name}' does not know '{unknown[0]}'; it knows {', '.join(model.emotions)}."
        )
    among = tuple(e for e in model.emotions if e in there and (emotions is None or e in emotions))
    if len(among) < 2:
        raise UsageError(
            f"the recordings and '{model.name}' share {len(among)} emotions ({', '.join(among) or 'none'}); at least two are "
            f"needed. The recordings are labelled {', '.join(sorted(there))}."
        )
    return among


def _clip_count(adapt: str) -> int | None:
    if adapt == "all":
        return None
    if not adapt.isdigit() or int(adapt) < 1:
        raise UsageError(f"--adapt is '{adapt}'; give a number of clips, 1 or more, or 'all'.")
    return int(adapt)
