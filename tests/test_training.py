"""Training: what is learnt, what is refused, what repeats, and what survives a kill."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import made_manifests
import tiny_corpus
from made_clips import Unheard
from vocalics.errors import LeakError, TrainingError
from vocalics.lab import training
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.log import read_log
from vocalics.lab.manifest import Manifest
from vocalics.lab.module import TrainingModule
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.scores import score
from vocalics.lab.splits import Split
from vocalics.recognition.model import Model

pytestmark = pytest.mark.usefixtures("as_tiny_was_trained")

#: A recipe that does all that has a memory: plateaus, early stopping, a best epoch, averaged weights.
WITH_MEMORY = {
    "epochs": 20,
    "learning_rate": 0.05,
    "label_smoothing": 0.0,
    "schedule": "plateau",
    "plateau_patience": 1,
    "early_stopping_patience": 2,
    "select": "best",
    "average_decay": 0.5,
}


@pytest.fixture
def answers(tiny, monkeypatch):
    """Fit without the exporter, which takes most of the time; returns what the network answers.

    ``answers(recipe, run)`` is (probabilities, embeddings) for the test part.
    """
    heard = []

    def hear(recipe, recogniser, store, *_):
        with torch.inference_mode():
            outputs = [recogniser(torch.from_numpy(store[u.id])[None]) for u in tiny.tested]
        probabilities, embeddings, *_ = zip(*outputs, strict=True)
        heard.append((torch.cat(probabilities).numpy(), torch.cat(embeddings).numpy()))

    monkeypatch.setattr(training, "export", hear)

    def train(recipe, run):
        training.fit(recipe, tiny.manifest, tiny.split, run)
        return heard.pop()

    return train


# What is learnt


def test_a_training_learns_what_is_planted_for_speakers_it_never_heard(tiny):
    scores = score(Model.load(tiny.model), tiny.tested, gate=False)
    right = scores.truth == scores.predicted
    # Noise and three pitches that lie octaves apart: but for the two in sixteen that nobody can tell apart,
    # and of which half are right by chance, a network that listens is right.
    assert right.mean() >= 1 - 2 / tiny_corpus.UTTERANCES


def test_the_log_has_a_row_for_every_epoch(tiny):
    rows = read_log(tiny.run)
    assert [row["epoch"] for row in rows] == list(range(tiny.recipe.training.epochs))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert all({"validation_loss", "validation_accuracy", "validation_uar"} <= row.keys() for row in rows)


def test_the_log_has_validation_figures_only_where_they_were_measured(tiny, tmp_path, answers):
    recipe = load_recipe(tiny.recipe_file, ["training.epochs=4", "training.check_every=2"])
    answers(recipe, tmp_path / "run")
    assert [("validation_uar" in row) for row in read_log(tmp_path / "run")] == [False, True, False, True]


def test_a_training_tells_how_it_goes_and_nothing_else_is_printed(
    tiny, tmp_path, answers, monkeypatch, capfd
):
    told = []
    recipe = load_recipe(tiny.recipe_file, ["training.epochs=2"])
    training.fit(recipe, tiny.manifest, tiny.split, tmp_path / "run", tell=told.append)
    assert [line.split(":")[0] for line in told] == ["epoch 1/2", "epoch 2/2"]
    assert capfd.readouterr() == ("", "")  # no banners of Lightning's


# What repeats


def test_the_same_seed_trains_the_same_model(tiny, tmp_path, answers):
    recipe = load_recipe(tiny.recipe_file, ["training.epochs=3"])
    first, second = (answers(recipe, tmp_path / name) for name in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)  # the same arithmetic in the same order
    other_seed = load_recipe(tiny.recipe_file, ["training.epochs=3", "training.seed=1"])
    assert not np.allclose(first[1], answers(other_seed, tmp_path / "third")[1], rtol=0, atol=1e-3)


# PyTorch warns of two workers on one core, Python 3.12 of a fork beside threads: neither matters here.
@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:This process")
@pytest.mark.parametrize(
    "more", [[], ["augmentation.vocal_tract=[0.9, 1.1]"]], ids=["features by workers", "filters that move"]
)
def test_the_number_of_workers_changes_no_bit(tiny, tmp_path, answers, more):
    few = ["training.epochs=2", *more]
    alone, *helped = (
        answers(load_recipe(tiny.recipe_file, [*few, f"training.workers={n}"]), tmp_path / str(n))
        for n in (0, 1, 2)
    )
    for answered in helped:
        for one, other in zip(alone, answered, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len({(tmp_path / str(n) / "log.csv").read_text() for n in (0, 1, 2)}) == 1


#: Trains, and kills itself once the fourth epoch stands in the log: before its checkpoint is written.
KILLED = """
import os, signal, sys
from vocalics.cli import main
from vocalics.lab import trainer

def log_then_die(run, epoch, figures, log=trainer.log_epoch):
    log(run, epoch, figures)
    if epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

trainer.log_epoch = log_then_die
main(sys.argv[1:])
"""


def in_a_process(*call):
    """Run Python in a process of its own, with one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, call)], env=environment, check=False, capture_output=True, text=True
    )


def killed_training(tiny, recipe_file, run):
    """Train in a process of its own until it is killed after its fourth epoch; returns the call."""
    call = ("train", recipe_file, "--data", tiny.data, "-o", run)
    assert in_a_process("-c", KILLED, *call).returncode == -signal.SIGKILL
    assert [row["epoch"] for row in read_log(run)] == [0, 1, 2, 3]
    assert not (run / "model.onnx").exists()
    return call


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_model_when_the_command_is_given_again(tiny, tmp_path):
    run = tmp_path / "run"
    call = killed_training(tiny, tiny.recipe_file, run)
    resumed = in_a_process("-c", "import sys; from vocalics.cli import main; sys.exit(main())", *call)
    assert (resumed.returncode, resumed.stdout) == (0, f"{run / 'model.onnx'}\n")
    # Lightning, PyTorch and its exporter say nothing; the first epoch of this call is the fourth.
    lines = resumed.stderr.splitlines()
    assert all(line.startswith("vocalics: ") for line in lines)
    assert lines[1].startswith("vocalics: epoch 4/12: loss ")
    assert [row["epoch"] for row in read_log(run)] == list(range(tiny.recipe.training.epochs))

    never_killed, killed = (
        score(Model.load(path), tiny.tested, gate=False) for path in (tiny.model, run / "model.onnx")
    )
    np.testing.assert_allclose(never_killed.probabilities, killed.probabilities, rtol=0, atol=1e-4)
    np.testing.assert_allclose(never_killed.embeddings, killed.embeddings, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_killed_training_remembers_plateau_patience_best_epoch_and_average(tiny, tmp_path, answers):
    recipe_file = tiny_corpus.write_recipe(tmp_path / "tiny.yaml", **WITH_MEMORY)
    recipe = load_recipe(recipe_file)
    never_killed = answers(recipe, tmp_path / "whole")
    whole = read_log(tmp_path / "whole")
    # The test is one of something only if the training stopped early, and on a lower learning rate.
    assert len(whole) < recipe.training.epochs
    assert whole[-1]["learning_rate"] < whole[0]["learning_rate"]

    killed_training(tiny, recipe_file, tmp_path / "killed")
    killed = answers(recipe, tmp_path / "killed")
    for row, expected in zip(read_log(tmp_path / "killed"), whole, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    for one, other in zip(never_killed, killed, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_a_training_that_stopped_early_and_was_killed_before_its_export_does_not_go_on(
    tiny, tmp_path, answers, monkeypatch
):
    recipe = load_recipe(tiny_corpus.write_recipe(tmp_path / "tiny.yaml", **WITH_MEMORY))
    run, hear = tmp_path / "run", training.export

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "export", die)
    with pytest.raises(KeyboardInterrupt):
        training.fit(recipe, tiny.manifest, tiny.split, run)
    before = (run / "log.csv").read_text()
    monkeypatch.setattr(training, "export", hear)
    answers(recipe, run)
    assert (run / "log.csv").read_text() == before


def test_a_finished_run_is_left_as_it_is(tiny, monkeypatch):
    monkeypatch.setattr(training, "run_epochs", lambda *_: pytest.fail("it is trained again"))
    before = tiny.model.read_bytes()
    assert training.fit(tiny.recipe, tiny.manifest, tiny.split, tiny.run) == tiny.model
    assert tiny.model.read_bytes() == before


def test_ctrl_c_ends_a_training_without_an_export_and_leaves_the_signal_alone(
    tiny, tmp_path, answers, monkeypatch
):
    before = signal.getsignal(signal.SIGINT)
    step = TrainingModule.training_step

    def interrupted(module, batch, batch_index):
        if module.current_epoch == 1:
            raise KeyboardInterrupt
        return step(module, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    recipe = load_recipe(tiny.recipe_file, ["training.epochs=3"])
    with pytest.raises(KeyboardInterrupt):
        answers(recipe, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert len(read_log(tmp_path / "run")) == 1
    monkeypatch.setattr(TrainingModule, "training_step", step)
    answers(recipe, tmp_path / "run")
    assert len(read_log(tmp_path / "run")) == 3


# What is refused


@pytest.fixture
def nothing_is_decoded(monkeypatch):
    """Fail as soon as a training begins."""
    monkeypatch.setattr(AudioStore, "build", lambda *_, **__: pytest.fail("a training has begun"))


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_leaky_split_is_refused_before_anything_is_trained(tiny, tmp_path):
    moved = tiny.split.test[0]  # its speaker stays in the test part
    leaky = replace(tiny.split, test=tiny.split.test[1:], train=(*tiny.split.train, moved))
    with pytest.raises(LeakError, match="same speaker"):
        training.fit(tiny.recipe, tiny.manifest, leaky, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_folder_of_another_recipe_is_refused_and_told_what_differs(tiny):
    other = load_recipe(tiny.recipe_file, ["training.epochs=4", "features.n_fft=512"])
    with pytest.raises(TrainingError, match=r"its features\.n_fft, training\.epochs differ"):
        training.fit(other, tiny.manifest, tiny.split, tiny.run)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_folder_of_another_split_is_refused(tiny):
    other = replace(tiny.split, seed=tiny.split.seed + 1)
    with pytest.raises(TrainingError, match="its split differ"):
        training.fit(tiny.recipe, tiny.manifest, other, tiny.run)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_words_and_devices_make_no_other_training(tiny):
    same = load_recipe(tiny.recipe_file, ["description=Other words.", "trainer.devices=2"])
    assert training.fit(same, tiny.manifest, tiny.split, tiny.run) == tiny.model


@pytest.mark.usefixtures("nothing_is_decoded")
def test_an_emotion_without_a_training_utterance_is_refused(tiny, tmp_path):
    recipe = load_recipe(tiny.recipe_file, ["emotions=[neutral, happy, sad, angry, calm]"])
    with pytest.raises(TrainingError, match=r"no utterance for calm; .*--set emotions"):
        training.fit(recipe, tiny.manifest, tiny.split, tmp_path / "run")


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize(
    "setting",
    ["training.schedule=plateau", "training.early_stopping_patience=2", "training.select=best"],
)
def test_a_choice_without_a_validation_part_is_refused(tiny, tmp_path, setting):
    everything = Split("all", 1, 1, 0, train=tuple(u.id for u in tiny.manifest), validation=(), test=())
    with pytest.raises(TrainingError, match="no validation part"):
        training.fit(load_recipe(tiny.recipe_file, [setting]), tiny.manifest, everything, tmp_path / "run")


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_choice_without_a_check_is_refused(tiny, tmp_path):
    recipe = load_recipe(tiny.recipe_file, ["training.select=best", "training.check_every=13"])
    with pytest.raises(TrainingError, match="check_every is 13, more than the 12 epochs"):
        training.fit(recipe, tiny.manifest, tiny.split, tmp_path / "run")


def test_a_training_that_diverges_says_so(tiny, tmp_path, answers):
    recipe = load_recipe(tiny.recipe_file, ["training.learning_rate=1e30", "training.epochs=3"])
    with pytest.raises(TrainingError, match=r"diverged. Lower training\.learning_rate"):
        answers(recipe, tmp_path / "run")


# Very large parts


def test_of_a_very_large_part_an_even_share_of_each_emotion_tells_the_statistics(monkeypatch):
    part = made_manifests.manifest(
        [
            made_manifests.utterance("calls", "a", number, "sad" if number == 7 else "angry")
            for number in range(21)
        ]
    )
    assert training._even_share(part) is part
    monkeypatch.setattr(training, "MOST_CLIPS_HEARD", 7)  # every third
    share = training._even_share(part)
    assert [u.id for u in share if u.emotion == "sad"] == ["calls/a_007"]  # the only one of its kind
    # of the twenty others, which are 0 to 6 and 8 to 20, the 1st, 4th, 7th and so on
    assert [int(u.id[-3:]) for u in share if u.emotion == "angry"] == [0, 3, 6, 10, 13, 16, 19]


def test_a_module_carries_no_utterances_to_the_processes_that_train_it():
    module, train = made_module()
    parcel = pickle.dumps(module)
    assert not any(utterance.id.encode() in parcel for utterance in train)


# One step, in closed form


def made_module(*settings, poor="sad"):
    """A module over two made corpora, of which ``poor`` has nothing of one emotion."""
    rich = made_manifests.spoken_by("rich", {"a": "female"}, per_emotion=2)
    poorer = made_manifests.spoken_by("poor", {"b": "male"}, per_emotion=1)
    train = made_manifests.manifest([*rich, *(u for u in poorer if u.emotion != poor)])
    content = tiny_corpus.RECIPE | {"corpora": ["rich", "poor"]}
    recipe = training.Recipe.model_validate(content)
    for setting in settings:
        key, value = setting.split("=")
        recipe = recipe.model_copy(
            update={"training": recipe.training.model_copy(update={key: type_of(recipe, key)(value)})}
        )
    torch.manual_seed(0)
    return TrainingModule(recipe, Recogniser(recipe), Unheard(), train, Manifest(train.root, ())), train


def type_of(recipe, key):
    return {"mask_missing_emotions": bool, "class_weights": bool}.get(key, float)


LOGITS = [[0.3, -1.2, 0.8, 0.1], [1.5, 0.2, -0.4, -0.6]]


def test_the_loss_is_the_cross_entropy():
    module, _ = made_module("label_smoothing=0")
    logits, targets = torch.tensor(LOGITS), torch.tensor([2, 0])
    loss = module._loss(logits, torch.eye(4)[targets], torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, targets))


def test_label_smoothing_is_that_of_pytorch():
    module, _ = made_module("label_smoothing=0.2")
    logits, targets = torch.tensor(LOGITS), torch.tensor([2, 0])
    loss = module._loss(logits, torch.eye(4)[targets], torch.ones(2, 4, dtype=torch.bool))
    expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.2)
    torch.testing.assert_close(loss, expected)


def test_smoothing_spreads_over_the_emotions_of_the_clip_s_corpus_alone():
    module, _ = made_module("label_smoothing=0.3")
    logits, allowed = torch.tensor(LOGITS[:1]), torch.tensor([[True, True, False, True]])
    loss = module._loss(logits, torch.eye(4)[[0]], allowed)
    # Among the three allowed: 0.7 + 0.1 on the truth, 0.1 on each of the others.
    likelihoods = logits[0, [0, 1, 3]].log_softmax(dim=0)
    torch.testing.assert_close(loss, -(torch.tensor([0.8, 0.1, 0.1]) * likelihoods).sum())


def test_emotions_that_a_corpus_lacks_get_no_gradient_from_its_clips():
    module, train = made_module("mask_missing_emotions=1")
    sad = module.recipe.emotions.index("sad")
    rows = [position for position, utterance in enumerate(train) if utterance.corpus == "poor"]
    logits = torch.randn(len(rows), 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.eye(4)[module._targets[rows]]
    module._loss(logits, targets, module._allowed[rows]).backward()
    assert (logits.grad[:, sad] == 0).all()
    assert (logits.grad[:, [i for i in range(4) if i != sad]] != 0).all()


def test_without_the_mask_every_clip_teaches_every_emotion():
    module, _ = made_module()
    assert module._allowed.all()


def test_class_weights_are_in_inverse_proportion_to_the_counts():
    module, train = made_module("class_weights=1", "label_smoothing=0")
    # 3 neutral, 3 happy, 2 sad, 3 angry of 11: weight n / (4 * count).
    torch.testing.assert_close(module._class_weights, torch.tensor([11 / 12, 11 / 12, 11 / 8, 11 / 12]))
    assert sum(float(module._class_weights[target]) for target in module._targets) == pytest.approx(
        len(train)
    )
    logits, targets = torch.tensor(LOGITS), torch.tensor([2, 0])
    loss = module._loss(logits, torch.eye(4)[targets], torch.ones(2, 4, dtype=torch.bool))
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(loss, (each * torch.tensor([11 / 8, 11 / 12])).mean())


def test_averaged_weights_move_by_their_share():
    module, _ = made_module("average_decay=0.75")
    before = module.averaged.head.bias.clone()
    with torch.no_grad():
        module.recogniser.head.bias.add_(1.0)
    module.on_train_batch_end()
    torch.testing.assert_close(module.averaged.head.bias, before + 0.25)
    module.on_train_batch_end()
    torch.testing.assert_close(module.averaged.head.bias, before + 1 - 0.75**2)
    assert module.trained is module.averaged
    assert not any(parameter.requires_grad for parameter in module.averaged.parameters())
