"""Pages of the app without a browser: what Streamlit would draw, and what it would let people download."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

for name in ("streamlit", "plotly"):
    pytest.importorskip(name, reason="the pages come with the extra 'app'")

import streamlit  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402, only where it is installed

from vocalics.app.take import Sound  # noqa: E402

#: Seconds; a page takes one, but a machine may be busy.
TIMEOUT_S = 120

#: Where the app's own examples lie.
EXAMPLES = Path(__file__).parents[1] / "src/vocalics/app/examples"


def note_downloads(patch: pytest.MonkeyPatch) -> dict[str, str | bytes]:
    """What the pages offer for download from now on, by the file's name, made as a click would make it."""
    offered = {}
    draw = streamlit.download_button

    def note(label: str, data: Any, file_name: str, **rest: Any) -> bool:
        offered[file_name] = data() if callable(data) else data
        return draw(label, data, file_name, **rest)

    patch.setattr(streamlit, "download_button", note)
    return offered


def visit(*pages: str, models: tuple[Path, ...] = (), folders: bool = True) -> AppTest:
    """Open pages below one another in one session, as if somebody went from one to the next."""

    def script(pages: tuple[str, ...], models: tuple[str, ...], folders: bool) -> None:
        from importlib import import_module

        from vocalics.app.main import _draw_or_tell
        from vocalics.app.settings import Settings

        for page in pages:
            _draw_or_tell(import_module(f"vocalics.app.{page}").page, Settings(models, folders))

    given = {"pages": pages, "models": tuple(map(str, models)), "folders": folders}
    return calm(AppTest.from_function(script, default_timeout=TIMEOUT_S, kwargs=given).run())


def calm(at: AppTest) -> AppTest:
    """Return the page, on which nothing has gone wrong that is a fault."""
    assert [one.value for one in at.exception] == []
    assert [one.value for one in at.error if "should not have" in one.value] == []
    return at


def upload(at: AppTest, *files: Path | tuple[str, bytes], where: int = 0) -> AppTest:
    """Open files in one of the page's uploaders."""
    named = [(one.name, one.read_bytes()) if isinstance(one, Path) else one for one in files]
    given = [(name, data, "application/octet-stream") for name, data in named]
    uploader = at.file_uploader[where]
    return calm(uploader.set_value(given if uploader.accept_multiple_files else given[0]).run())


def pick(at: AppTest, label: str) -> AppTest:
    """Press the pill, or the part of a segmented control, with this label."""
    (group,) = [one for one in at.button_group if label in one.options]
    return calm(group.set_value(label).run())


def words_of(at: AppTest) -> str:
    """Return all that is written on the page, in one string."""
    kinds = (at.title, at.subheader, at.markdown, at.caption, at.info, at.warning, at.error, at.success)
    written = [one.value for kind in kinds for one in kind]
    return "\n".join([*written, *(one.proto.body for one in at.get("html"))])


def frames(at: AppTest) -> list[str]:
    """Return the pages that are embedded."""
    return [one.proto.srcdoc for one in at.get("iframe")]


def figure(at: AppTest, key: str) -> dict[str, Any]:
    """Return the one figure whose key begins so, as Plotly has it."""
    (found,) = [one for one in at.get("plotly_chart") if one.key.startswith(key)]
    return json.loads(found.proto.spec)


def chart(at: AppTest, key: str, place: int = 0) -> dict[str, float | None]:
    """Return the bars of a figure, as `figure` finds it: their lengths by name."""
    bars = figure(at, key)["data"][place]
    return dict(zip(bars["y"], bars["x"], strict=True))


def button(at: AppTest, label: str) -> Any:
    """Return the one button with this label."""
    (found,) = [one for one in at.button if one.label == label]
    return found


def press(at: AppTest, label: str) -> AppTest:
    """Press the one button with this label."""
    return calm(button(at, label).click().run())


def sound(name: str, data: bytes | None = None) -> Sound:
    """An example as the pages hand it on, or bytes under a name."""
    return Sound(name, (EXAMPLES / name).read_bytes() if data is None else data)


def wav(samples: np.ndarray, sample_rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    """Samples as a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype=subtype)
    return file.getvalue()
