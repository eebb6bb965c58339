"""Decoded audio comes back as it was written, and whatever stops its making costs little."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import soundfile

from noise_clips import LENGTHS, RATE, clip, written_manifest
from sounds import amplitude_of, sine
from vocalics import audio
from vocalics.errors import AudioError
from vocalics.lab import audio_store
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.manifest import Manifest
from vocalics.lab.processes import AHEAD


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return written_manifest(tmp_path / "corpora")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where decoded audio is kept."""
    return tmp_path / "decoded"


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The files that this process has decoded since, in their order."""
    paths: list[Path] = []
    read = audio.read
    monkeypatch.setattr(audio, "read", lambda path: paths.append(path) or read(path))
    return paths


@pytest.fixture
def store(manifest, folder) -> AudioStore:
    return AudioStore.build(manifest, RATE, 8_000, folder)


def test_it_returns_what_was_written(manifest, store):
    for number, spoken in enumerate(manifest):
        samples = store[spoken.id]
        assert samples.dtype == np.float32
        # rounded to steps of 1 / 32767: half a step, and half a step of float32 besides
        np.testing.assert_allclose(samples, clip(number), rtol=0, atol=0.51 / 32_767)


def test_a_second_build_decodes_nothing(manifest, folder, store, monkeypatch):
    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was decoded again")

    monkeypatch.setattr(audio, "read", refuse)
    again = AudioStore.build(manifest, RATE, 8_000, folder)
    assert all(np.array_equal(again[spoken.id], store[spoken.id]) for spoken in manifest)
    with pytest.raises(AssertionError, match="was decoded again"):  # for another rate it has to be
        AudioStore.build(manifest, 8_000, 4_000, folder)


def test_audio_that_changed_is_decoded_again(manifest, folder, store):
    first, *others = manifest
    soundfile.write(manifest.audio_path(first), -clip(0), RATE, subtype="PCM_16")
    newer = replace(manifest, utterances=(replace(first, digest="another"), *others))
    assert np.array_equal(AudioStore.build(newer, RATE, 8_000, folder)[first.id], -store[first.id])


def test_stereo_at_another_rate_becomes_mono_at_the_models_rate(manifest, folder):
    first = manifest.utterances[0]
    tone = sine(1_000, 48_000, amplitude=0.5)
    soundfile.write(manifest.audio_path(first), np.stack([tone, 0 * tone], axis=1), 48_000)
    samples = AudioStore.build(manifest, RATE, 8_000, folder)[first.id]
    assert len(samples) == RATE  # one second
    # the mean of a tone and silence has half the amplitude; the resampler keeps it within 0.1 %
    assert amplitude_of(samples, 1_000, RATE) == pytest.approx(0.25, rel=1e-3)


def test_what_is_over_full_scale_is_clipped(manifest, folder):
    first = manifest.utterances[0]
    loud = np.array([1.5, -1.5, 0.5] * 1_000, np.float32)
    soundfile.write(manifest.audio_path(first), loud, RATE, subtype="FLOAT")
    samples = AudioStore.build(manifest, RATE, 8_000, folder)[first.id]
    np.testing.assert_allclose(samples[:3], [1.0, -1.0, 0.5], rtol=0, atol=0.51 / 32_767)


def test_clips_have_their_places_in_the_order_of_the_manifest(manifest, store):
    assert [store.position(spoken.id) for spoken in manifest] == list(range(len(store))) == [0, 1, 2, 3]


def test_its_name_tells_what_is_in_it(manifest, folder, store):
    assert AudioStore.build(manifest, RATE, 8_000, folder).name == store.name
    first, *others = manifest
    changed = replace(manifest, utterances=(replace(first, digest="another"), *others))
    names = {
        store.name,
        AudioStore.build(changed, RATE, 8_000, folder).name,
        AudioStore.build(manifest, RATE, 7_000, folder).name,
        AudioStore.build(manifest, 8_000, 4_000, folder).name,
    }
    assert len(names) == 4


def test_progress_hears_of_every_clip(manifest, folder):
    heard: list[tuple[int, int]] = []
    AudioStore.build(manifest, RATE, 8_000, folder, progress=lambda *counts: heard.append(counts))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_it_travels_to_a_worker_without_its_samples(manifest, store):
    parcel = pickle.dumps(store)
    assert len(parcel) < 300  # a path: ten million ids would take 500 MB
    arrived = pickle.loads(parcel)
    assert all(np.array_equal(arrived[spoken.id], store[spoken.id]) for spoken in manifest)


def test_by_default_it_lies_in_the_cache_folder(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    AudioStore.build(manifest, RATE, 8_000)
    assert {path.suffix for path in (tmp_path / "cache" / "audio").iterdir()} == {
        ".int16",
        ".npy",
        ".ids",
    }


# Names and places


def test_its_name_is_the_digest_of_rate_band_and_clips(manifest, store):
    what = [RATE, 8_000, *((spoken.id, spoken.digest) for spoken in manifest)]
    # as it always was: a store that somebody has is found again
    assert store.name == hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def test_a_clip_is_found_by_its_id_in_any_script(manifest, folder):
    names = ["x/a_000", "x/złość", "y/怒り", "y/怒り2"]  # in the order of their bytes, as of their characters
    spoken = tuple(replace(one, id=name) for one, name in zip(manifest, names, strict=True))
    store = AudioStore.build(Manifest(manifest.root, spoken), RATE, 8_000, folder)
    assert [store.utterance_id(store.position(name)) for name in names] == names
    assert [len(store[name]) for name in names] == list(LENGTHS)
    for name in ("w", "x/a", "x/a_0000", "y/怒り3", "z"):
        with pytest.raises(KeyError, match=name):
            store.position(name)


def test_a_part_knows_its_places_in_the_whole(manifest, store):
    part = manifest.select([manifest.utterances[3].id, manifest.utterances[1].id])
    assert store.positions(part).tolist() == [1, 3]
    assert store.positions(manifest.select([])).tolist() == []
    stranger = replace(part.utterances[0], id="x/a_001_and_more")
    with pytest.raises(KeyError, match="x/a_001_and_more"):
        store.positions(replace(part, utterances=(*part.utterances, stranger)))


def test_a_store_of_an_older_version_gets_its_names_and_nothing_is_decoded(manifest, folder, store, reads):
    expected = [store[spoken.id] for spoken in manifest]
    (folder / f"{store.name}.ids").unlink()
    again = AudioStore.build(manifest, RATE, 8_000, folder)
    assert reads == []
    assert all(np.array_equal(again[s.id], one) for s, one in zip(manifest, expected, strict=True))


# Decoding


def content(folder: Path) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def test_processes_decode_what_threads_do(manifest, folder, store, tmp_path):
    AudioStore.build(manifest, RATE, 8_000, tmp_path / "other", workers=2)
    assert content(tmp_path / "other") == content(folder)


def test_recordings_are_decoded_only_a_few_ahead(manifest, folder, reads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    first = manifest.utterances[0]
    many = tuple(replace(first, id=f"x/{number:02}") for number in range(40))
    ahead = []
    AudioStore.build(
        Manifest(manifest.root, many), RATE, 8_000, folder, lambda done, _: ahead.append(len(reads) - done)
    )
    assert len(reads) == len(ahead) == 40
    assert max(ahead) < AHEAD  # one is answered, so many are under way or wait


def test_of_two_at_once_one_decodes_and_the_other_waits(manifest, folder, reads, monkeypatch):
    both_asked = Barrier(2, timeout=300)
    key = audio_store._key
    monkeypatch.setattr(audio_store, "_key", lambda *what: (both_asked.wait() and None) or key(*what))
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: AudioStore.build(manifest, RATE, 8_000, folder), range(2)))
    assert len(reads) == 4
    assert stores[0].name == stores[1].name
    assert {path.suffix for path in folder.iterdir()} == {".int16", ".npy", ".ids"}


# Stopped, killed, gone on with


#: Decodes with one thread, and kills itself when it is told of the third clip.
KILLED = """
import os, signal, sys
from pathlib import Path
os.cpu_count = lambda: 1
from vocalics.lab import audio_store
from vocalics.lab.manifest import load_manifest

def die(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

audio_store.CLIPS_A_COMMIT = int(sys.argv[3])
audio_store.AudioStore.build(load_manifest(sys.argv[1]), 16_000, 8_000, Path(sys.argv[2]), die)
"""


@pytest.mark.parametrize(("clips_a_commit", "kept"), [(1, 3), (2, 2), (1_000, 0)])
def test_killed_it_goes_on_from_what_it_had_made_sure_of(
    manifest, store, folder, tmp_path, reads, clips_a_commit, kept
):
    manifest.save(tmp_path / "manifest.csv")
    call = [tmp_path / "manifest.csv", tmp_path / "killed", clips_a_commit]
    died = subprocess.run([sys.executable, "-c", KILLED, *map(str, call)])
    assert died.returncode == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("*.int16"))  # no half of a store can be taken for a whole one
    told: list[int] = []
    reads.clear()
    AudioStore.build(manifest, RATE, 8_000, tmp_path / "killed", lambda done, _: told.append(done))
    assert len(reads) == 4 - kept
    assert told == list(range(kept + 1, 5))
    assert content(tmp_path / "killed") == content(folder)


def test_a_file_that_cannot_be_decoded_is_named_and_what_came_before_it_is_kept(
    manifest, folder, store, tmp_path, reads
):
    third = manifest.audio_path(manifest.utterances[2])
    sound = third.read_bytes()
    third.write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"a_002\.wav"):
        AudioStore.build(manifest, RATE, 8_000, tmp_path / "other")
    third.write_bytes(sound)
    reads.clear()
    AudioStore.build(manifest, RATE, 8_000, tmp_path / "other")
    assert [path.name for path in reads] == ["a_002.wav", "a_003.wav"]
    assert content(tmp_path / "other") == content(folder)


@pytest.mark.parametrize(
    ("more_of", "n_bytes", "kept"),
    [
        (".part", 2 * LENGTHS[2], 2),  # the third clip is written, and the journal does not name it yet
        (".part", 7, 2),
        (".lengths", 8, 2),  # it names a clip of which nothing is written
        (".lengths", 3, 2),
        (".part", -2, 1),  # the second clip is not there to its end
        (".lengths", -16, 0),
    ],
)
def test_what_is_half_written_is_decoded_again(
    manifest, folder, store, tmp_path, reads, more_of, n_bytes, kept
):
    third = manifest.audio_path(manifest.utterances[2])
    sound = third.read_bytes()
    third.write_bytes(b"no sound")
    with pytest.raises(AudioError):
        AudioStore.build(manifest, RATE, 8_000, tmp_path / "other")
    third.write_bytes(sound)
    (torn,) = (tmp_path / "other").glob(f"*{more_of}")
    written = torn.read_bytes()
    torn.write_bytes(written + b"\x01" * n_bytes if n_bytes > 0 else written[:n_bytes])
    reads.clear()
    AudioStore.build(manifest, RATE, 8_000, tmp_path / "other")
    assert len(reads) == 4 - kept
    assert content(tmp_path / "other") == content(folder)
