"""Figures of a model: by hand on small cases, over folds as over their union; whom they may be made on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import made_manifests
import tiny_corpus
from vocalics import audio
from vocalics.errors import CorpusError, SplitError, UsageError
from vocalics.lab.evaluate_file import evaluate_file
from vocalics.lab.evaluation import FLOOR, Answers, evaluate, seen_speakers
from vocalics.lab.scores import Scores, score
from vocalics.recognition.model import Model

EMOTIONS = ("neutral", "happy", "sad")


def made_answers(rows, emotions=EMOTIONS, threshold=0.5):
    """Answers from rows of (speaker, gender, truth, probabilities)."""
    speakers, genders, truth, probabilities = zip(*rows, strict=True)
    return Answers(
        emotions=emotions,
        ids=tuple(f"made/{i}" for i in range(len(rows))),
        truth=np.array([emotions.index(emotion) for emotion in truth]),
        speakers=tuple(f"made/{speaker}" for speaker in speakers),
        genders=genders,
        corpora=("made",) * len(rows),
        probabilities=np.array(probabilities),
        no_speech=np.zeros(len(rows), dtype=bool),
        thresholds=np.full(len(rows), threshold),
    )


SMALL = [
    ("a", "female", "neutral", (0.8, 0.1, 0.1)),
    ("a", "female", "neutral", (0.4, 0.3, 0.3)),  # right, and below the threshold
    ("a", "female", "happy", (0.6, 0.3, 0.1)),  # wrong
    ("b", "male", "happy", (0.1, 0.7, 0.2)),
    ("b", "male", "sad", (0.1, 0.7, 0.2)),  # wrong
    ("b", "male", "sad", (0.2, 0.2, 0.6)),
]


# By hand


def test_the_figures_of_a_small_case_are_those_by_hand():
    figures = evaluate(made_answers(SMALL))
    assert figures["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert figures["recall"] == {"neutral": 1.0, "happy": 0.5, "sad": 0.5}
    assert figures["uar"]["mean"] == pytest.approx(2 / 3)
    assert figures["accuracy"]["mean"] == pytest.approx(4 / 6)
    # F1: neutral 2 * 2 / (2 + 3), happy 2 * 1 / (2 + 2), sad 2 * 1 / (2 + 1).
    assert figures["macro_f1"]["mean"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    truth = [0.8, 0.4, 0.3, 0.7, 0.2, 0.6]
    assert figures["nll"] == pytest.approx(-np.log(truth).mean())
    squares = [0.06, 0.54, 0.86, 0.14, 1.14, 0.24]  # by hand, clip by clip
    assert figures["brier"] == pytest.approx(np.mean(squares))
    assert (figures["clips"], figures["speakers"], figures["no_speech"]) == (6, 2, 0)


def test_abstention_is_told_as_coverage_and_as_accuracy_of_what_is_answered():
    figures = evaluate(made_answers(SMALL))
    assert figures["abstention"] == {"coverage": 5 / 6, "accuracy_when_answering": 3 / 5}
    nothing = evaluate(made_answers(SMALL, threshold=1.0))["abstention"]
    assert nothing == {"coverage": 0.0, "accuracy_when_answering": None}


def test_every_speaker_and_gender_has_figures_of_its_own():
    figures = evaluate(made_answers(SMALL))
    assert figures["by_speaker"]["worst"] == "made/a"  # (1 + 0) / 2, against (1 + 1/2) / 2
    assert figures["by_speaker"]["figures"]["made/a"]["uar"] == 0.5
    assert figures["by_gender"]["figures"]["male"]["uar"] == 0.75
    assert figures["by_gender"]["gap"] == 0.25
    assert figures["by_corpus"]["figures"]["made"]["clips"] == 6


def test_figures_are_plain_numbers_for_json():
    figures = evaluate(made_answers(SMALL))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_an_emotion_that_nobody_said_has_no_recall_and_does_not_lower_the_uar():
    figures = evaluate(made_answers([row for row in SMALL if row[2] != "sad"]))
    assert figures["recall"] == {"neutral": 1.0, "happy": 0.5}
    assert figures["uar"]["mean"] == 0.75


def test_a_probability_that_was_rounded_to_zero_counts_as_the_floor():
    rows = [("a", "female", "happy", (1.0, 0.0, 0.0)), ("a", "female", "neutral", (1.0, 0.0, 0.0))]
    assert evaluate(made_answers(rows))["nll"] == pytest.approx(-np.log(FLOOR) / 2)


def test_one_recording_can_be_measured():
    figures = evaluate(made_answers(SMALL[:1]))
    assert figures["ece"] == pytest.approx(0.2)  # sure by 0.8, and right


# Over folds


def test_pooled_folds_are_measured_as_their_union():
    whole = made_answers(SMALL * 3)
    parts = [whole.where(np.arange(len(whole.ids)) % 3 == fold) for fold in range(3)]
    pooled = Answers.pooled(parts)
    assert sorted(pooled.ids) == sorted(whole.ids)
    mixed, expected = evaluate(pooled), evaluate(whole)
    for name in (
        "confusion",
        "recall",
        "uar",
        "accuracy",
        "macro_f1",
        "by_speaker",
        "by_gender",
        "abstention",
    ):
        assert mixed[name] == expected[name]
    for name in ("nll", "brier", "ece"):
        assert mixed[name] == pytest.approx(expected[name])  # sums in another order


def test_folds_with_other_emotions_cannot_be_pooled():
    other = made_answers([("a", "female", "neutral", (0.5, 0.5))], emotions=("neutral", "angry"))
    with pytest.raises(UsageError, match="different emotions"):
        Answers.pooled([made_answers(SMALL), other])


def test_a_clip_cannot_be_tested_in_two_folds():
    answers = made_answers(SMALL)
    with pytest.raises(UsageError, match="6 clips are tested in two folds"):
        Answers.pooled([answers, answers])


# Fewer emotions


def made_scores(probabilities, emotions=("neutral", "happy", "sad", "angry")):
    utterances = tuple(made_manifests.utterance("made", "a", i, name) for i, name in enumerate(emotions))
    return Scores(
        utterances, emotions, np.array(probabilities), np.zeros((4, 2)), np.array([True, False, False, False])
    )


def test_answers_among_fewer_emotions_are_renormalised_and_others_are_left_out():
    scores = made_scores([[0.1, 0.2, 0.3, 0.4]] * 4).among(("sad", "happy"))
    assert [u.emotion for u in scores.utterances] == ["happy", "sad"]
    np.testing.assert_allclose(scores.probabilities, [[0.6, 0.4]] * 2)  # 0.3 and 0.2 of 0.5
    assert scores.truth.tolist() == [1, 0]
    assert scores.no_speech.tolist() == [False, False]


def test_an_emotion_that_the_model_does_not_know_is_refused():
    with pytest.raises(UsageError, match="does not know 'calm'; it knows neutral, happy"):
        made_scores([[0.1, 0.2, 0.3, 0.4]] * 4).among(("calm", "happy"))


def test_clips_of_an_unknown_speaker_count_as_speakers_of_their_own():
    scores = made_scores([[0.1, 0.2, 0.3, 0.4]] * 4)
    nobody = replace(scores.utterances[0], speaker="")
    assert replace(scores, utterances=(nobody, *scores.utterances[1:])).speakers == [
        nobody.id,
        "made/a",
        "made/a",
        "made/a",
    ]


# What is scored


def test_a_clip_is_scored_as_the_model_answers_it(tiny):
    model, clips = Model.load(tiny.model), tiny.tested.filter(lambda u: u.id in tiny.split.test[:3])
    scores = score(model, clips)
    for clip, answer, embedding in zip(clips, scores.probabilities, scores.embeddings, strict=True):
        heard = model.hear(audio.read(clips.audio_path(clip)))
        np.testing.assert_allclose(answer, heard.probabilities[0], rtol=0, atol=1e-7)
        np.testing.assert_allclose(embedding, heard.embedding[0], rtol=0, atol=1e-7)
    assert scores.no_speech.tolist() == [True] * 3  # tones, and nobody who speaks


def test_nothing_to_score_is_refused(tiny):
    with pytest.raises(UsageError, match="no recording to measure"):
        score(Model.load(tiny.model), tiny.manifest.filter(lambda _: False))


# On whom


@pytest.fixture
def measure(tiny, tmp_path, monkeypatch):
    """`evaluate_file` on the data of the tiny training; whether tones are speech is not asked."""
    monkeypatch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)

    def call(model, data=tiny.data, **options):
        return evaluate_file(str(model), data=data, **options)

    return call


def test_of_a_run_its_own_test_part_is_measured(tiny, measure):
    figures = measure(tiny.run)
    scores = score(Model.load(tiny.model), tiny.tested, gate=False)
    assert figures["clips"] == len(tiny.split.test)
    assert figures["accuracy"]["mean"] == (scores.predicted == scores.truth).mean()
    assert (figures["protocol"], figures["seen_speakers"]) == ("speaker", [])
    assert set(figures["by_speaker"]["figures"]) == {"ravdess/01", "ravdess/20"}


def test_speakers_that_were_trained_on_are_refused(tiny, measure):
    trained = sorted({u.speaker for u in tiny.manifest.select(tiny.split.train)})
    with pytest.raises(UsageError, match=f"trained on 2 of these speakers .*{trained[0]}.*--allow-seen"):
        measure(tiny.model)


def test_with_allow_seen_they_are_measured_and_named(tiny, measure):
    figures = measure(tiny.model, allow_seen=True)
    assert figures["clips"] == len(tiny.manifest)
    assert figures["seen_speakers"] == seen_speakers(Model.load(tiny.model).card, tiny.manifest)
    assert len(figures["seen_speakers"]) == 2


def test_on_strangers_a_model_is_measured_without_more_ado(tiny, measure, tmp_path):
    figures = measure(tiny.model, tiny_corpus.write_corpus(tmp_path / "strangers", actors=(5, 6)))
    assert (figures["clips"], figures["seen_speakers"]) == (2 * tiny_corpus.UTTERANCES, [])
    assert figures["protocol"] == "every recording, none of them trained on"
    assert figures["uar"]["mean"] > 0.8  # the planted sounds of two more speakers


def test_folders_named_by_emotion_are_data_too(tiny, measure, tmp_path):
    for number, utterance in enumerate(tiny.tested):
        folder = (
            tmp_path / "mine" / {"sad": "Sadness", "happy": "joy"}.get(utterance.emotion, utterance.emotion)
        )
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny.tested.audio_path(utterance), folder / f"{number}.wav")
    figures = measure(tiny.model, tmp_path / "mine")
    assert (figures["corpora"], figures["clips"]) == (["folder"], len(tiny.tested))
    assert figures["accuracy"]["mean"] == measure(tiny.run)["accuracy"]["mean"]


def test_emotions_can_be_chosen_and_the_others_are_told(tiny, measure):
    told = []
    figures = measure(tiny.run, emotions=["sad", "angry"], tell=told.append)
    assert figures["among_emotions"] == ["sad", "angry"]
    assert figures["clips"] == len(tiny.split.test) / 2
    assert set(told) == {"left out: 8 recordings of 'happy'", "left out: 8 recordings of 'neutral'"}


def test_a_split_says_what_is_tested(tiny, measure, tmp_path):
    half = replace(tiny.split, test=tuple(name for name in tiny.split.test if name.endswith("-01")))
    half.save(tmp_path / "split.json")
    figures = measure(tiny.model, split=tmp_path / "split.json")
    assert (figures["clips"], figures["speakers"]) == (tiny_corpus.UTTERANCES, 1)


def test_adapted_figures_stand_beside_the_plain_ones(tiny, measure):
    figures = measure(tiny.run, adapt="all")
    assert list(figures["adapted"]) == [
        "all",
        *(f"only-{emotion}" for emotion in tiny_corpus.EMOTIONS),
        "mostly-neutral",
        "dirichlet",
    ]


@pytest.mark.parametrize("adapt", ["0", "-1", "some", "1.5", ""])
def test_a_number_of_clips_that_is_none_is_refused(tiny, measure, adapt):
    with pytest.raises(UsageError, match=f"--adapt is '{adapt}'; give a number of clips"):
        measure(tiny.run, adapt=adapt)


def test_a_run_that_is_not_finished_says_how_to_finish_it(tiny, measure, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(tiny.run / "recipe.yaml", tmp_path / "run")
    with pytest.raises(UsageError, match=r"run is not finished; give the 'vocalics train' command again"):
        measure(tmp_path / "run")


def test_a_folder_that_is_no_run_is_refused(measure, tmp_path):
    with pytest.raises(UsageError, match="is no run folder"):
        measure(tmp_path)


def test_a_run_that_keeps_nothing_to_test_says_so(tiny, measure, tmp_path):
    shutil.copytree(tiny.run, tmp_path / "run")
    replace(tiny.split, protocol="all", test=()).save(tmp_path / "run" / "split.json")
    with pytest.raises(UsageError, match=r"keeps nothing to test \(protocol 'all'\)"):
        measure(tmp_path / "run")


def test_recordings_without_a_shared_emotion_are_refused(tiny, measure, tmp_path):
    folder = tmp_path / "mine" / "disgust"
    folder.mkdir(parents=True)
    shutil.copy(tiny.manifest.audio_path(tiny.manifest.utterances[0]), folder / "mine.wav")
    with pytest.raises(UsageError, match=r"at least two are needed. They are labelled disgust\."):
        measure(tiny.model, tmp_path / "mine")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"corpora": ["ravdes"]}, UsageError, "ravdess"),
        ({"corpora": ["tess"]}, CorpusError, "nothing of tess"),
        ({"emotions": ["calm", "sad"]}, UsageError, "does not know 'calm'"),
        ({"emotions": ["sad"]}, UsageError, "at least two are needed"),
    ],
)
def test_what_is_not_there_is_one_sentence(tiny, measure, options, error, sentence):
    with pytest.raises(error, match=sentence):
        measure(tiny.model, **options)


def test_missing_data_is_told_with_the_remedy(tiny, measure, tmp_path):
    with pytest.raises(CorpusError, match="Name one with --data"):
        measure(tiny.run, tmp_path / "nowhere")


def test_a_split_that_does_not_exist_is_refused(tiny, measure, tmp_path):
    with pytest.raises(SplitError, match="cannot be read"):
        measure(tiny.model, split=tmp_path / "split.json")
