"""Emotion in speech: calibrated probabilities, from one model file, for recordings of any kind.

>>> import vocalics
>>> model = vocalics.load()  # doctest: +SKIP
>>> model.predict("call.wav").emotion  # doctest: +SKIP
'angry'

What stands here is the public door. Its names are imported when they are first used, so that `import
vocalics` costs nothing; `vocalics.lab` (training, evaluation) is a wing of its own and needs the extra
``vocalics[lab]``.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# From 1.29 on ONNX Runtime reports the models it opens to Microsoft, and huggingface_hub tells its hub what
# else is installed; these, set before their imports, stop it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from vocalics import emotions
    from vocalics.audio import Waveform
    from vocalics.card import ModelCard
    from vocalics.errors import AudioError, ModelError, UsageError, VocalicsError
    from vocalics.recognition.model import Model, Outputs, load, predict
    from vocalics.recognition.model_file import list_models
    from vocalics.recognition.prediction import Prediction, Segment, SpeakerSummary, Timeline
    from vocalics.recognition.rttm import Turn, read_rttm
    from vocalics.recognition.stream import Stream
    from vocalics.recognition.timeline import timeline

    __version__: str

__all__ = [
    "AudioError",
    "Model",
    "ModelCard",
    "ModelError",
    "Outputs",
    "Prediction",
    "Segment",
    "SpeakerSummary",
    "Stream",
    "Timeline",
    "Turn",
    "UsageError",
    "VocalicsError",
    "Waveform",
    "__version__",
    "emotions",
    "list_models",
    "load",
    "predict",
    "read_rttm",
    "timeline",
]

#: The module that each public name lives in.
_HOMES = {
    "AudioError": "vocalics.errors",
    "Model": "vocalics.recognition.model",
    "ModelCard": "vocalics.card",
    "ModelError": "vocalics.errors",
    "Outputs": "vocalics.recognition.model",
    "Prediction": "vocalics.recognition.prediction",
    "Segment": "vocalics.recognition.prediction",
    "SpeakerSummary": "vocalics.recognition.prediction",
    "Stream": "vocalics.recognition.stream",
    "Timeline": "vocalics.recognition.prediction",
    "Turn": "vocalics.recognition.rttm",
    "UsageError": "vocalics.errors",
    "VocalicsError": "vocalics.errors",
    "Waveform": "vocalics.audio",
    "list_models": "vocalics.recognition.model_file",
    "load": "vocalics.recognition.model",
    "predict": "vocalics.recognition.model",
    "read_rttm": "vocalics.recognition.rttm",
    "timeline": "vocalics.recognition.timeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562) and keep it."""
    value: Any
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name == "emotions":
        value = import_module("vocalics.emotions")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("vocalics")
    else:
        raise AttributeError(f"module 'vocalics' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
