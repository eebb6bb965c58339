"""Bad recordings of the test part: each is what it says, all models hear the same, losses are paired."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tiny_corpus
from made_manifests import utterance
from sounds import amplitude_of, sine
from vocalics.errors import UsageError
from vocalics.lab import benchmark, metrics
from vocalics.lab.babble import Voices
from vocalics.lab.benchmark import System, run_fold
from vocalics.lab.conditions import (
    CLIPPED_SHARE,
    CONDITIONS,
    MILD_ECHO,
    SAMPLE_RATE,
    SNRS_DB,
    STRONG_ECHO,
    condition_probabilities,
    list_conditions,
    recorded,
)
from vocalics.lab.evaluation import Answers, evaluate
from vocalics.lab.leaderboard import summarise
from vocalics.lab.release import release
from vocalics.lab.scores import score
from vocalics.recognition.model import Model


def noise(seed: int, duration_s: float = 1.5) -> np.ndarray:
    """Noise with the level of a quiet voice, on no grid."""
    rng = np.random.default_rng(seed)
    return (0.05 * rng.standard_normal(round(duration_s * SAMPLE_RATE))).astype(np.float32)


@pytest.fixture
def clips():
    """Utterances of three speakers, and their samples."""
    spoken = [utterance("x", speaker, number) for speaker in "abc" for number in range(2)]
    return {clip: noise(seed, 1.3 + 0.1 * seed) for seed, clip in enumerate(spoken)}


@pytest.fixture
def hear(clips):
    """``hear(name, utterance)`` is what the condition leaves of a clip."""
    store = {clip.id: samples for clip, samples in clips.items()}
    voices = Voices(store, clips)

    def call(name, clip, others=voices):
        waveform = recorded(CONDITIONS[name], store, others, clip)
        assert waveform.sample_rate == SAMPLE_RATE
        return waveform.samples[0].astype(np.float64)

    return call


def decibel(power):
    return 10 * np.log10(power)


# Each condition


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_clip_keeps_its_length_repeats_exactly_and_is_not_changed_itself(name, hear, clips):
    for clip, samples in clips.items():
        before = samples.copy()
        heard = hear(name, clip)
        assert len(heard) == len(samples)
        assert np.array_equal(hear(name, clip), heard)
        assert not np.array_equal(heard, samples)
        assert np.array_equal(samples, before)


@pytest.mark.parametrize(
    "name", [name for name in CONDITIONS if name.startswith(("white", "babble", "echo"))]
)
def test_what_is_drawn_follows_from_condition_and_utterance(name, clips):
    same = noise(0)
    store = {clip.id: same for clip in clips}  # the same sound, so that only the draw differs
    first, second = list(clips)[:2]  # of one speaker
    one, other = (
        recorded(CONDITIONS[name], store, Voices(store, clips), clip).samples for clip in (first, second)
    )
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("snr_db", SNRS_DB)
@pytest.mark.parametrize("kind", ["white", "babble"])
def test_noise_stands_at_the_ratio_that_it_is_named_by(kind, snr_db, hear, clips):
    for clip, samples in clips.items():
        added = hear(f"{kind}-{snr_db}db", clip) - samples
        ratio = np.mean(samples.astype(np.float64) ** 2) / np.mean(added**2)
        # of 20,000 normal values the power varies by 1 %, 0.04 dB; babble has its power by construction
        assert decibel(ratio) == pytest.approx(snr_db, abs=0.2)


def test_babble_is_of_other_speakers_alone(hear, clips):
    for clip, samples in clips.items():
        added = hear("babble-5db", clip) - samples
        for other, voice in clips.items():
            size = 2 ** int(np.ceil(np.log2(len(added) + len(voice))))
            likeness = np.fft.irfft(np.fft.rfft(added, size) * np.conj(np.fft.rfft(voice, size)), size)
            peak = np.abs(likeness).max() / np.linalg.norm(added) / np.linalg.norm(voice)
            # four voices come in full, each a quarter of the power; noise alike by chance stays below 5 / 145
            assert (peak > 0.15) == (other.speaker != clip.speaker)


def test_a_telephone_lets_nothing_through_beyond_its_band(hear, clips):
    heard = hear("telephone", next(iter(clips)))
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    frequencies = np.fft.rfftfreq(len(heard), 1 / SAMPLE_RATE)
    inside = power[(frequencies > 300) & (frequencies < 3_400)].sum()
    assert decibel(power[frequencies > 3_600].sum() / inside) < -60
    assert decibel(power[frequencies < 140].sum() / inside) < -60


def test_a_telephone_keeps_what_lies_in_its_band_but_for_the_steps_of_its_code():
    clip, tone = utterance("x", "a", 0), sine(1_000, SAMPLE_RATE, duration_s=1, amplitude=0.3)
    heard = recorded(CONDITIONS["telephone"], {clip.id: tone}, None, clip).samples[0]
    assert amplitude_of(heard[4_000:-4_000], 1_000, SAMPLE_RATE) == pytest.approx(0.3, rel=0.02)
    rest = (heard - tone)[4_000:-4_000].astype(np.float64)
    # 8 bits of mu-law are told to leave a ratio of 38 dB to a sine; the band keeps three quarters of the rest
    assert 35 < decibel(0.3**2 / 2 / np.mean(rest**2)) < 45


def test_mp3_keeps_every_sample_in_its_place_and_loses_something():
    clip = utterance("x", "a", 0)
    tones = sum(sine(tone, SAMPLE_RATE, duration_s=1.234, amplitude=0.1) for tone in (300, 1_000, 2_500))
    heard = recorded(CONDITIONS["mp3"], {clip.id: tones}, None, clip).samples[0]
    assert len(heard) == len(tones)
    likeness = np.corrcoef(heard, tones)[0, 1]
    assert 0.99 < likeness < 1  # a sample beside, the highest tone would be at cos(2 pi 2500 / 16000) = 0.56
    assert np.abs(heard - tones).max() > 1e-4


@pytest.mark.parametrize(("name", "room"), [("echo-mild", MILD_ECHO), ("echo-strong", STRONG_ECHO)])
def test_an_echo_follows_the_direct_sound_at_its_ratio(name, room):
    clip, impulse = utterance("x", "a", 0), np.zeros(2 * SAMPLE_RATE, np.float32)
    impulse[0] = 0.5
    heard = recorded(CONDITIONS[name], {clip.id: impulse}, None, clip).samples[0].astype(np.float64)
    rt60_s, direct_db = room
    assert heard[0] == pytest.approx(0.5, abs=1e-5)
    assert decibel(heard[0] ** 2 / np.sum(heard[1:] ** 2)) == pytest.approx(direct_db, abs=0.01)
    over = round(rt60_s * SAMPLE_RATE)
    assert np.abs(heard[over:]).max() < 1e-5  # 60 dB down it ends


def test_a_quiet_recording_is_thirty_decibels_down_in_steps_of_sixteen_bits(hear, clips):
    clip, samples = next(iter(clips.items()))
    heard = hear("quiet", clip)
    assert np.array_equal(heard * 32_768, np.rint(heard * 32_768))
    # rounding adds a step's power over twelve; against 0.05 / 31.6 = 52 steps that is nothing
    assert decibel(np.mean(heard**2) / np.mean(samples.astype(np.float64) ** 2)) == pytest.approx(
        -30, abs=0.01
    )


def test_clipping_cuts_one_sample_in_twenty(hear, clips):
    for clip, samples in clips.items():
        loudness = np.abs(hear("clipped", clip))
        assert np.mean(loudness == loudness.max()) == pytest.approx(CLIPPED_SHARE, abs=2 / len(samples))


# By name


def test_all_are_every_condition_and_names_come_in_the_order_of_the_table():
    assert list_conditions("all") == tuple(CONDITIONS)
    assert list_conditions("clipped, white-5db,mp3,mp3") == ("white-5db", "mp3", "clipped")


@pytest.mark.parametrize(
    ("wanted", "remedy"),
    [
        ("telefone", "did you mean 'telephone'"),
        ("", "known: all, white-20db"),
        ("all,mp3", "no condition 'all'"),
    ],
)
def test_a_condition_that_does_not_exist_is_refused(wanted, remedy):
    with pytest.raises(UsageError, match=remedy):
        list_conditions(wanted)


# Figures


def counts(right, wrong):
    """The confusion matrix of two emotions with as many clips of each."""
    return np.array([[right, wrong], [wrong, right]])


def made_answers(by_speaker):
    """Answers of two emotions that have these confusion matrices."""
    rows = [
        (speaker, truth, answer)
        for speaker, matrix in by_speaker.items()
        for truth in (0, 1)
        for answer in (0, 1)
        for _ in range(matrix[truth, answer])
    ]
    speakers, truth, answered = zip(*rows, strict=True)
    return Answers(
        emotions=("happy", "sad"),
        ids=tuple(f"x/{i}" for i in range(len(rows))),
        truth=np.array(truth),
        speakers=speakers,
        genders=("female",) * len(rows),
        corpora=("x",) * len(rows),
        probabilities=0.1 + 0.8 * np.eye(2)[list(answered)],
        no_speech=np.zeros(len(rows), dtype=bool),
        thresholds=np.zeros(len(rows)),
    )


def test_a_loss_is_what_each_speaker_loses():
    plain = {f"x/{i}": counts(8 + i % 2, 2 - i % 2) for i in range(8)}
    worse = {name: counts(matrix[0, 0] - 3, matrix[0, 1] + 3) for name, matrix in plain.items()}
    heard = {"mp3": made_answers(worse).probabilities, "quiet": made_answers(plain).probabilities}
    told = evaluate(made_answers(plain), None, heard)["conditions"]
    # 85 % on average; every speaker loses 3 of 10, so every draw of speakers does
    assert told["mp3"]["uar"]["mean"] == pytest.approx(0.55)
    assert told["mp3"]["uar_lost"] == pytest.approx({"mean": 0.3, "low": 0.3, "high": 0.3})
    assert told["quiet"]["uar_lost"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert told["quiet"]["uar"]["low"] < 0.85 < told["quiet"]["uar"]["high"]
    assert told["mp3"]["accuracy"]["mean"] == pytest.approx(0.55)
    assert told["mp3"]["ece"] == pytest.approx(0.9 - 0.55)  # every made answer is 90 % sure
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_loss_of_few_speakers_has_no_interval():
    plain = {f"x/{i}": counts(8, 2) for i in range(metrics.speakers.MINIMUM_SPEAKERS - 1)}
    answers = made_answers(plain)
    lost = evaluate(answers, None, {"mp3": answers.probabilities})["conditions"]["mp3"]["uar_lost"]
    assert lost == {"mean": 0.0, "low": None, "high": None}


# A model file


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """A cache of its own, and no gate for tones."""
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)
    monkeypatch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)


def test_a_model_answers_every_clip_under_every_condition(tiny):
    model, among = Model.load(tiny.model), tiny_corpus.EMOTIONS
    found = condition_probabilities(model, tiny.tested, list(among), ["white-5db", "quiet"], tiny.manifest)
    assert list(found) == ["white-5db", "quiet"]
    assert all(heard.shape == (len(tiny.tested), len(among)) for heard in found.values())
    plain = score(model, tiny.tested, gate=False).probabilities
    # it measures levels under the loudest; 30 dB and 16 bits are not heard
    np.testing.assert_array_equal(found["quiet"].argmax(axis=1), plain.argmax(axis=1))
    # anger is noise there, and all else has noise now
    assert (found["white-5db"].argmax(axis=1) == len(among) - 1).sum() > 8


def test_voices_come_from_all_recordings_where_the_test_part_has_one_speaker(tiny):
    alone = tiny.tested.filter(lambda clip: clip.speaker == "01")
    call = (Model.load(tiny.model), alone, list(tiny_corpus.EMOTIONS), ["babble-20db"])
    assert len(condition_probabilities(*call, tiny.manifest)["babble-20db"]) == len(alone)
    with pytest.raises(UsageError, match="there is 1 in all; add recordings of others"):
        condition_probabilities(*call, alone)
    unknown = replace(tiny.manifest, utterances=tuple(replace(u, speaker="") for u in tiny.manifest))
    with pytest.raises(UsageError, match="do not say who speaks"):
        condition_probabilities(*call, unknown)


def test_evaluate_prints_writes_and_reports_them(tiny, command, tmp_path):
    run = command(
        "evaluate", tiny.run, "--data", tiny.data, "--conditions", "babble-20db,mp3", "-o", tmp_path / "e"
    )
    assert run.code == 0
    figures = json.loads((tmp_path / "e/evaluation.json").read_text())["conditions"]
    assert list(figures) == ["babble-20db", "mp3"]
    lost = f"{100 * figures['mp3']['uar_lost']['mean']:.1f}"
    (row,) = [line.split() for line in run.out.splitlines() if line.strip().startswith("mp3")]
    assert row[-1] == lost
    report = (tmp_path / "e/report.md").read_text()
    uar, accuracy = (f"{100 * figures['mp3'][name]['mean']:.1f} %" for name in ("uar", "accuracy"))
    ece = f"{figures['mp3']['ece']:.3f}"
    assert f"| mp3 | {uar} | {lost.replace('-', '−')} | {accuracy} | {ece} |" in report
    assert (tmp_path / "e/conditions.png").is_file()


def test_a_wrong_condition_is_one_sentence_before_anything_is_read(tiny, command):
    run = command("evaluate", "nowhere.onnx", "--data", "nowhere", "--conditions", "mp4")
    assert (run.code, run.out) == (2, "")
    assert "there is no condition 'mp4'; did you mean 'mp3'?" in run.err


# Folds


@pytest.fixture
def fold(tiny, tmp_path, monkeypatch):
    """Measure fold 1 in which the tiny model is trained: ``fold(*conditions)`` is what its file holds."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    shutil.copytree(tiny.run, runs / "tiny/ravdess/speaker/fold-1-seed-0")

    def measure(*conditions):
        system = System(tiny.recipe, "speaker")
        path = run_fold(system, tiny.manifest, tiny.split, results, runs, "", conditions=conditions)
        return json.loads(path.read_text())

    return measure


def test_a_fold_keeps_what_the_model_answers(tiny, fold):
    result = fold("quiet", "mp3")
    found = condition_probabilities(
        Model.load(tiny.model), tiny.tested, list(tiny_corpus.EMOTIONS), ["quiet", "mp3"], tiny.manifest
    )
    assert list(result["conditions"]) == ["quiet", "mp3"]
    for name, heard in found.items():
        np.testing.assert_allclose(result["conditions"][name], heard, rtol=5e-3)  # three digits


def test_conditions_are_added_without_a_training_and_the_rest_stays(fold, monkeypatch):
    plain = fold()
    assert "conditions" not in plain
    monkeypatch.setattr(benchmark, "fit", lambda *_, **__: pytest.fail("a fold is trained again"))
    first = fold("quiet")
    assert first == plain | {"conditions": {"quiet": first["conditions"]["quiet"]}}
    both = fold("clipped", "quiet")
    assert list(both["conditions"]) == ["quiet", "clipped"]
    assert both["conditions"]["quiet"] == first["conditions"]["quiet"]
    assert fold() == both  # what is there stays


def test_conditions_that_are_there_need_no_model(fold, tmp_path):
    result = fold("quiet")
    shutil.rmtree(tmp_path / "runs")
    assert fold("quiet") == result
    with pytest.raises(
        UsageError, match=r"lacks the conditions mp3, and the model .*model\.onnx, is gone; train"
    ):
        fold("quiet", "mp3")


@pytest.mark.parametrize("changed", [{"temperature": 9.0}, {"abstain_below": 0.9}, {"seed": 1}])
def test_another_model_in_the_run_is_not_measured_in_the_place_of_the_first(fold, tmp_path, changed):
    fold()
    (path,) = (tmp_path / "results").rglob("fold-*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UsageError, match=r"model\.onnx is another model than the one it was made with"):
        fold("quiet")


def test_folds_are_summed_up_over_speakers_once_all_have_a_condition(fold, tmp_path):
    result = fold("quiet", "white-5db")
    (path,) = (tmp_path / "results").rglob("fold-*.json")
    summary = summarise([path])
    assert list(summary["conditions"]) == ["quiet", "white-5db"]
    emotions = tuple(result["recipe"]["emotions"])
    truth = np.array([emotions.index(name) for name in result["clips"]["truth"]])
    heard = np.array(result["conditions"]["white-5db"])
    pooled = metrics.confusion(truth, heard.argmax(axis=1), emotions)
    noisy = summary["conditions"]["white-5db"]
    assert noisy["ece"] == pytest.approx(metrics.ece(heard / heard.sum(axis=1, keepdims=True), truth, 10))
    assert noisy["uar"]["mean"] == pytest.approx(metrics.uar(pooled))
    assert noisy["uar_lost"]["mean"] == pytest.approx(summary["uar"]["mean"] - metrics.uar(pooled))

    def renamed(name):
        return f"{name}-b"

    second = json.loads(path.read_text())
    second["fold"], second["clips"]["id"] = 2, [renamed(name) for name in second["clips"]["id"]]
    second["clips"]["speaker"] = [renamed(name) for name in second["clips"]["speaker"]]
    second["adapted"] = {
        setting: {renamed(name): rows for name, rows in by_speaker.items()}
        for setting, by_speaker in second["adapted"].items()
    }
    del second["conditions"]["white-5db"]
    other = path.with_name("fold-2-seed-0.json")
    other.write_text(json.dumps(second))
    both = summarise([path, other])["conditions"]
    assert list(both) == ["quiet"]  # the other fold was not heard in noise
    assert both["quiet"]["uar"]["mean"] == pytest.approx(summary["conditions"]["quiet"]["uar"]["mean"])
    del second["conditions"]
    other.write_text(json.dumps(second))
    assert "conditions" not in summarise([path, other])  # folds from before there were any


def test_a_release_carries_them_in_its_card(tiny, fold, tmp_path):
    fold("quiet")
    (path,) = (tmp_path / "results").rglob("fold-*.json")
    release(tiny.run, tmp_path / "out.onnx", [path.parent])
    told = Model.load(tmp_path / "out.onnx").card.evaluation["ravdess, speaker"]
    assert told["conditions"] == summarise([path])["conditions"]


def test_benchmark_measures_them_from_the_command_line(tiny, command, tmp_path):
    shutil.copytree(tiny.run, tmp_path / "runs/tiny/ravdess/speaker/fold-1-seed-0")
    call = (
        "benchmark",
        tiny.recipe_file,
        "--data",
        tiny.data,
        "-o",
        tmp_path / "b",
        "--runs",
        tmp_path / "runs",
    )
    run = command(*call, "--fold", "1", "--conditions", "quiet")
    assert run.code == 0, run.err
    assert "lost, points" in run.out
    (summary,) = (tmp_path / "b").rglob("summary-*.json")
    assert list(json.loads(summary.read_text())["conditions"]) == ["quiet"]
