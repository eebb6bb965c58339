"""What docs/timeline.md says was measured is what the benchmarks wrote."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def make_timeline():
    spec = importlib.util.spec_from_file_location("make_timeline", ROOT / "docs" / "make_timeline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_in_step_with_the_results():
    maker = make_timeline()
    page = maker.PAGE.read_text()
    assert maker.with_figures(page, maker.RESULTS) == page


def test_another_result_leads_to_another_page(tmp_path):
    maker = make_timeline()
    for path in maker.RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    changed = json.loads((tmp_path / "live.json").read_text())
    changed["soak"]["answers"] = 123_456_789
    (tmp_path / "live.json").write_text(json.dumps(changed))
    assert "123,456,789 answers" in maker.with_figures(maker.PAGE.read_text(), tmp_path)
