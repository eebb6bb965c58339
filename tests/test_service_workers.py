"""Decoding may fail in every way: it costs one request, and the next one is answered."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serving import InProcess, is_running, wait_for
from vocalics.errors import VocalicsError
from vocalics.service import hearing, processes
from vocalics.service.line import Gone
from vocalics.service.processes import Fault, Worker, WorkerError
from vocalics.service.settings import TOKEN_VARIABLE, Settings
from vocalics.service.worker import NICENESS


@pytest.fixture
def serve(toy):
    """Start a service within this process, as ``with serve(workers=1) as service``."""
    return lambda **limits: InProcess(Settings(models=(str(toy),), **{"workers": 1, **limits}))


@pytest.fixture(scope="module")
def one_worker(toy):
    with InProcess(Settings(models=(str(toy),), workers=1, max_duration_s=60.0)) as service:
        yield service


def stop(worker):
    """Let a worker stand still, so that what it is given stays in progress."""
    os.kill(worker.pid, signal.SIGSTOP)


def go_on(worker):
    os.kill(worker.pid, signal.SIGCONT)


def files(clip, name="talk.wav"):
    return [("files", (name, clip.read_bytes()))]


async def forever():
    await asyncio.Event().wait()


def error_of(answer, key="predictions"):
    assert answer.status_code == 200
    return answer.json()[key][0]["error"]


# A worker that dies


@pytest.mark.parametrize(("route", "key"), [("/v1/predict", "predictions"), ("/v1/timeline", "timelines")])
def test_a_worker_that_dies_costs_its_request_alone_and_is_replaced(serve, clip, route, key):
    with serve() as service:
        (worker,) = service.workers
        stop(worker)
        first = service.begin("POST", route, files=files(clip))
        wait_for(lambda: service.service.line._idle == [], "the worker to be asked")
        second = service.begin("POST", route, files=files(clip))
        wait_for(lambda: service.service.line.n_waiting == 1, "the second to wait")
        os.kill(worker.pid, signal.SIGKILL)
        assert error_of(first.result(), key) == "talk.wav made its decoder end (SIGKILL); export it again."
        assert error_of(second.result(), key) is None
        assert service.metric("worker_restarts_total") == 1
        assert service.spooled == []


def test_the_only_recording_that_kills_a_worker_is_422(serve, clip):
    with serve() as service:
        (worker,) = service.workers
        stop(worker)
        asked = service.begin(
            "POST", "/v1/predict", content=clip.read_bytes(), headers={"content-type": "audio/wav"}
        )
        wait_for(lambda: service.service.line._idle == [], "the worker to be asked")
        os.kill(worker.pid, signal.SIGKILL)
        assert asked.result().status_code == 422
        assert asked.result().json()["error"].startswith("the recording made its decoder end")


def test_a_worker_that_dies_idle_costs_nothing(serve, clip):
    with serve(workers=2) as service:
        before = service.workers
        os.kill(before[0].pid, signal.SIGKILL)
        wait_for(lambda: len(set(service.workers) - set(before)) == 1, "another worker")
        assert all(error_of(service.post("/v1/predict", files=files(clip))) is None for _ in range(3))


def test_a_recording_that_takes_too_long_is_given_up(serve, clip):
    with serve(max_work_s=0.2) as service:
        (worker,) = service.workers
        stop(worker)
        told = error_of(service.post("/v1/predict", files=files(clip)))
        assert (
            told == "talk.wav takes longer than the 0.2 s that one recording is granted; send a shorter span."
        )
        wait_for(lambda: not is_running(worker.pid), "the worker to end")


def test_a_fault_in_a_worker_is_told_as_such_and_the_worker_goes_on(one_worker, clip):
    line = one_worker.service.line
    with pytest.raises(Fault, match="KeyError: 'nonsense'"):
        one_worker.run(line.work({"do": "nonsense"}, long=False, gone=forever))
    assert error_of(one_worker.post("/v1/predict", files=files(clip))) is None


def test_workers_that_decode_yield_to_streams(one_worker):
    (worker,) = one_worker.workers
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == min(own + NICENESS, 19)


def test_workers_do_not_know_the_token_and_may_write_no_file(toy, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "secret-word")
    with InProcess(Settings(models=(str(toy),), workers=1)) as service:
        (worker,) = service.workers
        assert b"secret-word" not in Path(f"/proc/{worker.pid}/environ").read_bytes()
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        for limit in ("Max core file size", "Max file size"):
            (line,) = [line for line in limits.splitlines() if line.startswith(limit)]
            assert line.split()[-3:-1] == ["0", "0"]
        (line,) = [line for line in limits.splitlines() if line.startswith("Max address space")]
        assert processes.WORKER_MEMORY_BYTES < int(line.split()[-2]) < 10 * processes.WORKER_MEMORY_BYTES


def test_workers_end_with_the_service(serve):
    with serve(workers=2) as service:
        pids = [worker.pid for worker in service.workers]
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_model_that_cannot_be_used_is_told_when_the_service_starts(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07no model")
    with (
        pytest.raises(VocalicsError, match=r"broken\.onnx"),
        InProcess(Settings((str(tmp_path / "broken.onnx"),))),
    ):
        pass


def test_two_models_of_one_name_are_refused(toy):
    twice = Settings((str(toy), str(toy)), workers=1)
    with pytest.raises(VocalicsError, match="two of the models are called 'toy'"), InProcess(twice):
        pass


def test_requests_choose_among_the_models_by_name(toy, clip):
    with InProcess(Settings((str(toy), "vocalics"), workers=1)) as service:
        assert [one["name"] for one in service.get("/v1/models").json()["models"]] == ["toy", "vocalics"]
        asked = {
            route: service.post(route, files=files(clip)).json()["predictions"][0]["model"]
            for route in ("/v1/predict", "/v1/predict?model=vocalics")
        }
        assert list(asked.values()) == ["toy", "vocalics"]


def test_answers_that_are_none_end_the_worker(one_worker, monkeypatch):
    async def spoilt():
        worker = await Worker.start(one_worker.service.settings, decodes=True)
        asked = asyncio.ensure_future(worker.ask({"do": "close", "stream": 1}, limit_s=60))
        try:
            monkeypatch.setattr(processes.wire, "MOST_BYTES", 0)
            await asked
        finally:
            monkeypatch.undo()
            await worker.end()

    with pytest.raises(WorkerError, match="led its decoder astray"):
        one_worker.run(spoilt())


# The line


def test_when_the_line_is_full_whoever_comes_is_told_when_to_come_back(serve, clip):
    with serve(max_waiting=1) as service:
        (worker,) = service.workers
        stop(worker)
        served = [service.begin("POST", "/v1/predict", files=files(clip))]
        wait_for(lambda: service.service.line._idle == [], "the worker to be asked")
        served.append(service.begin("POST", "/v1/predict", files=files(clip)))
        wait_for(lambda: service.metric("queue_length") == 1, "the second to wait")
        refused = service.post("/v1/predict", files=files(clip))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert list(refused.json()) == ["error"]
        go_on(worker)
        assert [error_of(one.result()) for one in served] == [None, None]


def test_whoever_waits_too_long_is_told_to_come_back(serve, clip):
    with serve(max_wait_s=0.1) as service:
        (worker,) = service.workers
        stop(worker)
        first = service.begin("POST", "/v1/predict", files=files(clip))
        wait_for(lambda: service.service.line._idle == [], "the worker to be asked")
        assert service.post("/v1/predict", files=files(clip)).status_code == 503
        assert service.metric("queue_length") == 0
        go_on(worker)
        assert error_of(first.result()) is None


def test_whoever_goes_away_leaves_the_line(serve, clip):
    with serve() as service:
        line = service.service.line
        (worker,) = service.workers
        stop(worker)
        first = service.begin("POST", "/v1/predict", files=files(clip))
        wait_for(lambda: line._idle == [], "the worker to be asked")
        left = asyncio.Event()
        second = service.start(line.work({"do": "predict"}, long=False, gone=left.wait))
        wait_for(lambda: line.n_waiting == 1, "the second to wait")
        service._loop.call_soon_threadsafe(left.set)
        with pytest.raises(Gone):
            second.result(60)
        assert line.n_waiting == 0
        go_on(worker)
        assert error_of(first.result()) is None
        wait_for(lambda: len(line._idle) == 1, "the worker to rest")


def test_long_recordings_leave_a_worker_to_short_ones(serve, clip):
    with serve(workers=2, max_wait_s=0.2) as service:
        line = service.service.line
        before = set(service.workers)
        for worker in before:
            stop(worker)
        first = service.begin("POST", "/v1/timeline", files=files(clip))
        wait_for(lambda: len(line._idle) == 1, "one worker to be asked")
        go_on(line._idle[0])
        assert service.post("/v1/timeline", files=files(clip)).status_code == 503
        assert error_of(service.post("/v1/predict", files=files(clip))) is None
        for worker in before:
            go_on(worker)
        assert error_of(first.result(), "timelines") is None


def test_a_request_that_is_cancelled_gives_its_worker_up(serve, clip):
    with serve() as service:
        line = service.service.line
        (worker,) = service.workers
        stop(worker)
        asked = service.start(line.work({"do": "predict"}, long=False, gone=forever))
        wait_for(lambda: line._idle == [], "the worker to be asked")
        waiting = service.start(line.work({"do": "predict"}, long=False, gone=forever))
        wait_for(lambda: line.n_waiting == 1, "the second to wait")
        waiting.cancel()
        asked.cancel()
        wait_for(lambda: not is_running(worker.pid), "the worker to end")
        assert error_of(service.post("/v1/predict", files=files(clip))) is None


def test_of_many_recordings_in_one_form_one_refusal_is_the_answer(serve, clip):
    with serve(workers=2, max_waiting=1) as service:
        for worker in service.workers:
            stop(worker)
        busy = [service.begin("POST", "/v1/predict", files=files(clip)) for _ in range(2)]
        wait_for(lambda: service.service.line._idle == [], "the workers to be asked")
        many = service.begin("POST", "/v1/predict", files=files(clip) * 4)
        wait_for(lambda: service.service.line.n_waiting == 1, "one of the form to wait")
        for worker in service.workers:
            go_on(worker)
        assert many.result().status_code == 503  # the second of the form found the line full
        assert [error_of(one.result()) for one in busy] == [None, None]
        assert service.spooled == []


# Bombs


def silence(folder, seconds, suffix="flac", rate=8_000, channels=1):
    """A file of silence: an hour takes some 100 kB."""
    path = folder / f"silence.{suffix}"
    kind = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}[suffix]
    with soundfile.SoundFile(path, "w", rate, channels, kind[1], format=kind[0]) as file:
        block = np.zeros((60 * rate, channels), dtype=np.int16)
        for _ in range(round(seconds / 60)):
            file.write(block)
    return path


@pytest.mark.parametrize("suffix", ["flac", "opus"])
@pytest.mark.parametrize(("route", "key"), [("/v1/predict", "predictions"), ("/v1/timeline", "timelines")])
def test_a_small_file_of_endless_silence_stops_at_the_limit(one_worker, tmp_path, suffix, route, key):
    bomb = silence(tmp_path, 20 * 60, suffix)
    assert bomb.stat().st_size < 2_000_000
    told = error_of(one_worker.post(route, files=files(bomb, "bomb")), key)
    assert told.startswith("bomb has more than 60 s of sound")


def test_a_length_that_only_decoding_tells_stops_at_the_limit_too(one_worker, tmp_path):
    """An ogg file whose end is cut off does not tell how long it is."""
    whole = silence(tmp_path, 20 * 60, "opus").read_bytes()
    told = error_of(one_worker.post("/v1/timeline", files=[("files", ("bomb", whole[:-5000]))]), "timelines")
    assert told.startswith("bomb has more than 60 s of sound")


def test_a_recording_that_takes_too_much_memory_is_refused_and_the_worker_goes_on(
    toy, clip, tmp_path, monkeypatch
):
    # 240 s of 8 channels at 48 kHz are 369 MB as float32, twice that while they are joined.
    bomb = silence(tmp_path, 240, rate=48_000, channels=8)
    assert bomb.stat().st_size < 1_000_000
    monkeypatch.setattr(processes, "WORKER_MEMORY_BYTES", 300_000_000)
    with InProcess(Settings(models=(str(toy),), workers=1)) as service:
        (worker,) = service.workers
        told = error_of(service.post("/v1/predict", files=files(bomb, "bomb.flac")))
        assert told.startswith("bomb.flac takes more memory than one recording is granted")
        assert error_of(service.post("/v1/predict", files=files(clip))) is None
        assert service.workers == [worker]


def test_large_files_are_read_as_they_are_needed_and_under_their_name(one_worker, clip, monkeypatch, toy):
    from vocalics.recognition.model import Model

    options = {"max_duration_s": 60.0, "abstain_below": None}
    model = Model.load(toy)
    at_once = hearing.predict(model, str(clip), "talk.wav", options)
    monkeypatch.setattr(hearing, "READ_AT_ONCE_BYTES", 0)
    assert hearing.predict(model, str(clip), "talk.wav", options) == at_once
    assert b'"path": "talk.wav"' in at_once.body
    assert hearing.predict(model, str(clip), None, options).failed is False
