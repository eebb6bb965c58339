"""``vocalics corpus``, typed as a user types it."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocalics.lab.corpora import CORPORA
from vocalics.lab.manifest import load_manifest


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


def write(path: Path, seed: int | None = None) -> Path:
    """Write half a second of noise at 8 kHz; equal seeds make equal sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int(hashlib.sha256(path.stem.encode()).hexdigest()[:8], 16) if seed is None else seed
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.1, 0.1, 4000), 8000)
    return path


def test_list_tells_every_corpus_as_json_when_it_is_piped(command):
    run = command("corpus", "list")
    assert run.code == 0
    told = {row["name"]: row for row in json.loads(run.out)}
    assert list(told) == list(CORPORA)
    assert told["ravdess"]["licence"] == "CC BY-NC-SA 4.0"
    assert "kahlan.eps.surrey.ac.uk" in told["savee"]["how_to_get"]


def test_list_draws_a_table_when_asked_to(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    run = command("corpus", "list", "--format", "table")
    assert run.code == 0
    for name in CORPORA:
        assert f" {name} " in run.out
    assert "7,442" in run.out


def test_scan_writes_a_manifest_and_says_what_is_in_it(command, tmp_path):
    write(tmp_path / "savee" / "DC_a01.wav")
    write(tmp_path / "savee" / "JK_sa02.wav")
    run = command("corpus", "scan", "savee", tmp_path / "savee", "-o", tmp_path / "m.csv")
    assert run.code == 0
    told = json.loads(run.out)
    assert told["manifest"] == str(tmp_path / "m.csv")
    assert told["corpora"] == [
        {"corpus": "savee", "utterances": 2, "speakers": 2, "hours": 0.0, "emotions": {"angry": 1, "sad": 1}}
    ]
    assert [u.id for u in load_manifest(tmp_path / "m.csv")] == ["savee/DC_a01", "savee/JK_sa02"]


def test_scan_tells_what_it_passes_over_on_stderr_and_answers_1(command, tmp_path):
    write(tmp_path / "DC_a01.wav")
    (tmp_path / "DC_a02.wav").write_bytes(b"not sound")
    run = command("corpus", "scan", "savee", tmp_path, "-o", tmp_path / "m.parquet")
    assert run.code == 1
    assert "1 file cannot be read" in run.err
    assert "DC_a02.wav" in run.err
    assert [note["kind"] for note in json.loads(run.out)["notes"]] == ["unreadable"]
    assert len(load_manifest(tmp_path / "m.parquet")) == 1


def test_what_is_left_out_on_purpose_is_no_failure(command, tmp_path):
    write(tmp_path / "DC_a01.wav")
    write(tmp_path / "holiday.wav")
    run = command("corpus", "scan", "savee", tmp_path, "-o", tmp_path / "m.csv")
    assert run.code == 0
    assert "holiday.wav" in run.err


def test_scan_draws_a_table_when_asked_to(command, tmp_path):
    write(tmp_path / "DC_a01.wav")
    run = command("corpus", "scan", "savee", tmp_path, "-o", tmp_path / "m.csv", "--format", "table")
    assert run.code == 0
    assert "angry 1" in run.out


def test_scan_reads_a_table_of_ones_own(command, tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "mine.csv").write_text("path,emotion,speaker\na.wav,joy,anna\n")
    run = command("corpus", "scan", "folder", tmp_path / "mine.csv", "-o", tmp_path / "m.csv")
    assert run.code == 0
    with (tmp_path / "m.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["emotion"], row["speaker"]) == ("folder/a", "happy", "anna")


def test_scan_all_reads_a_whole_data_folder(command, tmp_path):
    write(tmp_path / "Savee" / "DC_a01.wav")
    write(tmp_path / "nemo" / "EB0_anger_1.wav")
    run = command("corpus", "scan", "all", tmp_path, "-o", tmp_path / "m.csv")
    assert run.code == 0
    assert [row["corpus"] for row in json.loads(run.out)["corpora"]] == ["nemo", "savee"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scan", "ravdes", ".", "-o", "m.csv"], "Did you mean 'ravdess'?"),
        (["scan", "savee", ".", "-o", "m.xlsx"], "let the manifest end in .parquet or .csv"),
        (["scan", "savee", "nowhere", "-o", "m.csv"], "'nowhere' does not exist"),
        (["scan", "savee", ".", "-o", "m.csv"], "no recording of savee in '.'"),
        (["download", "savee"], "savee cannot be downloaded: ask its authors at"),
        (["download", "crema-d"], "Did you mean 'cremad'?"),
        (["audit", "m.csv"], "there is no manifest 'm.csv'"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_answers_2(command, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    run = command("corpus", *arguments)
    assert run.code == 2
    assert sentence in run.err.splitlines()[-1]
    assert run.out == ""
    assert "Traceback" not in run.err
    assert not (tmp_path / "m.csv").exists()


def test_download_tells_licence_and_citation_whatever_becomes_of_it(command, tmp_path):
    run = command("corpus", "download", "cremad", "--data", tmp_path, "--mirror", "ftp://host")
    assert run.code == 2
    assert "ODbL 1.0" in run.err
    assert "Cao, Cooper" in run.err
    assert "must begin with http" in run.err


def test_audit_finds_the_same_audio_under_two_labels(command, tmp_path):
    write(tmp_path / "DC_a01.wav", seed=1)
    write(tmp_path / "JE_n01.wav", seed=1)
    command("corpus", "scan", "savee", tmp_path, "-o", tmp_path / "m.csv")
    run = command("corpus", "audit", tmp_path / "m.csv")
    assert run.code == 0  # reported, not refused: no split is at stake yet
    found = {finding["kind"]: finding["ids"] for finding in json.loads(run.out)["findings"]}
    assert found["conflicting labels"] == ["savee/DC_a01", "savee/JE_n01"]


def test_audit_refuses_a_split_with_the_same_speaker_on_two_sides(command, tmp_path):
    from vocalics.lab.splits import Split

    for name in ("DC_a01", "DC_a02", "JE_a01"):
        write(tmp_path / f"{name}.wav")
    command("corpus", "scan", "savee", tmp_path, "-o", tmp_path / "m.csv")
    split = Split(
        protocol="speaker",
        train=("savee/DC_a01",),
        validation=("savee/JE_a01",),
        test=("savee/DC_a02",),
        seed=0,
        fold=1,
        folds=1,
    )
    split.save(tmp_path / "split.json")
    run = command("corpus", "audit", tmp_path / "m.csv", "--split", tmp_path / "split.json")
    assert run.code == 1
    assert "same speaker" in {finding["kind"] for finding in json.loads(run.out)["findings"]}


def test_help_names_every_command(command):
    run = command("corpus", "--help")
    assert run.code == 0
    assert all(command in run.out for command in ("list", "download", "scan", "audit"))
