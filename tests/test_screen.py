import io
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vocalics.cli.screen import bar, printable, show, summary
from vocalics.recognition.prediction import Prediction


def drawn(predictions, width=80, **options):
    page = io.StringIO()
    show(predictions, Console(file=page, width=width, **options))
    return page.getvalue()


SAD = Prediction("a/sad.wav", "sad", 0.75, {"calm": 0.25, "sad": 0.75}, duration_s=2.0, model="toy")
UNSURE = Prediction("unsure.wav", "calm", 0.5, {"calm": 0.5, "sad": 0.5}, True, "low confidence", 2.0, "toy")
SILENT = Prediction("silent.wav", None, None, {}, True, "no speech", 2.0, "toy")
FAILED = Prediction("failed.wav", None, None, model="toy", error="failed.wav is empty.")


def test_one_file_shows_a_bar_for_every_emotion_the_best_first():
    head, first, second = drawn([SAD]).splitlines()
    assert head.split() == ["a/sad.wav", "2.0", "s", "toy"]
    assert first.split()[0] == "sad"
    assert first.endswith("75 %")
    assert second.split()[0] == "calm"
    assert first.count("█") == pytest.approx(
        3 * second.count("█"), abs=1.5
    )  # drawn to whole blocks and eighths


def test_several_files_are_one_row_each_with_what_else_is_to_be_said():
    header, *rows = drawn([SAD, UNSURE, SILENT, FAILED], width=100).splitlines()
    assert header.split() == ["recording", "emotion", "confidence", "next"]
    assert [row.split()[0] for row in rows] == ["a/sad.wav", "unsure.wav", "silent.wav", "failed.wav"]
    assert "calm 25 %" in rows[0]
    assert rows[1].rstrip().endswith("abstained")
    assert rows[2].rstrip().endswith("no speech")
    assert rows[3].rstrip().endswith("failed")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width):
    long = Prediction(
        "/very" * 40 + "/end.wav", "surprised", 1.0, {"surprised": 1.0, "neutral": 0.0}, model="toy"
    )
    page = drawn([long, SILENT, UNSURE], width=width)
    assert max(map(len, page.splitlines())) <= width
    assert "end.wav" in page  # the end of a path tells files apart
    assert len(page.splitlines()) == 4


def test_colours_are_for_terminals_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in drawn([SAD, SILENT], force_terminal=True, color_system="truecolor")
    assert "\x1b" not in drawn([SAD, SILENT])


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-8]")  # bold and dim may stay
    assert not coloured.search(drawn([SAD, SILENT], force_terminal=True, color_system="truecolor"))


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_is_as_long_as_its_share(share, width):
    drawn_bar = bar(share, width)
    assert len(drawn_bar) <= width
    length = 8 * drawn_bar.count("█") + (
        " ▏▎▍▌▋▊▉".index(drawn_bar[-1]) if drawn_bar[-1:] not in ("", "█") else 0
    )
    assert length == pytest.approx(8 * share * width, abs=0.5 + 1e-9)


def test_a_summary_counts_failures_and_silence_last():
    counts = Counter({"failed": 9, "no speech": 2, "sad": 3, "calm": 4})
    assert summary(counts) == "18 recordings: 4 calm, 3 sad, 2 no speech, 9 failed"


@given(st.text())
def test_nothing_that_a_terminal_would_act_on_gets_through(text):
    assert printable(text).isprintable()
