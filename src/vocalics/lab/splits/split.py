"""The record of a split: three lists of utterance ids, and a digest that tells one split from another."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vocalics.errors import SplitError
from vocalics.files import write_atomically

#: What each protocol of evaluation means.
PROTOCOLS: dict[str, str] = {
    "speaker": "grouped folds: no speaker on two sides",
    "loso": "leave one speaker out",
    "random": "stratified by emotion, speakers on both sides",
    "cross-corpus": "train on some corpora, test on others, on the emotions they share",
    "official": "test utterances from a published list",
    "all": "everything trains, nothing is tested",
}

#: Raised when a change makes older readers misread a file.
FORMAT_VERSION = 1

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Which utterances train, which validate, which test.

    Attributes
    ----------
    protocol
        One of `PROTOCOLS`.
    fold, folds
        This is fold number `fold`, from 1 on, of `folds`.
    seed
        That it was made with.
    train, validation, test
        Utterance ids, sorted.
    notes
        What a reader must know, one sentence each. They are not part of the digest.

    Examples
    --------
    >>> split = Split("speaker", 1, 6, 0, train=("b/2", "b/1"), validation=(), test=("b/3",))
    >>> split.train
    ('b/1', 'b/2')
    >>> split.digest[:12]
    '45bfe2d36a04'
    """

    protocol: str
    fold: int
    folds: int
    seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise SplitError(f"unknown protocol '{self.protocol}'; known: {', '.join(PROTOCOLS)}.")
        if not 1 <= self.fold <= self.folds:
            raise SplitError(
                f"fold {self.fold} of {self.folds} does not exist; folds count from 1 to {self.folds}."
            )
        for part in _PARTS:
            ids = tuple(sorted(getattr(self, part)))
            if len(set(ids)) < len(ids):
                raise SplitError(f"the {part} part lists an utterance twice; list each once.")
            object.__setattr__(self, part, ids)
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def digest(self) -> str:
        """SHA-256 of everything but the notes, in hexadecimal: the same on every machine."""
        content = {"protocol": self.protocol, "fold": self.fold, "folds": self.folds, "seed": self.seed}
        parts = {part: list(getattr(self, part)) for part in _PARTS}
        canonical = json.dumps(content | parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds, keys in its order."""
        return {
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "fold": self.fold,
            "folds": self.folds,
            "seed": self.seed,
            "digest": self.digest,
            "notes": list(self.notes),
            **{part: list(getattr(self, part)) for part in _PARTS},
        }

    def save(self, path: str | Path) -> None:
        """Write the split as JSON, whole or not at all."""
        write_atomically(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")


def load_split(path: str | Path) -> Split:
    """Read a split that `Split.save` wrote.

    Raises
    ------
    SplitError
        When the file is not a split, or its lists are not those that its digest was made from.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SplitError(
            f"the split file {path} cannot be read: {error.strerror}; name a file that exists."
        ) from None
    except ValueError:
        raise SplitError(f"{path} is not JSON, or cut short; make the split again.") from None
    return split_from_dict(content, source=str(path))


def split_from_dict(content: Any, source: str) -> Split:
    """Read what `Split.to_dict` returned; `SplitError` names `source` when it was edited."""
    if not isinstance(content, dict) or not _has_the_types_of_a_split(content):
        raise SplitError(f"{source} is not a split file; a split file has the keys {', '.join(_TYPES)}.")
    if content["format_version"] != FORMAT_VERSION:
        raise SplitError(
            f"{source} has format version {content['format_version']}, this vocalics reads {FORMAT_VERSION}; "
            "upgrade vocalics or make the split again."
        )
    split = Split(
        protocol=content["protocol"],
        fold=content["fold"],
        folds=content["folds"],
        seed=content["seed"],
        notes=tuple(content["notes"]),
        **{part: tuple(content[part]) for part in _PARTS},
    )
    if split.digest != content["digest"]:
        raise SplitError(
            f"{source} was edited or damaged: the digest in it is not that of its content; "
            "restore the file or make the split again."
        )
    return split


_TYPES: dict[str, type] = {
    "format_version": int,
    "protocol": str,
    "fold": int,
    "folds": int,
    "seed": int,
    "digest": str,
    "notes": list,
    "train": list,
    "validation": list,
    "test": list,
}


def _has_the_types_of_a_split(content: dict[str, Any]) -> bool:
    typed = all(isinstance(content.get(key), kind) for key, kind in _TYPES.items())
    return typed and all(isinstance(text, str) for part in ("notes", *_PARTS) for text in content[part])
