"""Training with several processes: the same global batches, the same model, one log, one file."""

import signal
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
        "epochs": 8,
        "learning_rate": 0.02,
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
def _each_process_with_one_thread(as_tiny_was_trained, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


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


def figures_of(run):
    """A run's log as a table (epochs, columns): the epoch first, the learning rate last."""
    return np.array([list(row.values()) for row in read_log(run)])


# What two processes train


#: Trains, and kills itself once it has told of the third epoch.
KILLED = """
import os, signal, sys
from vocalics import cli

def tell_then_die(line, tell=cli.lab.tell):
    tell(line)
    if line.startswith("epoch 3/"):
        os.kill(os.getpid(), signal.SIGKILL)

cli.lab.tell = tell_then_die
cli.main(sys.argv[1:])
"""

PLAIN = "import sys; from vocalics.cli import main; sys.exit(main())"


def in_a_process(program, *call):
    """Run Python in a process of its own; it is heard until it and all that it started have ended."""
    command = [sys.executable, "-c", program, *map(str, call)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_the_command_killed_and_given_again_trains_with_two_processes_what_one_trains(
    tiny, recipe_file, one, tmp_path
):
    run = tmp_path / "run"
    call = ("train", recipe_file, "--data", tiny.data, "-o", run, "--set", "trainer.devices=2")
    assert in_a_process(KILLED, *call).returncode == -signal.SIGKILL
    assert len(read_log(run)) >= 3
    assert not (run / "model.onnx").exists()

    resumed = in_a_process(PLAIN, *call)
    assert (resumed.returncode, resumed.stdout) == (0, f"{run / 'model.onnx'}\n")
    lines = resumed.stderr.splitlines()
    assert all(line.startswith("vocalics: ") for line in lines)  # no process says anything by itself
    told = [int(line.split("epoch ")[1].split("/")[0]) for line in lines if ": epoch " in line]
    assert told == list(range(told[0], 9))  # one process tells
    assert told[0] >= 3  # two epochs were whole before the third was told of

    # The gradient of a batch is the mean of those of its halves; only the order of adding differs.
    figures, expected = figures_of(run), figures_of(one)
    assert figures[:, 0].tolist() == list(range(8))
    np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-5)
    assert len(set(expected[:, -1])) > 1  # the plateau has lowered the rate, so a resumed one was remembered
    probabilities = [
        score(Model.load(path / "model.onnx"), tiny.tested, gate=False).probabilities for path in (run, one)
    ]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_with_batch_normalisation_dropout_and_mixup_two_processes_come_close_to_one(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "export", lambda *_: None)
    losses = []
    for devices in (1, 2):
        changes = ["training.batch_size=16", "training.epochs=24", f"trainer.devices={devices}"]
        recipe, run = load_recipe(tiny.recipe_file, changes), tmp_path / str(devices)
        training.fit(recipe, tiny.manifest, tiny.split, run)
        losses.append([row["validation_loss"] for row in read_log(run)])
    # The same first weights and batches, other draws: the losses stay closer together, epoch by epoch, than
    # those of one process do at the end with seeds 0, 1 and 2 (0.67, 0.44 and 0.65).
    np.testing.assert_allclose(*losses, rtol=0, atol=0.15)
    assert losses[0] != losses[1]
    assert losses[1][-1] < 0.7 * losses[1][0]  # both have learnt


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
        [
            {length for _, _, length in batch}
            for batch in EpochBatches([range(40)], 1, 3, 4, (100, 200), share=s)
        ]
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
