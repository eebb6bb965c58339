"""WebSockets: what is said of each message, clients of every bad habit, and breaks that lose nothing."""

import contextlib
import json
import os
import signal
import socket
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import serving
from serving import free_port, is_running, program, wait_for
from vocalics import audio
from vocalics.recognition.formats import rounded
from vocalics.recognition.prediction import Segment
from vocalics.recognition.stream import Stream
from vocalics.service import sockets
from vocalics.service.client import Client, ServiceError

RATE = 16_000
PLAN = {"window_s": 1.0, "hop_s": 0.25, "first_s": 0.5}
HELLO = {"sample_rate": RATE, "encoding": "pcm_f32le", **PLAN}


@pytest.fixture(scope="module")
def service(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with program(folder, "--model", toy, "--workers", 1, "--idle-s", 3, "--max-streams", 4) as running:
        yield running


@pytest.fixture(scope="module")
def sentence(clip):
    return audio.read(clip).mono().samples[0]


def numbered(sequence, samples, dtype="<f4"):
    return sequence.to_bytes(8, "big") + np.asarray(samples, dtype=dtype).tobytes()


def messages(samples, size=1600):
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def of_the_library(model, sent):
    """The answers of a stream in this process, as they are written."""
    stream = Stream(model, sample_rate=RATE, **PLAN)
    answers = [answer for samples in sent for answer in stream.push(samples)]
    return [rounded(answer) for answer in answers + stream.finish()]


class Socket:
    """A connection whose messages are JSON."""

    def __init__(self, service, hello=HELLO, **options):
        self.connection = connect(f"ws{service.url[4:]}/v1/stream", compression=None, **options).__enter__()
        if hello is not None:
            self.send(hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send(self, message):
        self.connection.send(message if isinstance(message, bytes) else json.dumps(message))

    def receive(self):
        return json.loads(self.connection.recv(serving.PATIENCE_S))

    def ask(self, message):
        self.send(message)
        return self.receive()

    def close_code(self):
        with pytest.raises(ConnectionClosed) as closed:
            self.connection.recv(serving.PATIENCE_S)
        return closed.value.rcvd.code


def metric(service, name):
    import urllib.request

    text = urllib.request.urlopen(f"{service.url}/metrics").read().decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"vocalics_{name} ")]
    return float(line.split()[1])


# What is said


def test_a_stream_answers_as_that_of_the_library(service, model, sentence):
    sent = messages(sentence)
    with Client(service.url).stream(RATE, **PLAN) as stream:
        answers = [answer for samples in sent for answer in stream.push(samples)] + stream.finish()
    assert len(answers) >= 8  # 3.3 s, an answer every quarter of a second
    assert answers == of_the_library(model, sent)


def test_every_message_is_answered_by_its_number_and_tells_what_may_be_forgotten(service, sentence):
    with Socket(service) as one:
        ready = one.receive()
        assert (ready["sequence"], ready["acknowledged"], ready["answers"]) == (0, 0, [])
        assert {name: ready["ready"][name] for name in PLAN} == PLAN
        assert ready["ready"]["model"] == "toy"
        for sequence, samples in enumerate(messages(sentence), start=1):
            told = one.ask(numbered(sequence, samples))
            assert list(told) == ["sequence", "acknowledged", "resume", "answers"]
            assert (told["sequence"], told["acknowledged"]) == (sequence, 0)
            assert told["resume"]["start_s"] == 0
        end = one.ask({"end": True})
        assert end["end"] is True
        assert end["acknowledged"] == end["sequence"] == sequence
        assert set(end["answers"][0]) == set(Segment.__dataclass_fields__)
        assert one.close_code() == 1000


def test_integers_are_heard_as_floats_are(service, model, sentence):
    integers = np.round(sentence * 32767).astype(np.int16)
    with Socket(service, HELLO | {"encoding": "pcm_s16le"}) as one:
        one.receive()
        answers = one.ask(numbered(1, integers, "<i2"))["answers"] + one.ask({"end": True})["answers"]
    expected = of_the_library(model, [integers])
    assert [Segment(**answer) for answer in answers] == expected


def test_a_message_is_heard_in_pieces_as_it_is_at_once(service, model, sentence):
    """Messages over `PIECE_S` are divided, so that other streams have their turn."""
    assert len(sentence) / RATE > sockets.PIECE_S
    with Socket(service) as one:
        one.receive()
        answers = one.ask(numbered(1, sentence))["answers"] + one.ask({"end": True})["answers"]
    assert [Segment(**answer) for answer in answers] == of_the_library(model, [sentence])


def test_lost_sound_moves_the_clock_and_needs_no_keeping(service, sentence):
    with Socket(service) as one:
        one.receive()
        one.ask(numbered(1, sentence))
        told = one.ask({"sequence": 2, "lost_s": 5.0})
        assert told["acknowledged"] == 2
        assert told["resume"]["start_s"] == pytest.approx(len(sentence) / RATE + 5.0)
        later = one.ask(numbered(3, sentence))["answers"]
        assert later[0]["start_s"] >= told["resume"]["start_s"]


# What is wrong is told, and ends the stream


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (b"\0" * 8, "the first message is binary"),
        ("hello", "text messages are JSON objects"),
        ({}, "'sample_rate' is missing"),
        ({"sample_rate": 100}, "'sample_rate' is '100'"),
        (HELLO | {"hop": 1}, "'hop' is not known; did you mean 'hop_s'?"),
        (HELLO | {"hop_s": 0.1}, "'hop_s' is '0.1'; input should be greater than or equal to 0.25"),
        (HELLO | {"window_s": 9.0}, "hears 0.25 to 1 s"),
        (HELLO | {"model": "../toy"}, "there is no model '../toy'; this service has 'toy'"),
        (HELLO | {"encoding": "mp3"}, "'encoding' is 'mp3'"),
        (HELLO | {"start_s": -1}, "'start_s' is '-1'"),
    ],
)
def test_a_hello_that_cannot_be_is_told(service, hello, told):
    with Socket(service, hello) as one:
        answer = one.receive()
        assert told in answer["error"]
        assert answer["retry"] is False
        assert one.close_code() == 1008


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (numbered(3, [0.0]), "message 3 came after 1; the next one is 2"),
        (numbered(1, [0.0]), "message 1 came after 1; the next one is 2"),
        ({"sequence": 4, "lost_s": 1}, "message 4 came after 1"),
        (b"\0\0", "2 bytes; it begins with its number"),
        (numbered(2, [0.0]) + b"\0", "5 bytes of samples"),
        (numbered(2, np.zeros(6 * RATE)), "at most 5 s"),
        (numbered(2, [float("nan")]), "NaN"),
        ({"sequence": 2, "lost_s": 0}, "'lost_s' is '0'"),
        ({"end": False}, "'end' is 'False'"),
        ({"ende": True}, "'sequence' is missing"),
        ("[1]", "text messages are JSON objects"),
        ({"end": "a" * 5000}, "text messages are JSON objects of 4096 characters"),
        ({"\ud800": 1}, "should be a valid string"),
    ],
)
def test_a_message_that_cannot_be_is_told_by_the_number_before_it(service, message, told):
    with Socket(service) as one:
        one.receive()
        one.ask(numbered(1, np.zeros(160)))
        answer = one.ask(message)
        assert told in answer["error"]
        assert answer["retry"] is False
        assert one.close_code() == 1008


def test_a_message_that_is_far_too_large_is_not_even_read(service):
    with Socket(service) as one:
        one.receive()
        one.send(numbered(1, np.zeros(5 * 192_000 + 1)))
        assert one.close_code() == 1009


def test_a_page_from_elsewhere_may_not_open_a_stream(service):
    for origin in ("https://elsewhere.example", "null", f"http://127.0.0.1:{service.port + 1}"):
        with pytest.raises(InvalidStatus) as refused:
            Socket(service, origin=origin)
        assert refused.value.response.status_code == 403
        assert "may not open a stream here" in json.loads(refused.value.response.body)["error"]
        assert "default-src" in refused.value.response.headers["content-security-policy"]
    with Socket(service, origin=service.url) as one:
        one.receive()


def test_there_are_so_many_sockets_and_no_more(service):
    wait_for(lambda: metric(service, "streams") == 0, "the sockets of other tests to close")
    held = [Socket(service, None) for _ in range(4)]
    with pytest.raises(InvalidStatus) as refused:
        Socket(service)
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["retry-after"]) > 0
    for one in held:
        one.connection.close()
    wait_for(lambda: metric(service, "streams") == 0, "the places to be free")
    with Socket(service) as one:
        one.receive()


def test_one_worker_carries_many_streams(toy, tmp_path, model, sentence):
    """More than fit into the memory that a worker which decodes may address."""
    sent = messages(sentence, len(sentence))
    expected = of_the_library(model, sent)
    with program(tmp_path, "--model", toy, "--workers", 1, "--max-streams", 60) as running:
        streams = [Client(running.url).stream(RATE, **PLAN) for _ in range(60)]
        with contextlib.ExitStack() as stack:
            for stream in streams:
                stack.enter_context(stream)
            answers = [stream.push(sentence) + stream.finish() for stream in streams]
    assert answers == [expected] * 60
    assert {stream.n_connections for stream in streams} == {1}


def test_a_token_is_asked_for_here_too(toy, tmp_path):
    environment = os.environ | {"VOCALICS_TOKEN": "correct-horse"}
    with program(tmp_path, "--model", toy, "--workers", 1, environment=environment) as guarded:
        with pytest.raises(InvalidStatus) as refused:
            Socket(guarded)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
        with pytest.raises(ServiceError, match="asks for a token"), Client(guarded.url).stream(RATE):
            pass
        with Client(guarded.url, token="correct-horse").stream(RATE, **PLAN) as stream:
            assert stream.push(np.zeros(RATE)) == []


# Clients with bad habits


def test_a_silent_client_is_left_and_told(service):
    with Socket(service) as one:
        one.receive()
        assert "no message came for 3 s" in one.receive()["error"]
        assert one.close_code() == 1008
    with Socket(service, None) as one:  # not even a hello
        assert "no message came for 3 s" in one.receive()["error"]


def test_a_client_that_does_not_read_is_left_and_holds_nobody_up(service, model, sentence):
    wait_for(lambda: metric(service, "streams") == 0, "the sockets of other tests to close")
    deaf = socket.create_connection(("127.0.0.1", service.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    key = "GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    deaf.sendall(f"{key}Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    deaf.settimeout(0.5)
    loud, unsent = frames(sentence), b""
    left = False
    give_up_at = time.monotonic() + serving.PATIENCE_S
    while not left and time.monotonic() < give_up_at:
        try:
            unsent = unsent or next(loud)
            unsent = unsent[deaf.send(unsent) :]
        except TimeoutError:  # the service does not read either: what is sent is held back, not piled up
            continue
        except OSError:
            left = True
    deaf.close()
    assert left
    with Client(service.url).stream(RATE, **PLAN) as stream:
        sent = messages(sentence)
        answers = [answer for samples in sent for answer in stream.push(samples)] + stream.finish()
    assert answers == of_the_library(model, sent)


def frames(samples):
    """Endless frames of a client: the hello, then messages of 5 ms; masked with zeros."""

    def frame(opcode, payload):
        length = len(payload)
        head = bytes([0x80 | opcode]) + (
            bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        )
        return head + b"\0\0\0\0" + payload

    yield frame(1, json.dumps(HELLO).encode())
    sequence = 0
    while True:
        for message in messages(samples, 80):
            sequence += 1
            yield frame(2, numbered(sequence, message))


def test_a_client_that_vanishes_leaves_nothing_behind(service, sentence):
    wait_for(lambda: metric(service, "streams") == 0, "the sockets of other tests to close")
    one = Socket(service)
    one.receive()
    one.send(numbered(1, sentence))
    assert metric(service, "streams") == 1
    one.connection.socket.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: metric(service, "streams") == 0, "the place to be free")


def test_sound_that_comes_faster_than_it_can_be_spoken_is_held_back_and_not_dropped(
    service, model, sentence, monkeypatch
):
    """Within a session: the pauses that it takes, by a clock that stands still."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(sockets.asyncio, "sleep", sleep)
    session = object.__new__(sockets._Session)
    session._heard_s = 0.0

    class Clock:
        @staticmethod
        def time():
            return 100.0

    monkeypatch.setattr(sockets.asyncio, "get_running_loop", Clock)
    session._began = 100.0
    for _ in range(4):
        coroutine = session._hold_back(5.0)
        with pytest.raises(StopIteration):
            coroutine.send(None)
    # Ten seconds may come at once; then each five take five sixteenths, and what is owed adds up.
    assert slept == [5.0 / 16, 10.0 / 16]


# Breaks


def talk_through(stream, sent, meanwhile):
    """Push messages, with something happening before some of them; return all answers."""
    answers = []
    for sequence, samples in enumerate(sent, start=1):
        meanwhile.get(sequence, lambda: None)()
        answers += stream.push(samples)
    return answers + stream.finish()


def test_a_service_that_is_killed_and_started_again_loses_no_answer(toy, model, sentence, tmp_path):
    sent = messages(np.tile(sentence, 4))
    port = free_port()
    options = ("--model", toy, "--workers", 1, "--port", port)
    first, second, third = (program(tmp_path, *options) for _ in range(3))
    services = [first.__enter__()]

    def replace(how, another):
        def act():
            services[-1].end(how)
            services.append(another.__enter__())

        return act

    try:
        with Client(services[0].url, patience_s=serving.PATIENCE_S).stream(RATE, **PLAN) as stream:
            killed, ended = replace(signal.SIGKILL, second), replace(signal.SIGTERM, third)
            answers = talk_through(stream, sent, {30: killed, 90: ended})
        assert stream.n_connections == 3
        assert answers == of_the_library(model, sent)
    finally:
        for one in (third, second, first)[3 - len(services) :]:
            one.__exit__(None, None, None)


def test_a_worker_of_streams_that_is_killed_loses_no_answer(service, model, sentence):
    sent = messages(sentence)
    with Client(service.url, patience_s=serving.PATIENCE_S).stream(RATE, **PLAN) as stream:
        stream.push(sent[0])
        os.kill(max(service.children()), signal.SIGKILL)  # the younger one: it was started for this stream
        answers = [answer for samples in sent[1:] for answer in stream.push(samples)] + stream.finish()
    assert stream.n_connections == 2
    assert answers == of_the_library(model, sent)


def test_a_connection_that_breaks_loses_no_answer(service, model, sentence):
    sent = messages(np.tile(sentence, 2))
    with Client(service.url).stream(RATE, **PLAN) as stream:

        def pull_the_plug():
            stream._connection.socket.shutdown(socket.SHUT_RDWR)

        answers = talk_through(stream, sent, dict.fromkeys((2, 20, 21, 50, len(sent)), pull_the_plug))
    assert stream.n_connections == 6
    assert answers == of_the_library(model, sent)


def test_a_break_at_the_very_end_loses_no_answer(service, model, sentence):
    sent = messages(sentence)
    with Client(service.url).stream(RATE, **PLAN) as stream:
        answers = [answer for samples in sent for answer in stream.push(samples)]
        stream._connection.socket.shutdown(socket.SHUT_RDWR)
        answers += stream.finish()
    assert answers == of_the_library(model, sent)


def test_the_client_forgets_what_is_acknowledged(service, sentence):
    with Client(service.url).stream(RATE, **PLAN) as stream:
        stream.push(sentence)
        assert len(stream._kept) == 1
        stream.lose(1.0)
        assert len(stream._kept) == 0
        assert stream.push(sentence)[0].start_s >= len(sentence) / RATE + 1.0


def test_a_client_that_cannot_reach_a_service_gives_up_after_its_patience(tmp_path):
    stream = Client(f"http://127.0.0.1:{free_port()}", patience_s=0.3).stream(RATE)
    with pytest.raises(ServiceError, match="does not answer"), stream:
        pass


def test_workers_of_streams_end_with_the_service(toy, sentence, tmp_path):
    with program(tmp_path, "--model", toy, "--workers", 1) as running:
        with Client(running.url).stream(RATE, **PLAN) as stream:
            stream.push(sentence)
            children = running.children()
            assert len(children) == 2  # one for recordings, one for streams
        assert running.end() == 0
        assert [pid for pid in children if is_running(pid)] == []
