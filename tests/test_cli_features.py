"""``vocalics features``, typed as a user types it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import made_corpora
import tiny_corpus
from vocalics.lab import extraction
from vocalics.lab.corpora import scan_data
from vocalics.lab.manifest import Manifest, load_manifest

ONE_SPEAKER = tiny_corpus.UTTERANCES


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with one speaker's recordings (``data/ravdess``), the tiny recipe and a manifest."""
    folder = tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOCALICS_CACHE", str(folder / "cache"))
        tiny_corpus.write_corpus(folder / "data", actors=(1,))
        tiny_corpus.write_recipe(folder / "tiny.yaml")
        scan_data(folder / "data").save(folder / "m.parquet")
    return folder


@pytest.fixture(autouse=True)
def _own_folders(given, tmp_path, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(given / "cache"))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def features(given, command):
    """Run ``vocalics features`` with the tiny recipe."""
    return lambda *arguments: command("features", *arguments, "--recipe", given / "tiny.yaml")


def test_a_manifest_becomes_a_table_and_its_name_is_printed(given, features, tmp_path):
    run = features(given / "m.parquet", "-o", "f.parquet")
    assert (run.code, run.out) == (0, "f.parquet\n")
    assert run.err == f"vocalics: {ONE_SPEAKER} recordings, 16 features of tiny\n"
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert table["id"].tolist() == [utterance.id for utterance in load_manifest(given / "m.parquet")]
    assert {"log_mel_0_mean", "log_mel_15_max"} <= set(table)
    # 300 Hz and 2,400 Hz are planted, on a mel scale of 16 bands up to 4 kHz: the loudest band is another.
    bands = table[[f"log_mel_{band}_mean" for band in range(16)]].to_numpy().argmax(axis=1)
    loudest = {emotion: set(bands[table["emotion"] == emotion]) for emotion in ("neutral", "happy")}
    assert max(loudest["neutral"]) < min(loudest["happy"])


def test_a_data_folder_a_folder_and_a_table_give_the_same_frames(given, features, tmp_path):
    rows = [f"{u.path},{u.emotion}" for u in load_manifest(given / "m.parquet")]
    (given / "data/mine.csv").write_text("\n".join(["path,emotion", *rows]))
    calls = {
        "data": ["--data", given / "data", "--corpus", "ravdess"],
        "folder": [given / "data"],
        "table": [given / "data/mine.csv"],
    }
    frames = {}
    for name, where in calls.items():
        assert features(*where, "-o", f"{name}.npz").code == 0
        with np.load(tmp_path / f"{name}.npz") as data:
            frames[name] = np.stack([data[key] for key in data["keys"]])
    assert frames["data"].shape[:2] == (ONE_SPEAKER, 16)
    np.testing.assert_array_equal(frames["folder"], frames["data"])
    np.testing.assert_array_equal(frames["table"], frames["data"])


def test_functionals_and_settings_are_chosen_on_the_command_line(given, features, tmp_path):
    options = ("--functionals", "q3, mean", "--set", "features.stack=[{name: rms}]")
    assert features(given / "m.parquet", "-o", "f.csv", *options).code == 0
    header = (tmp_path / "f.csv").read_text().partition("\n")[0].split(",")
    assert header[-3:] == ["root", "rms_q3", "rms_mean"]


def test_help_names_the_functionals_there_are(features):
    told = "".join(features("--help").out.split())  # lines are broken where the terminal ends
    assert ",".join(extraction.FUNCTIONALS) in told.replace("│", "")


def test_all_emotions_are_kept_unless_projected(given, features, tmp_path):
    few = ("--set", "emotions=[sad, angry]", "--set", "merge={happy: sad}")
    assert features(given / "m.parquet", "-o", "all.csv", *few).code == 0
    assert set(pd.read_csv(tmp_path / "all.csv")["emotion"]) == set(tiny_corpus.EMOTIONS)
    run = features(given / "m.parquet", "-o", "few.csv", *few, "--project")
    assert run.code == 0
    assert "left out: 4 utterances of 'neutral'" in run.err  # two sentences, twice each
    counts = pd.read_csv(tmp_path / "few.csv")["emotion"].value_counts().to_dict()
    assert counts == {"sad": 8, "angry": 4}


@pytest.fixture
def damaged(given, tmp_path):
    """The manifest over a copy of the recordings in which one is missing and one is no sound."""
    shutil.copytree(given / "data", tmp_path / "data")
    whole = load_manifest(given / "m.parquet")
    missing, text, *_ = (tmp_path / "data" / utterance.path for utterance in whole)
    missing.unlink()
    text.write_text("no sound")
    Manifest(tmp_path / "data", whole.utterances).save(tmp_path / "damaged.csv")
    return missing.name, text.name


def test_bad_files_are_told_the_others_go_on_and_it_answers_1_with_any_workers(damaged, features, tmp_path):
    runs = [features("damaged.csv", "-o", f"{n}.csv", "--workers", n) for n in (1, 2)]
    for number, run in enumerate(runs, start=1):
        assert (run.code, run.out) == (1, f"{number}.csv\n")
        first, second, last = run.err.splitlines()
        assert damaged[0] in first
        assert damaged[1] in second
        assert last == f"vocalics: {ONE_SPEAKER - 2} recordings, 16 features of tiny"
    assert len(pd.read_csv(tmp_path / "1.csv")) == ONE_SPEAKER - 2
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_what_a_scan_cannot_read_answers_1_too(features, tmp_path):
    made_corpora.write(tmp_path / "mine/happy/a.wav", np.zeros(8_000))
    (tmp_path / "mine/happy/b.wav").write_text("no sound")
    run = features("mine", "-o", "f.csv")
    assert run.code == 1
    assert "1 file cannot be read" in run.err
    assert pd.read_csv(tmp_path / "f.csv")["id"].tolist() == ["folder/happy/a"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{given}/m.parquet", "-o", "f.xlsx"], "let it end in .parquet or .csv"),
        (["{given}/m.parquet", "-o", "f.npz", "--functionals", "mean"], "holds frames"),
        (["{given}/m.parquet", "-o", "f.csv", "--functionals", "maen"], "did you mean 'mean'?"),
        (["{given}/m.parquet", "-o", "f.csv", "--data", "{given}/data"], "both given"),
        (["{given}/m.parquet", "-o", "f.csv", "--set", "features.n_ftt=4"], "did you mean 'n_fft'?"),
        (["{given}/m.parquet", "-o", "f.csv", "--corpus", "savee"], "no utterance of savee"),
        (["{given}/m.parquet", "-o", "{given}/m.parquet"], "is the manifest itself"),
        (["{given}/m.parquet", "-o", "f.csv", "--workers", "0"], "workers"),
        (["nowhere.csv", "-o", "f.csv"], "there is no manifest 'nowhere.csv'"),
        (["--data", "nowhere", "-o", "f.csv"], "there is no data folder 'nowhere'"),
        (["{given}/m.parquet"], "--output"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_answers_2(given, features, tmp_path, arguments, sentence):
    run = features(*(argument.format(given=given) for argument in arguments))
    assert (run.code, run.out) == (2, "")
    assert sentence in run.err
    assert run.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sends the signal of Ctrl-C to a group of processes")
def test_ctrl_c_leaves_no_half_file_no_process_and_no_traceback(given, tmp_path):
    one, *_ = load_manifest(given / "m.parquet")
    many = [replace(one, id=f"{one.id} {number}") for number in range(20_000)]  # half a minute of work
    Manifest(given / "data", tuple(many)).save(tmp_path / "many.parquet")
    program = "import sys; from vocalics.cli import main; sys.exit(main())"
    call = [sys.executable, "-c", program, "features", "many.parquet", "--workers", "2"]
    call += ["--recipe", str(given / "tiny.yaml"), "-o", "out/f.npz"]
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("out/.f.npz.*")):  # its processes are about to start
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = process.communicate(timeout=240)  # until the last of them has closed these
    assert (process.returncode, out) == (130, "")
    assert err == "vocalics: interrupted; 'out/f.npz' is as it was\n"
    assert list((tmp_path / "out").iterdir()) == []
