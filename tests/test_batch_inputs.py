"""Which recordings an archive is made of: folders, patterns, tables, lists and URLs, sorted on the disk."""

import json
import os
import shutil
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import file_server
from vocalics.errors import AudioError, MissingExtraError, UsageError
from vocalics.recognition.batch import inputs, pieces, urls
from vocalics.recognition.batch.listing import list_names

fsspec = pytest.importorskip("fsspec", reason="URLs are read with fsspec")


def listed(*paths):
    """All names, sorted, and the errors of folders."""
    failed = {}
    return sorted(list_names(paths, failed)), failed


@pytest.fixture
def tree(tmp_path):
    """A folder with two recordings, one hidden, and a letter; recordings are only named here, never read."""
    for name in ("b/2.WAV", "a.wav", ".hidden/x.wav", "b/._2.wav", "letter.doc"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    return tmp_path / "tree"


# What is named


def test_folders_are_walked_and_files_taken_whatever_they_are_called(tree):
    assert listed(tree, tree / "letter.doc") == (
        [f"{tree}/a.wav", f"{tree}/b/2.WAV", f"{tree}/letter.doc"],
        {},
    )


def test_patterns_are_resolved(tree):
    assert listed(f"{tree}/**/*.WAV")[0] == [f"{tree}/b/2.WAV"]
    assert listed(f"{tree}/?")[0] == [f"{tree}/b/2.WAV"]  # a folder that matches is walked


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nix.wav", "there is no file or folder 'nix.wav'; check the path."),
        ("", "an empty path names no recording; check the shell's variables."),
        ("nix*.wav", "no recording matches the pattern 'nix*.wav'; check it, or name files or folders."),
        (".", "the folder '.' holds no audio files; name a folder with recordings, or files."),
        (
            "empty.txt",
            "'empty.txt' names no recordings; give a table with a column 'path' or a list with one a ",
        ),
        ("other.csv", "the table 'other.csv' has no column 'path', only file, label; name one that has."),
        ("nothing.csv", "the table 'nothing.csv' has no column 'path', only nothing; name one that has."),
        ("memory://nix/*.wav", "there are no audio files at 'memory://nix/*.wav'; check the address."),
        (
            "xyz://a.wav",
            "'xyz://' is no protocol that fsspec knows; give a path, or a URL such as s3://, gs://",
        ),
        (
            "https://x.test/*.wav/",
            "'https://x.test/*.wav/' is a pattern, and web servers cannot be asked for",
        ),
    ],
)
def test_what_leads_to_no_recording_is_told_in_a_sentence(tmp_path, monkeypatch, path, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "other.csv").write_text("file,label\na.wav,sad\n")
    (tmp_path / "nothing.csv").touch()
    with pytest.raises(UsageError) as told:
        listed(path)
    assert str(told.value).startswith(sentence)


def test_a_folder_that_cannot_be_opened_is_told_and_the_others_walked(tree, monkeypatch):
    scan = os.scandir

    def scan_but_b(path):
        if os.fspath(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_but_b)
    found, failed = listed(tree)
    assert found == [f"{tree}/a.wav"]
    assert str(failed[f"{tree}/b"]) == f"the folder '{tree}/b' cannot be opened: Permission denied."


def test_a_list_names_recordings_beside_it_elsewhere_and_at_urls(tmp_path):
    (tmp_path / "list.txt").write_bytes(
        b"\xef\xbb\xbfa b.wav\r\nin/caf\xe9.wav\n/abs.wav\ns3://calls/x.wav\n"
    )
    expected = ["a b.wav", "in/caf\udce9.wav", "/abs.wav", "s3://calls/x.wav"]
    assert listed(tmp_path / "list.txt")[0] == sorted(
        [f"{tmp_path}/{name}" for name in expected[:2]] + expected[2:]
    )


def test_a_table_of_text_names_recordings_relative_to_its_root(tmp_path):
    (tmp_path / "a.csv").write_text('id,path,root\n1,"x, y.wav",/data\n2,z.wav,\n3,,\n')
    (tmp_path / "b.tsv").write_text("path\tlabel\nx.wav\tsad\n")
    assert listed(tmp_path / "a.csv", tmp_path / "b.tsv")[0] == sorted(
        ["/data/x, y.wav", f"{tmp_path}/z.wav", f"{tmp_path}/x.wav"]
    )


def test_the_manifests_of_the_lab_are_read(tmp_path):
    pytest.importorskip("pyarrow")
    manifests = pytest.importorskip("vocalics.lab.manifest")
    fields = ("corpus", "speaker", "gender", "emotion", "intensity", "sentence")
    rows = [
        manifests.Utterance(
            id=name, path=f"{name}.wav", duration_s=1.0, digest="0", **dict.fromkeys(fields, "")
        )
        for name in ("one", "two")
    ]
    manifest = manifests.Manifest(tmp_path / "sounds", tuple(rows))
    for suffix in ("csv", "parquet"):
        manifest.save(tmp_path / f"manifest.{suffix}")
        found, _ = listed(tmp_path / f"manifest.{suffix}")
        assert found == [str(manifest.audio_path(row)) for row in manifest]


def test_a_table_that_is_none_is_told(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_text("Dear Sir or Madam")
    with pytest.raises(UsageError, match=r"x\.parquet' is no Parquet table: "):
        listed(tmp_path / "x.parquet")


# What is at URLs


@pytest.fixture
def memory(clip):
    """Recordings in fsspec's memory."""
    files = fsspec.filesystem("memory")
    for name in (
        "/calls/a.wav",
        "/calls/deep/b.flac",
        "/calls/.x.wav",
        "/calls/letter.doc",
        "/calls/.h/c.wav",
    ):
        files.pipe(name, clip.read_bytes())
    files.pipe("/calls/list.txt", b"deep/b.flac\n")
    yield
    files.rm("/calls", recursive=True)


@pytest.mark.usefixtures("memory")
def test_folders_patterns_lists_and_files_at_urls_are_found():
    assert listed("memory://calls")[0] == ["memory:///calls/a.wav", "memory:///calls/deep/b.flac"]
    assert listed("memory://calls/**/*.flac")[0] == ["memory:///calls/deep/b.flac"]
    assert listed("memory://calls/*.wav")[0] == ["memory:///calls/a.wav"]
    assert listed("memory://calls/list.txt")[0] == ["memory://calls/deep/b.flac"]
    assert listed("memory://calls/letter.doc")[0] == ["memory://calls/letter.doc"]


@pytest.mark.usefixtures("memory")
def test_a_fetched_recording_is_a_file_with_a_name(clip, model, monkeypatch):
    direct = model.predict(clip)
    for in_memory_bytes in (urls.IN_MEMORY_BYTES, 1000):  # as bytes, and by way of a temporary file
        monkeypatch.setattr(urls, "IN_MEMORY_BYTES", in_memory_bytes)
        with urls.fetch("memory://calls/a.wav") as file:
            found = model.predict(file)
        assert (found.path, found.probabilities) == ("memory://calls/a.wav", direct.probabilities)


def test_what_cannot_be_fetched_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(urls, "PAUSES_S", (0.0,))
    with pytest.raises(AudioError, match=r"there is no file memory://calls/nix\.wav; check the address\."):
        urls.fetch("memory://calls/nix.wav")
    with pytest.raises(AudioError, match="is no protocol that fsspec knows"):
        urls.fetch("xyz://a.wav")


def test_a_request_that_fails_is_made_again(memory, monkeypatch):
    monkeypatch.setattr(urls, "PAUSES_S", (0.0, 0.0))
    files, asked = fsspec.filesystem("memory"), []

    def fail(path, *_, **__):
        asked.append(path)
        raise ConnectionError("reset by peer")

    for call in ("cat_file", "open"):
        monkeypatch.setattr(type(files), call, fail)
    with pytest.raises(AudioError, match=r"cannot be fetched \(reset by peer\); try again later\."):
        urls.fetch("memory://calls/a.wav")
    assert len(asked) == 3 * 2  # one try and two more, each in two ways


def test_recordings_of_a_web_server_are_heard(clip, toy, tmp_path):
    pytest.importorskip("aiohttp", reason="fsspec asks web servers with aiohttp")
    from vocalics.recognition.batch import batch

    with file_server.serve() as server:
        server.ranges = False  # it knows no ranges with an end; it sends everything then, as some do
        server.files["/a.wav"] = clip.read_bytes()
        server.files["/list.txt"] = b"a.wav\nnix.wav\n"
        summary = batch(f"{server.url}/list.txt", tmp_path / "rows", toy, workers=1, format="jsonl")
        told = [
            json.loads(line) for line in (tmp_path / "rows" / "part-00000.jsonl").read_text().splitlines()
        ]
    assert [row["path"] for row in told] == [f"{server.url}/a.wav", f"{server.url}/nix.wav"]
    assert (told[0]["error"], told[0]["duration_s"]) == (None, 3.327)
    assert told[1]["error"] == f"there is no file {server.url}/nix.wav; check the address."
    assert summary.failed == 1


def test_a_folder_of_a_web_server_is_what_its_page_links_to():
    pytest.importorskip("aiohttp", reason="fsspec asks web servers with aiohttp")
    with file_server.serve() as server:
        server.files["/calls/"] = b'<a href="a.wav">a</a> <a href="deep/">deep</a> <a href="?C=N">by name</a>'
        # A folder below is asked for without its slash; true servers lead on from there.
        server.files["/calls/deep"] = b'<a href="b.FLAC">b</a> <a href="letter.doc">a letter</a>'
        found, _ = listed(f"{server.url}/calls/")
    assert found == [f"{server.url}/calls/a.wav", f"{server.url}/calls/deep/b.FLAC"]


def test_a_package_that_a_protocol_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="needs s3fs, which is not installed: pip install s3fs"):
        listed("s3://calls/")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"need fsspec.*pip install 'vocalics\[batch\]'"):
        listed("s3://calls/")


# The list on the disk


@given(names=st.lists(st.text(st.characters()), max_size=30))
def test_the_list_is_sorted_and_holds_each_name_once(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("list")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "NAMES_AT_ONCE", 4)  # so that lists are merged from the disk
        made = inputs.write_inputs(iter(names), folder / "inputs.jsonl")
    assert list(made) == sorted(set(names))
    assert made.count == len(set(names))
    assert [path.name for path in folder.iterdir()] == ["inputs.jsonl"]
    shutil.rmtree(folder)


@given(before=st.sets(st.text(max_size=2)), now=st.sets(st.text(max_size=2)))
def test_what_is_gone_and_what_is_new_is_found(before, now):
    assert inputs.compare(sorted(before), sorted(now)) == (sorted(before - now), sorted(now - before))


@given(
    count=st.integers(1, 60),
    part_size=st.integers(1, 20),
    most=st.integers(1, 10),
    workers=st.integers(1, 4),
    finished=st.sets(st.integers(0, 5)),
)
def test_the_work_is_cut_into_pieces_that_lie_in_one_part_each(
    tmp_path_factory, count, part_size, most, workers, finished
):
    folder = tmp_path_factory.mktemp("work")
    made = inputs.write_inputs((f"{number:03}" for number in range(count)), folder / "inputs.jsonl")
    found = list(pieces.cut(made, part_size, finished, most, workers))
    places = [place for piece in found for place in range(piece.first, piece.first + len(piece.names))]
    assert places == [place for place in range(count) if place // part_size not in finished]
    assert [json.loads(name) for piece in found for name in piece.names] == [
        f"{place:03}" for place in places
    ]
    for piece in found:
        assert 1 <= len(piece.names) <= most
        assert piece.first // part_size == (piece.first + len(piece.names) - 1) // part_size
    if found and not finished and count > 1:
        assert len(found[-1].names) == 1  # the last ones are small, so that nobody waits for them
    shutil.rmtree(folder)
