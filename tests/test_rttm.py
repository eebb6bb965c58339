"""Somebody's diarization is read, and what is wrong in it is told by its line."""

import pytest

from vocalics.errors import UsageError
from vocalics.recognition.rttm import Turn, read_rttm


def read(tmp_path, text, recording=None):
    path = tmp_path / "call.rttm"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rttm(path, recording)


def line(start_s, duration_s, speaker, file="call"):
    return f"SPEAKER {file} 1 {start_s} {duration_s} <NA> <NA> {speaker} <NA> <NA>\n"


def test_turns_come_in_order_of_their_beginnings(tmp_path):
    text = line(5, 1, "bob") + line("0.25", "1e0", "ann") + line(2, 2, "ann")
    assert read(tmp_path, text) == [Turn("ann", 0.25, 1.25), Turn("ann", 2, 4), Turn("bob", 5, 6)]


def test_overlaps_of_one_speaker_are_joined_and_of_two_are_kept(tmp_path):
    text = line(0, 2, "ann") + line(1, 3, "ann") + line(4, 1, "ann") + line(3, 3, "bob")
    assert read(tmp_path, text) == [Turn("ann", 0, 5), Turn("bob", 3, 6)]


def test_a_turn_within_another_of_the_same_speaker_ends_nothing(tmp_path):
    assert read(tmp_path, line(0, 9, "ann") + line(1, 1, "ann")) == [Turn("ann", 0, 9)]


def test_turns_that_touch_are_one_whatever_binary_fractions_make_of_it(tmp_path):
    assert 0.7 + 0.1 < 0.8
    assert read(tmp_path, line(0.7, 0.1, "ann") + line(0.8, 0.2, "ann")) == [Turn("ann", 0.7, 1.0)]


def test_a_turn_without_length_is_none(tmp_path):
    assert read(tmp_path, line(1, 0, "ann") + line(2, 1, "ann")) == [Turn("ann", 2, 3)]


def test_other_lines_are_passed_over(tmp_path):
    text = f";; made by hand\nSPKR-INFO call 1 <NA> <NA> <NA> unknown ann <NA>\n\n{line(0, 1, 'ann')}\r\n"
    assert read(tmp_path, text) == [Turn("ann", 0, 1)]


def test_eight_fields_are_enough_and_a_byte_order_mark_does_no_harm(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfSPEAKER call 1 0 1 <NA> <NA> ann") == [Turn("ann", 0, 1)]


def test_of_several_recordings_the_one_that_is_meant_is_read(tmp_path):
    text = line(0, 1, "ann", "a") + line(0, 2, "bob", "b")
    assert read(tmp_path, text, "calls/b.wav") == [Turn("bob", 0, 2)]
    assert read(tmp_path, text, "a") == [Turn("ann", 0, 1)]
    with pytest.raises(UsageError, match=r"tells of 2 recordings \(a, b\), and none is called 'c.wav'"):
        read(tmp_path, text, "c.wav")


def test_blanks_in_a_recordings_name_may_be_underscores(tmp_path):
    text = line(0, 1, "ann", "a") + line(0, 2, "bob", "one_two")
    assert read(tmp_path, text, "calls/one two.wav") == [Turn("bob", 0, 2)]


def test_of_several_recordings_one_has_to_be_named(tmp_path):
    with pytest.raises(UsageError, match=r"tells of 2 recordings \(a, b\); say which one is meant"):
        read(tmp_path, line(0, 1, "ann", "a") + line(0, 2, "bob", "b"))


def test_the_only_recording_is_meant_whatever_its_name(tmp_path):
    assert read(tmp_path, line(0, 1, "ann"), "other.wav") == [Turn("ann", 0, 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SPEAKER call 1 0 1\n", "line 1, has 5 fields"),
        ("SPEAKER\n", "line 1, has 1 fields"),
        (line(0, 1, "ann smith"), "line 1, has 11 fields; .* no name has blanks"),
        (line(0, 1, "ann") + line(-1, 1, "ann"), "line 2, begins at '-1'"),
        (line(0, -1, "ann"), "lasts '-1'"),
        (line("nan", 1, "ann"), "begins at 'nan'"),
        (line(0, "inf", "ann"), "lasts 'inf'"),
        (line("one", 1, "ann"), "begins at 'one'"),
        ("", "no line that begins with SPEAKER"),
        ("WEBVTT\n", "no line that begins with SPEAKER"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(tmp_path, text, told):
    with pytest.raises(UsageError, match=told) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path):
    with pytest.raises(UsageError, match="no file"):
        read_rttm(tmp_path / "none.rttm")
    with pytest.raises(UsageError, match="cannot be read"):
        read_rttm(tmp_path)
