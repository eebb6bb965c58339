"""What listening looks like, without a terminal."""

import io
import re

import pytest
from rich.console import Console

from vocalics import emotions
from vocalics.cli.live import HOLD_S, STRIPS, Cell, cells, letters, picture, summary
from vocalics.recognition.listening import Passage, View
from vocalics.recognition.prediction import Segment, SpeakerSummary, Timeline

EIGHT = tuple(emotions.EMOTIONS)


def answer(emotion="angry", confidence=0.75, end_s=70.0, abstained=False):
    rest = (1 - confidence) / (len(EIGHT) - 1)
    return Segment(
        path=None,
        emotion=emotion,
        confidence=confidence,
        probabilities={one: confidence if one == emotion else rest for one in EIGHT},
        abstained=abstained,
        reason="low confidence" if abstained else None,
        duration_s=3.0,
        model="vocalics",
        start_s=end_s - 3.0,
        end_s=end_s,
        speaker="speaker",
    )


MINUTE = (
    Passage(12.0, 20.0, "sad"),
    Passage(24.0, 30.0, "happy", abstained=True),
    Passage(40.0, 43.0, None),
    Passage(43.0, 60.0, "surprised"),
    Passage(60.0, 70.0, "angry"),
)
BUSY = View(70.0, answer(), True, -23.0, MINUTE, 0.024, 0.041, 3.0)
QUIET = View(70.0, None, False, float("-inf"), (), None, None, 0.0)


def drawn(view, width=80, height=40, source="made microphone", **options):
    page = io.StringIO()
    console = Console(file=page, width=width)
    console.print(picture(view, source, "vocalics", EIGHT, width, height, **options))
    return page.getvalue().splitlines()


def strip_of(lines):
    (index,) = [index for index, line in enumerate(lines) if "a minute ago" in line]
    return lines[index + 1], lines[index + 2]


# The picture


@pytest.mark.parametrize("view", [BUSY, QUIET])
@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_none_is_broken(view, width):
    lines = drawn(view, width, source="a name/" * 30)
    assert max(map(len, lines)) <= width
    assert (
        len(lines) == len(EIGHT) + 8 + 4
    )  # head, answer, bars, strip of 3, meters of 3, and what parts them


def test_a_low_terminal_gets_no_blank_lines():
    assert len(drawn(BUSY, height=24)) == 20
    assert len(drawn(BUSY, height=20)) == 16
    assert all(line.strip() for line in drawn(BUSY, height=20))


def test_the_present_answer_stands_above_a_bar_for_every_emotion_in_a_fixed_order():
    lines = drawn(BUSY)
    assert lines[0].split() == ["made", "microphone", "vocalics", "1:10", "Ctrl-C", "ends"]
    assert lines[2].split() == ["angry", "75", "%"]
    bars = [line.split() for line in lines[4 : 4 + len(EIGHT)]]
    assert [bar[1] for bar in bars] == list(EIGHT)
    assert [bar[0] for bar in bars] == list(letters(EIGHT).values())
    lengths = {bar[1]: bar[2].count("█") for bar in bars}
    assert lengths["angry"] == pytest.approx(21 * lengths["calm"], abs=21)  # 75 % and 3.6 %, whole blocks


def test_an_answer_that_the_model_does_not_vouch_for_says_so():
    view = View(70.0, answer(confidence=0.25, abstained=True), True, -23.0, MINUTE, 0.024, 0.041, 0.0)
    assert drawn(view)[2].split() == ["angry", "25", "%", "low", "confidence"]


@pytest.mark.parametrize(("since_s", "kept"), [(HOLD_S - 0.1, True), (HOLD_S + 0.1, False)])
def test_bars_stay_for_a_while_when_nobody_speaks_any_more(since_s, kept):
    view = View(70.0, answer(end_s=70.0 - since_s), False, -60.0, MINUTE, 0.024, 0.041, 0.0)
    lines = drawn(view)
    assert lines[2].strip() == "listening"
    assert ("75 %" in "".join(lines)) == kept


def test_level_latency_and_losses_are_told():
    level, latency, lost = drawn(BUSY)[-3:]
    assert level.split()[-2:] == ["-23", "dB"]
    assert latency.split(maxsplit=1)[1].strip() == "24 ms, worst of the last minute 41 ms"
    assert lost.split(maxsplit=1)[1].strip() == "3.0 s of sound"
    level, latency, lost = drawn(QUIET)[-3:]
    assert level.strip().endswith("no signal")
    assert latency.split(maxsplit=1)[1].strip() == "none yet"
    assert lost.split(maxsplit=1)[1].strip() == "no sound"


def test_a_loss_is_red_and_colours_are_those_of_the_emotions(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    page = io.StringIO()
    console = Console(file=page, width=80, force_terminal=True, color_system="truecolor")
    console.print(picture(BUSY, "made microphone", "vocalics", EIGHT, 80))
    red, green, blue = (int(emotions.color("angry")[at : at + 2], 16) for at in (1, 3, 5))
    assert re.search(rf"\x1b\[38;2;{red};{green};{blue}m█{{10}}\x1b", page.getvalue())  # its ten seconds
    assert "\x1b[1;31m!!!\x1b" in page.getvalue()


def test_names_that_a_terminal_would_act_on_are_escaped():
    assert "\\x1b[31m" in drawn(QUIET, source="a\x1b[31m.wav")[0]


# The strip


def test_the_strip_shows_a_minute_by_the_second_and_names_what_it_shows():
    cells_row, names = strip_of(drawn(BUSY, 80))
    # From second 10: 2 s of silence, sad to 20, silence, unsure to 30, silence, lost to 43, surprised, angry.
    expected = "··" + 8 * "█" + 4 * "·" + 6 * "▒" + 10 * "·" + "!!!" + 27 * "█"
    assert cells_row == "  " + expected
    assert names.split() == ["sad", "happy", "surprised", "angry"]
    for name, at in (("sad", 2), ("happy", 14), ("surprised", 33), ("angry", 50)):
        assert names.index(name) == 2 + at


@pytest.mark.parametrize(("options", "silence"), [({"no_color": True}, "·"), ({"ascii_only": True}, ".")])
def test_without_colours_the_strip_is_of_letters(options, silence):
    cells_row, _ = strip_of(drawn(BUSY, 80, **options))
    expected = 2 * silence + 8 * "S" + 4 * silence + 6 * "h" + 10 * silence + "!!!" + 17 * "U" + 10 * "A"
    assert cells_row == "  " + expected


def test_pure_ascii_is_pure_ascii():
    for name in ("Größe", "very " * 30):
        assert "\n".join(drawn(BUSY, source=name, ascii_only=True)).isascii()


def test_an_emotion_too_short_for_its_name_has_its_letter():
    view = View(
        70.0, answer(), True, -23.0, (Passage(67.0, 69.0, "sad"), Passage(69.0, 70.0, "angry")), 0.1, 0.1, 0.0
    )
    assert strip_of(drawn(view, 80))[1].split() == ["S", "A"]


@pytest.mark.parametrize(
    ("width", "n_cells"), [(200, 120), (124, 120), (123, 60), (64, 60), (63, 30), (33, 20)]
)
def test_the_strip_is_as_fine_as_the_terminal_is_wide(width, n_cells):
    assert n_cells in STRIPS
    assert len(strip_of(drawn(BUSY, width))[0].strip()) == n_cells


def test_at_the_beginning_the_strip_grows_from_the_right():
    view = View(5.0, None, False, -60.0, (), None, None, 0.0)
    assert strip_of(drawn(view, 80))[0] == " " * (2 + 55) + "·" * 5


def test_a_cell_is_what_most_of_it_was_and_lost_where_any_was():
    mostly_sad = (Passage(0.2, 0.8, "sad"), Passage(0.8, 1.0, "calm"))
    assert cells(mostly_sad, 1.0, 60) == [Cell("sad")]
    assert cells((Passage(0.2, 0.6, "sad"),), 1.0, 60) == [Cell()]
    assert cells((Passage(0.0, 0.9, "sad"), Passage(0.9, 1.0, None)), 1.0, 60) == [Cell(lost=True)]


def test_the_strip_moves_by_one_cell_at_a_time():
    passages = (Passage(3.3, 4.6, "sad"),)
    for position_s in (10.1, 10.5, 10.9):
        assert [n for n, cell in enumerate(cells(passages, position_s, 60)) if cell.emotion] == [3, 4]


def test_every_emotion_has_a_letter_of_its_own():
    assert sorted(set(letters(EIGHT).values())) == sorted(letters(EIGHT).values())
    assert letters(["a", "a b"]) == {"a": "A", "a b": "B"}


# The summary


def test_a_summary_says_what_was_heard():
    share = dict.fromkeys((*EIGHT, "abstained"), 0.0) | {"sad": 0.25, "angry": 0.625, "abstained": 0.125}
    speaker = SpeakerSummary("speaker", 301.0, share, -0.5, 0.25)
    found = Timeline(None, 725.0, "vocalics", EIGHT, 3.0, 0.25, (), (speaker,))
    latencies_s = [0.020] * 98 + [0.1] * 2
    assert summary(found, latencies_s, 1.5) == [
        "Heard 12:05, 5:01 of it speech.",
        "Share of the speech: angry 62 %, sad 25 %, abstained 12 %.",
        "Mean valence -0.50, arousal +0.25, from -1 to 1.",
        "From the end of a window to its answer: median 20 ms, 99th percentile 100 ms.",
        "Lost 1.5 s of sound.",
    ]


def test_a_summary_of_silence_leaves_out_what_there_is_not():
    silent = SpeakerSummary("speaker", 0.0, {}, None, None)
    found = Timeline(None, 7.0, "vocalics", EIGHT, 3.0, 0.25, (), (silent,))
    assert summary(found, [], 0.0) == ["Heard 0:07, 0:00 of it speech.", "No sound was lost."]
