"""Folds that others published: lists of test utterances by file name, or a split file of this project.

Files that are read:

- JSON lines as EmoBox [1]_ has them, one object an utterance:
  ``{"dataset": "savee", "wav": "downloads/savee/JE_n23.wav", ...}``;
- a folder with such files, ``*_test_fold_1.jsonl``, ``*_test_fold_2.jsonl`` and so on, at any depth;
- one JSON file of several corpora, ``{"test_ids": {"savee": {"fold_1": ["JE_n23", ...], "fold_2": [...]}}}``;
- a split file that `Split.save` wrote.

Utterances are found by corpus and by file name without suffix, in any case.

.. [1] https://github.com/emo-box/EmoBox, folder ``data``.
"""

import json
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from vocalics.errors import SplitError
from vocalics.lab.manifest import Manifest
from vocalics.lab.splits.split import Split, split_from_dict

#: Number of a fold -> (corpus or "", file name without suffix) of every utterance that it tests.
TestLists = dict[int, list[tuple[str, str]]]


def read_official(path: str | Path) -> Split | TestLists:
    """Read a published split, whichever of the known kinds of file it is in."""
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob("*_test_fold_*.jsonl"))
        if not files:
            raise SplitError(
                f"the folder {path} holds no file *_test_fold_*.jsonl; name a folder of EmoBox's lists."
            )
        lists: TestLists = defaultdict(list)
        for file in files:
            lists[_fold_number(file.stem, file)] += _read_json_lines(file)
        return dict(lists)
    if path.suffix == ".jsonl":
        if "_train_" in path.name:
            raise SplitError(
                f"{path} lists training utterances; name the list of the test utterances, *_test_*.jsonl."
            )
        return {1: _read_json_lines(path)}
    return _read_json(path)


def match_utterances(lists: TestLists, manifest: Manifest, source: str | Path) -> list[tuple[set[str], int]]:
    """Find the listed utterances: for each fold with some in the manifest, their ids and how many it lacks.

    Lists of corpora that the manifest does not hold are passed over. Others may be missing in part, for
    example when the manifest was projected to fewer emotions.
    """
    by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
    for utterance in manifest:
        stem = utterance.id.partition("/")[2].casefold()
        by_name[utterance.corpus.casefold(), stem].append(utterance.id)
        by_name["", stem].append(utterance.id)
    here = {"", *(corpus.casefold() for corpus in manifest.corpora)}
    matched = []
    for _, names in sorted(lists.items()):
        keys = {(corpus.casefold(), stem.casefold()) for corpus, stem in names if corpus.casefold() in here}
        ambiguous = [stem for corpus, stem in sorted(keys) if len(by_name[corpus, stem]) > 1]
        if ambiguous:
            raise SplitError(
                f"{source} lists '{ambiguous[0]}', and several utterances of the manifest have that name; "
                "add the key 'dataset' to its lines, or filter the manifest."
            )
        found = {ids[0] for key in keys if (ids := by_name[key])}
        if found:
            matched.append((found, len(keys) - len(found)))
    if not matched:
        raise SplitError(
            f"nothing that {source} lists is in the manifest, which holds {', '.join(manifest.corpora)}; "
            "scan the corpus that the list is of."
        )
    return matched


def _read_json(path: Path) -> Split | TestLists:
    content = _parse(_text(path), str(path))
    if not isinstance(content, dict) or "test_ids" not in content:
        return split_from_dict(content, source=str(path))
    lists: TestLists = defaultdict(list)
    try:
        for corpus, folds in content["test_ids"].items():
            for name, stems in folds.items():
                lists[_fold_number(name, path)] += [(corpus, PurePosixPath(stem).stem) for stem in stems]
    except (AttributeError, TypeError):
        raise SplitError(
            f'{path} has "test_ids" of another shape; give {{corpus: {{"fold_1": [file name, ...]}}}}.'
        ) from None
    return dict(lists)


def _read_json_lines(path: Path) -> list[tuple[str, str]]:
    names = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            entry = _parse(line, f"line {number} of {path}")
            wav = entry.get("wav") if isinstance(entry, dict) else None
            if not isinstance(wav, str):
                raise SplitError(
                    f'line {number} of {path} does not name a file; give {{"dataset": ..., "wav": ...}}.'
                )
            names.append((str(entry.get("dataset", "")), PurePosixPath(wav).stem))
    return names


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SplitError(
            f"{path} cannot be read: {reason}; name a list of test utterances or a split file."
        ) from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise SplitError(
            f"{where} is not JSON, or cut short; name a list of test utterances or a split file."
        ) from None


def _fold_number(name: str, source: Path) -> int:
    match = re.search(r"(\d+)$", name)
    if match is None:
        raise SplitError(
            f"'{name}' in {source} does not end in the number of a fold; give names like 'fold_1'."
        )
    return int(match[1])
