"""Fetch whole corpora, from a server on this machine."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from file_server import Server, make_zip, names_in, serve
from vocalics.errors import DownloadError, UsageError
from vocalics.lab.corpora import CORPORA, RemoteFile, download, scan


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as started:
        yield started


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))


def get_corpus(name: str, data: Path, server: Server, **options: object):
    return download(name, data, mirror=server.url, attempts=2, pause_s=0, **options)


def test_an_archive_of_a_corpus_is_fetched_unpacked_and_deleted(server, tmp_path):
    # As many names as the corpus has recordings; the sound does not matter here.
    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    sentences = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    names = ["".join(parts) for parts in islice(product(speakers, sentences, "WLEAFTN"), 535)]
    archive = make_zip({f"wav/{name}.wav": b"x" for name in names} | {"erkennung.txt": b"about"})
    server.files["/download.zip"] = archive
    done = get_corpus("emodb", tmp_path, server)
    assert (done.folder, done.fetched, done.recordings) == (tmp_path / "emodb", 1, 535)
    digest = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    assert done.unverified == ((f"{server.url}/download.zip", digest),)
    assert len(names_in(tmp_path / "emodb")) == 536

    again = get_corpus("emodb", tmp_path, server)
    assert (again.fetched, again.already_there, again.recordings) == (0, 1, 535)
    assert len(server.asked) == 1


def test_an_archive_whose_digest_is_known_must_have_it(server, tmp_path):
    server.files["/Audio_Speech_Actors_01-24.zip"] = make_zip({"Actor_01/03-01-01-01-01-01-01.wav": b"x"})
    with pytest.raises(DownloadError, match="bytes instead of 208,468,073"):
        get_corpus("ravdess", tmp_path, server)
    assert names_in(tmp_path) == []


def wav(name: str) -> bytes:
    """A tenth of a second of noise at 16 kHz, other for each name."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    sink = io.BytesIO()
    soundfile.write(sink, np.random.default_rng(seed).uniform(-0.1, 0.1, 1600), 16000, format="WAV")
    return sink.getvalue()


@pytest.fixture
def made_cremad(server, monkeypatch) -> dict[str, bytes]:
    """CREMA-D with twelve files of made audio under true names, each with its own digest."""
    info = CORPORA["cremad"]
    true = [file.path for file in info.remote_files("")[:12]]
    made = {name: wav(name) for name in true}
    server.files |= {f"/AudioWAV/{name}": content for name, content in made.items()}

    def remote_files(base_url: str) -> tuple[RemoteFile, ...]:
        return tuple(
            replace(
                file,
                size_bytes=len(made[file.path]),
                digest=f"sha256:{hashlib.sha256(made[file.path]).hexdigest()}",
            )
            for file in info.remote_files(base_url)[:12]
        )

    monkeypatch.setitem(CORPORA, "cremad", replace(info, remote_files=remote_files))
    return made


def test_cremad_is_fetched_file_by_file_and_can_be_scanned(server, tmp_path, made_cremad):
    done = get_corpus("cremad", tmp_path, server, workers=3)
    assert (done.fetched, done.already_there, done.recordings, done.unverified) == (12, 0, 12, ())
    assert {name: (done.folder / name).read_bytes() for name in made_cremad} == made_cremad
    assert len(scan("cremad", done.folder)) == 12


def test_a_second_call_fetches_what_is_missing_or_damaged(server, tmp_path, made_cremad):
    get_corpus("cremad", tmp_path, server)
    first, second, *_ = made_cremad
    (tmp_path / "cremad" / first).unlink()
    (tmp_path / "cremad" / second).write_bytes(made_cremad[second][:-1] + b"!")
    server.asked.clear()
    done = get_corpus("cremad", tmp_path, server)
    assert (done.fetched, done.already_there) == (2, 10)
    assert sorted(path for path, _ in server.asked) == sorted(f"/AudioWAV/{name}" for name in (first, second))
    assert (tmp_path / "cremad" / second).read_bytes() == made_cremad[second]


def test_one_file_that_fails_does_not_stop_the_others(server, tmp_path, made_cremad):
    lost = next(iter(made_cremad))
    del server.files[f"/AudioWAV/{lost}"]
    with pytest.raises(DownloadError, match=f"11 of 12 files of cremad were fetched.*{lost} answered 404"):
        get_corpus("cremad", tmp_path, server)
    assert names_in(tmp_path / "cremad") == sorted(set(made_cremad) - {lost})


def test_a_wrong_address_is_not_asked_for_every_file(server, tmp_path, made_cremad):
    server.files.clear()
    with pytest.raises(DownloadError, match="0 of 12 files"):
        get_corpus("cremad", tmp_path, server, workers=1)
    assert len(server.asked) < 12


def test_an_interruption_stops_the_files_that_wait(server, tmp_path, made_cremad):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_corpus("cremad", tmp_path, server, workers=1, progress=interrupt)
    assert len(server.asked) < 12


def test_made_audio_is_refused_where_the_true_digest_is_known(server, tmp_path):
    files = CORPORA["cremad"].remote_files(server.url)
    server.files |= {f"/AudioWAV/{file.path}": wav(file.path) for file in files[:6]}
    with pytest.raises(DownloadError, match="0 of 7,442 files of cremad were fetched"):
        get_corpus("cremad", tmp_path, server, workers=1)
    # The worker may have begun the next file when the first refusal stops the download: a part may lie there.
    assert [name for name in names_in(tmp_path) if not name.endswith(".part")] == []


def test_progress_of_many_files_is_their_sum(server, tmp_path, made_cremad):
    told = []
    get_corpus("cremad", tmp_path, server, progress=lambda done, total: told.append((done, total)))
    everything = sum(map(len, made_cremad.values()))
    assert told[-1] == (everything, everything)
    assert told == sorted(told)


LISTING = "/api/datasets/:persistentId/"


def listing(files: dict[str, bytes], **changes: object) -> bytes:
    """What Dataverse answers about a data set, as its guide of the native API shows it."""
    entries = [
        {
            "label": name,
            "dataFile": {
                "id": number,
                "filename": name,
                "filesize": len(content),
                "md5": hashlib.md5(content).hexdigest(),
                "checksum": {"type": "MD5", "value": hashlib.md5(content).hexdigest()},
            },
        }
        | changes
        for number, (name, content) in enumerate(files.items())
    ]
    return json.dumps({"status": "OK", "data": {"latestVersion": {"files": entries}}}).encode()


def test_tess_is_fetched_as_its_dataverse_lists_it(server, tmp_path):
    files = {name: wav(name) for name in ("OAF_back_angry.wav", "YAF_back_ps.wav")}
    server.files[LISTING] = listing(files)
    server.files |= {
        f"/api/access/datafile/{number}": content for number, content in enumerate(files.values())
    }
    done = get_corpus("tess", tmp_path, server)
    assert server.asked[0][0].endswith("?persistentId=doi:10.5683/SP2/E8H2MF")
    assert (done.fetched, done.recordings, done.unverified) == (2, 2, ())
    assert [u.emotion for u in scan("tess", done.folder)] == ["angry", "surprised"]


def test_folders_that_a_dataverse_names_are_kept(server, tmp_path):
    files = {"OAF_back.wav": wav("x")}
    server.files[LISTING] = listing(files, directoryLabel="OAF_angry")
    server.files["/api/access/datafile/0"] = files["OAF_back.wav"]
    done = get_corpus("tess", tmp_path, server)
    assert names_in(done.folder) == ["OAF_angry/OAF_back.wav"]


@pytest.mark.parametrize("folder", ["../..", "/etc"])
def test_a_server_cannot_write_outside_the_data_folder(server, tmp_path, folder):
    server.files[LISTING] = listing({"OAF_back_angry.wav": b"x"}, directoryLabel=folder)
    with pytest.raises(DownloadError, match="outside the folder; nothing was fetched"):
        get_corpus("tess", tmp_path, server)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("answer", [b"<html>Down for maintenance</html>", b"{}", b'{"data": []}'])
def test_an_answer_that_is_no_listing_is_told(server, tmp_path, answer):
    server.files[LISTING] = answer
    with pytest.raises(DownloadError, match="not a Dataverse's list of files"):
        get_corpus("tess", tmp_path, server)


def test_savee_is_answered_with_where_to_ask(tmp_path):
    with pytest.raises(DownloadError, match=r"ask its authors at http://kahlan.eps.surrey.ac.uk/savee/"):
        download("savee", tmp_path)


def test_an_unknown_corpus_cannot_be_downloaded(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'cremad'"):
        download("crema-d", tmp_path)


@pytest.mark.parametrize(
    "info", [info for info in CORPORA.values() if info.base_url], ids=lambda info: info.name
)
def test_each_address_begins_with_the_base_address(info, server):
    server.files[LISTING] = listing({"OAF_back_angry.wav": b"x"})
    files = info.remote_files(server.url)
    assert files
    assert all(file.url.startswith(f"{server.url}/") and not file.path.startswith("/") for file in files)
    assert all(file.digest.partition(":")[0] in ("", "md5", "sha256") for file in files)
