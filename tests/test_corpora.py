"""The readers of named corpora: names to labels, folders to manifests, and nothing lost silently."""

import os
import shutil
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from made_corpora import RATE, ids, kinds, write, write_all
from vocalics import audio
from vocalics.emotions import EMOTIONS
from vocalics.errors import CorpusError, UsageError
from vocalics.lab.corpora import CORPORA, audio_digest, scan, scan_data


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


# Names ----------------------------------------------------------------------------------------------------

NAMES = [  # corpus, stem, folder -> speaker, gender, emotion, intensity, sentence, as each corpus's page says
    ("ravdess", "03-01-06-01-02-01-12", "", "12", "female", "fearful", "normal", "02"),
    ("ravdess", "03-01-05-02-01-02-23", "", "23", "male", "angry", "strong", "01"),
    ("ravdess-song", "03-02-04-02-02-01-10", "", "10", "female", "sad", "strong", "02"),
    ("tess", "YAF_shack_happy", "", "YAF", "female", "happy", "", "shack"),
    ("tess", "OAF_bath_ps", "OAF_Pleasant_surprise", "OAF", "female", "surprised", "", "bath"),
    ("tess", "OA_bite_neutral", "OAF_neutral", "OAF", "female", "neutral", "", "bite"),
    ("savee", "DC_sa05", "", "DC", "male", "sad", "", "sa05"),
    ("savee", "su11", "JK", "JK", "male", "surprised", "", "su11"),
    ("cremad", "1001_DFA_ANG_XX", "", "1001", "male", "angry", "unspecified", "DFA"),
    ("cremad", "1002_IEO_SAD_HI", "", "1002", "female", "sad", "high", "IEO"),
    ("emodb", "03a01Fa", "", "03", "male", "happy", "", "a01"),
    ("emodb", "03a02Wb", "", "03", "male", "angry", "", "a02"),
    ("emodb", "08b03Ta", "", "08", "female", "sad", "", "b03"),
    ("emodb", "09a04Ea", "", "09", "female", "disgust", "", "a04"),
    ("emodb", "15b09Ac", "", "15", "male", "fearful", "", "b09"),
    ("emodb", "16b10Lb", "", "16", "female", "boredom", "", "b10"),
    ("nemo", "EB0_anger_1", "", "EB0", "female", "angry", "", "1"),
    ("nemo", "WR0_surprised_66", "", "WR0", "male", "surprised", "", "66"),
]


@pytest.mark.parametrize(
    ("corpus", "stem", "folder", "speaker", "gender", "emotion", "intensity", "sentence"), NAMES
)
def test_a_name_says_who_and_which_emotion(
    corpus, stem, folder, speaker, gender, emotion, intensity, sentence
):
    labels = CORPORA[corpus].read_name(stem, folder)
    assert (labels.speaker, labels.gender, labels.emotion) == (speaker, gender, emotion)
    assert (labels.intensity, labels.sentence) == (intensity, sentence)


@pytest.mark.parametrize(
    ("corpus", "stem", "folder"),
    [
        ("ravdess", "03-01-09-01-01-01-01", ""),  # there is no ninth emotion
        ("ravdess", "03-01-01-01-01-01-25", ""),  # nor a 25th actor
        ("ravdess", "02-01-01-01-01-01-01", ""),  # video without sound
        ("ravdess", "03-02-01-01-01-01-01", ""),  # a song
        ("ravdess-song", "03-01-01-01-01-01-01", ""),  # speech
        ("tess", "OAF_back_bored", ""),
        ("tess", "YAF_back", "OAF_angry"),  # two speakers
        ("savee", "a01", ""),  # no speaker
        ("savee", "DC_x01", ""),
        ("cremad", "1092_DFA_ANG_XX", ""),  # the last actor is 1091
        ("cremad", "1000_DFA_ANG_XX", ""),  # the first is 1001
        ("emodb", "04a01Fa", ""),  # there is no speaker 04
        ("nemo", "XX0_anger_1", ""),
        ("nemo", "EB0_disgust_1", ""),
    ],
)
def test_a_foreign_name_says_nothing(corpus, stem, folder):
    assert CORPORA[corpus].read_name(stem, folder) is None


@pytest.mark.parametrize("info", CORPORA.values(), ids=lambda info: info.name)
def test_each_record_of_the_registry_agrees_with_its_reader(info):
    stem = Path(info.example).stem
    labels = info.read_name(stem, "")
    assert labels.stem == stem
    assert labels.emotion in info.emotions
    ordered = [emotion for emotion in EMOTIONS if emotion in info.emotions]
    assert list(info.emotions[: len(ordered)]) == ordered, "the order of EMOTIONS, others last"
    readers = [other.name for other in CORPORA.values() if other.read_name(stem, "")]
    assert readers == [info.name], "no other corpus takes its names for its own"
    assert all(folder == "".join(filter(str.isalnum, folder)).lower() for folder in info.folders)
    assert (info.remote_files is None) == (not info.base_url)


def test_video_with_sound_is_the_same_recording_as_sound_alone():
    read_name = CORPORA["ravdess"].read_name
    assert read_name("01-01-06-01-02-01-12", "") == read_name("03-01-06-01-02-01-12", "")


def test_all_names_that_ravdess_speech_can_have_are_read():
    # 24 actors x 2 sentences x 2 takes x (1 neutral + 7 emotions x 2 intensities) = 1,440
    names = [
        f"03-01-{emotion:02}-{intensity:02}-{sentence:02}-{take:02}-{actor:02}"
        for emotion, intensity, sentence, take, actor in product(
            range(1, 9), (1, 2), (1, 2), (1, 2), range(1, 25)
        )
        if (emotion, intensity) != (1, 2)
    ]
    info = CORPORA["ravdess"]
    labels = [info.read_name(name, "") for name in names]
    assert len(names) == info.utterances
    assert Counter(label.emotion for label in labels) == {"neutral": 96} | dict.fromkeys(
        info.emotions[1:], 192
    )
    assert len({label.speaker for label in labels if label.gender == "female"}) == 12


def test_all_7442_names_of_cremad_are_read():
    info = CORPORA["cremad"]
    files = info.remote_files("http://host")
    labels = [info.read_name(Path(file.path).stem, "") for file in files]
    assert len(files) == info.utterances == 7442
    # As the corpus's paper counts them: five emotions of 1,271 and 1,087 neutral.
    rest = ("angry", "disgust", "fearful", "happy", "sad")
    assert Counter(label.emotion for label in labels) == {"neutral": 1087} | dict.fromkeys(rest, 1271)
    actors = {label.speaker: label.gender for label in labels}
    assert Counter(actors.values()) == {"female": 43, "male": 48}
    assert sum(file.size_bytes for file in files) == 605_899_936  # of the repository's LFS pointers
    assert all(file.digest.startswith("sha256:") and len(file.digest) == 71 for file in files)


# Folders --------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_the_files_are(tmp_path):
    one_second = np.linspace(-0.5, 0.5, RATE)
    path = write(tmp_path / "Actor_12" / "03-01-06-01-02-01-12.wav", one_second)
    (utterance,) = scan("ravdess", tmp_path)
    assert utterance.id == "ravdess/03-01-06-01-02-01-12"
    assert utterance.path == "Actor_12/03-01-06-01-02-01-12.wav"
    assert utterance.corpus == "ravdess"
    assert utterance.duration_s == 1.0
    assert utterance.digest == audio_digest(audio.read(path))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3"])
@pytest.mark.parametrize("layout", ["{speaker}/{name}", "AudioData/{speaker}/{name}", "{speaker}_{name}"])
def test_ids_do_not_depend_on_layout_and_coding(tmp_path, layout, suffix):
    names = [
        layout.format(speaker=speaker, name=name) + suffix
        for speaker in ("DC", "KL")
        for name in ("a01", "su05")
    ]
    manifest = scan("savee", write_all(tmp_path, names))
    assert ids(manifest) == ["savee/DC_a01", "savee/DC_su05", "savee/KL_a01", "savee/KL_su05"]


def test_capital_suffixes_are_recordings_too(tmp_path):
    write(tmp_path / "DC_a01.wav").rename(tmp_path / "DC_a01.WAV")
    assert ids(scan("savee", tmp_path)) == ["savee/DC_a01"]


def test_emodb_is_read_from_made_audio(tmp_path):
    # One file for each speaker and letter: the ten speakers and seven labels of the corpus.
    speakers = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]
    names = [f"wav/{speaker}a01{letter}a.wav" for speaker in speakers for letter in "WLEAFTN"]
    manifest = scan("emodb", write_all(tmp_path, names))
    assert {u.emotion for u in manifest} == set(CORPORA["emodb"].emotions)
    assert "boredom" not in EMOTIONS
    assert Counter(u.gender for u in manifest) == {"female": 35, "male": 35}  # five speakers x seven


def test_tess_labels_may_come_from_the_folder(tmp_path):
    write_all(tmp_path, ["OAF_Pleasant_surprise/OAF_back.wav", "YAF_fear/YAF_back.wav"])
    manifest = scan("tess", tmp_path)
    assert [(u.id, u.emotion) for u in manifest] == [
        ("tess/OAF_back_ps", "surprised"),
        ("tess/YAF_back_fear", "fearful"),
    ]


def test_what_is_passed_over_is_told_and_the_rest_goes_on(tmp_path):
    write_all(tmp_path, ["DC_a01.wav", "sub/DC_a02.wav", "holiday.wav", ".hidden/DC_a03.wav"])
    write(tmp_path / "__MACOSX" / "DC_a04.wav")
    (tmp_path / "DC_a05.wav").touch()
    (tmp_path / "DC_a06.wav").write_bytes(b"not sound at all")
    (tmp_path / "README.txt").write_text("about the corpus")
    notes = []
    manifest = scan("savee", tmp_path, notes=notes.append)
    assert ids(manifest) == ["savee/DC_a01", "savee/DC_a02"]
    assert kinds(notes) == {"unreadable": 1, "empty": 1, "name": 1, "hidden": 2, "not audio": 1}
    assert [note.kind for note in notes if note.failed] == ["unreadable", "empty"]
    told = {note.kind: note.message for note in notes}
    assert "DC_a06.wav" in told["unreadable"]
    assert "DC_a05.wav" in told["empty"]
    assert "holiday.wav" in told["name"]


def test_a_link_to_nowhere_is_told(tmp_path):
    write(tmp_path / "DC_a01.wav")
    (tmp_path / "DC_a02.wav").symlink_to(tmp_path / "gone.wav")
    notes = []
    assert len(scan("savee", tmp_path, notes=notes.append)) == 1
    assert kinds(notes) == {"unreadable": 1}


def test_a_name_that_is_not_unicode_is_told(tmp_path):
    write(tmp_path / "happy" / "1.wav")
    try:
        shutil.copy(tmp_path / "happy" / "1.wav", os.path.join(os.fsencode(tmp_path), b"happy", b"\xff.wav"))  # noqa: PTH118
    except OSError:
        pytest.skip("this file system takes no such name")
    notes = []
    manifest = scan("folder", tmp_path, notes=notes.append)
    manifest.save(tmp_path / "manifest.csv")
    assert ids(manifest) == ["folder/happy/1"]
    assert r"happy/\udcff.wav" in notes[0].message


def test_many_of_a_kind_are_one_sentence(tmp_path):
    write_all(tmp_path, ["DC_a01.wav", *(f"{number}.wav" for number in range(5))])
    notes = []
    scan("savee", tmp_path, notes=notes.append)
    (note,) = notes
    assert "5 recordings" in note.message
    assert "0.wav; 1.wav; 2.wav and 2 more" in note.message


def test_without_a_listener_the_log_is_told(tmp_path, caplog):
    write_all(tmp_path, ["DC_a01.wav", "holiday.wav"])
    scan("savee", tmp_path)
    assert "holiday.wav" in caplog.text


def test_of_several_copies_the_lossless_one_near_the_top_is_taken(tmp_path):
    write_all(tmp_path, ["DC_a01.opus", "deep/er/DC_a01.wav", "deep/DC_a01.wav", "deep/DC/a01.mp3"])
    notes = []
    (utterance,) = scan("savee", tmp_path, notes=notes.append)
    assert utterance.path == "deep/DC_a01.wav"
    assert kinds(notes) == {"copy": 3}


def test_a_link_to_the_folder_above_does_not_go_round_forever(tmp_path):
    write(tmp_path / "corpus" / "DC_a01.wav")
    (tmp_path / "corpus" / "again").symlink_to(tmp_path / "corpus", target_is_directory=True)
    notes = []
    assert len(scan("savee", tmp_path / "corpus", notes=notes.append)) == 1
    assert notes == []


def test_a_linked_folder_is_read(tmp_path):
    write(tmp_path / "elsewhere" / "DC_a01.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "DC").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [u.path for u in scan("savee", tmp_path / "corpus")] == ["DC/DC_a01.wav"]


def test_a_folder_without_the_corpus_is_told_with_what_was_looked_for_and_found(tmp_path):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CorpusError, match="no recording of tess") as error:
        scan("tess", tmp_path)
    assert "YAF_shack_happy.wav" in str(error.value)
    assert "2 audio files with other names (first: 'DC_a01.wav'), 1 other files" in str(error.value)


def test_a_corpus_of_which_nothing_can_be_decoded_is_refused(tmp_path):
    (tmp_path / "DC_a01.wav").write_bytes(b"noise")
    with pytest.raises(CorpusError, match="none of the 1 recordings"):
        scan("savee", tmp_path)


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["absent", "a file"])
def test_a_root_that_is_no_folder_is_refused(tmp_path, make):
    root = tmp_path / "corpus"
    make(root)
    with pytest.raises(CorpusError, match=r"corpus' (does not exist|is a file)"):
        scan("savee", root)


def test_an_unknown_corpus_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'ravdess'"):
        scan("ravdes", Path())


# The real corpora -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(request):
    """Manifest of the real corpora; what was decoded is kept in pytest's own cache."""
    folder = os.environ.get("VOCALICS_DATA")
    if not folder:
        pytest.skip("VOCALICS_DATA names no folder of corpora")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOCALICS_CACHE", str(request.config.cache.mkdir("vocalics")))
        there = [name for name in CORPORA if (Path(folder) / name).is_dir()]
        return scan_data(Path(folder), there)


def of(manifest, corpus):
    found = manifest.filter(lambda utterance: utterance.corpus == corpus)
    if not len(found):
        pytest.skip(f"VOCALICS_DATA has no {corpus}")
    return found


@pytest.mark.data
@pytest.mark.parametrize("name", ["ravdess", "tess", "savee", "cremad", "emodb", "nemo"])
def test_a_real_corpus_is_complete(real, name):
    info, found = CORPORA[name], of(real, name)
    assert len(found) == info.utterances
    assert len(found.speakers) == info.speakers
    assert {utterance.emotion for utterance in found} == set(info.emotions)
    assert {utterance.gender for utterance in found} <= {"female", "male"}
    assert min(utterance.duration_s for utterance in found) > 0.5


@pytest.mark.data
def test_emotions_of_the_real_corpora_are_counted_as_published(real):
    def count(name):
        return Counter(utterance.emotion for utterance in of(real, name))

    assert count("ravdess") == {"neutral": 96} | dict.fromkeys(CORPORA["ravdess"].emotions[1:], 192)
    assert count("tess") == dict.fromkeys(CORPORA["tess"].emotions, 400)
    assert count("savee") == {"neutral": 120} | dict.fromkeys(CORPORA["savee"].emotions[1:], 60)


@pytest.mark.data
def test_ravdess_has_one_recording_twice(real):
    by_digest = Counter(utterance.digest for utterance in of(real, "ravdess"))
    twice = [u.id for u in of(real, "ravdess") if by_digest[u.digest] > 1]
    assert twice == ["ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07"]


@pytest.mark.data
def test_the_misnamed_file_of_tess_keeps_its_name_and_gets_its_speaker(real):
    (utterance,) = of(real, "tess").select(["tess/OA_bite_neutral"])
    assert (utterance.speaker, utterance.emotion) == ("OAF", "neutral")
