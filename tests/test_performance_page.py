"""The page about performance: ratios first, every figure from a result, and a picture of the ratios."""

import importlib
import json
import re
from pathlib import Path

import pytest
from marked_page import with_figures

pytest.importorskip("matplotlib", reason="the picture comes with the extra 'lab'")

MACHINE = {"processor": "A processor", "cores": 2, "system": "Linux", "python": "3.11.7"}


def peer(name: str, throughput: float, mark: float | None = None) -> dict:
    marks = {} if mark is None else {"throughput": {"mark": mark, "met": throughput >= mark}}
    figures = {"clips a second": 200 / throughput, "times real time": 600 / throughput}
    return {
        "contender": name,
        "ratios": {"throughput": throughput, "cold start": 12.0, "memory": 1.5},
        "marks": marks,
        "cold start s": 0.25,
        "peak MB": 100.0,
        **figures,
    }


def nine(name: str, ratio: float) -> dict:
    return {"contender": name, "ratio": ratio, "processor_ms": 320 * ratio, "mark": None}


def row(name: str, ratio: float, **figures: object) -> dict:
    return {"contender": name, "ratio": ratio, **figures}


def epoch(name: str, ratio: float, precision: str) -> dict:
    return row(name, ratio, precision=precision, **{"epoch s": 10 * ratio, "peak MB": 900.0})


STAGES = {"decoding": 0.25, "model": 4.5, "else": 0.25, "all": 5.0}

#: Results as the scripts write them, as far as the page reads them.
MADE_UP = {
    "peers": {
        "command": "python benchmarks/peers.py --rounds 7",
        "machine": MACHINE,
        "versions": {"keras": "3.15.1"},
        "clip s": 3.0,
        "rounds": 7,
        "contenders": [peer("vocalics", 1.0), peer("Keras", 16.0, 10.0), peer("pipeline", 25.0, 30.0)],
    },
    "features": {"table": [nine("vocalics", 1.0), nine("librosa, nine calls", 6.0)]},
    "front_ends": {
        "command": "python benchmarks/front_ends.py",
        "machine": MACHINE,
        "clip s": 3.0,
        "contenders": [
            row("vocalics, in the model file", 1.0, **{"processor ms": 1.0}),
            row("vocalics, in PyTorch", 0.5, **{"processor ms": 0.5}),
            row("kaldi-native-fbank", 0.75, **{"processor ms": 0.75}),
            row("openSMILE, eGeMAPS", 40.0, **{"processor ms": 40.0}),
        ],
    },
    "training_epoch": {
        "command": "python benchmarks/training_epoch.py",
        "machine": MACHINE,
        "clips": 1152,
        "threads": 2,
        "parameters": 159_848,
        "shape": [192, 174],
        "batch": 16,
        "contenders": [epoch("vocalics", 1.0, "bf16-mixed"), epoch("Keras", 1.75, "32-true")],
    },
    "batch": {
        "command": "python benchmarks/batch.py",
        "speeds": {"1 worker, 1 core": {"times real time": 580.0, "start, s": 0.5}},
        "ratios": {"2 workers to 1": 1.875},
    },
    "floor": {
        "command": "python benchmarks/floor.py",
        "machine": MACHINE,
        "clip s": 3.0,
        "multiply-adds": {"Conv": 150_000_000, "LSTM": 50_000_000},
        "matrix product, GFLOP/s": 100.0,
        "at least, ms": 4.0,
        "session.run, ms": 5.0,
        "share of the floor": 0.8,
        "files": {
            "16 kHz, mono": {"bytes": 96_044, "at least, ms": {"decoding": 0.0}, "measured, ms": STAGES},
            "48 kHz, stereo": {"bytes": 576_044, "at least, ms": {"decoding": 0.1}, "measured, ms": STAGES},
        },
    },
}


@pytest.fixture(scope="module")
def maker():
    return importlib.import_module("make_performance")


@pytest.fixture
def results(tmp_path) -> Path:
    for name, result in MADE_UP.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    return tmp_path


def test_the_page_says_ratios_then_measurements_then_the_floor(maker, results):
    page = with_figures(maker.PAGE.read_text(), maker.figures(results))
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["What you gain", "How it was measured", "The floor", "Measure it yourself"]


def test_a_ratio_stands_with_its_mark(maker, results):
    said = maker.figures(results)
    assert "| From file to label: clips a second, one core | Keras | **16** | 10, met |" in said
    assert "|  | pipeline | **25** | 30, missed |" in said
    assert "| An epoch of training | Keras | **1.75** |  |" in said


def test_vocalics_is_not_compared_with_itself(maker, results):
    names = [gain.instead_of for gain in maker.gains(maker.read(results))]
    assert "kaldi-native-fbank" in names
    assert [name for name in names if name.startswith("vocalics")] == []


def test_the_floor_says_how_near_a_prediction_is(maker, results):
    said = maker.figures(results)
    assert "| all | 200.0 |" in said
    assert "96,044 bytes" in said
    assert "80 % of that speed" in said
    assert "**1.2 times its floor**" in said  # 5.0 ms over 4.0 ms, told to one digit
    assert "| all | 5.00 | 5.00 |" in said


def test_every_result_is_needed(maker, results):
    for name in MADE_UP:
        assert name in maker.PARTS
        path = results / f"{name}.json"
        kept = path.read_text()
        path.unlink()
        with pytest.raises(FileNotFoundError, match=name):
            maker.figures(results)
        path.write_text(kept)


def test_the_commands_of_the_page_write_what_it_is_made_from(maker):
    page = maker.PAGE.read_text()
    for name in maker.PARTS:
        assert re.search(
            rf"^python benchmarks/{name}\.py .*docs/results/performance/{name}\.json$", page, re.M
        )
        assert (maker.ROOT / "benchmarks" / f"{name}.py").is_file()


def test_the_picture_is_small_always_the_same_and_shows_every_ratio(maker, results):
    found = maker.gains(maker.read(results))
    svg = maker.to_svg(maker.picture(found))
    assert svg == maker.to_svg(maker.picture(found))
    assert len(svg) < 60_000  # bytes; the page loads it before its first figure
    words = svg.decode()
    for gain in found:
        assert gain.instead_of in words
        assert f">{maker.times(gain.ratio)}<" in words


def test_what_is_worse_goes_the_other_way_in_another_colour(maker):
    figure = maker.picture([maker.Gain("a", "slower", 4.0), maker.Gain("a", "faster", 0.5)])
    slower, faster = figure.axes[0].patches
    assert (slower.get_x(), slower.get_width()) == (1, 3.0)
    assert (faster.get_x(), faster.get_width()) == (1, -0.5)
    assert slower.get_facecolor() != faster.get_facecolor()
