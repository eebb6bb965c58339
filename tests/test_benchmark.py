"""Benchmarks: folds are measured once, go on where they stopped, and sum up to the contract's rows."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tiny_corpus
from vocalics.errors import SplitError, UsageError
from vocalics.lab import benchmark
from vocalics.lab.benchmark import System, run_fold, run_system
from vocalics.lab.leaderboard import read_answers, rows_of, summarise, write_leaderboard
from vocalics.lab.recipes import load_recipe
from vocalics.lab.release import release
from vocalics.lab.scores import score
from vocalics.lab.splits import make_splits
from vocalics.lab.standings import interval_text, markdown
from vocalics.recognition.model import Model

#: Keys of a row, in the order of DESIGN's contract; also where it was tested, and how many folds there are.
ROW = [
    "recipe",
    "corpora",
    "tested_on",
    "emotions",
    "protocol",
    "gender",
    "folds",
    "folds_of_protocol",
    "adapted_clips",
    "uar",
    "accuracy",
    "macro_f1",
    "train_accuracy",
    "recall",
    "ece",
    "seeds",
    "parameters",
    "claim",
    "command",
]


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch):
    """Whether tones are speech is not asked: it takes longer than all else."""
    monkeypatch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """A folder of runs in which every fold is trained: the tiny model stands for each."""
    folder = tmp_path_factory.mktemp("runs")
    for split in make_splits(tiny.manifest, seed=0, validation_share=tiny.recipe.training.validation_share):
        run = folder / "tiny" / "ravdess" / "speaker" / f"fold-{split.fold}-seed-0"
        shutil.copytree(tiny.run, run)
        split.save(run / "split.json")
    return folder


@pytest.fixture(scope="module")
def measured(tiny, runs, tmp_path_factory):
    """The folder of a whole benchmark."""
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)
        run_system(System(tiny.recipe, "speaker"), tiny.manifest, results, runs, "vocalics benchmark tiny")
    return results


@pytest.fixture
def results(measured, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(measured, tmp_path / "results")


def folds_of(results):
    return sorted(results.glob("tiny/ravdess/speaker/fold-*.json"))


# Folds


def test_a_fold_is_what_the_model_answers_to_its_test_part(tiny, measured):
    result = json.loads(folds_of(measured)[0].read_text())
    answers = read_answers(result)
    scores = score(Model.load(tiny.model), tiny.tested, gate=False)
    assert answers.ids == tuple(u.id for u in tiny.tested)
    np.testing.assert_array_equal(answers.truth, scores.truth)
    np.testing.assert_allclose(answers.probabilities, scores.probabilities, rtol=1e-4, atol=0)  # five digits
    assert answers.speakers == tuple(scores.speakers)
    assert set(answers.thresholds) == {Model.load(tiny.model).card.abstain_below}


def test_a_fold_says_how_it_was_made(tiny, measured):
    result = json.loads(folds_of(measured)[0].read_text())
    told = {
        key: result[key] for key in ("split_digest", "protocol", "gender", "fold", "folds", "seed", "epochs")
    }
    assert told == {
        "split_digest": tiny.split.digest,
        "protocol": "speaker",
        "gender": None,
        "fold": 1,
        "folds": 3,
        "seed": 0,
        "epochs": tiny.recipe.training.epochs,
    }
    assert result["command"] == "vocalics benchmark tiny"
    assert result["recipe"] == tiny.recipe.model_dump(mode="json")
    assert 0 < result["train_accuracy"] <= 1


def test_a_second_call_trains_nothing(tiny, results, monkeypatch):
    monkeypatch.setattr(benchmark, "fit", lambda *_, **__: pytest.fail("a fold is trained again"))
    before = [path.read_bytes() for path in folds_of(results)]
    done = run_system(System(tiny.recipe, "speaker"), tiny.manifest, results, results / "none", "another")
    assert done == folds_of(results)
    assert [path.read_bytes() for path in done] == before


def test_an_interrupted_benchmark_trains_what_is_missing_and_nothing_else(tiny, runs, results, monkeypatch):
    lost = folds_of(results)[1]
    before = lost.read_bytes()
    lost.unlink()
    trained = []

    def watched(recipe, manifest, split, *others, fit=benchmark.fit, **options):
        trained.append(split.fold)
        return fit(recipe, manifest, split, *others, **options)

    monkeypatch.setattr(benchmark, "fit", watched)
    run_system(System(tiny.recipe, "speaker"), tiny.manifest, results, runs, "vocalics benchmark tiny")
    assert trained == [2]
    assert lost.read_bytes() == before


def test_only_the_folds_that_are_named_are_measured(tiny, runs, tmp_path):
    system = System(tiny.recipe, "speaker")
    told = []
    done = run_system(system, tiny.manifest, tmp_path, runs, "", folds=[3], tell=told.append)
    assert done == [tmp_path / "tiny/ravdess/speaker/fold-3-seed-0.json"] == folds_of(tmp_path)
    assert told[0] == "tiny/ravdess/speaker: fold 3 of 3"
    assert told[-1].startswith("tiny/ravdess/speaker: fold 3 UAR 0.")


def test_a_result_of_another_recipe_is_refused_and_told_what_differs(tiny, results):
    other = System(load_recipe(tiny.recipe_file, ["training.epochs=3"]), "speaker")
    with pytest.raises(UsageError, match=r"its training\.epochs differ"):
        run_fold(other, tiny.manifest, tiny.split, results, results / "none", "")


def test_a_result_of_another_split_is_refused(tiny, results):
    with pytest.raises(UsageError, match="its split differ"):
        run_fold(
            System(tiny.recipe, "speaker"),
            tiny.manifest,
            replace(tiny.split, seed=7),
            results,
            results / "x",
            "",
        )


def test_a_result_holds_on_other_devices_and_in_other_words(tiny, results, monkeypatch):
    monkeypatch.setattr(benchmark, "fit", lambda *_, **__: pytest.fail("a fold is trained again"))
    same = load_recipe(
        tiny.recipe_file, ["trainer.accelerator=gpu", "description=Other words.", "claim=99 %"]
    )
    run_fold(System(same, "speaker"), tiny.manifest, tiny.split, results, results / "none", "")


def test_a_fold_that_does_not_exist_is_refused(tiny, tmp_path):
    with pytest.raises(SplitError, match="has folds 1 to 3"):
        run_system(System(tiny.recipe, "speaker"), tiny.manifest, tmp_path, tmp_path, "", folds=[4])


def test_a_protocol_that_tests_nothing_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="tests nothing"):
        run_system(System(tiny.recipe, "all"), tiny.manifest, tmp_path, tmp_path, "")


def test_speakers_of_one_gender_have_a_folder_of_their_own(tiny):
    folder = System(tiny.recipe, "speaker", "female").folder
    assert folder.as_posix() == "tiny/ravdess/speaker-female"


def test_unknown_speakers_are_measured_without_adaptation(tiny, tmp_path, monkeypatch):
    nobody = replace(
        tiny.manifest, utterances=tuple(replace(u, speaker="", gender="") for u in tiny.manifest)
    )
    monkeypatch.setattr(benchmark, "fit", lambda *_, **__: tiny.model)
    (path,) = run_system(System(tiny.recipe, "random"), nobody, tmp_path, tmp_path / "none", "", folds=[1])
    assert json.loads(path.read_text())["adapted"] == {}
    assert rows_of(summarise([path]))[0]["uar"]["mean"] > 0


# Rows


def test_a_row_has_exactly_the_keys_of_the_contract(results):
    write_leaderboard(results)
    rows = json.loads((results / "leaderboard.json").read_text())
    assert [list(row) for row in rows] == [ROW] * len(rows)
    assert [row["adapted_clips"] for row in rows] == [0, 1, 3, 5, 10, 20, "all"]
    plain = rows[0]
    assert (plain["recipe"], plain["corpora"], plain["tested_on"]) == ("tiny", ["ravdess"], ["ravdess"])
    assert (plain["emotions"], plain["protocol"], plain["gender"], plain["folds"]) == (4, "speaker", None, 3)
    assert (plain["seeds"], plain["claim"]) == (1, None)
    assert (
        plain["uar"].keys() == plain["accuracy"].keys() == plain["macro_f1"].keys() == {"mean", "low", "high"}
    )


def test_the_pooled_figure_is_that_of_all_clips(tiny, measured):
    summary = summarise(folds_of(measured))
    scores = score(Model.load(tiny.model), tiny.manifest, gate=False)  # one model stands for every fold
    recalls = [
        (scores.predicted == scores.truth)[scores.truth == emotion].mean()
        for emotion in range(len(tiny_corpus.EMOTIONS))
    ]
    assert summary["clips"] == len(tiny.manifest)
    assert summary["uar"]["mean"] == pytest.approx(np.mean(recalls))
    # Folds are equally large, and every emotion is equally frequent in each: their mean is the pool's figure.
    assert np.mean(summary["uar_by_fold"]) == pytest.approx(np.mean(recalls))
    assert (summary["folds"], summary["folds_of_protocol"], summary["speakers"]) == (3, 3, 6)
    assert summary["uar"]["low"] <= summary["uar"]["mean"] <= summary["uar"]["high"]


def with_seed(results, seed, change):
    """Write the folds once more as if of another seed."""
    for path in folds_of(results):
        if path.name.endswith("seed-0.json"):
            result = json.loads(path.read_text())
            result["seed"] = result["recipe"]["training"]["seed"] = seed
            change(result)
            path.with_name(path.name.replace("seed-0", f"seed-{seed}")).write_text(json.dumps(result))


def all_wrong(result):
    """Shift the truth by one emotion, so that other answers are right."""
    emotions = result["recipe"]["emotions"]
    result["clips"]["truth"] = [emotions[emotions.index(name) - 1] for name in result["clips"]["truth"]]


def test_several_seeds_give_mean_and_deviation_and_never_the_best(results):
    first = summarise(folds_of(results))
    with_seed(results, 1, all_wrong)
    both = summarise(folds_of(results))
    second = summarise([path for path in folds_of(results) if "seed-1" in path.name])
    assert both["seeds"] == 2
    assert both["uar"] == first["uar"]
    values = [first["uar"]["mean"], second["uar"]["mean"]]
    assert both["uar_by_seed"]["mean"] == pytest.approx(np.mean(values))
    assert both["uar_by_seed"]["deviation"] == pytest.approx(abs(values[0] - values[1]) / np.sqrt(2))


def test_a_seed_that_is_not_finished_does_not_count(results):
    with_seed(results, 1, all_wrong)
    folds_of(results)[-1].unlink()  # fold 3 of seed 1
    assert summarise(folds_of(results)) == summarise([p for p in folds_of(results) if "seed-0" in p.name])


def test_systems_of_several_corpora_have_a_row_for_each(results):
    def renamed(speaker):
        return speaker.replace("ravdess", "songs") if speaker.endswith(("1", "3", "8")) else speaker

    for path in folds_of(results):
        result = json.loads(path.read_text())
        result["recipe"]["corpora"] = ["ravdess", "songs"]
        clips = result["clips"]
        clips["speaker"] = [renamed(speaker) for speaker in clips["speaker"]]
        clips["corpus"] = [speaker.split("/")[0] for speaker in clips["speaker"]]
        result["adapted"] = {
            setting: {renamed(speaker): counts for speaker, counts in by_speaker.items()}
            for setting, by_speaker in result["adapted"].items()
        }
        path.write_text(json.dumps(result))
    rows = [row for summary in write_leaderboard(results) for row in rows_of(summary)]
    plain = {tuple(row["tested_on"]): row for row in rows if row["adapted_clips"] == 0}
    assert set(plain) == {("ravdess", "songs"), ("ravdess",), ("songs",)}
    assert all(row["corpora"] == ["ravdess", "songs"] for row in rows)
    # Three speakers each, equally many clips of each emotion: the whole is the mean of the two.
    parts = [plain["ravdess",]["uar"]["mean"], plain["songs",]["uar"]["mean"]]
    assert plain["ravdess", "songs"]["uar"]["mean"] == pytest.approx(np.mean(parts))


def test_the_table_tells_each_system_plain_and_adapted(results):
    (summary,) = write_leaderboard(results)
    told = (results / "leaderboard.md").read_text()
    assert told == markdown([summary], "leaderboard.svg")
    figures = (interval_text(summary[name]) for name in ("accuracy", "uar", "macro_f1"))
    line = " | ".join(["| `tiny`", "ravdess", "ravdess (4 emotions)", "`speaker`", "3", *figures, ""])
    assert line in told
    adapted = (interval_text(summary["adapted"][n]["uar"]) for n in ("1", "3", "5", "10", "20", "all"))
    assert " | ".join([interval_text(summary["uar"]), *adapted]) + " |" in told
    changes = {
        name.removeprefix("only-"): 100 * (figures["uar"]["mean"] - summary["uar"]["mean"])
        for name, figures in summary["adapted"].items()
        if name.startswith("only-")
    }
    worst = min(changes, key=changes.get)
    share = 100 * summary["adapted"]["10"]["speakers_not_worse"]
    picture = f"[picture]({summary['folder']}/adapted-ravdess.svg)"
    assert f"| {changes[worst]:+.1f} ({worst}) | {share:.0f} % | {picture} |" in told
    assert (results / summary["folder"] / "adapted-ravdess.svg").is_file()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="run 'vocalics benchmark' first"):
        summarise(list(tmp_path.glob("*.json")))


def test_one_command_compares_the_mixed_model_with_those_of_one_gender(tiny, command, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "fit", lambda *_, **__: tiny.model)  # one model stands for every fold
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    call = ("benchmark", tiny.recipe_file, "--data", tiny.data, "-o", tmp_path / "b")
    run = command(*call, "--gender", "female", "--gender", "mixed")
    assert run.code == 0
    _, _, table = run.out.partition("tiny, mixed, female and male models: ravdess, protocol speaker")
    *columns, mixed, female = table.strip().splitlines()
    assert {"train", "accuracy", "UAR", "claim"} <= set(" ".join(columns).split())
    assert (mixed.split()[0], female.split()[0]) == ("mixed", "female")
    told = {row["gender"]: row for row in json.loads((tmp_path / "b/leaderboard.json").read_text())}
    assert told.keys() == {None, "female"}
    # The same model answers the same clips, whichever folds they lie in.
    assert female.split()[-1] == f"{100 * told['female']['accuracy']['mean']:.1f}"
    assert "## Mixed, female and male models" in (tmp_path / "b/leaderboard.md").read_text()
    alone = command(*call, "--gender", "female")
    assert "tested on ravdess: protocol speaker, female speakers, 3 of 3 folds" in alone.out
    assert "mixed" not in alone.out


def test_a_gender_that_is_not_known_is_refused_before_anything_is_trained(tiny, command, tmp_path):
    run = command(
        "benchmark", tiny.recipe_file, "--gender", "female", "--gender", "woman", "-o", tmp_path / "b"
    )
    assert run.code == 2
    assert "'woman' is not one of 'mixed', 'female', 'male'" in run.err


# Evidence for a release


def test_a_release_carries_temperature_and_figures_of_its_folds(tiny, results, tmp_path):
    folder = folds_of(results)[0].parent
    for path, temperature in zip(folds_of(results), (1.0, 2.0, 4.0), strict=True):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": temperature}))
    release(tiny.run, tmp_path / "out.onnx", [folder], name="shipped")
    card = Model.load(tmp_path / "out.onnx").card
    assert card.name == "shipped"
    assert card.head.temperature == pytest.approx(2.0)  # the geometric mean
    assert "3 folds" in card.training["calibration"]
    figures, summary = card.evaluation["ravdess, speaker"], summarise(folds_of(results))
    assert figures["uar"] == summary["uar"]
    assert set(figures["adapted"]) >= {"1", "3", "5", "10", "20", "all", f"only-{card.emotions[0]}"}
    assert card.evaluation["note"].startswith("Figures of the recipe's folds")


def test_folds_of_another_recipe_are_no_evidence(tiny, results, tmp_path):
    path = folds_of(results)[2]
    result = json.loads(path.read_text())
    result["recipe"]["training"]["epochs"] = 99
    path.write_text(json.dumps(result))
    with pytest.raises(UsageError, match=r"another recipe \(its training\.epochs differ\)"):
        release(tiny.run, tmp_path / "out.onnx", [path.parent])


def test_folds_with_a_deliberate_leak_are_no_evidence(tiny, results, tmp_path):
    path = folds_of(results)[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"leaky": True}))
    with pytest.raises(UsageError, match="deliberate leak, which is no evidence"):
        release(tiny.run, tmp_path / "out.onnx", [path.parent])


def test_folds_of_other_seeds_are_evidence_too(tiny, results, tmp_path):
    with_seed(results, 1, lambda _: None)
    release(tiny.run, tmp_path / "out.onnx", [folds_of(results)[0].parent])
    assert Model.load(tmp_path / "out.onnx").card.evaluation["ravdess, speaker"]["seeds"] == 2


def test_a_folder_without_folds_is_no_evidence(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"holds no fold-\*\.json"):
        release(tiny.run, tmp_path / "out.onnx", [tmp_path])
