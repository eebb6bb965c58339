"""The OpenAPI document: what FastAPI cannot read from the code, and a page that lists the routes."""

from html import escape
from typing import Any

from fastapi import FastAPI

from vocalics.service.settings import TOKEN_VARIABLE
from vocalics.service.shapes import Error

DESCRIPTION = f"""\
Speech in, calibrated probabilities of emotions out: the answers of the command line `vocalics`, over HTTP.

A body that is one recording is answered with one object, a form with an object that holds a list. A
recording that cannot be used has a sentence in `error`; where it was the only thing asked, the status is 422.
Every other error is `{{"error": "one sentence"}}`. 503 comes with `Retry-After`.

Where the operator set {TOKEN_VARIABLE}, every route but `/`, `/healthz`, `/readyz` and this document asks for
it as a bearer token. A WebSocket at `/v1/stream` takes PCM while it is spoken; OpenAPI has no words for that.
"""

PREDICT = """\
The body is a recording (wav, flac, ogg, opus, mp3, m4a, webm, the sound of a video), or a form with several
in its field `files`. A recording is heard as one clip of ten minutes at most; longer ones are for
`/v1/timeline`.
"""

TIMELINE = """\
The body is a recording, or a form with several in its field `files`; a diarization of one recording may come
in the field `rttm`. In another format than JSON the answer for one recording is that file.
"""

#: What each route is for, as the page at ``/`` lists it.
ROUTES = {
    "POST /v1/predict": "which emotion is in a recording, or in each of several",
    "POST /v1/timeline": "who felt what, when, in a recording of any length",
    "GET /v1/models": "the models of this service",
    "WebSocket /v1/stream": "answers while somebody speaks",
    "GET /openapi.json": "the whole description, for programs",
    "GET /healthz": "whether the service runs",
    "GET /readyz": "whether it can answer",
    "GET /metrics": "counters, for Prometheus",
}

_BINARY = {"type": "string", "format": "binary"}

_REFUSALS = {
    400: "The request breaks off, or its form is none.",
    401: "The bearer token is missing or wrong.",
    408: "The body comes too slowly.",
    413: "The body is too large.",
    415: "The body is of another type.",
}

_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def body(*more_files: str) -> dict[str, Any]:
    """Describe the body of a request with recordings, and the other files that a form may hold."""
    files = {"files": {"type": "array", "items": _BINARY, "minItems": 1}} | dict.fromkeys(more_files, _BINARY)
    form = {"type": "object", "properties": files, "required": ["files"], "additionalProperties": False}
    content = {
        "application/octet-stream": {"schema": _BINARY},
        "audio/wav": {"schema": _BINARY},
        "multipart/form-data": {"schema": form},
    }
    about = "One recording, as any `audio/*`, `video/*` or `application/octet-stream`; or a form."
    return {"requestBody": {"required": True, "description": about, "content": content}}


def answers(answer: Any, failed: Any, other: tuple[str, ...] = ()) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a route with recordings.

    Parameters
    ----------
    answer
        Of status 200.
    failed
        What the only recording is answered with when it cannot be used.
    other
        Media types besides JSON.
    """
    return {
        200: {"model": answer, "content": {kind: {"schema": _BINARY} for kind in other}},
        **{status: {"model": Error, "description": about} for status, about in _REFUSALS.items()},
        422: {"model": failed | Error, "description": "The only recording, or an option, cannot be used."},
        503: {"model": Error, "description": "There is too much to do now.", "headers": _RETRY_AFTER},
    }


def complete(app: FastAPI, *, with_token: bool) -> None:
    """Add to the document what is said of the whole, and keep it."""
    found = app.openapi()
    if with_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, routes in found["paths"].items():
            for route in routes.values():
                if path.startswith("/v1/") or path == "/metrics":
                    route["security"] = [{"token": []}]


def page(version: str) -> str:
    """Return a page that lists the routes; it needs no script, no style and nobody else."""
    rows = "".join(
        f"<dt><code>{escape(route)}</code></dt><dd>{escape(why)}</dd>" for route, why in ROUTES.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>vocalics</title></head><body>'
        f"<h1>vocalics {escape(version)}</h1><p>Emotion in speech, as a service.</p><dl>{rows}</dl>"
        '<p><a href="openapi.json">openapi.json</a></p></body></html>\n'
    )
