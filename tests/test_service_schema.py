"""Whatever the OpenAPI document allows, and what it does not, is answered as it says, never by a fault."""

from collections import Counter
from pathlib import Path

import pytest

from serving import program
from vocalics.service.door import ROUTES

schemathesis = pytest.importorskip("schemathesis", reason="it asks what the document allows; extra 'dev'")
hypothesis = pytest.importorskip("hypothesis", reason="it makes the requests up; extra 'dev'")

POSTS = ("/v1/predict", "/v1/timeline")
GETS = sorted(ROUTES - {"/", "/openapi.json", "/v1/stream", *POSTS})

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]

#: Recordings, whole and cut short, besides the bytes at random that a form is filled with.
CLIP = (Path(__file__).parents[1] / "examples" / "woman.wav").read_bytes()
schemathesis.openapi.media_type(
    "audio/wav", hypothesis.strategies.integers(0, 60_000).map(lambda n: CLIP[: len(CLIP) - n])
)


@pytest.fixture(scope="module")
def document(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with program(folder, "--model", toy, "--workers", 1) as running:
        yield schemathesis.openapi.from_url(f"{running.url}/openapi.json")


@pytest.fixture
def ask(document):
    """Ask a route what its description allows or does not; return how often each status was the answer."""

    def ask_many(method, route, mode, n_examples):
        statuses = Counter()

        @hypothesis.given(case=document[route][method].as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=n_examples,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask_one(case):
            response = case.call()
            statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        ask_one()
        return statuses

    return ask_many


@pytest.mark.parametrize("route", GETS)
def test_what_a_get_answers_is_as_the_document_says(ask, route):
    assert set(ask("GET", route, schemathesis.GenerationMode.POSITIVE, 2)) == {200}


@pytest.mark.parametrize("route", POSTS)
def test_what_the_document_allows_is_answered_as_it_says(ask, route):
    statuses = ask("POST", route, schemathesis.GenerationMode.POSITIVE, 100)
    assert set(statuses) <= {200, 413, 422, 503}
    assert statuses[200]
    assert statuses[422]  # bytes at random are no recording


@pytest.mark.parametrize("route", POSTS)
def test_what_the_document_does_not_allow_is_refused_as_it_says(ask, route):
    statuses = ask("POST", route, schemathesis.GenerationMode.NEGATIVE, 100)
    assert statuses[422]
    assert not [status for status in statuses if status >= 500 and status != 503]
