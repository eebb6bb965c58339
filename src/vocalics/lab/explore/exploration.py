"""From a manifest to a page that a person enjoys reading: what is there, how it sounds, and what is odd."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vocalics.errors import CorpusError, ModelError, UsageError
from vocalics.lab.explore import sections
from vocalics.lab.explore.listening import lay_out, listen
from vocalics.lab.explore.sample import stratified
from vocalics.lab.manifest import Manifest
from vocalics.lab.page import Page, Tile, write_page
from vocalics.lab.plots.style import in_order
from vocalics.recognition.model import Model

#: Recordings that are listened to: enough for violins, and 9,000 clips then take a minute on one core.
SAMPLE = 300


def explore(
    manifest: Manifest,
    folder: Path,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    model: str | None = None,
    workers: int | None = None,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a page about a corpus, and its pictures as PNG.

    Counts and lengths are those of all clips; how they sound is measured on a sample that is drawn evenly
    from every corpus, emotion and gender.

    Parameters
    ----------
    manifest
        What to look at.
    folder
        For ``index.html`` and the pictures.
    sample
        Recordings that are listened to, at most.
    seed
        Of the sample and the map.
    model
        Makes the map: name or path of a model; by default the bundled one, or, where there is none or with
        ``"none"``, no model but the functionals of each recording.
    workers
        Threads that listen; by default one for each core, eight at most.
    command
        The command line, for the page.
    progress
        Hears (recordings listened to, all).

    Returns
    -------
    Path of the page.

    Raises
    ------
    CorpusError
        There are no utterances, or none of the sample can be read.
    UsageError
        The sample is smaller than one recording.
    """
    if not len(manifest):
        raise CorpusError("the manifest holds no utterances; scan a folder that has some.")
    if sample < 1:
        raise UsageError(f"the sample is {sample} recordings; give 1 or more.")
    chosen = stratified(manifest, sample, seed)
    opened = _open(model)
    heard, errors = listen(manifest, chosen, opened, workers or min(8, os.cpu_count() or 1), progress)
    if not heard:
        raise CorpusError(f"none of {len(errors)} recordings can be read; the first: {errors[0]}")
    layout = lay_out(heard, seed)
    parts = [
        sections.what_is_odd(manifest, heard, errors),
        sections.examples(manifest),
        sections.balance(manifest),
        sections.lengths(manifest, heard),
        *sections.sound(heard),
        *([sections.nearness(layout, opened)] if layout else []),
        sections.numbers(manifest, heard),
        sections.method(manifest, chosen, seed, opened, command),
    ]
    page = Page(
        eyebrow="vocalics corpus explore",
        title=" + ".join(manifest.corpora),
        lead=_lead(manifest),
        tiles=_tiles(manifest),
        sections=[part for part in parts if part.blocks],
        footer="Made by vocalics. This page asks for nothing from anywhere: keep it, or send it as it is.",
    )
    return write_page(page, folder, "index")


def _open(model: str | None) -> Model | None:
    if model == "none":
        return None
    try:
        return Model.load(model)
    except ModelError:
        if model is not None:
            raise
        return None  # no model is bundled


def _lead(manifest: Manifest) -> str:
    emotions = in_order([u.emotion for u in manifest])
    people = Counter({(u.corpus, u.speaker): u.gender for u in manifest if u.speaker}.values())
    told = ", ".join(f"{count} {gender}" for gender, count in sorted(people.items()) if gender)
    who = f" by {people.total()} speakers" if people else ""
    who += f" ({told})" if told else ""
    what = f"{', '.join(emotions[:-1])} and {emotions[-1]}" if len(emotions) > 1 else emotions[0]
    return f"{len(manifest):,} recordings{who}: {what}."


def _tiles(manifest: Manifest) -> list[Tile]:
    total_s = sum(u.duration_s for u in manifest)
    median_s = float(np.median([u.duration_s for u in manifest]))
    length = f"{total_s / 3600:.1f} h" if total_s >= 3600 else f"{total_s / 60:.0f} min"
    return [
        Tile(f"{len(manifest):,}", "recordings"),
        Tile(str(len({(u.corpus, u.speaker) for u in manifest if u.speaker}) or "?"), "speakers"),
        Tile(str(len({u.emotion for u in manifest})), "emotions"),
        Tile(length, f"in all, {median_s:.1f} s the median"),
    ]
