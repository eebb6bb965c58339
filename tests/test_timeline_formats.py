"""A timeline in every format, read back by readers that are not ours."""

import csv
import html
import io
import itertools
import json
import sys
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_segments import segment
from vocalics.errors import MissingExtraError
from vocalics.recognition.prediction import Segment, SpeakerSummary, Timeline, TurningPoint
from vocalics.recognition.rttm import Turn, read_rttm
from vocalics.recognition.timeline_formats import (
    FORMATS,
    csv_to_segments,
    json_to_timeline,
    parquet_to_segments,
)

EMOTIONS = ("neutral", "happy", "sad")
ODD = 'Zoë "the <b>" & co. --> a\tb\nc \udcff'


def made(segments, speakers=("ann", "bob"), duration_s=40_000.0):
    summaries = tuple(
        SpeakerSummary(name, 3.0, {"happy": 1.0}, 0.8, 0.5, (TurningPoint(2.0, "sad", "happy", 1.8),))
        for name in speakers
    )
    return Timeline(
        "calls/one two.wav",
        duration_s,
        "toy",
        EMOTIONS,
        3.0,
        1.0,
        tuple(segments),
        summaries,
        (),
        ("Not adapted.",),
    )


TALK = made(
    [
        segment(0.0, 1.5, "happy", "ann", 0.8),
        segment(1.2344, 2.0, "sad", "bob", 0.4, abstained=True),
        segment(1.5, 36_000.5, "neutral", "ann", 1 / 3),
    ]
)
QUIET = made([])


def written(timeline, name):
    content = FORMATS[name].write(timeline)
    return content if isinstance(content, bytes) else content.encode()  # every format can be UTF-8


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "timeline",
    [TALK, QUIET, made([], []), made([segment(0, 1, "sad", ODD)], [ODD])],
    ids=["talk", "quiet", "nobody", "odd"],
)
def test_every_timeline_can_be_written_in_every_format(name, timeline):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    header = {"rttm", "audacity"}.isdisjoint({name})
    assert bool(written(timeline, name)) == (header or bool(timeline.segments))


def test_json_comes_back_to_the_millisecond():
    back = json_to_timeline(written(TALK, "json").decode())
    assert back.to_dict() == json.loads(written(TALK, "json"))
    assert [one.end_s for one in back.segments] == [1.5, 2.0, 36_000.5]
    assert back.segments[1].start_s == 1.234
    assert back.speakers == TALK.speakers
    assert json_to_timeline(written(QUIET, "json").decode()).to_dict() == QUIET.to_dict()


@st.composite
def segments(draw):
    """Segments as they are written: to the millisecond, with six decimals."""
    # A cell of a table cannot tell "" from nothing, and what is not Unicode is not UTF-8.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    share = st.integers(0, 10**6).map(lambda millionths: millionths / 10**6)
    start_ms, length_ms = draw(st.integers(0, 10**8)), draw(st.integers(0, 10**6))
    emotion = draw(st.none() | st.sampled_from(EMOTIONS))
    return Segment(
        path=draw(st.none() | text),
        emotion=emotion,
        confidence=None if emotion is None else draw(share),
        probabilities={} if emotion is None else {name: draw(share) for name in EMOTIONS},
        abstained=draw(st.booleans()),
        reason=draw(st.none() | text),
        duration_s=length_ms / 1000,
        model=draw(text),
        start_s=start_ms / 1000,
        end_s=(start_ms + length_ms) / 1000,
        speaker=draw(text),
    )


@given(st.lists(segments(), max_size=4))
def test_segments_survive_json_and_csv(some):
    timeline = made(some, [])
    assert json_to_timeline(FORMATS["json"].write(timeline)).segments == tuple(some)
    assert csv_to_segments(FORMATS["csv"].write(timeline)) == some


@settings(deadline=None)  # the first call imports the reader
@given(st.lists(segments(), max_size=4))
def test_segments_survive_parquet(some):
    pytest.importorskip("pyarrow")
    assert parquet_to_segments(FORMATS["parquet"].write(made(some, []))) == some


@given(st.text(st.characters(codec=None)))
def test_json_keeps_a_name_that_is_not_unicode(name):
    text = FORMATS["json"].write(made([segment(0, 1, "sad", name)], [name]))
    assert text.encode()  # it is UTF-8
    back = json_to_timeline(text)
    assert (back.segments[0].speaker, back.speakers[0].speaker) == (name, name)


def test_a_length_is_that_between_the_times_that_are_written():
    # The true length, 0.9992 s, would be 0.999.
    record = json.loads(FORMATS["json"].write(made([segment(0.0004, 0.9996, "sad", "ann")])))
    (written_segment,) = record["segments"]
    assert [written_segment[key] for key in ("start_s", "end_s", "duration_s")] == [0.0, 1.0, 1.0]


def test_csv_has_a_column_for_every_emotion():
    first, second, _ = csv.DictReader(io.StringIO(FORMATS["csv"].write(TALK), newline=""))
    assert {name: float(first[name]) for name in EMOTIONS} == {"neutral": 0.1, "happy": 0.8, "sad": 0.1}
    assert (first["speaker"], first["start_s"], first["abstained"]) == ("ann", "0.0", "false")
    assert (second["start_s"], second["abstained"], second["reason"]) == ("1.234", "true", "low confidence")


def test_parquet_is_read_by_pandas():
    pandas = pytest.importorskip("pandas")
    pq = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO(written(TALK, "parquet"))
    frame = pandas.read_parquet(file)
    assert frame["start_s"].tolist() == [0.0, 1.234, 1.5]
    assert frame["abstained"].tolist() == [False, True, False]
    assert frame["happy"].dtype == float
    assert pq.read_schema(file).metadata[b"vocalics.window_s"] == b"3"
    assert (
        pandas.read_parquet(io.BytesIO(written(QUIET, "parquet"))).columns.tolist() == frame.columns.tolist()
    )


def test_parquet_has_typed_columns_and_says_what_it_was_made_with(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "quiet.parquet"
    path.write_bytes(written(QUIET, "parquet"))  # without a row to guess the types from
    schema = pq.read_schema(path)
    types = {"abstained": pa.bool_()} | dict.fromkeys(
        ["confidence", *EMOTIONS, "duration_s", "start_s", "end_s"], pa.float64()
    )
    assert {field.name: field.type for field in schema} == types | dict.fromkeys(
        ["path", "emotion", "reason", "model", "error", "speaker"], pa.string()
    )
    assert schema.metadata == {
        b"vocalics.model": b"toy",
        b"vocalics.window_s": b"3",
        b"vocalics.hop_s": b"1",
    }
    assert parquet_to_segments(path) == []


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vocalics\[batch\]'"):
        FORMATS["parquet"].write(TALK)
    with pytest.raises(MissingExtraError):
        parquet_to_segments(b"")


@pytest.mark.parametrize("reader", ["praatio", "parselmouth"])
def test_textgrid_is_read_by_praat_and_praatio(reader, tmp_path):
    library = pytest.importorskip(reader)
    path = tmp_path / "talk.TextGrid"
    path.write_bytes(written(TALK, "textgrid"))
    if reader == "praatio":
        from praatio import textgrid

        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
        tiers = {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames}
    else:
        ask = partial(library.praat.call, library.TextGrid.read(str(path)))
        questions = ("Get start time of interval", "Get end time of interval", "Get label of interval")
        tiers = {
            ask("Get tier name", tier): [
                tuple(ask(question, tier, number + 1) for question in questions)
                for number in range(ask("Get number of intervals", tier))
            ]
            for tier in (1, 2)
        }
    assert tiers == {
        "ann": [(0, 1.5, "happy"), (1.5, 36_000.5, "neutral"), (36_000.5, 40_000, "")],
        "bob": [(0, 1.234, ""), (1.234, 2, "sad?"), (2, 40_000, "")],
    }


def test_textgrid_of_silence_and_of_odd_names_is_read(tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    path = tmp_path / "quiet.TextGrid"
    path.write_bytes(written(made([], ['a "quoted" name']), "textgrid"))
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    assert grid.tierNames == ('a "quoted" name',)
    assert [tuple(entry) for entry in grid.getTier(grid.tierNames[0]).entries] == [(0, 40_000, "")]


def tiers_of(timeline, folder):
    """Read the TextGrid of a timeline with praatio."""
    textgrid = pytest.importorskip("praatio.textgrid")
    path = folder / "made.TextGrid"
    path.write_bytes(written(timeline, "textgrid"))
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    return {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames}


@pytest.mark.parametrize("duration_s", [53_001 / 16_000, 53_007 / 16_000])  # 3.3125625: down; 3.3129375: up
def test_a_tier_is_as_long_as_the_sound(duration_s, tmp_path):
    to_the_end = made([segment(0.5, duration_s, "sad", "ann")], ["ann"], duration_s)
    assert tiers_of(to_the_end, tmp_path) == {"ann": [(0, 0.5, ""), (0.5, duration_s, "sad")]}
    parselmouth = pytest.importorskip("parselmouth")
    grid = parselmouth.TextGrid.read(str(tmp_path / "made.TextGrid"))
    assert (grid.xmin, grid.xmax) == (0, duration_s)


@settings(deadline=None)  # the first call imports the reader
@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=7, unique=True).map(sorted),
    st.floats(0, 1),
)
def test_intervals_fill_a_tier_without_gap_or_overlap(tmp_path_factory, edges_s, rest_s):
    duration_s = edges_s[-1] + rest_s + 0.01
    timeline = made(
        [segment(*pair, "sad", "ann") for pair in itertools.pairwise(edges_s)], ["ann"], duration_s
    )
    (intervals,) = tiers_of(timeline, tmp_path_factory.mktemp("tier")).values()
    starts, ends, _ = zip(*intervals, strict=True)
    assert starts == (0, *ends[:-1])
    assert ends[-1] == duration_s
    assert all(start_s < end_s for start_s, end_s, _ in intervals)


def test_names_that_would_look_the_same_stay_two(tmp_path):
    timeline = made([segment(0, 1, "sad", "ann b"), segment(1, 2, "sad", "ann\tb")], ["ann b", "ann\tb"])
    assert list(tiers_of(timeline, tmp_path)) == ["ann b", "ann b_2"]
    path = tmp_path / "made.rttm"
    path.write_bytes(written(timeline, "rttm"))
    assert read_rttm(path) == [Turn("ann_b", 0, 1), Turn("ann_b_2", 1, 2)]


def test_what_lasts_no_millisecond_breaks_no_reader(tmp_path):
    # 0.1 ms; an interval, a cue and a turn that end where they begin are refused, or never shown.
    timeline = made([segment(0, 1, "sad", "ann"), segment(1, 1.0001, "happy", "ann")], ["ann"], 2.0)
    assert tiers_of(timeline, tmp_path) == {"ann": [(0, 1, "sad"), (1, 2, "")]}
    assert written(timeline, "webvtt").count(b"-->") == 1
    assert written(timeline, "rttm").count(b"SPEAKER") == 1


def test_webvtt_is_read_with_its_voices():
    webvtt = pytest.importorskip("webvtt")
    captions = webvtt.from_string(written(TALK, "webvtt").decode()).captions
    assert [(one.start, one.end) for one in captions] == [
        ("00:00:00.000", "00:00:01.500"),
        ("00:00:01.234", "00:00:02.000"),
        ("00:00:01.500", "10:00:00.500"),
    ]
    assert [(one.voice, one.text) for one in captions] == [
        ("ann", "happy 80 %"),
        ("bob", "sad? 40 %"),
        ("ann", "neutral 33 %"),
    ]


def test_no_name_breaks_a_cue():
    webvtt = pytest.importorskip("webvtt")
    text = written(
        made([segment(0, 1, "sad", ODD), segment(1, 2, "happy", "ann")], [ODD, "ann"]), "webvtt"
    ).decode()
    captions = webvtt.from_string(text).captions
    assert len(captions) == 2
    assert text.count("-->") == 2
    assert html.unescape(captions[0].voice) == 'Zoë "the <b>" & co. --> a b c \\udcff'


@settings(deadline=None)  # the first call imports the reader
@given(st.text(), st.text())
def test_whatever_the_names_there_are_two_cues(first, second):
    webvtt = pytest.importorskip("webvtt")
    timeline = made([segment(0, 1, "sad", first), segment(1, 2, "happy", second)], [first, second])
    captions = webvtt.from_string(written(timeline, "webvtt").decode()).captions
    assert [one.text for one in captions] == ["sad 50 %", "happy 50 %"]


def test_rttm_is_read_by_pyannote_and_by_ourselves(tmp_path):
    path = tmp_path / "talk.rttm"
    path.write_bytes(written(TALK, "rttm"))
    assert read_rttm(path) == [Turn("ann", 0.0, 36_000.5), Turn("bob", 1.234, 2.0)]
    util = pytest.importorskip("pyannote.database.util")
    ((name, annotation),) = util.load_rttm(path).items()
    assert name == "one_two"
    assert [(one.start, one.end, who) for one, _, who in annotation.itertracks(yield_label=True)] == [
        (0.0, 1.5, "ann"),
        (pytest.approx(1.234), pytest.approx(2.0), "bob"),
        (1.5, pytest.approx(36_000.5), "ann"),
    ]


def test_a_turn_is_what_nists_own_scorer_takes():
    # md-eval.pl, version 22: at least nine fields, a subtype of a SPEAKER is '<NA>', no turns of a speaker
    # that overlap by more than 1e-8 s.
    turns = [line.split() for line in written(TALK, "rttm").decode().splitlines()]
    assert {len(fields) for fields in turns} == {10}
    assert {(fields[0], fields[6]) for fields in turns} == {("SPEAKER", "<NA>")}
    assert [fields[5] for fields in turns] == ["happy", "sad?", "neutral"]
    assert [float(fields[8]) for fields in turns] == [0.8, 0.4, 0.333333]
    assert float(turns[0][3]) + float(turns[0][4]) <= float(turns[2][3]) + 1e-8


def test_a_recording_in_memory_has_a_name_in_rttm():
    timeline = replace(made([segment(0, 1, "sad", "ann")]), path=None)
    assert written(timeline, "rttm").split()[1] == b"recording"


@given(st.text(), st.text())
def test_no_name_breaks_a_line_of_labels_or_turns(first, second):
    timeline = made([segment(0, 1, "sad", first), segment(1, 2, "happy", second)], [first, second])
    labels = written(timeline, "audacity").decode()
    assert [len(line.split("\t")) for line in labels.splitlines()] == [3, 3]
    turns = written(timeline, "rttm").decode()
    assert [len(line.split()) for line in turns.splitlines()] == [10, 10]


def test_audacity_labels_are_three_columns():
    rows = [line.split("\t") for line in written(TALK, "audacity").decode().splitlines()]
    assert rows == [
        ["0", "1.5", "ann: happy"],
        ["1.234", "2", "bob: sad?"],
        ["1.5", "36000.5", "ann: neutral"],
    ]
    alone = made([segment(0, 1, "sad", "ann")], ["ann"])
    assert written(alone, "audacity") == b"0\t1\tsad\n"
