"""``vocalics explain``: planted answers are found, and stand in the picture where they belong."""

import tracemalloc
from dataclasses import replace
from itertools import combinations, pairwise

import librosa
import numpy as np
import pytest
import soundfile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import toy_model
from artists import by_gid, texts, title
from vocalics.audio import Waveform
from vocalics.errors import AudioError
from vocalics.lab import explain as explaining
from vocalics.lab.explain import FeatureRows, explain, feature_rows, log_odds
from vocalics.lab.occlusion import (
    background,
    band_edges,
    moment_spans,
    without_bands,
    without_moments,
)
from vocalics.lab.page import png
from vocalics.lab.plots import explained_prediction
from vocalics.recognition.model import WINDOWS_AT_ONCE, Model

RATE = toy_model.SAMPLE_RATE
LISTENS_FOR, LISTENS_AGAINST = 1000.0, 2000.0  # Hz, of the planted model
QUIET = -8.0  # logarithm of an energy a little above that of `noise` in the toy model's filters
BURST = slice(16_000, 20_000)  # 1 to 1.25 s, which is one of the moments


def planted_head():
    """Happy is what sounds at 1 kHz, sad what sounds at 2 kHz; nothing else is heard."""
    weight = np.zeros((len(toy_model.EMOTIONS), len(toy_model.FREQUENCIES_HZ)))
    weight[1, toy_model.FREQUENCIES_HZ.index(LISTENS_FOR)] = 1.0
    weight[2, toy_model.FREQUENCIES_HZ.index(LISTENS_AGAINST)] = 0.5
    zeros = [0.0] * weight.shape[1]
    return {
        "weight": weight.tolist(),
        "bias": [0.0] * len(weight),
        "mean": [QUIET] * len(zeros),
        "std": [1.0] * len(zeros),
        "temperature": 1.0,
        "emotion_means": dict.fromkeys(toy_model.EMOTIONS, zeros),
    }


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A model with a known answer, for which every sound is speech; it hears 3 s at once."""
    monkeypatch.setattr(toy_model, "head", planted_head)
    monkeypatch.setattr(explaining.speech, "has_speech", lambda waveform: True)
    return Model.load(toy_model.write(tmp_path / "planted.onnx", window_s=3.0))


@pytest.fixture(scope="module")
def bundled():
    return Model.load()


@pytest.fixture(scope="module")
def explained(bundled):
    """A stereo example, explained by the bundled model."""
    from conftest import EXAMPLES

    return explain(bundled, EXAMPLES / "two_on_a_call.flac")


def noise(n_samples, rms=1e-3, seed=1):
    return rms * np.random.default_rng(seed).standard_normal(n_samples)


def tones(n_samples=2 * RATE):
    """A tone at each frequency that the toy model hears, after a pause of 0.3 s, over quiet noise."""
    t = np.arange(n_samples) / RATE
    sounds = sum(0.05 * np.sin(2 * np.pi * frequency * t) for frequency in toy_model.FREQUENCIES_HZ)
    return sounds * (t > 0.3) + noise(n_samples)


def burst(n_samples=2 * RATE):
    """A quarter second of 1 kHz in quiet noise."""
    samples = noise(n_samples)
    samples[BURST] += 0.3 * np.sin(2 * np.pi * LISTENS_FOR * np.arange(4000) / RATE)
    return samples


def waveform(samples):
    return Waveform.from_array(samples, RATE)


def rms(samples):
    return np.sqrt(np.mean(np.square(samples)))


# ---- the planted answer ----------------------------------------------------------------------------------


def test_the_band_that_the_answer_hangs_on_is_found(planted):
    found = explain(planted, waveform(tones()))
    bands = found.bands
    assert found.emotion == "happy"
    assert bands.starts[bands.strongest] < LISTENS_FOR < bands.stops[bands.strongest]
    # Only the logit of happy moves, with the logarithm of the energy in its filter. That of the tone is
    # (0.05 * 200 / 2) ** 2 = 25, where Hann's window sums to 200; that of the noise 1e-6 * 150, where its
    # squares do to 150. The tone sounds in 85 % of the frames: 0.85 * log2(25 / 1.5e-4) = 14.7. The mean
    # logarithm of a noise's energy is 0.83 (log2) under the logarithm of the mean: 0.85 * 0.83 = 0.7 more.
    assert bands.support.max() == pytest.approx(15.4, abs=0.5)


def test_the_band_that_speaks_against_the_answer_is_found(planted):
    bands = explain(planted, waveform(tones())).bands
    weakest = int(bands.support.argmin())
    assert bands.starts[weakest] < LISTENS_AGAINST < bands.stops[weakest]
    assert bands.support[weakest] < -0.1


def test_bands_that_the_model_does_not_hear_do_nothing(planted):
    bands = explain(planted, waveform(tones())).bands
    # Neither the bands with the two tones nor their neighbours, which have some of them.
    heard = [np.searchsorted(bands.stops, tone) for tone in (LISTENS_FOR, LISTENS_AGAINST)]
    deaf = [i for i in range(len(bands.support)) if min(abs(i - band) for band in heard) > 1]
    assert len(deaf) >= 10
    assert np.abs(bands.support[deaf]).max() < 0.01 * bands.support.max()


def test_the_moment_that_the_answer_hangs_on_is_found(planted):
    moments = explain(planted, waveform(burst())).moments
    strongest = moments.strongest
    assert (moments.starts[strongest], moments.stops[strongest]) == (1.0, 1.25)


def test_moments_in_which_nothing_happens_do_nothing(planted):
    moments = explain(planted, waveform(burst())).moments
    apart = (moments.stops <= 1.0) | (moments.starts >= 1.25)
    assert apart.sum() > 20
    # One noise takes another's place in 22 of 198 frames. The logarithm of a noise's energy deviates by 1.28,
    # and 2.5 frames overlap: 1.28 * sqrt(2 * 22 * 2.5) / 198 / ln 2 = 0.1, of which three.
    assert np.abs(moments.support[apart]).max() < 0.3 < 0.15 * moments.support.max()


def test_every_answer_is_that_of_the_arithmetic_in_numpy(planted):
    samples = burst().astype(np.float32).astype(np.float64)
    found = explain(planted, waveform(samples))
    change = background(samples, RATE) - samples
    edges = band_edges(8000.0)
    changed = [
        *without_moments(samples, change, moment_spans(len(samples), RATE), RATE),
        *without_bands(samples, change, edges, RATE),
    ]
    answers = np.concatenate([found.moments.probabilities, found.bands.probabilities])
    for without, answer in list(zip(changed, answers, strict=True))[::5]:
        assert answer == pytest.approx(toy_model.reference(without).probabilities, abs=1e-4)  # float32


def test_the_answer_and_the_doubt_are_those_of_predict(bundled, explained):
    told = bundled.predict(explained.path)
    assert (explained.emotion, explained.abstained) == (told.emotion, told.abstained)
    assert dict(zip(explained.emotions, explained.probabilities, strict=True)) == pytest.approx(
        told.probabilities, abs=1e-6
    )
    assert (explained.start_s, explained.excerpt) == (0.0, False)
    assert explained.end_s == pytest.approx(told.duration_s, abs=1 / RATE)


def test_an_adapted_model_is_explained_by_its_own_head(model, clip, clips):
    adapted = model.adapt(clips)
    found = explain(adapted, clip, start_s=1.0)  # the toy model hears a second
    whole, _ = adapted.answer(found.samples[np.newaxis])
    plain, _ = model.answer(found.samples[np.newaxis])
    assert found.probabilities == pytest.approx(whole[0])
    assert found.probabilities != pytest.approx(plain[0], abs=0.01)


def test_the_same_recording_is_explained_alike(planted):
    first, second = (explain(planted, waveform(tones())) for _ in range(2))
    assert np.array_equal(first.moments.support, second.moments.support)
    assert np.array_equal(first.bands.probabilities, second.bands.probabilities)
    assert png(explained_prediction(first)) == png(explained_prediction(second))


def test_memory_holds_as_many_windows_as_the_network_hears_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(explaining.speech, "has_speech", lambda waveform: True)
    model = Model.load(toy_model.write(tmp_path / "patient.onnx", window_s=30.0))
    asked = []
    answer = Model.answer

    def counting(self, windows):
        asked.append(len(windows))
        return answer(self, windows)

    monkeypatch.setattr(Model, "answer", counting)
    sound = waveform(noise(30 * RATE, 0.1))
    tracemalloc.start()
    explain(model, sound)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(asked) == WINDOWS_AT_ONCE
    one = 30 * RATE * 8  # bytes, float64
    assert peak < 30 * one < sum(asked) * one / 4


# ---- log-odds --------------------------------------------------------------------------------------------


def test_log_odds_keep_their_digits_where_the_probability_is_one():
    nearly_one = np.array([[1.0, 6e-9, 4e-9]], dtype=np.float32)
    assert log_odds(nearly_one, 0) == pytest.approx(np.log2(1e8), rel=1e-6)


def test_log_odds_have_a_bound():
    impossible = log_odds(np.array([[0.0, 1.0], [1.0, 0.0]]), 0)
    assert impossible == pytest.approx([-np.log2(1e9), np.log2(1e9)])


# ---- what is taken out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.25, 0.9, 2.0, 6.0, 30.0])
def test_moments_overlap_and_reach_from_the_beginning_to_the_end(seconds):
    n_samples = round(seconds * RATE)
    spans = moment_spans(n_samples, RATE)
    assert (spans[0][0], spans[-1][1]) == (0, n_samples)
    assert all(after[0] < before[1] for before, after in pairwise(spans))
    assert 13 <= len(spans) <= 126  # 16 and 128 hops, less the moment itself
    if 1 <= seconds <= 8:
        assert {stop - start for start, stop in spans} == {RATE // 4}


def test_outside_a_moment_no_sample_changes_and_inside_it_is_replaced():
    samples, instead = noise(RATE, 1.0, seed=1), noise(RATE, 0.01, seed=2)
    (replaced,) = without_moments(samples, instead - samples, [(4000, 8000)], RATE)
    assert np.array_equal(np.delete(replaced, np.s_[4000:8000]), np.delete(samples, np.s_[4000:8000]))
    assert replaced[4160:7840] == pytest.approx(instead[4160:7840], abs=1e-12)  # 10 ms of fades at both ends
    fade = (replaced - samples)[4000:4160] / (instead - samples)[4000:4160]
    assert np.all(np.diff(fade) > 0)
    assert fade.mean() == pytest.approx(0.5)  # a half cosine


def test_what_the_bands_lose_adds_up_to_the_whole():
    samples = noise(RATE, 0.1)
    lost = sum(samples - without for without in without_bands(samples, -samples, band_edges(8000.0), RATE))
    assert lost == pytest.approx(samples, abs=1e-9)


def test_a_tone_vanishes_with_its_band_and_stays_without_the_others():
    edges = band_edges(8000.0)
    tone = np.sin(2 * np.pi * LISTENS_FOR * np.arange(RATE) / RATE)
    middle = slice(2000, -2000)  # the tone's own ends are clicks
    levels = [rms(without[middle]) / rms(tone) for without in without_bands(tone, -tone, edges, RATE)]
    own = int(np.searchsorted(edges, LISTENS_FOR)) - 1
    assert levels[own] < 10 ** (-60 / 20)
    assert np.delete(levels, own) == pytest.approx(1.0, abs=1e-3)


def test_a_band_is_taken_out_without_a_shift_in_time():
    samples = np.zeros(RATE)
    samples[RATE // 2] = 1.0
    for without in without_bands(samples, -samples, band_edges(8000.0), RATE):
        before, after = without[1 : RATE // 2], without[RATE // 2 + 1 :]
        assert before[::-1] == pytest.approx(after, abs=1e-9)  # symmetric about the click


def test_the_end_of_a_recording_does_not_ring_into_its_beginning():
    samples = np.zeros(RATE)
    samples[-1] = 1.0
    for without in without_bands(samples, -samples, band_edges(8000.0), RATE):
        assert np.abs(without[: RATE // 2]).max() < 1e-4


def test_the_background_has_the_level_and_the_colour_of_the_pauses():
    samples = tones() - noise(2 * RATE) + librosa.effects.preemphasis(noise(2 * RATE, seed=5), coef=0.9)
    pause = samples[: int(0.29 * RATE)]
    told = background(samples, RATE)
    assert 20 * np.log10(rms(told) / rms(pause)) == pytest.approx(0, abs=1)
    for low, high in ((0, 1000), (1000, 4000), (4000, 8000)):  # rising by some 20 dB
        levels = []
        for part in (told, pause):
            power = np.abs(np.fft.rfft(part)) ** 2 / len(part)
            hertz = np.fft.rfftfreq(len(part), 1 / RATE)
            levels.append(10 * np.log10(power[(hertz >= low) & (hertz < high)].mean()))
        # The quietest tenth of the frames is quieter than the pause, a decibel or so.
        assert levels[0] == pytest.approx(levels[1], abs=2)


def test_a_recording_without_a_pause_is_replaced_by_something_20_db_quieter():
    hum = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    assert 20 * np.log10(rms(background(hum, RATE)) / rms(hum)) == pytest.approx(-20)


@pytest.mark.data
def test_background_in_the_place_of_a_pause_is_hardly_noticed(data, bundled):
    from vocalics import audio

    changes = {"background": [], "zeros": []}
    clips = sorted(path for path in (data / "ravdess").rglob("03-01-*") if path.suffix != ".csv")[::24]
    for path in clips:
        clean = audio.read(path).mono().resampled(RATE, 8000).samples[0].astype(np.float64)
        samples = clean + noise(len(clean), 10 ** (-30 / 20) * rms(clean), seed=len(clean))
        spans = moment_spans(len(samples), RATE)
        quietest = min(spans, key=lambda span: rms(samples[slice(*span)]))
        for kind, instead in (("background", background(samples, RATE)), ("zeros", 0)):
            (without,) = without_moments(samples, instead - samples, [quietest], RATE)
            answers, _ = bundled.answer(np.stack([samples, without]).astype(np.float32))
            as_it_is, then = log_odds(answers, int(answers[0].argmax()))
            changes[kind].append(abs(then - as_it_is))
    assert len(clips) == 60
    assert np.mean(changes["background"]) < 0.05  # 0.03, as vocalics.lab.occlusion says
    assert np.mean(changes["zeros"]) > 0.25  # 0.34


# ---- which window ----------------------------------------------------------------------------------------


def test_of_a_long_recording_the_window_is_explained_in_which_its_answer_is_most_probable(planted):
    samples = noise(9 * RATE)  # three windows; the tones begin in the second, at 3.3 s
    samples[3 * RATE : 5 * RATE] = tones()
    found = explain(planted, waveform(samples))
    assert (found.emotion, found.start_s, found.end_s, found.excerpt) == ("happy", 3.0, 6.0, True)
    assert found.frame_edges_s[[0, -1]] == pytest.approx([3.0, 6.0])
    assert (found.moments.starts[0], found.moments.stops[-1]) == (3.0, 6.0)
    assert 3.3 - 0.25 < found.moments.starts[found.moments.strongest] < 5.0


def test_a_window_can_be_chosen_by_its_beginning(planted, tmp_path):
    samples = np.concatenate([tones(), burst()])
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="FLOAT")
    cut = explain(planted, waveform(samples[20_000:]))
    for recording in (tmp_path / "long.wav", (samples, RATE), waveform(samples)):
        found = explain(planted, recording, start_s=1.25)
        assert np.array_equal(found.samples, cut.samples)
        assert np.array_equal(found.bands.support, cut.bands.support)
        assert found.moments.starts == pytest.approx(cut.moments.starts + 1.25)
        assert found.excerpt


@pytest.mark.parametrize("start_s", [-1.0, 2.0, float("nan")])
def test_a_window_that_begins_outside_is_refused(planted, start_s):
    with pytest.raises(AudioError, match=r"lasts 2\.00 s; a window cannot start at"):
        explain(planted, waveform(tones()), start_s)


# ---- what the features are -------------------------------------------------------------------------------


def card_with(**features):
    return Model.load().card.model_copy(update={"training": {"recipe": {"features": features}}})


def test_mel_bands_are_known_by_the_recipe_in_the_card(bundled):
    assert feature_rows(bundled.card, 64) == FeatureRows((("log_mel", 64),), (50.0, 8000.0), 0.016)


def test_stacked_features_are_named_in_their_order():
    stack = [{"name": "mfcc", "n_mfcc": 13, "deltas": 1}, {"name": "rms"}]
    assert feature_rows(card_with(stack=stack, hop_length=160), 27) == FeatureRows(
        (("mfcc", 26), ("rms", 1)), None, 0.01
    )
    assert feature_rows(card_with(stack=stack, functionals=["mean", "std"]), 54) == FeatureRows(
        (("mfcc, mean", 26), ("rms, mean", 1), ("mfcc, std", 26), ("rms, std", 1)), None, None
    )


@pytest.mark.parametrize(
    "training",
    [{}, {"recipe": "log-mel"}, {"recipe": {}}, {"recipe": {"features": {"stack": [{"name": "wavelets"}]}}}],
)
def test_a_card_that_does_not_tell_is_no_obstacle(bundled, training):
    assert feature_rows(bundled.card.model_copy(update={"training": training}), 64) == FeatureRows()


def test_a_card_that_tells_of_other_features_is_not_believed(bundled):
    assert feature_rows(bundled.card, 65) == FeatureRows()


def test_frames_stand_where_they_were_heard(bundled, monkeypatch):
    monkeypatch.setattr(explaining.speech, "has_speech", lambda waveform: True)
    samples = noise(2 * RATE)
    samples[RATE + 40] += 1.0  # 1.0025 s; frames have their middles at 0.992 and 1.008 s
    found = explain(bundled, waveform(samples))
    loudest = int(found.features.sum(axis=0).argmax())
    assert found.frame_edges_s[loudest] < 1.0025 < found.frame_edges_s[loudest + 1]


def test_attention_stands_where_the_network_listened(planted):
    found = explain(planted, waveform(burst()))
    highest = int(found.attention.argmax())
    # The toy's card has no recipe, so frames share the window evenly: right to a frame, 25 ms.
    assert 1.0 - 0.025 < found.step_edges_s[highest] < found.step_edges_s[highest + 1] < 1.25 + 0.025


def test_a_step_of_the_attention_is_as_many_frames_as_were_pooled(explained):
    frames, steps = explained.features.shape[1], len(explained.attention)
    assert (frames // 2) // 2 == steps  # the bundled network halves the frames twice
    assert np.array_equal(explained.step_edges_s, explained.frame_edges_s[::4][: steps + 1])


# ---- the picture -----------------------------------------------------------------------------------------


def pictures(explained):
    """One of each kind."""
    rng = np.random.default_rng(0)
    parts = (("mfcc", 40), ("chroma", 12), ("log_mel", 128), ("spectral_contrast", 7), ("rms", 1))
    stack, statistics = rng.normal(size=(188, 174)), rng.normal(size=(116, 1))
    of_statistics = FeatureRows((("mfcc, mean", 58), ("mfcc, std", 58)))
    huge = {
        name: replace(part, support=np.linspace(-20, 28, len(part.support)))
        for name, part in (("moments", explained.moments), ("bands", explained.bands))
    }
    long_name = f"/home/{20 * 'who am I, '}.wav"
    return {
        "mel": explained,
        "stack": replace(explained, features=stack, rows=FeatureRows(parts, None, 0.03)),
        "statistics": replace(explained, features=statistics, rows=of_statistics, attention=None),
        "unknown": replace(explained, rows=FeatureRows(), attention=None),
        "huge": replace(explained, **huge),
        "long name": replace(explained, path=long_name, excerpt=True, abstained=True),
        "sure": replace(explained, probabilities=np.eye(8)[0]),
    }


def drawn_texts(figure):
    """Texts that are seen, with their rectangles in pixels."""
    FigureCanvasAgg(figure).draw()
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for place, tick in zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=True):
                if not (axes.axison and low <= place <= high):
                    unseen |= {tick.label1, tick.label2}
    seen = [
        text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in unseen
    ]
    return [(text.get_text(), text.get_window_extent()) for text in seen]


@pytest.mark.parametrize("kind", ["mel", "stack", "statistics", "unknown", "huge", "long name", "sure"])
def test_no_two_labels_overlap_and_none_hangs_over_the_edge(explained, kind):
    figure = explained_prediction(pictures(explained)[kind])
    found = drawn_texts(figure)
    assert len(found) > 20
    width, height = figure.bbox.size
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    overlapping = {
        (one, other)
        for (one, first), (other, second) in combinations(found, 2)
        if first.padded(-1).overlaps(second.padded(-1))
    }
    assert overlapping == set()


def test_the_picture_holds_what_was_found(explained):
    figure = explained_prediction(explained)
    assert by_gid(figure, "waveform").get_ydata() == pytest.approx(explained.samples)
    assert by_gid(figure, "moments").get_ydata()[1:-1] == pytest.approx(explained.moments.support)
    assert by_gid(figure, "attention").get_data().values == pytest.approx(
        len(explained.attention) * explained.attention
    )
    assert np.array_equal(by_gid(figure, "features").get_array(), explained.features)
    bars = [patch.get_width() for patch in figure.findobj() if patch.get_gid() == "bands"]
    assert bars == pytest.approx(explained.bands.support)


def test_the_picture_says_in_words_what_mattered_most(planted):
    found = explain(planted, waveform(burst()))
    said = by_gid(explained_prediction(found), "words").get_text()
    left = 100 * found.moments.probabilities[found.moments.strongest, 1]
    assert f"without 1.00 to 1.25 s: {left:.0f} %" in said
    assert "without 0.94 to 1.14 kHz: " in said  # the mel band about 1 kHz


def test_where_nothing_speaks_for_the_answer_nothing_is_said_to(explained):
    against = {
        name: replace(getattr(explained, name), support=-np.abs(getattr(explained, name).support))
        for name in ("moments", "bands")
    }
    assert by_gid(explained_prediction(replace(explained, **against)), "words").get_text().count("\n") == 0


def test_a_tone_is_drawn_at_its_frequency(bundled, monkeypatch):
    monkeypatch.setattr(explaining.speech, "has_speech", lambda waveform: True)
    found = explain(bundled, waveform(np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE)))
    edges = by_gid(explained_prediction(found), "features").get_coordinates()[:, 0, 1]  # mel
    loudest = int(found.features.mean(axis=1).argmax())
    assert edges[loudest] < librosa.hz_to_mel(3000) < edges[loudest + 1]


def test_the_title_tells_the_recording_the_answer_and_the_doubt(explained):
    share = f"{100 * explained.probabilities.max():.0f} %"
    assert title(explained_prediction(explained)) == f"two_on_a_call.flac: neutral, {share}"
    cut = replace(explained, excerpt=True, abstained=True)
    assert title(explained_prediction(cut)) == (
        f"two_on_a_call.flac, 0.0 to 4.0 s: neutral, {share} (unsure)"
    )


def test_any_file_name_can_be_drawn(explained):
    odd = replace(explained, path="$x$ 日本\n.wav")
    figure = explained_prediction(odd)
    FigureCanvasAgg(figure).draw()  # warnings, as of a missing glyph, are errors here
    assert title(figure).startswith(r"\$x\$ □□□.wav: ")


def test_without_attention_there_is_no_panel_for_it(explained):
    assert "attention" in " ".join(texts(explained_prediction(explained)))
    plain = explained_prediction(replace(explained, attention=None))
    assert "attention" not in " ".join(texts(plain))


# ---- the command -----------------------------------------------------------------------------------------


def test_the_command_writes_a_picture_and_says_where(command, clip, tmp_path):
    target = tmp_path / "new" / "picture.PNG"
    run = command("explain", clip, "-o", target)
    assert (run.code, run.out, run.err) == (0, f"{target}\n", "")
    assert target.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_recording_on_standard_input_is_explained(command, clip, tmp_path):
    run = command("explain", "-", "-o", tmp_path / "a.png", stdin=clip.read_bytes())
    assert (run.code, run.err) == (0, "")


def test_of_a_long_recording_the_command_says_what_it_draws(command, clip, toy, tmp_path):
    run = command("explain", clip, "-m", toy, "-o", tmp_path / "a.png")
    assert run.code == 0
    assert f"{clip} is longer than the 1 s that the model hears at once; drawn are " in run.err
    assert "--start-s" in run.err
    asked = command("explain", clip, "-m", toy, "-o", tmp_path / "a.png", "--start-s", 1)
    assert (asked.code, asked.err) == (0, "")


def test_what_cannot_be_explained_is_told_in_one_sentence(command, clip, no_speech, tmp_path):
    samples, rate = soundfile.read(clip)
    for name, sound in (
        ("short.wav", samples[: rate // 10]),
        ("silent.wav", 0 * samples),
        ("long.wav", np.resize(samples, 601 * rate)),
    ):
        soundfile.write(tmp_path / name, sound, rate)
    (tmp_path / "text.wav").write_text("not audio")
    cases = {
        no_speech: "nobody speaks in",
        tmp_path / "silent.wav": "nobody speaks in",
        tmp_path / "short.wav": "lasts 0.10 s; at least 0.25 s is needed",
        tmp_path / "long.wav": "lasts 601 s; in more than 600 s no window is looked for",
        tmp_path / "text.wav": "is not audio",
        tmp_path / "nobody.wav": "there is no file",
        tmp_path: "is a folder",
    }
    for path, sentence in cases.items():
        run = command("explain", path, "-o", tmp_path / "a.png")
        assert (run.code, run.out, run.err.count("\n")) == (1, "", 1), path
        assert sentence in run.err
        assert str(path) in run.err
    end = command("explain", clip, "-o", tmp_path / "a.png", "--start-s", 3.2)
    assert end.code == 1
    assert "lasts 0.13 s after 3.2 s; at least 0.25 s is needed. Start earlier." in end.err
    assert not (tmp_path / "a.png").exists()


def test_a_long_recording_is_explained_where_it_is_told_to(command, clip, tmp_path):
    samples, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "long.wav", np.resize(samples, 601 * rate), rate)
    assert command("explain", tmp_path / "long.wav", "-o", tmp_path / "a.png", "--start-s", 300).code == 0


def test_a_wrong_call_is_told_in_one_sentence(command, clip, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    cases = {
        (clip, "-o", tmp_path / "a.jpg"): "does not end in .png",
        (clip, "-o", tmp_path / "folder.png"): "is a folder; name a file that ends in .png",
        (clip, "-o", tmp_path / "file" / "a.png"): "cannot be written: ",
        (clip,): "missing option '--output'",
        (clip, "-o", tmp_path / "a.png", "-m", "nobody"): "there is no model 'nobody'",
        (clip, "-o", tmp_path / "a.png", "--start-s", -1): "start-s",
    }
    for call, sentence in cases.items():
        run = command("explain", *call)
        assert (run.code, run.out, run.err.count("\n")) == (2, "", 1), call
        assert sentence in run.err


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(command, no_speech, tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    assert command("explain", no_speech, "-o", target).code == 1
    assert target.read_bytes() == b"old"
