"""The service answers over HTTP what the command line answers, and every error with one sentence."""

import json
from dataclasses import fields

import pytest

import vocalics
from pages import Page
from serving import InProcess
from vocalics.recognition.prediction import Prediction, Segment, SpeakerSummary, Timeline, TurningPoint
from vocalics.recognition.timeline_formats import FORMATS
from vocalics.service import shapes
from vocalics.service.door import ROUTES
from vocalics.service.settings import Settings

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def service(toy):
    with InProcess(Settings(models=(str(toy),), workers=2, max_mb=2.0, idle_s=5.0)) as service:
        yield service
        assert service.spooled == []  # whatever was asked, nothing stays
        assert service.service.spool.used_bytes == 0


@pytest.fixture(scope="module")
def guarded(toy):
    with InProcess(Settings(models=(str(toy),), workers=1, token=TOKEN)) as service:
        yield service


def form(*paths):
    return [("files", (path.name, path.read_bytes())) for path in paths]


# Predictions


def test_one_recording_is_answered_with_the_json_of_the_command_line(service, command, clip, toy):
    told = json.loads(command("predict", clip, "--model", toy, "--format", "jsonl").out)
    answer = service.post("/v1/predict", clip.read_bytes())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == told | {"path": None}


def test_the_recordings_of_a_form_are_answered_in_their_order_by_their_names(service, command, clips, toy):
    told = json.loads(command("predict", *clips, "--model", toy, "--format", "json").out)
    answer = service.post("/v1/predict", files=form(*clips))
    assert answer.status_code == 200
    names = [clip.name for clip in clips]
    expected = [record | {"path": name} for record, name in zip(told, names, strict=True)]
    assert answer.json() == {"predictions": expected}


def test_a_form_of_one_is_a_list_too(service, clip):
    assert len(service.post("/v1/predict", files=form(clip)).json()["predictions"]) == 1


def test_silence_is_an_answer(service, no_speech):
    answer = service.post("/v1/predict", no_speech.read_bytes())
    assert (answer.status_code, answer.json()["reason"]) == (200, "no speech")


def test_a_recording_that_cannot_be_used_does_not_lose_the_others(service, clip):
    bad = ("files", ("notes.txt", b"Dear Sir or Madam,\n" * 50))
    answer = service.post("/v1/predict", files=[bad, *form(clip)])
    assert answer.status_code == 200
    first, second = answer.json()["predictions"]
    assert first["error"].startswith("notes.txt ")
    assert set(first) == set(second) == {field.name for field in fields(Prediction)}
    assert second["error"] is None


def test_the_only_recording_that_cannot_be_used_is_422_with_the_same_object(service):
    answer = service.post("/v1/predict", b"Dear Sir or Madam,\n" * 50)
    assert answer.status_code == 422
    assert set(answer.json()) == {field.name for field in fields(Prediction)}
    assert "the recording is not audio" in answer.json()["error"]


def test_options_of_the_query_are_heard(service, clip):
    answer = service.post("/v1/predict?abstain_below=1&model=toy", clip.read_bytes())
    assert answer.json()["reason"] == "low confidence"


def test_a_clients_name_for_a_file_is_only_a_text(service, clip):
    name = '../../etc/"pass\\wd" <é>.wav'
    quoted = name.replace('"', "%22")
    body = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'.encode()
    body += clip.read_bytes() + b"\r\n--x--\r\n"
    answer = service.post("/v1/predict", body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.json()["predictions"][0]["path"] == quoted
    assert answer.json()["predictions"][0]["error"] is None


def test_a_name_that_is_no_unicode_or_endless_is_no_error(service, clip):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="caf\xe9' + b"a" * 1000
    body += b'.wav"\r\n\r\n' + clip.read_bytes() + b"\r\n--x--\r\n"
    answer = service.post("/v1/predict", body, headers={"content-type": "multipart/form-data; boundary=x"})
    (found,) = answer.json()["predictions"]
    assert found["error"] is None
    assert len(found["path"]) == 255


# Timelines


@pytest.mark.parametrize("form_of_answer", FORMATS)
def test_a_timeline_is_the_file_that_the_command_line_writes(
    service, command, clips, toy, tmp_path, form_of_answer, monkeypatch
):
    if form_of_answer == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet comes with the extra 'batch'")
    clip = next(path for path in clips if path.name == "two_on_a_call.flac")
    monkeypatch.chdir(clip.parent)  # so that both are told the same name
    written = tmp_path / "told"
    options = ("--channels", "split", "--hop-s", "0.5", "--window-s", "1", "--adapt", "none")
    command("timeline", clip.name, "--model", toy, *options, "--format", form_of_answer, "-o", written)
    route = f"/v1/timeline?channels=split&hop_s=0.5&window_s=1&adapt=none&format={form_of_answer}"
    answer = service.post(route, files=form(clip))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == shapes.MEDIA_TYPES[form_of_answer]
    if form_of_answer == "json":
        assert answer.json() == {"timelines": [json.loads(written.read_text())]}
    else:
        assert answer.content == written.read_bytes()


def test_the_timeline_of_raw_bytes_is_one_object(service, clip):
    answer = service.post("/v1/timeline", clip.read_bytes())
    assert answer.status_code == 200
    assert answer.json()["path"] is None
    assert answer.json()["segments"]


def test_a_diarization_comes_in_a_field_of_its_own(service, clip):
    turns = b"SPEAKER woman 1 0.5 1.5 <NA> <NA> ann <NA> <NA>\n"
    answer = service.post("/v1/timeline", files=[*form(clip), ("rttm", ("woman.rttm", turns))])
    (found,) = answer.json()["timelines"]
    assert {segment["speaker"] for segment in found["segments"]} == {"ann"}


def test_a_diarization_that_is_none_is_told_without_a_path_of_this_machine(service, clip):
    answer = service.post("/v1/timeline", files=[*form(clip), ("rttm", ("a.rttm", b"SPEAKER woman 1"))])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("the diarization, line 1, has 3 fields")


def test_several_recordings_have_several_timelines(service, clips):
    answer = service.post("/v1/timeline", files=form(*clips[:3]))
    assert [found["path"] for found in answer.json()["timelines"]] == [clip.name for clip in clips[:3]]


@pytest.mark.parametrize(
    ("route", "more"),
    [("/v1/timeline?format=csv", []), ("/v1/timeline", [("rttm", ("a.rttm", b"SPEAKER a 1 0 1 x x a x x"))])],
    ids=["another format", "a diarization"],
)
def test_several_recordings_are_refused_where_the_answer_is_for_one(service, clips, route, more):
    answer = service.post(route, files=[*form(*clips[:2]), *more])
    assert answer.status_code == 422
    assert "the form has 2 recordings" in answer.json()["error"]


def test_a_timeline_of_what_cannot_be_used_keeps_its_shape_in_every_format(service):
    whole = service.post("/v1/timeline?format=csv", b"Dear Sir or Madam,\n" * 50)
    assert (whole.status_code, whole.headers["content-type"]) == (422, "application/json")
    assert set(whole.json()) == {field.name for field in fields(Timeline)} - {"curves"}
    assert whole.json()["window_s"] == 1.0  # the toy model hears no more
    many = service.post("/v1/timeline", files=[("files", ("a.wav", b""))])
    assert many.status_code == 200
    assert "a.wav is empty" in many.json()["timelines"][0]["error"]


# What is wrong is told in one sentence


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ("/v1/predict?modle=toy", "'modle' is not known; did you mean 'model'?"),
        (
            "/v1/predict?model=../../etc/passwd",
            "there is no model '../../etc/passwd'; this service has 'toy'",
        ),
        ("/v1/predict?abstain_below=1.5", "'abstain_below' is '1.5'"),
        ("/v1/predict?abstain_below=nan", "'abstain_below' is 'nan'"),
        ("/v1/timeline?channels=both", "'channels' is 'both'"),
        ("/v1/timeline?format=html", "'format' is 'html'"),
        ("/v1/timeline?hop_s=0", "'hop_s' is '0'"),
        ("/v1/timeline?hop_s=0.001", "the hop is at least 0.032 s"),
        ("/v1/timeline?window_s=9", "hears 0.25 to 1 s"),
    ],
)
def test_an_option_that_cannot_be_is_told(service, clip, route, told):
    answer = service.post(route, clip.read_bytes())
    assert answer.status_code == 422
    assert told in answer.json()["error"]
    assert list(answer.json()) == ["error"]


FORM = {"content-type": "multipart/form-data; boundary=x"}
FIELD = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.wav"\r\n\r\nabc\r\n'


@pytest.mark.parametrize(
    ("headers", "content", "status", "told"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, b"a", 415, "audio/\\*"),
        ({}, b"a", 415, "the content type is ''"),
        ({"content-type": "audio/wav"}, b"", 422, "has no body"),
        ({"content-type": "multipart/form-data"}, b"a", 400, "not multipart/form-data"),
        (FORM, b"nonsense", 400, "not multipart/form-data"),
        (FORM, FIELD % b"files", 400, "breaks off"),
        (FORM, b"--x--\r\n", 422, "no field 'files'"),
        (FORM, FIELD % b"file" + b"--x--\r\n", 422, "a field 'file'; the fields here are 'files'"),
        (FORM, FIELD % b"files" * 65 + b"--x--\r\n", 413, "more than 64 parts"),
    ],
)
def test_a_body_that_is_none_is_told(service, headers, content, status, told):
    answer = service.post("/v1/predict", content, headers=headers)
    assert answer.status_code == status
    assert told.replace("\\", "") in answer.json()["error"]


def test_a_field_that_comes_twice_is_told(service):
    body = FIELD % b"files" + FIELD % b"rttm" * 2 + b"--x--\r\n"
    answer = service.post("/v1/timeline", body, headers=FORM)
    assert (answer.status_code, answer.json()["error"][:28]) == (422, "the field 'rttm' comes twice")


@pytest.mark.parametrize("as_form", [False, True])
def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(service, as_form):
    piece = b"\0" * 100_000

    async def pieces():
        if as_form:
            yield FIELD.removesuffix(b"abc\r\n") % b"files"
        for _ in range(30):  # 3 MB where 2 are allowed
            yield piece

    headers = FORM if as_form else {"content-type": "audio/wav"}
    for content in (pieces(), piece * 30):  # without and with a length beforehand
        answer = service.post("/v1/predict", content, headers=headers)
        assert answer.status_code == 413
        assert "larger than 2 MB" in answer.json()["error"]
    assert service.spooled == []


def test_what_is_not_there_and_what_is_not_answered_is_told_as_json(service):
    missing = service.get("/v2")
    assert (missing.status_code, list(missing.json())) == (404, ["error"])
    wrong = service.get("/v1/predict")
    assert (wrong.status_code, list(wrong.json())) == (405, ["error"])
    assert wrong.headers["allow"] == "POST"


def test_a_fault_of_the_service_is_500_in_json_and_leaves_nothing_behind(service, clip, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a fault")

    monkeypatch.setattr(service.service.line, "work", broken)
    answer = service.post("/v1/predict", clip.read_bytes())
    assert (answer.status_code, list(answer.json())) == (500, ["error"])
    assert "a fault" not in answer.text
    assert service.spooled == []


# The door


def test_every_answer_has_the_security_headers_and_none_allows_other_origins(service, guarded, clip):
    origin = {"origin": "https://elsewhere.example"}
    answers = [
        *(service.get(route, headers=origin) for route in sorted(ROUTES)),
        service.post("/v1/predict", clip.read_bytes()),
        service.get("/v2"),
        guarded.get("/v1/models", headers=origin),
        service.request("OPTIONS", "/v1/predict", headers=origin | {"access-control-request-method": "POST"}),
    ]
    assert {answer.status_code for answer in answers} == {200, 401, 404, 405}
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_without_the_token_only_health_and_the_description_are_answered(guarded):
    answers = {route: guarded.get(route).status_code for route in sorted(ROUTES - {"/v1/stream"})}
    is_open = {route for route, status in answers.items() if status == 200}
    assert is_open == {"/", "/healthz", "/readyz", "/openapi.json"}
    assert {status for route, status in answers.items() if route not in is_open} == {401}


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer wrong", f"Bearer {TOKEN}x", TOKEN]
)
def test_a_wrong_token_is_401_and_says_what_is_asked_for(guarded, shown):
    answer = guarded.get("/v1/models", headers={} if shown is None else {"authorization": shown})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["error"]


def test_the_right_token_opens(guarded, clip):
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "audio/wav"}
    assert guarded.post("/v1/predict", clip.read_bytes(), headers=headers).status_code == 200


def test_the_token_is_not_shown_to_those_who_may_print_settings():
    assert TOKEN not in repr(Settings(token=TOKEN))


# What the service says of itself


def test_the_models_are_told_without_what_is_of_no_use_to_a_client(service, model):
    (found,) = service.get("/v1/models").json()["models"]
    assert found["name"] == model.name
    assert found["emotions"] == list(model.emotions)
    assert found["licence"] == model.card.licence
    assert not {"head", "training"} & set(found)


def test_health_and_readiness_are_two_things(service, monkeypatch):
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").json() == {"status": "ready"}
    monkeypatch.setattr(service.service.line, "_workers", set())
    assert service.get("/healthz").status_code == 200
    assert service.get("/readyz").status_code == 503


def test_what_was_asked_is_counted(service, clip, clips):
    before = {
        "requests": service.metric("requests_total", route="/v1/predict", status="200"),
        "seconds": service.metric("audio_seconds_total", route="/v1/predict"),
        "works": service.metric("work_seconds_count", route="/v1/predict"),
        "waits": service.metric("queue_seconds_count"),
        "others": service.metric("requests_total", route="other", status="404"),
    }
    told = service.post("/v1/predict", files=form(*clips[:2])).json()["predictions"]
    service.get("/v2/made-up")
    text = service.get("/metrics").text
    assert f'vocalics_requests_total{{route="/v1/predict",status="200"}} {before["requests"] + 1}' in text
    seconds = service.metric("audio_seconds_total", route="/v1/predict") - before["seconds"]
    assert seconds == pytest.approx(sum(one["duration_s"] for one in told), abs=0.002)  # told to 1 ms
    assert service.metric("work_seconds_count", route="/v1/predict") == before["works"] + 2
    assert service.metric("queue_seconds_count") == before["waits"] + 2
    assert service.metric("requests_total", route="other", status="404") == before["others"] + 1
    assert "made-up" not in text  # else strangers could fill the memory with names
    assert (service.metric("queue_length"), service.metric("workers")) == (0, 2)


def test_the_page_lists_the_routes_and_asks_for_nothing_from_elsewhere(service):
    page = Page(service.get("/").text)
    assert page.references == ["openapi.json"]
    for route in ROUTES - {"/"}:
        assert route.removeprefix("/") in page.text


# The document


def test_the_document_describes_every_route_and_no_shape_that_is_not_sent(service, guarded):
    document = service.get("/openapi.json").json()
    assert set(document["paths"]) == ROUTES - {"/", "/openapi.json", "/v1/stream"}
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["info"]["version"] == vocalics.__version__
    assert "security" not in json.dumps(document)
    told = guarded.get("/openapi.json").json()["paths"]
    assert told["/v1/predict"]["post"]["security"] == [{"token": []}]
    assert "security" not in told["/healthz"]["get"]


@pytest.mark.parametrize(
    ("shape", "record"),
    [
        (shapes.Prediction, Prediction),
        (shapes.Segment, Segment),
        (shapes.Timeline, Timeline),
        (shapes.Speaker, SpeakerSummary),
        (shapes.TurningPoint, TurningPoint),
    ],
)
def test_the_described_shapes_are_the_contract(shape, record):
    assert set(shape.model_fields) == {field.name for field in fields(record)} - {"curves"}


@pytest.mark.parametrize("shape", [shapes.Error, shapes.Prediction, shapes.Timeline])
def test_the_examples_are_of_their_shape(shape):
    (example,) = shape.model_config["json_schema_extra"]["examples"]
    assert shape.model_validate(example, extra="forbid").model_dump() == example


def test_the_described_formats_are_those_that_there_are():
    described = shapes.TimelineOptions.model_json_schema()["properties"]["format"]["enum"]
    assert described == list(shapes.MEDIA_TYPES) == list(FORMATS)


def test_answers_are_of_the_described_shapes(service, clips):
    shapes.Predictions.model_validate(service.post("/v1/predict", files=form(*clips)).json())
    shapes.Timelines.model_validate(service.post("/v1/timeline", files=form(*clips[:1])).json())
    shapes.Models.model_validate(service.get("/v1/models").json())
