"""What the repository holds: small files, nobody's recordings, documents that are true."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

MEGABYTE = 1_000_000
LARGEST_FILE = 1 * MEGABYTE
LARGEST_MODEL = 15 * MEGABYTE  # what a wheel that people install without a thought may carry
LONGEST_SOURCE = 450  # lines; past about 400 a file hides a noun

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".webm", ".aac", ".aiff"}

# How each corpus names its recordings, and one true name of each.
CORPUS_NAMES = {
    "ravdess": (r"0[1-3](-\d\d){6}", "03-01-06-01-02-01-12"),
    "tess": (r"(OAF?|YAF)_\w+_(angry|disgust|fear|happy|neutral|ps|sad)", "OAF_back_ps"),
    "savee": (r"((DC|JE|JK|KL)_?)?(a|d|f|h|n|sa|su)\d\d", "DC_sa07"),
    "cremad": (r"1\d{3}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}", "1076_MTI_SAD_XX"),
    "emodb": (r"\d\d[abc]\d\d[A-Z][a-z]?", "03a01Fa"),
    "nemo": (r"[A-Z]{2}\d_[a-z]+_\d+", "EB0_anger_1"),
}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def code_lines(document: str) -> set[str]:
    """Lines of a Markdown file's code blocks, a prompt taken off and continued lines joined."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(blocks))
    return {line.removeprefix("$ ").strip() for line in joined.splitlines()}


def newcomer_commands() -> dict[str, str]:
    script = (ROOT / ".ci/run").read_text()
    return dict(re.findall(r"^(FIRST|SECOND)='(.+)'$", script, re.MULTILINE))


def locked_versions() -> dict[str, str]:
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def declared(extra: str) -> set[str]:
    """Import names of the packages that the core or an extra declares."""
    names = {"pyyaml": "yaml", "scikit-learn": "sklearn"}
    lines = project()["dependencies"] if extra == "core" else project()["optional-dependencies"][extra]
    packages = [Requirement(line).name for line in lines]
    return {names.get(package, package.replace("-", "_")) for package in packages} - {"vocalics"}


def packages_imported_by(path: Path) -> set[str]:
    """Top-level names of the packages that a file imports anywhere, but for Python's own and ours."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"vocalics"}


def test_no_file_is_large_but_the_models(files):
    too_large = {
        path.relative_to(ROOT).as_posix(): path.stat().st_size
        for path in files
        if path.stat().st_size > (LARGEST_MODEL if path.suffix == ".onnx" else LARGEST_FILE)
    }
    assert too_large == {}


def test_models_lie_where_their_licence_lies(files):
    assert {path.parent for path in files if path.suffix == ".onnx"} <= {ROOT / "src/vocalics/models"}
    assert (
        "creativecommons.org/licenses/by-nc-sa/4.0"
        in (ROOT / "src/vocalics/models/MODEL_LICENSE").read_text()
    )


@pytest.mark.parametrize("corpus", CORPUS_NAMES)
def test_no_recording_of_a_corpus_is_kept(files, corpus):
    pattern, true_name = CORPUS_NAMES[corpus]
    assert re.fullmatch(pattern, true_name)
    kept = [path for path in files if path.suffix.lower() in AUDIO and re.fullmatch(pattern, path.stem)]
    assert kept == []


def test_the_only_sound_kept_is_the_examples(files):
    folders = {path.parent for path in files if path.suffix.lower() in AUDIO}
    assert folders == {ROOT / "examples", ROOT / "src/vocalics/app/examples"}


def test_no_source_file_hides_a_noun(files):
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in files
        if path.suffix == ".py" and not path.is_relative_to(ROOT / "tests")  # a test file is a list of cases
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_SOURCE} == {}


def test_the_readme_and_ci_give_the_same_two_commands():
    commands = newcomer_commands()
    assert set(commands) == {"FIRST", "SECOND"}
    assert set(commands.values()) <= code_lines("README.md")


def test_the_guide_for_contributors_gives_the_same_command_as_ci():
    assert newcomer_commands()["SECOND"] in code_lines("CONTRIBUTING.md")


def test_the_help_in_the_docs_is_current(tmp_path):
    fresh = tmp_path / "command-line.md"
    # Somebody else's home folder and a narrow, colourful terminal: help that shows what is here would differ.
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment |= {"COLUMNS": "40", "FORCE_COLOR": "1"}
    environment.pop("VOCALICS_DATA", None)
    subprocess.run([sys.executable, ROOT / "docs/make_command_line.py", fresh], env=environment, check=True)
    is_current = (ROOT / "docs/command-line.md").read_text() == fresh.read_text()
    assert is_current, "docs/command-line.md is stale: run 'just docs'"


def test_the_figures_in_the_readme_are_those_of_the_results():
    pytest.importorskip("yaml", reason="the recipes' claims are YAML, which comes with the extra 'lab'")
    check = [sys.executable, ROOT / "docs/make_figures.py", "--check"]
    is_current = subprocess.run(check, cwd=ROOT).returncode == 0
    assert is_current, "the README's figures are stale: run docs/make_figures.py"


def test_the_lock_file_holds_versions_and_no_addresses():
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0].lower())
    # No '+cpu': a build's label is of one machine, the version of all.
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==\d[\w.]*", line)] == []


def test_the_lock_file_meets_every_requirement():
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    wanted = [Requirement(line) for group in groups for line in group]
    locked = locked_versions()
    unmet = [
        str(requirement)
        for requirement in wanted
        if requirement.name != "vocalics"
        and not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]
    assert unmet == []


def test_the_core_names_no_package_of_the_lab():
    assert declared("core").isdisjoint(declared("lab"))
    assert "torch" in declared("lab")


@pytest.mark.parametrize(
    ("part", "extras"),
    [
        ("lab", {"core", "batch", "encoders", "lab", "live"}),
        ("app", {"core", "app"}),
        ("service", {"core", "service"}),
        (None, {"core", "batch", "hub", "live", "ray"}),  # all that is in none of these
    ],
)
def test_every_package_that_the_source_imports_is_declared(part, extras):
    source = ROOT / "src/vocalics"
    parts = {path: path.relative_to(source).parts[0] for path in source.rglob("*.py")}
    own = [
        path for path, name in parts.items() if (name if name in {"lab", "app", "service"} else None) == part
    ]
    imported = set().union(*(packages_imported_by(path) for path in own))
    assert imported - set().union(*(declared(extra) for extra in extras)) == set()
    assert imported & set().union(*(declared(extra) for extra in extras))
