"""What a prediction hangs on: the sound, what the network heard, and what happens without parts of it."""

from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MaxNLocator

from vocalics import emotions
from vocalics.lab.explain import Explanation, FeatureRows, Occlusion
from vocalics.lab.plots.style import GREY, INK, LINE, MUTED, Look, darker, headline, page, quiet, styled

FloatArray = npt.NDArray[np.floating]

#: Least extent of an axis of odds, as logarithms to base 2, so that what hardly matters looks so.
LEAST_FOR, LEAST_AGAINST = 1.15, 0.6

#: Frequencies that are written at an axis, Hz.
TICKS_HZ = (0, 500, 1000, 2000, 4000, 8000, 16_000)

#: Features with fewer of the rows than this share go without a name; characters of the title.
NAMED_SHARE, TITLE_CHARACTERS = 0.06, 70

#: Share of what was heard that is drawn black: a floor under it would take most of the colours.
BLACK_SHARE = 0.05

_SMALL: Look = {"fontsize": 9.0, "fontweight": "normal", "pad": 4.0}

#: What speaks against the emotion.
_AGAINST_FILL, _AGAINST_EDGE = LINE, GREY


@styled
def explained_prediction(explained: Explanation, title: str | None = None) -> Figure:
    """Draw one prediction and what it hangs on.

    From top to bottom, on one axis of time: the waveform, what the network heard, its attention where it has
    any, and what each moment does for the answer; at the right what each band does, and the probabilities.

    Parameters
    ----------
    explained
        As `vocalics.lab.explain.explain` returns it.
    title
        Instead of the one that tells the answer.
    """
    heights = {"wave": 0.9, "heard": 2.0, "attention": 0.65, "moments": 1.15}
    if explained.attention is None:
        del heights["attention"]
    right = {"wave": "words", "heard": "bands"}
    figure = page(1.3 + 1.15 * sum(heights.values()))
    panels = figure.subplot_mosaic(
        [[name, right.get(name, "probabilities")] for name in heights],
        height_ratios=list(heights.values()),
        width_ratios=(2.3, 1),
    )
    for name in heights:
        quiet(panels[name], grid="x")
        panels[name].set_xlim(explained.start_s, explained.end_s)
        panels[name].tick_params(labelbottom=name == "moments")
    _draw_wave(panels["wave"], explained)
    _draw_heard(panels["heard"], explained)
    if explained.attention is not None:
        _draw_attention(panels["attention"], explained.attention, explained.step_edges_s)
    _draw_moments(panels["moments"], explained)
    _draw_bands(panels["bands"], explained)
    _draw_probabilities(panels["probabilities"], explained)
    _write_words(panels["words"], explained)
    headline(figure, title or _title(explained))
    return figure


def _draw_wave(axes: Axes, explained: Explanation) -> None:
    """Draw the samples, those of the moment that mattered most in the emotion's colour."""
    samples = explained.samples
    times_s = explained.start_s + np.arange(len(samples)) / explained.sample_rate
    axes.plot(times_s, samples, color=GREY, linewidth=0.5, gid="waveform")
    if (most := _most(explained.moments)) is not None:
        start_s, stop_s = explained.moments.starts[most], explained.moments.stops[most]
        inside = (times_s >= start_s) & (times_s < stop_s)
        color = _line_color(explained.emotion)
        axes.plot(times_s[inside], samples[inside], color=color, linewidth=0.5, gid="strongest")
    peak = float(np.abs(samples).max()) or 1.0
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([])
    axes.set_title("waveform", **_SMALL)


def _draw_heard(axes: Axes, explained: Explanation) -> None:
    """Draw the features, on an axis of frequency where they are mel bands."""
    features, rows = explained.features, explained.rows
    n_features, n_frames = features.shape
    if rows.mel_hz is not None:
        low, high = librosa.hz_to_mel(np.array(rows.mel_hz))
        # Triangular filters, evenly spaced: each is centred on the edge of its neighbours.
        edges = low + (np.arange(n_features + 1) + 0.5) * (high - low) / (n_features + 1)
        _frequency_axis(axes, explained)
        what = f"{n_features} mel bands, brighter is louder"
    else:
        edges = np.arange(n_features + 1.0)
        _row_axis(axes, rows, n_features)
        what = f"{n_features} features of the whole"
        if n_frames > 1:  # rows of different units
            spread = features.std(axis=1, keepdims=True)
            features = (features - features.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
            what = f"{n_features} features, each on its own scale"
    black, white = np.quantile(features, [BLACK_SHARE, 1.0])
    axes.grid(False)
    look: Look = {"cmap": "magma", "vmin": black, "vmax": max(white, black + 1e-6), "rasterized": True}
    axes.pcolormesh(explained.frame_edges_s, edges, features, gid="features", **look)
    axes.set_title(f"what the network heard: {what}", **_SMALL)


def _draw_attention(axes: Axes, attention: FloatArray, step_edges_s: FloatArray) -> None:
    """Draw the attention as multiples of what each step would have if all had the same."""
    share = attention * len(attention)
    axes.stairs(share, step_edges_s, fill=True, color=GREY, alpha=0.6, gid="attention")
    axes.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_ylim(0, max(2.0, 1.1 * float(share.max())))
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}×")
    axes.set_title("attention, as multiples of an even share (dashed)", **_SMALL)


def _draw_moments(axes: Axes, explained: Explanation) -> None:
    moments = explained.moments
    middles = (moments.starts + moments.stops) / 2
    # The first and the last moment stand for what lies before and behind their middles.
    times_s = np.concatenate([[explained.start_s], middles, [explained.end_s]])
    support = np.concatenate([moments.support[:1], moments.support, moments.support[-1:]])
    fill: Look = {"interpolate": True, "linewidth": 0.0}
    axes.fill_between(times_s, 0, support, where=support > 0, color=emotions.color(explained.emotion), **fill)
    axes.fill_between(times_s, 0, support, where=support < 0, color=_AGAINST_FILL, **fill)
    axes.plot(times_s, support, color=_line_color(explained.emotion), linewidth=0.9, gid="moments")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_ylim(*_odds_limits(moments.support))
    _odds_axis(axes.yaxis, 4)
    width_s = float(moments.stops[0] - moments.starts[0])
    axes.set_title(f"odds of {_plain(explained.emotion)} without {width_s:.2g} s about a moment", **_SMALL)
    axes.set_xlabel("seconds")


def _draw_bands(axes: Axes, explained: Explanation) -> None:
    support = explained.bands.support
    lower = librosa.hz_to_mel(explained.bands.starts)
    upper = librosa.hz_to_mel(explained.bands.stops)
    color, line = emotions.color(explained.emotion), _line_color(explained.emotion)
    quiet(axes, grid="x")
    axes.barh(
        (lower + upper) / 2,
        support,
        height=0.8 * (upper - lower),
        color=[color if one > 0 else _AGAINST_FILL for one in support],
        edgecolor=[line if one > 0 else _AGAINST_EDGE for one in support],
        linewidth=0.7,
        gid="bands",
    )
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(*_odds_limits(support))
    _odds_axis(axes.xaxis, 4)
    _frequency_axis(axes, explained)
    axes.tick_params(labelleft=explained.rows.mel_hz is None)  # else it is that of what was heard
    if explained.rows.mel_hz is not None:
        axes.set_ylabel("")
    axes.set_title("odds without a band", **_SMALL)


def _draw_probabilities(axes: Axes, explained: Explanation) -> None:
    rows = np.arange(len(explained.emotions))
    colors = [emotions.color(name) for name in explained.emotions]
    quiet(axes)
    axes.barh(rows, explained.probabilities, height=0.68, color=colors, gid="probabilities")
    widest = max(0.5, float(explained.probabilities.max()))
    for row, (name, probability) in enumerate(zip(explained.emotions, explained.probabilities, strict=True)):
        bold = "bold" if name == explained.emotion else "normal"
        look: Look = {"va": "center", "fontsize": 8.5, "color": INK, "fontweight": bold}
        axes.text(float(probability) + 0.03 * widest, row, f"{100 * probability:.0f} %", **look)
    axes.set_yticks(rows, [_plain(name) for name in explained.emotions], color=INK)
    axes.set_xticks([])
    axes.set_xlim(0, 1.32 * widest)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title("probabilities", **_SMALL)


def _write_words(axes: Axes, explained: Explanation) -> None:
    """Say in words what mattered most, and how an axis of odds is read."""
    moments, bands = explained.moments, explained.bands
    lines = [f"as it is: {_percent(explained.probabilities[explained.emotion_index])}"]
    if (most := _most(moments)) is not None:
        left = _percent(moments.probabilities[most, explained.emotion_index])
        lines.append(f"without {moments.starts[most]:.2f} to {moments.stops[most]:.2f} s: {left}")
    if (most := _most(bands)) is not None:
        left = _percent(bands.probabilities[most, explained.emotion_index])
        low_khz, high_khz = bands.starts[most] / 1000, bands.stops[most] / 1000
        lines.append(f"without {low_khz:.2f} to {high_khz:.2f} kHz: {left}")
    axes.axis("off")
    axes.set_title(f"probability of {_plain(explained.emotion)}", **_SMALL)
    key = "÷2: odds halved; it spoke for it\n×2: odds doubled; it spoke against"
    look: Look = {"transform": axes.transAxes, "linespacing": 1.4}
    axes.text(0, 0.98, "\n".join(lines), va="top", fontsize=8.5, color=INK, gid="words", **look)
    axes.text(0, -0.02, key, va="bottom", fontsize=8.0, color=MUTED, **look)


def _frequency_axis(axes: Axes, explained: Explanation) -> None:
    """Write Hz on an axis of mel, the same in every panel."""
    highest_hz = float(explained.bands.stops[-1])
    ticks_hz = [tick for tick in TICKS_HZ if tick <= highest_hz]
    axes.set_ylim(0, float(librosa.hz_to_mel(highest_hz)))
    axes.set_yticks(librosa.hz_to_mel(np.array(ticks_hz, dtype=float)), [f"{hz / 1000:g}" for hz in ticks_hz])
    axes.set_ylabel("kHz, mel scale")


def _row_axis(axes: Axes, rows: FeatureRows, n_features: int) -> None:
    """Name the features that stand in many rows; where nothing is known, number the rows."""
    axes.set_ylim(0, n_features)
    if not rows.parts:
        axes.set_ylabel("feature rows")
        return
    below, ticks, names = 0, [], []
    for name, n_rows in rows.parts:
        if n_rows >= NAMED_SHARE * n_features:
            ticks.append(below + n_rows / 2)
            names.append(name.replace("_", " "))
        below += n_rows
        axes.axhline(below, color="white", linewidth=0.6)
    axes.set_yticks(ticks, names)


def _odds_limits(support: FloatArray) -> tuple[float, float]:
    return min(-LEAST_AGAINST, 1.12 * float(support.min())), max(LEAST_FOR, 1.12 * float(support.max()))


def _odds_axis(axis: Axis, most_ticks: int) -> None:
    """Write what becomes of the odds at each power of two: what spoke for the emotion points up, or right."""
    axis.set_major_locator(MaxNLocator(most_ticks, integer=True))
    axis.set_major_formatter(lambda power, _: _odds(round(power)))


def _odds(power: int) -> str:
    """Say what becomes of odds whose logarithm to base 2 falls by `power`; k is 1,024, M its square.

    Examples
    --------
    >>> _odds(3), _odds(0), _odds(-1), _odds(12)
    ('÷8', 'same', '×2', '÷4k')
    """
    if not power:
        return "same"
    thousands, rest = divmod(abs(power), 10)
    return f"{'÷' if power > 0 else '×'}{2**rest}{' kMGTPE'[thousands].strip()}"


def _most(occlusion: Occlusion) -> int | None:
    """Index of the part that supports the emotion most, or None when none does."""
    return occlusion.strongest if occlusion.support.max() > 0 else None


def _line_color(emotion: str) -> str:
    """Return the emotion's colour, dark enough for a line on white."""
    return darker(emotions.color(emotion))


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"


def _title(explained: Explanation) -> str:
    where = f", {explained.start_s:.1f} to {explained.end_s:.1f} s" if explained.excerpt else ""
    share = _percent(explained.probabilities[explained.emotion_index])
    unsure = " (unsure)" if explained.abstained else ""
    answer = f"{where}: {_plain(explained.emotion)}, {share}{unsure}"
    name = Path(explained.path).name if explained.path else "a recording"
    half = max(6, (TITLE_CHARACTERS - len(answer)) // 2)
    shown = name if len(name) <= 2 * half else f"{name[:half]}…{name[1 - half :]}"
    return _plain(shown) + answer


def _plain(text: str) -> str:
    """Return a text as the figure's font can draw it, nothing in it being mathematics."""
    font = get_font(findfont("DejaVu Sans:bold"))
    shown = (char if char.isprintable() and font.get_char_index(ord(char)) else "□" for char in text)
    return "".join(shown).replace("$", r"\$")
