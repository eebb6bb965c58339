"""Any recipe's features of many recordings, in several processes, into one file."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vocalics.errors import AudioError, CorpusError, UsageError
from vocalics.lab.feature_files import ARCHIVES, TABLES, Content, FloatArray, feature_file
from vocalics.lab.front_end import build_front_end, hop_samples
from vocalics.lab.manifest import Manifest
from vocalics.lab.processes import map_in_order
from vocalics.lab.progress import Bar, Tell, tell_nobody
from vocalics.lab.recipes import Recipe
from vocalics.recognition.recordings import Recording, read_recording, recording_name

#: Loading PyTorch takes a process about as long as so many recordings do; fewer do not pay for one.
RECORDINGS_A_WORKER = 250

#: Statistics of each row over the frames of a recording: float64 (n_rows, n_frames) -> (n_rows,).
FUNCTIONALS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "mean": lambda frames: frames.mean(axis=1),
    "std": lambda frames: frames.std(axis=1),
    "min": lambda frames: frames.min(axis=1),
    "q1": lambda frames: np.quantile(frames, 0.25, axis=1),
    "median": lambda frames: np.median(frames, axis=1),
    "q3": lambda frames: np.quantile(frames, 0.75, axis=1),
    "max": lambda frames: frames.max(axis=1),
}


class Extractor:
    """Recording to a recipe's features, by the very module that goes into its models.

    They are what the front end has before it normalises, cuts or pads: all frames, in units of their own.

    Parameters
    ----------
    recipe
        Its sample rate, bandwidth, shortest clip and features count.

    Examples
    --------
    >>> from vocalics.lab.recipes import load_recipe
    >>> extractor = Extractor(load_recipe("vocalics"))
    >>> extractor.row_names[:2], extractor.hop_s
    (('log_mel_0', 'log_mel_1'), 0.016)
    >>> extractor.frames((np.zeros(16_000), 16_000)).shape  # a second of silence
    (64, 63)
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._front_end = build_front_end(recipe).eval()

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the rows, such as ``mfcc_0``."""
        return self._front_end.row_names

    @property
    def hop_s(self) -> float:
        """Time from frame to frame, seconds; the first is centred on the first sample."""
        return hop_samples(self._front_end) / self._recipe.sample_rate

    @torch.inference_mode()
    def frames(self, recording: Recording) -> FloatArray:
        """Return the features (n_rows, n_frames) of one recording.

        Raises
        ------
        AudioError
            It cannot be read, is shorter than the recipe's shortest clip or longer than ten minutes.
        """
        waveform = read_recording(recording)
        if waveform.duration_s < self._recipe.minimum_s:
            raise AudioError(
                f"{recording_name(recording) or 'the recording'} lasts {waveform.duration_s:.2f} s; at least "
                f"{self._recipe.minimum_s:g} s is needed. Record longer, or join clips."
            )
        heard = waveform.mono().resampled(self._recipe.sample_rate, self._recipe.bandwidth_hz)
        samples = torch.from_numpy(heard.samples.copy())  # (1, n_samples)
        frames: FloatArray = self._front_end.frames(samples)[0].numpy()
        return frames


@dataclass(frozen=True)
class Extracted:
    """What an extraction left behind.

    Attributes
    ----------
    recordings
        How many stand in the file.
    row_names
        Of the recipe's features.
    failed
        One sentence for each recording that does not stand in it.
    """

    recordings: int
    row_names: tuple[str, ...]
    failed: tuple[str, ...]


def extract(
    recipe: Recipe,
    manifest: Manifest,
    path: Path,
    *,
    functionals: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Bar | None = None,
    tell: Tell = tell_nobody,
) -> Extracted:
    """Write a recipe's features of every recording, in the order of the manifest.

    Parameters
    ----------
    recipe
        Says which; its emotions do not matter.
    manifest
        The recordings.
    path
        A table of functionals, ``.parquet`` or ``.csv``, or an archive of frames, ``.npz``; see
        `vocalics.lab.feature_files`. It is there when all is done, or not at all.
    functionals
        As for `choose_functionals`.
    workers
        Processes; by default one for each core, or fewer for few recordings. What is written does not depend
        on it. A script calls this under ``if __name__ == "__main__":``, since every process reads the script.
    progress
        Hears (recordings done, all).
    tell
        Hears a sentence about each recording that cannot be used; the others go on.

    Raises
    ------
    UsageError
        As `choose_functionals`; or the path cannot be written.
    CorpusError
        The manifest is empty, or none of its recordings can be used.
    """
    if not len(manifest):
        raise CorpusError("there is no recording to take features of; name a manifest or a folder with some.")
    names = choose_functionals(path, functionals)
    extractor = Extractor(recipe)
    content = Content(extractor.row_names, names, extractor.hop_s, recipe.to_yaml(), manifest.root)
    recordings = [manifest.audio_path(utterance) for utterance in manifest]
    analysed = map_in_order(partial(_work, recipe, names), recordings, _workers(workers, manifest))
    failed: list[str] = []
    with (
        feature_file(path) as file,
        (TABLES | ARCHIVES)[path.suffix](file, content) as add,
        _threads_restored(),
        closing(analysed) as answers,
    ):
        for done, (utterance, answer) in enumerate(zip(manifest, answers, strict=True), start=1):
            if isinstance(answer, str):
                failed.append(answer)
                tell(answer)
            else:
                add(utterance, answer)
            if progress:
                progress(done, len(manifest))
        if len(failed) == len(manifest):
            raise CorpusError(f"none of {len(failed)} recordings can be used, so '{path}' is not written.")
    return Extracted(len(manifest) - len(failed), extractor.row_names, tuple(failed))


def summarise(frames: FloatArray, functionals: Sequence[str]) -> FloatArray:
    """Return all functionals of the first row, of the second, and so on: (n_rows, n_frames) -> (n,), float32.

    Examples
    --------
    >>> summarise(np.array([[1, 2, 6], [5, 5, 5]], dtype=np.float32), ["mean", "median"])
    array([3., 2., 5., 5.], dtype=float32)
    """
    precise = frames.astype(np.float64)
    values = np.stack([FUNCTIONALS[name](precise) for name in functionals], axis=1)  # (n_rows, n_functionals)
    return values.ravel().astype(np.float32)


def choose_functionals(path: Path, given: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the functionals that go into a file of this name, each once: none into an archive of frames.

    Parameters
    ----------
    path
        Its suffix says what is written.
    given
        Names in `FUNCTIONALS`; by default, for a table, all.

    Raises
    ------
    UsageError
        The path names no kind of file or is a folder; a functional is not known, or not for this kind.

    Examples
    --------
    >>> choose_functionals(Path("table.csv"), ["max", "mean"]), choose_functionals(Path("frames.npz"))
    (('max', 'mean'), ())
    """
    if path.suffix not in TABLES | ARCHIVES:
        raise UsageError(
            f"'{path}' names no kind of file; let it end in .parquet or .csv, for functionals, or in .npz, "
            "for frames."
        )
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file.")
    if path.suffix in ARCHIVES:
        if given:
            raise UsageError(
                f"functionals go into a table, and '{path}' holds frames; name a .parquet or .csv."
            )
        return ()
    for name in given or ():
        if name not in FUNCTIONALS:
            near = get_close_matches(name, FUNCTIONALS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            raise UsageError(f"unknown functional '{name}'{hint} Known: {', '.join(FUNCTIONALS)}.")
    return tuple(dict.fromkeys(given or FUNCTIONALS))


def _workers(wanted: int | None, manifest: Manifest) -> int:
    most = wanted or min(os.cpu_count() or 1, math.ceil(len(manifest) / RECORDINGS_A_WORKER))
    return min(most, len(manifest))


def _work(recipe: Recipe, functionals: Sequence[str]) -> Callable[[Path], FloatArray | str]:
    """Return what a process does with a recording: frames or their functionals, or why there are none."""
    torch.set_num_threads(1)  # the processes are as many as the cores; and with more, sums differ in rounding
    extractor = Extractor(recipe)

    def work(recording: Path) -> FloatArray | str:
        try:
            frames = extractor.frames(recording)
        except AudioError as error:
            return str(error)
        return summarise(frames, functionals) if functionals else frames

    return work


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Undo what `_work` did to PyTorch's threads where it ran in this process."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
