"""Training with several processes: the same global batches, the same model, one log, one file."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

import tiny_corpus
from vocalics.errors import TrainingError
from vocalics.lab import training
from vocalics.lab.dataset import EpochBatches
from vocalics.lab.devices import require_devices
from vocalics.lab.log import read_log
from vocalics.lab.recipes import load_recipe
from vocalics.lab.scores import score
from vocalics.recognition.model import Model

#: What makes one process and two the same: nothing is drawn for a whole batch (dropout, masks, mixup), and
#: nothing is measured over one (batch normalisation). All else that a training can do is there.
EVEN = tiny_corpus.RECIPE | {
    "network": {
        "name": "lstm",
        "parameters": {"units": 8, "layers": 1, "dense": [8], "dropout": 0.0},
    },
    "augmentation": {"speed": [0.97, 1.03]},
    "training": tiny_corpus.RECIPE["training"]
    | {
        "epochs": 6,
        "schedule": "plateau",
        "plateau_patience": 1,
        "select": "best",
        "average_decay": 0.5,
        "class_weights": True,
        "dense_l2": 0.001,
        "gradient_clip": 0.5,
    },
}


@pytest.fixture(autouse=True)
def _one_thread_and_the_cache_of_tiny(tiny, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with tiny_corpus.one_thread():
        yield


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "even.yaml"
    path.write_text(yaml.safe_dump(EVEN))
    return path


@pytest.fixture(scope="module")
def one(tiny, recipe_file, tmp_path_factory):
    """The run of one process."""
    run = tmp_path_factory.mktemp("one") / "run"
    with pytest.MonkeyPatch.context() as patch, tiny_corpus.one_thread():
        patch.setenv("VOCALICS_CACHE", str(tiny.cache))
        training.fit(load_recipe(recipe_file), tiny.manifest, tiny.split, run)
    return run


@pytest.fixture
def no_export(monkeypatch):
    monkeypatch.setattr(training, "export", lambda *_: None)


def columns(run):
    """Epochs, and a table (epochs, figures) of a run's log."""
    rows = read_log(run)
    return [row["epoch"] for row in rows], np.array([list(row.values()) for row in rows])


# What two processes train


@pytest.mark.slow
def test_the_command_trains_with_two_processes_what_it_trains_with_one(tiny, recipe_file, one, tmp_path):
    run = tmp_path / "run"
    program = "import sys; from vocalics.cli import main; sys.exit(main())"
    call = ["train", recipe_file, "--data", tiny.data, "-o", run, "--set", "trainer.devices=2"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, call)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{run / 'model.onnx'}\n")

    # One process tells and logs.
    lines = done.stderr.splitlines()
    assert all(line.startswith("vocalics: ") for line in lines)
    assert [line.split(":")[1] for line in lines if "loss" in line] == [f" epoch {n}/6" for n in range(1, 7)]
    epochs, figures = columns(run)
    assert epochs == list(range(6))

    # The gradient of a batch is the mean of those of its halves; only the order of adding differs.
    np.testing.assert_allclose(figures, columns(one)[1], rtol=0, atol=1e-5)
    probabilities = [
        score(Model.load(path / "model.onnx"), tiny.tested, gate=False).probabilities for path in (run, one)
    ]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_an_interrupted_training_of_two_processes_goes_on_to_the_same_end(tiny, recipe_file, one, tmp_path):
    recipe, run = load_recipe(recipe_file, ["trainer.devices=2"]), tmp_path / "run"

    def interrupt(line):
        if line.startswith("epoch 3/6"):
            raise KeyboardInterrupt  # as Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        training.fit(recipe, tiny.manifest, tiny.split, run, tell=interrupt)
    told = []
    training.fit(recipe, tiny.manifest, tiny.split, run, tell=told.append)
    # The processes end a moment after the line: not long enough for the three epochs that are left.
    assert not told[0].startswith("epoch 1/6")
    epochs, figures = columns(run)
    assert epochs == list(range(6))
    np.testing.assert_allclose(figures, columns(one)[1], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_with_batch_normalisation_dropout_and_mixup_two_processes_come_close_to_one(tiny, tmp_path):
    recipe, run = load_recipe(tiny.recipe_file, ["trainer.devices=2"]), tmp_path / "run"
    bars = []
    training.fit(recipe, tiny.manifest, tiny.split, run)


# How a batch is shared


def dealt(processes, batch_size=12):
    """Batches of each process, as positions."""
    groups = (range(20), range(20, 40))
    return [
        [
            [position for _, position, _ in batch]
            for batch in EpochBatches(groups, 1, 3, batch_size, (100, 200), share=(rank, processes))
        ]
        for rank in range(processes)
    ]


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_share_the_batches_of_one_evenly(processes):
    (alone,) = dealt(1)
    ranks = dealt(processes)
    for batch, *shares in zip(alone, *ranks, strict=True):
        assert {len(share) for share in shares} == {12 // processes}
        assert sorted(batch) == sorted(position for share in shares for position in share)


def test_processes_share_the_length_of_a_batchs_crops():
    first, second = (
        [{length for _, _, length in batch} for batch in EpochBatches([range(40)], 1, 3, 4, (100, 200), share=s)]
        for s in ((0, 2), (1, 2))
    )
    assert first == second


def test_of_an_only_batch_what_cannot_be_shared_evenly_is_left_out():
    ranks = dealt(3, batch_size=60)  # 40 clips: 13 for each
    assert [[len(batch) for batch in rank] for rank in ranks] == [[13], [13], [13]]


def test_more_processes_than_clips_are_refused():
    with pytest.raises(TrainingError, match="has 40 training clips, fewer than the 64 processes"):
        dealt(64, batch_size=64)


# What is refused


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["trainer.devices=3"], r"batch_size is 4, and 3 processes share .*; give a multiple of 3\."),
        (["trainer.devices=0"], r"trainer\.devices is 0; give 1 or more, or auto\."),
        (["trainer.num_nodes=2"], "MASTER_ADDR, MASTER_PORT, NODE_RANK not set"),
    ],
)
def test_processes_that_cannot_share_the_work_are_refused_before_it_begins(
    tiny, tmp_path, monkeypatch, settings, sentence
):
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    recipe = load_recipe(tiny.recipe_file, [*settings, "trainer.accelerator=cpu"])
    with pytest.raises(TrainingError, match=sentence):
        training.fit(recipe, tiny.manifest, tiny.split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_processes_of_another_launcher_are_refused(tiny, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    require_devices(load_recipe(tiny.recipe_file))  # alone it may be anybody's process
    with pytest.raises(TrainingError, match="LOCAL_RANK is set: another program, such as torchrun"):
        require_devices(load_recipe(tiny.recipe_file, ["trainer.devices=2"]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tiny):
    with pytest.raises(TrainingError, match=r"trainer\.accelerator is gpu, and PyTorch finds none here"):
        require_devices(load_recipe(tiny.recipe_file, ["trainer.accelerator=gpu"]))
