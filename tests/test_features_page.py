"""docs/features.md: its lists are those of the code, and its Python runs."""

import re
from pathlib import Path

import tiny_corpus
from vocalics.lab.corpora import scan_data
from vocalics.lab.extraction import FUNCTIONALS, extract
from vocalics.lab.features.stack import FEATURES
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recipes.feature_settings import FEATURE_SETTINGS

PAGE = Path(__file__).parents[1] / "docs/features.md"


def spelled(names):
    """Names of rows in a table for people."""
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` ... `{names[-1]}` ({len(names)})"


def test_the_page_lists_every_feature():
    rows = [
        f"| `{name}` | {spelled(info.rows(FEATURE_SETTINGS[name]()))} | {info.description} |"
        for name, info in FEATURES.items()
    ]
    page = PAGE.read_text().splitlines()
    start = page.index("| feature | columns | what it is |") + 2
    assert page[start : page.index("", start)] == rows


def test_the_page_lists_every_functional():
    page = PAGE.read_text()
    assert re.findall(r"^- `_(\w+)`:", page, re.MULTILINE) == list(FUNCTIONALS)


def test_the_pages_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tiny_corpus.write_corpus(tmp_path / "data", actors=(1,))
    manifest = scan_data(data, cache=False)
    recipe = load_recipe("cnn2d")  # its stack has what the page asks for
    extract(recipe, manifest, Path("features.parquet"), workers=1)
    extract(recipe, manifest, Path("frames.npz"), workers=1)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), found)
    assert found["mfcc"].shape == (tiny_corpus.UTTERANCES, 40 * len(FUNCTIONALS))
    assert set(found["by_emotion"].index) == set(tiny_corpus.EMOTIONS)
    assert 0 <= found["loudest_s"] <= tiny_corpus.DURATION_S
