"""The page about ten thousand hours reckons right, from what the benchmarks write."""

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import make_scaling
import pytest
from marked_page import with_figures

pytest.importorskip("torch", reason="what is measured is a training")

ROOT = Path(__file__).parents[1]
PAGE = make_scaling.PAGE.read_text()


def epochs(seconds, waited):
    return [{"seconds": seconds, "seconds waited": waited, "core-seconds of learning": 1.0}]


#: Rates that make round figures.
RATES = {
    "command": "python benchmarks/training_rates.py",
    "machine": {"processor": "x86_64", "cores": 2, "precision": "32-true"},
    "clip_s": 3.0,
    "decoding": {"wav, 16 kHz": 4_000.0, "flac, 48 kHz": 500.0},
    "store": {
        "built, times real time": {"threads": 3_000.0, "2 processes": 2_500.0},
        "read, MB a second": {"memory": 4_000.0, "disk": 250.0},
    },
    "recipes": {
        "crops": {
            "parameters": 1_250_000,
            "batch size": 32,
            "sample rate": 16_000,
            "clips an epoch": 480,
            "stacks kept of a clip": 0,
            "bytes of a stack": 0,
            "reading and changing": 5_000.0,
            "features": 2_500.0,
            "learning": 100.0,
            "epochs by workers": {"0": epochs(10, 1), "2": epochs(8, 0)},
        },
        "whole": {
            "parameters": 160_000,
            "batch size": 16,
            "sample rate": 22_050,
            "clips an epoch": 480,
            "stacks kept of a clip": 3,
            "bytes of a stack": 100_000,
            "reading and changing": 10_000.0,
            "features": 400.0,
            "learning": 200.0,
            "epochs by workers": {"0": [*epochs(20, 15), *epochs(10, 5)]},
        },
    },
    "epochs by processes": {"1": epochs(48, 0), "2": epochs(30, 0)},  # 10 clips a second, and 16
    "manifest": {"rows": 500_000, "held MB": 400.0, "peak MB": 600.0, "load s": 5.0, "split s": 10.0},
}

BATCH = {
    "command": "python benchmarks/batch.py",
    "speeds": {
        "1 worker, 1 core": {"times real time": 500.0, "start, s": 1.0},
        "2 workers, 2 cores": {"times real time": 900.0, "start, s": 1.0},
    },
}


def rows(text):
    """Every row of every table: its first cell to the others."""
    lines = [line[1:-1].split("|") for line in text.splitlines() if line.startswith("|")]
    return {first.strip("` "): [cell.strip() for cell in others] for first, *others in lines}


# The arithmetic


def test_an_epoch_is_reckoned_from_the_rates_of_one_core():
    crops = make_scaling.epoch(RATES, "crops")
    assert crops.clips == 12e6  # 36 million seconds, 3 s each
    assert (crops.reading, crops.features, crops.learning) == (2, 4, 100)  # 10,000 h over each rate
    assert crops.core_hours == 106
    # two processes do 1.6 times what one does, 0.8 each; 32 cores are five doublings
    assert crops.share == pytest.approx(0.8**5)
    assert crops.machine_hours == pytest.approx(106 / (32 * 0.32768))  # 10.1


def test_the_cluster_waits_for_its_gradients():
    crops = make_scaling.epoch(RATES, "crops")
    # 8 clips of a core take 106 core-hours x 3600 / 12 million x 8 = 0.2544 s, at 0.32768 of its rate
    assert crops.step_s == pytest.approx(0.2544 / 0.32768)
    # 5 MB of gradients, 2 x 7/8 of them, 8 bits a byte, 10 Gbit/s
    assert crops.reduce_s == pytest.approx(0.007)
    # 12 million clips in batches of 8 x 256
    assert crops.cluster_hours == pytest.approx(5859.375 * (0.2544 / 0.32768 + 0.007) / 3600)  # 1.275


def test_a_gpu_has_features_and_learning_to_itself_and_the_disk_must_follow():
    crops = make_scaling.epoch(RATES, "crops")
    assert crops.gpu_hours == pytest.approx(1.04)  # 104 core-hours by what is assumed to be 100 cores
    # 12 million clips of 96,000 bytes in 3,744 s
    assert crops.read_mb_a_second(crops.gpu_hours) == pytest.approx(1.152e6 / 3744)


def test_features_that_are_kept_are_paid_once_for_every_copy_and_read_in_the_place_of_sound():
    whole = make_scaling.epoch(RATES, "whole")
    assert whole.kept_features == 75  # 10,000 h / 400, of the clip and two copies
    assert whole.features == 0
    assert whole.core_hours == 1 + 50
    assert whole.read_mb_a_second(hours=1) == pytest.approx(12e6 * 0.1 / 3600)


def test_more_cores_never_do_more_than_each_by_itself():
    assert make_scaling.share_of_a_core(one=10, two=21) == 1.0
    assert make_scaling.share_of_a_core(one=10, two=20) == 1.0


# What the page says


def test_the_tables_say_what_was_reckoned():
    told = rows(make_scaling.training(RATES))
    assert told["times real time"] == ["4,000", "500"]
    assert told["crops"] == ["2", "8.0", "0 %"]  # the last row of that name: two workers wait for nothing
    assert told["decoding, once, the slowest kind, core-hours"] == ["20", "20"]
    assert told["features that are kept, once, core-hours"] == ["0.0", "75"]
    assert told["an epoch: learning, core-hours"] == ["100", "50"]
    assert told["an epoch on 32 cores"] == ["10 h", "4.9 h"]  # 51 / (32 x 0.32768) is 4.86
    assert told["an epoch on 8 machines of 32 cores"][0] == "1.3 h"
    assert told["an epoch with one GPU, as assumed"] == ["1.0 h", "30 min"]
    assert told["decoded audio on the disk"] == ["1.15 TB", "1.59 TB"]  # 36 million s, 2 bytes a sample
    assert told["kept features on the disk"] == ["none", "3.60 TB"]  # 12 million x 3 x 100 kB
    assert told["random reads, one machine of 32 cores"][0] == "32 MB a second"  # 1.152e6 MB in 10.11 h
    assert told["random reads, one GPU as assumed"][0] == "308 MB a second"
    assert told["workers that keep that GPU busy, cores"] == ["1.9", "2.0"]  # 2 / 1.04, and 1 / 0.5
    assert told["gradients, a step"] == ["5.0 MB", "0.6 MB"]
    assert told["their travel, of a step of the cluster"][0] == "7.0 of 783 ms, 0.9 %"


def test_the_making_of_kept_features_has_a_row_of_its_own():
    told = rows(make_scaling.training(RATES))
    assert told["whole`, features made"] == ["0", "20.0", "75 %"]
    assert told["whole`, features kept"] == ["0", "10.0", "50 %"]


def test_the_manifest_is_told_for_a_million_rows_and_for_all():
    text = make_scaling.training(RATES)
    assert "takes 0.80 GB in memory (1.20 GB at most" in text  # twice what half a million take
    assert "opens in 10 s and is split in 20 s. For 12 million: 10 GB, at most 14 GB, and 6 min" in text


def test_an_archive_is_reckoned_by_the_same_rule():
    told = rows(make_scaling.archive(BATCH))
    # 900 is 0.9 of twice 500, and 0.9 ** 5 is 0.59: 32 cores do 500 x 32 x 0.59049 = 9,448 times real time
    assert told["1,000,000 files"] == ["1.7 h", "5 min", "40 s", "302 MB a second"]  # 833 h of sound
    assert told["10,000 hours"] == ["20 h", "1.1 h", "8 min", "302 MB a second"]


def test_the_page_is_in_step_with_the_results():
    assert with_figures(PAGE, make_scaling.figures(make_scaling.RESULTS)) == PAGE


def test_what_was_not_measured_is_said_to_be_so(tmp_path):
    (tmp_path / "batch").mkdir()
    (tmp_path / make_scaling.BATCH).write_text(json.dumps(BATCH))
    text = make_scaling.figures(tmp_path)
    assert "Not measured yet: `python benchmarks/training_rates.py -o docs/results/scaling/" in text
    assert "500 times real time by one worker" in text


def commands():
    text = re.sub(r" *\\\n *", " ", "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)))
    return [line for line in text.splitlines() if line.startswith("vocalics train")]


@pytest.mark.parametrize("line", commands())
def test_the_settings_of_every_command_are_known_and_shared_evenly(line):
    from vocalics.lab.devices import n_processes
    from vocalics.lab.recipes import load_recipe

    words = shlex.split(line, comments=True)
    changes = [value for name, value in pairwise(words) if name == "--set"]
    recipe = load_recipe(words[2], changes)
    assert changes
    assert recipe.training.batch_size % n_processes(recipe.trainer) == 0
    if recipe.trainer.num_nodes == make_scaling.MACHINES:
        processes = make_scaling.MACHINES * make_scaling.CORES
        assert n_processes(recipe.trainer) == processes
        assert recipe.training.batch_size == make_scaling.CLIPS_A_PROCESS * processes


def test_the_assumptions_stand_in_the_page():
    for words in (
        f"{make_scaling.MACHINES} machines of {make_scaling.CORES} cores",
        f"{make_scaling.NETWORK_BITS_PER_S / 1e9:.0f} Gbit/s",
        f"{make_scaling.CLIPS_A_PROCESS} clips for every core",
        f"the work of {make_scaling.GPU_IS_CORES} of these cores",
    ):
        assert words in PAGE


# What the benchmark writes


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
def test_the_benchmark_writes_what_the_page_is_made_of(tmp_path):
    file = tmp_path / make_scaling.RATES
    script = ROOT / "benchmarks" / "training_rates.py"
    environment = os.environ | {"VOCALICS_CACHE": str(tmp_path / "cache")}
    call = [sys.executable, script, "--quick", "-o", file]
    subprocess.run(call, env=environment, check=True, stdout=subprocess.DEVNULL)
    text = make_scaling.figures(tmp_path)
    for name in ("vocalics", "cnn2d"):
        assert f"| `{name}` | 4 |" in text  # quick batches have four clips
    told = rows(text)
    assert "none" in told["kept features on the disk"]
    assert told["kept features on the disk"][1] == "1.60 TB"  # 12 million x 192 x 174 x 4 bytes
