"""Adapted figures: which clips may be drawn, that all methods get the same, and what is won and lost."""

from dataclasses import replace

import numpy as np
import pytest

import made_manifests
from vocalics.errors import UsageError
from vocalics.lab import adaptation
from vocalics.lab.adaptation import DRAWS, SKEWED_CLIPS, Setting, adapted_confusions, list_settings
from vocalics.lab.metrics import uar
from vocalics.lab.scores import Scores
from vocalics.recognition.head import AffineHead

EMOTIONS = made_manifests.EMOTIONS
SPEAKERS = {"a": "female", "b": "male", "c": "female", "d": "male"}


def made_scores(per_emotion=6, shift=0.0, noise=0.3, seed=0):
    """Clips whose embedding is a corner for each emotion, moved by an offset of each speaker.

    Parameters
    ----------
    per_emotion
        Clips of each emotion and speaker.
    shift
        Deviation of the speakers' offsets.
    noise
        Deviation of the clips about their corner.
    """
    rng = np.random.default_rng(seed)
    utterances = made_manifests.spoken_by("made", SPEAKERS, per_emotion)
    utterances = [replace(u, sentence=f"{u.emotion} {u.id}") for u in utterances]  # no twins
    offsets = {speaker: shift * rng.standard_normal(len(EMOTIONS)) for speaker in SPEAKERS}
    embeddings = np.array(
        [
            np.eye(len(EMOTIONS))[EMOTIONS.index(u.emotion)]
            + offsets[u.speaker]
            + noise * rng.standard_normal(len(EMOTIONS))
            for u in utterances
        ]
    )
    head = made_head(noise)
    return Scores(
        utterances=tuple(utterances),
        emotions=EMOTIONS,
        probabilities=head.probabilities(embeddings),
        embeddings=embeddings,
        no_speech=np.zeros(len(utterances), dtype=bool),
    )


def made_head(noise=0.3):
    """The head that is best for speakers without an offset: it takes the largest coordinate."""
    size = len(EMOTIONS)
    corners = np.eye(size)
    deviation = np.full(size, np.sqrt(corners.var(axis=0)[0] + noise**2))
    return AffineHead(np.eye(size), np.zeros(size), np.full(size, 1 / size), deviation, temperature=1.0)


def drawn(scores, settings, **options):
    """What each setting draws for each tested clip: (setting, tested id) -> a list of sets of ids."""
    sets = {}

    class Spy(AffineHead):
        def adapted(self, embeddings, *_):
            sets.setdefault((spied.name, tested[0]), []).append(
                frozenset(ids_of[row.tobytes()] for row in embeddings)
            )
            return AffineHead.adapted(self, embeddings)

    ids_of = {row.tobytes(): u.id for row, u in zip(scores.embeddings, scores.utterances, strict=True)}
    tested, generators = [None], adaptation._generators
    for spied in settings:
        with pytest.MonkeyPatch.context() as patch:

            def watch(seed, name, draws):
                tested[0] = name
                return generators(seed, name, draws)

            patch.setattr(adaptation, "_generators", watch)
            head = made_head()
            spy = Spy(head.weight, head.bias, head.mean, head.std, head.temperature)
            adapted_confusions(scores, spy, list(range(len(EMOTIONS))), (spied,), **options)
    return sets


# What may be drawn


def test_the_tested_clip_its_twin_its_copies_and_other_speakers_are_never_drawn():
    scores = made_scores()
    first, twin, copy, *others = scores.utterances
    twin = replace(twin, emotion=first.emotion, intensity=first.intensity, sentence=first.sentence)
    copy = replace(copy, digest=first.digest)
    scores = replace(scores, utterances=(first, twin, copy, *others))
    sets = drawn(scores, list_settings(EMOTIONS))
    for (_, tested), choices in sets.items():
        speaker = tested.split("_")[0]
        for chosen in choices:
            assert tested not in chosen
            assert all(name.startswith(f"{speaker}_") for name in chosen)
    everything = sets["all", first.id][0]
    assert everything == {u.id for u in others if u.speaker == first.speaker}


def test_clips_without_a_sentence_or_a_digest_are_no_twins_and_no_copies():
    scores = made_scores(per_emotion=2)
    bare = tuple(replace(u, sentence="", digest="") for u in scores.utterances)
    (everything,) = drawn(replace(scores, utterances=bare), list_settings(EMOTIONS, (None,))[:1])[
        "all", bare[0].id
    ]
    assert len(everything) == 2 * len(EMOTIONS) - 1


@pytest.mark.parametrize("n_clips", [1, 3, 5, 10, 20])
def test_so_many_clips_are_drawn_as_the_setting_says_and_twenty_times(n_clips):
    sets = drawn(made_scores(), list_settings(EMOTIONS, (n_clips,))[:1])
    for choices in sets.values():
        assert [len(chosen) for chosen in choices] == [n_clips] * DRAWS
        assert len(set(choices)) > 1


def test_a_larger_set_holds_the_smaller_one_of_the_same_draw():
    sets = drawn(made_scores(), list_settings(EMOTIONS, (3, 10))[:2])
    for (setting, tested), choices in sets.items():
        if setting == "3":
            larger = sets["10", tested]
            assert all(few <= many for few, many in zip(choices, larger, strict=True))


def test_draws_depend_on_seed_and_clip_alone():
    scores, settings = made_scores(), list_settings(EMOTIONS, (5,))[:1]
    some = replace(
        scores, utterances=scores.utterances[:24], embeddings=scores.embeddings[:24]
    )  # one speaker, in another evaluation
    whole, part = drawn(scores, settings), drawn(some, settings)
    assert all(whole[key] == choices for key, choices in part.items())
    assert drawn(some, settings, seed=1) != part


def test_a_set_of_one_emotion_holds_nothing_else():
    scores = made_scores()
    emotion_of = {u.id: u.emotion for u in scores.utterances}
    sets = drawn(scores, [setting for setting in list_settings(EMOTIONS) if setting.name.startswith("only-")])
    assert {setting for setting, _ in sets} == {f"only-{emotion}" for emotion in EMOTIONS}
    for (setting, _), (chosen,) in sets.items():
        assert {f"only-{emotion_of[name]}" for name in chosen} == {setting}


def test_a_mostly_neutral_set_is_neutral_in_eight_of_ten():
    scores = made_scores(per_emotion=12)
    emotion_of = {u.id: u.emotion for u in scores.utterances}
    (setting,) = [one for one in list_settings(EMOTIONS) if one.name == "mostly-neutral"]
    for choices in drawn(scores, [setting]).values():
        assert {sum(emotion_of[name] == "neutral" for name in chosen) for chosen in choices} == {8}
        assert {len(chosen) for chosen in choices} == {SKEWED_CLIPS}


def test_a_dirichlet_set_is_one_sided_more_often_than_not():
    scores = made_scores(per_emotion=12)
    emotion_of = {u.id: u.emotion for u in scores.utterances}
    (setting,) = [one for one in list_settings(EMOTIONS) if one.name == "dirichlet"]
    largest = [
        max(sum(emotion_of[name] == emotion for name in chosen) for emotion in EMOTIONS)
        for choices in drawn(scores, [setting]).values()
        for chosen in choices
    ]
    # By simulation the most frequent of four emotions has 6.5 of ten clips drawn with shares from
    # Dirichlet(0.5), and 4.0 of ten drawn evenly; that no clip is drawn twice takes a little off.
    assert 5.5 <= np.mean(largest) <= 7.0


def test_a_speaker_without_another_clip_is_not_adapted_to():
    rng = np.random.default_rng(0)
    drawn_from_nothing = {one.name: len(one.draw([], rng)) for one in list_settings(EMOTIONS)}
    assert set(drawn_from_nothing.values()) == {0}


# What is won and lost


def uar_of(confusions):
    return uar(sum(confusions.values()))


def plain_confusions(scores):
    nothing = Setting("nothing", 1, lambda clips, rng: np.array([], dtype=int))
    return adapted_confusions(scores, made_head(), list(range(len(EMOTIONS))), (nothing,))["nothing"]


def test_an_empty_set_leaves_the_plain_model():
    scores = made_scores(shift=1.0)
    counts = sum(plain_confusions(scores).values())
    assert np.trace(counts) == (scores.predicted == scores.truth).sum()


def test_an_offset_of_the_speaker_is_undone_by_the_speaker_s_own_clips():
    scores = made_scores(shift=3.0, per_emotion=20)
    found = adapted_confusions(
        scores, made_head(), list(range(len(EMOTIONS))), list_settings(EMOTIONS, (None,))[:1]
    )
    without_offset = uar_of(plain_confusions(made_scores(shift=0.0, per_emotion=20)))
    # 79 clips weigh 79 / 83, so a twentieth of the offset stays: 0.15 of a corner, half of the noise.
    assert without_offset > 0.9
    assert uar_of(found["all"]) > without_offset - 0.1
    assert uar_of(plain_confusions(scores)) < 0.6


def test_more_clips_undo_more():
    scores = made_scores(shift=1.5, per_emotion=12)
    settings = list_settings(EMOTIONS, (1, 5, 20, None))[:4]
    found = adapted_confusions(scores, made_head(), list(range(len(EMOTIONS))), settings)
    figures = [uar_of(plain_confusions(scores)), *(uar_of(found[s.name]) for s in settings)]
    assert figures == sorted(figures)


def test_clips_of_one_emotion_do_harm_to_a_speaker_without_an_offset():
    scores = made_scores(per_emotion=20)
    settings = [setting for setting in list_settings(EMOTIONS) if setting.name == "only-angry"]
    found = adapted_confusions(scores, made_head(), list(range(len(EMOTIONS))), tuple(settings))
    # The mean is moved by most of the way from the middle to the angry corner, and anger counts as ordinary.
    assert uar_of(found["only-angry"]) < uar_of(plain_confusions(scores)) - 0.1


def test_every_clip_counts_once_in_every_draw():
    scores = made_scores(per_emotion=3)
    found = adapted_confusions(
        scores, made_head(), list(range(len(EMOTIONS))), list_settings(EMOTIONS, (2, None)), draws=4
    )
    each = 3 * len(EMOTIONS)
    expected = {"2": 4 * each, "all": each, "mostly-neutral": 4 * each, "dirichlet": 4 * each}
    for setting, by_speaker in found.items():
        assert {int(counts.sum()) for counts in by_speaker.values()} == {expected.get(setting, each)}
        assert list(by_speaker) == [f"made/{speaker}" for speaker in SPEAKERS]


def test_unknown_speakers_cannot_be_adapted_to():
    scores = made_scores(per_emotion=2)
    nobody = (replace(scores.utterances[0], speaker=""), *scores.utterances[1:])
    with pytest.raises(UsageError, match="1 of 32 recordings have no speaker"):
        adapted_confusions(
            replace(scores, utterances=nobody), made_head(), [0, 1, 2, 3], list_settings(EMOTIONS)
        )


def test_figures_tell_whose_own_did_not_fall():
    right, wrong = np.diag([2, 2]), np.array([[0, 2], [2, 0]])
    plain = {"s/1": right, "s/2": wrong}
    adapted = {"s/1": wrong, "s/2": right}
    figures = adaptation.adapted_figures(adapted, plain, ("happy", "sad"))
    assert figures["speakers_not_worse"] == 0.5
    assert figures["uar"] == {"mean": 0.5, "low": None, "high": None}  # two speakers: no interval
    assert figures["accuracy"]["mean"] == 0.5
    assert figures["recall"] == {"happy": 0.5, "sad": 0.5}
