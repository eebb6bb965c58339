"""Models from and to the Hugging Face hub, through huggingface_hub itself, against a hub on this machine."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import hub_server
import toy_model
from vocalics.card import ModelCard
from vocalics.errors import MissingExtraError, ModelError, UsageError
from vocalics.recognition.hub import HubName, fetch
from vocalics.recognition.hub_push import push
from vocalics.recognition.model import Model, load

pytestmark = [
    pytest.mark.skipif(
        find_spec("huggingface_hub") is None, reason="huggingface_hub comes with the extra 'hub'"
    ),
    # huggingface_hub hands its HTTP client a file as that does not want it any more.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]

SOUND = 0.1 * np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)


@pytest.fixture
def content(toy) -> bytes:
    """The toy model's file."""
    return toy.read_bytes()


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)


@pytest.fixture
def without_network(monkeypatch):
    """Call it, and the hub can no longer be reached."""

    def cut() -> None:
        fetch.cache_clear()
        hub_server.point_at("http://127.0.0.1:9", monkeypatch)  # nobody listens there

    return cut


def named(folder: Path, name: str) -> bytes:
    """A toy model that calls itself `name`."""
    return toy_model.write(folder / f"{name}.onnx", name=name).read_bytes()


def refusal(name: str, kind: type[Exception] = ModelError) -> str:
    with pytest.raises(kind) as raised:
        load(name)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("hf://anna/calls", HubName("anna/calls")),
            ("hf://anna/calls@v1.0", HubName("anna/calls", "v1.0")),
            ("hf://anna-b/c_d.e/m.onnx", HubName("anna-b/c_d.e", None, "m.onnx")),
            ("hf://anna/calls@refs%2Fpr%2F3/sub/m.onnx", HubName("anna/calls", "refs/pr/3", "sub/m.onnx")),
        ],
    )
    def test_a_name_is_read_and_written(self, text, name):
        assert HubName.parse(text) == name
        assert str(name) == text

    @pytest.mark.parametrize(
        "text",
        [
            *("hf://", "hf://anna", "hf:///calls", "hf://anna/", "hf://anna/calls@", "hf://anna/calls/"),
            *("hf://anna/calls/m.bin", "hf://anna/ca lls", "hf://anna/calls@a@b", "hf://anna/calls\n"),
        ],
    )
    def test_what_is_no_name_is_told_how_one_is_written(self, text):
        with pytest.raises(UsageError, match=r"write hf://OWNER/NAME, then @REVISION or /FILE\.onnx"):
            load(text)


class TestLoading:
    def test_a_model_on_the_hub_answers_as_its_file(self, hub, toy, content):
        hub.add("anna/calls", {"model.onnx": content, "README.md": b"# Calls"})
        there, here = load("hf://anna/calls"), load(toy)
        np.testing.assert_array_equal(there.run(SOUND).probabilities, here.run(SOUND).probabilities)
        assert there.card == here.card

    def test_a_revision_names_the_model_of_its_time(self, hub, tmp_path):
        repository = hub.add("anna/calls", {"model.onnx": named(tmp_path, "first")})
        first = repository.refs["main"]
        repository.refs["v1"] = repository.refs["refs/pr/3"] = first
        repository.commit({"model.onnx": named(tmp_path, "second")})
        assert load("hf://anna/calls").name == "second"
        for revision in ("v1", first, "refs%2Fpr%2F3"):
            assert load(f"hf://anna/calls@{revision}").name == "first", revision

    def test_of_several_models_one_must_be_named(self, hub, tmp_path):
        models = {f"{name}.onnx": named(tmp_path, name) for name in ("large", "small")}
        hub.add("anna/calls", models)
        assert refusal("hf://anna/calls", UsageError).endswith(
            "holds 2 models; say which: hf://anna/calls/large.onnx, hf://anna/calls/small.onnx."
        )
        assert load("hf://anna/calls/small.onnx").name == "small"

    def test_a_repository_without_a_model_says_so(self, hub):
        hub.add("anna/words", {"model.safetensors": b"weights"})
        assert refusal("hf://anna/words") == "anna/words on the hub holds no model: it has no .onnx file."

    def test_a_file_that_is_not_there_is_answered_with_those_that_are(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        assert refusal("hf://anna/calls/other.onnx") == (
            "anna/calls on the hub has no file 'other.onnx'; it has model.onnx."
        )

    def test_weights_beside_a_model_come_with_it(self, hub, toy, tmp_path):
        pytest.importorskip("onnx")
        import parted_model

        parted = parted_model.part(toy, tmp_path / "parted.onnx")
        files = {"sub/parted.onnx": parted.read_bytes()}
        hub.add("anna/calls", files)
        assert "keeps its weights in 'parted.onnx.data', which the repository lacks" in refusal(
            "hf://anna/calls"
        )
        weights = parted.with_name("parted.onnx.data").read_bytes()
        hub.repositories["anna/calls"].commit({"sub/parted.onnx.data": weights})
        answers = load("hf://anna/calls").run(SOUND)
        np.testing.assert_array_equal(answers.probabilities, load(toy).run(SOUND).probabilities)

    def test_a_pickle_on_the_hub_is_not_opened_either(self, hub):
        hub.add("anna/calls", {"model.onnx": b"\x80\x04\x95" + bytes(100)})
        assert "never unpickled" in refusal("hf://anna/calls")

    def test_while_a_process_runs_a_name_is_looked_up_once(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        load("hf://anna/calls")
        asked = len(hub.asked)
        load("hf://anna/calls")
        assert len(hub.asked) == asked

    def test_the_hub_learns_what_asks_and_nothing_of_what_else_is_installed(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        load("hf://anna/calls")
        told = next(agent for agent in hub.agents if agent.startswith("vocalics/"))
        assert "torch" not in told
        # The model, found and fetched; nobody else is asked anything.
        assert [line.partition("?")[0] for line in hub.asked] == [
            "GET /api/models/anna/calls",
            "HEAD /anna/calls/resolve/main/model.onnx",
            "GET /anna/calls/resolve/main/model.onnx",
        ]


class TestDigests:
    def test_what_is_not_the_hub_s_file_is_not_opened(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        hub.lie["model.onnx"] = content[:-1] + b"\x00"  # of the same length
        sentence = refusal("hf://anna/calls")
        assert "is not the file that the hub has: its digest is" in sentence
        hub.lie.clear()
        Path(sentence.partition("remove ")[2].partition(",")[0]).unlink()  # as it says
        assert load("hf://anna/calls").name == "toy"

    def test_a_file_that_was_changed_in_the_cache_is_not_opened(self, hub, content, without_network):
        hub.add("anna/calls", {"model.onnx": content})
        cached = load("hf://anna/calls").path.resolve()
        cached.write_bytes(content[:-1] + b"\x00")
        fetch.cache_clear()
        assert "is not the file that the hub has" in refusal("hf://anna/calls")
        without_network()
        assert "is not the file that the hub has" in refusal("hf://anna/calls")

    def test_a_small_file_is_known_by_git_s_digest(self, hub, content, monkeypatch):
        monkeypatch.setattr(hub_server, "LFS", ())  # a hub that keeps models as text
        hub.add("anna/calls", {"model.onnx": content})
        assert load("hf://anna/calls").name == "toy"
        fetch.cache_clear()
        load("hf://anna/calls").path.resolve().write_bytes(content[:-1] + b"\x00")
        fetch.cache_clear()
        assert "is not the file that the hub has" in refusal("hf://anna/calls")


class TestWithoutNetwork:
    def test_what_was_opened_once_opens_again(self, hub, content, without_network):
        repository = hub.add("anna/calls", {"model.onnx": content})
        repository.refs["v1"] = commit = repository.refs["main"]
        names = ["hf://anna/calls", "hf://anna/calls@v1", f"hf://anna/calls@{commit}"]
        for name in names:
            load(name)
        without_network()
        for name in (*names, "hf://anna/calls/model.onnx"):
            assert load(name).name == "toy", name

    def test_what_was_never_opened_is_told_so(self, hub, content, without_network):
        hub.add("anna/calls", {"model.onnx": content})
        without_network()
        assert "its cache has no 'hf://anna/calls'; connect once" in refusal("hf://anna/calls")  # no cache
        hub.add("anna/other", {"model.onnx": content})

    def test_a_revision_that_was_never_opened_is_not_another_one(self, hub, content, without_network):
        repository = hub.add("anna/calls", {"model.onnx": content})
        repository.refs["v1"] = repository.refs["main"]
        load("hf://anna/calls")
        without_network()
        assert "its cache has no 'hf://anna/calls@v1'" in refusal("hf://anna/calls@v1")

    def test_a_hub_that_is_out_of_order_is_as_none(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        load("hf://anna/calls")
        fetch.cache_clear()
        hub.status = 503
        assert load("hf://anna/calls").name == "toy"
        assert "the hub cannot be reached" in refusal("hf://anna/others")

    def test_offline_by_choice_asks_nobody(self, hub, content, monkeypatch):
        constants = pytest.importorskip("huggingface_hub.constants")
        hub.add("anna/calls", {"model.onnx": content})
        load("hf://anna/calls")
        fetch.cache_clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        asked = len(hub.asked)
        assert load("hf://anna/calls").name == "toy"
        assert len(hub.asked) == asked


class TestRefusals:
    def test_a_repository_that_is_not_there(self, hub):
        assert refusal("hf://anna/cals").startswith(
            "there is no repository anna/cals on the hub that you may read; mind the spelling"
        )

    def test_a_private_repository_needs_a_token(self, hub, content, monkeypatch):
        hub.add("anna/secret", {"model.onnx": content}, private=True)
        assert "for a private one log in with 'hf auth login', or set HF_TOKEN" in refusal("hf://anna/secret")
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        assert load("hf://anna/secret").name == "toy"

    def test_a_repository_on_terms(self, hub, content):
        hub.add("anna/gated", {"model.onnx": content}, gated=True)
        assert "is given out on terms; accept them on its page" in refusal("hf://anna/gated")

    def test_a_revision_that_is_not_there(self, hub, content):
        hub.add("anna/calls", {"model.onnx": content})
        assert "has no revision 'v2'; give a branch, tag or commit" in refusal("hf://anna/calls@v2")

    def test_without_the_package_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        fetch.cache_clear()
        assert refusal("hf://anna/calls", MissingExtraError) == (
            "opening 'hf://anna/calls' needs huggingface_hub, which is not installed: "
            "pip install 'vocalics[hub]'"
        )


class TestPush:
    @pytest.mark.usefixtures("logged_in")
    def test_a_pushed_model_opens_by_the_name_that_is_returned(self, hub, toy, content):
        pushed = push(toy, "hf://anna/calls", message="The first")
        assert pushed.name == "hf://anna/calls/toy.onnx"
        assert pushed.files == ("toy.onnx", "README.md")
        assert hub.repositories["anna/calls"].files["toy.onnx"] == content
        assert hub.repositories["anna/calls"].messages[-1] == "The first"
        assert load(pushed.name).card == load(f"hf://anna/calls@{pushed.commit}").card == load(toy).card

    @pytest.mark.usefixtures("logged_in")
    def test_its_page_says_what_the_card_says(self, hub, toy):
        yaml = pytest.importorskip("yaml")
        push(toy, "hf://anna/calls")
        page = hub.repositories["anna/calls"].files["README.md"].decode()
        _, head, text = page.split("---\n", 2)
        about = yaml.safe_load(head)
        assert about["license"] == "mit"
        assert about["language"] == ["en"]
        assert about["pipeline_tag"] == "audio-classification"
        assert {"vocalics", "speech-emotion-recognition"} <= set(about["tags"])
        assert about["metrics"] == ["uar", "accuracy"]
        (index,) = about["model-index"]
        (result,) = index["results"]
        assert (index["name"], result["dataset"]["name"]) == ("toy", "made-up")
        assert result["metrics"] == [{"type": "uar", "value": 25.0, "name": "UAR"}]  # 0.25 in the card
        for told in (
            "# toy\n",
            "neutral, happy, sad, angry",
            "| made-up | 25.0 (20.0 to 30.0) |  |",
            "It has learnt nothing.",
            'vocalics.load("hf://anna/calls/toy.onnx")',
            hub_server.sha256(toy.read_bytes()),
        ):
            assert told in text

    @pytest.mark.usefixtures("logged_in")
    def test_a_licence_that_the_hub_does_not_know_goes_by_its_name(self, hub, tmp_path):
        yaml = pytest.importorskip("yaml")
        push(toy_model.write(tmp_path / "m.onnx", licence="research use only", evaluation={}), "hf://anna/a")
        about = yaml.safe_load(hub.repositories["anna/a"].files["README.md"].decode().split("---\n")[1])
        assert (about["license"], about["license_name"]) == ("other", "research use only")
        assert not {"model-index", "metrics", "model_name"} & about.keys()  # nothing was measured

    @pytest.mark.usefixtures("logged_in")
    def test_the_bundled_model_s_page_has_its_figures(self, hub):
        yaml = pytest.importorskip("yaml")
        push(None, "hf://anna/bundled")
        page = hub.repositories["anna/bundled"].files["README.md"].decode()
        (index,) = yaml.safe_load(page.split("---\n")[1])["model-index"]
        evaluation = load().card.evaluation
        told = {
            (result["dataset"]["name"], metric["type"]): metric["value"]
            for result in index["results"]
            for metric in result["metrics"]
        }
        assert told == {
            (title, metric): round(100 * entry[metric]["mean"], 1)
            for title, entry in evaluation.items()
            if isinstance(entry, dict)
            for metric in ("uar", "accuracy")
        }
        assert evaluation["note"] in page

    @pytest.mark.usefixtures("logged_in")
    def test_weights_beside_a_model_go_with_it(self, hub, toy, tmp_path):
        pytest.importorskip("onnx")
        import parted_model

        parted = parted_model.part(toy, tmp_path / "parted.onnx")
        pushed = push(parted, "hf://anna/calls/sub/other.onnx")
        assert pushed.files == ("sub/other.onnx", "sub/parted.onnx.data", "README.md")
        np.testing.assert_array_equal(
            load(pushed.name).run(SOUND).probabilities, load(toy).run(SOUND).probabilities
        )

    @pytest.mark.usefixtures("logged_in")
    def test_pushed_again_nothing_changes(self, hub, toy):
        first, second = push(toy, "hf://anna/calls"), push(toy, "hf://anna/calls")
        assert first.commit == second.commit

    @pytest.mark.usefixtures("logged_in")
    def test_a_page_that_somebody_wrote_stays(self, hub, toy):
        repository = hub.add("anna/calls", {"README.md": b"# Written by hand"})
        pushed = push(toy, "hf://anna/calls")
        assert pushed.kept_page
        assert repository.files["README.md"] == b"# Written by hand"
        assert "toy.onnx" in repository.files

    @pytest.mark.usefixtures("logged_in")
    def test_a_page_that_was_made_here_is_made_anew(self, hub, toy, tmp_path):
        push(toy, "hf://anna/calls")
        push(toy_model.write(tmp_path / "toy.onnx", description="Better."), "hf://anna/calls")
        assert b"\nBetter.\n" in hub.repositories["anna/calls"].files["README.md"]

    @pytest.mark.usefixtures("logged_in")
    def test_a_new_repository_is_private_on_demand(self, hub, toy):
        push(toy, "hf://anna/open")
        push(toy, "hf://anna/closed", private=True)
        assert not hub.repositories["anna/open"].private
        assert hub.repositories["anna/closed"].private

    @pytest.mark.usefixtures("logged_in")
    def test_a_branch_must_be_there(self, hub, toy):
        repository = hub.add("anna/calls", {})
        with pytest.raises(ModelError, match="has no revision 'next'"):
            push(toy, "hf://anna/calls@next")
        repository.refs["next"] = repository.refs["main"]
        assert push(toy, "hf://anna/calls@next").name == "hf://anna/calls@next/toy.onnx"
        assert "toy.onnx" not in repository.files  # of main

    @pytest.mark.parametrize("token", [None, "hf_of_somebody_else"])
    def test_without_a_token_that_may_write_nothing_is_pushed(self, hub, toy, monkeypatch, token):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(ModelError, match=r"does not let you write to anna/calls; log in with"):
            push(toy, "hf://anna/calls")
        assert hub.repositories == {}

    @pytest.mark.usefixtures("logged_in")
    def test_what_the_hub_keeps_is_compared_with_what_was_sent(self, hub, toy):
        hub.spoils = True
        with pytest.raises(
            ModelError, match=r"toy.onnx of anna/calls on the hub is not the file that was sent"
        ):
            push(toy, "hf://anna/calls")

    def test_without_a_network_it_says_so(self, hub, toy, without_network):
        without_network()
        with pytest.raises(
            ModelError, match=r"^the hub cannot be reached for anna/calls \(.*refused\); connect"
        ):
            push(toy, "hf://anna/calls")

    def test_what_is_no_model_is_not_sent(self, hub, tmp_path):
        (tmp_path / "notes.onnx").write_text("no model")
        with pytest.raises(ModelError, match="is not an ONNX file"):
            push(tmp_path / "notes.onnx", "hf://anna/calls")
        assert hub.asked == []


class TestCommandLine:
    @pytest.mark.usefixtures("logged_in")
    def test_push_prints_the_name_that_opens_the_model(self, hub, toy, command):
        run = command("models", "push", toy, "hf://anna/calls")
        assert (run.code, run.out) == (0, "hf://anna/calls/toy.onnx\n")
        assert "pushed toy.onnx, README.md: " in run.err

    def test_a_repository_is_listed_by_names_that_open(self, hub, tmp_path, command):
        models = {f"{name}.onnx": named(tmp_path, name) for name in ("large", "small")}
        hub.add("anna/calls", models)
        rows = json.loads(command("models", "list", "hf://anna/calls", "--format", "json").out)
        assert [row["name"] for row in rows] == ["hf://anna/calls/large.onnx", "hf://anna/calls/small.onnx"]
        assert [load(row["name"]).name for row in rows] == ["large", "small"]
        assert [row["digest"] for row in rows] == [hub_server.sha256(model) for model in models.values()]
        table = command("models", "list", "hf://anna/calls", "--format", "table").out
        assert table.splitlines()[0] == "hf://anna/calls/large.onnx  0.0 MB"

    def test_cards_and_predictions_come_by_name(self, hub, content, clip, command):
        hub.add("anna/calls", {"model.onnx": content})
        info = command("models", "info", "hf://anna/calls", "--format", "json")
        assert ModelCard.from_json(info.out) == Model.load("hf://anna/calls").card
        answer = command("predict", clip, "--model", "hf://anna/calls", "--format", "jsonl")
        assert json.loads(answer.out)["model"] == "toy"

    def test_an_error_is_one_line_and_the_call_was_wrong(self, hub, command):
        run = command("models", "info", "hf://anna/calls")
        assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
        assert run.err.startswith("vocalics: there is no repository anna/calls")

    def test_the_environment_says_which_hub_and_which_cache(self, hub, toy, tmp_path):
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": hub_server.TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }

        def vocalics(*arguments: str) -> str:
            call = [sys.executable, "-c", "import sys; from vocalics.cli import main; sys.exit(main())"]
            done = subprocess.run(
                [*call, *arguments], env=environment, capture_output=True, text=True, check=True
            )
            return done.stdout

        assert vocalics("models", "push", str(toy), "hf://anna/calls") == "hf://anna/calls/toy.onnx\n"
        assert json.loads(vocalics("models", "info", "hf://anna/calls"))["name"] == "toy"
        assert list((tmp_path / "home" / "hub").glob("models--anna--calls/snapshots/*/toy.onnx"))


def test_a_model_on_this_disk_is_opened_without_the_package(toy, clip):
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "import vocalics; print(vocalics.predict(sys.argv[2], sys.argv[1]).model)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, toy, clip], capture_output=True, text=True, check=True
    )
    assert done.stdout == "toy\n"
