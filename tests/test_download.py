"""Fetch one file from a server that cuts, refuses and lies, and unpack an archive."""

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from file_server import Server, make_zip, names_in, serve
from vocalics.errors import DownloadError
from vocalics.lab.corpora import RemoteFile
from vocalics.lab.corpora import unpack as unpack_module
from vocalics.lab.corpora.http import fetch
from vocalics.lab.corpora.unpack import unpack

CONTENT = np.random.default_rng(7).bytes(700_000)  # more than two of the downloader's chunks
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as started:
        yield started


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
