"""Splits by each protocol on corpora whose folds are known."""

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from made_manifests import EMOTIONS, manifest, nemo, ravdess, savee, spoken_by, tess, utterance
from vocalics.errors import SplitError, UsageError
from vocalics.lab.corpora import scan_data
from vocalics.lab.manifest import Manifest
from vocalics.lab.splits import make_splits

#: DESIGN, section 5: test actors of the six EmoBox folds.
EMOBOX_ACTORS = [
    {1, 11, 20, 21},
    {4, 10, 12, 14},
    {8, 9, 19, 23},
    {3, 5, 7, 24},
    {2, 15, 16, 18},
    {6, 13, 17, 22},
]


def speakers_in(made: Manifest, ids: tuple[str, ...]) -> set[str]:
    return {u.speaker for u in made.select(ids)}


def genders_in(made: Manifest, ids: tuple[str, ...]) -> Counter[str]:
    """How many speakers of each gender."""
    return Counter(gender for _, gender in {(u.speaker, u.gender) for u in made.select(ids)})


@cache
def real(folder: Path) -> Manifest:
    """RAVDESS and SAVEE as they lie on the disk."""
    return scan_data(folder, ["ravdess", "savee"])


class TestSpeaker:
    @pytest.mark.parametrize("seed", [0, 1, 7])
    def test_ravdess_has_the_six_folds_of_emobox_whatever_the_seed(self, seed):
        made = manifest(ravdess())
        splits = make_splits(made, seed=seed)
        assert [set(map(int, speakers_in(made, split.test))) for split in splits] == EMOBOX_ACTORS

    @pytest.mark.data
    def test_real_ravdess_and_savee_have_the_folds_of_emobox(self, data):
        made = real(data)
        for split, actors, man in zip(
            make_splits(made), EMOBOX_ACTORS, ("JE", "KL", "DC", "JK", "", ""), strict=True
        ):
            tested = made.select(split.test)
            assert {int(u.speaker) for u in tested if u.corpus == "ravdess"} == actors
            assert {u.speaker for u in tested if u.corpus == "savee"} == ({man} if man else set())
            # Four actors with 60 clips each, one man with 120.
            assert Counter(u.corpus for u in tested) == {"ravdess": 240} | ({"savee": 120} if man else {})

    @pytest.mark.data
    @pytest.mark.parametrize("protocol", ["speaker", "random"])
    def test_the_one_recording_that_real_ravdess_has_twice_stays_on_one_side(self, data, protocol):
        twins = {"ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07"}
        for split in make_splits(real(data), protocol):
            on_each_side = [
                len(twins.intersection(side)) for side in (split.train, split.validation, split.test)
            ]
            assert sorted(on_each_side) == [0, 0, 2]

    def test_savee_has_one_speaker_a_fold_in_the_order_of_emobox(self):
        made = manifest(savee())
        tested = [speakers_in(made, split.test) for split in make_splits(made)]
        assert tested == [{"JE"}, {"KL"}, {"DC"}, {"JK"}]

    def test_two_women_and_two_men_of_ravdess_validate(self):
        made = manifest(ravdess())
        for split in make_splits(made, validation_share=0.2):  # of 20 actors, four
            assert genders_in(made, split.validation) == {"female": 2, "male": 2}
            assert len(speakers_in(made, split.train)) == 16

    def test_another_seed_lets_others_validate(self):
        first, second = (make_splits(manifest(ravdess()), seed=seed)[0] for seed in (0, 1))
        assert first.test == second.test
        assert first.validation != second.validation

    def test_a_corpus_without_published_folds_is_dealt_into_five_balanced_by_gender(self):
        made = manifest(nemo())
        splits = make_splits(made)
        tested = [genders_in(made, split.test) for split in splits]
        assert [genders["male"] for genders in tested] == [1] * 5  # five men
        assert sorted(genders["female"] for genders in tested) == [0, 1, 1, 1, 1]  # four women

    @pytest.mark.parametrize("share", [0.05, 0.2])
    def test_a_woman_and_a_man_validate_however_small_the_share(self, share):
        made = manifest(nemo())
        for split in make_splits(made, validation_share=share):  # of seven or eight speakers
            assert genders_in(made, split.validation) == {"female": 1, "male": 1}

    @pytest.mark.parametrize("seed", range(5))
    def test_folds_are_balanced_by_number_of_utterances_too(self, seed):
        # 10 and 1, 9 and 2: the only two pairs of equal sum.
        clips = {"a": 10, "b": 9, "c": 2, "d": 1}
        made = manifest(utterance("calls", name, k) for name, n in clips.items() for k in range(n))
        assert [len(split.test) for split in make_splits(made, folds=2, seed=seed)] == [11, 11]

    def test_a_seed_deals_other_folds_where_none_are_published(self):
        first, second = (
            {split.test for split in make_splits(manifest(nemo()), seed=seed)} for seed in (0, 1)
        )
        assert first != second

    def test_fold_k_of_several_corpora_joins_their_folds_k(self):
        both = make_splits(manifest(ravdess() + savee()))
        alone = [make_splits(manifest(corpus)) for corpus in (ravdess(), savee())]
        assert len(both) == 6
        for k in range(4):
            assert both[k].test == alone[0][k].test + alone[1][k].test
        for k in (4, 5):  # SAVEE has four folds
            assert both[k].test == alone[0][k].test
            assert both[k].notes == ("savee is tested in folds 1 to 4 of 6; the others train on all of it",)

    def test_every_corpus_with_speakers_to_spare_validates(self):
        made = manifest(ravdess() + savee() + tess())
        corpora = [{u.corpus for u in made.select(split.validation)} for split in make_splits(made)]
        assert (
            corpora == [{"ravdess", "savee"}] * 6
        )  # of TESS one speaker trains, or two: neither is to spare

    def test_with_a_single_training_speaker_validation_is_stratified_by_utterance_and_noted(self):
        made = manifest(tess(per_emotion=5))
        first, second = make_splits(made, validation_share=0.2)
        assert (speakers_in(made, first.test), speakers_in(made, second.test)) == ({"OAF"}, {"YAF"})
        for split in (first, second):
            emotions = Counter(u.emotion for u in made.select(split.validation))
            assert emotions == dict.fromkeys(EMOTIONS, 1)  # a fifth of five
            assert split.notes == (
                "validation is taken by utterance: no corpus has a training speaker to spare",
            )

    def test_one_of_two_training_speakers_validates_when_there_are_no_others(self):
        made = manifest(spoken_by("calls", {"a": "female", "b": "female", "c": "male"}))
        for split in make_splits(made):
            assert len(speakers_in(made, split.validation)) == len(speakers_in(made, split.train)) == 1

    @pytest.mark.parametrize(("gender", "remainder"), [("female", 0), ("male", 1)])
    def test_one_gender_of_ravdess_speaks_alone_in_six_folds_of_two_actors(self, gender, remainder):
        made = manifest(ravdess())
        splits = make_splits(made, gender=gender)
        assert [len(speakers_in(made, split.test)) for split in splits] == [2] * 6
        for split in splits:
            actors = speakers_in(made, split.train + split.validation + split.test)
            assert {int(actor) % 2 for actor in actors} == {remainder}  # odd numbers are men
            assert len(actors) == 12
            assert split.notes[0] == f"{gender} speakers alone: 96 of 192 utterances"

    def test_fewer_speakers_of_a_gender_make_fewer_folds(self):
        assert len(make_splits(manifest(savee()), gender="male")) == 4

    def test_a_part_of_ravdess_keeps_the_folds_that_have_actors(self):
        made = manifest(u for u in ravdess() if u.speaker in {"01", "04", "06", "10"})
        tested = [speakers_in(made, split.test) for split in make_splits(made)]
        assert tested == [{"01"}, {"04", "10"}, {"06"}]  # folds 1, 2 and 6 of the whole

    def test_actors_of_a_single_published_fold_are_dealt_anew(self):
        made = manifest(u for u in ravdess() if u.speaker in {"01", "11"})  # both of fold 1
        tested = [speakers_in(made, split.test) for split in make_splits(made)]
        assert sorted(tested, key=min) == [{"01"}, {"11"}]

    def test_a_given_number_of_folds_replaces_the_published_ones(self):
        assert len(make_splits(manifest(ravdess()), folds=3)) == 3

    @pytest.mark.parametrize("protocol", ["speaker", "loso"])
    def test_unknown_speakers_are_refused_with_the_remedy(self, protocol):
        made = manifest([*nemo(), utterance("calls", "", 1), utterance("calls", "", 2)])
        with pytest.raises(
            SplitError, match=r"2 utterances of 'calls' have no speaker.*column 'speaker'.*'random'"
        ):
            make_splits(made, protocol)

    def test_corpora_of_one_speaker_each_are_sent_to_loso(self):
        made = manifest([*spoken_by("calls", {"a": ""}), *spoken_by("podcasts", {"b": ""})])
        with pytest.raises(SplitError, match="'loso' for several corpora"):
            make_splits(made)
        assert len(make_splits(made, "loso")) == 2

    def test_a_copy_under_another_speaker_is_left_out_of_training_and_noted(self):
        original, *others = spoken_by("calls", {"a": "female", "b": "male", "c": "female", "d": "male"})
        copy = replace(utterance("calls", "b", 99), gender="male", digest=original.digest)
        made = manifest([original, copy, *others])
        for split in make_splits(made):
            if original.id in split.test:
                assert copy.id not in split.train + split.validation
                assert "1 utterances are left out of training: copies of tested recordings" in split.notes


class TestLoso:
    def test_each_speaker_of_each_corpus_is_tested_alone(self):
        made = manifest(nemo() + savee())
        tested = [{(u.corpus, u.speaker) for u in made.select(s.test)} for s in make_splits(made, "loso")]
        assert tested == [{speaker} for speaker in made.speakers]

    def test_one_speaker_cannot_be_left_out(self):
        with pytest.raises(SplitError, match="two speakers or more"):
            make_splits(manifest(spoken_by("calls", {"a": ""})), "loso")


class TestRandom:
    def test_every_part_has_its_share_of_each_emotion_of_each_corpus(self):
        made = manifest(ravdess(per_emotion=5) + savee(per_emotion=5))
        for split in make_splits(made, "random", validation_share=0.25):
            for part, share in ((split.test, 0.2), (split.validation, 0.2), (split.train, 0.6)):
                counts = Counter((u.corpus, u.emotion) for u in made.select(part))
                for (
                    emotion
                ) in EMOTIONS:  # 24 actors x 5, 4 speakers x 5; a quarter of the rest is a fifth of all
                    assert counts["ravdess", emotion] == pytest.approx(120 * share, abs=1)
                    assert counts["savee", emotion] == pytest.approx(20 * share, abs=1)

    def test_speakers_stand_on_both_sides(self):
        made = manifest(ravdess(per_emotion=5))
        for split in make_splits(made, "random"):
            assert len(speakers_in(made, split.train) & speakers_in(made, split.test)) > 12  # half of them

    def test_equal_audio_goes_to_one_fold_together(self):
        # Twenty recordings, each listed three times.
        made = manifest(
            replace(utterance("calls", name, k), digest=f"recording {k}") for name in "abc" for k in range(20)
        )
        for split in make_splits(made, "random"):
            assert len(split.test) == 12  # a fifth of twenty, three times
            assert len({u.digest for u in made.select(split.test)}) == 4

    def test_unknown_speakers_do_not_matter(self):
        made = manifest(utterance("calls", "", k) for k in range(10))
        assert [len(split.test) for split in make_splits(made, "random")] == [2] * 5

    def test_the_number_of_folds_is_a_choice(self):
        assert len(make_splits(manifest(nemo()), "random", folds=10)) == 10

    def test_copies_of_a_single_recording_cannot_be_split(self):
        made = manifest(replace(utterance("calls", "a", k), digest="same") for k in range(4))
        with pytest.raises(SplitError, match="two different recordings"):
            make_splits(made, "random")


class TestCrossCorpus:
    def made(self) -> Manifest:
        """Calls know fear but no anger, podcasts the reverse."""
        calls = spoken_by("calls", dict.fromkeys("abc", "female"), emotions=("happy", "sad", "fearful"))
        podcasts = spoken_by("podcasts", dict.fromkeys("xyz", "male"), emotions=("happy", "sad", "angry"))
        return manifest(calls + podcasts)

    def test_it_trains_on_the_others_on_the_emotions_that_both_have(self):
        made = self.made()
        (split,) = make_splits(made, "cross-corpus", test_corpora=["podcasts"])
        assert {(u.corpus, u.emotion) for u in made.select(split.test)} == {
            ("podcasts", "happy"),
            ("podcasts", "sad"),
        }
        trained = made.select(split.train + split.validation)
        assert {(u.corpus, u.emotion) for u in trained} == {("calls", "happy"), ("calls", "sad")}

    def test_it_tells_how_many_utterances_it_drops(self):
        (split,) = make_splits(self.made(), "cross-corpus", test_corpora="podcasts")
        # Three speakers say the one emotion twice, three others the other.
        note = "12 utterances of emotions that one side lacks are dropped: angry 6, fearful 6"
        assert note in split.notes

    def test_validation_is_taken_by_speaker_out_of_the_training_corpora(self):
        made = self.made()
        (split,) = make_splits(made, "cross-corpus", test_corpora="podcasts")
        assert {u.corpus for u in made.select(split.validation)} == {"calls"}
        assert not speakers_in(made, split.validation) & speakers_in(made, split.train)

    def test_validation_is_taken_by_utterance_where_training_speakers_are_unknown(self):
        calls = [
            replace(u, speaker="" if u.speaker == "a" else u.speaker)
            for u in self.made()
            if u.corpus == "calls"
        ]
        podcasts = [u for u in self.made() if u.corpus == "podcasts"]
        (split,) = make_splits(manifest(calls + podcasts), "cross-corpus", test_corpora="podcasts")
        assert "validation is taken by utterance: no corpus has a training speaker to spare" in split.notes
        assert len(split.validation) == 2  # a fifth of twelve

    def test_without_a_name_each_corpus_is_tested_in_a_fold(self):
        made = self.made()
        splits = make_splits(made, "cross-corpus")
        assert [{u.corpus for u in made.select(split.test)} for split in splits] == [{"calls"}, {"podcasts"}]

    def test_an_unknown_corpus_is_refused_with_those_that_are_there(self):
        with pytest.raises(SplitError, match="no corpus 'savee'; it holds calls, podcasts"):
            make_splits(self.made(), "cross-corpus", test_corpora="savee")

    def test_corpora_without_a_common_emotion_are_refused(self):
        made = manifest([utterance("calls", "a", 1, "happy"), utterance("podcasts", "b", 1, "sad")])
        with pytest.raises(SplitError, match="shares no emotion"):
            make_splits(made, "cross-corpus", test_corpora="calls")


class TestAll:
    def test_everything_trains(self):
        made = manifest(nemo())
        (split,) = make_splits(made, "all")
        assert split.train == tuple(u.id for u in made)
        assert split.validation == split.test == ()
        assert split.notes == ("everything trains: nothing is left to validate or test on",)


class TestCall:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"protocol": "speakers"}, "did you mean 'speaker'"),
            ({"seed": -1}, "the seed is -1"),
            ({"validation_share": 1.0}, "from 0 to below 1"),
            ({"validation_share": float("nan")}, "from 0 to below 1"),
            ({"gender": "women"}, "give 'female' or 'male'"),
            ({"folds": 1}, "give 2 or more"),
            ({"protocol": "loso", "folds": 3}, "'folds' has no meaning under the protocol 'loso'"),
            ({"test_corpora": ["nemo"]}, "only under cross-corpus"),
            ({"official": "list.jsonl"}, "only under official"),
            ({"protocol": "official"}, "needs a file"),
        ],
    )
    def test_a_wrong_call_is_answered_with_what_is_allowed(self, arguments, sentence):
        with pytest.raises(UsageError, match=sentence):
            make_splits(manifest(nemo()), **arguments)

    def test_an_empty_manifest_is_refused(self):
        with pytest.raises(SplitError, match="holds no utterance"):
            make_splits(manifest([]))

    def test_a_gender_that_nobody_has_is_refused(self):
        with pytest.raises(SplitError, match="known to be female"):
            make_splits(manifest(savee()), gender="female")

    def test_no_validation_part_is_made_when_none_is_asked_for(self):
        for split in make_splits(manifest(nemo()), validation_share=0):
            assert split.validation == ()
            assert "no validation part was asked for" in split.notes

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
    def test_the_validation_share_is_a_share_of_the_training_speakers(self, share):
        made = manifest(ravdess())
        for split in make_splits(made, validation_share=share):
            validating = len(speakers_in(made, split.validation))
            assert validating == pytest.approx(20 * share, abs=1)  # rounded for each gender by itself
