"""`vocalics app`: how it is started, what every page says, and what the pages do without."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from visited_pages import EXAMPLES, visit, words_of
from vocalics.app import corpora, look, main, server, take, trainings
from vocalics.app.settings import Settings
from vocalics.errors import UsageError

ROOT = Path(__file__).parents[1]

MADE_WITH = "eSpeak NG text-to-speech: 1.51"  # other versions speak the same words with other samples


# ---- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """What Streamlit is told when the command starts it, which it does not do here."""
    told = {}
    monkeypatch.setattr("streamlit.web.bootstrap.load_config_options", lambda options: None)
    monkeypatch.setattr(
        "streamlit.web.bootstrap.run",
        lambda script, hello, arguments, options: told.update(options, script=script, arguments=arguments),
    )
    return told


def test_the_command_says_where_the_page_is(command, started):
    run = command("app", "--no-browser", "--port", "0")
    assert run.code == 0
    port = started["server.port"]
    assert port > 0
    assert run.err == f"vocalics: the page is at http://127.0.0.1:{port}; Ctrl-C ends it.\n"


def test_the_page_is_started_so_that_nothing_leaves_the_machine(command, started):
    command("app", "--no-browser", "--port", "0")
    assert started["browser.gatherUsageStats"] is False
    assert started["logger.hideWelcomeMessage"] is True  # which asks elsewhere for this machine's address
    assert started["server.enableXsrfProtection"] is True
    assert started["server.fileWatcherType"] == "none"
    assert started["server.maxUploadSize"] == 500
    assert started["server.headless"] is True
    assert started["server.address"] == "127.0.0.1"
    assert set(started["server.allowedHosts"]) == {"127.0.0.1", "localhost", "::1"}


def test_a_browser_is_opened_unless_nobody_wants_one(command, started):
    command("app", "--port", "0")
    assert "server.headless" not in started  # Streamlit finds out whether there is a screen


def test_every_setting_is_one_that_streamlit_knows():
    from streamlit import config

    known = config.get_config_options()
    assert [name for name in server._options("127.0.0.1", 8501, True) if name not in known] == []


def test_models_of_the_command_line_come_before_the_bundled_one(command, started, toy):
    command("app", "--no-browser", "--port", "0", "--model", toy, "-m", "vocalics")
    settings = Settings.from_arguments(started["arguments"])
    assert settings == Settings((str(toy), "vocalics"))
    at = visit("listen", models=settings.models)
    assert at.selectbox[0].options == ["toy", "vocalics"]


@pytest.mark.parametrize(("host", "folders"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_where_others_can_open_the_page_it_reads_no_folders(command, started, host, folders):
    command("app", "--no-browser", "--port", "0", "--host", host)
    assert Settings.from_arguments(started["arguments"]).folders is folders


@pytest.mark.parametrize("missing", ["streamlit", "plotly"])
def test_without_the_extra_there_is_one_sentence(command, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    run = command("app", "--no-browser")
    assert (run.code, run.err) == (2, "vocalics: The page needs Streamlit: pip install 'vocalics[app]'\n")


def test_a_model_that_is_none_is_told_before_the_page_starts(command, started, tmp_path):
    run = command("app", "--no-browser", "--port", "0", "--model", tmp_path / "none.onnx")
    assert run.code == 2
    assert "there is no model" in run.err
    assert started == {}


def test_a_port_that_is_taken_is_a_sentence(command, started):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = command("app", "--no-browser", "--port", port)
    assert run.code == 2
    assert f"nothing can listen at 127.0.0.1, port {port}" in run.err
    assert started == {}


# ---- what the pages say ------------------------------------------------------------------------------------


def test_about_says_what_it_cannot_know_and_what_the_law_says():
    written = words_of(visit("about"))
    for said in (
        "acted speech",
        "English and Polish",
        "not for decisions about people",
        "Article 5 of the AI Act forbids",
        "call centre",
        "sent nowhere else",
        "nemo (9 speakers) and ravdess (24 speakers)",
    ):
        assert said in written


def test_about_has_the_figures_of_the_card():
    import vocalics

    table = visit("about").dataframe[0].value
    evaluation = vocalics.load().card.evaluation
    means = [f"{100 * evaluation[name]['uar']['mean']:.0f}" for name in table["measured on"]]
    assert len(means) == 2
    assert [one.split()[0] for one in table["UAR"]] == means


@pytest.mark.parametrize("page", ["listen", "long", "voices"])
def test_every_page_ends_with_what_nobody_should_forget(page):
    (said,) = [one.value for one in visit(page).caption if "AI Act" in one.value]
    assert "not what a person feels" in said
    assert "acted speech in English and Polish" in said


@pytest.mark.parametrize(
    ("page", "what"), [(corpora, "Exploring corpora"), (trainings, "Looking at trainings")]
)
def test_a_page_that_reads_folders_is_switched_off_for_others(page, what):
    with pytest.raises(UsageError, match=f"{what} reads folders of the machine"):
        page.page(Settings(folders=False))


@pytest.mark.parametrize(
    ("page", "what"), [("corpora", "Exploring corpora"), ("trainings", "Looking at trainings")]
)
def test_without_the_lab_a_researchers_page_is_one_sentence(page, what):
    program = f"""
import logging, sys
sys.modules["matplotlib"] = None  # importing it fails as if it were not installed
logging.disable()
import streamlit
from vocalics.app import main, {page}
from vocalics.app.settings import Settings
streamlit.error = lambda sentence, **_: print(sentence)
main._draw_or_tell({page}.page, Settings())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{what} needs the lab: pip install 'vocalics\\[lab\\]'\n"


def test_a_fault_is_a_sentence_and_its_origin_stands_in_the_log(monkeypatch, caplog):
    told = []
    monkeypatch.setattr("streamlit.error", lambda sentence, **_: told.append(sentence))

    def draw(settings):
        raise ZeroDivisionError("by nothing")

    main._draw_or_tell(draw, Settings())
    (sentence,) = told
    assert sentence.startswith("Something went wrong that should not have.")
    assert "by nothing" in caplog.text


def test_the_pages_need_no_lab():
    names = [path.stem for path in (ROOT / "src/vocalics/app").glob("*.py")]
    program = "\n".join(f"import vocalics.app.{name}" for name in names) + "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "vocalics.app.trainings" in loaded
    assert loaded.isdisjoint({"vocalics.lab", "torch", "matplotlib", "librosa", "sklearn"})


def test_the_colours_of_the_page_are_those_of_the_timelines_page():
    sheet = (ROOT / "src/vocalics/recognition/page/timeline.css").read_text()
    light, dark = re.findall(r"--page: (#\w+); --card: (#\w+); --ink: (#\w+)", sheet)
    names = ("backgroundColor", "secondaryBackgroundColor", "textColor")
    options = look.theme_options()
    assert tuple(options[f"theme.light.{name}"] for name in names) == light
    assert tuple(options[f"theme.dark.{name}"] for name in names) == dark


# ---- the examples ------------------------------------------------------------------------------------------


def test_the_examples_are_small_and_called_synthetic():
    assert {path.name for path in EXAMPLES.iterdir()} == set(take.EXAMPLES.values())
    for label in take.EXAMPLES:
        one = take.example(label)
        assert len(one.data) < 100_000
        assert one.name.endswith("(synthetic)")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not on the PATH")
def test_the_script_makes_the_same_examples_again(tmp_path):
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith(MADE_WITH):
        pytest.skip(f"the clips were made with another espeak-ng than {version.split('Data')[0].strip()}")
    script = ROOT / "examples/make_app_clips.py"
    subprocess.run([sys.executable, script, "-o", tmp_path], check=True, capture_output=True)
    for path in EXAMPLES.iterdir():
        made, kept = (soundfile.read(folder / path.name)[0] for folder in (tmp_path, EXAMPLES))
        # Lossy coders round differently from build to build; 60 dB below full scale nobody hears it.
        np.testing.assert_allclose(made, kept, atol=1e-3, err_msg=path.name)
