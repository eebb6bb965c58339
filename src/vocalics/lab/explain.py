"""Which moments and which bands a prediction hangs on: parts of a recording are taken out one by one.

This is occlusion [1]_: the model hears the recording once more for every part, with that part taken out, and
what matters is by how much its answer changes.

The change is told in log-odds. A probability hardly moves near 1: 99.9 and 99 % seem alike, yet the odds are
ten times smaller.

.. [1] Zeiler, Fergus: Visualizing and understanding convolutional networks. ECCV 2014.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.card import ModelCard
from vocalics.errors import AudioError
from vocalics.lab.occlusion import (
    background,
    band_edges,
    moment_spans,
    without_bands,
    without_moments,
)
from vocalics.lab.recipes.feature_settings import FeatureSettings
from vocalics.recognition import speech
from vocalics.recognition.model import WINDOWS_AT_ONCE, Model
from vocalics.recognition.recordings import MAX_DURATION_S, Recording, read_recording, recording_name

FloatArray = npt.NDArray[np.floating]

#: Least probability that odds are made of.
LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What the model answers when one part after another is taken out.

    Attributes
    ----------
    starts, stops
        Of the parts, (n_parts,): seconds from the recording's beginning, or Hz.
    probabilities
        Without the part, (n_parts, n_emotions).
    support
        By how much the explained emotion's log-odds to base 2 fall without the part, (n_parts,): at 1 the
        odds are halved; below 0 the part spoke against the emotion.
    """

    starts: FloatArray
    stops: FloatArray
    probabilities: FloatArray
    support: FloatArray

    @property
    def strongest(self) -> int:
        """Index of the part that supports the emotion most."""
        return int(self.support.argmax())


@dataclass(frozen=True)
class FeatureRows:
    """What the rows and frames of a model's features are, as far as its card tells.

    Attributes
    ----------
    parts
        The features that are stacked, as (name, n_rows), from the first row on; empty when unknown.
    mel_hz
        Lowest and highest edge of the filters when all rows are mel bands, else None.
    hop_s
        From the middle of a frame to the next, the first at 0 s; None when unknown, or a single frame stands
        for all.
    """

    parts: tuple[tuple[str, int], ...] = ()
    mel_hz: tuple[float, float] | None = None
    hop_s: float | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """One window of a recording, what the model answered, and what the answer hangs on.

    Attributes
    ----------
    path
        The recording as the caller named it; None for samples in memory.
    model
        Name of the model.
    emotions
        Labels in the model's order.
    emotion
        The one that is explained: the model's answer for the recording.
    probabilities
        Of the window, (n_emotions,).
    abstained
        Whether the model would not vouch for the window's answer.
    samples, sample_rate
        The window as the network heard it, (n_samples,), and Hz.
    start_s
        Where it begins in the recording.
    excerpt
        Whether it is only a part of the recording.
    features
        What the network made of it, (n_features, n_frames).
    rows
        What these are.
    attention
        (n_steps,), with the sum 1; None where the network has none.
    moments, bands
        What was taken out, and what was answered then.
    """

    path: str | None
    model: str
    emotions: tuple[str, ...]
    emotion: str
    probabilities: FloatArray
    abstained: bool
    samples: FloatArray
    sample_rate: int
    start_s: float
    excerpt: bool
    features: FloatArray
    rows: FeatureRows
    attention: FloatArray | None
    moments: Occlusion
    bands: Occlusion

    @property
    def emotion_index(self) -> int:
        """Position of the explained emotion."""
        return self.emotions.index(self.emotion)

    @property
    def end_s(self) -> float:
        """Where the window ends in the recording."""
        return self.start_s + len(self.samples) / self.sample_rate

    @property
    def frame_edges_s(self) -> FloatArray:
        """Begin and end of the frames in the recording, (n_frames + 1,).

        Where the card does not tell the hop, the frames share the window evenly.
        """
        n_frames = self.features.shape[1]
        if self.rows.hop_s is None:
            return np.linspace(self.start_s, self.end_s, n_frames + 1)
        return np.asarray(self.start_s + (np.arange(n_frames + 1) - 0.5) * self.rows.hop_s)

    @property
    def step_edges_s(self) -> FloatArray:
        """Begin and end of the attention's steps, (n_steps + 1,); none without attention.

        A step is as many frames as the network pools; what does not fill a step at the end is dropped.
        """
        if self.attention is None:
            return np.empty(0)
        n_frames, n_steps = self.features.shape[1], len(self.attention)
        if n_frames < n_steps:
            return np.linspace(self.start_s, self.end_s, n_steps + 1)
        pooled = n_frames // n_steps
        return self.frame_edges_s[: n_steps * pooled + 1 : pooled]


def explain(model: Model, recording: Recording, start_s: float | None = None) -> Explanation:
    """Find out what the model's answer for a recording hangs on.

    Of a recording that is longer than the model's window, the window is explained in which the answer for the
    whole is most probable.

    Parameters
    ----------
    model
        Open; also one that is adapted to a speaker.
    recording
        As of `Model.predict`.
    start_s
        Explain the window that begins there instead, by its own answer; seconds.

    Returns
    -------
    Explanation
        The same for the same recording and model.

    Raises
    ------
    AudioError
        It cannot be used, is too short, or nobody speaks in it.
    """
    card = model.card
    name = recording_name(recording) or "the recording"
    heard = _read(recording, name, start_s, card.window_s)
    if heard.duration_s < card.minimum_s:
        after = "" if start_s is None else f" after {start_s:g} s"
        raise AudioError(
            f"{name} lasts {heard.duration_s:.2f} s{after}; at least {card.minimum_s:g} s is needed. "
            f"{'Record longer, or join clips.' if start_s is None else 'Start earlier.'}"
        )
    prepared = heard.mono().resampled(card.sample_rate, card.bandwidth_hz)
    if not speech.has_speech(prepared):
        raise AudioError(f"nobody speaks in {name}, so there is no emotion to explain; give other speech.")
    first, window, emotion = _choose_window(model, prepared.samples[0])
    outputs = model.run(window[np.newaxis])
    whole, _ = model.answer(window[np.newaxis])  # by the speaker's head where there is one

    samples = window.astype(np.float64)
    change = background(samples, card.sample_rate) - samples
    spans = moment_spans(len(samples), card.sample_rate)
    edges_hz = band_edges(min(card.bandwidth_hz, card.sample_rate / 2))
    begin_s = first / card.sample_rate + (start_s or 0.0)

    def occlusion(starts: FloatArray, stops: FloatArray, changed: Iterable[FloatArray]) -> Occlusion:
        without = _answers(model, changed)
        support = log_odds(whole, emotion) - log_odds(without, emotion)
        return Occlusion(starts, stops, without, support)

    times_s = begin_s + np.array(spans) / card.sample_rate  # (n_moments, 2)
    return Explanation(
        path=recording_name(recording),
        model=model.name,
        emotions=model.emotions,
        emotion=model.emotions[emotion],
        probabilities=whole[0].astype(np.float64),
        abstained=bool(whole[0].max() < card.abstain_below),
        samples=window,
        sample_rate=card.sample_rate,
        start_s=begin_s,
        excerpt=start_s is not None or len(window) < prepared.n_samples,
        features=outputs.features[0],
        rows=feature_rows(card, outputs.features.shape[1]),
        attention=None if outputs.attention is None else outputs.attention[0],
        moments=occlusion(
            times_s[:, 0], times_s[:, 1], without_moments(samples, change, spans, card.sample_rate)
        ),
        bands=occlusion(
            edges_hz[:-1], edges_hz[1:], without_bands(samples, change, edges_hz, card.sample_rate)
        ),
    )


def log_odds(probabilities: FloatArray, index: int) -> FloatArray:
    """Logarithm to base 2 of one emotion's odds against all others.

    Parameters
    ----------
    probabilities
        (n, n_emotions).
    index
        Of the emotion.

    Returns
    -------
    numpy.ndarray
        (n,), bounded at a billion to one.

    Examples
    --------
    >>> log_odds(np.array([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1]]), 0)
    array([0., 2.])
    """
    wanted = np.asarray(probabilities[:, index], dtype=np.float64)
    # The others are summed, since 1 less a probability in float32 has no digits left near 1.
    others = np.delete(probabilities, index, axis=1).sum(axis=1, dtype=np.float64)
    return np.asarray(np.log2(np.maximum(wanted, LEAST)) - np.log2(np.maximum(others, LEAST)))


def feature_rows(card: ModelCard, n_features: int) -> FeatureRows:
    """Read from a card what the rows of the model's features are; nothing where it does not tell.

    The card has the recipe, but a model file need not come from this program, or from this version of it.
    """
    recipe = card.training.get("recipe")
    try:
        settings = FeatureSettings.model_validate(recipe["features"] if isinstance(recipe, dict) else None)
    except (KeyError, ValidationError):
        return FeatureRows()
    hop_s = None if settings.functionals else settings.hop_length / card.sample_rate
    only = settings.stack[0]
    if len(settings.stack) == 1 and only.name in ("mel", "log_mel") and only.n_mels == n_features:
        mel_hz = (only.fmin, only.fmax or card.sample_rate / 2)
        return FeatureRows(((only.name, n_features),), mel_hz, hop_s)

    from vocalics.lab.features.parts import FEATURES  # and with it PyTorch, which mel bands do not need

    parts: list[tuple[str, int]] = [
        (part.name, len(FEATURES[part.name].rows(part))) for part in settings.stack
    ]
    if settings.functionals:
        parts = [(f"{name}, {what}", n_rows) for what in settings.functionals for name, n_rows in parts]
    if sum(n_rows for _, n_rows in parts) != n_features:
        return FeatureRows()
    return FeatureRows(tuple(parts), None, hop_s)


def _read(recording: Recording, name: str, start_s: float | None, window_s: float) -> Waveform:
    """Decode a recording, or the window of it that begins at `start_s`."""
    if isinstance(recording, Waveform | tuple):
        waveform = read_recording(recording)
        if start_s is None:
            return waveform
        if not 0 <= start_s < waveform.duration_s:
            raise AudioError(
                f"{name} lasts {waveform.duration_s:.2f} s; a window cannot start at {start_s:g} s."
            )
        first = int(start_s * waveform.sample_rate)
        last = first + round(window_s * waveform.sample_rate)
        return Waveform(waveform.samples[:, first:last], waveform.sample_rate)
    if start_s is not None:
        return audio.read(recording, start_s, start_s + window_s, name)
    told_s = audio.info(recording, name).duration_s
    if told_s is not None and told_s > MAX_DURATION_S:
        raise AudioError(
            f"{name} lasts {told_s:.0f} s; in more than {MAX_DURATION_S:g} s no window is looked for: give "
            f"start_s (--start-s), where the {window_s:g} s to explain begin."
        )
    return read_recording(recording)


def _choose_window(model: Model, samples: FloatArray) -> tuple[int, npt.NDArray[np.float32], int]:
    """Return where the window to explain begins, its samples, and the index of the emotion to explain."""
    spans = speech.windows(len(samples), round(model.card.window_s * model.card.sample_rate))
    probabilities = _answers(model, (samples[start:stop] for start, stop in spans))
    emotion = int(probabilities.mean(axis=0, dtype=np.float64).argmax())  # as `Model.predict` answers
    start, stop = spans[int(probabilities[:, emotion].argmax())]
    return start, np.asarray(samples[start:stop], dtype=np.float32), emotion


def _answers(model: Model, windows: Iterable[FloatArray]) -> FloatArray:
    """Probabilities (n_windows, n_emotions); no more windows at once in memory than the network hears."""
    remaining = iter(windows)
    parts = []
    while block := list(islice(remaining, WINDOWS_AT_ONCE)):
        parts.append(model.answer(np.stack(block).astype(np.float32))[0])
    return np.concatenate(parts)
