"""The site builds without a warning, has no link to nowhere, fetches nothing, documents every public name."""

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import vocalics

for _name in ("sphinx", "myst_parser", "numpydoc", "furo"):
    pytest.importorskip(_name, reason="the site is built with the extra 'docs'")
pytest.importorskip("torch", reason="the reference of the lab needs the extra 'lab'")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STRICT = "sphinx-build -W --keep-going"


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", *STRICT.split()[1:], "-q", "-d", f"{target}-state"]
    return subprocess.run([*command, source, target], capture_output=True, text=True)


class Page(HTMLParser):
    """What a page of the site is named by, leads to, and has a browser fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        text = path.read_text(encoding="utf-8")
        self.feed(text)
        self.fetched += re.findall(r"url\(\s*['\"]?([^)'\"]+)", text)

    def handle_starttag(self, tag, attributes) -> None:
        values = dict(attributes)
        self.ids |= {values["id"]} if values.get("id") else set()
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") not in ("next", "prev", "index", "search", "canonical"):
            self.fetched.append(values["href"])
        if tag != "a":
            self.fetched += [values[name] for name in ("src", "srcset", "poster", "data") if values.get(name)]

    def targets(self) -> list[tuple[str, Path, str]]:
        """Links and what is fetched within the site: as written, the file, and the place in it."""
        found = []
        for address in [*self.links, *self.fetched]:
            parts = urlsplit(address)
            if not parts.scheme and not parts.netloc:
                file = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path
                found.append((address, file, unquote(parts.fragment)))
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, as CI builds it."""
    target = tmp_path_factory.mktemp("site").resolve() / "html"
    done = build(DOCS, target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "the strict build has something to say"
    return target


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.glob("*.html"))}


def test_every_markdown_file_is_reachable_from_the_front_page(site, pages):
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in pages and path not in reached:
            reached.add(path)
            waiting += [file for _, file, _ in pages[path].targets()]
    expected = {site / f"{path.stem}.html" for path in DOCS.glob("*.md")}
    assert len(expected) > 20  # 25 pages when this was written
    assert expected - reached == set()


def test_without_the_site_every_markdown_file_is_reachable_too():
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            links = re.findall(r"\]\(([\w.-]+\.md)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
            waiting += [path.parent / link for link in links]
    assert set(DOCS.glob("*.md")) - reached == set()


def test_no_link_leads_nowhere(pages):
    lost = [
        f"{page.path.name}: {address}"
        for page in pages.values()
        for address, file, place in page.targets()
        if not file.is_file() or (place and file in pages and place not in pages[file].ids)
    ]
    assert lost == []


def test_no_page_fetches_anything_from_elsewhere(site, pages):
    def elsewhere(addresses):
        return [one for one in addresses if re.match(r"([a-z]+:)?//", one)]

    assert {
        page.path.name: elsewhere(page.fetched) for page in pages.values() if elsewhere(page.fetched)
    } == {}
    styles = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    drawings = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.svg")}
    assert styles.keys() >= {"furo.css", "site.css"}
    assert drawings.keys() >= {"predict.svg", "leaderboard.svg"}
    for name, text in (styles | drawings).items():
        asked = re.findall(r"url\(\s*['\"]?([^)'\"]+)", text) + re.findall(r"@import\s+['\"]([^'\"]+)", text)
        assert elsewhere(asked) == [], name
    for path in site.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        asking = r"(?:fetch|importScripts|import|open|Worker|sendBeacon)\(\s*['\"`]((?:https?:)?//[^'\"`]*)"
        assert re.findall(asking, text) == [], path.name


def test_the_reference_names_everything_that_vocalics_offers(pages, site):
    ids = pages[site / "api.html"].ids
    missing = {f"vocalics.{name}" for name in vocalics.__all__} - ids
    assert missing == {"vocalics.emotions"}, "a module has another mark:"
    assert "module-vocalics.emotions" in ids
    assert [name for name in ids if ".vocalics." in name] == [], "named under another module's name"
    assert {"vocalics.Model.predict", "vocalics.emotions.canonical"} <= ids


def test_the_model_card_is_that_of_the_bundled_file(site):
    card = vocalics.load().card
    page = (site / "model-card.html").read_text(encoding="utf-8")
    uar = card.evaluation["ravdess, speaker"]["uar"]["mean"]
    for told in (f"{card.parameters:,} parameters", card.training["split_digest"], f"{100 * uar:.1f} ("):
        assert told in page


def test_what_stands_for_readers_without_the_site_is_not_on_it(site):
    for name in ("api", "api-lab", "changelog", "contributing", "figures", "licence", "model-card"):
        source = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        for stand_in in re.findall(r"<!-- site: .+? -->\n([\w ,]{15,40})", source):
            article = (site / f"{name}.html").read_text(encoding="utf-8").split("<article")[1]
            assert stand_in not in article


def test_the_examples_of_the_parts_are_true(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    result = doctest.testmod(importlib.import_module("site_parts"))
    assert (result.failed, result.attempted) == (0, 1)


def test_a_page_outside_the_sidebar_and_links_to_nowhere_are_told(tmp_path):
    source = tmp_path / "docs"
    shutil.copytree(DOCS / "site", source / "site")
    for name in ("conf.py", "site_parts.py"):
        shutil.copy(DOCS / name, source / name)
    (source / "index.md").write_text("# Front\n\n[a](lost.md#nowhere) [b](absent.md)\n")
    (source / "lost.md").write_text("# Lost\n\nNobody names this page in the sidebar.\n")
    done = build(source, tmp_path / "html")
    assert done.returncode == 1
    assert "lost.md: WARNING: document isn't included in any toctree" in done.stderr
    assert re.search(r"index\.md:3: WARNING: .*nowhere", done.stderr)
    assert re.search(r"index\.md:3: WARNING: .*absent", done.stderr)


def test_ci_and_the_justfile_build_it_as_strictly():
    for name in ("justfile", ".ci/run"):
        assert STRICT in (ROOT / name).read_text(), name
