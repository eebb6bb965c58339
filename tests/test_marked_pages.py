"""What pages say was measured is what the benchmarks wrote."""

import importlib
import json

import pytest
from marked_page import with_figures

#: The maker of each page, a result, where in it a number stands, and how the page says it.
CHANGES = {
    "make_timeline": ("live", ["soak", "answers"], "123,456,789 answers"),
    "make_service": ("streams", ["rounds", "alone", "answers"], "of 123,456,789 |"),
}


@pytest.fixture(params=CHANGES)
def name(request):
    return request.param


@pytest.fixture
def maker(name):
    return importlib.import_module(name)


def test_the_page_is_in_step_with_the_results(maker):
    page = maker.PAGE.read_text()
    assert with_figures(page, maker.figures(maker.RESULTS)) == page


def test_another_result_leads_to_another_page(name, maker, tmp_path):
    result, places, words = CHANGES[name]
    for path in maker.RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    changed = json.loads((tmp_path / f"{result}.json").read_text())
    inner = changed
    for place in places[:-1]:
        inner = inner[place]
    inner[places[-1]] = 123_456_789
    (tmp_path / f"{result}.json").write_text(json.dumps(changed))
    page = maker.PAGE.read_text()
    assert words not in page
    assert words in with_figures(page, maker.figures(tmp_path))


def test_what_stands_outside_the_marks_stays():
    page = "before\n<!-- figures: made by x -->\nold\n<!-- end of figures -->\nafter\n"
    assert with_figures(page, "new\n") == page.replace("old", "new")
