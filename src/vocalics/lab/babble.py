"""Babble: several other people who speak at once."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vocalics.errors import UsageError
from vocalics.lab.manifest import Utterance

Samples = npt.NDArray[np.float32]

#: People in a babble: fewer are voices that one follows, more a noise with the spectrum of speech.
MOST_VOICES = 7
FEWEST_VOICES = 3


class Clips(Protocol):
    """Where samples are found by utterance id, such as `dataset.AudioStore`."""

    def __getitem__(self, utterance_id: str) -> Samples:
        """Return the samples (n,) of one clip."""


class Voices:
    """The clips of a part, to mix babble from.

    Parameters
    ----------
    clips
        Their samples.
    part
        Utterances; for a training those of the training part alone.

    Raises
    ------
    UsageError
        It is not known who speaks, or there is one speaker only.
    """

    def __init__(self, clips: Clips, part: Iterable[Utterance]) -> None:
        self._clips = clips
        ordered = sorted(part, key=lambda utterance: (utterance.corpus, utterance.speaker, utterance.id))
        unknown = sum(not utterance.speaker for utterance in ordered)
        if unknown:
            raise UsageError(
                f"babble is made of other speakers than the one who is tested, and {unknown} of "
                f"{len(ordered)} recordings do not say who speaks; add a column 'speaker' to their table, or "
                "leave the babble out."
            )
        self._ids = [utterance.id for utterance in ordered]
        self._own: dict[tuple[str, str], tuple[int, int]] = {}  # speaker -> first and last position, and one
        for position, utterance in enumerate(ordered):
            who = (utterance.corpus, utterance.speaker)
            self._own[who] = (self._own.get(who, (position, 0))[0], position + 1)
        if len(self._own) < 2:
            raise UsageError(
                f"babble is made of other speakers than the one who is tested, and there is "
                f"{len(self._own)} in all; add recordings of others, or leave the babble out."
            )

    def mixed(
        self, utterance: Utterance, n_samples: int, rng: np.random.Generator, n_voices: int | None = None
    ) -> Samples:
        """Mix voices of other speakers, all equally loud, (n_samples,).

        Parameters
        ----------
        utterance
            Whose speaker is not heard in it.
        n_samples
            How long it shall be; a clip that is shorter comes again and again, from a random sample on.
        rng
            Source of every draw.
        n_voices
            How many clips; by default `FEWEST_VOICES` to `MOST_VOICES` are drawn.
        """
        first, end = self._own.get((utterance.corpus, utterance.speaker), (0, 0))
        others = len(self._ids) - (end - first)
        n_voices = n_voices or int(rng.integers(FEWEST_VOICES, MOST_VOICES + 1))
        mixture = np.zeros(n_samples, dtype=np.float32)
        for drawn in rng.choice(others, size=min(n_voices, others), replace=False):
            clip = self._clips[self._ids[int(drawn) + (end - first if drawn >= first else 0)]]
            level = np.sqrt(np.dot(clip, clip) / len(clip))
            start = int(rng.integers(len(clip)))
            if level:
                mixture += np.resize(np.roll(clip, -start) if start else clip, n_samples) / level
        return mixture
