"""The split file, its digest, and the lists of folds that others published."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from made_manifests import manifest, ravdess, savee, spoken_by, tess
from vocalics.errors import SplitError
from vocalics.lab.manifest import Manifest
from vocalics.lab.splits import Split, load_split, make_splits

SPLIT = Split(
    "speaker", 2, 6, 3, train=("a/1", "a/2"), validation=("b/1",), test=("c/1", "c/2"), notes=("told",)
)


class TestSplit:
    def test_the_digest_is_that_of_the_canonical_json(self):
        canonical = (
            '{"fold":2,"folds":6,"protocol":"speaker","seed":3,'
            '"test":["c/1","c/2"],"train":["a/1","a/2"],"validation":["b/1"]}'
        )
        assert SPLIT.digest == hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @pytest.mark.parametrize(
        "change",
        [
            {"protocol": "loso"},
            {"fold": 1},
            {"folds": 7},
            {"seed": 4},
            {"train": ("a/1",)},
            {"train": ("a/1", "a/3")},
            {"validation": ()},
            {"test": ("c/1", "c/2", "c/3")},
            {"validation": ("a/2",), "train": ("a/1", "b/1")},
        ],
    )
    def test_every_change_changes_the_digest(self, change):
        assert replace(SPLIT, **change).digest != SPLIT.digest

    def test_notes_and_the_order_of_ids_do_not_change_the_digest(self):
        assert replace(SPLIT, notes=(), test=("c/2", "c/1")).digest == SPLIT.digest

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"protocol": "by ear"}, "unknown protocol 'by ear'; known: speaker, loso, random"),
            ({"fold": 0}, "fold 0 of 6 does not exist"),
            ({"fold": 7}, "fold 7 of 6 does not exist"),
            ({"train": ("a/1", "a/1")}, "train part lists an utterance twice"),
        ],
    )
    def test_a_split_that_cannot_be_is_refused(self, change, sentence):
        with pytest.raises(SplitError, match=sentence):
            replace(SPLIT, **change)

    def test_processes_that_hash_differently_make_the_same_splits(self):
        """Sets of text iterate in an order that changes from process to process: nothing may hang on it."""
        program = (
            "from made_manifests import manifest, nemo, savee;"
            "from vocalics.lab.splits import make_splits;"
            "made = manifest(nemo() + savee());"
            "protocols = ('speaker', 'loso', 'random', 'cross-corpus');"
            "print([split.digest for protocol in protocols for split in make_splits(made, protocol)])"
        )
        path = os.pathsep.join(sys.path)
        answers = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(answers) == 1


class TestFile:
    def test_a_saved_split_loads_equal(self, tmp_path):
        SPLIT.save(tmp_path / "split.json")
        assert load_split(tmp_path / "split.json") == SPLIT

    def test_the_file_is_readable_json_with_its_digest(self, tmp_path):
        SPLIT.save(tmp_path / "split.json")
        content = json.loads((tmp_path / "split.json").read_text())
        assert content["digest"] == SPLIT.digest
        assert content["test"] == ["c/1", "c/2"]
        assert content["notes"] == ["told"]

    @pytest.mark.parametrize(
        "edit",
        [
            lambda content: content["train"].append(content["test"].pop()),
            lambda content: content["test"].pop(),
            lambda content: content.update(seed=4),
            lambda content: content.update(fold=1),
            lambda content: content.update(protocol="random"),
            lambda content: content.update(digest="0" * 64),
        ],
    )
    def test_an_edited_file_is_refused(self, tmp_path, edit):
        content = SPLIT.to_dict()
        edit(content)
        (tmp_path / "split.json").write_text(json.dumps(content))
        with pytest.raises(SplitError, match=r"split\.json was edited or damaged.*make the split again"):
            load_split(tmp_path / "split.json")

    @pytest.mark.parametrize("key", sorted(SPLIT.to_dict()))
    @pytest.mark.parametrize("value", [None, 1.5, {}, [1]])
    def test_a_value_of_another_type_is_refused(self, tmp_path, key, value):
        (tmp_path / "split.json").write_text(json.dumps(SPLIT.to_dict() | {key: value}))
        with pytest.raises(SplitError, match="is not a split file"):
            load_split(tmp_path / "split.json")

    @pytest.mark.parametrize("key", sorted(SPLIT.to_dict()))
    def test_a_missing_key_is_refused(self, tmp_path, key):
        content = SPLIT.to_dict()
        del content[key]
        (tmp_path / "split.json").write_text(json.dumps(content))
        with pytest.raises(SplitError, match="is not a split file"):
            load_split(tmp_path / "split.json")

    def test_a_newer_format_is_refused_with_the_remedy(self, tmp_path):
        (tmp_path / "split.json").write_text(json.dumps(SPLIT.to_dict() | {"format_version": 2}))
        with pytest.raises(SplitError, match=r"format version 2.*upgrade vocalics"):
            load_split(tmp_path / "split.json")

    @pytest.mark.parametrize("content", [b"", b'{"protocol": "spea', b"\xff\xfe\x00", b"RIFF"])
    def test_what_is_not_json_is_refused(self, tmp_path, content):
        (tmp_path / "split.json").write_bytes(content)
        with pytest.raises(SplitError, match="is not JSON, or cut short"):
            load_split(tmp_path / "split.json")

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(SplitError, match=r"nowhere\.json cannot be read"):
            load_split(tmp_path / "nowhere.json")


def stem(name: str) -> str:
    return name.partition("/")[2]


def json_lines(made: Manifest, names: tuple[str, ...]) -> str:
    """Lines as EmoBox writes them."""
    return "".join(
        json.dumps(
            {"key": u.id, "dataset": u.corpus, "wav": f"downloads/{u.id}.wav", "emo": "n", "channel": 1}
        )
        + "\n"
        for u in made.select(names)
    )


class TestOfficial:
    def test_json_lines_name_what_is_tested_and_the_rest_trains(self, tmp_path):
        made = manifest(savee())
        names = tuple(u.id for u in made if u.speaker == "JE")
        (tmp_path / "savee_test_fold_1.jsonl").write_text(json_lines(made, names))
        (split,) = make_splits(made, "official", official=tmp_path / "savee_test_fold_1.jsonl")
        assert split.test == names
        assert set(split.train + split.validation) == {u.id for u in made} - set(names)
        assert len({u.speaker for u in made.select(split.validation)}) == 1  # of three men, by speaker

    def test_a_folder_of_lists_makes_as_many_folds(self, tmp_path):
        made = manifest(savee())
        for k, speaker in enumerate(("JE", "KL", "DC", "JK"), start=1):
            (tmp_path / f"fold_{k}").mkdir()
            tested = tuple(u.id for u in made if u.speaker == speaker)
            rest = tuple(u.id for u in made if u.speaker != speaker)
            (tmp_path / f"fold_{k}/savee_test_fold_{k}.jsonl").write_text(json_lines(made, tested))
            (tmp_path / f"fold_{k}/savee_train_fold_{k}.jsonl").write_text(json_lines(made, rest))
        splits = make_splits(made, "official", official=tmp_path)
        assert [split.test for split in splits] == [split.test for split in make_splits(made)]

    def test_one_file_may_hold_the_folds_of_many_corpora(self, tmp_path):
        made = manifest(ravdess() + savee())
        by_speaker = make_splits(made)
        lists = {
            corpus: {
                f"fold_{split.fold}": [stem(name) for name in split.test if name.startswith(corpus)]
                for split in reversed(by_speaker)  # the order of keys means nothing
            }
            for corpus in made.corpora
        } | {"emodb": {"fold_1": ["03a02Nc"]}}  # a corpus that is not here
        (tmp_path / "folds.json").write_text(json.dumps({"source": "made", "test_ids": lists}))
        splits = make_splits(made, "official", official=tmp_path / "folds.json")
        assert [split.test for split in splits] == [split.test for split in by_speaker]
        assert [split.train for split in splits] == [split.train for split in by_speaker]

    def test_a_list_that_leaves_tested_speakers_in_training_is_noted(self, tmp_path):
        made = manifest(tess())
        names = tuple(u.id for u in made)[::4]
        (tmp_path / "test.jsonl").write_text(json_lines(made, names))
        (split,) = make_splits(made, "official", official=tmp_path / "test.jsonl")
        assert "the list leaves 2 of 2 tested speakers in training" in split.notes

    def test_listed_utterances_that_the_manifest_lacks_are_counted(self, tmp_path):
        made = manifest(savee())
        names = tuple(u.id for u in made if u.speaker == "JE")
        (tmp_path / "test.jsonl").write_text(json_lines(made, names))
        kept, _ = made.project(["happy", "sad", "angry"])  # a quarter, neutral, is gone
        (split,) = make_splits(kept, "official", official=tmp_path / "test.jsonl")
        assert split.notes[0] == "2 of 8 listed utterances are not in the manifest"

    def test_names_match_in_any_case(self, tmp_path):
        (tmp_path / "test.jsonl").write_text('{"dataset": "SAVEE", "wav": "downloads/je_000.WAV"}\n')
        (split,) = make_splits(manifest(savee()), "official", official=tmp_path / "test.jsonl")
        assert split.test == ("savee/JE_000",)

    def test_a_split_file_is_taken_as_it_is(self, tmp_path):
        made = manifest(savee())
        saved = make_splits(made, seed=5)[2]
        saved.save(tmp_path / "split.json")
        assert make_splits(made, "official", official=tmp_path / "split.json") == (saved,)

    def test_a_split_file_of_another_manifest_is_refused(self, tmp_path):
        make_splits(manifest(savee()))[0].save(tmp_path / "split.json")
        with pytest.raises(
            SplitError, match=r"32 utterances of .*split\.json are not in the manifest"
        ):  # all
            make_splits(manifest(tess()), "official", official=tmp_path / "split.json")

    def test_an_edited_split_file_is_refused(self, tmp_path):
        content = make_splits(manifest(savee()))[0].to_dict()
        content["train"].append(content["test"].pop())
        (tmp_path / "split.json").write_text(json.dumps(content))
        with pytest.raises(SplitError, match="edited or damaged"):
            make_splits(manifest(savee()), "official", official=tmp_path / "split.json")

    def test_a_name_that_two_corpora_have_needs_the_corpus(self, tmp_path):
        made = manifest([*spoken_by("calls", {"a": ""}), *spoken_by("podcasts", {"a": ""})])
        (tmp_path / "test.jsonl").write_text('{"wav": "a_000.wav"}\n')
        with pytest.raises(SplitError, match=r"lists 'a_000', and several.*add the key 'dataset'"):
            make_splits(made, "official", official=tmp_path / "test.jsonl")

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("savee_train_fold_1.jsonl", '{"wav": "JE_000.wav"}', "lists training utterances"),
            ("test.jsonl", '{"wav": "JE_000.wav"}\n{"wav"', "line 2 of .*is not JSON"),
            ("test.jsonl", '["JE_000.wav"]', "line 1 of .*does not name a file"),
            ("test.jsonl", '{"path": "JE_000.wav"}', "line 1 of .*does not name a file"),
            (
                "test.jsonl",
                '{"dataset": "emodb", "wav": "03a02Nc.wav"}',
                "nothing that .* lists is in the manifest",
            ),
            ("test.jsonl", "", "nothing that .* lists is in the manifest"),
            ("test.json", "[]", "is not a split file"),
            ("test.json", '{"test_ids": ["JE_000"]}', '"test_ids" of another shape'),
            ("test.json", '{"test_ids": {"savee": {"fold_1": [1]}}}', '"test_ids" of another shape'),
            ("test.json", '{"test_ids": {"savee": {"first": ["JE_000"]}}}', "number of a fold"),
            ("test.json", '{"test_ids": {"sav', "is not JSON"),
        ],
    )
    def test_a_list_that_cannot_be_used_is_refused_in_one_sentence(self, tmp_path, name, content, sentence):
        (tmp_path / name).write_text(content)
        with pytest.raises(SplitError, match=sentence):
            make_splits(manifest(savee()), "official", official=tmp_path / name)

    def test_a_list_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(SplitError, match=r"nowhere\.jsonl cannot be read"):
            make_splits(manifest(savee()), "official", official=tmp_path / "nowhere.jsonl")

    def test_a_folder_without_lists_is_refused(self, tmp_path):
        with pytest.raises(SplitError, match=r"holds no file \*_test_fold_\*\.jsonl"):
            make_splits(manifest(savee()), "official", official=tmp_path)
