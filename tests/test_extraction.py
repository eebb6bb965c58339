"""Features of many recordings in one file: sounds with known features, tables, archives, and processes."""

import csv
import errno
import io
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

import made_manifests as made
import tiny_corpus
import vocalics
from sounds import sine
from vocalics import audio
from vocalics.errors import AudioError, CorpusError, UsageError
from vocalics.lab import feature_files
from vocalics.lab.extraction import FUNCTIONALS, Extractor, choose_functionals, extract, summarise
from vocalics.lab.feature_files import Content, csv_table, frame_archive
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import COLUMNS, Manifest, load_manifest
from vocalics.lab.recipes.schema import parse_recipe

RATE = 16_000
TONE_HZ, AMPLITUDE = 1_000.0, 0.5  # the tone lies on a bin of 512 points at 16 kHz, 31.25 Hz each


def recipe_of(*stack, **features):
    """A recipe with these features in frames of 32 ms every 16 ms."""
    settings = {"n_fft": 512, "hop_length": 256, "stack": list(stack)} | features
    changes = {"sample_rate": RATE, "bandwidth_hz": RATE / 2, "features": settings}
    return parse_recipe(tiny_corpus.RECIPE | changes)


RECIPE = recipe_of(
    {"name": "spectral_centroid"},
    {"name": "zero_crossing_rate"},
    {"name": "rms"},
    {"name": "mfcc", "n_mfcc": 3},
)


def noise(number, duration_s=0.5):
    return np.random.default_rng(number).uniform(-0.1, 0.1, int(duration_s * RATE))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Four recordings of noise, of different lengths, after a tone."""
    root = tmp_path_factory.mktemp("corpus")
    spoken = made.spoken_by("made", {"anna": "female"}, per_emotion=1)
    for number, utterance in enumerate(spoken):
        (root / "made").mkdir(exist_ok=True)
        soundfile.write(root / utterance.path, noise(number, 0.5 + 0.1 * number), RATE)
    tone = replace(made.utterance("made", "a tone", 0), path="tone.wav")
    soundfile.write(root / "tone.wav", sine(TONE_HZ, RATE, amplitude=AMPLITUDE), RATE, subtype="FLOAT")
    return Manifest(root, (tone, *spoken))


def frames_of(path):
    """Frames by utterance id, as docs/features.md says."""
    with np.load(path) as data:
        return {name: data[key] for name, key in zip(data["ids"], data["keys"], strict=True)}


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- what is computed ------------------------------------------------------------------------------------


def test_a_tone_has_the_centroid_crossings_and_level_of_a_tone(manifest, tmp_path):
    extract(RECIPE, manifest, tmp_path / "f.parquet", functionals=["median"])
    told = pd.read_parquet(tmp_path / "f.parquet").set_index("id").loc["made/a tone_000"]
    # The window spreads the tone evenly over both its neighbours, so the centroid stays where it is.
    assert told["spectral_centroid_median"] == pytest.approx(TONE_HZ, abs=1.0)
    # Twice a period the sign changes; a frame of 512 samples counts to one more or less.
    assert told["zero_crossing_rate_median"] == pytest.approx(2 * TONE_HZ / RATE, abs=1 / 512)
    assert told["rms_median"] == pytest.approx(AMPLITUDE / np.sqrt(2), rel=1e-6)  # 32 whole periods a frame


def test_frames_are_what_the_front_end_makes_of_the_samples(manifest, tmp_path):
    extract(RECIPE, manifest, tmp_path / "f.npz")
    front_end = FrontEnd(RECIPE.features, RATE)
    frames = frames_of(tmp_path / "f.npz")
    assert list(frames) == [utterance.id for utterance in manifest]
    for utterance in manifest:
        samples = torch.from_numpy(audio.read(manifest.audio_path(utterance)).samples.copy())
        np.testing.assert_array_equal(frames[utterance.id], front_end.frames(samples)[0].numpy())


def test_they_are_what_the_bundled_model_hears_before_it_normalises(clip):
    model = vocalics.load()
    (heard,) = model.hear(clip).features  # its recipe takes off the mean and calls 20 dB one unit
    frames = Extractor(parse_recipe(model.card.training["recipe"])).frames(clip)
    # In decibel: two routes through a spectrum in float32, over a range of 80.
    np.testing.assert_allclose((frames - frames.mean()) / 20, heard, atol=0.01 / 20)


def test_all_frames_come_out_as_they_are_whatever_the_recipe_makes_of_them_then(manifest):
    path = manifest.root / "tone.wav"
    plain = Extractor(recipe_of({"name": "rms"}, normalisation="none")).frames(path)
    assert plain.shape == (1, 1 + RATE // 256)
    for changes in (
        {"normalisation": "utterance"},
        {"normalisation": "training", "frames": 10},
        {"normalisation": "training", "functionals": ["mean", "std"]},
    ):
        np.testing.assert_array_equal(Extractor(recipe_of({"name": "rms"}, **changes)).frames(path), plain)


def test_a_recording_is_mixed_and_resampled_as_for_a_training(tmp_path):
    stereo = np.stack([sine(TONE_HZ, 48_000), 0 * sine(TONE_HZ, 48_000)], axis=1)  # a mean of half its level
    soundfile.write(tmp_path / "stereo.wav", stereo, 48_000, subtype="FLOAT")
    (level,) = Extractor(recipe_of({"name": "rms"})).frames(tmp_path / "stereo.wav")
    assert np.median(level) == pytest.approx(
        0.25 / np.sqrt(2), rel=1e-3
    )  # what the resampler's ripple allows


def test_a_recording_that_is_too_short_is_named(tmp_path):
    soundfile.write(tmp_path / "short.wav", noise(0, 0.2), RATE)
    with pytest.raises(AudioError, match=r"short.wav lasts 0.20 s; at least 0.25 s is needed"):
        Extractor(RECIPE).frames(tmp_path / "short.wav")


# ---- functionals -----------------------------------------------------------------------------------------


def test_functionals_of_a_row_of_five_values_are_those_of_textbooks():
    row = np.array([[1.0, 2.0, 4.0, 8.0, 10.0]], dtype=np.float32)
    known = {"mean": 5.0, "std": np.sqrt(12.0), "min": 1.0, "q1": 2.0, "median": 4.0, "q3": 8.0, "max": 10.0}
    assert summarise(row, list(FUNCTIONALS)).tolist() == pytest.approx(list(known.values()), rel=1e-7)
    assert list(FUNCTIONALS) == list(known)


def test_the_table_holds_numpys_functionals_of_the_archives_frames(manifest, tmp_path):
    extract(RECIPE, manifest, tmp_path / "f.npz")
    extract(RECIPE, manifest, tmp_path / "f.parquet")
    table = pd.read_parquet(tmp_path / "f.parquet").set_index("id")
    by_numpy = {
        "mean": lambda rows: np.mean(rows, axis=1, dtype=np.float64),
        "std": lambda rows: np.std(rows, axis=1, dtype=np.float64),
        "min": lambda rows: np.min(rows, axis=1),
        "q1": lambda rows: np.percentile(rows.astype(np.float64), 25, axis=1),
        "median": lambda rows: np.percentile(rows.astype(np.float64), 50, axis=1),
        "q3": lambda rows: np.percentile(rows.astype(np.float64), 75, axis=1),
        "max": lambda rows: np.max(rows, axis=1),
    }
    names = np.load(tmp_path / "f.npz")["row_names"]
    for utterance_id, frames in frames_of(tmp_path / "f.npz").items():
        for functional, compute in by_numpy.items():
            columns = [f"{name}_{functional}" for name in names]
            told = table.loc[utterance_id, columns].to_numpy(np.float64)
            np.testing.assert_allclose(told, compute(frames), rtol=1e-7)  # half a step of float32 is 6e-8


def test_functionals_are_chosen_by_name_and_keep_their_order(manifest, tmp_path):
    extract(RECIPE, manifest, tmp_path / "f.parquet", functionals=["max", "mean", "max"])
    columns = pq.read_schema(tmp_path / "f.parquet").names
    assert columns[: len(COLUMNS)] == list(COLUMNS)
    assert columns[len(COLUMNS) :][:4] == [
        "spectral_centroid_max",
        "spectral_centroid_mean",
        "zero_crossing_rate_max",
        "zero_crossing_rate_mean",
    ]
    assert len(columns) == len(COLUMNS) + 2 * 6


# ---- files -----------------------------------------------------------------------------------------------


def test_an_archive_opens_without_pickle_and_says_all_about_itself(manifest, tmp_path):
    done = extract(RECIPE, manifest, tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz", allow_pickle=False) as data:
        every = {name: data[name] for name in data.files}
    assert all(array.dtype != object for array in every.values())
    assert {every[key].dtype for key in every["keys"]} == {np.dtype(np.float32)}
    assert tuple(every["row_names"]) == done.row_names == Extractor(RECIPE).row_names
    assert every["hop_s"] == 256 / RATE
    for name, column in {
        "ids": "id",
        "emotions": "emotion",
        "speakers": "speaker",
        "genders": "gender",
    }.items():
        assert every[name].tolist() == [getattr(utterance, column) for utterance in manifest]
    assert every["corpora"].tolist() == ["made"] * len(manifest)
    assert str(every["recipe"]) == RECIPE.to_yaml()


ODD_IDS = [
    "ids",
    "keys",
    "folder/keys",
    "folder/a b",
    "folder/ça va?",
    "folder/a%20b",
    "..",
    "/a",
    "folder/a.npy",
]


@pytest.mark.parametrize("odd", [*ODD_IDS, "folder/\udcff"])
def test_no_id_hides_another_array_or_is_lost(odd):
    others = [replace(made.utterance("made", "x", 0), id=name) for name in ODD_IDS if name != odd]
    spoken = [replace(made.utterance("made", "x", 0), id=odd), *others]
    file = io.BytesIO()
    with frame_archive(file, Content(("rms",), (), 0.016, "", Path())) as add:
        for number, utterance in enumerate(spoken):
            add(utterance, np.full((1, 2), number, dtype=np.float32))
    members = zipfile.ZipFile(file).namelist()
    assert len(members) == len(set(members))
    with np.load(file) as data:
        keys = data["keys"].tolist()
        assert data["ids"].tolist() == [utterance.id for utterance in spoken]
        assert [data[key][0, 0] for key in keys] == list(range(len(spoken)))
        assert unquote(keys[0], errors="surrogateescape") == odd


def test_csv_and_parquet_hold_the_same(manifest, tmp_path):
    for name in ("f.csv", "f.parquet"):
        extract(RECIPE, manifest, tmp_path / name)
    told = pd.read_csv(tmp_path / "f.csv", keep_default_na=False)
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert set(told.pop("root")) == {str(manifest.root)}
    assert list(told) == list(table)
    features = list(table)[len(COLUMNS) :]
    np.testing.assert_array_equal(told[features].to_numpy(np.float32), table[features].to_numpy())
    assert told[list(COLUMNS)].to_dict("list") == table[list(COLUMNS)].to_dict("list")


@pytest.mark.parametrize("odd", ["a,b", 'a"b', "a\rb", "a\nb", "ça va?"])
def test_no_name_breaks_a_row_of_csv(odd):
    file = io.BytesIO()
    with csv_table(file, Content(("rms",), ("mean",), 0.016, "", Path())) as add:
        add(made.utterance("made", odd, 0), np.array([0.1], dtype=np.float32))
    (row,) = csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""))
    assert (row["speaker"], row["rms_mean"]) == (odd, "0.1")  # the shortest that reads back as the float32


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_features_is_a_manifest(manifest, tmp_path, suffix):
    extract(RECIPE, manifest, tmp_path / f"f{suffix}", functionals=["mean"])
    loaded = load_manifest(tmp_path / f"f{suffix}")
    assert loaded.utterances == manifest.utterances
    assert loaded.root == manifest.root


def test_a_table_that_is_written_in_pieces_is_the_same_table(manifest, tmp_path, monkeypatch):
    extract(RECIPE, manifest, tmp_path / "whole.parquet")
    monkeypatch.setattr(feature_files, "_ROWS_AT_A_TIME", 2)
    extract(RECIPE, manifest, tmp_path / "pieces.parquet")
    assert pq.ParquetFile(tmp_path / "pieces.parquet").num_row_groups == 3  # 5 recordings, two at a time
    assert pq.read_table(tmp_path / "pieces.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))


def test_a_table_says_which_recipe_its_features_are_of(manifest, tmp_path):
    extract(RECIPE, manifest, tmp_path / "f.parquet")
    assert pq.read_schema(tmp_path / "f.parquet").metadata[b"vocalics.recipe"].decode() == RECIPE.to_yaml()


# ---- what goes wrong -------------------------------------------------------------------------------------


@pytest.fixture
def with_bad_files(manifest, tmp_path):
    """The manifest with a file that is missing, one that is no sound and one too short, in between."""
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "short.wav", noise(0, 0.1), RATE)
    bad = [
        replace(made.utterance("made", "anna", 9 + number), path=str(tmp_path / name))
        for number, name in enumerate(["missing.wav", "text.wav", "short.wav"])
    ]
    tone, *others = manifest
    return Manifest(manifest.root, (tone, *bad, *others))


def test_bad_files_are_told_one_by_one_and_the_others_go_on(with_bad_files, manifest, tmp_path):
    told, seen = [], []
    done = extract(
        RECIPE,
        with_bad_files,
        tmp_path / "f.npz",
        tell=told.append,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert done.recordings == len(manifest)
    assert tuple(told) == done.failed
    assert len(told) == 3
    for name, sentence in zip(["missing.wav", "text.wav", "short.wav"], told, strict=True):
        assert sentence.count(name) == 1
        assert "\n" not in sentence
    assert seen == [(number, 8) for number in range(1, 9)]
    extract(RECIPE, manifest, tmp_path / "alone.npz")
    assert (tmp_path / "f.npz").read_bytes() == (tmp_path / "alone.npz").read_bytes()


def test_nothing_is_written_when_no_recording_can_be_used(with_bad_files, tmp_path):
    bad = with_bad_files.filter(lambda utterance: utterance.path.startswith(str(tmp_path)))
    (tmp_path / "out").mkdir()
    with pytest.raises(CorpusError, match=r"none of 3 recordings can be used, so '.*f\.npz' is not written"):
        extract(RECIPE, bad, tmp_path / "out/f.npz")
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz"])
def test_an_interrupted_extraction_leaves_what_was_there(manifest, tmp_path, suffix):
    path = tmp_path / f"f{suffix}"
    path.write_text("the old one")

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(RECIPE, manifest, path, progress=interrupt)
    assert files_in(tmp_path) == [path.name]
    assert path.read_text() == "the old one"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(manifest, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(UsageError, match=r"f\.npz' cannot be written: No space left on device"):
        extract(RECIPE, manifest, tmp_path / "f.npz")
    assert files_in(tmp_path) == []


def test_a_place_that_is_no_folder_is_one_sentence(manifest, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        extract(RECIPE, manifest, tmp_path / "file/f.npz")


@pytest.mark.parametrize(
    ("name", "functionals", "sentence"),
    [
        ("f.xlsx", None, "let it end in .parquet or .csv, for functionals, or in .npz"),
        ("folder.csv", None, "is a folder"),
        ("f.npz", ["mean"], "'f.npz' holds frames; name a .parquet or .csv"),
        ("f.csv", ["mean", "meen"], "unknown functional 'meen'; did you mean 'mean'?"),
        ("f.csv", ["skewness"], "Known: mean, std, min, q1, median, q3, max"),
        ("f.csv", [""], "unknown functional ''"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path, monkeypatch, name, functionals, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=re.escape(sentence)):
        choose_functionals(Path(name), functionals)


def test_a_manifest_without_recordings_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="there is no recording"):
        extract(RECIPE, Manifest(tmp_path, ()), tmp_path / "f.npz")


# ---- processes -------------------------------------------------------------------------------------------


def test_the_number_of_workers_changes_not_a_byte(with_bad_files, tmp_path):
    told = [
        extract(RECIPE, with_bad_files, tmp_path / f"{workers}.npz", workers=workers) for workers in (1, 2)
    ]
    assert told[0] == told[1]
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_an_extraction_in_this_process_leaves_its_threads_as_they_were(manifest, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        extract(RECIPE, manifest, tmp_path / "f.npz", workers=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
