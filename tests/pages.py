"""What a page is made of, read back: for the tests of reports and explorations."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

_ALONE = {"meta", "link", "br", "img", "use", "path"}  # elements that may stand without an end


class Page(HTMLParser):
    """Elements of an HTML page, checked to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = re.findall(r"url\(([^)]*)\)", text)
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "srcset", "data", "action", "xlink:href"):
                self.references.append(value)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _ALONE:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _ALONE:
            self._open.pop()

    def handle_endtag(self, tag) -> None:
        if tag in _ALONE:
            return
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data) -> None:
        if "style" in self._open:
            assert "@import" not in data
            return
        self.words.append(data)
        if any(cell in self._open for cell in ("td", "th")):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All words of the page, on one line."""
        return " ".join(" ".join(self.words).split())

    @property
    def asked_for(self) -> list[str]:
        """What a browser would have to fetch from somewhere else."""
        return [one for one in self.references if not one.startswith(("#", "data:"))]


def chromium() -> str | None:
    """Find a browser that can be run without a screen."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


def screenshot(page: Path, folder: Path, *, dark: bool) -> Path:
    """Let a browser without network draw a page."""
    picture = folder / f"{'dark' if dark else 'light'}.png"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=420,900",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--proxy-server=127.0.0.1:9",  # whatever it asks for, it does not get
        f"--screenshot={picture}",
    ]
    subprocess.run([chromium(), *options, page.as_uri()], check=True, capture_output=True, timeout=120)
    return picture
