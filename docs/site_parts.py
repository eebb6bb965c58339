"""What the site has in the place of a page's marks: parts of other files, the model's card, the reference.

A page says ``<!-- site: NAME -->``, then what is read where there is no site, then ``<!-- end of site -->``.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy.typing as npt
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import stringify_annotation

import vocalics
from vocalics import errors
from vocalics.card import ModelCard
from vocalics.recognition.recordings import Recording, Recordings

ROOT = Path(__file__).parents[1]

_MARKED = re.compile(r"<!-- site: (.+?) -->\n.*?<!-- end of site -->\n", re.DOTALL)

#: Where the site has what lies outside of ``docs/``. Other files there are downloads.
_PAGES = {
    "../README.md": "figures.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../LICENSE": "licence.md",
}

#: Modules of the lab in the reference, in the order of the work. Those with ``__all__`` show what it names.
LAB = (
    "corpora",
    "manifest",
    "audit",
    "splits",
    "recipes",
    "networks",
    "training",
    "export",
    "evaluation",
    "metrics",
    "extraction",
    "explain",
    "plots",
)

#: What the signatures of the reference speak of besides; the build fails when one is missing here.
_BESIDE_THE_DOOR = (
    "vocalics.card.Head",
    "vocalics.card.SpeakerNumbers",
    "vocalics.recognition.head.AffineHead",
    "vocalics.recognition.prediction.Curve",
    "vocalics.recognition.prediction.TurningPoint",
    "vocalics.recognition.speaker_prior.SpeakerPrior",
)
_BESIDE_THE_LAB = (
    "vocalics.lab.calibration.Calibration",
    "vocalics.lab.corpora.scanning.ScanOptions",
    "vocalics.lab.audio_store.AudioStore",
    "vocalics.lab.initial.Initial",
    "vocalics.lab.recogniser.Answer",
    "vocalics.lab.recogniser.Recogniser",
    "vocalics.lab.scores.Scores",
)

#: The errors that only the lab raises.
_OTHER_ERRORS = [f"vocalics.errors.{name}" for name in vars(errors) if name.endswith("Error")]
_OTHER_ERRORS = [name for name in _OTHER_ERRORS if name.rpartition(".")[2] not in vocalics.__all__]

#: Where the headings of parameters, answers and errors lead, whatever module they stand in.
LINKS = {name.rpartition(".")[2]: name for name in _OTHER_ERRORS}
LINKS |= {name: f"vocalics.{name}" for name in vocalics.__all__}

#: Types that Python spells out in a signature, and the name that people know them by; the longest first.
_ALIASES = {
    stringify_annotation(alias, "smart"): name
    for alias, name in ((Recordings, "Recordings"), (Recording, "Recording"), (npt.ArrayLike, "ArrayLike"))
}
_ARRAY = re.compile(
    r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?(?:\w+\.)*(\w+)\]\]"
)


def fill(page: str) -> str:
    """Return a page with its marks filled and its links leading to pages of the site."""
    return _relinked(_MARKED.sub(lambda mark: _part(mark[1]), page))


def table_of_contents(caption: str, pages: Iterable[str]) -> str:
    """Return a section of the sidebar."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def skip_member(app: Any, kind: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Python documents by itself: fields of named tuples."""
    told = (inspect.getdoc(member) or "").startswith("Alias for field number")
    return True if told else None


def shorten_signature(
    app: Any, kind: str, name: str, value: Any, options: Any, arguments: str | None, answer: str | None
) -> tuple[str | None, str | None]:
    """Call types by their names."""
    return _shortened(arguments), _shortened(answer)


def _shortened(signature: str | None) -> str | None:
    for spelled_out, name in _ALIASES.items():
        signature = signature and signature.replace(spelled_out, name)
    return signature and _ARRAY.sub(r"NDArray[\1]", signature)


def _part(name: str) -> str:
    if name in _PARTS:
        return "\n".join(_PARTS[name]()) + "\n"
    file, _, heading = name.partition("#")
    return _quoted((ROOT / file).read_text(encoding="utf-8"), heading)


def _quoted(text: str, heading: str) -> str:
    r"""Return a file of the repository without its title, or its section of that heading; links from here.

    Examples
    --------
    >>> _quoted("# A\n\n## B\n\n[b](docs/b.md) [c](c.md)\n\n## C\n", "B")
    '## B\n\n[b](b.md) [c](../c.md)\n'
    """
    if heading:
        found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        if found is None:
            raise ValueError(f"no section '## {heading}' to put into the site")
        text = found[0].rstrip() + "\n"
    else:
        text = re.sub(r"\A# .*\n", "", text)
    text = re.sub(r"\]\((?!https?:|#|docs/)", "](../", text)
    return text.replace("](docs/", "](")


def _relinked(page: str) -> str:
    """Lead links that leave ``docs/`` to the site's own pages; a link to a folder is its text alone."""

    def lead(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        if target in _PAGES:
            return f"[{text}]({_PAGES[target]}{anchor or ''})"
        return text if (ROOT / "docs" / target).is_dir() else link[0]

    return re.sub(r"\[([^\]]*)\]\((\.\./[^)#]*)(#[^)]*)?\)", lead, page)


def _card() -> Iterator[str]:
    """Tell what the bundled model's file says of itself."""
    model = vocalics.load()
    card = model.card
    training = card.training
    yield from (card.description, "")
    yield from _table(
        {
            "file": f"`{model.path.name}`, {model.path.stat().st_size / 1e6:.1f} MB",
            "answers": ", ".join(card.emotions),
            "hears": f"mono at {card.sample_rate:,} Hz, up to {card.bandwidth_hz:,.0f} Hz; "
            f"{card.minimum_s:g} s or longer, in windows of {card.window_s:g} s",
            "abstains": f"below a confidence of {card.abstain_below:g}",
            "network": f"`{card.network}`, {card.parameters:,} parameters",
            "recipe": f"`{card.recipe}`",
            "languages": ", ".join(card.languages),
            "licence": card.licence,
        }
    )
    yield from ("## How good it is", "", str(card.evaluation["note"]), "", *_figures(card), "")
    yield from ("In percent, with 95 % intervals by bootstrap over speakers.", "")
    yield from ("## How it was made", "", "```sh", training["command"], "```", "")
    yield from _table(
        {
            "corpora": ", ".join(training["corpora"]),
            "speakers": "; ".join(
                f"{corpus}: {', '.join(ids)}" for corpus, ids in training["speakers"].items()
            ),
            "recordings": f"{training['utterances']:,}, {training['hours']:.1f} hours",
            "epochs": training["epochs"],
            "seed": training["seed"],
            "calibration": training["calibration"],
            "split": f"`{training['split_digest']}`",
            "software": ", ".join(f"{name} {number}" for name, number in training["software"].items()),
        }
    )
    yield from ("The corpora's papers:", "", *(f"- {citation}" for citation in training["citations"]), "")
    yield from ("## Limits", "", *(f"- {limit}" for limit in card.limits))


def _figures(card: ModelCard) -> Iterator[str]:
    yield "| measured on | clips | speakers | UAR | accuracy |\n| --- | --- | --- | --- | --- |"
    for name, entry in card.evaluation.items():
        if isinstance(entry, dict):
            rates = " | ".join(
                "{mean:.1f} ({low:.1f} to {high:.1f})".format(
                    **{key: 100 * value for key, value in entry[rate].items()}
                )
                for rate in ("uar", "accuracy")
            )
            yield f"| {name} | {entry['clips']:,} | {entry['speakers']} | {rates} |"


def _table(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items()), "")


def _door() -> Iterator[str]:
    """Document every name of ``vocalics.__all__``, each once, by kind."""
    names = {name: getattr(vocalics, name) for name in vocalics.__all__}
    kinds: dict[str, Callable[[Any], bool]] = {
        "Functions": inspect.isroutine,
        "Records and objects": lambda value: inspect.isclass(value) and not issubclass(value, Exception),
        "Errors": lambda value: inspect.isclass(value) and issubclass(value, Exception),
        "Modules": inspect.ismodule,
        "Version": lambda value: isinstance(value, str),
    }
    for heading, belongs in kinds.items():
        yield from (f"## {heading}", "")
        for name in sorted(name for name, value in names.items() if belongs(value)):
            yield from _reference(f"vocalics.{name}", names[name])
    yield from _beside(_BESIDE_THE_DOOR)


def _lab() -> Iterator[str]:
    for name in LAB:
        module = import_module(f"vocalics.lab.{name}")
        yield from (f"## `{module.__name__}`", "")
        yield from _rst(f".. automodule:: {module.__name__}")
        for public in _public_names(module):
            yield from _reference(f"{module.__name__}.{public}", getattr(module, public))
    yield from _beside((*_BESIDE_THE_LAB, *_OTHER_ERRORS))


def _beside(names: Iterable[str]) -> Iterator[str]:
    yield from ("## What these speak of", "")
    for name in names:
        module, _, own = name.rpartition(".")
        yield from _reference(name, getattr(import_module(module), own))


def _public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: its ``__all__``, or the classes and functions that it defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _reference(name: str, value: Any) -> Iterator[str]:
    """Document one object from its docstring, in which other names of its module are links."""
    yield from _rst(f".. py:currentmodule:: {name.rpartition('.')[0]}")
    if inspect.isclass(value):
        yield from _rst(f".. autoclass:: {name}", ":members:")
    elif inspect.isroutine(value):
        yield from _rst(f".. autofunction:: {name}")
    elif inspect.ismodule(value):
        yield from _rst(f".. automodule:: {name}", ":members:")
    else:
        module, _, own = name.rpartition(".")
        told = ["The version that is installed."] if own == "__version__" else _comment(name)
        yield from _rst(f".. py:data:: {own}", f":module: {module}", "", *told)


def _comment(name: str) -> list[str]:
    """Return the comment ``#:`` of a constant, in the module that offers it or one below."""
    package, _, own = name.rpartition(".")
    for module in sorted(one for one in sys.modules if f"{one}.".startswith(f"{package}.")):
        found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", own))
        if found:
            return found
    return []


def _rst(directive: str, *indented: str) -> Iterator[str]:
    """Write a directive of reStructuredText, the language of docstrings, into Markdown."""
    yield from ("```{eval-rst}", directive, *(f"   {line}".rstrip() for line in indented), "```", "")


_PARTS: dict[str, Callable[[], Iterator[str]]] = {"model card": _card, "api": _door, "lab": _lab}
