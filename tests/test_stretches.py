"""Stretches of speech are found in probabilities as they come, as they would be found afterwards."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocalics.recognition.rttm import Turn
from vocalics.recognition.stretches import LEAD_CHUNKS, OFFSET, ONSET, StretchFinder
from vocalics.recognition.voice import CHUNK_S


def find(probabilities, turns=None):
    finder = StretchFinder(turns)
    found = [*map(finder.push, probabilities), finder.finish()]
    return [stretch for stretch in found if stretch]


def spans(stretches):
    """Beginnings and ends in chunks."""
    return [(pytest.approx(one.start_s / CHUNK_S), pytest.approx(one.end_s / CHUNK_S)) for one in stretches]


def found_afterwards(probabilities):
    """The rule on all probabilities at once: runs, closed pauses, what is long enough, padding."""
    runs, onset = [], None
    for index, probability in enumerate([*probabilities, -math.inf]):
        if onset is None and probability >= ONSET:
            onset = index
        elif onset is not None and probability < OFFSET:
            runs.append((onset, index))
            onset = None
    joined = []
    for onset, stop in runs:
        if joined and (onset - joined[-1][1]) * 0.032 < 0.3:  # a pause lasts until the next onset
            joined[-1] = (joined[-1][0], stop)
            continue
        start = onset
        while onset - start < LEAD_CHUNKS and start and probabilities[start - 1] >= OFFSET:
            start -= 1
        joined.append((start, stop))
    kept = [(start, stop) for start, stop in joined if (stop - start) * 0.032 >= 0.25]
    ends = [0.0, *(min(len(probabilities), stop + PADDING) for _, stop in kept)]
    return [
        (max(before, start - PADDING), end)
        for (start, _), before, end in zip(kept, ends[:-1], ends[1:], strict=True)
    ]


PADDING = 0.2 / 0.032  # chunks


def test_a_stretch_is_noticed_at_the_onset_and_reaches_as_far_as_the_offset():
    probabilities = [0.14] * 10 + [0.16] * 5 + [0.5] + [0.16] * 9 + [0.14] + [0.49] * 12
    assert spans(find(probabilities)) == [(10 - PADDING, 25 + PADDING)]
    assert find([0.49] * 50) == []


def test_it_reaches_back_half_a_second_at_most():
    ((stretch),) = find([0.4] * 40 + [0.5] * 10)
    assert spans([stretch]) == [(40 - LEAD_CHUNKS - PADDING, 50)]


def test_its_end_is_known_after_the_pause():
    ((stretch),) = find([0.0] * 10 + [1.0] * 10 + [0.0] * 20)
    assert stretch.known_s == pytest.approx(30 * CHUNK_S)  # ten chunks are the first that last 0.3 s


def test_a_shorter_pause_parts_nothing():
    spoken = [0.0] * 10 + [1.0] * 10 + [0.0] * 9 + [1.0] * 10 + [0.0] * 20
    assert spans(find(spoken)) == [(10 - PADDING, 39 + PADDING)]
    assert len(find([*spoken[:20], 0.0, *spoken[20:]])) == 2


def test_speech_counts_from_a_quarter_of_a_second_on():
    assert find([0.0] * 5 + [1.0] * 7 + [0.0] * 20) == []
    assert len(find([0.0] * 5 + [1.0] * 8 + [0.0] * 20)) == 1


def test_speech_up_to_the_end_ends_there_and_begins_no_earlier_than_the_sound():
    assert spans(find([1.0] * 20)) == [(0, 20)]


@given(
    st.lists(
        st.sampled_from([0.0, 0.14, 0.16, 0.49, 0.51, 1.0]).flatmap(
            lambda p: st.lists(st.just(p), max_size=14)
        )
    )
)
def test_it_finds_what_the_rule_finds_afterwards(runs):
    probabilities = [probability for run in runs for probability in run]
    assert spans(find(probabilities)) == found_afterwards(probabilities)


@given(st.lists(st.floats(0, 1), max_size=120))
def test_a_stretch_that_goes_on_knows_where_it_began(probabilities):
    finder = StretchFinder()
    since = None
    for probability in probabilities:
        stretch = finder.push(probability)
        if stretch is not None and since is not None:
            assert stretch.start_s == since
        since = finder.open_since_s


# Turns


def test_only_speech_in_the_turns_counts_and_a_turn_ends_a_stretch():
    turns = [Turn("ann", 10 * CHUNK_S, 30 * CHUNK_S), Turn("ann", 60 * CHUNK_S, 70 * CHUNK_S)]
    stretches = find([1.0] * 100, turns)
    assert spans(stretches) == [(10, 30), (60, 70)]
    assert [one.known_s for one in stretches] == [one.end_s for one in stretches]  # at once, without a pause


def test_turns_that_touch_are_two_stretches():
    turns = [Turn("ann", 0.0, 20 * CHUNK_S), Turn("ann", 20 * CHUNK_S, 40 * CHUNK_S)]
    assert spans(find([1.0] * 50, turns)) == [(0, 20), (20, 40)]


def test_a_turn_without_speech_and_one_that_is_too_short_have_no_stretch():
    assert find([0.0] * 50, [Turn("ann", 0.1, 1.0)]) == []
    assert find([1.0] * 50, [Turn("ann", 0.1, 0.2)]) == []


def test_the_padding_stays_inside_the_turn():
    speech = [0.0] * 12 + [1.0] * 16 + [0.0] * 20
    ((stretch),) = find(speech, [Turn("ann", 11 * CHUNK_S, 29 * CHUNK_S)])
    assert spans([stretch]) == [(11, 29)]
