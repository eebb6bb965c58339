"""The page of a model's repository on the hub: its README, made from the model's card.

The hub reads the YAML at its head: licence, languages, tags, and figures as `model-index`. People read the
rest.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vocalics.card import ModelCard
from vocalics.recognition.hub import HubName, digest_of

#: Tells a page that was made here from one that somebody wrote, which is not overwritten.
MADE_HERE = (
    "<!-- made from the model's card by 'vocalics models push'; without this line it is left alone -->"
)

#: Our names of licences, and the hub's [1]_. What is not among them goes by its own name.
#:
#: .. [1] https://huggingface.co/docs/hub/repositories-licenses
_LICENCES = {
    "MIT": "mit",
    "Apache-2.0": "apache-2.0",
    "CC0 1.0": "cc0-1.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "CC BY-NC-ND 4.0": "cc-by-nc-nd-4.0",
    "ODbL 1.0": "odbl",
}

#: What an evaluation is measured by on the hub, with its name for people.
_METRICS = {"uar": "UAR", "accuracy": "accuracy"}


def repository_page(hub: Any, card: ModelCard, name: HubName, files: Mapping[str, Path]) -> str:
    """Return the README of a repository.

    Parameters
    ----------
    hub
        The package huggingface_hub, which knows how to write the head.
    card
        The model's.
    name
        Of the repository.
    files
        By their names there; the model file comes first.
    """
    measured = dict(_measured(card))
    head = hub.ModelCardData(
        **_licence(card),
        language=list(card.languages) or None,
        base_model=_base_model(card),
        library_name="vocalics",
        pipeline_tag="audio-classification",
        tags=["vocalics", "speech-emotion-recognition", "emotion", "onnx", *card.training.get("corpora", ())],
        metrics=list(_METRICS) if measured else None,
        model_name=card.name if measured else None,  # of the index of figures
        eval_results=[
            hub.EvalResult(
                task_type="audio-classification",
                task_name="Speech emotion recognition",
                dataset_type=re.sub(r"\W+", "-", title).strip("-"),
                dataset_name=title,
                metric_type=metric,
                metric_name=_METRICS[metric],
                metric_value=round(100 * value["mean"], 1),
            )
            for title, figures in measured.items()
            for metric, value in figures.items()
        ]
        or None,
    )
    model = next(iter(files))
    lines = [
        "---",
        head.to_yaml().strip(),
        "---",
        "",
        MADE_HERE,
        "",
        f"# {card.name}",
        "",
        card.description,
        "",
        f"It hears mono speech at {card.sample_rate:,} Hz, {card.minimum_s:g} s or longer, and answers "
        f"calibrated probabilities of {len(card.emotions)} emotions: {', '.join(card.emotions)}.",
        "",
        "```python",
        "import vocalics  # pip install 'vocalics[hub]'",
        "",
        f'model = vocalics.load("{HubName(name.repository, name.revision, model)}")',
        'print(model.predict("talk.wav"))',
        "```",
        "",
        "Without Python, any ONNX runtime opens the file: input `waveform` (batch, samples), output "
        "`probabilities`; the labels stand in its metadata.",
        "",
        *_figures(measured, card),
        *_origin(card),
        *(["## Limits", "", *(f"- {limit}" for limit in card.limits), ""] if card.limits else []),
        "## Files",
        "",
        "| file | bytes | SHA-256 |",
        "| --- | --- | --- |",
        *(f"| `{file}` | {path.stat().st_size:,} | `{digest_of(path)}` |" for file, path in files.items()),
        "",
    ]
    return "\n".join(lines)


def _licence(card: ModelCard) -> dict[str, str]:
    known = _LICENCES.get(card.licence)
    return {"license": known} if known else {"license": "other", "license_name": card.licence}


def _base_model(card: ModelCard) -> str | None:
    """Return the hub's name of the encoder that a model was made from."""
    encoder = card.training.get("encoder", {})
    return encoder.get("source") if encoder.get("revision") else None


def _measured(card: ModelCard) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield what the card has figures of, with those that the page tells."""
    for title, entry in card.evaluation.items():
        if isinstance(entry, dict):
            figures = {metric: entry[metric] for metric in _METRICS if isinstance(entry.get(metric), dict)}
            if figures:
                yield title, figures


def _figures(measured: dict[str, dict[str, dict[str, float]]], card: ModelCard) -> Iterator[str]:
    if not measured:
        return
    yield from ("## Figures", "")
    note = card.evaluation.get("note")
    if isinstance(note, str):
        yield from (note, "")
    yield from ("In percent, with 95 % intervals where they are known.", "")
    yield "| measured on | " + " | ".join(_METRICS.values()) + " |"
    yield "| --- |" + " --- |" * len(_METRICS)
    for title, figures in measured.items():
        yield f"| {title} | " + " | ".join(_percent(figures.get(metric)) for metric in _METRICS) + " |"
    yield ""


def _percent(interval: dict[str, float] | None) -> str:
    """Spell a rate with its interval.

    Examples
    --------
    >>> _percent({"mean": 0.617, "low": 0.57, "high": 0.669}), _percent({"mean": 0.5}), _percent(None)
    ('61.7 (57.0 to 66.9)', '50.0', '')
    """
    if interval is None:
        return ""
    mean, low, high = (interval.get(key) for key in ("mean", "low", "high"))
    told = "" if mean is None else f"{100 * mean:.1f}"
    return told if low is None or high is None else f"{told} ({100 * low:.1f} to {100 * high:.1f})"


def _origin(card: ModelCard) -> Iterator[str]:
    """Tell what the model was made from, and under which licence it is."""
    yield from ("## How it was made", "")
    told = {
        "recipe": f"{card.recipe}, {card.network}, {card.parameters:,} parameters",
        "corpora": ", ".join(card.training.get("corpora", ())),
        "encoder": card.training.get("encoder", {}).get("source", ""),
        "command": f"`{card.training['command']}`" if card.training.get("command") else "",
        "calibration": card.training.get("calibration", ""),
        "licence": card.licence,
    }
    yield from (f"- {key}: {value}" for key, value in told.items() if value)
    yield ""
    citations = card.training.get("citations", ())
    if citations:
        yield from ("Please cite the corpora:", "", *(f"- {citation}" for citation in citations), "")
