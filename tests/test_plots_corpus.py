"""Figures of corpora, read back: sounds, balance, violins, the map."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from artists import by_gid, texts, title
from vocalics import emotions
from vocalics.lab import plots


def tone(emotion="happy", hertz=1000.0, seconds=1.0, amplitude=0.5, rate=16_000):
    t = np.arange(round(seconds * rate)) / rate
    return plots.Sound(emotion, (amplitude * np.sin(2 * np.pi * hertz * t)).astype(np.float32), rate)


def test_the_spectrogram_of_a_tone_is_brightest_at_its_frequency():
    figure = plots.waveforms_and_spectrograms([tone(hertz=1000.0), tone(hertz=3000.0)])
    for axes, kilohertz in zip(figure.axes[1::2], (1.0, 3.0), strict=True):
        (image,) = axes.images
        _, _, low, high = image.get_extent()
        level_db = np.asarray(image.get_array())
        brightest = level_db.mean(axis=1).argmax() * (high - low) / (len(level_db) - 1)
        assert brightest == pytest.approx(kilohertz, abs=0.016)  # a bin at 32 ms and twice the points
        assert level_db.max() == 0


def test_rows_share_one_time_and_waveforms_one_scale():
    figure = plots.waveforms_and_spectrograms([tone(seconds=1), tone(seconds=2, amplitude=0.02)])
    waves, spectra = figure.axes[::2], figure.axes[1::2]
    assert {axes.get_xlim() for axes in spectra} == {(0.0, 2.0)}
    assert len({axes.get_ylim() for axes in waves}) == 1
    heights = [np.ptp(axes.collections[0].get_paths()[0].vertices[:, 1]) for axes in waves]
    assert heights == pytest.approx([2 * 0.5**0.5, 2 * 0.02**0.5], rel=0.01)  # square roots, both sides


def test_a_recording_of_one_sample_is_drawn_too():
    sound = plots.Sound("sad", np.zeros(1, np.float32), 8000)
    FigureCanvasAgg(plots.waveforms_and_spectrograms([sound])).draw()


def test_class_bars_are_clips_by_gender_in_the_order_of_the_vocabulary():
    clips = {"sad": {"female": 2, "male": 3}, "calm": {"female": 4, "": 1}, "boredom": {"male": 1}}
    figure = plots.class_balance(clips)
    widths = {
        gender: [bar.get_width() for bar in bars]
        for gender, bars in zip(("female", "male", "unknown"), figure.axes[0].containers, strict=True)
    }
    assert widths == {"female": [4, 2, 0], "male": [0, 3, 1], "unknown": [1, 0, 0]}
    assert "5  (4 + 0 + 1)" in texts(figure)
    assert title(figure) == "From 1 (boredom) to 5 clips (calm)"


def test_speakers_are_columns_and_corpora_are_parted():
    counts = np.arange(12).reshape(2, 6)
    speakers = [("ravdess", "01"), ("ravdess", "02"), ("ravdess", "03"), *(("tess", n) for n in "abc")]
    figure = plots.speaker_balance(counts, speakers, ("calm", "sad"))
    assert np.array_equal(by_gid(figure, "clips").get_array().reshape(2, 6), counts)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][3] == "tess/a"
    assert title(figure) == "6 speakers have 6 to 16 clips"


def test_a_crowd_of_speakers_is_named_by_corpus():
    speakers = [("cremad", str(n)) for n in range(91)] + [("tess", "OAF"), ("tess", "YAF")]
    figure = plots.speaker_balance(np.ones((2, 93)), speakers, ("calm", "sad"))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["cremad\n(91)", "tess\n(2)"]


def test_the_dot_of_a_violin_is_the_median_and_its_ends_are_the_extremes():
    values = {"happy": np.array([1.0, 2.0, 4.0, 9.0, np.nan]), "sad": np.array([5.0, 5.0])}
    figure = plots.distributions([plots.Measured("length", "s", values)], "Lengths")
    axes = figure.axes[0]
    dots = [one.get_offsets()[0].tolist() for one in axes.collections if one.get_gid() == "median"]
    assert dots == [[3.0, 0], [5.0, 1]]
    happy = by_gid(figure, "happy").get_paths()[0].vertices
    assert (happy[:, 0].min(), happy[:, 0].max()) == (1.0, 9.0)
    assert axes.get_title(loc="left") == "length: happy → sad"


def test_the_map_has_the_points_with_colours_of_emotions_and_markers_of_genders():
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    figure = plots.embedding_map(points, ["sad", "sad", "calm"], ["female", "male", ""], "A map")
    found = {
        one.get_gid(): (one.get_offsets().tolist(), to_hex(one.get_facecolor()[0]))
        for one in figure.axes[0].collections
    }
    assert found == {
        "calm": ([[4.0, 5.0]], emotions.color("calm")),
        "sad female": ([[0.0, 1.0]], emotions.color("sad")),
        "sad male": ([[2.0, 3.0]], emotions.color("sad")),
    }
    markers = [len(one.get_paths()[0].vertices) for one in figure.axes[0].collections]
    assert len(set(markers)) == 3  # a square, a circle, a triangle
