"""The house keeps its rules: which module may import which, and when."""

import os
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import vocalics.cli

ROOT = Path(__file__).parents[1]

needs_import_linter = pytest.mark.skipif(
    find_spec("importlinter") is None, reason="import-linter comes with the extra 'dev'"
)


def lint_imports(config: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", config]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@needs_import_linter
def test_every_import_contract_is_kept():
    done = lint_imports(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout  # as many as pyproject.toml states


@needs_import_linter
def test_the_contract_finds_an_import_against_the_layers(tmp_path):
    # The same linter with lab and recognition exchanged must complain: lab does import recognition.
    text = (ROOT / "pyproject.toml").read_text()
    assert '  "lab",\n  "recognition",\n' in text
    turned = tmp_path / "pyproject.toml"
    turned.write_text(text.replace('  "lab",\n  "recognition",\n', '  "recognition",\n  "lab",\n'))
    done = lint_imports(turned)
    assert done.returncode == 1
    assert "vocalics.lab is not allowed to import vocalics.recognition" in done.stdout


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(vocalics.cli.__path__)])
def test_a_module_of_the_command_line_imports_neither_wing_before_its_command_runs(module):
    program = f"import sys, vocalics.cli.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert f"vocalics.cli.{module}" in loaded
    assert [name for name in loaded if name.startswith(("vocalics.lab", "vocalics.recognition"))] == []
