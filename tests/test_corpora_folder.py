"""Recordings of one's own: folders and file names with an emotion, and tables."""

import pytest

from made_corpora import ids, kinds, write, write_all
from vocalics.errors import CorpusError
from vocalics.lab.corpora import scan, scan_data


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


def labels_of(manifest) -> dict[str, str]:
    return {utterance.id.removeprefix("folder/"): utterance.emotion for utterance in manifest}


def test_the_nearest_folder_that_names_an_emotion_is_the_label(tmp_path):
    write_all(tmp_path, ["sad/anna/1.wav", "bert/02_Angry/2.wav", "happy/fear/3.wav", "boredom/4.wav"])
    assert labels_of(scan("folder", tmp_path)) == {
        "sad/anna/1": "sad",
        "bert/02_Angry/2": "angry",
        "happy/fear/3": "fearful",
        "boredom/4": "boredom",
    }


def test_file_names_may_carry_the_emotion(tmp_path):
    write_all(tmp_path, ["clip_angry_01.wav", "anna/Anna-Fear-2.wav", "clip_03.wav"])
    notes = []
    manifest = scan("folder", tmp_path, notes=notes.append)
    assert labels_of(manifest) == {"clip_angry_01": "angry", "anna/Anna-Fear-2": "fearful"}
    assert kinds(notes) == {"unlabelled": 1}


def test_folders_outside_the_eight_are_labels_when_no_name_is_an_emotion(tmp_path):
    write_all(tmp_path, ["Bored/1.wav", "Engaged/2.wav"])
    assert labels_of(scan("folder", tmp_path)) == {"Bored/1": "bored", "Engaged/2": "engaged"}
    with pytest.raises(CorpusError, match="no folder named by emotion"):
        scan_data(tmp_path)  # too little to guess by


def test_a_folder_without_any_label_is_refused(tmp_path):
    write(tmp_path / "1.wav")
    with pytest.raises(CorpusError, match=r"no recording .* has an emotion"):
        scan("folder", tmp_path)


TABLE = """path,emotion,speaker,gender,intensity,sentence
one.wav,Joy,anna,F,strong,s1
sub/two.wav,boredom,bert,male,,
"""


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
def test_a_table_names_recordings_and_labels(tmp_path, delimiter, byte_order_mark):
    write_all(tmp_path, ["one.wav", "sub/two.wav", "unlisted.wav"])
    table = tmp_path / "labels.csv"
    table.write_text(byte_order_mark + TABLE.replace(",", delimiter), encoding="utf-8")
    one, two = scan("folder", table)
    assert (one.id, one.path, one.emotion, one.speaker) == ("folder/one", "one.wav", "happy", "anna")
    assert (one.gender, one.intensity, one.sentence) == ("female", "strong", "s1")
    assert (two.path, two.emotion, two.gender) == ("sub/two.wav", "boredom", "male")


def test_a_parquet_table_says_the_same_as_a_csv(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    write_all(tmp_path, ["one.wav", "two.wav"])
    columns = {"path": ["one.wav", "two.wav"], "emotion": ["happy", "sad"], "speaker": [3.0, None]}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    (tmp_path / "labels.csv").write_text("path,emotion,speaker\none.wav,happy,3\ntwo.wav,sad,\n")
    assert scan("folder", tmp_path / "labels.parquet") == scan("folder", tmp_path / "labels.csv")


def test_absolute_paths_and_backslashes_are_understood(tmp_path):
    inside, outside = write(tmp_path / "table" / "in.wav"), write(tmp_path / "elsewhere" / "out.wav")
    write(tmp_path / "table" / "sub" / "win.wav")
    table = tmp_path / "table" / "labels.csv"
    table.write_text(f"path,emotion\n{inside},happy\n{outside},sad\nsub\\win.wav,angry\n")
    manifest = scan("folder", table)
    assert {u.path for u in manifest} == {"in.wav", outside.as_posix(), "sub/win.wav"}
    assert all(manifest.audio_path(u).is_file() for u in manifest)


def test_what_a_table_gets_wrong_is_told(tmp_path):
    write_all(tmp_path, ["one.wav", "two.wav", "three.wav"])
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,emotion,speker,gender\none.wav,happy,a,x\nlost.wav,sad,b,f\ntwo.wav,,c,m\n"
        "three.wav,sad,d,m\nthree.wav,angry,d,m\n"
    )
    notes = []
    assert ids(scan("folder", table, notes=notes.append)) == ["folder/one"]
    assert kinds(notes) == {"missing": 1, "conflict": 1, "unlabelled": 1, "column": 1, "gender": 1}
    told = {note.kind: note.message for note in notes}
    assert "'speker', did you mean 'speaker'?" in told["column"]
    assert "three: angry, sad" in told["conflict"]
    assert [note.kind for note in notes if note.failed] == ["missing"]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("path,emtion", "no column 'emotion'; is 'emtion' meant"),
        ("emotion,speaker", "no column 'path'. It has emotion, speaker"),
        ("", "no column 'path'. It has no columns"),
    ],
)
def test_a_table_without_a_needed_column_is_refused(tmp_path, header, sentence):
    (tmp_path / "labels.csv").write_text(f"{header}\n")
    with pytest.raises(CorpusError, match=sentence):
        scan("folder", tmp_path / "labels.csv")


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_a_table_that_is_none_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 no table")
    with pytest.raises(CorpusError, match="cannot be read as a"):
        scan("folder", tmp_path / name)


def test_a_table_of_missing_files_is_refused(tmp_path):
    too_long = "b" * 999 + ".wav"
    (tmp_path / "labels.csv").write_text(f"path,emotion\na.wav,happy\n{too_long},sad\n")
    with pytest.raises(CorpusError, match="of 2 rows 2 name files that do not exist"):
        scan("folder", tmp_path / "labels.csv")
