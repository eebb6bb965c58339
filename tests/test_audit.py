"""The audit finds every leak that is planted, and nothing where none is."""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from made_manifests import manifest, manifests, nemo, ravdess, savee, spoken_by, tess, utterance
from vocalics.errors import LeakError
from vocalics.lab.audit import AuditReport, audit
from vocalics.lab.manifest import Manifest
from vocalics.lab.splits import Split, make_splits

thoroughly = settings(max_examples=50, deadline=None)


def refused(made: Manifest, split: Split) -> set[str]:
    """Kinds of what is refused."""
    return {finding.kind for finding in audit(made, split).refused}


def told(report: AuditReport, kind: str) -> str:
    """The message of the one finding of that kind."""
    (message,) = (finding.message for finding in report.findings if finding.kind == kind)
    return message


def moved(split: Split, name: str, source: str, target: str) -> Split:
    """The split with one utterance on another side."""
    return replace(
        split,
        **{
            source: tuple(other for other in getattr(split, source) if other != name),
            target: (*getattr(split, target), name),
        },
    )


class TestPlantedLeaks:
    """Each starts from a split in which nothing is refused (a property in test_split_properties.py)."""

    @pytest.mark.parametrize("protocol", ["speaker", "loso", "random", "cross-corpus"])
    def test_an_unknown_utterance_is_refused(self, protocol):
        made = manifest(nemo() + savee())
        split = make_splits(made, protocol)[0]
        leaky = replace(split, train=(*split.train, "nemo/nobody_001"))
        (finding,) = audit(made, leaky).refused
        assert (finding.kind, finding.ids) == ("unknown utterance", ("nemo/nobody_001",))

    @thoroughly
    @given(made=manifests(), chosen=st.randoms(use_true_random=False))
    def test_the_same_utterance_on_two_sides_is_refused(self, made, chosen):
        split = make_splits(made, "random")[0]
        side = chosen.choice(["train", "validation"])
        name = chosen.choice(split.test)
        leaky = replace(split, **{side: (*getattr(split, side), name)})
        assert {(f.kind, f.ids) for f in audit(made, leaky).refused} == {("same utterance", (name,))}

    @thoroughly
    @given(made=manifests(copies=False), chosen=st.randoms(use_true_random=False))
    def test_the_same_audio_on_two_sides_is_refused(self, made, chosen):
        split = make_splits(made, "speaker")[0]
        sides = chosen.sample([side for side in (split.train, split.validation, split.test) if side], 2)
        one, other = (chosen.choice(side) for side in sides)
        by_id = {u.id: u for u in made}
        by_id[one] = replace(by_id[one], digest=by_id[other].digest)
        (finding,) = audit(manifest(by_id.values()), split).refused
        assert (finding.kind, finding.ids) == ("same audio", tuple(sorted((one, other))))

    @pytest.mark.parametrize("protocol", ["speaker", "loso"])
    @thoroughly
    @given(made=manifests(copies=False), chosen=st.randoms(use_true_random=False))
    def test_the_same_speaker_in_train_and_test_is_refused(self, protocol, made, chosen):
        split = make_splits(made, protocol)[0]
        speaker_of = {u.id: (u.corpus, u.speaker) for u in made}
        tested = [speaker_of[name] for name in split.test]
        talkative = [name for name in split.test if tested.count(speaker_of[name]) > 1]
        assume(talkative)
        leak = chosen.choice(talkative)
        first, *others = audit(made, moved(split, leak, "test", "train")).refused
        assert (first.kind, set(first.ids)) == (
            "same speaker",
            {u.id for u in made if speaker_of[u.id] == speaker_of[leak]},
        )
        # A corpus that had no speaker to spare for validation has one now, so that too is refused.
        assert {finding.kind for finding in others} <= {"same speaker"}

    def test_the_same_speaker_in_train_and_validation_is_refused(self):
        made = manifest(ravdess())
        split = make_splits(made)[0]
        assert refused(made, moved(split, split.validation[0], "validation", "train")) == {"same speaker"}

    def test_the_same_speaker_in_train_and_validation_is_told_where_none_can_be_spared(self):
        made = manifest(tess())
        report = audit(made, make_splits(made)[0])
        assert report.refused == ()
        assert (
            told(report, "same speaker") == "the same speaker in train and in validation: 1, first 'tess/YAF'"
        )

    @pytest.mark.parametrize("protocol", ["speaker", "loso"])
    def test_an_unknown_speaker_is_refused_where_speakers_are_kept_apart(self, protocol):
        known = manifest(nemo())
        split = make_splits(known, protocol)[0]
        first, *others = known
        assert refused(manifest([replace(first, speaker=""), *others]), split) == {"unknown speaker"}

    def test_the_same_corpus_on_two_sides_is_refused_across_corpora(self):
        made = manifest(nemo() + savee())
        split = make_splits(made, "cross-corpus", test_corpora="savee")[0]
        leaky = moved(split, split.test[0], "test", "train")
        (finding,) = audit(made, leaky).refused
        assert (finding.kind, finding.message) == (
            "same corpus",
            "the same corpus in train and in test: 1, first 'savee'",
        )

    @pytest.mark.parametrize(
        ("emptied", "severities"),
        [("train", {"refused"}), ("test", {"refused"}), ("validation", {"reported"})],
    )
    def test_an_empty_part_is_refused_and_an_empty_validation_part_is_told(self, emptied, severities):
        made = manifest(nemo())
        report = audit(made, replace(make_splits(made)[0], **{emptied: ()}))
        assert {finding.severity for finding in report.findings if finding.kind == "empty part"} == severities
        assert {finding.kind for finding in report.refused} <= {"empty part"}

    def test_a_split_in_which_everything_trains_may_test_nothing(self):
        made = manifest(nemo())
        assert refused(made, make_splits(made, "all")[0]) == set()


class TestReported:
    def test_speakers_on_both_sides_are_told_under_random(self):
        made = manifest(savee(per_emotion=5))
        report = audit(made, make_splits(made, "random")[0])
        in_test = [f.message for f in report.findings if f.kind == "same speaker" and "in test" in f.message]
        assert in_test == [
            "the same speaker in train and in test: 4, first 'savee/DC'",
            "the same speaker in validation and in test: 4, first 'savee/DC'",
        ]
        assert report.refused == ()

    def test_sentences_on_both_sides_are_told_with_numbers(self):
        # Two speakers share the sentences "1" and "2"; the tested one says "3" besides.
        both = spoken_by("calls", {"a": "", "b": ""}, per_emotion=2)
        made = manifest([*both, utterance("calls", "b", 99, sentence="3")])
        split = Split(
            "speaker",
            fold=1,
            folds=2,
            seed=0,
            train=tuple(u.id for u in made if u.speaker == "a"),
            validation=(),
            test=tuple(u.id for u in made if u.speaker == "b"),
        )
        message = "tested sentences that are trained on too: 2 of 3, in 8 of 9 tested utterances"
        assert told(audit(made, split), "same sentence") == message

    def test_a_sentence_that_validates_counts_as_trained_on(self):
        made = manifest(
            utterance("calls", name, 1, sentence=sentence)
            for name, sentence in zip("abc", "121", strict=True)
        )
        split = Split(
            "speaker", 1, 3, 0, train=("calls/b_001",), validation=("calls/a_001",), test=("calls/c_001",)
        )
        message = "tested sentences that are trained on too: 1 of 1, in 1 of 1 tested utterances"
        assert told(audit(made, split), "same sentence") == message

    def test_a_sentence_of_another_corpus_is_another_sentence(self):
        made = manifest(nemo() + savee())  # both number their sentences "1" and "2"
        split = make_splits(made, "cross-corpus", test_corpora="savee")[0]
        assert "same sentence" not in {finding.kind for finding in audit(made, split).findings}

    def test_emotions_that_a_part_lacks_are_told(self):
        made = manifest(
            [
                *spoken_by("calls", {"a": ""}, emotions=("happy", "sad")),
                *spoken_by("calls", {"b": ""}, emotions=("happy", "angry")),
            ]
        )
        report = audit(made, make_splits(made, validation_share=0)[0])
        assert [
            f.message.split(" utterance of: ") for f in report.findings if f.kind == "missing emotion"
        ] in (
            [
                ["emotions of the split that train has no", "angry"],
                ["emotions of the split that test has no", "sad"],
            ],
            [
                ["emotions of the split that train has no", "sad"],
                ["emotions of the split that test has no", "angry"],
            ],
        )


class TestManifest:
    def test_audio_that_stands_twice_is_told_with_its_ids(self):
        first, second, *others = ravdess()
        report = audit(manifest([first, replace(second, digest=first.digest), *others]))
        (finding,) = (finding for finding in report.findings if finding.kind == "duplicate audio")
        assert finding.ids == (first.id, second.id)
        assert finding.severity == "reported"
        assert "conflicting labels" not in {finding.kind for finding in report.findings}

    @pytest.mark.parametrize("change", [{"emotion": "angry"}, {"speaker": "02"}])
    def test_audio_with_two_labels_is_told(self, change):
        first, second, *others = ravdess()  # both "neutral", by actor 01
        report = audit(manifest([first, replace(second, digest=first.digest, **change), *others]))
        (finding,) = (finding for finding in report.findings if finding.kind == "conflicting labels")
        assert finding.ids == (first.id, second.id)

    def test_unknown_audio_is_no_copy(self):
        made = manifest(replace(u, digest="") for u in savee())
        assert {finding.kind for finding in audit(made).findings} == {"balance"}
        for split in make_splits(made):
            assert len(split.train) + len(split.validation) + len(split.test) == len(made)
            assert refused(made, split) == set()

    def test_the_balance_counts_genders_emotions_and_speakers(self):
        women = spoken_by("calls", {"a": "female", "b": "female"}, per_emotion=3, emotions=("happy", "sad"))
        men = spoken_by("calls", {"c": "male"}, per_emotion=1, emotions=("happy",))
        assert told(audit(manifest([*women, *men])), "balance") == (
            "utterances in the manifest: 13, speakers: 3 (female 12 by 2, male 1 by 1); happy 7, sad 6; "
            "speakers who lack an emotion of their corpus: 1"
        )

    def test_an_empty_manifest_has_no_findings(self):
        assert audit(manifest([])).findings == ()


class TestReport:
    def leaky(self) -> AuditReport:
        made = manifest(nemo())
        split = make_splits(made)[0]
        return audit(
            made, moved(replace(split, test=(*split.test, "nemo/nobody")), split.test[0], "test", "train")
        )

    def test_the_refused_stand_first(self):
        severities = [finding.severity for finding in self.leaky().findings]
        assert severities == sorted(severities)  # "refused" before "reported"
        assert set(severities) == {"refused", "reported"}

    def test_a_refused_split_raises_one_line_that_names_every_leak(self):
        sentence = r"^the split is refused: utterances that are not .*; the same speaker in [^\n]*manifest\.$"
        with pytest.raises(LeakError, match=sentence):
            self.leaky().raise_if_refused()

    def test_a_sound_split_raises_nothing(self):
        made = manifest(nemo())
        audit(made, make_splits(made)[0]).raise_if_refused()

    def test_the_report_is_json(self):
        report = json.loads(json.dumps(self.leaky().to_dict()))
        assert report["refused"] is True
        assert [finding["kind"] for finding in report["findings"]][:2] == [
            "unknown utterance",
            "same speaker",
        ]
        assert report["findings"][0]["ids"] == ["nemo/nobody"]
