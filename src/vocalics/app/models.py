"""Which models there are to choose from: of the installation, the command line and the session."""

import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from vocalics.app.settings import Settings
from vocalics.app.take import Sound
from vocalics.errors import ModelError
from vocalics.recognition.model import Model
from vocalics.recognition.model_file import list_models, locate

#: Where the session keeps its own models: those that were uploaded, and those that know a voice.
_OWN = "own models"

#: Width of the widget where it stands alone, pixels.
WIDTH_PX = 420

#: Which model answers, on all pages but where two are compared.
CHOSEN = "model"


@dataclass(frozen=True, eq=False)
class Choice:
    """A model to choose.

    Attributes
    ----------
    label
        What people read; no two are the same.
    key
        Tells its answers from those of another model.
    model
        The model, open.
    """

    label: str
    key: Hashable
    model: Model


def list_choices(settings: Settings) -> list[Choice]:
    """List the models: those of the command line, those of the installation, those of this session."""
    choices: dict[str, Choice] = {}
    paths = dict.fromkeys([*map(locate, settings.models), *list_models().values()])
    for path in paths:
        key = (str(path), path.stat().st_mtime_ns)
        model = _opened(*key)
        label = model.name if model.name not in choices else f"{model.name} ({path.name})"
        choices[label] = Choice(label, key, model)
    choices |= st.session_state.get(_OWN, {})
    if not choices:
        raise ModelError(
            "no model is bundled with this installation; start the page with one: vocalics app --model "
            "FILE.onnx."
        )
    return list(choices.values())


def choose(
    settings: Settings, label: str = "Model", key: str = CHOSEN, index: int = 0, *, adapted: bool = True
) -> Choice:
    """Let people choose a model where there is a choice; the session remembers it.

    Parameters
    ----------
    settings
        Of the page.
    label
        Over the widget.
    key
        What the choice is for: widgets of one key show the same.
    index
        Which one is chosen at first.
    adapted
        Whether models that know a voice are among them.
    """
    choices = {
        choice.label: choice for choice in list_choices(settings) if adapted or not choice.model.adapted_clips
    }
    labels = list(choices)
    if len(labels) == 1:
        return choices[labels[0]]
    chosen = st.selectbox(
        label,
        labels,
        index=min(index, len(labels) - 1),
        key=key,
        persist_state="session",
        width=WIDTH_PX,
    )
    return choices[chosen]


def keep(choice: Choice, *, choose: bool = False) -> None:
    """Offer a model in this session; one of the same label goes. It may become the one that is chosen."""
    st.session_state.setdefault(_OWN, {})[choice.label] = choice
    if choose:
        st.session_state[CHOSEN] = choice.label


def open_uploaded(sound: Sound) -> Model:
    """Open a model file that was uploaded; errors as of `Model.load`, with the name that people know."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model").with_suffix(Path(sound.name).suffix)
        path.write_bytes(sound.data)
        try:
            return Model.load(path)
        except ModelError as error:
            raise ModelError(str(error).replace(str(path), sound.name)) from None


@st.cache_resource(show_spinner="Opening the model")
def _opened(path: str, changed_ns: int) -> Model:
    """Open a model file once for everybody; `changed_ns` tells a new file at the old place."""
    return Model.load(path)
