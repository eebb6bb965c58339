"""Without PyTorch what lies beyond the core is left out of the tests: so it is tested as users have it."""

import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent
ONLY_THE_CORE = find_spec("torch") is None
BEYOND_THE_CORE = [ROOT / "src/vocalics" / name for name in ("lab", "app", "service")]
NOT_IN_THE_CORE = re.compile(
    r"^\s*(from|import) (vocalics\.(lab|app|service)|torch|pandas|sklearn|librosa|matplotlib|pyarrow|yaml"
    r"|streamlit|plotly|fastapi|httpx|websockets|schemathesis|serving|app_server|visited_pages)\b",
    re.MULTILINE,
)


def pytest_report_header() -> str | None:
    """Say what is left out."""
    return "PyTorch is not installed: only what needs the core alone is tested" if ONLY_THE_CORE else None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what lies beyond the core, and every test that imports it or what only it needs."""
    if not ONLY_THE_CORE or collection_path.suffix != ".py":
        return None
    beyond = any(collection_path.is_relative_to(folder) for folder in BEYOND_THE_CORE)
    of_the_tests = collection_path.is_relative_to(ROOT / "tests")
    return beyond or (of_the_tests and bool(NOT_IN_THE_CORE.search(collection_path.read_text()))) or None
