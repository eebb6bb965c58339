"""The app's page for long recordings: the timeline of the library, told apart by channel or diarization."""

from pathlib import Path

import pytest

from visited_pages import EXAMPLES, frames, note_downloads, pick, upload, visit
from vocalics import audio
from vocalics.errors import AudioError
from vocalics.recognition.rttm import read_rttm
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_formats import FORMATS
from vocalics.recognition.timeline_page import timeline_to_html

TURNS = "SPEAKER woman 1 0.2 1.3 <NA> <NA> ann <NA> <NA>\nSPEAKER woman 1 1.6 1.5 <NA> <NA> ben <NA> <NA>\n"


@pytest.fixture
def downloads(monkeypatch):
    return note_downloads(monkeypatch)


def test_the_call_has_a_lane_for_each_channel(toy, model):
    at = pick(visit("long", models=(toy,)), "Call of two")
    found = timeline(EXAMPLES / "call.mp3", model, channels="split")
    assert [one.speaker for one in found.speakers] == ["channel 1", "channel 2"]
    (page,) = frames(at)
    expected = timeline_to_html(found, EXAMPLES / "call.mp3", frame="page")
    assert page == expected.replace("<title>call.mp3", "<title>call of two (synthetic)").replace(
        "<h1>call.mp3", "<h1>call of two (synthetic)"
    )


def test_every_format_can_be_taken_along(toy, model, downloads):
    pick(visit("long", models=(toy,)), "Call of two")
    found = timeline(EXAMPLES / "call.mp3", model, channels="split")
    assert {Path(name).suffix for name in downloads} == {".html", *(form.suffix for form in FORMATS.values())}
    for name in ("textgrid", "audacity", "webvtt"):  # in which the recording has no name
        form = FORMATS[name]
        assert downloads[f"call of two (synthetic){form.suffix}"] == form.write(found)
    assert '<html lang="en" class="whole">' in downloads["call of two (synthetic).html"]


def test_channels_are_one_lane_when_somebody_wants_that(toy, model, downloads):
    pick(pick(visit("long", models=(toy,)), "Call of two"), "One lane")
    mixed = timeline(EXAMPLES / "call.mp3", model)
    assert downloads["call of two (synthetic).TextGrid"] == FORMATS["textgrid"].write(mixed)


def test_a_mono_recording_is_not_asked_for_its_channels(toy, clip):
    at = upload(visit("long", models=(toy,)), clip)
    (ways,) = [one for one in at.button_group if "One lane" in one.options]
    assert ways.options == ["One lane", "Diarization (RTTM)"]


def test_a_diarization_says_who_speaks(toy, model, clip, tmp_path, downloads):
    at = pick(upload(visit("long", models=(toy,)), clip), "Diarization (RTTM)")
    assert frames(at) == []
    upload(at, ("woman.rttm", TURNS.encode()), where=1)
    (tmp_path / "woman.rttm").write_text(TURNS)
    found = timeline(clip, model, turns=read_rttm(tmp_path / "woman.rttm"))
    assert [one.speaker for one in found.speakers] == ["ann", "ben"]
    assert downloads["woman.TextGrid"] == FORMATS["textgrid"].write(found)


def test_a_diarization_that_is_none_is_a_sentence_with_its_name(toy, clip):
    at = pick(upload(visit("long", models=(toy,)), clip), "Diarization (RTTM)")
    at = upload(at, ("Turns.txt", b"hello"), where=1)
    assert [one.value for one in at.error] == [
        "Turns.txt has no line that begins with SPEAKER; give the RTTM file of a diarization."
    ]


def test_what_is_no_audio_is_a_sentence(toy):
    at = upload(visit("long", models=(toy,)), ("letter.txt", b"dear friend"))
    (told,) = at.error
    assert told.value.startswith("letter.txt is not audio that can be decoded")


def test_a_recording_that_breaks_off_is_shown_as_far_as_it_goes(toy, clip, monkeypatch):
    def torn(recording, block_s, name):
        yield audio.read(recording, name=name)
        raise AudioError(f"{name} is damaged after 3 s.")

    monkeypatch.setattr("vocalics.audio.blocks", torn)
    at = upload(visit("long", models=(toy,)), clip)
    (warned,) = at.warning
    assert warned.value == "woman.wav is damaged after 3 s. What came before it is shown."
    assert len(frames(at)) == 1
