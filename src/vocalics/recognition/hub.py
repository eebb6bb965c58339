"""Model files on the Hugging Face hub, by names such as ``hf://owner/name@revision/file.onnx``.

Files come through the package `huggingface_hub` and lie in its cache, from where they are opened without a
network too. What is opened has the digest that the hub knows it by.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from vocalics.errors import MissingExtraError, ModelError, UsageError
from vocalics.recognition.external_weights import external_files

#: How names on the hub begin.
PREFIX = "hf://"

_NAME = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<file>.*))?")

_LOG_IN = "log in with 'hf auth login', or set HF_TOKEN"

#: Bytes that are hashed at a time.
_PIECE = 2**20


@dataclass(frozen=True)
class HubName:
    """A repository on the hub, and what of it is meant.

    Attributes
    ----------
    repository
        ``owner/name``.
    revision
        A branch, a tag or a commit; None for the newest. A slash in it is written ``%2F`` in a name.
    file
        The model file in it; None for the only one.

    Examples
    --------
    >>> HubName.parse("hf://anna/calls@v1/small.onnx")
    HubName(repository='anna/calls', revision='v1', file='small.onnx')
    >>> str(HubName("anna/calls", "refs/pr/3"))
    'hf://anna/calls@refs%2Fpr%2F3'
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubName":
        """Read a name; `UsageError` says how one is written."""
        found = _NAME.fullmatch(text)
        file = found["file"] if found else None
        if found is None or (file is not None and not file.endswith(".onnx")):
            raise UsageError(
                f"'{text}' names no model on the hub; write hf://OWNER/NAME, then @REVISION or /FILE.onnx "
                "where they are needed."
            )
        revision = found["revision"]
        return cls(found["repository"], unquote(revision) if revision else None, file)

    def __str__(self) -> str:
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return f"{PREFIX}{self.repository}{revision}{f'/{self.file}' if self.file else ''}"


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one revision.

    Attributes
    ----------
    digests
        By file: its SHA-256, or of a small file git's SHA-1.
    sizes
        By file, bytes.
    get
        Returns where the hub's cache has a file, once it is there.
    """

    digests: dict[str, str]
    sizes: dict[str, int]
    get: Callable[[str], Path]

    @property
    def models(self) -> list[str]:
        """Model files, sorted."""
        return sorted(name for name in self.digests if name.endswith(".onnx"))


@cache  # while a process runs, a name stays what it was when it was first asked for
def fetch(text: str) -> Path:
    """Return the file of a name on the hub: from there, or without a network from the hub's cache.

    Weights that the model keeps in a file beside it are fetched too.

    Parameters
    ----------
    text
        As `HubName.parse` reads it.

    Raises
    ------
    UsageError
        It is no such name, or the repository holds several models and it says not which.
    ModelError
        There is no such repository, revision or file; the hub cannot be reached and its cache has none; or
        what came is not what the hub has.
    MissingExtraError
        huggingface_hub is not installed.
    """
    name = HubName.parse(text)
    listing = look_up(name)
    wanted = name.file or _only_model(name, listing)
    if wanted not in listing.digests:
        known = ", ".join(listing.models) or "no .onnx file at all"
        raise ModelError(f"{name.repository} on the hub has no file '{wanted}'; it has {known}.")
    path = _checked(listing, wanted)
    folder = wanted.rpartition("/")[0]
    for weights in external_files(path.read_bytes(), path):
        beside = f"{folder}/{weights}" if folder else weights
        if beside not in listing.digests:
            raise ModelError(
                f"{wanted} of {name.repository} keeps its weights in '{weights}', which the repository "
                "lacks; tell its owner to push the model again."
            )
        _checked(listing, beside)
    return path


def look_up(name: HubName) -> Listing:
    """List the files of a repository; without a network those that the hub's cache has.

    Raises
    ------
    ModelError, MissingExtraError
        As of `fetch`.
    """
    hub = huggingface_hub_for(f"opening '{name}'")
    server = api(hub)
    with translated(name.repository, name.revision):
        try:
            info = server.model_info(name.repository, revision=name.revision, files_metadata=True)
        except Exception as error:
            if not is_unreachable(error):
                raise
            return _cached_listing(hub, name, error)
    files = {found.rfilename: found for found in info.siblings or ()}

    def get(file: str) -> Path:
        with translated(name.repository, name.revision):
            # By the revision's name, so that the cache knows it by that name without a network.
            return Path(server.hf_hub_download(name.repository, file, revision=name.revision))

    digests = {file: found.lfs.sha256 if found.lfs else found.blob_id or "" for file, found in files.items()}
    return Listing(digests, {file: found.size or 0 for file, found in files.items()}, get)


def huggingface_hub_for(purpose: str) -> Any:
    """Import huggingface_hub.

    Parameters
    ----------
    purpose
        What needs it, as errors begin: ``"pushing a model"``.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError(
            f"{purpose} needs huggingface_hub, which is not installed: pip install 'vocalics[hub]'"
        ) from None
    return huggingface_hub


def api(hub: Any) -> Any:
    """Return the hub's interface, which is told who asks."""
    return hub.HfApi(library_name="vocalics", library_version=version("vocalics"))


@contextmanager
def translated(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turn what huggingface_hub raises within a block into one sentence.

    Raises
    ------
    ModelError
        In the place of any error of the hub.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        sentence = _sentence(error, repository, revision)
        if sentence is None:
            raise
        raise ModelError(sentence) from None


def is_unreachable(error: BaseException) -> bool:
    """Tell whether an error of huggingface_hub means that the hub cannot be asked now."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return bool(error.response.status_code >= 500)
    # What the HTTP client raises (another package with each major version), and being offline by choice.
    client_error = errors.HfHubHTTPError.__bases__[0]
    return isinstance(error, (client_error, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError))


def _sentence(error: BaseException, repository: str, revision: str | None) -> str | None:
    """Say what an error of huggingface_hub means for somebody who named a repository; None of others."""
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return f"{repository} on the hub is given out on terms; accept them on its page, then {_LOG_IN}."
        case errors.RepositoryNotFoundError():
            return (
                f"there is no repository {repository} on the hub that you may read; mind the spelling, and "
                f"for a private one {_LOG_IN}."
            )
        case errors.RevisionNotFoundError():
            known = "give a branch, tag or commit of it"
            return f"{repository} on the hub has no revision '{revision}'; {known}."
        case errors.LocalTokenNotFoundError():
            return f"the hub lets nobody write to {repository} without a token; {_LOG_IN}."
        case errors.HFValidationError():
            return f"{repository} cannot be a repository on the hub: {_first_line(error)}."
    if is_unreachable(error):
        return f"the hub cannot be reached for {repository} ({_first_line(error)}); connect, and try again."
    if isinstance(error, errors.HfHubHTTPError):
        if error.response.status_code in (401, 403):
            return f"the hub does not let you write to {repository}; {_LOG_IN}, with a token that may."
        return f"the hub refused what was asked of {repository}: {_first_line(error)}."
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # "while uploading"
        return _sentence(error.__cause__, repository, revision)
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def digest_of(path: Path, like: str = "") -> str:
    """Digest of a file: SHA-256, or git's SHA-1, as the hub gives of small files, where `like` is one."""
    of_git = len(like) == 40
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode()) if of_git else hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _only_model(name: HubName, listing: Listing) -> str:
    if len(listing.models) == 1:
        return listing.models[0]
    if not listing.models:
        raise ModelError(f"{name.repository} on the hub holds no model: it has no .onnx file.")
    raise UsageError(
        f"{name.repository} on the hub holds {len(listing.models)} models; say which: "
        f"{', '.join(f'{name}/{file}' for file in listing.models)}."
    )


def _checked(listing: Listing, file: str) -> Path:
    """Return where a file lies, once its content was found to be what the hub has."""
    path, expected = listing.get(file), listing.digests[file]
    if expected and (found := digest_of(path, expected)) != expected:
        raise ModelError(
            f"{path} is not the file that the hub has: its digest is {found[:12]}..., there it is "
            f"{expected[:12]}...; remove {path.resolve()}, and load it again."
        )
    return path


def _cached_listing(hub: Any, name: HubName, error: Exception) -> Listing:
    """List what the hub's cache has of a revision; the files there are named by their digests."""
    wanted, revisions = name.revision or "main", set()
    with suppress(hub.errors.CacheNotFound):
        for repository in hub.scan_cache_dir(hub.constants.HF_HUB_CACHE).repos:
            if (repository.repo_id, repository.repo_type) == (name.repository, "model"):
                revisions = {one for one in repository.revisions if wanted in {*one.refs, one.commit_hash}}
    if not revisions:
        raise ModelError(
            f"the hub cannot be reached ({_first_line(error)}), and its cache has no '{name}'; connect once, "
            "or name a model file by its path."
        )
    revision = revisions.pop()
    found = {
        Path(one.file_path).relative_to(revision.snapshot_path).as_posix(): one for one in revision.files
    }
    return Listing(
        {file: _digest_in_cache(Path(one.file_path)) for file, one in found.items()},
        {file: one.size_on_disk for file, one in found.items()},
        lambda file: Path(found[file].file_path),
    )


def _digest_in_cache(path: Path) -> str:
    """Return the digest that the hub's cache knows a file by; empty where the system has no links."""
    blob = path.readlink().name if path.is_symlink() else ""
    return blob if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob) else ""
