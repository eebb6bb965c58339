"""What is imported when: the recognition wing stays light, and the public door is complete."""

import json
import shutil
import subprocess
import sys

import pytest

import vocalics

# What recognition must do without, and the lab, which nobody who only listens needs.
FOREIGN = {
    "torch",
    "librosa",
    "pandas",
    "matplotlib",
    "sklearn",
    "lightning",
    "onnx",
    "scipy",
    "vocalics.lab",
}


def loaded_by(program, *arguments):
    """Names of the modules that are loaded in a new process once `program` has run."""
    program += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_predicting_needs_neither_pytorch_nor_librosa_nor_the_lab(toy, clip, no_speech):
    program = "import sys, vocalics; vocalics.load(sys.argv[1]).adapt(sys.argv[2]).predict(sys.argv[2:])"
    loaded = loaded_by(program, str(toy), str(clip), str(no_speech))
    assert "onnxruntime" in loaded
    assert "vocalics.recognition.speech" in loaded
    assert not FOREIGN & loaded


def test_the_command_line_needs_none_of_it_either(toy, clip):
    program = "import sys; from vocalics.cli import main; assert main(sys.argv[1:]) == 0"
    loaded = loaded_by(program, "predict", str(clip), "--model", str(toy))
    assert "onnxruntime" in loaded
    assert not FOREIGN & loaded


def test_a_wav_at_the_models_own_rate_needs_no_other_codec_no_resampler_and_no_table(toy, clip):
    # Cold start: what a plain answer can do without is not loaded for it.
    program = "import sys; from vocalics.cli import main; assert main(sys.argv[1:]) == 0"
    loaded = loaded_by(program, "predict", str(clip), "--model", str(toy))
    assert not {"av", "soxr", "rich"} & loaded


def test_importing_the_package_loads_nothing_of_it_but_itself():
    loaded = loaded_by("import vocalics")
    assert {name for name in loaded if name.startswith("vocalics")} == {"vocalics"}
    assert "numpy" not in loaded


def test_the_commands_are_known_before_anything_they_need_is_loaded():
    loaded = loaded_by("import vocalics.cli")
    assert not {"numpy", "onnxruntime", "soundfile", "rich"} & loaded


def test_listening_tells_nobody(toy, clip, tmp_path):
    """ONNX Runtime leaves a device number and a queue of messages in the cache folder before it reports."""

    def left_behind(program, *arguments):
        home = {
            "HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }  # and no sign of a CI machine
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=home, capture_output=True)
        files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        return files

    if not left_behind("import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])", str(toy)):
        pytest.skip("this ONNX Runtime does not report")
    assert (
        left_behind("import sys, vocalics; vocalics.predict(sys.argv[2], sys.argv[1])", str(toy), str(clip))
        == []
    )


def test_the_public_names_are_sorted_and_all_there():
    assert vocalics.__all__ == sorted(vocalics.__all__)
    for name in vocalics.__all__:
        assert getattr(vocalics, name) is not None
    assert set(vocalics.__all__) <= set(dir(vocalics))


def test_every_lazy_name_is_public():
    assert set(vocalics._HOMES) | {"__version__", "emotions"} == set(vocalics.__all__)


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'prdict'"):
        _ = vocalics.prdict
