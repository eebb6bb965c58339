"""What listening looks like in a terminal: the present answer, the last minute, and at the end a summary.

Nothing here knows a terminal: a `View` goes in, something that Rich can draw comes out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING

from vocalics.cli.screen import bar, clock, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from vocalics.recognition.listening import Passage, View
    from vocalics.recognition.prediction import Timeline

#: Numbers of cells that the strip of a minute may have; the largest one that fits is drawn.
STRIPS = (120, 60, 30, 20)
STRIP_S = 60.0

#: How long an answer stays in the picture when nobody speaks any more, so that it does not flicker in a
#: dialogue; seconds.
HOLD_S = 3.0

_WIDEST = 124  # characters; more would be far to look
_QUIETEST_DB = -60.0  # left end of the level meter
_WIDEST_METER = 24
_WIDEST_BAR = 60
_INDENT = 2
_SHORTEST_NAME = 3  # characters of an emotion's name under the strip; where there is less room, its letter


@dataclass(frozen=True)
class Cell:
    """One cell of the strip; by itself silence.

    Attributes
    ----------
    emotion
        What was heard most.
    unsure
        Whether the model abstained.
    lost
        Whether any sound was lost.
    """

    emotion: str | None = None
    unsure: bool = False
    lost: bool = False


def picture(
    view: "View",
    source: str,
    model: str,
    emotions: Sequence[str],
    width: int,
    height: int = 24,
    ascii_only: bool = False,
    no_color: bool = False,
) -> "Group":
    """Draw one moment of listening.

    Parameters
    ----------
    view
        The moment.
    source, model
        What is heard, and what answers.
    emotions
        In the model's order.
    width, height
        Of the terminal, in characters; a low one gets no blank lines.
    ascii_only, no_color
        What the terminal cannot do; without colours, the strip is of letters.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    width = min(width, _WIDEST)
    paragraphs: list[list[Text | Table]] = [
        [_head(view, source, model, width, ascii_only)],
        [_present(view)],
        [_bars(view, emotions, width, ascii_only)],
        [*_strip(view, emotions, width, ascii_only, no_color)],
        [_meters(view, width, ascii_only)],
    ]
    n_lines = len(emotions) + 8 + len(paragraphs) - 1
    if n_lines < height:
        paragraphs = [[*paragraph, Text("")] for paragraph in paragraphs[:-1]] + paragraphs[-1:]
    return Group(*chain.from_iterable(paragraphs))


def summary(timeline: "Timeline", latencies_s: Sequence[float], lost_s: float) -> list[str]:
    """Return what there is to say at the end, line by line."""
    from vocalics.recognition.listening import percentile_s

    (speaker,) = timeline.speakers
    lines = [f"Heard {clock(timeline.duration_s)}, {clock(speaker.speech_s)} of it speech."]
    if speaker.share:
        ranked = sorted(speaker.share.items(), key=lambda item: -item[1])
        spoken = [f"{label} {100 * share:.0f} %" for label, share in ranked if share >= 0.005]
        lines.append(f"Share of the speech: {', '.join(spoken)}.")
    if speaker.valence is not None and speaker.arousal is not None:
        lines.append(f"Mean valence {speaker.valence:+.2f}, arousal {speaker.arousal:+.2f}, from -1 to 1.")
    half_s, most_s = percentile_s(latencies_s, 50), percentile_s(latencies_s, 99)
    if half_s is not None and most_s is not None:
        lines.append(
            f"From the end of a window to its answer: median {_ms(half_s)}, 99th percentile {_ms(most_s)}."
        )
    lines.append(f"Lost {lost_s:.1f} s of sound." if lost_s else "No sound was lost.")
    return lines


def letters(emotions: Sequence[str]) -> dict[str, str]:
    """Return a letter for every emotion: the first one of its name that none before it has.

    Examples
    --------
    >>> letters(["sad", "surprised", "angry"])
    {'sad': 'S', 'surprised': 'U', 'angry': 'A'}
    """
    taken: dict[str, str] = {}
    for emotion in emotions:
        own = [letter for letter in emotion.upper() if letter.isalnum() and letter not in taken.values()]
        taken[emotion] = own[0] if own else "?"
    return taken


def cells(passages: "Sequence[Passage]", position_s: float, n_cells: int) -> list[Cell]:
    """Divide the last minute, or what there was of it, into at most so many cells.

    The borders lie at whole multiples of a cell's length, so the strip moves by one cell at a time; the last
    one is going on.
    """
    cell_s = STRIP_S / n_cells
    n_until = math.ceil(position_s / cell_s)
    found = []
    for n in range(max(0, n_until - n_cells), n_until):
        start_s, end_s = n * cell_s, min((n + 1) * cell_s, position_s)
        lengths_s = {Cell(): end_s - start_s}
        for passage in passages:
            inside_s = min(passage.end_s, end_s) - max(passage.start_s, start_s)
            if inside_s > 0:
                cell = Cell(passage.emotion, passage.abstained, lost=passage.emotion is None)
                lengths_s[cell] = lengths_s.get(cell, 0.0) + inside_s
                lengths_s[Cell()] -= inside_s
        lost = next((cell for cell in lengths_s if cell.lost), None)
        found.append(lost or max(lengths_s, key=lambda cell: lengths_s[cell]))
    return found


def _head(view: "View", source: str, model: str, width: int, ascii_only: bool) -> "Text":
    from rich.text import Text

    right = f"  {clock(view.position_s)}  Ctrl-C ends"
    name = printable(source)
    left = Text(ascii(name)[1:-1] if ascii_only else name, style="bold")
    left.append(f"  {printable(model)}", style="dim not bold")
    left.truncate(max(0, width - len(right)), overflow="crop", pad=True)
    return Text.assemble(left, (right, "dim"), no_wrap=True)


def _present(view: "View") -> "Text":
    """Draw the answer of the moment."""
    from rich.text import Text

    if view.answer is None or view.answer.emotion is None or not view.speaking:
        return Text(f"{' ' * _INDENT}listening", style="dim")
    answer = view.answer
    text = Text(" " * _INDENT, no_wrap=True)
    text.append(printable(answer.emotion or ""), style=f"bold {_color(answer.emotion or '')}")
    text.append(f"  {100 * (answer.confidence or 0.0):.0f} %", style="bold")
    if answer.abstained:
        text.append(f"  {answer.reason}", style="dim")
    return text


def _bars(view: "View", emotions: Sequence[str], width: int, ascii_only: bool) -> "Table":
    """Draw a bar for every emotion, in their order: bright while somebody speaks, dim for a while after."""
    from rich.table import Table
    from rich.text import Text

    answer = view.answer
    shown = answer is not None and view.position_s - answer.end_s < HOLD_S
    shares = answer.probabilities if answer is not None and shown else {}
    label_width, percent_width = max(map(len, emotions)), len("100 %")
    bar_width = min(_WIDEST_BAR, width - _INDENT - len("N") - label_width - percent_width - 3)
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", width=percent_width)
    for emotion, letter in letters(emotions).items():
        share = shares.get(emotion)
        best = view.speaking and answer is not None and emotion == answer.emotion
        style = "bold" if best else "" if view.speaking else "dim"
        drawn = bar(share or 0.0, bar_width, ascii_only).ljust(bar_width)
        table.add_row(
            Text(" " * _INDENT + letter, style="dim"),
            Text(printable(emotion), style=style),
            Text(drawn, style=_color(emotion) if view.speaking else f"dim {_color(emotion)}"),
            Text("" if share is None else f"{100 * share:.0f} %", style=style),
        )
    return table


def _strip(
    view: "View", emotions: Sequence[str], width: int, ascii_only: bool, no_color: bool
) -> "list[Text]":
    """Draw the last minute: its borders, the cells, and under them what they are."""
    from rich.text import Text

    n_cells = next((n for n in STRIPS if n <= width - 2 * _INDENT), STRIPS[-1])
    found = cells(view.passages, view.position_s, n_cells)
    letter = letters(emotions)
    letters_only = ascii_only or no_color
    silence = "." if ascii_only else "·"
    drawn = [(" ", "")] * (n_cells - len(found))
    starts: dict[int, str] = {}  # where a run of one emotion begins, sure or not
    before = None
    for cell in found:
        glyph, style = ("!", "bold red") if cell.lost else (silence, "dim")
        if cell.emotion is not None:
            if cell.emotion != before:
                starts[len(drawn)] = cell.emotion
            glyph, style = "▒" if cell.unsure else "█", _color(cell.emotion)
            if letters_only:
                glyph = letter[cell.emotion].lower() if cell.unsure else letter[cell.emotion]
        before = cell.emotion
        drawn.append((glyph, style))
    row = Text(" " * _INDENT, no_wrap=True)
    for (glyph, style), run in groupby(drawn):
        row.append(glyph * len(list(run)), style=style)
    names = " " * _INDENT
    for (start, emotion), next_start in zip(starts.items(), [*starts, n_cells + 1][1:], strict=True):
        room = next_start - start - 1
        name = printable(emotion)[:room] if room >= _SHORTEST_NAME else letter[emotion]
        names = names.ljust(_INDENT + start) + name
    left, right = "a minute ago", "now"
    legend = f"{'small letters' if letters_only else '▒'} unsure, {silence} no speech"
    middle = n_cells - len(left) - len(right)
    ends = " " * _INDENT + left + (legend if len(legend) + 2 < middle else "").center(middle) + right
    return [Text(ends, style="dim", no_wrap=True), row, Text(names, style="dim", no_wrap=True)]


def _meters(view: "View", width: int, ascii_only: bool) -> "Table":
    """Draw level, latency and losses."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    share = min(1.0, max(0.0, 1 - view.level_db / _QUIETEST_DB))
    meter = min(_WIDEST_METER, width - 30)
    level = "no signal" if view.level_db == -math.inf else f"{view.level_db:.0f} dB"
    late = "none yet"
    if view.latency_s is not None and view.worst_latency_s is not None:
        late = f"{_ms(view.latency_s)}, worst of the last minute {_ms(view.worst_latency_s)}"
    lost = Text(f"{view.lost_s:.1f} s of sound", style="bold red") if view.lost_s else Text("no sound")
    indent = " " * _INDENT
    table.add_row(f"{indent}level", f"{bar(share, meter, ascii_only).ljust(meter)} {level}")
    table.add_row(f"{indent}latency", late)
    table.add_row(f"{indent}lost", lost)
    return table


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _color(emotion: str) -> str:
    from vocalics import emotions

    return emotions.color(emotion)
