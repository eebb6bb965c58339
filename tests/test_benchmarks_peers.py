"""The benchmarks against other people's programs: what contenders tell, and how it is compared."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CONTENDERS = BENCHMARKS / "contenders"


def script(name: str):
    """A script of ``benchmarks/`` as a module; what it says of threads is not for the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        patch.syspath_prepend(BENCHMARKS)
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def peers():
    return script("peers")


@pytest.fixture(scope="module")
def side_by_side(peers):
    return script("side_by_side")


@pytest.fixture(scope="module")
def training_epoch():
    return script("training_epoch")


@pytest.fixture(scope="module")
def two_clips(tmp_path_factory, clip) -> Path:
    """A folder with two clips of half a second in which somebody speaks."""
    folder = tmp_path_factory.mktemp("clips")
    samples, rate = soundfile.read(clip, dtype="int16")
    for number in (1, 2):
        soundfile.write(folder / f"{number}.wav", samples[number * rate // 2 :][: rate // 2], rate)
    return folder


def lines_of(*arguments: object, program: str) -> list[dict]:
    """What a contender prints, each line read as JSON."""
    command = [sys.executable, str(CONTENDERS / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def require_figures(figures: dict) -> None:
    """Refuse figures that are not those of a run: all there, all of them more than nothing."""
    assert figures.keys() == {"clips a second", "CPU ms a clip", "peak MB", "parameters"}
    assert all(value > 0 for value in figures.values())


# ---- what contenders tell --------------------------------------------------------------------------------


def test_vocalics_tells_a_label_and_its_figures(two_clips):
    import vocalics

    model = vocalics.load()
    first, figures = lines_of("--clips", two_clips, program="vocalics_predict.py")
    assert first == {"label": model.predict(two_clips / "1.wav").emotion}
    require_figures(figures)
    assert figures["parameters"] == model.card.parameters


@pytest.mark.parametrize("call", ["predict", "direct"])
def test_librosa_and_keras_tell_a_label_and_have_the_network_of_the_recipe(two_clips, peers, call):
    pytest.importorskip("tensorflow", reason="the other side is TensorFlow's")
    first, figures = lines_of("--clips", two_clips, "--call", call, program="keras_cnn2d.py")
    assert first["label"] in {"neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"}
    require_figures(figures)
    assert figures["parameters"] == peers.PARAMETERS[peers.KERAS]


def test_a_pipeline_of_transformers_tells_a_label(two_clips, tiny_encoder):
    """The tiny encoder is one of the same family; a classifier is put on it, with weights at random."""
    pytest.importorskip("transformers", reason="the other side is a pipeline of transformers")
    arguments = ("--clips", two_clips, "--model", tiny_encoder)
    first, figures = lines_of(*arguments, program="wav2vec2_pipeline.py")
    assert first["label"].startswith("LABEL_")
    require_figures(figures)


def test_the_networks_are_of_true_size(peers):
    """Counted a second time: ours as PyTorch builds it, wav2vec2-base without giving it memory."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from vocalics.lab.recipes import load_recipe
    from vocalics.lab.recogniser import Recogniser

    assert peers.PARAMETERS[peers.KERAS] == Recogniser(load_recipe("cnn2d")).n_parameters
    with torch.device("meta"):
        config = transformers.Wav2Vec2Config(num_labels=8)
        network = transformers.Wav2Vec2ForSequenceClassification(config)
    assert peers.PARAMETERS[peers.WAV2VEC2] == network.num_parameters()


def test_our_epoch_tells_how_long_each_epoch_took():
    pytest.importorskip("lightning", reason="trainings need the extra 'lab'")
    (told,) = lines_of("--clips", 16, "--epochs", 2, program="vocalics_epoch.py")
    assert len(told["epochs s"]) == len(told["epochs CPU s"]) == 2  # the first of three is not counted
    assert min(told["epochs s"]) > 0
    assert told["shape"] == [192, 174]
    assert told["batch"] == 16


def test_the_epoch_of_keras_is_of_the_same_network(peers):
    pytest.importorskip("tensorflow", reason="the other side is TensorFlow's")
    (told,) = lines_of("--clips", 16, "--epochs", 1, program="keras_epoch.py")
    assert len(told["epochs s"]) == 1
    assert (told["shape"], told["batch"]) == ([192, 174], 16)
    assert told["parameters"] == peers.PARAMETERS[peers.KERAS]


# ---- who takes part --------------------------------------------------------------------------------------


def test_a_contender_without_its_packages_is_left_out_with_what_to_install(side_by_side, capsys):
    there = side_by_side.Contender("there", ["x.py"], ["json"])
    lacks = side_by_side.Contender("absent", ["x.py"], ["json", "not_a_package"], option="--other-python")
    assert side_by_side.those_present([there, lacks]) == [there]
    said = capsys.readouterr().err
    assert "left out: absent; install not_a_package (pip install -r benchmarks/requirements.txt" in said
    assert "--other-python" in said


def test_a_contender_that_fails_says_why(side_by_side, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "CONTENDERS", tmp_path)
    (tmp_path / "broken.py").write_text("raise ValueError('no model here')")
    with pytest.raises(SystemExit, match=r"(?s)broken one failed.*no model here"):
        side_by_side.run(side_by_side.Contender("broken one", ["broken.py"], []), [])


def test_a_contender_is_held_to_its_cores_and_told_of_as_many_threads(side_by_side, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "CONTENDERS", tmp_path)
    (tmp_path / "told.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps({'threads': os.environ['OMP_NUM_THREADS'], 'given': sys.argv[1:]}))\n"
        "print(json.dumps({'cores': len(os.sched_getaffinity(0))}))\n"
    )
    if not hasattr(side_by_side.os, "sched_getaffinity"):
        pytest.skip("this system cannot hold a process to a core")
    one = side_by_side.Contender("told", ["told.py", "--always"], [])
    first_s, lines = side_by_side.run(one, [7])
    assert lines == [{"threads": "1", "given": ["--always", "7"]}, {"cores": 1}]
    assert first_s > 0


def test_a_round_goes_before_those_that_count(peers, side_by_side, tmp_path, monkeypatch):
    """It is not heard, and lasts no longer than it must: one clip."""
    monkeypatch.setattr(side_by_side, "CONTENDERS", tmp_path)
    (tmp_path / "told.py").write_text(
        "import json, sys\n"
        "print(json.dumps({'label': 'happy'}))\n"
        "seconds = float(sys.argv[sys.argv.index('--seconds') + 1])\n"
        "print(json.dumps({'clips a second': 1 + seconds, 'peak MB': 5, 'parameters': 7}))\n"
    )
    one = side_by_side.Contender("made up", ["told.py"], [])
    runs = peers.measure([one], tmp_path, rounds=2, seconds=3.0)
    assert [told["clips a second"] for told in runs["made up"]] == [4.0, 4.0]
    assert [*side_by_side.medians(runs["made up"])] == ["cold start s", "clips a second", "peak MB"]


def test_the_versions_to_install_are_pinned_for_every_peer(peers, training_epoch):
    pytest.importorskip("librosa", reason="front ends are compared with the extra 'lab'")
    lines = (BENCHMARKS / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    needed = {name for one in peers.contenders("a", "b", Path("c"))[1:] for name in one.packages}
    needed |= set(training_epoch.contenders("a")[-1].packages) | set(script("front_ends").PACKAGES.values())
    named = {name.replace("-", "_").removesuffix("_cpu") for name in pins}
    assert needed <= named
    assert all(version[0].isdigit() for version in pins.values())


# ---- how they are compared -------------------------------------------------------------------------------


def figures(speed: float, start_s: float, peak_mb: float) -> dict[str, float]:
    return {
        "clips a second": speed,
        "CPU ms a clip": 1000 / speed,
        "cold start s": start_s,
        "peak MB": peak_mb,
    }


@pytest.fixture
def made_up(peers):
    """Medians from which every ratio can be told by heart."""
    return {
        peers.VOCALICS: figures(200.0, 0.25, 100.0),
        peers.KERAS: figures(10.0, 5.0, 800.0),
        peers.KERAS_CALLED: figures(25.0, 2.0, 800.0),
        peers.WAV2VEC2: figures(4.0, 10.0, 1000.0),
    }


def test_a_ratio_says_how_many_times_better_we_are(peers, made_up):
    rows = {row["contender"]: row for row in peers.compare(made_up)}
    assert rows[peers.VOCALICS]["ratios"] == {"throughput": 1.0, "cold start": 1.0, "memory": 1.0}
    assert rows[peers.KERAS]["ratios"] == {"throughput": 20.0, "cold start": 20.0, "memory": 8.0}
    assert rows[peers.WAV2VEC2]["ratios"] == {"throughput": 50.0, "cold start": 40.0, "memory": 10.0}
    assert rows[peers.VOCALICS]["times real time"] == 3.0 * 200.0


def test_marks_are_those_of_the_issue_and_are_met_from_the_mark_on(peers, made_up):
    rows = {row["contender"]: row["marks"] for row in peers.compare(made_up)}
    assert rows[peers.VOCALICS] == {}
    assert rows[peers.KERAS] == {
        "throughput": {"mark": 10.0, "met": True},
        "cold start": {"mark": 10.0, "met": True},
    }
    # 200 / 25 and 2 / 0.25 are 8, which is less than 10.
    assert rows[peers.KERAS_CALLED] == {
        "throughput": {"mark": 10.0, "met": False},
        "cold start": {"mark": 10.0, "met": False},
    }
    assert rows[peers.WAV2VEC2] == {"throughput": {"mark": 30.0, "met": True}}


def test_what_is_missed_is_named(peers, made_up):
    rows = peers.compare(made_up)
    assert peers.missed(rows) == [
        f"{what} against {peers.KERAS_CALLED}" for what in ("throughput", "cold start")
    ]
    made_up[peers.KERAS_CALLED] = figures(20.0, 2.5, 800.0)  # 10 times both: the mark itself
    assert peers.missed(peers.compare(made_up)) == []


def test_the_table_begins_with_the_ratios(peers, made_up):
    _, _, keras, *_ = peers.table(peers.compare(made_up)).splitlines()
    assert keras.split()[:5] == ["20.0", "(>=", "10)", "20.0", "(>="]


def test_a_model_of_another_size_is_not_compared(peers):
    peers.require_true_size(peers.KERAS, peers.PARAMETERS[peers.KERAS])
    peers.require_true_size(peers.VOCALICS, 5)  # the bundled model is what it is
    with pytest.raises(SystemExit, match="has 5 parameters, not 159,848"):
        peers.require_true_size(peers.KERAS, 5)


def epoch(*seconds: float, **changes: object) -> dict:
    told = {"parameters": 1, "shape": [192, 174], "batch": 16, "peak MB": 100.0, "precision": "32-true"}
    return {**told, "epochs s": list(seconds), **changes}


def test_an_epoch_is_the_median_over_all_that_count(training_epoch):
    told = {
        training_epoch.OURS: [epoch(1.0, 3.0), epoch(2.0, 9.0)],  # median 2.5
        training_epoch.KERAS: [epoch(10.0, 10.0), epoch(40.0, 10.0)],
    }
    ours, keras = training_epoch.compare(told)
    assert (ours["ratio"], ours["epoch s"]) == (1.0, 2.5)
    assert (keras["ratio"], keras["epoch s"]) == (4.0, 10.0)


@pytest.mark.parametrize("change", [{"parameters": 2}, {"shape": [192, 130]}, {"batch": 32}])
def test_epochs_of_different_work_are_not_compared(training_epoch, change):
    training_epoch.require_the_same({"a": epoch(1.0), "b": epoch(2.0)})
    with pytest.raises(SystemExit, match=f"{next(iter(change))} differ"):
        training_epoch.require_the_same({"a": epoch(1.0), "b": epoch(2.0, **change)})


def test_the_log_mel_front_ends_hear_the_same(clip):
    """librosa is the oracle; what is installed of the others must equal it before it is timed."""
    pytest.importorskip("librosa")
    front_ends = script("front_ends")
    samples = soundfile.read(clip, dtype="float32")[0][:48_000]
    names = [front_ends.OURS, front_ends.TORCH, front_ends.LIBROSA]
    names += [front_ends.KALDI] if importlib.util.find_spec("kaldi_native_fbank") else []
    heard = {name: front_ends.MAKERS[name]() for name in names}
    assert heard[front_ends.OURS](samples).shape == (64, 188)  # 1 + 48,000 // 256 frames
    found = front_ends.differences([samples], heard)
    assert max(found.values()) < front_ends.EQUAL
    louder_above = {**heard, front_ends.TORCH: lambda clip: heard[front_ends.TORCH](clip) + np.float32(0.01)}
    assert front_ends.differences([samples], louder_above)[front_ends.TORCH] > front_ends.EQUAL
