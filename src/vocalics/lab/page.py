"""A page of words, tables and pictures: one self-contained HTML file, the same as Markdown, pictures as PNG.

The HTML asks for nothing from anywhere: style and pictures stand in it, pictures as SVG whose ink follows the
reader's light or dark colours.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from vocalics import emotions
from vocalics.files import write_atomically
from vocalics.lab.plots import style

#: Dots per inch of the PNGs: sharp on a screen with two pixels a point.
PNG_DPI = 150

Cell = str | int | float | None


@dataclass(frozen=True)
class Tile:
    """One large number at the top of a page, and what it is."""

    value: str
    label: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; whole numbers are written with thousands, a column ``emotion`` has its colours.

    Attributes
    ----------
    headers
        One a column.
    rows
        As many cells each; None stays empty. What is no word, or looks like a number, stands at the right.
    caption
        Above, or empty.
    folded
        On the page only the caption is seen until a reader unfolds it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, and the name of its PNG without suffix; `says` is what somebody hears who cannot see it."""

    name: str
    figure: Figure
    says: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Notice:
    """A sentence that nobody should miss."""

    sentence: str


@dataclass(frozen=True)
class Code:
    """A command line."""

    line: str


Block = str | Table | Picture | Points | Notice | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """All that a reader sees, from top to bottom."""

    eyebrow: str
    title: str
    lead: str
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    footer: str

    @property
    def pictures(self) -> Iterator[Picture]:
        """The pictures, in their order."""
        for section in self.sections:
            yield from (block for block in section.blocks if isinstance(block, Picture))


def write_page(page: Page, folder: Path, name: str, *, markdown: bool = False) -> Path:
    """Write ``name.html`` and every picture as PNG to a folder, each file whole or not at all.

    Parameters
    ----------
    page
        What to write.
    folder
        Made when it is not there.
    name
        Of the page, without suffix.
    markdown
        Write ``name.md`` beside it, which shows the PNGs.

    Returns
    -------
    Path of the HTML file.
    """
    for picture in page.pictures:
        write_atomically(folder / f"{picture.name}.png", png(picture.figure))
    if markdown:
        write_atomically(folder / f"{name}.md", to_markdown(page))
    path = folder / f"{name}.html"
    write_atomically(path, to_html(page))
    return path


def png(figure: Figure) -> bytes:
    """Return a figure as PNG on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=PNG_DPI, facecolor="white")
    return file.getvalue()


def svg(figure: Figure, name: str, says: str) -> str:
    """Return a figure as an SVG element for a page, in that page's colours.

    Parameters
    ----------
    figure
        Drawn by `vocalics.lab.plots`.
    name
        Unique on the page: the element's ids begin with it.
    says
        What somebody hears who cannot see it.
    """
    file = io.BytesIO()
    nothing_told = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", dpi=PNG_DPI, transparent=True, metadata=nothing_told)
    text = file.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", text)  # HTML knows them
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in ((style.INK, "ink"), (style.MUTED, "muted"), (style.LINE, "line")):
        text = text.replace(color, f"var(--{variable})")
    width_px = 96 * figure.get_figwidth()
    told = f'role="img" aria-label="{escape(says)}" style="--width: {width_px:.0f}px"'
    return text.replace("<svg ", f"<svg {told} ", 1)


# ---- HTML --------------------------------------------------------------------------------------------------


def to_html(page: Page) -> str:
    """Return the page as one HTML document."""
    sheet = files("vocalics.lab").joinpath("page.css").read_text(encoding="utf-8")
    tiles = "".join(
        f'<div class="tile"><b>{escape(tile.value)}</b><span>{escape(tile.label)}</span></div>'
        for tile in page.tiles
    )
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n"
        + "\n".join(_block_to_html(block) for block in section.blocks)
        + "\n</section>"
        for section in page.sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(page.title)}</title>
<link rel="icon" href="data:,">
<style>
{sheet}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">{escape(page.eyebrow)}</p>
<h1>{escape(page.title)}</h1>
<p class="lead">{escape(page.lead)}</p>
<div class="tiles">{tiles}</div>
</header>
{sections}
<footer><p>{escape(page.footer)}</p></footer>
</main>
</body>
</html>
"""


def _block_to_html(block: Block) -> str:
    match block:
        case Picture():
            return f"<figure>{svg(block.figure, block.name, block.says)}</figure>"
        case Table():
            return _table_to_html(block)
        case Points():
            return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in block.sentences) + "</ul>"
        case Notice():
            return f'<p class="warning">{escape(block.sentence)}</p>'
        case Code():
            return f"<p><code>{escape(block.line)}</code></p>"
    return f"<p>{escape(block)}</p>"


def _table_to_html(table: Table) -> str:
    right = _at_right(table)

    def row(cells: Sequence[str], tag: str) -> str:
        aligned = (' class="n"' if at_right else "" for at_right in right)
        return (
            "<tr>" + "".join(f"<{tag}{n}>{c}</{tag}>" for n, c in zip(aligned, cells, strict=True)) + "</tr>"
        )

    body = []
    for cells in table.rows:
        texts = [escape(_text(cell)) for cell in cells]
        for column, header in enumerate(table.headers):
            if header == "emotion":
                color = emotions.color(str(cells[column]))
                texts[column] = f'<span class="dot" style="background:{color}"></span>{texts[column]}'
        body.append(row(texts, "td"))
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = row([escape(header) for header in table.headers], "th")
    rows = f"<thead>{head}</thead><tbody>{''.join(body)}</tbody>"
    if not table.folded:
        return f'<div class="scroll"><table>{caption}{rows}</table></div>'
    summary = f"<summary>{escape(table.caption)}</summary>"
    return f'<details>{summary}<div class="scroll"><table>{rows}</table></div></details>'


# ---- Markdown ----------------------------------------------------------------------------------------------


def to_markdown(page: Page) -> str:
    """Return the page as Markdown; pictures are links to their PNGs."""
    lines = [f"# {_plain(page.title)}", "", _plain(page.lead), ""]
    lines += [f"- {_plain(tile.label)}: **{_plain(tile.value)}**" for tile in page.tiles]
    for section in page.sections:
        lines += ["", f"## {_plain(section.title)}"]
        for block in section.blocks:
            lines += ["", *_block_to_markdown(block)]
    return "\n".join([*lines, "", _plain(page.footer), ""])


def _block_to_markdown(block: Block) -> list[str]:
    match block:
        case Picture():
            return [f"![{_plain(block.says)}]({block.name}.png)"]
        case Table():
            right = _at_right(block)
            rows = [list(block.headers), ["---:" if at_right else "---" for at_right in right]]
            rows += [[_plain(_text(cell)) for cell in cells] for cells in block.rows]
            caption = [_plain(block.caption), ""] if block.caption else []
            return caption + ["| " + " | ".join(row) + " |" for row in rows]
        case Points():
            return [f"- {_plain(sentence)}" for sentence in block.sentences]
        case Notice():
            return [f"**{_plain(block.sentence)}**"]
        case Code():
            return ["```sh", block.line, "```"]
    return [_plain(block)]


def _plain(text: str) -> str:
    """Escape what Markdown would act on."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)


# ---- cells -------------------------------------------------------------------------------------------------


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.3g}" if isinstance(cell, float) else cell


def _at_right(table: Table) -> list[bool]:
    """Say for each column whether it holds numbers."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.headers)
    return [
        all(not isinstance(cell, str) or not cell or cell[0] in "+−-0123456789–" for cell in column)
        for column in columns
    ]
