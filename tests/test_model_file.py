import json
import os
from pathlib import Path

import numpy as np
import pytest

import toy_model
from vocalics.card import ModelCard
from vocalics.errors import ModelError, UsageError
from vocalics.recognition import model_file
from vocalics.recognition.model import Model, load, predict


def test_a_model_prints_its_inputs_outputs_shapes_and_labels(model):
    assert repr(model).splitlines() == [
        "Model 'toy' (toy.onnx)",
        "  input  waveform      float32 (batch, samples)  mono, 16,000 Hz, windows of 1 s",
        "  output probabilities float32 (batch, 4)  neutral, happy, sad, angry",
        "  output embedding     float32 (batch, 6)",
        "  output features      float32 (batch, 6, frames)",
        "  output attention     float32 (batch, frames)",
    ]


def test_the_convenience_opens_a_model_and_asks_it(toy, model, clip):
    assert predict(clip, model) == predict(clip, toy) == load(str(toy)).predict(clip)
    assert predict([clip], model) == [model.predict(clip)]


def test_bundled_models_are_found_by_name(toy, monkeypatch):
    monkeypatch.setattr(model_file, "list_models", lambda: {"vocalics": toy, "other": Path("other.onnx")})
    assert load().path == load("vocalics").path == toy
    with pytest.raises(ModelError, match=r"no model 'vocalcs'; did you mean 'vocalics'\? .*vocalics, other"):
        load("vocalcs")


def test_bundled_models_are_the_files_beside_the_code():
    for name, path in model_file.list_models().items():
        assert path.name == f"{name}.onnx"
        assert path.is_file()


def test_more_threads_give_the_same_answer(toy, model, clip):
    probabilities = Model.load(toy, threads=2).predict(clip).probabilities
    assert probabilities == pytest.approx(model.predict(clip).probabilities, abs=1e-5)  # other sums
    with pytest.raises(UsageError, match="at least 1"):
        Model.load(toy, threads=0)


def refused(path):
    with pytest.raises(ModelError) as error:
        Model.load(path)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    return str(error.value)


def test_a_file_cut_short_anywhere_is_refused(toy, tmp_path):
    whole = toy.read_bytes()
    for share in np.linspace(0.02, 0.98, 25):
        short = tmp_path / "short.onnx"
        short.write_bytes(whole[: int(share * len(whole))])
        assert "cut short" in refused(short)


def test_a_missing_empty_or_closed_model_is_refused(tmp_path):
    assert "there is no model" in refused(tmp_path / "missing.onnx")
    (tmp_path / "empty.onnx").touch()
    assert "is empty" in refused(tmp_path / "empty.onnx")
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n"),
        ("model.pt", b"PK\x03\x04"),
        ("model.pkl", b"\x80\x04\x95"),
        ("renamed.onnx", b"\x80\x04\x95"),
        ("renamed.onnx", b"PK\x03\x04"),
        ("renamed.onnx", b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_pickles_are_never_opened_under_any_name(tmp_path, name, start):
    (tmp_path / name).write_bytes(start + bytes(100))
    sentence = refused(tmp_path / name)
    assert "never unpickled" in sentence
    assert "vocalics export" in sentence


def test_a_pickle_that_would_run_code_runs_none(tmp_path):
    trace = tmp_path / "trace"
    command = f"cos\nmkdir\n(V{trace}\ntR."  # protocol 0: os.mkdir(trace)
    (tmp_path / "evil.onnx").write_text(command)
    assert "is not an ONNX file" in refused(tmp_path / "evil.onnx")
    assert not trace.exists()


def test_a_git_lfs_pointer_is_told_apart(tmp_path):
    pointer = tmp_path / "vocalics.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refused(pointer)


def test_an_onnx_file_without_a_card_is_refused(tmp_path):
    assert "without a card" in refused(toy_model.write(tmp_path / "bare.onnx", metadata=None))


def test_a_newer_card_is_refused_with_the_advice_to_upgrade(tmp_path):
    newer = json.dumps(toy_model.card(format_version=2))
    assert "upgrade vocalics" in refused(toy_model.write(tmp_path / "newer.onnx", metadata=newer))


def test_another_input_is_refused(tmp_path):
    assert "of its inputs 'waveform' is missing" in refused(
        toy_model.write(tmp_path / "other.onnx", waveform="audio")
    )


def test_a_card_of_another_model_is_refused(tmp_path):
    # Three labels for a graph that answers four: labels and answers would be out of step.
    head = toy_model.head()
    head |= {"weight": head["weight"][:3], "bias": head["bias"][:3]}
    other = toy_model.write(tmp_path / "other.onnx", emotions=["neutral", "happy", "sad"], head=head)
    assert "answers 4 values as 'probabilities' where its card says 3" in refused(other)


def test_a_model_file_name_that_is_not_unicode_opens(toy, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.onnx")
    Path(odd).write_bytes(toy.read_bytes())
    assert Model.load(odd).name == "toy"


def test_the_card_of_an_open_model_is_the_card_that_was_written(model):
    assert model.card == ModelCard.model_validate(toy_model.card())
