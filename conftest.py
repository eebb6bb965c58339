"""Without PyTorch the tests of the lab are left out: so the core is tested alone, as users have it."""

import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent
ONLY_THE_CORE = find_spec("torch") is None
OF_THE_LAB = re.compile(
    r"^\s*(from|import) (vocalics\.lab|torch|pandas|sklearn|librosa|matplotlib|pyarrow|yaml)\b", re.MULTILINE
)


def pytest_report_header() -> str | None:
    """Say what is left out."""
    return "PyTorch is not installed: the tests of the lab are left out" if ONLY_THE_CORE else None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the lab's modules, and every test that imports one of them or what only they need."""
    if not ONLY_THE_CORE or collection_path.suffix != ".py":
        return None
    of_the_lab = collection_path.is_relative_to(ROOT / "src/vocalics/lab")
    of_the_tests = collection_path.is_relative_to(ROOT / "tests")
    return of_the_lab or (of_the_tests and bool(OF_THE_LAB.search(collection_path.read_text()))) or None
