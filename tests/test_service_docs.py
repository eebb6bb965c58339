"""The documents of the service are true: every line of them was run; the container holds what they say."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from serving import InProcess, program
from vocalics.cli.serve import app
from vocalics.service.door import ROUTES
from vocalics.service.server import KEEP_ALIVE_S
from vocalics.service.settings import MOST_PARTS, SLOWEST_UPLOAD_BYTES_PER_S, WORKER_MEMORY_BYTES, Settings
from vocalics.service.shapes import SHORTEST_HOP_S, USUAL_HOP_S, Hello
from vocalics.service.sockets import FASTEST, LONGEST_MESSAGE_S

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DOCUMENT = (ROOT / "docs" / "service.md").read_text()
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
DEFAULTS = Settings()


def section(title):
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(title):
    """The rows of the first table of a section, as lists of cells."""
    rows = re.findall(r"^\| (.+) \|$", section(title), re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows][1:]


def defaults_of_the_options():
    return {parameter.name: parameter.default for parameter in get_command(app).params}


def curls():
    lines = re.sub(r"\\\n\s*", "", section("Ask")).splitlines()
    return [line for line in lines if line.startswith("curl ")]


@pytest.fixture(scope="module")
def service(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with program(folder, "--model", toy, "--workers", 1) as running:
        yield running


# The document


def test_every_route_has_a_line_of_curl():
    asked = {re.search(r"127\.0\.0\.1:8000(/[^'\s?]*)", line)[1] for line in curls()}
    assert asked == ROUTES


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", curls())
def test_every_line_of_curl_is_answered(service, tmp_path, line):
    for name, example in {
        "talk.wav": "woman.wav",
        "call.mp3": "man_fast.mp3",
        "call.wav": "woman.wav",
        "call.m4a": "two_on_a_call.flac",  # what a file is called does not matter
        "session.m4a": "woman.wav",
    }.items():
        shutil.copy(EXAMPLES / example, tmp_path / name)
    (tmp_path / "session.rttm").write_text("SPEAKER session 1 0 2 <NA> <NA> ann <NA> <NA>\n")
    arguments = shlex.split(line.replace("http://127.0.0.1:8000", service.url))
    is_stream = "/v1/stream" in line
    # A stream stays open, so curl is told to leave it.
    arguments[1:1] = ["-sS", *(["--max-time", "5"] if is_stream else ["--fail-with-body"])]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    if is_stream:
        assert done.stdout.startswith("HTTP/1.1 101")
        return
    assert done.returncode == 0, done.stdout + done.stderr
    if "-o call.vtt" in line:
        assert (tmp_path / "call.vtt").read_text().startswith("WEBVTT")
    elif "/v1/" in line or "openapi" in line:
        answer = json.loads(done.stdout)
        assert answer.get("error") is None


def test_the_statuses_are_those_that_are_answered():
    told = {int(row[0]) for row in table("Ask")}
    source = "".join(path.read_text() for path in (ROOT / "src/vocalics/service").glob("*.py"))
    refused = {int(status) for status in re.findall(r"Refused\(\s*(\d{3})", source)}
    refused |= {int(status) for status in re.findall(r'"status": (\d{3})', source)}
    # A client that has gone reads no 499; 403 and 404, 405, 431 are no matter of a recording.
    assert told == (refused | {500}) - {403, 499}


def test_the_hello_is_described_as_it_is():
    told = {name for row in table("Streams") for name in re.findall(r"`(\w+)`", row[0])}
    assert told == set(Hello.model_fields)
    assert f"the hop is {SHORTEST_HOP_S} s or more" in section("Streams")
    assert f"| 3, {USUAL_HOP_S}, 1 |" in section("Streams")
    assert f"at most {LONGEST_MESSAGE_S:g} s" in section("Streams")
    assert f"Sound may come {FASTEST:g} times as fast" in section("Streams")


def test_the_limits_are_the_defaults():
    told = " ".join(" ".join(row) for row in table("Limits"))
    for figure in (
        f"{DEFAULTS.max_mb:g} MB",
        f"{DEFAULTS.max_duration_s:,.0f} s",
        f"{DEFAULTS.max_work_s:g} s",
        f"{WORKER_MEMORY_BYTES >> 30} GiB",
        f"{DEFAULTS.max_waiting}, for {DEFAULTS.max_wait_s:g} s",
        f"WebSockets {DEFAULTS.max_streams}",
        f"connections {DEFAULTS.max_connections:,}",
        f"{DEFAULTS.idle_s:g} s",
        f"{SLOWEST_UPLOAD_BYTES_PER_S:,} bytes a second",
        f"{DEFAULTS.max_spool_bytes // DEFAULTS.max_body_bytes} times the largest body",
    ):
        assert figure in told
    assert f"more than {MOST_PARTS} parts" in section("Ask")
    assert DEFAULTS.idle_s >= KEEP_ALIVE_S


def test_the_options_have_the_defaults_of_the_settings():
    given = defaults_of_the_options()
    for one in fields(Settings):
        if one.name in given and one.name not in ("models", "workers"):
            assert given[one.name] == getattr(DEFAULTS, one.name)
    assert "token" not in given  # others can read a command line


def test_the_counters_are_those_that_there_are(toy):
    told = {name for row in table("What it tells") for name in re.findall(r"`(vocalics_\w+)`", row[0])}
    with InProcess(Settings(models=(str(toy),), workers=1)) as service:
        text = service.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    assert told == {name for name in kinds if not name.endswith("_created")}


# The container


def instruction(name):
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def test_the_image_is_installed_by_the_line_of_the_documents():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "service" in project["optional-dependencies"]
    (installed,) = re.findall(r'pip install (?:--\S+ )*("\.\[\w+\]")', DOCKERFILE)
    documents = DOCUMENT + (ROOT / "README.md").read_text()
    named = re.findall(r'pip install (?:-\S+ )*("\.\[\w*service\w*\]")', documents)
    assert set(named) == {installed}


def test_the_image_is_slim_fixed_to_a_version_and_without_rights():
    bases = instruction("FROM")
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", base) for base in bases)
    assert len({base.split()[0] for base in bases}) == 1  # what is built on one is run on the same
    (user,) = instruction("USER")
    assert user.isdigit()  # so that an orchestrator can see that it is not root
    assert int(user) > 0
    assert DOCKERFILE.index("\nUSER") < DOCKERFILE.index("\nENTRYPOINT")
    for habit in ("ADD ", ":latest", "sudo", "apt-get", "torch=", "VOCALICS_TOKEN"):
        assert habit not in DOCKERFILE


def test_what_the_image_runs_is_what_the_program_takes(command):
    (entry,) = instruction("ENTRYPOINT")
    arguments = json.loads(entry)
    assert arguments[:2] == ["vocalics", "serve"]
    run = command(*arguments[1:], "--help")
    assert run.code == 0
    (port,) = instruction("EXPOSE")
    assert int(port) == defaults_of_the_options()["port"]
    (check,) = [line for line in DOCKERFILE.splitlines() if line.startswith("HEALTHCHECK")]
    assert f"http://127.0.0.1:{port}/readyz" in check


def test_the_health_check_of_the_image_works(service):
    (check,) = [line for line in DOCKERFILE.splitlines() if line.startswith("HEALTHCHECK")]
    arguments = json.loads(check.partition("CMD ")[2])
    arguments[0] = shutil.which("python3") or "python3"
    here = [argument.replace("http://127.0.0.1:8000", service.url) for argument in arguments]
    assert subprocess.run(here).returncode == 0
    nowhere = [argument.replace(":8000", ":9") for argument in arguments]
    assert subprocess.run(nowhere, capture_output=True).returncode != 0


def test_the_image_is_made_of_files_that_there_are_and_nothing_else():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    copied = [
        name for line in instruction("COPY") if not line.startswith("--from") for name in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / name).exists() for name in copied)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_composition_is_careful_and_waits_for_what_was_taken():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra 'lab'")
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["environment"]["VOCALICS_TOKEN"].startswith("${VOCALICS_TOKEN:?")  # refused without one
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > DEFAULTS.max_wait_s + DEFAULTS.max_work_s
    (uploads,) = service["tmpfs"]
    assert int(re.search(r"size=(\d+)m", uploads)[1]) * 2**20 > DEFAULTS.max_spool_bytes
