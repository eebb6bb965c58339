"""The deliberate leak: it leaks indeed, says so everywhere, and is reached by the benchmark alone."""

import ast
import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import tiny_corpus
from vocalics.errors import LeakError, UsageError
from vocalics.lab import augment, leaks, training
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.audit import audit
from vocalics.lab.benchmark import System, run_system
from vocalics.lab.dataset import clip_rng
from vocalics.lab.leaderboard import write_leaderboard
from vocalics.lab.leak_report import COLUMNS, above_honest, leak_table, list_leaks, write_leaks
from vocalics.lab.recipes import load_recipe
from vocalics.lab.recipes.schema import AugmentationSettings
from vocalics.lab.splits import load_split, make_splits
from vocalics.recognition.model import Model

ROOT = Path(__file__).parents[1]

#: Copies of a clip: two are enough to stand on three sides.
COPIES = 2

#: The tiny recipe with so many copies, which takes undivided clips: 0.4 s are 26 frames.
SETTINGS = (
    f"augmentation.copies={COPIES}",
    "training.crop_s=null",
    "features.frames=26",
    "training.epochs=2",
)

#: Everything that changes waveforms, on every clip.
ALL_CHANGES = AugmentationSettings(
    copies=1,
    speed=(0.9, 0.9),
    gain_db=(3.0, 3.0),
    noise_factor=0.01,
    noise_snr_db=(10.0, 10.0),
    noise_probability=1.0,
    pitch_semitones=(1.0, 1.0),
    pitch_probability=1.0,
    stretch=(0.9, 0.9),
    stretch_probability=1.0,
    shift_s=0.1,
    shift_frames=2,
    mixup_alpha=0.3,
)


@pytest.fixture(autouse=True)
def _cache_of_tiny_and_no_gate(tiny, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    monkeypatch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)
    with tiny_corpus.one_thread():
        yield


@pytest.fixture(scope="module")
def recipe(tiny):
    return load_recipe(tiny.recipe_file, SETTINGS)


@pytest.fixture(scope="module")
def items(tiny, recipe, tmp_path_factory):
    """Recordings and copies; none of these is written."""
    return leaks.with_copies(recipe, tiny.manifest, tmp_path_factory.mktemp("copies"))


@pytest.fixture(scope="module")
def measured(tiny, recipe, tmp_path_factory):
    """The folder of a benchmark with one leaky fold, whose run lies in ``runs``, and what was told."""
    folder, told = tmp_path_factory.mktemp("leaky"), []
    with pytest.MonkeyPatch.context() as patch, tiny_corpus.one_thread():
        patch.setenv("VOCALICS_CACHE", str(tiny.cache))
        patch.setattr("vocalics.recognition.speech.has_speech", lambda _: False)
        system = System(recipe, leaks.PROTOCOL)
        run_system(system, tiny.manifest, folder, folder / "runs", "typed", folds=[1], tell=told.append)
    return folder, told


@pytest.fixture
def result(measured):
    return json.loads((measured[0] / f"tiny/ravdess/{leaks.PROTOCOL}/fold-1-seed-0.json").read_text())


@pytest.fixture
def leaky_run(measured):
    return measured[0] / f"runs/tiny/ravdess/{leaks.PROTOCOL}/fold-1-seed-0"


# Copies


def test_every_recording_has_its_copies_and_keeps_itself(tiny, items):
    origins = sorted(leaks.origin(utterance.id) for utterance in items)
    assert origins == sorted((u.id, draw) for u in tiny.manifest for draw in range(COPIES + 1))
    assert tiny.manifest.select(u.id for u in tiny.manifest).utterances == tuple(
        utterance for utterance in items if leaks.origin(utterance.id)[1] == 0
    )


def test_copies_have_the_babble_of_an_honest_training_too(tiny, tmp_path):
    few = tiny.manifest.filter(
        lambda utterance: utterance.id.endswith(("-05-01-01-01-01", "-05-01-01-01-20"))
    )
    sizes = {}
    for name, snr_db in (("quiet", 60), ("loud", 0)):
        settings = [f"augmentation.babble_snr_db=[{snr_db}, {snr_db}]", "augmentation.babble_probability=1"]
        loud = load_recipe(tiny.recipe_file, [*settings, "augmentation.speed=null"])
        items = leaks.with_copies(loud, few, tmp_path / name)
        leaks.write_copies(loud, items)
        copy = next(item for item in items if leaks.origin(item.id)[1])
        with wave.open(str(items.audio_path(copy))) as file:
            samples = np.frombuffer(file.readframes(-1), "<i2").astype(float)
        sizes[name] = np.mean(samples**2)
    assert sizes["loud"] / sizes["quiet"] == pytest.approx(2, rel=0.1)  # as much babble as there is clip


def test_a_copy_is_the_one_that_an_honest_training_hears(tiny, recipe, tmp_path):
    few = tiny.manifest.filter(lambda utterance: utterance.speaker == "01" and utterance.emotion == "happy")
    items = leaks.with_copies(recipe, few, tmp_path)
    leaks.write_copies(recipe, items)
    store = AudioStore.build(few, recipe.sample_rate, recipe.bandwidth_hz)
    for utterance in items:
        recording, draw = leaks.origin(utterance.id)
        if draw:
            rng = clip_rng(recipe.training.seed, draw, recording)
            settings = recipe.augmentation
            heard = augment.augment_waveform(store[recording], settings, recipe.sample_rate, rng)
            with wave.open(str(items.audio_path(utterance))) as file:
                written = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32_767
            # Rounded to 16 bits: half a level, and float32 errs by 6e-8 of 32,767 before it is rounded.
            np.testing.assert_allclose(written, heard, rtol=0, atol=(0.5 + 0.002) / 32_767)


def test_what_passes_full_scale_is_cut_off_and_does_not_wrap(tiny, tmp_path):
    loud = load_recipe(tiny.recipe_file, [*SETTINGS, "augmentation={copies: 1, gain_db: [60, 60]}"])
    one = tiny.manifest.select([tiny.manifest.utterances[0].id])
    items = leaks.with_copies(loud, one, tmp_path)
    leaks.write_copies(loud, items)
    recording = AudioStore.build(one, loud.sample_rate, loud.bandwidth_hz)[one.utterances[0].id]
    (path,) = tmp_path.rglob("*.wav")
    with wave.open(str(path)) as file:
        written = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    above = np.abs(recording) > 0.001  # 60 dB below full scale
    assert above.mean() > 0.5
    np.testing.assert_array_equal(written[above], 32_767 * np.sign(recording[above]))


def test_copies_are_written_once(recipe, measured, tiny, monkeypatch):
    folder = measured[0] / f"runs/tiny/ravdess/{leaks.PROTOCOL}/copies"
    monkeypatch.setattr(augment, "augment_waveform", lambda *_: pytest.fail("a copy is made again"))
    leaks.write_copies(recipe, leaks.with_copies(recipe, tiny.manifest, folder))
    assert len(list(folder.rglob("*.wav"))) == COPIES * len(tiny.manifest)
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(
    ("setting", "others"),
    [("training.seed=1", True), ("augmentation.speed=[0.9, 1.1]", True), ("training.batch_size=8", False)],
)
def test_copies_are_named_by_what_decides_on_their_sound(tiny, recipe, tmp_path, setting, others):
    changed = load_recipe(tiny.recipe_file, [*SETTINGS, setting])
    names = [{u.id for u in leaks.with_copies(one, tiny.manifest, tmp_path)} for one in (recipe, changed)]
    assert (names[0] & names[1] == {u.id for u in tiny.manifest}) == others


def test_a_recipe_without_a_bound_has_five_copies(tiny, tmp_path):
    items = leaks.with_copies(load_recipe(tiny.recipe_file), tiny.manifest, tmp_path)
    assert len(items) == (1 + leaks.COPIES) * len(tiny.manifest)


def test_a_recipe_that_changes_no_waveforms_has_nothing_to_leak(tiny, tmp_path):
    still = load_recipe(tiny.recipe_file, ["augmentation={shift_frames: 3, mixup_alpha: 0.2}"])
    with pytest.raises(UsageError, match="changes no waveforms"):
        leaks.with_copies(still, tiny.manifest, tmp_path)


def test_a_leaky_fold_changes_no_waveform_again_and_all_else_as_the_recipe_does(tiny, recipe):
    leaky = leaks.leaky_recipe(recipe.model_copy(update={"augmentation": ALL_CHANGES}))
    samples = np.ones(100, dtype=np.float32)
    changed = augment.augment_waveform(samples, leaky.augmentation, 8000, np.random.default_rng(0))
    assert changed is samples
    assert leaky.augmentation.n_copies == 0
    assert (leaky.augmentation.shift_frames, leaky.augmentation.mixup_alpha) == (2, 0.3)
    assert (leaky.features, leaky.network, leaky.training) == (
        recipe.features,
        recipe.network,
        recipe.training,
    )


# The leak


def test_copies_of_a_training_clip_are_tested(recipe, items):
    splits = leaks.make_leaky_splits(recipe, items)
    assert sorted(name for split in splits for name in split.test) == sorted(u.id for u in items)
    for split in splits:
        trained = {leaks.origin(name)[0] for name in split.train}
        leaked = np.mean([leaks.origin(name)[0] in trained for name in split.test])
        # Four in five of all but the validated fifth train: 0.64 of the items. Of the two others of the same
        # recording at least one does in 1 - 0.36^2 = 0.87 of the cases, with a deviation of 0.03 over 58.
        assert leaked > 0.87 - 4 * 0.03


def test_the_audit_sees_through_copies(recipe, items):
    split = leaks.make_leaky_splits(recipe, items)[0]
    kinds = {finding.kind for finding in audit(items, split).refused}
    assert kinds == {"same audio"}


def test_the_protocol_random_keeps_copies_with_their_recording(items):
    for split in make_splits(items, "random"):
        assert audit(items, split).refused == ()


def test_a_training_refuses_a_leaky_split(recipe, items, tmp_path):
    split = leaks.make_leaky_splits(recipe, items)[0]
    with pytest.raises(LeakError, match="the same audio in train and, under another id, in test"):
        training.fit(recipe, items, split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_but_the_benchmark_leaks():
    leaking = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(keyword.arg == "leaky" for keyword in node.keywords):
                leaking.add(path.relative_to(ROOT / "src").as_posix())
            if isinstance(node, ast.Attribute | ast.Name) and "make_leaky_splits" in ast.unparse(node):
                leaking.add(path.relative_to(ROOT / "src").as_posix())
    assert leaking == {"vocalics/lab/benchmark.py"}


# What it says of itself


def test_the_screen_tells_once_that_it_leaks_and_what_the_audit_refuses(measured):
    told = [line for line in measured[1] if "leaky on purpose" in line]
    assert len(told) == 1
    assert "what the audit refuses: the same audio in train and, under another id, in test" in told[0]


def test_the_result_is_marked(result, recipe):
    assert (result["leaky"], result["protocol"], result["folds"]) == (True, leaks.PROTOCOL, 5)
    assert (result["recipe"]["name"], result["leaked_recipe"]) == (
        "tiny-leaky",
        recipe.model_dump(mode="json"),
    )
    assert result["command"] == "typed"
    assert result["adapted"] == {}
    copies = [leaks.origin(name)[1] > 0 for name in result["clips"]["id"]]
    assert np.mean(copies) == pytest.approx(COPIES / (COPIES + 1), abs=4 * 0.06)  # four deviations over 58


def test_honest_results_carry_no_mark(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("vocalics.lab.benchmark.fit", lambda *_, **__: tiny.model)
    (path,) = run_system(System(tiny.recipe, "random"), tiny.manifest, tmp_path, tmp_path, "", folds=[1])
    assert not {"leaky", "leaked_recipe"} & json.loads(path.read_text()).keys()


def test_split_and_model_are_marked(leaky_run, result):
    split = load_split(leaky_run / "split.json")
    assert leaks.NOTE in split.notes
    assert split.digest == result["split_digest"]
    card = Model.load(leaky_run / "model.onnx").card
    assert card.name == "tiny-leaky"
    assert card.description.startswith("Deliberate leak")


def test_it_reaches_no_leaderboard(measured):
    assert write_leaderboard(measured[0]) == []
    assert json.loads((measured[0] / "leaderboard.json").read_text()) == []
    assert "leaky" not in (measured[0] / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (["train", "{recipe}", "--data", "{data}", "--protocol", leaks.PROTOCOL], "is a deliberate leak"),
        (["evaluate", "{run}", "--data", "{data}"], "trained on a deliberate leak"),
        (["export", "{run}", "-o", "out.onnx"], "trained on a deliberate leak"),
    ],
)
def test_other_commands_refuse_it_in_one_sentence(
    tiny, leaky_run, command, tmp_path, monkeypatch, call, sentence
):
    monkeypatch.chdir(tmp_path)
    filled = [word.format(recipe=tiny.recipe_file, data=tiny.data, run=leaky_run) for word in call]
    run = command(*filled)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert sentence in run.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_prints_the_table_and_writes_it(tiny, measured, command):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    call = ("--data", tiny.data, "--protocol", leaks.PROTOCOL, "--fold", "1", "-o", measured[0])
    run = command("benchmark", tiny.recipe_file, *settings, *call, "--runs", measured[0] / "none")
    assert run.code == 0
    assert f"| `{leaks.PROTOCOL}` (leaky) | the unchanged clips among them |" in run.out
    assert leak_table(list_leaks(measured[0])[0]) in (measured[0] / "leakage.md").read_text()


# The table


def write_fold(folder, protocol, fold, right, copies=0, speakers=6):
    """Write a fold in which each speaker has ten clips, of which so many are answered right.

    With copies, each clip has so many besides, and all of them are answered right.
    """
    clips = [
        (f"made/{fold}-{speaker}-{number}", speaker, "sad" if number < right else "happy")
        for speaker in range(speakers)
        for number in range(10)
    ]
    clips += [
        (f"{name}~{draw}-0c92bddb", speaker, "sad")
        for name, speaker, _ in clips
        for draw in range(1, copies + 1)
    ]
    recipe = {"name": "made", "corpora": ["made"], "emotions": ["happy", "sad"]}
    result = {
        "protocol": protocol,
        "gender": None,
        "fold": fold,
        "folds": 2,
        "seed": 0,
        "train_accuracy": 0.9 + 0.1 * (fold == 1),
        "abstain_below": 0.0,
        "clips": {
            "id": [name for name, _, _ in clips],
            "truth": ["sad"] * len(clips),
            "speaker": [f"made/{speaker}" for _, speaker, _ in clips],
            "gender": ["unknown"] * len(clips),
            "corpus": ["made"] * len(clips),
            "no_speech": [],
            "probabilities": [[0.0, 1.0] if answer == "sad" else [1.0, 0.0] for _, _, answer in clips],
        },
        "adapted": {},
        "command": f"vocalics benchmark {protocol}",
        "recipe": recipe,
    }
    if protocol == leaks.PROTOCOL:
        result |= {"leaky": True, "leaked_recipe": recipe}
    path = folder / "made" / "made" / protocol / f"fold-{fold}-seed-0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))


@pytest.fixture
def planted(tmp_path):
    """A leak that gets 9 of 10 unchanged clips right and every copy, `random` 7 of 10, `speaker` 5 of 10."""
    for fold in (1, 2):
        write_fold(tmp_path, leaks.PROTOCOL, fold, right=9, copies=1)
        write_fold(tmp_path, "random", fold, right=7)
        write_fold(tmp_path, "speaker", fold, right=5)
    return tmp_path


def test_the_table_has_the_leak_on_all_and_on_unchanged_clips_beside_honest_figures(planted):
    (leak,) = list_leaks(planted)
    told = [(row.protocol, row.clips, round(row.accuracy.mean, 6), row.train_accuracy) for row in leak.rows]
    assert told == [
        (leaks.PROTOCOL, 240, 0.95, 0.95),  # two folds of six speakers by ten clips, and as many copies
        (leaks.PROTOCOL, 120, 0.9, 0.95),
        ("random", 120, 0.7, 0.95),
        ("speaker", 120, 0.5, 0.95),
    ]
    assert (leak.title, leak.command) == (
        "`made` on made, 2 emotions",
        f"vocalics benchmark {leaks.PROTOCOL}",
    )


def test_differences_are_paired_over_the_same_clips(planted):
    above = [row.above_speaker for row in list_leaks(planted)[0].rows]
    assert above[0] is None  # other clips: half of them are copies
    assert above[3] is None  # itself
    # Every speaker gains the same number of clips, so every draw of speakers does.
    for difference, points in ((above[1], 0.4), (above[2], 0.2)):
        assert (difference.mean, difference.low, difference.high) == pytest.approx((points,) * 3)


def test_the_table_in_markdown_has_a_cell_for_every_column(planted):
    lines = leak_table(list_leaks(planted)[0]).splitlines()
    assert [line.count(" | ") for line in lines] == [len(COLUMNS) - 1] * 6
    assert lines[3] == (
        f"| `{leaks.PROTOCOL}` (leaky) | the unchanged clips among them | 120 | 2 | 95.0 | "
        "90.0 [90.0, 90.0] | 90.0 [90.0, 90.0] | +40.0 [+40.0, +40.0] |"
    )


def test_other_clips_are_not_compared(planted):
    (planted / "made/made/speaker/fold-2-seed-0.json").unlink()
    rows = list_leaks(planted)[0].rows
    assert [row.above_speaker for row in rows] == [None] * 4
    assert "| 1 of 2 |" in leak_table(list_leaks(planted)[0])


def test_a_leak_is_compared_with_an_honest_system_elsewhere(planted, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    for fold in (1, 2):
        write_fold(elsewhere, "random", fold, right=6)
    system = planted / "made" / "made"
    inflation = above_honest(system / leaks.PROTOCOL, elsewhere / "made/made/random")
    assert (inflation.mean, inflation.low, inflation.high) == pytest.approx((0.3,) * 3)  # 9 and 6 of 10
    (elsewhere / "made/made/random/fold-2-seed-0.json").unlink()
    with pytest.raises(UsageError, match="tested other clips"):
        above_honest(system / leaks.PROTOCOL, elsewhere / "made/made/random")


def test_a_benchmark_without_a_leak_writes_no_table(tmp_path):
    write_fold(tmp_path, "random", 1, right=7)
    assert write_leaks(tmp_path) == []
    assert not (tmp_path / "leakage.md").exists()


# The page


def test_the_figures_of_the_page_are_those_of_the_results():
    check = [sys.executable, ROOT / "docs/make_leakage.py", "--check"]
    is_current = subprocess.run(check, cwd=ROOT).returncode == 0
    assert is_current, "docs/leakage.md is stale: run docs/make_leakage.py"


def test_the_results_behind_the_page_are_whole_and_marked():
    folder = ROOT / "docs/results/leakage"
    (leak,) = list_leaks(folder)
    folds = [(row.protocol, row.folds) for row in leak.rows]
    assert folds == [(leaks.PROTOCOL, 5), (leaks.PROTOCOL, 5), ("random", 5), ("speaker", 6)]
    assert len(list(folder.glob("as-many-steps/*/*/random/fold-*.json"))) == 5
    for path in folder.glob("*/*/*/fold-*.json"):
        result = json.loads(path.read_text())
        assert result.get("leaky", False) == (path.parent.name == leaks.PROTOCOL)
        assert result["command"] == leak.command
    assert leaks.PROTOCOL not in (folder / "leaderboard.md").read_text()
