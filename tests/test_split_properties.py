"""What holds of every split, whatever the manifest: hypothesis looks for one where it does not."""

from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_manifests import manifests
from vocalics.errors import SplitError
from vocalics.lab.audit import audit
from vocalics.lab.manifest import Manifest
from vocalics.lab.splits import Split, load_split, make_splits

TESTING_ONCE = ("speaker", "loso", "random")

#: Half of hypothesis's usual number of examples a test, each as long as it takes on a busy machine.
thoroughly = settings(max_examples=50, deadline=None)

seeds = st.integers(0, 3)


def sides(split: Split) -> list[set[str]]:
    return [set(split.train), set(split.validation), set(split.test)]


def across_corpora(manifest: Manifest) -> tuple[Split, ...]:
    """Splits across corpora; none where the manifest has one corpus, or corpora without a common emotion."""
    try:
        return make_splits(manifest, "cross-corpus")
    except SplitError:
        return ()


@pytest.mark.parametrize("protocol", TESTING_ONCE)
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_every_utterance_is_tested_once(protocol, manifest, seed):
    splits = make_splits(manifest, protocol, seed=seed)
    tested = Counter(name for split in splits for name in split.test)
    assert tested == Counter(u.id for u in manifest)
    assert [(split.fold, split.folds) for split in splits] == [
        (k, len(splits)) for k in range(1, len(splits) + 1)
    ]


@pytest.mark.parametrize("protocol", ["speaker", "loso"])
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_no_speaker_crosses_a_split(protocol, manifest, seed):
    speaker_of = {u.id: (u.corpus, u.speaker) for u in manifest}
    for split in make_splits(manifest, protocol, seed=seed):
        train, validation, test = ({speaker_of[name] for name in side} for side in sides(split))
        assert not test & (train | validation)
        assert not train & validation or any("taken by utterance" in note for note in split.notes)


@pytest.mark.parametrize("protocol", TESTING_ONCE)
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_the_three_parts_never_share_an_utterance_nor_its_audio(protocol, manifest, seed):
    digest_of = {u.id: u.digest for u in manifest}
    for split in (*make_splits(manifest, protocol, seed=seed), *across_corpora(manifest)):
        for one, other in combinations(sides(split), 2):
            assert not one & other
            assert not {digest_of[name] for name in one} & {digest_of[name] for name in other}


@pytest.mark.parametrize("protocol", TESTING_ONCE)
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_only_copies_of_judged_recordings_are_left_out(protocol, manifest, seed):
    digest_of = {u.id: u.digest for u in manifest}
    for split in make_splits(manifest, protocol, seed=seed):
        left_out = set(digest_of) - set().union(*sides(split))
        judged = {digest_of[name] for name in (*split.validation, *split.test)}
        assert {digest_of[name] for name in left_out} <= judged
        assert any("left out of training" in note for note in split.notes) == bool(left_out)


@pytest.mark.parametrize("protocol", TESTING_ONCE)
@thoroughly
@given(manifest=manifests())
def test_something_is_validated_wherever_two_recordings_are_left_to_train_on(protocol, manifest):
    digest_of = {u.id: u.digest for u in manifest}
    for split in make_splits(manifest, protocol):
        assert split.train
        if len({digest_of[name] for name in (*split.train, *split.validation)}) > 1:
            assert split.validation


@pytest.mark.parametrize("protocol", [*TESTING_ONCE, "all"])
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_the_audit_finds_nothing_to_refuse_in_a_split_made_here(protocol, manifest, seed):
    for split in (*make_splits(manifest, protocol, seed=seed), *across_corpora(manifest)):
        assert audit(manifest, split).refused == ()


@pytest.mark.parametrize("protocol", TESTING_ONCE)
@thoroughly
@given(manifest=manifests(), seed=seeds)
def test_the_same_seed_makes_the_same_splits(protocol, manifest, seed):
    reordered = Manifest(manifest.root, tuple(reversed(manifest.utterances)))
    first, again = (make_splits(made, protocol, seed=seed) for made in (manifest, reordered))
    assert [split.digest for split in first] == [split.digest for split in again]
    assert first == again


@thoroughly
@given(manifest=manifests(), seed=seeds, folds=st.integers(2, 6))
def test_folds_of_a_corpus_differ_by_one_speaker_at_most_and_by_one_of_each_gender(manifest, seed, folds):
    splits = make_splits(manifest, seed=seed, folds=folds)
    for corpus in manifest.corpora:
        tested = [
            {(u.speaker, u.gender) for u in manifest.select(s.test) if u.corpus == corpus} for s in splits
        ]
        used = [speakers for speakers in tested if speakers]
        assert len(used) == min(folds, len(set().union(*used)))
        for genders in ({"female", "male", ""}, {"female"}, {"male"}, {""}):
            counts = [sum(gender in genders for _, gender in speakers) for speakers in used]
            assert max(counts) - min(counts) <= 1


@thoroughly
@given(manifest=manifests())
def test_a_corpus_is_dealt_the_same_whatever_other_corpora_are_there(manifest):
    together = defaultdict(set)
    for split in make_splits(manifest):
        for name in split.test:
            together[name.partition("/")[0], split.fold].add(name)
    for corpus in manifest.corpora:
        for split in make_splits(manifest.filter(lambda u, corpus=corpus: u.corpus == corpus)):
            assert set(split.test) == together[corpus, split.fold]


@thoroughly
@given(manifest=manifests(), seed=seeds, protocol=st.sampled_from(TESTING_ONCE))
def test_a_saved_split_loads_equal(manifest, seed, protocol, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.json"
    for split in make_splits(manifest, protocol, seed=seed)[:2]:
        split.save(path)
        assert load_split(path) == split
