"""The page of a timeline: it shows what was found, plays what was recorded, and asks nobody for anything."""

import base64
import hashlib
import itertools
import json
import re
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

import pages
from made_segments import segment
from sounds import sine
from vocalics import audio, emotions
from vocalics.audio import Waveform
from vocalics.errors import AudioError, UsageError
from vocalics.recognition import timeline_page
from vocalics.recognition.envelope import MOST_POINTS, Envelope
from vocalics.recognition.prediction import Curve, Segment, SpeakerSummary, Timeline, TurningPoint
from vocalics.recognition.timeline_page import timeline_to_html

RATE = 16_000
LABELS = ("neutral", "happy", "sad", "angry")
LENGTH_S = 20.0

#: Who speaks when, how sure the model is of what, and the pitch that is heard meanwhile, in Hz.
SPOKEN = [
    ("channel 1", 1.0, 5.0, "sad", 0.8, 400),
    ("channel 2", 6.0, 9.0, "angry", 0.9, 700),
    ("channel 1", 10.0, 12.0, "happy", 0.6, 1_000),
    ("channel 2", 12.0, 15.0, "neutral", 0.4, 1_300),  # the model abstains
    ("channel 1", 16.0, 19.0, "angry", 0.7, 1_600),
]


def spoken(speaker, start_s, end_s, emotion, confidence):
    """A segment of the call, on which the model abstains when it is less than half sure."""
    return segment(
        start_s,
        end_s,
        emotion,
        speaker,
        confidence,
        emotions=LABELS,
        path="call.wav",
        abstained=confidence < 0.5,
    )


def curve(speaker, segments, hop_s=0.5):
    """Windows of 1 s over each segment of a speaker, which all say what the segment says."""
    rows = [
        (start_s, start_s + 1.0, *one.probabilities.values())
        for one in segments
        if one.speaker == speaker
        for start_s in np.arange(one.start_s, one.end_s - 0.99, hop_s)
    ]
    table = np.array(rows).reshape(-1, 2 + len(LABELS))
    return Curve(speaker, table[:, 0], table[:, 1], table[:, 2:])


def timeline_of(segments, duration_s, **changes):
    speakers = list(dict.fromkeys(one.speaker for one in segments))
    summaries = []
    for speaker in speakers:
        own = [one for one in segments if one.speaker == speaker]
        speech_s = sum(one.duration_s for one in own)
        share = dict.fromkeys([*LABELS, "abstained"], 0.0)
        for one in own:
            share["abstained" if one.abstained else one.emotion] += one.duration_s / speech_s
        summaries.append(SpeakerSummary(speaker, speech_s, share, valence=-0.25, arousal=0.5))
    made = Timeline(
        path="call.wav",
        duration_s=duration_s,
        model="toy",
        emotions=LABELS,
        window_s=1.0,
        hop_s=0.5,
        segments=tuple(segments),
        speakers=tuple(summaries),
        curves=tuple(curve(speaker, segments) for speaker in speakers),
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def call() -> Timeline:
    """Two people on two channels, and a moment from which on one of them sounds otherwise."""
    made = timeline_of([spoken(*one[:5]) for one in SPOKEN], LENGTH_S, notes=("Adapted to nobody.",))
    first, second = made.speakers
    turned = replace(first, turning_points=(TurningPoint(10.0, "sad", "happy", 1.8),), adapted_s=12.0)
    return replace(made, speakers=(turned, second))


@pytest.fixture(scope="module")
def sound() -> Waveform:
    """What they say: of each segment a tone of its own."""
    samples = np.zeros((2, round(LENGTH_S * RATE)), np.float32)
    for speaker, start_s, end_s, _, _, hertz in SPOKEN:
        place = slice(round(start_s * RATE), round(end_s * RATE))
        samples[int(speaker == "channel 2"), place] = sine(hertz, RATE, end_s - start_s)
    return Waveform(samples, RATE)


@pytest.fixture(scope="module")
def html(call, sound) -> str:
    return timeline_to_html(call, sound)


def data_of(html):
    """What the script draws, read out of the page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html)[1])


def sound_of(html):
    return base64.b64decode(re.search(r'<script type="text/plain" id="sound">(.*?)</script>', html)[1])


def array_of(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and what its scripts and style sheets hold."""

    def __init__(self, html) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inside: list[tuple[str, dict[str, str], str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data) -> None:
        if self.cdata_elem:  # a script or a style sheet
            self.inside.append((*self.found[-1], data))


# ---- what the page says ------------------------------------------------------------------------------------


def test_the_page_says_what_was_heard_of_whom(html):
    text = pages.Page(html).text
    assert "call.wav" in text
    assert (
        "0:20 long, 2 speakers, 5 segments. The model 'toy' heard 1 s of speech at once, every 0.5 s." in text
    )
    assert "Adapted to nobody." in text
    # Channel 1 speaks for 4, 2 and 3 s; channel 2 for 3 and 3, of half of which the model abstains.
    assert "0:09 of speech; the model was adapted with 0:12 of it" in text
    rows = [row for row in pages.Page(html).rows if len(row) == 3]
    assert [[cell.replace("\xa0", " ") for cell in row] for row in rows] == [
        ["happy", "", "22 %"],
        ["sad", "", "44 %"],
        ["angry", "", "33 %"],
        ["angry", "", "50 %"],
        ["abstained", "", "50 %"],
    ]
    assert "mean valence −0.25, arousal +0.50" in text
    assert "0:10 from sad to happy" in text


def test_a_turning_point_is_a_link_that_leads_to_its_time(html):
    links = [attributes for tag, attributes in Elements(html).found if tag == "a"]
    assert links == [{"href": "#t=10.00", "data-time": "10.00"}]


def test_every_colour_has_its_name_beside_it(html):
    legend = re.search(r'<ul class="legend">(.*?)</ul>', html, re.DOTALL)[1]
    for label in LABELS:
        assert re.search(rf'fill="{emotions.color(label)}"[^>]*/></svg>{label}</li>', legend)
    assert "pale and hatched: abstained" in legend


def test_the_script_is_given_every_segment_as_it_was(call, html):
    data = data_of(html)
    assert [speaker["name"] for speaker in data["speakers"]] == ["channel 1", "channel 2"]
    expected = [
        [start_s, end_s, int(speaker[-1]) - 1, LABELS.index(emotion), confidence]
        for speaker, start_s, end_s, emotion, confidence, _ in SPOKEN
    ]
    expected[3].append("low confidence")
    assert data["segments"] == expected
    assert [(one["name"], one["color"]) for one in data["emotions"]] == [
        (label, emotions.color(label)) for label in LABELS
    ]


def test_no_speech_is_a_segment_without_emotion(call, sound):
    silent = Segment(
        path=None, emotion=None, confidence=None, abstained=True, reason="no speech", start_s=2.0, end_s=3.0,
        speaker="channel 1",
    )  # fmt: skip
    html = timeline_to_html(replace(call, segments=(silent,)), sound)
    assert data_of(html)["segments"] == [[2.0, 3.0, 0, -1, None, "no speech"]]


def test_a_recording_without_speech_has_a_page(sound):
    empty = Timeline(
        "noise.wav", LENGTH_S, "toy", LABELS, 1.0, 0.5, (), (SpeakerSummary("speaker", 0.0, {}, None, None),),
        (Curve("speaker", np.empty(0), np.empty(0), np.empty((0, 4))),),
    )  # fmt: skip
    html = timeline_to_html(empty, sound)
    data = data_of(html)
    assert (data["segments"], data["curves"]) == ([], [None])
    assert "no speech" in pages.Page(html).text


# ---- curves ------------------------------------------------------------------------------------------------


def test_the_curves_are_the_models_answers_to_half_a_step_of_a_byte(call, html):
    for written, own in zip(data_of(html)["curves"], call.curves, strict=True):
        np.testing.assert_array_equal(array_of(written["starts_ms"], "<u4"), np.rint(1000 * own.starts_s))
        np.testing.assert_array_equal(array_of(written["ends_ms"], "<u4"), np.rint(1000 * own.ends_s))
        shares = array_of(written["probabilities"], np.uint8).reshape(-1, len(LABELS)) / 255
        np.testing.assert_allclose(shares, own.probabilities, atol=0.5 / 255 + 1e-12)


def test_windows_come_in_the_order_of_time_whatever_the_order_of_their_ends(call, sound):
    own = call.curves[0]
    shuffled = np.random.default_rng(2).permutation(len(own.starts_s))
    mixed = Curve("channel 1", own.starts_s[shuffled], own.ends_s[shuffled], own.probabilities[shuffled])
    data = data_of(timeline_to_html(replace(call, curves=(mixed, call.curves[1])), sound))
    np.testing.assert_array_equal(array_of(data["curves"][0]["starts_ms"], "<u4"), 1000 * own.starts_s)


def test_too_many_windows_are_averaged_over_time(call, sound, monkeypatch):
    monkeypatch.setattr(timeline_page, "CURVE_POINTS", 8)
    generator = np.random.default_rng(4)
    starts_s = np.arange(0, 16, 0.25)  # 64 windows
    probabilities = generator.dirichlet(np.ones(4), len(starts_s))
    many = Curve("channel 1", starts_s, starts_s + 1.0, probabilities)
    html = timeline_to_html(replace(call, curves=(many,)), sound)
    written, none = data_of(html)["curves"]
    assert none is None
    # Stretches of 1 s and of 2 s are too many; the first of 4 s has the windows whose middles lie before 4 s.
    assert "means over 4 s" in pages.Page(html).text
    shares = array_of(written["probabilities"], np.uint8).reshape(-1, 4) / 255
    first = starts_s + 0.5 < 4
    np.testing.assert_allclose(shares[0], probabilities[first].mean(axis=0), atol=0.5 / 255 + 1e-12)
    assert (array_of(written["starts_ms"], "<u4")[0], array_of(written["ends_ms"], "<u4")[0]) == (0, 4250)
    assert len(shares) == 5  # the last middle is 16.25 s


# ---- waveform and sound ------------------------------------------------------------------------------------


def test_each_speakers_channel_has_its_own_envelope(html):
    data = data_of(html)
    assert [speaker["wave"] for speaker in data["speakers"]] == [0, 1]
    for (speaker, wave), own in zip(enumerate(data["waves"]), ("channel 1", "channel 2"), strict=True):
        assert data["speakers"][speaker]["name"] == own
        low, high = array_of(wave, np.int8).reshape(-1, 2).T
        times_s = (np.arange(len(high)) + 0.5) * LENGTH_S / len(high)
        spoken = np.zeros(len(high), bool)
        for name, start_s, end_s, *_ in SPOKEN:
            spoken |= (name == own) & (times_s > start_s) & (times_s < end_s)
        assert (high[spoken] > 100).all()  # a period of each tone fits into the 5 ms of a point
        assert (low[spoken] < -100).all()
        assert (high[~spoken] == 0).all()


@pytest.mark.parametrize("names", [("Ada", "Ben"), ("channel 1", "Ben"), ("channel 1", "channel 7")])
def test_speakers_who_are_no_channels_share_one_waveform(names, call, sound):
    renamed = dict(zip(("channel 1", "channel 2"), names, strict=True))
    html = timeline_to_html(
        replace(
            call,
            segments=tuple(replace(one, speaker=renamed[one.speaker]) for one in call.segments),
            speakers=tuple(replace(one, speaker=renamed[one.speaker]) for one in call.speakers),
            curves=(),
        ),
        sound,
    )
    data = data_of(html)
    assert len(data["waves"]) == 1
    assert [speaker["wave"] for speaker in data["speakers"]] == [None, None]


def test_an_envelope_holds_the_extremes_of_each_point_however_the_blocks_are_cut():
    generator = np.random.default_rng(1)
    samples = generator.normal(0, 0.1, (2, 10_007)).astype(np.float32)  # a prime number of them
    duration_s = samples.shape[1] / 8_000
    n_points = int(200 * duration_s)
    edges = np.ceil(np.arange(n_points + 1) * samples.shape[1] / n_points).astype(int)
    low = np.array([[row[a:b].min() for a, b in itertools.pairwise(edges)] for row in samples])
    high = np.array([[row[a:b].max() for a, b in itertools.pairwise(edges)] for row in samples])
    loudest = np.quantile(np.maximum(-low, high), 0.998, axis=1)
    for n_block in (1, 39, 40, 1_000, 20_000):
        envelope = Envelope(["channel 1", "channel 2"], duration_s)
        for start in range(0, samples.shape[1], n_block):
            envelope.push(Waveform(samples[:, start : start + n_block], 8_000))
        for row, levels in enumerate(envelope.levels()):
            np.testing.assert_allclose(
                levels.T * loudest[row] / 127,
                np.clip([low[row], high[row]], -loudest[row], loudest[row]),
                atol=loudest[row] / 250,  # half a step
            )


def test_an_envelope_is_bounded_and_silence_stays_flat():
    envelope = Envelope([f"channel {n}" for n in range(1, 5)], duration_s=3_600.0)
    for _ in range(60):
        envelope.push(Waveform(np.full((4, 60 * 8_000), 1e-5, np.float32), 8_000))
    levels = envelope.levels()
    assert levels.shape == (4, MOST_POINTS // 4, 2)
    assert np.abs(levels).max() <= 2  # a hundredth of the least full scale


def test_a_recording_longer_than_its_header_said_ends_in_the_last_point():
    envelope = Envelope(["speaker"], duration_s=1.0)
    for _ in range(3):
        envelope.push(Waveform(np.full((1, 4_000), 0.5, np.float32), 8_000))
    assert envelope.levels().shape == (1, 200, 2)


def test_what_is_played_is_the_recording(sound, html):
    played = audio.read(sound_of(html))
    assert played.n_channels == 2
    assert played.duration_s == pytest.approx(LENGTH_S, abs=1e-3)
    for speaker, start_s, end_s, _, _, hertz in SPOKEN:
        own = played.samples[int(speaker == "channel 2")]
        middle = own[round((start_s + 0.5) * played.sample_rate) : round((end_s - 0.5) * played.sample_rate)]
        spectrum = np.abs(np.fft.rfft(middle))
        assert spectrum.argmax() * played.sample_rate / len(middle) == pytest.approx(hertz, abs=1.0)


def test_a_long_recording_is_not_carried_and_the_page_asks_for_the_file(call, sound, monkeypatch):
    monkeypatch.setattr(
        timeline_page, "MOST_SOUND_BYTES", 59_999
    )  # 20 s of stereo are told to be 60,000 bytes
    html = timeline_to_html(call, sound)
    assert sound_of(html) == b""
    assert "Choose the file" in data_of(html)["no_sound"]
    monkeypatch.setattr(timeline_page, "MOST_SOUND_BYTES", 60_000)
    assert sound_of(timeline_to_html(call, sound))


def test_two_hours_are_carried_and_ten_are_not():
    mono, stereo = (8 * timeline_page.MOST_SOUND_BYTES / rate / 3600 for rate in audio.ENCODED_BITS_PER_S)
    assert 2 < stereo < mono < 10


@pytest.mark.parametrize("form", ["path", "string", "bytes", "file", "samples"])
def test_the_recording_comes_in_every_form_and_gives_the_same_page(form, call, sound, tmp_path, html):
    path = tmp_path / "call.wav"
    soundfile.write(path, sound.samples.T, RATE, subtype="FLOAT")
    with path.open("rb") as file:
        forms = {
            "path": path,
            "string": str(path),
            "bytes": path.read_bytes(),
            "file": file,
            "samples": (sound.samples, RATE),
        }
        assert timeline_to_html(call, forms[form]) == html


def test_a_recording_of_another_length_is_refused(call, sound):
    other = Waveform(sound.samples[:, : 10 * RATE], RATE)
    with pytest.raises(UsageError, match=r"lasts 10\.0 s and the timeline 20\.0 s"):
        timeline_to_html(call, other)


def test_what_is_no_recording_is_told(call, tmp_path):
    with pytest.raises(AudioError, match=r"nowhere\.wav"):
        timeline_to_html(call, tmp_path / "nowhere.wav")


@contextmanager
def traced():
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline_page, "MOST_SOUND_BYTES", 0)
    peaks = []
    for minutes in (10, 40):
        path = tmp_path / f"{minutes}.flac"
        soundfile.write(path, np.zeros(minutes * 60 * 8_000, np.int16), 8_000)
        silent = timeline_of([spoken(*SPOKEN[0][:5])], minutes * 60.0)
        with traced() as peak:
            timeline_to_html(silent, path)
            peaks.append(peak())
    assert peaks[1] < peaks[0] + 5e6  # half an hour more would be 58 MB in float32


# ---- a long timeline ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_timeline() -> Timeline:
    """Ten hours, 11,000 segments of two speakers, 36,000 windows each."""
    hours = 10
    segments = [
        spoken(f"channel {1 + n % 2}", 3.25 * n, 3.25 * n + 3.0, LABELS[n % 3], 0.9)
        for n in range(hours * 3600 * 4 // 13)
    ]
    generator = np.random.default_rng(9)
    curves = []
    for speaker in ("channel 1", "channel 2"):
        starts_s = np.arange(hours * 3600.0)
        curves.append(
            Curve(speaker, starts_s, starts_s + 3.0, generator.dirichlet(np.ones(4), len(starts_s)))
        )
    return timeline_of(segments, hours * 3600.0, curves=tuple(curves))


@pytest.fixture(scope="module")
def long_html(long_timeline) -> str:
    """Its page; nobody has ten hours of sound at hand, so the blocks of silence are one and the same."""
    block = Waveform(np.zeros((2, 60 * 8_000), np.float32), 8_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline_page.audio, "blocks", lambda *_: (block for _ in range(600)))
        return timeline_to_html(long_timeline, "ten-hours.wav")


def test_the_page_of_ten_hours_is_as_small_as_is_said(long_timeline, long_html):
    assert sound_of(long_html) == b""
    assert len(long_html) < 1e6 + 40 * len(long_timeline.segments)


def test_no_page_is_larger_than_is_said(long_timeline, long_html):
    """Ten times the windows and eight emotions, the most that the vocabulary has."""
    starts_s = np.arange(360_000) / 10
    answers = np.full((len(starts_s), 8), 1 / 8)
    curves = tuple(Curve(one.speaker, starts_s, starts_s + 3, answers) for one in long_timeline.speakers)
    n_written = 0
    for one in timeline_page._decimated(curves)[0]:
        n_written += sum(map(len, timeline_page._curve(one).values()))
    waves = 2 * MOST_POINTS * 4 / 3
    assets = len(long_html) - sum(
        len(json.dumps(data_of(long_html)[key])) for key in ("segments", "curves", "waves")
    )
    assert n_written + waves + assets < 1e6


# ---- nobody is asked, nothing is run -----------------------------------------------------------------------

HOSTILE = '</script><img src=x onerror="window.hacked=1">&amp;<!--\u2028\udc80'


@pytest.fixture(scope="module")
def hostile(call) -> Timeline:
    """Every name that comes from outside wants to be markup."""
    renamed = {"channel 1": HOSTILE, "channel 2": "'\"><svg onload=hacked()>"}
    labels = (f"neutral{HOSTILE}", *LABELS[1:])
    return replace(
        call,
        path=f"/tmp/{HOSTILE.replace('/', '_')}.wav",
        model=HOSTILE,
        emotions=labels,
        notes=(HOSTILE,),
        segments=tuple(
            replace(
                one,
                speaker=renamed[one.speaker],
                emotion=labels[LABELS.index(one.emotion)],
                reason=HOSTILE if one.abstained else None,
            )
            for one in call.segments
        ),
        speakers=tuple(
            replace(
                one,
                speaker=renamed[one.speaker],
                share={HOSTILE: 0.5, "sad": 0.5},
                turning_points=(TurningPoint(10.0, HOSTILE, HOSTILE, 1.0),),
            )
            for one in call.speakers
        ),
        curves=tuple(replace(one, speaker=renamed[one.speaker]) for one in call.curves),
    )


def test_the_page_is_whole_and_asks_for_nothing_from_anywhere(html):
    page = pages.Page(html)  # which checks that every element is closed in order
    assert page.asked_for == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"https?://|@import", html)


def test_a_name_cannot_become_markup(hostile, sound, html):
    page = timeline_to_html(hostile, sound)
    page.encode()  # a name that is not Unicode does not keep the page from being written
    pages.Page(page)
    plain, named = Elements(html), Elements(page)

    def kinds(elements):
        return {(tag, *sorted(attributes)) for tag, attributes in elements.found}

    assert kinds(named) == kinds(plain)
    assert data_of(page)["speakers"][0]["name"] == HOSTILE
    assert data_of(page)["segments"][3][5] == HOSTILE


def test_the_policy_lets_run_the_pages_own_parts_and_nothing_else(html):
    elements = Elements(html)
    (policy,) = [one["content"] for tag, one in elements.found if tag == "meta" and "http-equiv" in one]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digest = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, attributes, text in elements.inside
        if "type" not in attributes
    }
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest['script']}'",
        "style-src": f"'sha256-{digest['style']}'",
        "media-src": "blob:",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    for _, attributes in elements.found:  # which the policy would keep from working
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_the_same_timeline_gives_the_same_page(call, sound, html):
    assert timeline_to_html(call, sound) == html


# ---- in a browser ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra 'dev'")
    if pages.chromium() is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=pages.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open pages in the browser, offline; in the end they must have asked for nothing and told no error."""
    asked, errors, contexts = [], [], []

    def show(html, **options):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(
            **{"viewport": {"width": 1000, "height": 900}, "offline": True} | options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert errors == []


def until(page, condition):
    """Wait for a condition; playwright's way is that the page evaluates text, which its policy forbids."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(f"not in 20 s: {condition}")


def ready(page):
    """Wait until the sound can be played."""
    until(page, "audio.readyState >= 1")
    return page


def click_at(page, time_s, lane=0, height=60):
    """Click on a lane where a time is drawn; `height` is in pixels from the lane's top."""
    box = page.locator(".plot").nth(lane).bounding_box()
    start_s, end_s = page.evaluate("[view.start, view.end]")
    x = box["width"] * (time_s - start_s) / (end_s - start_s)
    page.mouse.click(box["x"] + x, box["y"] + height)


def playing_at(page):
    """Where the player is, once it plays."""
    until(page, "!audio.paused && !audio.seeking")
    return page.evaluate("audio.currentTime")


@pytest.mark.slow
@pytest.mark.parametrize("height", [20, 75, 120], ids=["waveform", "segments", "curves"])
def test_a_click_plays_from_where_one_clicks(height, html, show):
    page = ready(show(html))
    assert page.evaluate("audio.paused")
    click_at(page, 7.5, lane=1, height=height)
    assert 7.4 < playing_at(page) < 10  # 0.1 s is 4 pixels; it plays on while this is asked
    until(page, "document.getElementById('now').textContent >= '0:08'")


@pytest.mark.slow
def test_what_is_heard_after_a_click_is_what_lies_there(html, show):
    page = ready(show(html))
    page.evaluate("audio.loop = false")
    for speaker, start_s, end_s, emotion, _, hertz in SPOKEN:
        click_at(page, start_s + 0.5, lane=int(speaker == "channel 2"))
        until(page, f"!audio.seeking && audio.currentTime > {start_s + 0.7}")
        heard = page.evaluate(
            """async () => {
              if (!window.ears) {
                const context = new AudioContext({ sampleRate: 16000 });
                window.ears = context.createAnalyser();
                ears.fftSize = 4096;
                ears.smoothingTimeConstant = 0;
                context.createMediaElementSource(audio).connect(ears);
                ears.connect(context.destination);
              }
              await new Promise((done) => setTimeout(done, 600));
              const levels = new Float32Array(ears.frequencyBinCount);
              ears.getFloatFrequencyData(levels);
              return levels.indexOf(Math.max(...levels)) * 16000 / ears.fftSize;
            }"""
        )
        assert page.evaluate("audio.currentTime") < end_s
        assert heard == pytest.approx(hertz, abs=8)  # two bins of the analyser
        assert emotion in page.locator("#heard").inner_text()


@pytest.mark.slow
def test_space_plays_and_pauses_and_arrows_move(html, show):
    page = ready(show(html))
    page.keyboard.press(" ")
    until(page, "!audio.paused && audio.currentTime > 0.1")
    page.keyboard.press(" ")
    until(page, "audio.paused")
    page.evaluate("seek(7, false)")
    page.keyboard.press("ArrowRight")
    until(page, "audio.currentTime === 12")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    until(page, "audio.currentTime === 2")
    assert page.evaluate("audio.paused")


@pytest.mark.slow
def test_tab_goes_from_segment_to_segment_and_enter_plays_one(html, show):
    page = ready(show(html))
    page.locator("#whole").evaluate("button => { button.disabled = false; button.focus(); }")
    names = []
    for _ in SPOKEN:
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert names == [
        "channel 1: sad, 80 % sure, 0:01.0 to 0:05.0",
        "channel 1: happy, 60 % sure, 0:10.0 to 0:12.0",
        "channel 1: angry, 70 % sure, 0:16.0 to 0:19.0",
        "channel 2: angry, 90 % sure, 0:06.0 to 0:09.0",
        "channel 2: neutral, 40 % sure, abstained: low confidence, 0:12.0 to 0:15.0",
    ]
    assert "abstained: low confidence" in page.locator("#tip").inner_text()
    page.keyboard.press("Enter")
    assert 12 <= playing_at(page) < 14


@pytest.mark.slow
def test_a_row_of_the_list_and_a_turning_point_lead_to_their_times(html, show):
    page = ready(show(html))
    page.locator("#list tbody tr:not(.space)").nth(4).click()
    assert 16 <= playing_at(page) < 18
    page.locator("a[data-time]").click()
    assert 10 <= playing_at(page) < 12


@pytest.mark.slow
def test_a_hint_says_what_lies_under_the_pointer(html, show):
    page = show(html)
    box = page.locator(".plot").nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 7 / LENGTH_S, box["y"] + 75)
    hint = page.locator("#tip").inner_text()
    assert "angry 90 %" in hint
    assert "channel 2, 0:06.0 to 0:09.0" in hint
    page.mouse.move(box["x"] + box["width"] * 3 / LENGTH_S, box["y"] + 75)
    assert "no speech" in page.locator("#tip").inner_text()
    page.mouse.move(5, 5)
    assert page.locator("#tip").is_hidden()


@pytest.mark.slow
def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves_without_playing(html, show):
    page = ready(show(html))
    box = page.locator(".plot").first.bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + 20
    page.mouse.move(x, y)  # at 5 s
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    until(page, "span() < 15")
    assert page.evaluate("view.start + span() / 4") == pytest.approx(5.0, abs=0.05)
    start_s, length_s = page.evaluate("[view.start, span()]")
    page.mouse.down()
    page.mouse.move(x - box["width"] / 10, y, steps=5)
    page.mouse.up()
    assert page.evaluate("view.start") == pytest.approx(start_s + length_s / 10, abs=0.05)
    assert page.evaluate("audio.paused && position === 0")
    page.keyboard.press("0")
    assert page.evaluate("isWhole()")


@pytest.mark.slow
def test_a_plain_wheel_scrolls_the_page(html, show):
    page = show(html)
    box = page.locator(".plot").first.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 20)
    page.mouse.wheel(0, 200)
    until(page, "window.scrollY > 100")
    assert page.evaluate("isWhole()")


@pytest.mark.slow
def test_a_page_without_sound_plays_the_file_that_its_reader_chooses(
    call, sound, show, tmp_path, monkeypatch
):
    monkeypatch.setattr(timeline_page, "MOST_SOUND_BYTES", 0)
    page = show(timeline_to_html(call, sound))
    page.locator("#choice").wait_for(state="visible")
    assert "Choose the file" in page.locator("#message").inner_text()
    assert page.locator("#play").is_disabled()
    click_at(page, 7.5)  # moves the playhead all the same
    assert page.locator("#now").inner_text() in ("0:07", "0:08")
    soundfile.write(tmp_path / "call.wav", sound.samples.T, RATE)
    page.locator("#file").set_input_files(tmp_path / "call.wav")
    ready(page)
    assert page.locator("#message").is_hidden()
    page.locator("#play").click()
    assert 7.4 < playing_at(page) < 10
    soundfile.write(tmp_path / "other.wav", np.zeros(3 * RATE), RATE)
    page.locator("#file").set_input_files(tmp_path / "other.wav")
    until(page, "!document.getElementById('message').hidden")
    assert "may be another recording" in page.locator("#message").inner_text()


@pytest.mark.slow
def test_a_hostile_name_is_shown_as_it_is_and_runs_nothing(hostile, sound, show):
    page = ready(show(timeline_to_html(hostile, sound)))
    page.locator(".segment").first.focus()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    shown = page.locator(".lane b").all_inner_texts()
    assert "</script><img src=x" in shown[1]  # the first lane is the recording's
    assert "<svg onload" in page.locator("#list").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_segments_have_the_colours_of_their_emotions(scheme, html, show):
    page = show(html, color_scheme=scheme)
    until(page, "lanes[0].canvas.width > 0")
    pixel = """([lane, time]) => {
      const canvas = lanes[lane].canvas, scale = canvas.width / canvas.clientWidth;
      const x = (time / duration) * canvas.width, y = (lanes[lane].top.blocks + 4) * scale;
      return [...canvas.getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1).data];
    }"""
    for speaker, start_s, end_s, emotion, confidence, _ in SPOKEN:
        drawn = page.evaluate(pixel, [int(speaker == "channel 2"), (start_s + end_s) / 2])
        expected = [int(emotions.color(emotion)[i : i + 2], 16) for i in (1, 3, 5)] + [255]
        assert (drawn == expected) == (confidence >= 0.5)  # what the model abstains from is paler
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 19, 24)"}[scheme]


@pytest.mark.slow
def test_a_phone_shows_all_of_it_without_scrolling_sideways(html, show):
    page = show(html, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".plot").first.tap(position={"x": 100, "y": 20})
    playing_at(page)


@pytest.mark.slow
def test_ten_hours_open_with_few_elements_and_every_segment_can_be_reached(long_timeline, long_html, show):
    page = show(long_html)
    assert page.locator("#list tbody tr:not(.space)").first.is_visible()
    page.evaluate("list.scrollTop = list.scrollHeight")
    n = len(long_timeline.segments)
    until(page, f"document.querySelector('tr[data-segment=\"{n - 1}\"]')")
    assert page.evaluate("document.querySelectorAll('*').length") < 3_000  # of 11,000 segments
    page.locator(f'tr[data-segment="{n - 1}"]').click()
    assert page.evaluate("position") == pytest.approx(long_timeline.segments[-1].start_s)
    page.evaluate("look(0, 60)")
    page.locator("#overview").click()  # in its middle: five hours
    assert page.evaluate("position") == pytest.approx(18_000, abs=60)
    assert page.evaluate("position >= view.start && position <= view.end && span() <= 60")


@pytest.mark.slow
def test_a_link_opens_the_page_at_a_time(html, show, tmp_path):
    page = show(html)
    page.goto(f"{(tmp_path / 'page.html').as_uri()}#t=13.5")
    page.reload()
    ready(page)
    until(page, "audio.currentTime === 13.5")
    assert "neutral ?" in page.locator("#heard").inner_text()
