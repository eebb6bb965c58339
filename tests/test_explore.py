"""``vocalics corpus explore``: voices of planted pitch and level, planted oddities, the page about them."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import made_manifests as made
import pages
from vocalics import emotions
from vocalics.cli import corpus as cli_corpus
from vocalics.errors import CorpusError, ModelError, UsageError
from vocalics.lab.corpora import load_data
from vocalics.lab.explore import SAMPLE, explore
from vocalics.lab.explore.listening import FEWEST_FOR_TSNE, Heard, lay_out, listen
from vocalics.lab.explore.measures import Measures
from vocalics.lab.explore.oddities import list_oddities
from vocalics.lab.manifest import Manifest
from voices import RATE, measured, voice

# Emotion -> pitch of a man's voice in Hz and amplitude; a woman's is an octave higher.
VOICES = {"neutral": (100.0, 0.05), "happy": (150.0, 0.2), "sad": (90.0, 0.02), "angry": (180.0, 0.5)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Manifest:
    """Two women and two men who say each emotion twice, in a folder of their own."""
    root = tmp_path_factory.mktemp("corpus")
    speakers = {"anna": "female", "berta": "female", "carl": "male", "david": "male"}
    spoken = made.spoken_by("folder", speakers)
    for one in spoken:
        hertz, amplitude = VOICES[one.emotion]
        octave = 2 if one.gender == "female" else 1
        path = root / one.path
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, voice(octave * hertz, amplitude), RATE)
    return Manifest(root, tuple(replace(one, duration_s=0.8) for one in spoken))


def page_of(path: Path) -> pages.Page:
    return pages.Page(path.read_text(encoding="utf-8"))


# ---- the map ---------------------------------------------------------------------------------------------


def heard(emotion, embedding, number, speaker="s"):
    silent = Measures(RATE, 1, 0.5, 0, None)
    utterance = made.utterance("made", speaker, number, emotion)
    return Heard(utterance, silent, None if embedding is None else np.asarray(embedding, float))


def test_two_heaps_are_two_heaps_on_the_map():
    rng = np.random.default_rng(0)
    heaps = [
        heard(emotion, rng.normal(center, 0.1, 8), 100 * center + n)
        for emotion, center in (("sad", 0), ("happy", 5))
        for n in range(20)
    ]
    layout = lay_out(heaps, seed=0)
    assert layout.method == "t-SNE"
    assert layout.points.shape == (40, 2)
    assert layout.same_emotion == 1.0
    assert layout.by_chance == pytest.approx(19 / 39)
    assert np.array_equal(layout.points, lay_out(heaps, seed=0).points)


def test_few_recordings_are_drawn_by_their_main_components():
    few = [heard("sad", [n, 0.0, -n], n) for n in range(FEWEST_FOR_TSNE - 1)]
    layout = lay_out(few, seed=0)
    assert layout.method == "PCA"
    assert abs(np.corrcoef(layout.points[:, 0], np.arange(len(few)))[0, 1]) == pytest.approx(1.0)


def test_recordings_without_an_embedding_are_left_out_of_the_map():
    two = [heard("sad", [1.0, 2.0], 0), heard("sad", [2.0, 1.0], 1), heard("sad", None, 2)]
    assert lay_out(two, seed=0) is None
    layout = lay_out([*two, heard("happy", [np.nan, 5.0], 3)], seed=0)
    assert len(layout.heard) == 3
    assert np.isfinite(layout.points).all()


def test_neighbours_of_a_nobody_are_not_asked_for_their_speaker():
    layout = lay_out([heard("sad", [n, n * n], n, speaker="") for n in range(5)], seed=0)
    assert layout.same_speaker is None


# ---- what is odd -----------------------------------------------------------------------------------------


def balanced():
    return made.ravdess()


def oddities(utterances, heard=(), errors=()):
    return list_oddities(made.manifest(utterances), heard, errors)


def said_one_of_many(utterances):
    return [replace(one, sentence=str(number)) for number, one in enumerate(utterances)]


def test_a_clean_corpus_has_nothing_odd():
    assert oddities(said_one_of_many(balanced())) == []


def changed(**columns):
    first, *rest = said_one_of_many(balanced())
    return [replace(first, **columns), *rest]


@pytest.mark.parametrize(
    ("utterances", "sentence"),
    [
        (changed(digest="digest of ravdess/02_000"), "1 recording stands under more than one id"),
        (changed(digest="digest of ravdess/02_002"), "under different emotions: ravdess/01_000 (neutral)"),
        (changed(duration_s=0.2), "1 clip lasts less than 0.5 s; the shortest, ravdess/01_000, 0.20 s."),
        (changed(duration_s=30.0), "1 clip lasts more than 4 times the median of 2.0 s; the longest"),
        (changed(emotion="boredom"), "which a recipe must name to use: boredom (1)."),
        (changed(speaker=""), "1 clip names no speaker"),
        (said_one_of_many(balanced())[2:], "1 speaker of ravdess (01) lacks at least one of its 4 emotions."),
        (balanced(), "All 192 clips of ravdess say one of 2 sentences"),
        (said_one_of_many(made.tess()), "tess has 2 speakers: too few for an interval"),
        (said_one_of_many(made.savee()), "All speakers whose gender is known are male"),
        (said_one_of_many([*balanced(), *made.tess(20)]), "73 % of the clips are by female speakers."),
    ],
)
def test_each_oddity_is_told(utterances, sentence):
    assert any(sentence in one for one in oddities(utterances)), oddities(utterances)


def test_a_rare_emotion_is_told_with_its_numbers():
    few = [one for one in said_one_of_many(balanced()) if one.emotion != "sad" or one.speaker == "01"]
    (told,) = (one for one in oddities(few) if "rare" in one)
    assert told.startswith("Sad is rare: 2 clips against 48 of neutral.")


def listened(number=0, corpus="ravdess", **changes):
    """One recording, as it was heard."""
    loud = measured(voice(200))
    voice_changes = {key: changes.pop(key) for key in list(changes) if key == "level_db"}
    found = replace(loud, voice=replace(loud.voice, **voice_changes)) if voice_changes else loud
    return Heard(made.utterance(corpus, "01", number), replace(found, **changes), None)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (listened(1, clipped=12), "1 of 2 recordings listened to is clipped, their tops cut flat"),
        (listened(1, clipped=12), "most of all ravdess/01_001, 12 samples."),
        (listened(1, voice=None), "1 of 2 recordings listened to is silent or nearly so"),
        (listened(1, peak=0.001), "1 of 2 recordings listened to is silent or nearly so"),
        (listened(1, sample_rate=8000), "Sample rates are mixed"),
        (listened(1, n_channels=2), "Channels are mixed: 1 in 1, 2 in 1 recordings."),
        (listened(1, corpus="tess", level_db=-50.0), "dB louder than tess"),
    ],
)
def test_flaws_of_recordings_are_told(other, sentence):
    clean = said_one_of_many(balanced())
    assert oddities(clean, [listened()]) == []
    (told,) = oddities(clean, [listened(), other])
    assert sentence in told


def test_what_cannot_be_read_is_told_and_the_rest_is_heard(corpus, tmp_path):
    gone = Manifest(corpus.root, (*corpus.utterances[:3], replace(corpus.utterances[3], path="gone.wav")))
    heard, errors = listen(gone, gone.utterances, None, workers=2)
    assert [one.utterance for one in heard] == list(gone.utterances[:3])
    assert len(errors) == 1
    told = oddities(said_one_of_many(balanced()), heard, errors)
    assert any("1 of 4 recordings listened to cannot be read; the first:" in one for one in told)
    assert any("gone.wav" in one for one in told)


# ---- the page --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exploration(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return explore(corpus, folder, model="none", command="vocalics corpus explore <m> -o d", workers=2)


def test_the_page_and_its_pictures_are_there(exploration):
    assert exploration.name == "index.html"
    pictures = {path.stem for path in exploration.parent.glob("*.png")}
    assert pictures == {"examples", "balance", "speakers", "lengths", "sound", "map"}
    for path in exploration.parent.glob("*.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_page_asks_for_nothing_and_is_well_formed(exploration):
    page = page_of(exploration)
    assert page.asked_for == []
    assert len(page.references) > 100  # glyphs of the pictures: there was something to look at
    assert len(page.ids) == len(set(page.ids))


def test_the_page_follows_light_and_dark(exploration):
    text = exploration.read_text()
    assert "@media (prefers-color-scheme: dark)" in text
    assert "fill: var(--ink)" in text
    assert 'name="viewport"' in text


def test_the_page_tells_what_was_planted(exploration):
    text = page_of(exploration).text
    assert "32 recordings by 4 speakers (2 female, 2 male): neutral, happy, sad and angry." in text
    # 20 log10(0.5 / 0.02) = 28 dB; medians over men and women lie between the two octaves
    assert "Angry is the loudest, 28 dB above sad." in text
    assert "Pitch is highest in angry (270 Hz) and lowest in sad (135 Hz)." in text
    assert "folder has 4 speakers: too few for an interval" in text
    assert "all 32 recordings were listened to" in text
    assert "vocalics corpus explore <m> -o d" in text  # escaped in the source, or it were an element


def test_the_table_holds_the_planted_pitches(exploration):
    rows = {row[0]: row for row in page_of(exploration).rows}
    head = rows["emotion"] if "clips" in rows["emotion"] else None
    assert head is not None
    for emotion, (hertz, _) in VOICES.items():
        told = dict(zip(head, rows[emotion], strict=True))
        assert told["clips"] == "8"
        assert float(told["female pitch, Hz"]) == pytest.approx(2 * hertz, rel=0.01)
        assert float(told["male pitch, Hz"]) == pytest.approx(hertz, rel=0.01)


def test_a_model_makes_the_map_and_is_named(corpus, toy, tmp_path):
    page = page_of(explore(corpus, tmp_path, model=str(toy), sample=8, workers=1))
    assert re.search(r"placed by PCA from the embeddings of the model \S+", page.text)
    assert "8 of 32 recordings were listened to" in page.text


def test_a_corpus_of_one_emotion_without_people_is_a_page_too(corpus, tmp_path):
    alone = [replace(one, speaker="", gender="", sentence="") for one in corpus if one.emotion == "sad"]
    page = page_of(explore(Manifest(corpus.root, tuple(alone)), tmp_path, model="none", workers=1))
    assert "8 recordings: sad." in page.text
    assert not (tmp_path / "speakers.png").exists()


def test_the_same_seed_makes_the_same_page(corpus, tmp_path):
    pages_made = [
        explore(corpus, tmp_path / name, model="none", sample=8, seed=3, workers=2).read_bytes()
        for name in "ab"
    ]
    assert pages_made[0] == pages_made[1]


def test_a_corpus_that_cannot_be_explored_is_refused_in_a_sentence(corpus, tmp_path):
    with pytest.raises(CorpusError, match="the manifest holds no utterances"):
        explore(Manifest(tmp_path, ()), tmp_path)
    with pytest.raises(UsageError, match="the sample is 0 recordings; give 1 or more"):
        explore(corpus, tmp_path, sample=0)
    with pytest.raises(CorpusError, match="none of 32 recordings can be read; the first: "):
        explore(Manifest(tmp_path, corpus.utterances), tmp_path, model="none")
    with pytest.raises(ModelError, match="nothing"):
        explore(corpus, tmp_path, model="nothing.onnx")
    assert list(tmp_path.iterdir()) == []


# ---- the command -----------------------------------------------------------------------------------------


def test_the_command_reads_a_manifest_or_a_folder_and_prints_the_page(command, corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    corpus.save(tmp_path / "m.csv")
    run = command(
        "corpus", "explore", tmp_path / "m.csv", "-o", tmp_path / "a", "--model", "none", "--sample", 4
    )
    assert (run.code, run.err) == (0, "")
    assert run.out == f"{tmp_path / 'a' / 'index.html'}\n"
    by_emotion = tmp_path / "recordings"
    for one in corpus.utterances[:8]:
        path = by_emotion / one.emotion / Path(one.path).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(corpus.audio_path(one).read_bytes())
    run = command("corpus", "explore", by_emotion, "-o", tmp_path / "b", "--model", "none")
    assert run.code == 0
    assert "8 recordings" in page_of(tmp_path / "b" / "index.html").text


def test_the_command_listens_to_as_many_as_the_library():
    assert inspect.signature(cli_corpus.explore).parameters["sample"].default == SAMPLE


def test_a_wrong_call_is_one_sentence(command, tmp_path):
    run = command("corpus", "explore", tmp_path / "m.csv", "-o", tmp_path / "a")
    assert run.code == 2
    assert len(run.err.splitlines()) == 1
    assert "m.csv" in run.err
    assert not (tmp_path / "a").exists()


# ---- in a browser, and on real speech --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(pages.chromium() is None, reason="no chromium is installed")
def test_a_browser_without_network_draws_the_page_light_and_dark(exploration, tmp_path):
    from matplotlib.image import imread

    for dark, ground in ((False, "#f6f7f9"), (True, "#101318")):
        picture = imread(pages.screenshot(exploration, tmp_path, dark=dark))
        corner = [round(255 * float(channel)) for channel in picture[2, 2, :3]]
        assert corner == [int(ground[i : i + 2], 16) for i in (1, 3, 5)]
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50  # words and tiles


@pytest.mark.data
def test_actors_of_ravdess_sound_as_people_know(data, tmp_path):
    manifest = load_data(data, corpora=["ravdess"])
    page = page_of(explore(manifest, tmp_path, sample=120))
    assert "1,440 recordings by 24 speakers (12 female, 12 male)" in page.text
    assert "ravdess/03-01-03-01-02-01-07 and ravdess/03-01-03-01-02-02-07" in page.text  # known to be copies
    told = re.search(r"(\w+) is the loudest, (\d+) dB above (\w+)\.", page.text)
    assert (told[1], told[3]) == ("Angry", "calm")  # arousal raises the level
    assert int(told[2]) >= 6
    head, *rows = (row for row in page.rows if len(row) == 10)
    assert [row[0] for row in rows] == list(emotions.EMOTIONS)
    for row in rows:
        told = dict(zip(head, row, strict=True))
        assert float(told["female pitch, Hz"]) > float(told["male pitch, Hz"])


def test_errors_of_the_audio_door_are_the_only_ones_that_are_told(corpus, monkeypatch):
    from vocalics.lab.explore import listening

    def fails(path):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(listening.audio, "read", fails)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        listen(corpus, corpus.utterances[:1], None, workers=1)
