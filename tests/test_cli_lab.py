"""``vocalics train``, ``evaluate``, ``benchmark`` and ``export``, typed as a user types them."""

import json
import shutil

import pytest

import tiny_corpus
from vocalics.card import METADATA_KEY
from vocalics.lab import training
from vocalics.lab.leaderboard import summarise
from vocalics.lab.log import read_log
from vocalics.lab.module import TrainingModule
from vocalics.recognition.model import Model


@pytest.fixture(autouse=True)
def _own_folders(tiny, tmp_path, monkeypatch):
    """The cache of the tiny training, no data folder but the one that is named, and no gate for tones."""
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)
    monkeypatch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_export(monkeypatch):
    """Leave out the exporter, which takes most of the time; a file says that it would have run."""

    def write(recipe, recogniser, store, means, evidence, path):
        path.write_text(f"{len(evidence.train)} utterances, {evidence.epochs} epochs")

    monkeypatch.setattr(training, "export", write)


# train


@pytest.mark.usefixtures("without_export")
def test_train_prints_the_model_on_stdout_and_how_it_goes_on_stderr(tiny, command):
    run = command("train", tiny.recipe_file, "--data", tiny.data, "-o", "r", "--set", "training.epochs=2")
    assert (run.code, run.out) == (0, "r/model.onnx\n")
    told = run.err.splitlines()
    assert told[0] == (
        "vocalics: tiny: 32 utterances train, 32 validate, 32 are kept for 'vocalics evaluate r'"
    )
    assert [line.partition(": loss")[0] for line in told[1:]] == [
        "vocalics: epoch 1/2",
        "vocalics: epoch 2/2",
    ]


@pytest.mark.usefixtures("without_export")
def test_a_finished_run_says_so(tiny, command):
    call = ("train", tiny.recipe_file, "--data", tiny.data, "-o", "r", "--set", "training.epochs=1")
    command(*call)
    run = command(*call)
    assert (run.code, run.out) == (0, "r/model.onnx\n")
    assert run.err.splitlines()[-1] == "vocalics: the training in r is finished; nothing was done"


@pytest.mark.usefixtures("without_export")
def test_ctrl_c_answers_130_and_says_how_to_go_on(tiny, command, tmp_path, monkeypatch):
    step = TrainingModule.training_step

    def interrupted(module, batch, batch_index):
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        return step(module, batch, batch_index)

    call = ("train", tiny.recipe_file, "--data", tiny.data, "-o", "r", "--set", "training.epochs=3")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", interrupted)
        run = command(*call)
    assert (run.code, run.out) == (130, "")
    assert run.err.splitlines()[-1] == (
        "vocalics: interrupted; give the same command again, and it goes on from the last whole epoch"
    )
    assert not (tmp_path / "r/model.onnx").exists()
    assert len(read_log(tmp_path / "r")) == 2

    resumed = command(*call)
    assert (resumed.code, resumed.out) == (0, "r/model.onnx\n")
    assert "epoch 1/3" not in resumed.err
    assert (tmp_path / "r/model.onnx").read_text() == "32 utterances, 3 epochs"


@pytest.mark.usefixtures("without_export")
def test_a_manifest_trains_on_all_that_is_in_it(tiny, command, tmp_path):
    for number, utterance in enumerate(tiny.manifest):
        shutil.copy(tiny.manifest.audio_path(utterance), tmp_path / f"{number}.wav")
    rows = [f"{n}.wav,{u.emotion},{u.speaker},{u.gender}" for n, u in enumerate(tiny.manifest)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,emotion,speaker,gender", *rows]))
    run = command(
        "train", tiny.recipe_file, "--manifest", "mine.csv", "-o", "r", "--set", "training.epochs=1"
    )
    assert run.code == 0
    assert "corpora:\n- folder\n" in (tmp_path / "r/recipe.yaml").read_text()


@pytest.mark.usefixtures("without_export")
def test_what_the_recipe_does_not_name_is_left_out_and_told(tiny, command):
    few = ("--set", "emotions=[happy, sad, angry]", "--set", "training.epochs=1")
    run = command("train", tiny.recipe_file, "--data", tiny.data, "-o", "r", *few)
    assert run.code == 0
    assert "vocalics: left out: 24 utterances of 'neutral', which the recipe does not name" in run.err


@pytest.mark.usefixtures("without_export")
def test_a_model_to_ship_trains_on_every_speaker(tiny, command, tmp_path):
    run = command(
        "train",
        tiny.recipe_file,
        "--data",
        tiny.data,
        "-o",
        "r",
        "--protocol",
        "all",
        "--set",
        "training.epochs=1",
    )
    assert run.code == 0
    assert (tmp_path / "r/model.onnx").read_text() == "96 utterances, 1 epochs"


@pytest.mark.usefixtures("without_export")
def test_a_split_file_is_an_official_split(tiny, command, tmp_path):
    tiny.split.save(tmp_path / "split.json")
    options = ("--protocol", "official", "--split", "split.json", "--set", "training.epochs=1")
    run = command("train", tiny.recipe_file, "--data", tiny.data, "-o", "r", *options)
    assert run.code == 0
    assert (tmp_path / "r/split.json").read_text() == (tmp_path / "split.json").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--fold", "4"], "fold 4 does not exist; here 'speaker' has folds 1 to 3."),
        (["--fold", "0"], "fold 0 does not exist"),
        (["--protocol", "speakers"], "did you mean 'speaker'?"),
        (["--protocol", "official"], "needs a file"),
        (["--gender", "woman"], "unknown gender 'woman'"),
        (["--set", "training.epoch=3"], "did you mean 'epochs'?"),
        (["--set", "emotions=[calm, disgust]"], "no utterance has one of the recipe's emotions"),
        (["--set", "emotions=[calm, happy, sad]"], "the training part has no utterance for calm"),
        (["--corpus", "tess"], "nothing of tess"),
        (["--corpus", "ravdes"], "ravdess"),
        (["--manifest", "m.csv", "--corpus", "ravdess"], "both given"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_answers_2(tiny, command, options, sentence):
    run = command("train", tiny.recipe_file, "--data", tiny.data, *options)
    assert (run.code, run.out) == (2, "")
    *notes, last = run.err.splitlines()
    assert sentence in last
    assert all(line.startswith("vocalics: ") for line in (*notes, last))


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [("vocalic", "did you mean 'vocalics'?"), ("nowhere.yaml", "there is no recipe file 'nowhere.yaml'")],
)
def test_a_recipe_that_does_not_exist_is_one_sentence(command, recipe, sentence):
    run = command("train", recipe)
    assert run.code == 2
    assert sentence in run.err


def test_another_training_in_the_folder_is_refused(tiny, command):
    run = command(
        "train", tiny.recipe_file, "--data", tiny.data, "-o", tiny.run, "--set", "training.batch_size=9"
    )
    assert run.code == 2
    assert "holds another training (its training.batch_size differ)" in run.err


# evaluate


def test_evaluate_prints_figures_and_writes_them(tiny, command, tmp_path):
    run = command("evaluate", tiny.run, "--data", tiny.data, "--adapt", "5", "-o", "e")
    assert run.code == 0
    assert "tiny on ravdess: speaker" in run.out
    assert "32 clips, 2 speakers, 4 emotions" in run.out
    assert "ravdess/01" in run.out
    assert "5 clips" in run.out
    figures = json.loads((tmp_path / "e/evaluation.json").read_text())
    assert figures["clips"] == 32
    report = (tmp_path / "e/report.md").read_text()
    assert all(emotion in report for emotion in tiny_corpus.EMOTIONS)
    assert f"{100 * figures['uar']['mean']:.1f}" in report
    for emotion, row in zip(figures["emotions"], figures["confusion"], strict=True):  # as a table
        assert " | ".join([emotion, *map(str, row)]) in report


def test_evaluate_refuses_speakers_that_were_trained_on_and_marks_them_if_told_to(tiny, command):
    refused = command("evaluate", tiny.model, "--data", tiny.data)
    assert refused.code == 2
    assert "--allow-seen" in refused.err
    marked = command("evaluate", tiny.model, "--data", tiny.data, "--allow-seen")
    assert marked.code == 0
    assert "trained on 2 of these speakers: not a measure" in marked.out


def test_evaluate_shows_names_as_they_are(tiny, command, tmp_path):
    """A speaker's name may hold brackets, which a terminal library takes for markup."""
    rows = []
    for number, utterance in enumerate(tiny.tested):
        shutil.copy(tiny.tested.audio_path(utterance), tmp_path / f"{number}.wav")
        rows.append(f"{number}.wav,{utterance.emotion},[red]anna[/red]")
    (tmp_path / "mine.csv").write_text("\n".join(["path,emotion,speaker", *rows]))
    run = command("evaluate", tiny.model, "--manifest", "mine.csv")
    assert run.code == 0
    assert "folder/[red]anna[/red]" in run.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["nowhere.onnx"], "there is no model 'nowhere.onnx'"),
        (["."], "is no run folder"),
        (["{model}", "--corpus", "tess", "--data", "{data}"], "nothing of tess"),
        (["{model}", "--data", "nowhere"], "there is no data folder 'nowhere'"),
        (["{run}", "--data", "{data}", "--adapt", "few"], "give a number of clips"),
        (["{run}", "--data", "{data}", "--emotions", "happy,calm"], "does not know 'calm'"),
        (["{run}", "--data", "{data}", "--split", "nowhere.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(tiny, command, options, sentence):
    filled = [option.format(model=tiny.model, run=tiny.run, data=tiny.data) for option in options]
    run = command("evaluate", *filled)
    assert (run.code, run.out) == (2, "")
    assert sentence in run.err
    assert run.err.count("\n") == 1


# benchmark and export


def test_benchmark_measures_what_is_trained_and_writes_the_leaderboard(tiny, command, tmp_path):
    fold = tmp_path / "runs/tiny/ravdess/speaker/fold-1-seed-0"
    shutil.copytree(tiny.run, fold)
    call = ("benchmark", tiny.recipe_file, "--data", tiny.data, "-o", "b", "--runs", "runs", "--fold", "1")
    run = command(*call)
    assert run.code == 0
    assert "tiny, trained on ravdess, tested on ravdess: protocol speaker, 1 of 3 folds" in run.out
    assert "UAR by fold" in run.out
    row = json.loads((tmp_path / "b/leaderboard.json").read_text())[0]
    result = tmp_path / "b/tiny/ravdess/speaker/fold-1-seed-0.json"
    assert row["uar"] == summarise([result])["uar"]
    before = result.read_bytes()
    shutil.rmtree(fold)  # what is measured needs no run any more
    assert command(*call).code == 0
    assert result.read_bytes() == before


def test_benchmark_refuses_a_protocol_that_tests_nothing(tiny, command):
    run = command("benchmark", tiny.recipe_file, "--data", tiny.data, "--protocol", "all", "-o", "b")
    assert run.code == 2
    assert "tests nothing" in run.err


def test_export_writes_the_model_and_prints_where(tiny, command, tmp_path):
    run = command("export", tiny.run, "-o", "out.onnx", "--name", "mine")
    assert (run.code, run.out, run.err) == (0, "out.onnx\n", "")
    assert Model.load(tmp_path / "out.onnx").name == "mine"
    assert METADATA_KEY.encode() in (tmp_path / "out.onnx").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([".", "-o", "out.onnx"], "finish the run with 'vocalics train' first"),
        (["{run}", "-o", "out.pt"], "let its name end in .onnx"),
        (["{run}", "-o", "out.onnx", "--evaluation", "."], "holds no fold-*.json"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(tiny, command, tmp_path, options, sentence):
    run = command("export", *(option.format(run=tiny.run) for option in options))
    assert (run.code, run.out) == (2, "")
    assert sentence in run.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["train", "evaluate", "benchmark", "export"])
def test_every_command_has_help(command, name):
    run = command(name, "--help")
    assert run.code == 0
    assert "--output" in run.out
