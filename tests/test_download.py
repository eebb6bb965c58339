"""The downloader, against a server on this machine that cuts, refuses and lies as it is told."""

import errno
import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, product
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile

from vocalics.errors import DownloadError, UsageError
from vocalics.lab.corpora import CORPORA, RemoteFile, download, scan
from vocalics.lab.corpora import unpack as unpack_module
from vocalics.lab.corpora.http import fetch
from vocalics.lab.corpora.unpack import unpack

CONTENT = np.random.default_rng(7).bytes(700_000)  # more than two of the downloader's chunks
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Server:
    """What the server has, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tag: str = ""
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers end
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # status and headers of the next
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range

    @property
    def ranges_asked(self) -> list[str]:
        return [asked for _, asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: "_HTTPServer"

    def do_GET(self) -> None:
        has = self.server.has
        path, _, _ = self.path.partition("?")
        asked = self.headers.get("Range", "")
        has.asked.append((self.path, asked))
        if has.refusals:
            self._answer(*has.refusals.pop(0))
            return
        if path not in has.files:
            self._answer(404, {})
            return
        content, start = has.files[path], 0
        current = self.headers.get("If-Range", has.tag) == has.tag
        if has.ranges and asked and current:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {"Content-Length": str(len(content) - start)} | ({"ETag": has.tag} if has.tag else {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, headers)
        self.wfile.write(content[start:][: has.cuts.pop(0) if has.cuts else None])

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


class _HTTPServer(ThreadingHTTPServer):
    has: Server
    daemon_threads = True


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _HTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.has = Server(f"http://127.0.0.1:{http.server_port}")
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http.has
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path_factory.mktemp("cache")))


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def get(server: Server, folder: Path, *, attempts: int = 3, progress=None, **known: object) -> str:
    """Fetch ``/x.bin`` without ever waiting."""
    file = RemoteFile(f"{server.url}/x.bin", "x.bin", **known)
    return fetch(file, folder / "x.bin", attempts=attempts, pause_s=0, progress=progress)


# One file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", [MD5, SHA256])
def test_a_file_arrives_whole_and_alone(server, tmp_path, digest):
    server.files["/x.bin"] = CONTENT
    assert get(server, tmp_path, digest=digest, size_bytes=len(CONTENT)) == digest
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x.bin"]


def test_a_digest_that_nobody_published_is_found_and_told(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    assert get(server, tmp_path) == SHA256


def test_a_cut_in_the_middle_is_gone_on_from(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.cuts = [400_000, 100_000]
    get(server, tmp_path, digest=MD5)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert server.ranges_asked == ["", "bytes=400000-", "bytes=500000-"]


def test_a_later_call_goes_on_where_the_first_was_cut(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.tag = '"first"'
    server.cuts = [400_000, 0]
    with pytest.raises(DownloadError, match="what has arrived is kept"):
        get(server, tmp_path, attempts=1)
    assert not (tmp_path / "x.bin").exists()
    get(server, tmp_path)
    assert server.ranges_asked[-1] == "bytes=400000-"
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x.bin"]


def test_cuts_that_bring_something_do_not_count_as_failures(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.cuts = [100_000] * 6
    get(server, tmp_path, digest=MD5, attempts=2)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert len(server.asked) == 7  # the last brings the remaining 100,000


def test_a_file_that_has_changed_meanwhile_is_fetched_whole(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.tag = '"first"'
    server.cuts = [400_000, 0]
    with pytest.raises(DownloadError):
        get(server, tmp_path, attempts=1)
    server.files["/x.bin"] = changed = CONTENT[::-1]
    server.tag = '"second"'
    get(server, tmp_path)
    assert (tmp_path / "x.bin").read_bytes() == changed


def test_halves_of_unknown_versions_are_not_joined(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.cuts = [400_000]
    get(server, tmp_path)  # neither digest nor ETag: whether the halves fit, nobody could tell
    assert server.ranges_asked == ["", ""]
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_file_again(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.ranges = False
    server.cuts = [400_000]
    get(server, tmp_path, digest=MD5)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_always_cuts_is_given_up(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.ranges = False
    server.cuts = [400_000] * 9
    with pytest.raises(DownloadError, match="the connection ended after 400,000 of 700,000 bytes"):
        get(server, tmp_path, digest=MD5, attempts=3)
    assert len(server.asked) == 4  # the first brought something, the next three nothing new


def test_what_arrived_too_long_is_thrown_away(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    (tmp_path / "x.bin.part").write_bytes(CONTENT + b"more")
    get(server, tmp_path, digest=MD5)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_what_arrived_whole_before_is_not_fetched_again(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    (tmp_path / "x.bin.part").write_bytes(CONTENT)
    assert get(server, tmp_path, digest=MD5, size_bytes=len(CONTENT)) == MD5
    assert len(server.asked) == 1  # answered 416: there is nothing after it


def test_a_wrong_digest_keeps_nothing(server, tmp_path):
    server.files["/x.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadError, match=f"instead of {MD5}; nothing was kept"):
        get(server, tmp_path, digest=MD5)
    assert names_in(tmp_path) == []


def test_a_wrong_digest_leaves_what_was_there(server, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"good")
    server.files["/x.bin"] = b"bad"
    with pytest.raises(DownloadError):
        get(server, tmp_path, digest=MD5)
    assert (tmp_path / "x.bin").read_bytes() == b"good"


def test_a_wrong_size_keeps_nothing(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    with pytest.raises(DownloadError, match="has 700,000 bytes instead of 5;"):
        get(server, tmp_path, size_bytes=5)
    assert names_in(tmp_path) == []


def test_a_file_that_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(DownloadError, match=r"answered 404 .*--mirror"):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.refusals = [(503, {"Retry-After": "0"}), (429, {})]
    get(server, tmp_path, digest=MD5)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    server.refusals = [(503, {})] * 3
    with pytest.raises(DownloadError, match=r"answered 503 .*Try again later"):
        get(server, tmp_path, attempts=3)
    assert len(server.asked) == 3


def test_no_server_is_told_in_one_sentence(server, tmp_path):
    with pytest.raises(DownloadError, match=r"cannot be fetched \(.*refused.*\)\. Check the network"):
        # Port 1 belongs to a service that nobody runs.
        fetch(RemoteFile("http://127.0.0.1:1/x", "x"), tmp_path / "x", attempts=2, pause_s=0)


def test_a_full_disk_is_noticed_before_anything_is_fetched(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    with pytest.raises(DownloadError, match=r"needs 1,000,000,000,017 MB and the disk"):
        get(server, tmp_path, size_bytes=10**18)  # an exabyte, and the 16 MiB that are left free
    assert server.asked == []


def test_a_disk_that_fills_up_meanwhile_is_told_and_what_arrived_is_kept(server, tmp_path):
    server.files["/x.bin"] = CONTENT

    def full(done, total):
        raise OSError(errno.ENOSPC, "No space left on device")  # as writing does

    with pytest.raises(DownloadError, match="the disk is full"):
        get(server, tmp_path, digest=MD5, progress=full)
    get(server, tmp_path, digest=MD5)
    assert server.ranges_asked[-1].startswith("bytes=")
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x", "x.zip"])
def test_only_addresses_of_the_web_are_fetched(tmp_path, url):
    with pytest.raises(DownloadError, match="must begin with http"):
        fetch(RemoteFile(url, "x"), tmp_path / "x")


def test_progress_ends_with_everything(server, tmp_path):
    server.files["/x.bin"] = CONTENT
    server.cuts = [400_000]
    told = []
    get(server, tmp_path, digest=MD5, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (700_000, 700_000)
    assert {total for _, total in told} == {700_000}


# Archives -------------------------------------------------------------------------------------------------


def make_zip(entries: dict[str, bytes], **links: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        for name, target in links.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return buffer.getvalue()


def unpack_bytes(content: bytes, folder: Path) -> int:
    (folder / "x.zip").write_bytes(content)
    return unpack(folder / "x.zip", folder / "out")


def test_an_archive_is_unpacked_without_what_a_mac_adds(tmp_path):
    entries = {"Actor_01/a.wav": b"a", "b.wav": b"b", "__MACOSX/._b.wav": b"m", "Actor_01/.DS_Store": b"d"}
    assert unpack_bytes(make_zip(entries), tmp_path) == 2
    assert names_in(tmp_path / "out") == ["Actor_01/a.wav", "b.wav"]
    assert (tmp_path / "out" / "Actor_01" / "a.wav").read_bytes() == b"a"


@pytest.mark.parametrize(
    "name", ["../evil.wav", "a/../../evil.wav", "/evil.wav", "..\\evil.wav", "C:/evil.wav"]
)
def test_an_archive_that_reaches_outside_its_folder_is_refused_whole(tmp_path, name):
    with pytest.raises(DownloadError, match="outside the folder; nothing was unpacked"):
        unpack_bytes(make_zip({"good.wav": b"g", name: b"e"}), tmp_path)
    assert names_in(tmp_path) == ["x.zip"]


def test_a_link_in_an_archive_is_refused(tmp_path):
    with pytest.raises(DownloadError, match="holds the link 'x'"):
        unpack_bytes(make_zip({}, x="/etc/passwd"), tmp_path)


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "_SMALLEST_LIMIT_BYTES", 1000)
    with pytest.raises(DownloadError, match="would unpack to 1 files"):
        unpack_bytes(make_zip({"zeros.wav": bytes(10_000_000)}), tmp_path)  # packs to a thousandth
    assert names_in(tmp_path) == ["x.zip"]


@pytest.mark.parametrize(
    "content",
    [b"<html>Please log in</html>", b"", make_zip({"a.wav": CONTENT})[:-100], b"PK\x03\x04" + bytes(99)],
    ids=["a page", "nothing", "cut short", "only a head"],
)
def test_what_is_no_archive_is_told(tmp_path, content):
    with pytest.raises(DownloadError, match="no zip archive that can be read"):
        unpack_bytes(content, tmp_path)


def test_a_damaged_entry_is_not_kept(tmp_path):
    content = bytearray(make_zip({"a.wav": CONTENT}))
    content[len(content) // 2] ^= 0xFF  # random bytes are stored nearly as they are: the checksum notices
    with pytest.raises(DownloadError, match="no zip archive that can be read"):
        unpack_bytes(bytes(content), tmp_path)
    assert names_in(tmp_path) == ["x.zip"]


# Corpora --------------------------------------------------------------------------------------------------


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
    assert names_in(tmp_path) == []


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
