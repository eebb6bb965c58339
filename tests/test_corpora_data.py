"""A data folder and what lies in it, or a manifest instead."""

import os
from pathlib import Path

import pytest

from made_corpora import ids, write, write_all
from vocalics import audio
from vocalics.errors import CorpusError, UsageError
from vocalics.lab.corpora import data_folder, load_data, scan, scan_data


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


# Data folders ---------------------------------------------------------------------------------------------


def test_a_data_folder_has_one_folder_for_each_corpus(tmp_path):
    write_all(tmp_path, ["savee/DC_a01.wav", "tess/OAF_angry/OAF_back_angry.wav", "nemo/EB0_anger_1.wav"])
    manifest = scan_data(tmp_path)
    assert ids(manifest) == ["nemo/EB0_anger_1", "savee/DC_a01", "tess/OAF_back_angry"]
    assert all(manifest.audio_path(utterance).is_file() for utterance in manifest)


def test_the_bundle_on_kaggle_is_read_as_it_is(tmp_path):
    write_all(
        tmp_path,
        [
            "Ravdess/audio_speech_actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
            "Crema/1001_DFA_ANG_XX.wav",
            "Savee/DC_a01.wav",
            "Tess/OAF_angry/OAF_back_angry.wav",
        ],
    )
    assert scan_data(tmp_path).corpora == ("cremad", "ravdess", "savee", "tess")


@pytest.mark.parametrize("folder", ["CREMA-D", "crema_d", "Crema", "AudioWAV"])
def test_folder_names_match_in_any_spelling(tmp_path, folder):
    write(tmp_path / folder / "1001_DFA_ANG_XX.wav")
    assert ids(scan_data(tmp_path, ["cremad"])) == ["cremad/1001_DFA_ANG_XX"]


@pytest.mark.parametrize(
    "name",
    ["Actor_01/03-01-01-01-01-01-01.wav", "03-01-01-01-01-01-01.wav", "deep/er/03-01-01-01-01-01-01.wav"],
)
@pytest.mark.parametrize("wanted", [None, ["ravdess"]])
def test_one_corpus_may_lie_directly_in_the_data_folder(tmp_path, name, wanted):
    write(tmp_path / name)
    (utterance,) = scan_data(tmp_path, wanted)
    assert (utterance.id, utterance.path) == ("ravdess/03-01-01-01-01-01-01", name)


def test_a_corpus_beside_the_folder_of_another_is_found_too(tmp_path):
    write_all(tmp_path, ["Actor_01/03-01-01-01-01-01-01.wav", "savee/DC_a01.wav"])
    notes = []
    assert scan_data(tmp_path, notes=notes.append).corpora == ("ravdess", "savee")
    assert notes == [], "neither reader looks into the other's folder"


def test_folders_named_by_emotion_are_the_corpus_folder(tmp_path):
    write_all(tmp_path, ["happy/1.wav", "Sadness/2.wav"])
    manifest = scan_data(tmp_path)
    assert [(u.id, u.emotion, u.speaker) for u in manifest] == [
        ("folder/Sadness/2", "sad", ""),
        ("folder/happy/1", "happy", ""),
    ]


def test_songs_are_read_only_when_they_are_named(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess/03-02-03-01-01-01-01.wav"])
    notes = []
    assert ids(scan_data(tmp_path, notes=notes.append)) == ["ravdess/03-01-03-01-01-01-01"]
    assert "of ravdess-song" in notes[0].message


def test_singers_are_the_speakers_of_ravdess(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess/03-02-03-01-01-01-01.wav"])
    manifest = scan_data(tmp_path, ["ravdess", "ravdess-song"])
    assert len(manifest) == 2
    assert manifest.speakers == (("ravdess", "01"),)


def test_songs_may_have_a_folder_of_their_own(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess-song/03-02-03-01-01-01-01.wav"])
    manifest = scan_data(tmp_path, ["ravdess-song"])
    assert [u.path for u in manifest] == ["ravdess-song/03-02-03-01-01-01-01.wav"]


def test_a_corpus_that_is_named_and_not_there_is_refused(tmp_path):
    write(tmp_path / "savee" / "DC_a01.wav")
    with pytest.raises(CorpusError, match=r"nothing of tess.*in it lie savee"):
        scan_data(tmp_path, ["savee", "tess"])


def test_an_empty_data_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="in it lie nothing"):
        scan_data(tmp_path)


def test_a_data_folder_that_does_not_exist_is_told_with_the_remedy(tmp_path):
    with pytest.raises(CorpusError, match="VOCALICS_DATA"):
        scan_data(tmp_path / "nowhere")


def test_the_data_folder_is_the_option_else_the_variable_else_the_cache(tmp_path, monkeypatch):
    assert data_folder() == Path(os.environ["VOCALICS_CACHE"]) / "corpora"
    monkeypatch.setenv("VOCALICS_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert data_folder(Path("mine")) == Path("mine")


# A manifest or a table instead ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_manifest_is_loaded_without_decoding(tmp_path, monkeypatch, suffix):
    manifest = scan("savee", write_all(tmp_path / "savee", ["DC_a01.wav", "DC_a02.wav"]))
    manifest.save(tmp_path / f"manifest{suffix}")
    monkeypatch.setattr(audio, "read", lambda path: pytest.fail(f"{path} is decoded"))
    assert load_data(manifest=tmp_path / f"manifest{suffix}").utterances == manifest.utterances


def test_a_saved_manifest_can_be_narrowed_to_corpora(tmp_path):
    write_all(tmp_path, ["r/03-01-03-01-01-01-01.wav", "r/03-02-03-01-01-01-01.wav", "s/DC_a01.wav"])
    scan_data(tmp_path, ["ravdess", "ravdess-song", "savee"]).save(tmp_path / "m.csv")
    assert ids(load_data(manifest=tmp_path / "m.csv", corpora=["ravdess"])) == [
        "ravdess/03-01-03-01-01-01-01"
    ]
    with pytest.raises(CorpusError, match="no utterance of tess; it has ravdess, savee"):
        load_data(manifest=tmp_path / "m.csv", corpora=["tess"])


def test_a_table_of_ones_own_is_a_manifest_too(tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "mine.csv").write_text("path,emotion\na.wav,happy\n")
    assert ids(load_data(manifest=tmp_path / "mine.csv")) == ["folder/a"]


def test_data_and_manifest_together_are_refused(tmp_path):
    with pytest.raises(UsageError, match="both given"):
        load_data(tmp_path, tmp_path / "m.csv")


def test_a_manifest_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="there is no manifest"):
        load_data(manifest=tmp_path / "m.csv")


def test_with_neither_the_known_data_folder_is_read(tmp_path, monkeypatch):
    write(tmp_path / "savee" / "DC_a01.wav")
    monkeypatch.setenv("VOCALICS_DATA", str(tmp_path))
    assert len(load_data()) == 1
