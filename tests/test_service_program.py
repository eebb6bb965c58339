"""``vocalics serve`` as a program: how it starts, whom it waits for, and how it ends."""

import concurrent.futures
import os
import signal
import socket
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pytest

import serving
from serving import free_port, is_running, program, wait_for
from vocalics import audio
from vocalics.service.client import Client, ServiceError
from vocalics.service.server import LONGEST_HEAD_BYTES


@pytest.fixture(scope="module")
def service(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with program(folder, "--model", toy, "--workers", 1, "--idle-s", 1, "--max-mb", 3) as running:
        yield running


@pytest.fixture
def own_temporary_folder(tmp_path):
    """An environment whose temporary files lie in a folder of the test's own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder, os.environ | {"TMPDIR": str(folder)}


def connected(service):
    one = socket.create_connection(("127.0.0.1", service.port))
    one.settimeout(serving.PATIENCE_S)
    return one


def rest_of(connection):
    """Everything that still comes, until the other side closes."""
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def spooled(folder):
    return [path for path in folder.glob("vocalics-serve-*/*") if path.name != "lock"]


def metric(service, name):
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith(f"vocalics_{name} ")]
    return float(line.split()[1])


# It starts


def test_it_says_where_it_is_in_one_line(service):
    assert service.log.read_text() == (
        f"vocalics: serving at {service.url}, which lists the routes; Ctrl-C ends it.\n"
    )
    assert service.url.startswith("http://127.0.0.1:")  # nobody else reaches it unless told


def test_it_warns_when_everybody_may_ask(toy, tmp_path):
    with program(tmp_path, "--model", toy, "--workers", 1, "--host", "0.0.0.0") as running:
        assert "whoever reaches 0.0.0.0 may ask; set VOCALICS_TOKEN" in running.log.read_text()
        running.end()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "vocalix"), "there is no model 'vocalix'; did you mean 'vocalics'?"),
        (("--max-mb", "0"), "max_mb is 0.0; give a number above 0"),
        (("--host", "256.0.0.1"), "cannot listen on 256.0.0.1"),
        (("--port", "70000"), "less than or equal to 65535"),
        (("--token", "x"), "no such option: --token"),
    ],
)
def test_what_it_cannot_do_is_one_line_and_exit_code_2(command, options, told):
    run = command("serve", "--workers", "1", *options)
    assert run.code == 2
    assert told in run.err
    assert run.err.count("\n") == 1


def test_a_port_that_is_taken_is_told(command, service):
    run = command("serve", "--workers", "1", "--port", service.port)
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert f"cannot listen on 127.0.0.1, port {service.port}" in run.err


@pytest.mark.parametrize("token", ["", "two\nlines", "two words", "café"])
def test_a_token_that_is_none_does_not_leave_the_service_open(command, monkeypatch, token):
    monkeypatch.setenv("VOCALICS_TOKEN", token)
    run = command("serve")
    assert run.code == 2
    assert "VOCALICS_TOKEN is set, but its value is no token" in run.err


# The client


def test_the_client_gives_the_librarys_records(service, model, clip, clips, tmp_path):
    client = Client(service.url)
    found = client.predict(clip)
    here = model.predict(clip)
    assert (found.path, found.emotion, found.model) == (clip.name, here.emotion, here.model)
    assert found.probabilities == pytest.approx(here.probabilities, abs=1e-6)  # told to six decimals
    assert client.predict(clip.read_bytes()).path is None
    assert [one.path for one in client.predict_many(clips)] == [path.name for path in clips]
    turns = tmp_path / "woman.rttm"
    turns.write_text("SPEAKER woman 1 0 2 <NA> <NA> ann <NA> <NA>\n")
    assert [one.speaker for one in client.timeline(clip, rttm=turns, hop_s=0.5).speakers] == ["ann"]
    assert [one["name"] for one in client.models()] == ["toy"]


def test_the_client_raises_what_the_library_would(service, tmp_path):
    client = Client(service.url)
    (tmp_path / "notes.wav").write_text("Dear Sir or Madam,\n" * 50)
    for ask in (client.predict, client.timeline):
        with pytest.raises(audio.AudioError, match=r"notes\.wav"):
            ask(tmp_path / "notes.wav")
    with pytest.raises(ServiceError, match="there is no model 'x'") as refused:
        client.predict(tmp_path / "notes.wav", model="x")
    assert refused.value.status == 422
    with pytest.raises(ServiceError, match="does not answer"):
        Client(f"http://127.0.0.1:{free_port()}").models()


# Connections


def test_a_connection_on_which_nothing_is_asked_is_closed(service):
    for said in (b"", b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"):  # silent, or in the middle of its head
        with connected(service) as one:
            one.sendall(said)
            assert rest_of(one) == b""


def test_a_body_that_stands_still_is_refused(service):
    with connected(service) as one:
        one.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n")
        one.sendall(b"Content-Length: 100\r\n\r\nRIFF")
        answer = rest_of(one)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"4 bytes came in 1 s; at least 8000 bytes a second are needed" in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\x16\x03\x01 TLS to a plain port\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (LONGEST_HEAD_BYTES + 300_000), b"HTTP/1.1 431"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000, b"HTTP/1.1 431"),
    ],
    ids=["no HTTP", "an endless header", "endless headers"],
)
def test_what_is_no_request_is_told_in_json(service, said, status):
    with connected(service) as one:
        try:
            one.sendall(said)
            answer = rest_of(one)
        except ConnectionError:  # it was closed while there was more to read, so the answer may be lost
            assert status != b"HTTP/1.1 400"
            return
    assert answer.startswith(status)
    assert b'{"error": "' in answer
    assert b"default-src 'none'" in answer


def test_a_refused_upload_reads_its_answer_although_it_sends_on(service):
    body = np.random.default_rng(0).bytes(4_000_000)
    answer = httpx.post(f"{service.url}/v1/predict", content=body, headers={"content-type": "audio/wav"})
    assert answer.status_code == 413


def test_a_client_that_asks_first_need_not_send_what_is_refused(service):
    with connected(service) as one:
        one.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n")
        one.sendall(b"Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n")
        answer = rest_of(one)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer


def test_a_client_that_does_not_read_is_left(service):
    """Thousands of requests on one connection, and none of the answers, of some 15 kB each, is read."""
    n_before = n_sockets(service.process.pid)
    with connected(service) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)
        wait_for(lambda: n_sockets(service.process.pid) > n_before, "the connection to be made")
        wait_for(lambda: n_sockets(service.process.pid) <= n_before, "the service to leave")
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    assert service.log.read_text().count("\n") == 1  # it is nothing that an operator must hear of


def n_sockets(pid):
    """How many sockets a process has open."""
    open_files = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(path.readlink()).startswith("socket:") for path in open_files if path.is_symlink())


def test_a_connection_is_kept_for_the_next_request(service, clip):
    with httpx.Client(base_url=service.url) as client:
        for _ in range(3):
            answer = client.post(
                "/v1/predict", content=clip.read_bytes(), headers={"content-type": "audio/wav"}
            )
            assert "connection" not in answer.headers


FEW_CONNECTIONS = """
import sys
from vocalics.service.server import run
from vocalics.service.settings import Settings
settings = Settings(models=(sys.argv[-1],), workers=1, max_connections=2, idle_s=2.0)
run(settings, "127.0.0.1", 0, lambda url: print(f"serving at {url},", file=sys.stderr))
"""


def test_more_connections_than_are_allowed_are_told_so_and_silent_ones_make_room(toy, tmp_path):
    with program(tmp_path, toy, text=FEW_CONNECTIONS) as running:
        silent = [connected(running) for _ in range(2)]
        with connected(running) as third:
            answer = rest_of(third)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 2" in answer
        assert [rest_of(one) for one in silent] == [b"", b""]
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        for one in silent:
            one.close()


# Nothing stays


def test_an_upload_whose_client_vanishes_leaves_nothing_behind(toy, tmp_path, own_temporary_folder):
    folder, environment = own_temporary_folder
    with program(tmp_path, "--model", toy, "--workers", 1, environment=environment) as running:
        for whole in (False, True):  # in the middle of its upload, and while its recording waits
            (worker,) = running.children()
            os.kill(worker, signal.SIGSTOP)
            with connected(running) as one:
                one.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n")
                length = 2_000_000
                one.sendall(
                    f"Content-Length: {length}\r\n\r\n".encode() + bytes(length if whole else length - 1)
                )
                wait_for(lambda: spooled(folder), "the upload to be written")
            os.kill(worker, signal.SIGCONT)
            wait_for(lambda: not spooled(folder), "the upload to be removed")
        wait_for(lambda: metric(running, "spool_bytes") == 0, "the bytes to be counted off")
        running.end()
    assert list(folder.iterdir()) == []


def test_a_client_that_vanishes_leaves_the_line(service, clip):
    (worker,) = service.children()
    os.kill(worker, signal.SIGSTOP)
    body = clip.read_bytes()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
    request = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with connected(service) as first:
        first.sendall(request)
        with connected(service) as second:
            second.sendall(request)
            wait_for(lambda: metric(service, "queue_length") == 1, "one of them to wait")
        wait_for(lambda: metric(service, "queue_length") == 0, "it to leave")
        os.kill(worker, signal.SIGCONT)
        assert first.recv(12) == b"HTTP/1.1 200"


def test_what_a_killed_service_left_is_removed_by_the_next(toy, clip, tmp_path, own_temporary_folder):
    folder, environment = own_temporary_folder
    (folder / "vocalics-serve-of-nobody").mkdir()  # no service made this: it has no lock
    with program(tmp_path, "--model", toy, "--workers", 1, environment=environment) as killed:
        (worker,) = killed.children()
        os.kill(worker, signal.SIGSTOP)
        with connected(killed) as one:
            one.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n")
            one.sendall(b"Content-Length: 2000001\r\n\r\n" + bytes(2_000_000))
            wait_for(lambda: spooled(folder), "the upload to be written")
            killed.end(signal.SIGKILL)
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: not is_running(worker), "the worker to notice that it is alone")
    assert spooled(folder)
    with program(tmp_path, "--model", toy, "--workers", 1, environment=environment) as running:
        assert spooled(folder) == []
        assert len(list(folder.glob("vocalics-serve-*"))) == 2  # its own, and that of nobody
        with program(tmp_path, "--model", toy, "--workers", 1, environment=environment) as another:
            assert len(list(folder.glob("vocalics-serve-*"))) == 3  # it leaves alone what is in use
            another.end()
        assert Client(running.url).predict(clip).error is None


def test_a_worker_in_the_middle_of_its_work_ends_when_the_service_was_killed(toy, clip, tmp_path):
    with program(tmp_path, "--model", toy, "--workers", 1) as killed:
        (worker,) = killed.children()
        os.kill(worker, signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(Client(killed.url).timeline, clip)
            wait_for(lambda: metric(killed, "queue_seconds_count") == 1, "the worker to be asked")
            killed.end(signal.SIGKILL)
            assert asked.exception() is not None
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: not is_running(worker), "the worker to end")


# It ends


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_took_and_takes_no_more(toy, clip, tmp_path, how):
    with program(tmp_path, "--model", toy, "--workers", 1) as running:
        (worker,) = running.children()
        os.kill(worker, signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            taken = [pool.submit(Client(running.url).predict, clip) for _ in range(3)]
            wait_for(lambda: metric(running, "queue_length") == 2, "two of them to wait")
            running.process.send_signal(how)
            wait_for(lambda: not answers(running.port), "the service to take no more")
            assert not any(one.done() for one in taken)
            os.kill(worker, signal.SIGCONT)
            assert [one.result().error for one in taken] == [None, None, None]
        assert running.process.wait(serving.PATIENCE_S) == 0
    assert running.log.read_text().count("\n") == 1


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_second_wish_ends_it_at_once(toy, clip, tmp_path):
    with program(tmp_path, "--model", toy, "--workers", 1) as running:
        (worker,) = running.children()
        os.kill(worker, signal.SIGSTOP)  # so that the work would never end
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(Client(running.url).timeline, clip)
            wait_for(lambda: metric(running, "queue_seconds_count") == 1, "the worker to be asked")
            running.process.send_signal(signal.SIGINT)
            wait_for(lambda: not answers(running.port), "the service to take no more")
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(serving.PATIENCE_S) == 0
            assert asked.exception() is not None
        assert not is_running(worker)


def test_temporary_files_lie_where_the_system_says_and_only_their_owner_reads_them(
    toy, tmp_path, own_temporary_folder
):
    folder, environment = own_temporary_folder
    assert Path(tempfile.gettempdir()) != folder
    with program(tmp_path, "--model", toy, "--workers", 1, environment=environment):
        (own,) = folder.iterdir()
        assert own.stat().st_mode & 0o777 == 0o700
