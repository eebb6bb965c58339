"""Tables, recipes and splits that somebody damaged are read, or refused with a sentence."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example

from made_manifests import manifest, utterance
from mutations import fuzzed, refusal
from vocalics.lab.corpora import scan
from vocalics.lab.manifest import Manifest, load_manifest
from vocalics.lab.recipes import list_recipes, load_recipe
from vocalics.lab.splits import make_splits
from vocalics.lab.splits.official import read_official


@cache
def made() -> Manifest:
    """Thirty utterances of five speakers."""
    return manifest(utterance("made", f"s{number % 5}", number) for number in range(30))


@cache
def manifests() -> list[bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "manifest.csv")
        made().save(path)
        return [path.read_bytes()]


@cache
def splits() -> list[bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "split.json")
        make_splits(made(), "speaker", seed=0)[0].save(path)
        lines = b'{"key": "clip1", "fold": 1}\n{"key": "clip2", "fold": 2}\n'
        return [path.read_bytes(), lines]


@cache
def recipes() -> list[bytes]:
    return [path.read_bytes() for path in list_recipes().values()]


@pytest.fixture
def check(tmp_path):
    """Hand a damaged file of that suffix to a reader, which reads it or refuses it with one sentence."""

    def ask(read, suffix, content):
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(content)
        told = refusal(lambda: read(path))
        assert told is None or (told.endswith((".", "?")) and "\n" not in told), told

    return ask


@fuzzed(manifests)
def test_a_damaged_manifest_is_read_or_refused(content, check):
    check(load_manifest, "csv", content)


@example(content=b'"path,emotion\na.wav,happy\n')  # a quote that never closes: one column, on two lines
@fuzzed(lambda: [b"path,emotion,speaker\na.wav,happy,1\nb.wav,sad,2\n", b"path\temotion\na.wav\tangry\n"])
def test_a_damaged_table_is_read_or_refused(content, check):
    check(lambda path: scan("folder", path), "csv", content)


@fuzzed(recipes)
def test_a_damaged_recipe_is_read_or_refused(content, check):
    check(load_recipe, "yaml", content)


@fuzzed(splits)
def test_a_damaged_split_is_read_or_refused(content, check):
    check(read_official, "json", content)
