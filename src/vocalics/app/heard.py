"""What the model says of one recording, laid out over its time for the pages to draw."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vocalics.app.take import Sound
from vocalics.card import ModelCard
from vocalics.recognition.model import Model
from vocalics.recognition.prediction import Prediction
from vocalics.recognition.recordings import read_recording
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_page import timeline_to_html

FloatArray = npt.NDArray[np.floating]

#: Columns of a spectrogram that is drawn; more frames are averaged.
MOST_COLUMNS = 1_200

#: Height of the embedded player with its waveform, of the curves where somebody speaks, and of the overview
#: that it has from so many seconds on.
PLAYER_PX, CURVES_PX, OVERVIEW_PX, OVERVIEW_FROM_S = 358, 69, 50, 60.0

#: Share of what was heard that is drawn black: a floor under it would take most of the colours.
BLACK_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Heard:
    """One recording as the network heard it.

    Attributes
    ----------
    duration_s
        Length of the recording.
    picture
        Brightness of every feature over time, uint8, (n_features, n_columns).
    picture_s
        Middles of the columns, (n_columns,).
    mel_hz
        Lowest and highest edge of the filters where the features are mel bands, else None.
    attention
        Multiples of an even share, (n_steps,); None where the network has none.
    attention_s
        Middles of its steps, (n_steps,).
    """

    duration_s: float
    picture: npt.NDArray[np.uint8]
    picture_s: FloatArray
    mel_hz: tuple[float, float] | None
    attention: FloatArray | None
    attention_s: FloatArray


def predict(model: Model, sound: Sound) -> Prediction:
    """Return the answer; that the recording cannot be used is one too."""
    return model.predict([sound.file()])[0]


def hear(model: Model, sound: Sound) -> Heard:
    """Return what the network heard of a recording that it can answer."""
    waveform = read_recording(sound.file())
    outputs = model.hear(waveform)
    window_s, n_windows = model.card.window_s, len(outputs.features)
    length_s = min(window_s, waveform.duration_s)
    # The last window ends where the recording ends, and reaches back over the one before it.
    starts_s = np.minimum(np.arange(n_windows) * window_s, waveform.duration_s - length_s)
    features, middles_s = _one_after_another(outputs.features, starts_s, length_s)
    mel_hz = mel_edges(model.card, len(features))
    features, middles_s = _averaged(features, middles_s)
    attention: FloatArray | None = None
    attention_s: FloatArray = np.empty(0)
    if outputs.attention is not None:
        share = outputs.attention[:, np.newaxis] * outputs.attention.shape[1]  # (n_windows, 1, n_steps)
        rows, attention_s = _averaged(*_one_after_another(share, starts_s, length_s))
        attention = rows[0]
    return Heard(
        waveform.duration_s, _brightness(features, mel_hz is None), middles_s, mel_hz, attention, attention_s
    )


def player(model: Model, sound: Sound) -> tuple[str, int]:
    """Return the page of a timeline, to be embedded: it plays, and shows where one is; and its height."""
    waveform = read_recording(sound.file())
    found = timeline(waveform, model)
    height_px = PLAYER_PX + (CURVES_PX if found.segments else 0)
    height_px += OVERVIEW_PX if found.duration_s >= OVERVIEW_FROM_S else 0
    return timeline_to_html(found, waveform, frame="player"), height_px


def mel_edges(card: ModelCard, n_features: int) -> tuple[float, float] | None:
    """Return the edges of the mel filters in Hz, where the card says that the features are mel bands."""
    recipe = card.training.get("recipe")
    settings = recipe.get("features") if isinstance(recipe, dict) else None
    if not isinstance(settings, dict) or settings.get("functionals"):
        return None
    stack = settings.get("stack")
    if not isinstance(stack, list) or len(stack) != 1 or not isinstance(stack[0], dict):
        return None
    only = stack[0]
    if only.get("name") not in ("mel", "log_mel") or only.get("n_mels") != n_features:
        return None
    return float(only.get("fmin") or 0.0), float(only.get("fmax") or card.sample_rate / 2)


def _one_after_another(
    windows: FloatArray, starts_s: FloatArray, length_s: float
) -> tuple[FloatArray, FloatArray]:
    """Put windows (n_windows, n_rows, n_frames) side by side; return (n_rows, n_all), and middles in s."""
    n_frames = windows.shape[2]
    within_s = (np.arange(n_frames) + 0.5) * length_s / n_frames
    kept, middles_s, reached_s = [], [], 0.0
    for window, start_s in zip(windows, starts_s, strict=True):
        new = start_s + within_s > reached_s
        kept.append(window[:, new])
        middles_s.append(start_s + within_s[new])
        reached_s = start_s + length_s
    return np.concatenate(kept, axis=1), np.concatenate(middles_s)


def _averaged(rows: FloatArray, middles_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average neighbouring columns of (n_rows, n_columns) until there are at most `MOST_COLUMNS`."""
    width = -(-rows.shape[1] // MOST_COLUMNS)
    if width == 1:
        return rows, middles_s
    first = np.arange(0, rows.shape[1], width)
    counts = np.diff(np.r_[first, rows.shape[1]])
    return np.add.reduceat(rows, first, axis=1) / counts, np.add.reduceat(middles_s, first) / counts


def _brightness(features: FloatArray, of_different_units: bool) -> npt.NDArray[np.uint8]:
    """Return features as brightness; those of different units each on a scale of its own."""
    if of_different_units:
        spread = features.std(axis=1, keepdims=True)
        features = (features - features.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    black, white = np.quantile(features, [BLACK_SHARE, 1.0])
    scaled = (features - black) / max(white - black, 1e-6)
    return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), dtype=np.uint8)
