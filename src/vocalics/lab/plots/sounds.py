"""What emotions sound like, to the eye: waveforms and spectrograms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from vocalics import emotions
from vocalics.errors import UsageError
from vocalics.lab.plots.style import INK, LINE, MUTED, headline, page, quiet, styled

FloatArray = npt.NDArray[np.floating]

#: A window long enough that the harmonics of a voice stand apart, seconds, and what is drawn of the spectrum.
WINDOW_S, HIGHEST_HZ, RANGE_DB = 0.032, 5000.0, 65.0

#: Pixels of a drawn waveform and spectrogram from left to right.
_COLUMNS = 480


@dataclass(frozen=True, eq=False)
class Sound:
    """One recording to draw.

    Attributes
    ----------
    emotion
        Its label.
    samples
        (n_samples,), full scale 1.
    sample_rate
        Hz.
    """

    emotion: str
    samples: FloatArray
    sample_rate: int


@styled
def waveforms_and_spectrograms(sounds: Sequence[Sound], title: str | None = None) -> Figure:
    """Draw one recording a row: its waveform, and its spectrogram in dB under its own maximum.

    All waveforms have one scale and all rows one time axis, so that loudness and length can be compared. The
    scale is that of square roots, or soft voices would be flat lines beside loud ones.

    Parameters
    ----------
    sounds
        At least one.
    title
        Above.
    """
    if not sounds:
        raise UsageError("there is no recording to draw; give one at least.")
    figure = page(0.7 + 0.78 * len(sounds))
    panels = figure.subplots(len(sounds), 2, squeeze=False, sharex=True, width_ratios=(1, 1.35))
    longest_s = max(len(sound.samples) / sound.sample_rate for sound in sounds)
    loudest = max(float(np.abs(sound.samples).max()) for sound in sounds) or 1.0
    for (wave, spectrum), sound in zip(panels, sounds, strict=True):
        quiet(wave)
        quiet(spectrum)
        low, high = (np.sign(edge) * np.sqrt(np.abs(edge)) for edge in _envelope(sound.samples))
        seconds = np.linspace(0, len(sound.samples) / sound.sample_rate, len(low))
        color = emotions.color(sound.emotion)
        wave.fill_between(seconds, low, high, color=color, linewidth=0.7, edgecolor=color)
        wave.set_ylim(-1.05 * loudest**0.5, 1.05 * loudest**0.5)
        wave.set_yticks([])
        wave.set_ylabel(sound.emotion, rotation=0, ha="right", va="center", color=INK)
        level_db, extent = _spectrogram(sound)
        spectrum.imshow(
            level_db,
            extent=extent,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-RANGE_DB,
            vmax=0,
            interpolation="bilinear",
        )
        spectrum.set_xlim(0, longest_s)
        spectrum.set_ylim(0, HIGHEST_HZ / 1000)
        spectrum.set_yticks([0, 2, 4])
        spectrum.yaxis.tick_right()
    panels[0, 0].set_title("waveform, one scale (square root)", fontsize=9.0, fontweight="normal")
    panels[0, 1].set_title("spectrogram, kHz", fontsize=9.0, fontweight="normal")
    for axes in panels[-1]:
        axes.set_xlabel("seconds")
        axes.spines["bottom"].set(visible=True, color=LINE)
        axes.tick_params(axis="x", labelcolor=MUTED)
    headline(figure, title or f"One recording of each of {len(sounds)} emotions")
    return figure


def _envelope(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest sample of each of at most `_COLUMNS` columns."""
    starts = np.unique(np.linspace(0, len(samples), _COLUMNS, endpoint=False).astype(int))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _spectrogram(sound: Sound) -> tuple[FloatArray, tuple[float, float, float, float]]:
    """Level (bins, frames) in dB under the maximum, and the rectangle that it fills: s, s, kHz, kHz."""
    n_window = round(WINDOW_S * sound.sample_rate)
    samples = np.pad(sound.samples.astype(np.float32), n_window // 2, mode="constant")
    hop = max(n_window // 4, len(sound.samples) // _COLUMNS)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_window)[::hop]  # (frames, n_window)
    n_fft = 2 * n_window  # twice as many bins as needed: smoother to look at
    power = np.abs(np.fft.rfft(frames * np.hanning(n_window), n_fft)) ** 2
    n_bins = min(power.shape[1], 1 + int(HIGHEST_HZ * n_fft / sound.sample_rate))
    level_db = 10 * np.log10(np.maximum(power[:, :n_bins].T, 1e-12))
    top_khz = (n_bins - 1) * sound.sample_rate / n_fft / 1000
    return level_db - level_db.max(), (0.0, len(sound.samples) / sound.sample_rate, 0.0, top_khz)
