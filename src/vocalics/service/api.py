"""The routes of the service: what is asked, of whom, and how the answer leaves."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

import vocalics
from vocalics.errors import VocalicsError
from vocalics.service import document, hearing
from vocalics.service.door import Door, error_body
from vocalics.service.hearing import Answer
from vocalics.service.line import Busy, Gone
from vocalics.service.processes import Fault, WorkerError
from vocalics.service.refusals import Refused, too_busy
from vocalics.service.service import Service
from vocalics.service.shapes import (
    MEDIA_TYPES,
    Error,
    Models,
    Prediction,
    Predictions,
    PredictOptions,
    Status,
    Timeline,
    TimelineOptions,
    Timelines,
    first_fault,
)
from vocalics.service.sockets import serve_stream
from vocalics.service.spool import Upload
from vocalics.service.uploads import Form, receive_form

log = logging.getLogger("vocalics.service")


def build(service: Service, *, entered: bool = False) -> Door:
    """Return the ASGI application.

    Parameters
    ----------
    service
        What answers.
    entered
        Whether the caller has entered the service; else the application does when it starts.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if entered:
            yield
        else:
            async with service:
                yield

    app = FastAPI(
        title="vocalics",
        version=vocalics.__version__,
        summary="Emotion in speech.",
        description=document.DESCRIPTION,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_recordings(app, service)
    _add_the_rest(app, service)
    _add_errors(app)
    document.complete(app, with_token=service.settings.token is not None)
    return Door(app, service.settings.token, service.metrics)


# ---- recordings --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """What is asked about each recording of a request.

    Attributes
    ----------
    do
        What a worker shall do.
    model
        Name of the model.
    options
        As of `vocalics.service.hearing`.
    failed
        The answer where the worker has none, from the recording's name and a sentence.
    """

    do: str
    model: str
    options: Mapping[str, Any]
    failed: Callable[[str | None, str], Answer]


def _add_recordings(app: FastAPI, service: Service) -> None:
    """Add the routes that take recordings."""

    @app.post(
        "/v1/predict",
        summary="Which emotion is in one recording, or in each of several",
        description=document.PREDICT,
        responses=document.answers(Prediction | Predictions, failed=Prediction),
        openapi_extra=document.body(),
    )
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        model = service.card(options.model)["name"]
        form = await receive_form(request.headers, request.receive, service.spool, service.settings)
        try:
            question = _Question(
                "predict",
                model,
                {"abstain_below": options.abstain_below},
                lambda name, sentence: hearing.failed_prediction(name, model, sentence),
            )
            answers = await _ask_each(service, request, question, form)
        finally:
            form.remove()
        return _many(answers, "predictions") if form.many else _one(answers[0])

    @app.post(
        "/v1/timeline",
        summary="Who felt what, when, in a recording of any length",
        description=document.TIMELINE,
        responses=document.answers(
            Timeline | Timelines, failed=Timeline, other=tuple(MEDIA_TYPES.values())[1:]
        ),
        openapi_extra=document.body("rttm"),
    )
    async def timeline(request: Request, options: Annotated[TimelineOptions, Query()]) -> Response:
        card = service.card(options.model)
        form = await receive_form(
            request.headers, request.receive, service.spool, service.settings, ("rttm",)
        )
        try:
            if len(form.recordings) > 1 and (form.others or options.format != "json"):
                raise Refused(
                    422,
                    f"the form has {len(form.recordings)} recordings; several are taken only without a "
                    "diarization, and with the format json: send one after the other.",
                )
            rttm = form.others.get("rttm")
            chosen = options.model_dump(exclude={"model"}) | {"rttm": rttm and str(rttm.path)}
            about = (card["name"], card["emotions"], card["window_s"], chosen)
            question = _Question(
                "timeline",
                card["name"],
                chosen,
                lambda name, sentence: hearing.failed_timeline(name, *about, sentence),
            )
            answers = await _ask_each(service, request, question, form)
        finally:
            form.remove()
        is_list = form.many and options.format == "json"
        return _many(answers, "timelines") if is_list else _one(answers[0])


async def _ask_each(service: Service, request: Request, question: _Question, form: Form) -> list[Answer]:
    """Ask about every recording of a form, about as many at once as there are workers."""
    if len(form.recordings) == 1:
        return [await _ask(service, request, question, form.recordings[0])]
    places = asyncio.Semaphore(service.settings.workers)

    async def ask(upload: Upload) -> Answer:
        async with places:
            return await _ask(service, request, question, upload)

    found = await asyncio.gather(*map(ask, form.recordings), return_exceptions=True)
    answers = []
    for one in found:
        if isinstance(one, BaseException):
            raise one
        answers.append(one)
    return answers


async def _ask(service: Service, request: Request, question: _Question, upload: Upload) -> Answer:
    """Ask about one recording."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    order = {
        "do": question.do,
        "model": question.model,
        "path": str(upload.path),
        "name": upload.name,
        "options": question.options,
    }
    try:
        told, body = await service.line.work(order, long=question.do == "timeline", gone=gone)
    except WorkerError as error:
        return question.failed(upload.name, f"{upload.name or hearing.UNNAMED} {error}")
    except Busy:
        raise too_busy("the line of recordings that wait is full, or did not move") from None
    except Gone:
        raise Refused(499, "the client went away before its turn came.") from None
    except VocalicsError as error:
        raise Refused(422, str(error)) from None
    except Fault as fault:
        log.error("a worker met a fault:\n%s", fault)
        raise Refused(500, "the service failed at this recording; its log says more.") from None
    service.metrics.work_seconds.labels(request.url.path).observe(told["work_s"])
    service.metrics.audio_seconds.labels(request.url.path).inc(told["duration_s"] or 0.0)
    return Answer(body, told["form"], told["failed"], told["duration_s"])


def _one(answer: Answer) -> Response:
    """Return the answer for the only recording."""
    return Response(answer.body, 422 if answer.failed else 200, media_type=MEDIA_TYPES[answer.form])


def _many(answers: list[Answer], key: str) -> Response:
    """Return the answers for the recordings of a form."""
    joined = b",\n".join(answer.body.strip() for answer in answers)
    return Response(b'{"%s": [\n%s\n]}\n' % (key.encode(), joined), media_type=MEDIA_TYPES["json"])


# ---- the rest ----------------------------------------------------------------------------------------------


def _add_the_rest(app: FastAPI, service: Service) -> None:
    """Add the routes about the service itself, and the stream."""
    unknown: dict[int | str, dict[str, Any]] = {401: {"model": Error}}
    starting: dict[int | str, dict[str, Any]] = {503: {"model": Error}}

    @app.get("/v1/models", summary="The models of this service", response_model=Models, responses=unknown)
    async def models() -> dict[str, Any]:
        return {"models": list(service.cards.values())}

    @app.get("/healthz", summary="Whether the service runs", response_model=Status)
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether it can answer", response_model=Status, responses=starting)
    async def readiness() -> dict[str, str]:
        if not service.line.ready:
            raise too_busy("the service has no worker yet")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        summary="Counters, for Prometheus",
        response_class=Response,
        responses={**unknown, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.expose(), media_type=service.metrics.media_type)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(document.page(vocalics.__version__))

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await serve_stream(websocket, service)


def _add_errors(app: FastAPI) -> None:
    """Answer every error with one sentence in JSON."""

    def told(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
        return Response(error_body(sentence), status, headers, MEDIA_TYPES["json"])

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return told(error.status, error.sentence, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        shape = {"/v1/predict": PredictOptions, "/v1/timeline": TimelineOptions}[request.url.path]
        return told(422, first_fault([dict(one) for one in error.errors()], shape))

    @app.exception_handler(404)
    async def missing(request: Request, _: Exception) -> Response:
        return told(404, f"there is nothing at {request.url.path[:200]}; / lists what there is.")

    @app.exception_handler(405)
    async def wrong_method(request: Request, error: Any) -> Response:
        path = request.url.path
        return told(405, f"{path} does not answer {request.method}; / lists what there is.", error.headers)

    @app.exception_handler(500)
    async def failed(_: Request, error: Exception) -> Response:
        return told(500, "the service failed at this request; its log says more.")
