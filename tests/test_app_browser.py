"""`vocalics app` in a real browser: record, upload, look, listen, download, on a desk and on a phone.

With ``VOCALICS_SCREENSHOTS=docs/app`` the pictures of the documentation are taken anew.
"""

import os
import re
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pages
from app_server import serving
from visited_pages import EXAMPLES
from vocalics import emotions
from vocalics.app import words
from vocalics.app.settings import FORGET_AFTER_S
from vocalics.recognition import formats
from vocalics.recognition.timeline import timeline
from vocalics.recognition.timeline_formats import FORMATS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

#: Seconds; a page takes one or two, but a machine may be busy.
TIMEOUT_S = 90

#: Largest picture of the documentation, bytes, and the highest, pixels.
LARGEST, HIGHEST = 600_000, 2_600


@pytest.fixture(scope="module")
def address(toy, tmp_path_factory):
    """A page that knows two models, the toy one first; in the end it has left no file behind."""
    folder = tmp_path_factory.mktemp("app")
    with serving(folder, "--model", toy) as address:
        yield address
    assert [path for path in (folder / "tmp").rglob("*") if path.is_file()] == []


@pytest.fixture(scope="module")
def browser(clip):
    """A browser whose microphone hears an example over and over."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra 'dev'")
    if pages.chromium() is None:
        pytest.skip("no chromium is installed")
    microphone = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={clip}",
    ]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=pages.chromium(), args=["--no-sandbox", "--disable-gpu", *microphone]
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open pages; in the end they must have asked for nothing from elsewhere, and no script has failed."""
    asked, errors, contexts = [], [], []

    def visit(url, **options):
        context = browser.new_context(**DESK | options)
        context.set_default_timeout(1000 * TIMEOUT_S)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.get_by_role("heading", level=1).wait_for()
        settle(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [url for url in asked if not re.match(r"(https?|wss?)://127\.0\.0\.1:|data:|blob:", url)] == []
    assert errors == []


def settle(page):
    """Wait until the script on the server has run and nothing is drawn any more."""
    page.wait_for_timeout(300)
    for _ in range(10 * TIMEOUT_S):
        running = page.locator("[data-test-script-state=running], [data-testid=stSkeleton]").count()
        if not running and not page.locator("[data-stale=true]").count():
            return
        page.wait_for_timeout(100)
    raise TimeoutError("the page goes on and on")


def pick(page, label):
    page.get_by_test_id("stButtonGroup").get_by_text(label, exact=True).click()
    settle(page)


def upload(page, *files, where=0):
    page.locator("[data-testid=stFileUploaderDropzoneInput]").nth(where).set_input_files(files)
    settle(page)


def headline(page):
    """The answer in large words, once it is there."""
    page.locator(".answer h2").first.wait_for()
    return page.locator(".answer h2").first.inner_text()


def fits(page):
    """Whether the page is no wider than the screen."""
    widths = "[document.documentElement, document.querySelector('[data-testid=stMain]')]"
    return page.evaluate(f"{widths}.every((one) => one.scrollWidth <= window.innerWidth)")


def until(page, condition):
    """Wait for a condition of the first embedded page, whose policy forbids what Playwright would do."""
    frame = page.locator("iframe").first.element_handle().content_frame()
    for _ in range(400):
        if frame.evaluate(condition):
            return frame
        page.wait_for_timeout(50)
    raise TimeoutError(f"not in 20 s: {condition}")


# ---- what people do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_somebody_records_and_is_answered(visit, address, screen):
    page = visit(address, **screen)
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2_500)
    page.get_by_role("button", name="Stop recording").click()
    settle(page)
    assert headline(page).startswith("Sounds ")
    told = page.locator(".answer .of").inner_text()
    assert "your recording" in told
    assert 2 < float(re.search(r"([\d.]+) s", told)[1]) < 20  # the microphone needs a moment at both ends
    assert fits(page)


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_somebody_uploads_and_sees_the_models_answer(visit, address, model, clip, screen):
    page = visit(address, **screen)
    upload(page, clip)
    assert headline(page) == words.title(model.predict(clip))
    for part in ("Listen", "What the model heard"):
        assert page.get_by_role("heading", name=part, exact=True).is_visible()
    assert fits(page)


def test_somebody_switches_the_model(visit, address, model, clip):
    import vocalics

    bundled = vocalics.load()
    assert words.title(model.predict(clip)) != words.title(
        bundled.predict(clip)
    )  # else it would prove nothing
    page = visit(address)
    upload(page, clip)
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="vocalics", exact=True).click()
    settle(page)
    page.get_by_text("woman.wav · 3.3 s · vocalics").wait_for()
    assert headline(page) == words.title(bundled.predict(clip))


def test_many_files_are_a_table_to_take_along(visit, address, model, clips, no_speech, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    files = [*clips[:2], tmp_path / "broken.wav", no_speech]
    page = visit(address)
    upload(page, *files)
    page.get_by_text("broken.wav is not audio").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    told = formats.csv_to_predictions(download.value.path().read_text())
    assert [one.path for one in told] == [path.name for path in files]
    assert told[0].probabilities == formats.rounded(model.predict(clips[0])).probabilities


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_somebody_downloads_the_textgrid_of_a_call(visit, address, model, screen):
    page = visit(f"{address}/long", **screen)
    pick(page, "Call of two")
    page.locator("iframe").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="TextGrid").click()
    assert download.value.suggested_filename == "call of two (synthetic).TextGrid"
    found = timeline(EXAMPLES / "call.mp3", model, channels="split")
    assert download.value.path().read_text() == FORMATS["textgrid"].write(found)
    assert fits(page)


def test_a_recording_that_is_too_long_for_one_answer_is_opened_where_it_belongs(visit, address, tmp_path):
    soundfile.write(tmp_path / "lecture.flac", np.zeros(660 * 8_000, np.int16), 8_000)
    page = visit(address)
    upload(page, tmp_path / "lecture.flac")
    page.get_by_role("button", name="Open it there").click()
    page.get_by_role("heading", name="Who sounds how, and when?").wait_for()
    page.get_by_text("Still here: lecture.flac").wait_for()
    frame = until(page, "duration === 660")
    assert frame.locator("#none").is_visible()  # nobody speaks in it


def test_a_click_in_a_lane_plays_what_lies_there(visit, address):
    page = visit(f"{address}/long")
    pick(page, "Call of two")
    frame = until(page, "audio.readyState >= 1")
    assert frame.locator("h1").is_hidden()  # the page around it has one
    frame.locator(".segment").nth(1).click()
    until(page, "!audio.paused && audio.currentTime > 1")
    assert frame.locator("#heard").inner_text() != "nobody speaks"


def test_the_player_of_a_short_recording_shows_where_one_is_and_fits_its_frame(visit, address):
    page = visit(address)
    pick(page, "Excited sentence")
    frame = until(page, "audio.readyState >= 1")
    seen = {
        part: frame.locator(part).is_visible() for part in ("#player", "#stack", "header", ".legend", "#list")
    }
    assert [part for part in seen if seen[part]] == ["#player", "#stack"]
    heights = frame.evaluate("[document.documentElement.scrollHeight, window.innerHeight]")
    assert heights[1] - 12 <= heights[0] <= heights[1]  # neither cut off nor much room below
    frame.locator("#play").click()
    until(page, "position > 0.5")
    assert frame.locator("#now").inner_text() in ("0:00", "0:01", "0:02", "0:03")


def test_what_is_embedded_is_dark_when_somebody_makes_the_page_dark(visit, address):
    page = visit(address, color_scheme="null")  # no scheme is forced, so that frames follow their page
    pick(page, "Calm sentence")
    ground = "getComputedStyle(document.body).backgroundColor"
    frame = until(page, "audio.readyState >= 1")
    assert frame.evaluate(ground) == "rgb(246, 247, 249)"
    page.get_by_test_id("stMainMenu").click()
    page.locator("button, [role=radio], [role=menuitemradio]").filter(has_text="Dark").click()
    until(page, f"{ground} === 'rgb(16, 19, 24)'")


def test_the_whole_way_goes_by_keyboard(visit, address):
    page = visit(address)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Calm sentence":
            break
    page.keyboard.press("Enter")
    settle(page)
    assert headline(page).startswith("Sounds ")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "IFRAME":
            break
    until(page, "audio.readyState >= 1 && document.activeElement.id === 'play'")
    page.keyboard.press("Space")
    until(page, "!audio.paused")


@pytest.mark.parametrize("path", ["", "long", "voices", "corpora", "trainings", "about"])
def test_every_page_fits_on_a_phone_and_can_be_opened_by_its_address(visit, address, path):
    page = visit(f"{address}/{path}", **PHONE)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_text("should not have").count() == 0
    assert fits(page)


def test_what_was_uploaded_is_forgotten_a_minute_after_the_page_was_closed(visit, installed, clip):
    def held():
        """Bytes of uploads that the server holds."""
        with urllib.request.urlopen(f"{installed}/_stcore/metrics") as metrics:
            found = re.findall(r'UploadedFileManager".*} (\d+)', metrics.read().decode())
        return sum(map(int, found))

    page = visit(installed)
    upload(page, clip)
    headline(page)
    before = held()
    assert before >= clip.stat().st_size
    page.context.close()
    for _ in range(round(2 * FORGET_AFTER_S)):
        if held() <= before - clip.stat().st_size:
            break
        time.sleep(1)
    assert held() <= before - clip.stat().st_size


def test_another_site_cannot_let_its_name_point_here(browser, address):
    import json

    context = browser.new_context()
    port = address.rpartition(":")[2]
    answer = context.request.get(
        f"{address}/_stcore/stream",
        headers={
            "Host": f"evil.example:{port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    assert answer.status == 403, json.dumps(dict(answer.headers))
    context.close()


def test_the_colours_on_the_screen_are_those_of_the_emotions(visit, address, model):
    page = visit(address)
    pick(page, "Excited sentence")
    expected = model.predict(EXAMPLES / "excited_sentence.mp3")
    mark = page.locator(".mark").evaluate("(one) => getComputedStyle(one).backgroundColor")
    channels = [int(emotions.color(expected.emotion)[i : i + 2], 16) for i in (1, 3, 5)]
    assert mark == f"rgb({', '.join(map(str, channels))})"
    fill = page.locator(".js-plotly-plot .bars path").last.evaluate("(one) => getComputedStyle(one).fill")
    assert fill == mark  # the longest bar is drawn last


# ---- pictures ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with results, and with made-up voices in folders named by emotion."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "results").symlink_to(ROOT / "docs/results")
    random = np.random.default_rng(6)
    for emotion, pitch_hz in {"neutral": 150, "happy": 260, "sad": 130, "angry": 220}.items():
        (folder / "voices" / emotion).mkdir(parents=True)
        for take in range(12):
            samples = glide(pitch_hz * random.uniform(0.8, 1.2), random.uniform(0.6, 1.4), random)
            soundfile.write(folder / "voices" / emotion / f"{take:02}.wav", samples, 16_000)
    return folder


def glide(pitch_hz, to, random):
    """A second and a bit of a voice whose pitch moves by a factor: (n_samples,)."""
    time_s = np.arange(round(16_000 * random.uniform(1.0, 1.8))) / 16_000
    phase = 2 * np.pi * np.cumsum(pitch_hz * np.linspace(1, to, len(time_s))) / 16_000
    wave = sum(np.sin(n * phase) / n for n in range(1, 15)) * np.sin(np.pi * time_s / time_s[-1])
    return 0.3 * wave / np.abs(wave).max() + 0.002 * random.standard_normal(len(wave))


@pytest.fixture(scope="module")
def installed(home):
    """The page as somebody meets it who has just installed it: one model, the bundled one."""
    with serving(home) as address:
        yield address


def start(page, toy):
    """See what a newcomer sees."""


def listen(page, toy):
    pick(page, "Excited sentence")
    headline(page)


def many(page, toy):
    upload(page, *sorted((ROOT / "examples").glob("*man*.*")), ROOT / "examples/no_speech.wav")
    page.get_by_text("Download as CSV").wait_for()


def call(page, toy):
    pick(page, "Call of two")
    until(page, "audio.readyState >= 1")


def adapt(page, toy):
    pick(page, "2 sentences")
    headline(page)


def compare(page, toy):
    pick(page, "Compare two models")
    page.get_by_text("Add a model file").click()
    upload(page, toy)
    page.get_by_text("Add a model file").click()
    pick(page, "Calm sentence")
    headline(page)


def explore(page, toy):
    pytest.importorskip("torch", reason="exploring needs the lab")
    page.get_by_role("textbox", name="Folder or manifest").fill("voices")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Explore").click()
    page.locator("iframe").wait_for()


#: What is seen: the page's address, what is done there, on which screen, in which light.
SHOTS = {
    "start-desk-light": ("", start, DESK, "light"),
    "start-phone-dark": ("", start, PHONE, "dark"),
    "listen-desk-light": ("", listen, DESK, "light"),
    "listen-desk-dark": ("", listen, DESK, "dark"),
    "listen-phone-light": ("", listen, PHONE, "light"),
    "listen-phone-dark": ("", listen, PHONE, "dark"),
    "many-desk-light": ("", many, DESK, "light"),
    "long-desk-dark": ("long", call, DESK, "dark"),
    "long-phone-light": ("long", call, PHONE, "light"),
    "adapt-desk-light": ("voices", adapt, DESK, "light"),
    "adapt-phone-dark": ("voices", adapt, PHONE, "dark"),
    "compare-desk-dark": ("voices", compare, DESK, "dark"),
    "corpora-desk-dark": ("corpora", explore, DESK, "dark"),
    "trainings-desk-light": ("trainings", start, DESK, "light"),
    "about-phone-light": ("about", start, PHONE, "light"),
}


@pytest.mark.parametrize("name", SHOTS)
def test_every_page_looks_as_it_should(name, visit, installed, toy, tmp_path):
    path, act, screen, scheme = SHOTS[name]
    page = visit(f"{installed}/{path}", color_scheme=scheme, **screen)
    act(page, toy)
    settle(page)
    ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 19, 24)"}[scheme]
    assert fits(page)
    picture = take_picture(page, screen, tmp_path / f"{name}.png")
    folder = os.environ.get("VOCALICS_SCREENSHOTS")
    if folder:
        target = ROOT / folder / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture.read_bytes())


def take_picture(page, screen, path):
    """Draw all of the page, as far as `HIGHEST` goes, and check that the picture is one to commit."""
    from PIL import Image

    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": screen["viewport"]["width"], "height": min(height, HIGHEST)})
    page.wait_for_timeout(1_500)  # charts and frames take their new place
    settle(page)
    page.screenshot(path=path)
    with Image.open(path) as drawn:
        assert drawn.width == screen["viewport"]["width"]
        drawn.convert("RGB").save(path, optimize=True)
    assert path.stat().st_size < LARGEST
    return path


def test_the_pictures_of_the_documentation_are_those_of_this_test():
    kept = {path.stem for path in (ROOT / "docs/app").glob("*.png")}
    assert kept == set(SHOTS)
    shown = set(re.findall(r"app/([\w-]+)\.png", (ROOT / "docs/app.md").read_text()))
    assert shown == kept
