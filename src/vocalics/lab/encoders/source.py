"""Where an encoder's files are: in a folder, or on the hub. Its weights are safetensors, and nothing else.

A checkpoint in another format is a pickle, or may hold one, so it is never opened.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from vocalics.errors import MissingExtraError, ModelError, RecipeError, TrainingError
from vocalics.files import write_atomically
from vocalics.lab.recipes.encoder_settings import EncoderSettings
from vocalics.recognition.hub import api, huggingface_hub_for, translated

#: What is fetched of a repository: what the encoder is, how its input is prepared, weights, and the licence.
_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_PREPARATION = ("preprocessor_config.json", "processor_config.json")
_FETCHED = [_CONFIG, *_PREPARATION, "model*.safetensors", _INDEX, "README.md"]

#: What checkpoints that are pickles are called.
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5"}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Provenance:
    """Which encoder it is; the run folder and the card keep it.

    Attributes
    ----------
    source
        As the recipe names it.
    revision
        The commit on the hub; None for a folder.
    digest
        SHA-256 of its settings and weights.
    licence
        As its page on the hub states it; None where it states none.
    """

    source: str
    revision: str | None
    digest: str
    licence: str | None

    def for_card(self) -> dict[str, Any]:
        """Return what others may know of it: of a folder its name, and not where it lay."""
        told = asdict(self)
        return told if self.revision else told | {"source": Path(self.source).name}

    def keep(self, run: Path) -> None:
        """Note in a run folder which encoder it is of.

        Raises
        ------
        TrainingError
            The run began with another one.
        """
        path = run / "encoder.json"
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["digest"] != self.digest:
            raise TrainingError(
                f"the encoder in '{self.source}' is no longer the one that {run} began with; name that one's "
                "revision (encoder.revision), give another folder with -o, or remove this one."
            )
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class EncoderFiles:
    """The files of an encoder on this disk.

    Attributes
    ----------
    folder
        Where they lie.
    config
        What the encoder is.
    preparation
        How its input is prepared; empty where nothing is said.
    provenance
        Which one it is.
    """

    folder: Path
    config: dict[str, Any]
    preparation: dict[str, Any]
    provenance: Provenance

    def read_weights(self) -> dict[str, Tensor]:
        """Read the weights by their names; `ModelError` where they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        weights: dict[str, Tensor] = {}
        for path in _weight_files(self.folder):
            try:
                weights |= load_file(path)
            except (OSError, SafetensorError) as error:
                reason = str(error).splitlines()[0]
                raise ModelError(
                    f"'{path}' is damaged or was cut short ({reason}); fetch it again."
                ) from None
        return weights


def find_encoder(settings: EncoderSettings) -> EncoderFiles:
    """Find the files of the encoder that a recipe names, fetching what is not here yet.

    Raises
    ------
    RecipeError
        The recipe names none.
    ModelError
        There is no such folder or repository, it holds no speech encoder, or none as safetensors; or the hub
        cannot be reached, and its cache has it not.
    MissingExtraError
        The extra is not installed.
    """
    if settings.source is None:
        raise RecipeError(
            "the recipe names no encoder; give one with --set encoder.source=FOLDER, or its id on the "
            "Hugging Face hub (docs/encoders.md lists some)."
        )
    require_extra()
    folder = Path(settings.source)
    commit = None
    if not folder.is_dir():
        folder = _fetched(settings.source, settings.revision)
        commit = folder.name  # the cache has a folder for each commit
    elif settings.revision is not None:
        raise RecipeError(
            f"encoder.revision is {settings.revision}, and '{folder}' is a folder, which has none; leave it "
            "out."
        )
    config = _json(folder / _CONFIG, settings.source)
    files = _weight_files(folder, settings.source)
    preparation: dict[str, Any] = {}
    for name in reversed(_PREPARATION):
        if (folder / name).is_file():
            found = _json(folder / name, settings.source)
            within = found.get("feature_extractor")
            preparation = within if isinstance(within, dict) else found
    prepared = [folder / name for name in _PREPARATION if (folder / name).is_file()]
    digest = _digest([folder / _CONFIG, *prepared, *files])
    return EncoderFiles(
        folder, config, preparation, Provenance(settings.source, commit, digest, _licence(folder))
    )


def require_extra() -> None:
    """Raise `MissingExtraError` where transformers is not installed."""
    missing = next((name for name in ("transformers", "safetensors") if find_spec(name) is None), None)
    if missing:
        raise MissingExtraError(
            f"a pretrained encoder needs {missing}, which is not installed: pip install 'vocalics[encoders]'"
        )


def _fetched(source: str, revision: str | None) -> Path:
    """Return the folder in the hub's cache that has a repository's files at a revision."""
    if not _HUB_ID.fullmatch(source):
        raise ModelError(
            f"there is no folder '{source}'; name one, or an id on the hub such as 'owner/name'."
        )
    hub = huggingface_hub_for("an encoder of the hub")
    offline = hub.errors.LocalEntryNotFoundError
    try:
        with translated(source, revision):
            try:
                found = api(hub).snapshot_download(source, revision=revision, allow_patterns=_FETCHED)
            except offline:
                raise ModelError(
                    f"the encoder '{source}' is neither a folder here nor in the hub's cache, and the hub "
                    "cannot be reached; connect once, or copy its files into a folder and name that "
                    "(--set encoder.source=FOLDER)."
                ) from None
    except ModelError as error:
        if "no repository" in str(error):
            raise ModelError(f"there is no folder '{source}', and {error}") from None
        raise
    return Path(found)


def _weight_files(folder: Path, source: str = "") -> list[Path]:
    """List the files of weights; `ModelError` where there are none as safetensors."""
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if (folder / _INDEX).is_file():
        weight_map = _json(folder / _INDEX, source).get("weight_map")
        places = weight_map.values() if isinstance(weight_map, dict) else ()
        names = sorted({str(name) for name in places})
        if names and all(re.fullmatch(r"[\w.-]+\.safetensors", name) for name in names):
            missing = [name for name in names if not (folder / name).is_file()]
            if missing:
                raise ModelError(f"the encoder in '{source}' lacks {missing[0]}; fetch it again.")
            return [folder / name for name in names]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    found = f", only {', '.join(pickles)}" if pickles else ""
    raise ModelError(
        f"the encoder '{source}' has no weights as {_WEIGHTS}{found}; other formats can run any code when "
        "they are opened, so they never are. Take a revision that has them (encoder.revision), or convert it "
        "where you trust it (docs/encoders.md)."
    )


def _json(path: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"'{source}' holds no {path.name}, so it is no encoder of the Hugging Face format; name the "
            "folder that has it."
        ) from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"'{path}' cannot be read ({reason}); fetch it again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"'{path}' cannot be read (it holds no settings); fetch it again.")
    return content


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _licence(folder: Path) -> str | None:
    """Read the licence out of the head of a repository's page."""
    page = folder / "README.md"
    if not page.is_file():
        return None
    head = re.match(r"---\s*\n(.*?)\n---", page.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:[ \t]*([\w.+-]+)[ \t]*$", head[1], re.MULTILINE) if head else None
    return found[1] if found else None
