"""The readers: names to labels, folders to manifests, and nothing lost silently."""

import hashlib
import json
import os
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocalics import audio
from vocalics.emotions import EMOTIONS
from vocalics.errors import CorpusError, UsageError
from vocalics.lab.corpora import CORPORA, audio_digest, data_folder, load_data, scan, scan_data

RATE = 8000  # Hz, the lowest that is accepted: small files


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VOCALICS_DATA", raising=False)


def write(path: Path, samples=None) -> Path:
    """Write a tenth of a second of noise, other for each name; the suffix says the coding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if samples is None:
        seed = int(hashlib.sha256(path.stem.encode()).hexdigest()[:8], 16)
        samples = np.random.default_rng(seed).integers(-3000, 3000, RATE // 10).astype(np.int16)
    coding = {".opus": {"format": "OGG", "subtype": "OPUS"}}.get(path.suffix, {})
    soundfile.write(path, samples, RATE, **coding)
    return path


def write_all(root: Path, names: list[str]) -> Path:
    for name in names:
        write(root / name)
    return root


def ids(manifest) -> list[str]:
    return [utterance.id for utterance in manifest]


def kinds(notes) -> dict[str, int]:
    return {note.kind: note.count for note in notes}


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


# The digest and the cache ---------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_samples_as_16_bit_integers():
    integers = np.array([[0, 1, -1, 32767, -32768]], dtype=np.int16)
    expected = hashlib.sha256(integers.astype("<i2").tobytes()).hexdigest()
    assert audio_digest(audio.Waveform.from_array(integers, RATE)) == expected


def test_samples_over_full_scale_are_clipped_in_the_digest():
    over = audio.Waveform(np.array([[1.5, -1.5]], dtype=np.float32), RATE)
    expected = hashlib.sha256(np.array([32767, -32768], dtype="<i2").tobytes()).hexdigest()
    assert audio_digest(over) == expected


def test_a_lossless_copy_has_the_same_digest_and_a_lossy_one_has_not(tmp_path):
    digests = {
        suffix: audio_digest(audio.read(write(tmp_path / f"x{suffix}")))
        for suffix in (".wav", ".flac", ".opus")
    }
    assert digests[".wav"] == digests[".flac"] != digests[".opus"]


def test_two_equal_channels_have_the_digest_of_one():
    mono = np.random.default_rng(1).integers(-9999, 9999, (1, 500)).astype(np.int16)
    both = np.repeat(mono, 2, axis=0)
    assert audio_digest(audio.Waveform.from_array(mono, RATE)) == audio_digest(
        audio.Waveform.from_array(both, RATE)
    )


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that were really decoded."""
    names = []
    read = audio.read

    def counting(path):
        names.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(audio, "read", counting)
    return names


def test_a_second_scan_decodes_nothing_and_says_the_same(tmp_path, decoded):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav"])
    first = scan("savee", tmp_path)
    assert sorted(decoded) == ["DC_a01.wav", "DC_a02.wav"]
    assert scan("savee", tmp_path) == first
    assert len(decoded) == 2


def test_a_changed_file_is_decoded_again(tmp_path, decoded):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav"])
    first = scan("savee", tmp_path)
    write(tmp_path / "DC_a01.wav", np.zeros(RATE))
    second = scan("savee", tmp_path)
    assert decoded[2:] == ["DC_a01.wav"]
    assert second.utterances[0].digest != first.utterances[0].digest
    assert second.utterances[0].duration_s == 1.0


def test_without_the_cache_everything_is_decoded_each_time(tmp_path, decoded):
    write(tmp_path / "DC_a01.wav")
    for _ in range(2):
        scan("savee", tmp_path, cache=False)
    assert len(decoded) == 2
    assert not list(Path(os.environ["VOCALICS_CACHE"]).rglob("*.json"))


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": 1, "files": 3}', b'{"version": 99, "files": {}}'], ids=repr
)
def test_a_damaged_cache_is_ignored(tmp_path, decoded, damage):
    write(tmp_path / "DC_a01.wav")
    first = scan("savee", tmp_path)
    (cache,) = Path(os.environ["VOCALICS_CACHE"]).rglob("*.json")
    cache.write_bytes(damage)
    assert scan("savee", tmp_path) == first
    assert len(decoded) == 2


def test_a_damaged_entry_of_the_cache_is_ignored(tmp_path, decoded):
    write(tmp_path / "DC_a01.wav")
    first = scan("savee", tmp_path)
    (cache,) = Path(os.environ["VOCALICS_CACHE"]).rglob("*.json")
    content = json.loads(cache.read_text())
    content["files"]["DC_a01.wav"][2] = "long"  # the duration
    cache.write_text(json.dumps(content))
    assert scan("savee", tmp_path) == first


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "a file"))
    write(tmp_path / "corpus" / "DC_a01.wav")
    assert len(scan("savee", tmp_path / "corpus")) == 1


def test_an_interrupted_scan_keeps_what_it_has_done(tmp_path, decoded):
    write_all(tmp_path, [f"DC_a0{number}.wav" for number in range(1, 6)])

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan("savee", tmp_path, progress=interrupt, workers=1)
    before = len(decoded)
    decoded.clear()
    assert len(scan("savee", tmp_path)) == 5
    assert not {"DC_a01.wav", "DC_a02.wav"} & set(decoded), f"{before} were decoded before the interruption"


def test_the_number_of_threads_changes_nothing(tmp_path):
    write_all(tmp_path, [f"{speaker}_a{n:02}.wav" for speaker in ("DC", "JE") for n in range(1, 11)])
    alone, together = (scan("savee", tmp_path, workers=workers, cache=False) for workers in (1, 4))
    assert alone == together


def test_progress_counts_up_to_the_number_of_files(tmp_path):
    write_all(tmp_path, ["DC_a01.wav", "DC_a02.wav", "DC_a03.wav"])
    told = []
    scan("savee", tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


# Data folders ---------------------------------------------------------------------------------------------


def test_a_data_folder_has_one_folder_for_each_corpus(tmp_path):
    write_all(tmp_path, ["savee/DC_a01.wav", "tess/OAF_angry/OAF_back_angry.wav", "nemo/EB0_anger_1.wav"])
    manifest = scan_data(tmp_path)
    assert ids(manifest) == ["nemo/EB0_anger_1", "savee/DC_a01", "tess/OAF_back_angry"]
    assert all(manifest.audio_path(utterance).is_file() for utterance in manifest)


def test_the_bundle_on_kaggle_is_read_as_it_is(tmp_path):
    write_all(
        tmp_path,
        [
            "Ravdess/audio_speech_actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
            "Crema/1001_DFA_ANG_XX.wav",
            "Savee/DC_a01.wav",
            "Tess/OAF_angry/OAF_back_angry.wav",
        ],
    )
    assert scan_data(tmp_path).corpora == ("cremad", "ravdess", "savee", "tess")


@pytest.mark.parametrize("folder", ["CREMA-D", "crema_d", "Crema", "AudioWAV"])
def test_folder_names_match_in_any_spelling(tmp_path, folder):
    write(tmp_path / folder / "1001_DFA_ANG_XX.wav")
    assert ids(scan_data(tmp_path, ["cremad"])) == ["cremad/1001_DFA_ANG_XX"]


@pytest.mark.parametrize(
    "name",
    ["Actor_01/03-01-01-01-01-01-01.wav", "03-01-01-01-01-01-01.wav", "deep/er/03-01-01-01-01-01-01.wav"],
)
@pytest.mark.parametrize("wanted", [None, ["ravdess"]])
def test_one_corpus_may_lie_directly_in_the_data_folder(tmp_path, name, wanted):
    write(tmp_path / name)
    (utterance,) = scan_data(tmp_path, wanted)
    assert (utterance.id, utterance.path) == ("ravdess/03-01-01-01-01-01-01", name)


def test_a_corpus_beside_the_folder_of_another_is_found_too(tmp_path):
    write_all(tmp_path, ["Actor_01/03-01-01-01-01-01-01.wav", "savee/DC_a01.wav"])
    notes = []
    assert scan_data(tmp_path, notes=notes.append).corpora == ("ravdess", "savee")
    assert notes == [], "neither reader looks into the other's folder"


def test_folders_named_by_emotion_are_the_corpus_folder(tmp_path):
    write_all(tmp_path, ["happy/1.wav", "Sadness/2.wav"])
    manifest = scan_data(tmp_path)
    assert [(u.id, u.emotion, u.speaker) for u in manifest] == [
        ("folder/Sadness/2", "sad", ""),
        ("folder/happy/1", "happy", ""),
    ]


def test_songs_are_read_only_when_they_are_named(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess/03-02-03-01-01-01-01.wav"])
    notes = []
    assert ids(scan_data(tmp_path, notes=notes.append)) == ["ravdess/03-01-03-01-01-01-01"]
    assert "of ravdess-song" in notes[0].message


def test_singers_are_the_speakers_of_ravdess(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess/03-02-03-01-01-01-01.wav"])
    manifest = scan_data(tmp_path, ["ravdess", "ravdess-song"])
    assert len(manifest) == 2
    assert manifest.speakers == (("ravdess", "01"),)


def test_songs_may_have_a_folder_of_their_own(tmp_path):
    write_all(tmp_path, ["ravdess/03-01-03-01-01-01-01.wav", "ravdess-song/03-02-03-01-01-01-01.wav"])
    manifest = scan_data(tmp_path, ["ravdess-song"])
    assert [u.path for u in manifest] == ["ravdess-song/03-02-03-01-01-01-01.wav"]


def test_a_corpus_that_is_named_and_not_there_is_refused(tmp_path):
    write(tmp_path / "savee" / "DC_a01.wav")
    with pytest.raises(CorpusError, match=r"nothing of tess.*in it lie savee"):
        scan_data(tmp_path, ["savee", "tess"])


def test_an_empty_data_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="in it lie nothing"):
        scan_data(tmp_path)


def test_a_data_folder_that_does_not_exist_is_told_with_the_remedy(tmp_path):
    with pytest.raises(CorpusError, match="VOCALICS_DATA"):
        scan_data(tmp_path / "nowhere")


def test_the_data_folder_is_the_option_else_the_variable_else_the_cache(tmp_path, monkeypatch):
    assert data_folder() == Path(os.environ["VOCALICS_CACHE"]) / "corpora"
    monkeypatch.setenv("VOCALICS_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert data_folder(Path("mine")) == Path("mine")


# A manifest or a table instead ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_manifest_is_loaded_without_decoding(tmp_path, decoded, suffix):
    manifest = scan("savee", write_all(tmp_path / "savee", ["DC_a01.wav", "DC_a02.wav"]))
    manifest.save(tmp_path / f"manifest{suffix}")
    decoded.clear()
    loaded = load_data(manifest=tmp_path / f"manifest{suffix}")
    assert loaded.utterances == manifest.utterances
    assert decoded == []


def test_a_saved_manifest_can_be_narrowed_to_corpora(tmp_path):
    write_all(tmp_path, ["r/03-01-03-01-01-01-01.wav", "r/03-02-03-01-01-01-01.wav", "s/DC_a01.wav"])
    scan_data(tmp_path, ["ravdess", "ravdess-song", "savee"]).save(tmp_path / "m.csv")
    assert ids(load_data(manifest=tmp_path / "m.csv", corpora=["ravdess"])) == [
        "ravdess/03-01-03-01-01-01-01"
    ]
    with pytest.raises(CorpusError, match="no utterance of tess; it has ravdess, savee"):
        load_data(manifest=tmp_path / "m.csv", corpora=["tess"])


def test_a_table_of_ones_own_is_a_manifest_too(tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "mine.csv").write_text("path,emotion\na.wav,happy\n")
    assert ids(load_data(manifest=tmp_path / "mine.csv")) == ["folder/a"]


def test_data_and_manifest_together_are_refused(tmp_path):
    with pytest.raises(UsageError, match="both given"):
        load_data(tmp_path, tmp_path / "m.csv")


def test_a_manifest_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="there is no manifest"):
        load_data(manifest=tmp_path / "m.csv")


def test_with_neither_the_known_data_folder_is_read(tmp_path, monkeypatch):
    write(tmp_path / "savee" / "DC_a01.wav")
    monkeypatch.setenv("VOCALICS_DATA", str(tmp_path))
    assert len(load_data()) == 1


# Folders and tables of one's own --------------------------------------------------------------------------


def labels_of(manifest) -> dict[str, str]:
    return {utterance.id.removeprefix("folder/"): utterance.emotion for utterance in manifest}


def test_the_nearest_folder_that_names_an_emotion_is_the_label(tmp_path):
    write_all(tmp_path, ["sad/anna/1.wav", "bert/02_Angry/2.wav", "happy/fear/3.wav", "boredom/4.wav"])
    assert labels_of(scan("folder", tmp_path)) == {
        "sad/anna/1": "sad",
        "bert/02_Angry/2": "angry",
        "happy/fear/3": "fearful",
        "boredom/4": "boredom",
    }


def test_file_names_may_carry_the_emotion(tmp_path):
    write_all(tmp_path, ["clip_angry_01.wav", "anna/Anna-Fear-2.wav", "clip_03.wav"])
    notes = []
    manifest = scan("folder", tmp_path, notes=notes.append)
    assert labels_of(manifest) == {"clip_angry_01": "angry", "anna/Anna-Fear-2": "fearful"}
    assert kinds(notes) == {"unlabelled": 1}


def test_folders_outside_the_eight_are_labels_when_no_name_is_an_emotion(tmp_path):
    write_all(tmp_path, ["Bored/1.wav", "Engaged/2.wav"])
    assert labels_of(scan("folder", tmp_path)) == {"Bored/1": "bored", "Engaged/2": "engaged"}
    with pytest.raises(CorpusError, match="no folder named by emotion"):
        scan_data(tmp_path)  # too little to guess by


def test_a_folder_without_any_label_is_refused(tmp_path):
    write(tmp_path / "1.wav")
    with pytest.raises(CorpusError, match=r"no recording .* has an emotion"):
        scan("folder", tmp_path)


TABLE = """path,emotion,speaker,gender,intensity,sentence
one.wav,Joy,anna,F,strong,s1
sub/two.wav,boredom,bert,male,,
"""


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
def test_a_table_names_recordings_and_labels(tmp_path, delimiter, byte_order_mark):
    write_all(tmp_path, ["one.wav", "sub/two.wav", "unlisted.wav"])
    table = tmp_path / "labels.csv"
    table.write_text(byte_order_mark + TABLE.replace(",", delimiter), encoding="utf-8")
    one, two = scan("folder", table)
    assert (one.id, one.path, one.emotion, one.speaker) == ("folder/one", "one.wav", "happy", "anna")
    assert (one.gender, one.intensity, one.sentence) == ("female", "strong", "s1")
    assert (two.path, two.emotion, two.gender) == ("sub/two.wav", "boredom", "male")


def test_a_parquet_table_says_the_same_as_a_csv(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    write_all(tmp_path, ["one.wav", "two.wav"])
    columns = {"path": ["one.wav", "two.wav"], "emotion": ["happy", "sad"], "speaker": [3.0, None]}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    (tmp_path / "labels.csv").write_text("path,emotion,speaker\none.wav,happy,3\ntwo.wav,sad,\n")
    assert scan("folder", tmp_path / "labels.parquet") == scan("folder", tmp_path / "labels.csv")


def test_absolute_paths_and_backslashes_are_understood(tmp_path):
    inside, outside = write(tmp_path / "table" / "in.wav"), write(tmp_path / "elsewhere" / "out.wav")
    write(tmp_path / "table" / "sub" / "win.wav")
    table = tmp_path / "table" / "labels.csv"
    table.write_text(f"path,emotion\n{inside},happy\n{outside},sad\nsub\\win.wav,angry\n")
    manifest = scan("folder", table)
    assert {u.path for u in manifest} == {"in.wav", outside.as_posix(), "sub/win.wav"}
    assert all(manifest.audio_path(u).is_file() for u in manifest)


def test_what_a_table_gets_wrong_is_told(tmp_path):
    write_all(tmp_path, ["one.wav", "two.wav", "three.wav"])
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,emotion,speker,gender\none.wav,happy,a,x\nlost.wav,sad,b,f\ntwo.wav,,c,m\n"
        "three.wav,sad,d,m\nthree.wav,angry,d,m\n"
    )
    notes = []
    assert ids(scan("folder", table, notes=notes.append)) == ["folder/one"]
    assert kinds(notes) == {"missing": 1, "conflict": 1, "unlabelled": 1, "column": 1, "gender": 1}
    told = {note.kind: note.message for note in notes}
    assert "'speker', did you mean 'speaker'?" in told["column"]
    assert "three: angry, sad" in told["conflict"]
    assert [note.kind for note in notes if note.failed] == ["missing"]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("path,emtion", "no column 'emotion'; is 'emtion' meant"),
        ("emotion,speaker", "no column 'path'. It has emotion, speaker"),
        ("", "no column 'path'. It has no columns"),
    ],
)
def test_a_table_without_a_needed_column_is_refused(tmp_path, header, sentence):
    (tmp_path / "labels.csv").write_text(f"{header}\n")
    with pytest.raises(CorpusError, match=sentence):
        scan("folder", tmp_path / "labels.csv")


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_a_table_that_is_none_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 no table")
    with pytest.raises(CorpusError, match="cannot be read as a"):
        scan("folder", tmp_path / name)


def test_a_table_of_missing_files_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("path,emotion\na.wav,happy\nb.wav,sad\n")
    with pytest.raises(CorpusError, match="of 2 rows 2 name files that do not exist"):
        scan("folder", tmp_path / "labels.csv")


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
