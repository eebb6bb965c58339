"""Each recording is decoded once: its digest, and what a second scan remembers."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from made_corpora import RATE, write, write_all
from vocalics import audio
from vocalics.lab.corpora import audio_digest, scan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


def test_the_digest_is_that_of_the_samples_as_16_bit_integers():
    integers = np.array([[0, 1, -1, 32767, -32768]], dtype=np.int16)
    expected = hashlib.sha256(integers.astype("<i2").tobytes()).hexdigest()
    assert audio_digest(audio.Waveform.from_array(integers, RATE)) == expected


def test_samples_over_full_scale_are_clipped_in_the_digest():
    over = audio.Waveform(np.array([[1.5, -1.5]], dtype=np.float32), RATE)
    expected = hashlib.sha256(np.array([32767, -32768], dtype="<i2").tobytes()).hexdigest()
    assert audio_digest(over) == expected


def test_a_lossless_copy_has_the_same_digest_and_a_lossy_one_has_not(tmp_path):
    digests = {
        suffix: audio_digest(audio.read(write(tmp_path / f"x{suffix}")))
        for suffix in (".wav", ".flac", ".opus")
    }
    assert digests[".wav"] == digests[".flac"] != digests[".opus"]


def test_two_equal_channels_have_the_digest_of_one():
    mono = np.random.default_rng(1).integers(-9999, 9999, (1, 500)).astype(np.int16)
    both = np.repeat(mono, 2, axis=0)
    assert audio_digest(audio.Waveform.from_array(mono, RATE)) == audio_digest(
        audio.Waveform.from_array(both, RATE)
    )


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that were really decoded."""
    names = []
    read = audio.read

    def counting(path):
        names.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(audio, "read", counting)
    return names


def test_a_second_scan_decodes_nothing_and_says_the_same(tmp_path, decoded):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav"])
    first = scan("savee", tmp_path)
    assert sorted(decoded) == ["DC_a01.wav", "DC_a02.wav"]
    assert scan("savee", tmp_path) == first
    assert len(decoded) == 2


def test_a_changed_file_is_decoded_again(tmp_path, decoded):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav"])
    first = scan("savee", tmp_path)
    write(tmp_path / "DC_a01.wav", np.zeros(RATE))
    second = scan("savee", tmp_path)
    assert decoded[2:] == ["DC_a01.wav"]
    assert second.utterances[0].digest != first.utterances[0].digest
    assert second.utterances[0].duration_s == 1.0


def test_without_the_cache_everything_is_decoded_each_time(tmp_path, decoded):
    write(tmp_path / "DC_a01.wav")
    for _ in range(2):
        scan("savee", tmp_path, cache=False)
    assert len(decoded) == 2
    assert not list(Path(os.environ["VOCALICS_CACHE"]).rglob("*.json"))


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": 1, "files": 3}', b'{"version": 99, "files": {}}'], ids=repr
)
def test_a_damaged_cache_is_ignored(tmp_path, decoded, damage):
    write(tmp_path / "DC_a01.wav")
    first = scan("savee", tmp_path)
    (cache,) = Path(os.environ["VOCALICS_CACHE"]).rglob("*.json")
    cache.write_bytes(damage)
    assert scan("savee", tmp_path) == first
    assert len(decoded) == 2


def test_a_damaged_entry_of_the_cache_is_ignored(tmp_path, decoded):
    write(tmp_path / "DC_a01.wav")
    first = scan("savee", tmp_path)
    (cache,) = Path(os.environ["VOCALICS_CACHE"]).rglob("*.json")
    content = json.loads(cache.read_text())
    content["files"]["DC_a01.wav"][2] = "long"  # the duration
    cache.write_text(json.dumps(content))
    assert scan("savee", tmp_path) == first


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "a file"))
    write(tmp_path / "corpus" / "DC_a01.wav")
    assert len(scan("savee", tmp_path / "corpus")) == 1


def test_an_interrupted_scan_keeps_what_it_has_done(tmp_path, decoded):
    write_all(tmp_path, [f"DC_a0{number}.wav" for number in range(1, 6)])

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan("savee", tmp_path, progress=interrupt, workers=1)
    before = len(decoded)
    decoded.clear()
    assert len(scan("savee", tmp_path)) == 5
    assert not {"DC_a01.wav", "DC_a02.wav"} & set(decoded), f"{before} were decoded before the interruption"


def test_the_number_of_threads_changes_nothing(tmp_path):
    write_all(tmp_path, [f"{speaker}_a{n:02}.wav" for speaker in ("DC", "JE") for n in range(1, 11)])
    alone, together = (scan("savee", tmp_path, workers=workers, cache=False) for workers in (1, 4))
    assert alone == together


def test_progress_counts_up_to_the_number_of_files(tmp_path):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav", "DC_a03.wav"])
    told = []
    scan("savee", tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
