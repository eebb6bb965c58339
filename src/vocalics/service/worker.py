"""The worker: a process that opens the models once, and decodes and hears what the service hands it.

It is started as ``python -m vocalics.service.worker``, reads messages from its standard input and answers
each on its standard output, in their order. The service may end it at any time, and it ends by itself when
the service has gone.
"""

import sys
import traceback
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.errors import UsageError, VocalicsError
from vocalics.recognition.channel import WindowPlan
from vocalics.recognition.formats import rounded
from vocalics.recognition.model import Model
from vocalics.recognition.prediction import Segment
from vocalics.recognition.stream import USUAL_PLAN, Stream
from vocalics.recognition.worker_process import limit_resources, set_alarm, take_over_standard_streams
from vocalics.service import hearing, wire
from vocalics.service.resumable import ResumableStream, pcm_to_samples

#: How much longer than the service would wait a worker goes on at most when the service has gone, seconds.
GRACE_S = 10.0

#: How much a worker that decodes yields to the service and to streams, which must keep up with time.
NICENESS = 5

Order = Mapping[str, Any]
Reply = tuple[wire.Header, bytes]


def main() -> None:
    """Answer until the service ends the input."""
    orders, replies = take_over_standard_streams()
    first = wire.read(orders)
    if first is None:
        return
    settings, _ = first
    try:
        models = _open_models(settings["models"])
    except Exception as error:
        _send(replies, _failure(error))
        return
    if settings["memory_bytes"] is not None:
        limit_resources(settings["memory_bytes"], file_bytes=0, niceness=NICENESS)
    _send(replies, ({"cards": _cards(models)}, b""))
    recordings, streams = _Recordings(models, settings["max_duration_s"]), _Streams(models)
    works: dict[str, Callable[[Order, bytes], Reply]] = {
        "predict": recordings.predict,
        "timeline": recordings.tell_timeline,
        "open": streams.open,
        "hear": streams.hear,
        "lose": streams.lose,
        "finish": streams.finish,
        "close": streams.close,
    }
    while (message := wire.read(orders)) is not None:
        order, body = message
        set_alarm(settings["max_work_s"] + GRACE_S)
        try:
            reply = works[order["do"]](order, body)
        except Exception as error:
            reply = _failure(error)
        set_alarm(0)
        _send(replies, reply)


class _Recordings:
    """Answers for whole recordings."""

    def __init__(self, models: Mapping[str, Model], max_duration_s: float) -> None:
        self._models = models
        self._limits = {"max_duration_s": max_duration_s}

    def predict(self, order: Order, _: bytes) -> Reply:
        return self._answer(hearing.predict, order)

    def tell_timeline(self, order: Order, _: bytes) -> Reply:
        return self._answer(hearing.tell_timeline, order)

    def _answer(self, hear: Callable[..., hearing.Answer], order: Order) -> Reply:
        began = perf_counter()
        options = order["options"] | self._limits
        answer = hear(self._models[order["model"]], order["path"], order["name"], options)
        told = {
            "form": answer.form,
            "failed": answer.failed,
            "duration_s": answer.duration_s,
            "work_s": perf_counter() - began,
        }
        return told, answer.body


class _Streams:
    """The open streams, by the numbers that the service gives them."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._open: dict[int, tuple[ResumableStream, str]] = {}

    def open(self, order: Order, _: bytes) -> Reply:
        model, hello = self._models[order["model"]], order["hello"]
        times = {name: hello[name] for name in ("window_s", "hop_s", "first_s")}
        plan = WindowPlan.for_model(model.card, USUAL_PLAN, **times)

        def new_stream(start_s: float, after_s: float) -> Stream:
            return Stream(
                model,
                sample_rate=hello["sample_rate"],
                hop_s=plan.hop_s,
                window_s=plan.window_s,
                first_s=plan.first_s,
                abstain_below=hello["abstain_below"],
                start_s=start_s,
                after_s=after_s,
            )

        stream = ResumableStream(
            new_stream,
            max(plan.first_s, plan.hop_s),
            sequence=hello["sequence"],
            start_s=hello["start_s"],
            after_s=hello["after_s"],
        )
        self._open[order["stream"]] = stream, hello["encoding"]
        ready = {
            "model": model.name,
            "window_s": plan.window_s,
            "hop_s": plan.hop_s,
            "first_s": plan.first_s,
            "latency_s": round(stream.latency_s, 3),
        }
        return self._told(stream, []) | {"ready": ready}, b""

    def hear(self, order: Order, body: bytes) -> Reply:
        stream, encoding = self._open[order["stream"]]
        answers = stream.hear(order["sequence"], pcm_to_samples(body, encoding), last=order["last"])
        return self._told(stream, answers), b""

    def lose(self, order: Order, _: bytes) -> Reply:
        stream, _encoding = self._open[order["stream"]]
        return self._told(stream, stream.lose(order["sequence"], order["lost_s"])), b""

    def finish(self, order: Order, _: bytes) -> Reply:
        stream, _encoding = self._open[order["stream"]]
        return self._told(stream, stream.finish()), b""

    def close(self, order: Order, _: bytes) -> Reply:
        self._open.pop(order["stream"], None)
        return {}, b""

    def _told(self, stream: ResumableStream, answers: list[Segment]) -> wire.Header:
        """Return where a stream stands, and its new answers."""
        return {
            "acknowledged": stream.acknowledged,
            "resume": {"start_s": stream.start_s, "after_s": stream.after_s},
            "answers": [rounded(answer).to_dict() for answer in answers],
        }


def _open_models(names: list[str | None]) -> dict[str, Model]:
    """Open the models, and ask each once, so that what is loaded at the first use is there."""
    models: dict[str, Model] = {}
    for name in names or [None]:
        model = Model.load(name)
        if model.name in models:
            raise UsageError(f"two of the models are called '{model.name}'; name only one of them.")
        models[model.name] = model
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 44_100)).astype(np.float32)
        model.predict(audio.read(audio.encode([Waveform(noise, 44_100)])))
    return models


def _cards(models: Mapping[str, Model]) -> list[dict[str, Any]]:
    """Return what the models say of themselves, without the numbers of the head and how they were made."""
    unsaid = {"head", "training", "evaluation", "format_version"}
    return [model.card.model_dump(mode="json", exclude=unsaid) for model in models.values()]


def _failure(error: Exception) -> Reply:
    """Tell of an error: one sentence where it was raised on purpose, else a trace for the log."""
    if isinstance(error, VocalicsError):
        return {"error": str(error)}, b""
    return {"fault": "".join(traceback.format_exception(error))}, b""


def _send(replies: BinaryIO, reply: Reply) -> None:
    try:
        replies.write(wire.pack(*reply))
        replies.flush()
    except BrokenPipeError:  # the service has gone
        sys.exit()


if __name__ == "__main__":
    main()
