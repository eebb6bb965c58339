"""Windows of one speaker become cells, segments, a summary and turning points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocalics.recognition.track import (
    TURNING_DISTANCE,
    Track,
    join_cells,
    mean_position,
    turning_points,
)

LABELS = ("neutral", "happy", "sad", "angry")


def one(label, share=1.0):
    """Probabilities with this share on one emotion, the rest spread."""
    rest = (1 - share) / (len(LABELS) - 1)
    return np.array([share if name == label else rest for name in LABELS], dtype=np.float32)


def made(stretches, embedding=()):
    """A track of [(start_s, end_s, [(start_s, end_s, probabilities), ...]), ...]."""
    track = Track(len(LABELS), keep_embeddings=bool(len(embedding)))
    for start_s, end_s, windows in stretches:
        for window_start_s, window_end_s, probabilities in windows:
            track.add_window(
                window_start_s, window_end_s, probabilities, np.array(embedding, dtype=np.float32)
            )
        track.add_stretch(start_s, end_s)
    return track


def cells_of(track):
    return track.cells(track.probabilities())


def pieces_of(track):
    return [
        (round(piece.start_s, 3), round(piece.end_s, 3), LABELS[piece.probabilities.argmax()])
        for piece in join_cells(cells_of(track))
    ]


def spoken(labels, length_s=10.0):
    """A speaker who is of one emotion after another, `length_s` of speech each, a second of pause between."""
    stretches, start_s = [], 0.0
    for label in labels:
        end_s = start_s + length_s
        windows = [(start_s + s, start_s + s + 1, one(label)) for s in range(int(length_s))]
        stretches.append((start_s, end_s, windows))
        start_s = end_s + 1
    return made(stretches)


def test_a_cell_is_the_mean_of_the_windows_that_cover_it():
    track = made([(0.0, 4.0, [(0.0, 3.0, one("happy")), (1.0, 4.0, one("sad"))])])
    cells = cells_of(track)
    assert cells.starts_s.tolist() == [0.0, 1.0, 3.0]
    assert cells.ends_s.tolist() == [1.0, 3.0, 4.0]
    np.testing.assert_allclose(cells.probabilities, [one("happy"), [0, 0.5, 0.5, 0], one("sad")], atol=1e-7)


def test_a_window_tells_nothing_of_what_lies_beyond_its_stretch():
    track = made([(1.0, 2.0, [(0.9, 2.3, one("happy"))]), (2.2, 3.0, [(2.2, 3.3, one("sad"))])])
    cells = cells_of(track)
    assert cells.starts_s.tolist() == [1.0, 2.2]
    assert cells.ends_s.tolist() == [2.0, 3.0]
    np.testing.assert_allclose(cells.probabilities, [one("happy"), one("sad")], atol=1e-7)


def test_a_stretch_without_windows_and_one_that_has_not_ended_have_no_cells():
    track = made([(0.0, 1.0, []), (2.0, 3.0, [(2.0, 3.0, one("sad"))])])
    track.add_window(4.0, 5.0, one("happy"), np.empty(0, dtype=np.float32))
    assert cells_of(track).starts_s.tolist() == [2.0]


@given(st.lists(st.tuples(st.floats(0.2, 5), st.floats(0.01, 2), st.integers(0, 3)), min_size=1, max_size=12))
def test_cells_fill_the_stretches_and_nothing_else(stretches):
    made_of, start_s = [], 0.0
    for length_s, pause_s, label in stretches:
        edges = np.linspace(start_s, start_s + length_s, 4)
        windows = [
            (a, b, one(LABELS[label]))
            for a, b in zip(edges[:-1], [*edges[2:].tolist(), edges[-1]], strict=True)
        ]
        made_of.append((start_s, start_s + length_s, windows))
        start_s += length_s + pause_s
    cells = cells_of(made(made_of))
    assert (cells.ends_s > cells.starts_s).all()
    assert (cells.starts_s[1:] >= cells.ends_s[:-1]).all()
    assert (cells.ends_s - cells.starts_s).sum() == pytest.approx(
        sum(end - start for start, end, _ in made_of)
    )
    np.testing.assert_allclose(cells.probabilities.sum(axis=1), 1, atol=1e-6)


def test_cells_of_one_emotion_join_over_short_pauses_only():
    def second(start_s, label):
        return (start_s, start_s + 1, [(start_s, start_s + 1, one(label))])

    track = made([second(0.0, "sad"), second(1.4, "sad"), second(2.9, "sad"), second(4.0, "happy")])
    assert pieces_of(track) == [(0.0, 2.4, "sad"), (2.9, 3.9, "sad"), (4.0, 5.0, "happy")]
    assert join_cells(cells_of(track))[0].speech_s == pytest.approx(2.0)  # without the pause


def test_a_piece_is_the_mean_over_its_speech_by_time():
    track = made([(0.0, 3.0, [(0.0, 1.0, one("sad", 0.9)), (1.0, 3.0, one("sad", 0.6))])])
    (piece,) = join_cells(cells_of(track))
    assert piece.probabilities[2] == pytest.approx((0.9 + 2 * 0.6) / 3)


def test_nobody_who_speaks_has_nothing():
    track = Track(len(LABELS), keep_embeddings=True)
    cells = cells_of(track)
    assert join_cells(cells) == []
    assert mean_position(cells, LABELS) is None
    assert turning_points(cells, LABELS) == ()
    assert len(track.clips()[0]) == 0
    assert track.curve("ann", track.probabilities()).probabilities.shape == (0, 4)


def test_the_mean_position_is_weighted_by_time_and_probability():
    track = made([(0.0, 4.0, [(0.0, 3.0, one("angry")), (3.0, 4.0, one("neutral"))])])
    valence, arousal = mean_position(cells_of(track), LABELS)
    assert valence == pytest.approx(-0.6 * 3 / 4)  # anger lies at (-0.6, 0.8), neutral in the middle
    assert arousal == pytest.approx(0.8 * 3 / 4)


def test_a_label_without_coordinates_has_no_position_and_no_turning_points():
    cells = cells_of(spoken(["happy", "sad"]))
    assert mean_position(cells, ("bored", "happy", "sad", "angry")) is None
    assert turning_points(cells, ("bored", "happy", "sad", "angry")) == ()


def test_a_turning_point_is_found_where_the_speaker_turned():
    (point,) = turning_points(cells_of(spoken(["neutral", "neutral", "angry", "angry"])), LABELS)
    assert (point.time_s, point.before, point.after) == (22.0, "neutral", "angry")
    assert point.change == pytest.approx(1.0)  # from (0, 0) to (-0.6, 0.8)


def test_a_passing_moment_and_an_even_temper_are_no_turning_points():
    assert turning_points(cells_of(spoken(["happy"] * 6)), LABELS) == ()
    moment = made([(0.0, 40.0, [(s, s + 1.0, one("angry" if s == 20 else "neutral")) for s in range(40)])])
    assert turning_points(cells_of(moment), LABELS) == ()


def test_several_turns_are_told_in_order_of_time():
    points = turning_points(cells_of(spoken(["sad"] * 3 + ["happy"] * 3 + ["sad"] * 3)), LABELS)
    assert [(point.before, point.after) for point in points] == [("sad", "happy"), ("happy", "sad")]
    assert points[0].time_s < points[1].time_s
    assert all(point.change >= TURNING_DISTANCE for point in points)


def test_clips_to_adapt_with_do_not_overlap_and_are_not_short():
    windows = [(float(s), s + 3.0, one("sad")) for s in range(5)]
    track = made([(0.0, 7.0, windows), (8.0, 8.5, [(8.0, 8.5, one("sad"))])], embedding=[1.0, 2.0])
    embeddings, duration_s = track.clips()
    assert embeddings.tolist() == [[1.0, 2.0]] * 2  # 0 to 3 and 3 to 6
    assert duration_s == 6.0
