"""A model file onto the Hugging Face hub, with a page about it made from its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vocalics.errors import ModelError
from vocalics.recognition.external_weights import external_files
from vocalics.recognition.hub import HubName, api, digest_of, huggingface_hub_for, translated
from vocalics.recognition.hub_page import MADE_HERE, repository_page
from vocalics.recognition.model import Model


@dataclass(frozen=True)
class Pushed:
    """What lies on the hub now.

    Attributes
    ----------
    name
        By which the model can be opened: ``hf://owner/name/file.onnx``.
    url
        Of the commit.
    commit
        Its digest, which names this very model: ``hf://owner/name@COMMIT``.
    files
        What was pushed, by name in the repository.
    kept_page
        Whether the repository's README was written by somebody, and stays.
    """

    name: str
    url: str
    commit: str
    files: tuple[str, ...]
    kept_page: bool


def push(
    model: str | Path | None, target: str, *, private: bool = False, message: str | None = None
) -> Pushed:
    """Put a model file into a repository on the hub, which is made where there is none.

    Its README is made from the model's card, unless somebody wrote one there.

    Parameters
    ----------
    model
        As of `Model.load`.
    target
        ``hf://owner/name``, with ``@branch`` for a branch that is there, and ``/FILE.onnx`` to call the model
        another name there.
    private
        Make the repository so that only its owner sees it; one that is there stays what it is.
    message
        Of the commit.

    Raises
    ------
    UsageError
        The target is no name on the hub.
    ModelError
        The model cannot be opened, the hub does not let us write there or cannot be reached, or what lies
        there afterwards is another file.
    MissingExtraError
        huggingface_hub is not installed.
    """
    name = HubName.parse(target)
    hub = huggingface_hub_for("pushing a model")
    opened = Model.load(model)
    sent = _files(opened, name)
    with translated(name.repository, name.revision):
        server = api(hub)
        server.create_repo(name.repository, private=private or None, exist_ok=True)
        kept_page = _has_own_page(hub, server, name)
        operations = [hub.CommitOperationAdd(file, str(path)) for file, path in sent.items()]
        if not kept_page:
            page = repository_page(hub, opened.card, name, sent)
            operations.append(hub.CommitOperationAdd("README.md", page.encode()))
        commit = server.create_commit(
            name.repository,
            operations,
            commit_message=message or f"{opened.card.name}, by vocalics",
            revision=name.revision,
        )
        there = server.get_paths_info(name.repository, list(sent), revision=commit.oid)
    _require_same(name, sent, there)
    file = next(iter(sent))
    return Pushed(
        str(HubName(name.repository, name.revision, file)),
        str(commit.commit_url),
        str(commit.oid),
        tuple(sent) if kept_page else (*sent, "README.md"),
        kept_page,
    )


def _files(opened: Model, name: HubName) -> dict[str, Path]:
    """Say which files go where: the model, then weights beside it, whose names stand in the graph."""
    path = opened.path
    file = name.file or path.name
    folder = file.rpartition("/")[0]
    beside = external_files(path.read_bytes(), path)
    return {file: path} | {f"{folder}/{one}" if folder else one: path.with_name(one) for one in beside}


def _has_own_page(hub: Any, server: Any, name: HubName) -> bool:
    """Tell whether somebody wrote the repository's README; ours says what it is made from."""
    try:
        page = server.hf_hub_download(name.repository, "README.md", revision=name.revision)
    except hub.errors.EntryNotFoundError:
        return False
    return MADE_HERE not in Path(page).read_text(encoding="utf-8", errors="replace")


def _require_same(name: HubName, sent: dict[str, Path], there: list[Any]) -> None:
    """Raise `ModelError` where the hub has another file than the one that was sent."""
    found = {one.path: one.lfs.sha256 if one.lfs else one.blob_id for one in there}
    for file, path in sent.items():
        digest = found.get(file, "")
        if digest != digest_of(path, digest):
            raise ModelError(
                f"{file} of {name.repository} on the hub is not the file that was sent: its digest is "
                f"'{digest[:12]}'; push it again."
            )
