"""What tests share: a toy model, a tiny training, clips with speech, the command line, and real corpora."""

import io
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

# A shell's background, or nohup, lets no process hear these; the tests send them.
for _wish, _usual in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    if hasattr(signal, _wish) and signal.getsignal(getattr(signal, _wish)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _wish), _usual)


@dataclass(frozen=True)
class Run:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_main():
    """Streamlit's test runner leaves a page in the place of ``__main__``, from which processes start anew."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """The toy model's file."""
    pytest.importorskip("onnx", reason="the toy model is written with onnx")
    import toy_model

    return toy_model.write(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture(scope="session")
def model(toy):
    """The toy model, open."""
    from vocalics.recognition.model import Model

    return Model.load(toy)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A finished training on made sounds, a `tiny_corpus.Tiny`; read it, and never write into it."""
    pytest.importorskip("torch", reason="models are trained with PyTorch")
    import tiny_corpus

    return tiny_corpus.train(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def as_tiny_was_trained(tiny, monkeypatch):
    """Train with the decoded sounds of `tiny`, by one thread."""
    import tiny_corpus

    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    with tiny_corpus.one_thread():
        yield


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """The folder of a tiny pretrained encoder, a wav2vec 2.0 with weights at random."""
    pytest.importorskip("transformers", reason="encoders are those of transformers")
    import made_encoders

    return made_encoders.write(tmp_path_factory.mktemp("tiny-encoder"), "wav2vec2")


@pytest.fixture(scope="session")
def clips() -> list[Path]:
    """The examples in which somebody speaks: many codecs, rates and lengths, mono and stereo."""
    from vocalics.audio import SUFFIXES

    return sorted(path for path in EXAMPLES.iterdir() if path.suffix in SUFFIXES and path.stem != "no_speech")


@pytest.fixture(scope="session")
def clip() -> Path:
    """One example in which somebody speaks: mono, 16 kHz, 3.3 s."""
    return EXAMPLES / "woman.wav"


@pytest.fixture(scope="session")
def no_speech() -> Path:
    """The example in which nobody speaks."""
    return EXAMPLES / "no_speech.wav"


@pytest.fixture
def data() -> Path:
    """The folder of real corpora."""
    folder = os.environ.get("VOCALICS_DATA")
    if not folder:
        pytest.skip("VOCALICS_DATA names no folder of corpora")
    return Path(folder)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hugging Face hub on this machine, a `hub_server.Hub`, and an empty cache; nobody is logged in."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="it comes with the extra 'hub'")
    import hub_server
    from vocalics.recognition.hub import fetch

    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the hub's own storage is not played here
    with hub_server.serve() as served:
        hub_server.point_at(served.url, monkeypatch)
        fetch.cache_clear()
        yield served
    fetch.cache_clear()


@pytest.fixture
def plug_in(monkeypatch):
    """Put a sound card into the machine: an object that stands for the module `sounddevice`."""

    def insert(card):
        monkeypatch.setitem(sys.modules, "sounddevice", card)
        return card

    return insert


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Run]:
    """Run the command line in this process, as ``command("predict", ..., stdin=b"")``."""
    from vocalics.cli import main

    for variable in ("VOCALICS_DEBUG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return run
