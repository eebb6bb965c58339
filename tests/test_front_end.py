"""A front end as a whole: every row equals librosa's under its name, in PyTorch and in the exported file."""

import copy
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

import librosa
import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from vocalics.lab.features.parts import FEATURES, PITCH_CLASSES
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.recipes.feature_settings import FEATURE_SETTINGS, FeatureSettings

RATE, N_FFT, HOP, WINDOW = 16_000, 1_024, 256, 800  # no two alike, and none of them librosa's default

#: Every feature with settings other than its defaults: what is not handed on is heard.
STACK: list[dict[str, Any]] = [
    {"name": "mel", "n_mels": 30, "fmin": 50.0, "fmax": 7_000.0},
    {"name": "log_mel", "n_mels": 24, "fmin": 100.0, "fmax": 7_500.0, "top_db": 60.0},
    {"name": "mfcc", "n_mfcc": 13, "n_mels": 40, "fmin": 20.0, "fmax": 7_900.0, "deltas": 2},
    {"name": "chroma", "n_chroma": 24},
    {"name": "spectral_contrast", "n_bands": 4, "fmin": 300.0, "quantile": 0.1},
    {"name": "spectral_centroid"},
    {"name": "spectral_bandwidth"},
    {"name": "spectral_rolloff", "share": 0.7},
    {"name": "spectral_flatness"},
    {"name": "zero_crossing_rate"},
    {"name": "rms"},
]


def front_end(stack: list[dict[str, Any]] | None = None, **others: object) -> FrontEnd:
    settings = {"n_fft": N_FFT, "hop_length": HOP, "normalisation": "none", "stack": stack or STACK} | others
    return FrontEnd(FeatureSettings.model_validate(settings), RATE)


def voice(n_samples: int, seed: int = 0, pause: float = 0.0) -> np.ndarray:
    """Pulses at 120 Hz through a formant in 60 dB less of noise; of level `pause` in the middle fifth."""
    rng = np.random.default_rng(seed)
    t = np.arange(400) / RATE
    train = np.zeros(n_samples)
    train[:: RATE // 120] = rng.uniform(0.2, 0.4, len(train[:: RATE // 120]))
    sound = np.convolve(train, np.exp(-300 * t) * np.sin(2 * np.pi * 700 * t))[:n_samples]
    sound += 3e-4 * rng.standard_normal(n_samples)
    middle = slice(2 * n_samples // 5, 3 * n_samples // 5)
    sound[middle] = pause * rng.standard_normal(n_samples)[middle]
    return sound.astype(np.float32)


CLIP = voice(20_001)  # odd, no multiple of the hop: 79 frames, of which 12 hold nothing but zeros


# librosa --------------------------------------------------------------------------------------------------


@cache
def by_librosa() -> dict[str, dict[str, np.ndarray]]:
    """Feature to name of a row to its values (frames,), in the order of `STACK`, computed in float64."""
    y = CLIP.astype(np.float64)
    frames = {"n_fft": N_FFT, "hop_length": HOP}
    of_spectrum = {"y": y, "sr": RATE, **frames, "win_length": WINDOW}
    feature = librosa.feature
    mel = feature.melspectrogram(**of_spectrum, n_mels=30, fmin=50, fmax=7_000)
    other_mel = feature.melspectrogram(**of_spectrum, n_mels=24, fmin=100, fmax=7_500)
    mfcc = feature.mfcc(**of_spectrum, n_mfcc=13, n_mels=40, fmin=20, fmax=7_900)
    chroma = feature.chroma_stft(**of_spectrum, n_chroma=24, tuning=0.0)
    contrast = feature.spectral_contrast(**of_spectrum, n_bands=4, fmin=300, quantile=0.1)
    level = librosa.power_to_db(other_mel, ref=np.max, top_db=60)
    return {
        "mel": {f"mel_{i}": row for i, row in enumerate(mel)},
        "log_mel": {f"log_mel_{i}": row for i, row in enumerate(level)},
        "mfcc": {f"mfcc_{i}": row for i, row in enumerate(mfcc)}
        | {f"mfcc_{i}_delta": row for i, row in enumerate(feature.delta(mfcc))}
        | {f"mfcc_{i}_delta_delta": row for i, row in enumerate(feature.delta(mfcc, order=2))},
        "chroma": {f"chroma_{i}": row for i, row in enumerate(chroma)},
        "spectral_contrast": {f"spectral_contrast_{i}": row for i, row in enumerate(contrast)},
        "spectral_centroid": {"spectral_centroid": feature.spectral_centroid(**of_spectrum)[0]},
        "spectral_bandwidth": {"spectral_bandwidth": feature.spectral_bandwidth(**of_spectrum)[0]},
        "spectral_rolloff": {
            "spectral_rolloff": feature.spectral_rolloff(**of_spectrum, roll_percent=0.7)[0]
        },
        "spectral_flatness": {
            "spectral_flatness": feature.spectral_flatness(y=y, **frames, win_length=WINDOW)[0]
        },
        "zero_crossing_rate": {
            "zero_crossing_rate": feature.zero_crossing_rate(y, frame_length=N_FFT, hop_length=HOP)[0]
        },
        "rms": {"rms": feature.rms(y=y, frame_length=N_FFT, hop_length=HOP, dtype=np.float64)[0]},
    }


@cache
def ours() -> dict[str, np.ndarray]:
    """Name of a row to its values (frames,)."""
    made = front_end(win_length=WINDOW)
    return dict(zip(made.row_names, made.frames(torch.from_numpy(CLIP)[None])[0].numpy(), strict=True))


def test_every_feature_of_the_schema_stands_in_the_stack_that_is_compared():
    assert FEATURES.keys() == FEATURE_SETTINGS.keys() == {part["name"] for part in STACK}


@pytest.mark.parametrize("name", FEATURES)
def test_every_row_equals_librosa_under_its_name(name):
    expected = by_librosa()[name]
    largest = max(np.abs(row).max() for row in expected.values())
    for row_name, row in expected.items():
        # the mark on real clips is 1e-4 of the feature's largest value; float32 rounds to 6e-8
        np.testing.assert_allclose(ours()[row_name], row, rtol=0, atol=1e-5 * largest, err_msg=row_name)


def test_rows_are_named_in_the_order_of_the_recipe_each_once():
    names = front_end().row_names
    assert names == tuple(row_name for rows in by_librosa().values() for row_name in rows)
    assert len(set(names)) == len(names) == front_end().n_features


def test_of_two_velocities_that_librosa_tells_each_has_its_own_name():
    # the comparison above is one of names only if no row is like another; MFCC 3 stands for the rest
    rows = by_librosa()["mfcc"]
    np.testing.assert_array_equal(
        rows["mfcc_3_delta"], librosa.feature.delta(np.stack([rows[f"mfcc_{i}"] for i in range(13)]))[3]
    )
    assert not np.allclose(rows["mfcc_3_delta"], rows["mfcc_2_delta"], rtol=0, atol=1e-2)


def test_twelve_pitch_classes_have_their_names():
    # Concert A and C: 440 Hz, and nine semitones below it
    made = front_end([{"name": "chroma"}], n_fft=4_096)
    t = torch.arange(RATE, dtype=torch.float64) / RATE
    assert [f"chroma_{name}" for name in PITCH_CLASSES] == list(made.row_names)
    for name, semitones in (("a", 0), ("c", -9), ("f_sharp", -3)):
        tone = torch.sin(2 * torch.pi * 440 * 2 ** (semitones / 12) * t).float()
        loudest = made.frames(tone[None])[0].mean(dim=1).argmax()
        assert made.row_names[loudest] == f"chroma_{name}"


@pytest.mark.parametrize("part", STACK, ids=lambda part: part["name"])
def test_a_feature_alone_equals_its_rows_in_the_stack(part):
    clip = torch.from_numpy(CLIP)[None]
    alone, all_together = front_end([part]), front_end()
    rows = [all_together.row_names.index(name) for name in alone.row_names]
    expected = all_together.frames(clip)[:, rows]
    # Alone, a feature of the power is computed from a spectrum in float32, whose rounding lies 1e-7 of the
    # loudest bin under it; beside a feature of the magnitude it is computed from one in float64.
    torch.testing.assert_close(alone.frames(clip), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


# What is shared -------------------------------------------------------------------------------------------


def calls_of(modules: Iterable[nn.Module], made: FrontEnd) -> list[int]:
    """How often each of some modules is asked, while `made` hears one clip."""
    counts = []
    for position, module in enumerate(modules):
        counts.append(0)

        def count(*_: object, position: int = position) -> None:
            counts[position] += 1

        module.register_forward_hook(count)
    made(torch.from_numpy(CLIP)[None])
    return counts


def test_all_features_share_one_spectrum():
    made = front_end()
    assert calls_of([made.spectrum], made) == [1]


def test_mel_spectrograms_of_the_same_settings_are_one():
    same = {"n_mels": 40, "fmin": 50.0}
    made = front_end([{"name": name, **same} for name in ("mel", "log_mel", "mfcc")])
    assert calls_of(made.mels, made) == [1]
    different = front_end()  # of the stack above no two are the same
    assert calls_of(different.mels, different) == [1, 1, 1]


def test_what_needs_no_spectrum_makes_none():
    made = front_end([{"name": "zero_crossing_rate"}, {"name": "rms"}])
    assert calls_of([made.spectrum], made) == [0]


def test_a_batch_equals_its_clips_one_by_one():
    made = front_end()
    clips = torch.from_numpy(np.stack([voice(9_000), 0.01 * voice(9_000, 1), np.zeros(9_000, np.float32)]))
    assert torch.equal(made(clips), torch.cat([made(clip[None]) for clip in clips]))


# Silence and slopes ---------------------------------------------------------------------------------------

FRAMES = 174
AS_LONG = (FRAMES - 1) * HOP  # samples of a clip with as many frames

#: Every way in which a front end finishes; the first has all features, the others few, for the exporter takes
#: its time.
WAYS: dict[str, dict[str, Any]] = {
    "frames": {"frames": FRAMES, "normalisation": "training", "round_to_bits": 16, "amplitude": "peak"},
    "functionals": {
        "stack": [{"name": "log_mel"}, {"name": "spectral_bandwidth"}, {"name": "rms"}],
        "functionals": ["mean", "std"],
        "normalisation": "training",
    },
    "utterance": {"stack": [{"name": "rms"}], "frames": FRAMES, "normalisation": "utterance"},
    "level": {"stack": [{"name": "log_mel"}], "frames": FRAMES, "normalisation": "level"},
}

QUIET = {
    "digital silence": np.zeros(3_000, np.float32),
    "what a decoder leaves": 1e-19 * voice(3_000, 1),  # its power, 1e-40, is below the smallest float32
    "one sample": np.eye(1, 3_000, 1_500, dtype=np.float32)[0],
    "less than a frame": np.zeros(100, np.float32),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sound", QUIET)
def test_every_number_of_next_to_nothing_is_finite(sound, way):
    without_deltas = [part | {"deltas": 0} if "deltas" in part else part for part in STACK]
    made = front_end(**{"stack": without_deltas} | WAYS[way])
    clip = torch.from_numpy(QUIET[sound])[None]
    assert made.stack(clip).isfinite().all()
    made.fit([made.stack(clip)[0]])
    assert made(clip).isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [{"normalisation": "utterance", "amplitude": "peak"}, {"functionals": ["mean", "std"]}],
    ids=["frames", "functionals"],
)
@pytest.mark.parametrize("part", STACK, ids=lambda part: part["name"])
def test_the_gradient_reaches_the_samples_of_all_but_steps_and_is_finite_in_silence(part, settings):
    made = front_end([part], **settings)
    samples = torch.from_numpy(CLIP)[None].requires_grad_()
    heard = made(samples)
    if part["name"] in ("spectral_rolloff", "zero_crossing_rate"):  # between its steps it does not change
        assert not heard.requires_grad
        return
    # weighted, for the sum of a normalised row is always the same
    (heard * torch.randn(heard.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert samples.grad.isfinite().all()
    assert samples.grad.abs().max() > 0


# The exported graph ---------------------------------------------------------------------------------------


class FrontEnds(nn.Module):
    """Front ends that finish in every way, in one graph."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = nn.ModuleList(front_end(**settings) for settings in WAYS.values())
        clips = [torch.from_numpy(voice(AS_LONG // part, seed=part))[None] for part in range(1, 9)]
        for way in self.ways:
            way.fit(way.stack(clip)[0] for clip in clips)

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(way(waveform) for way in self.ways)


@pytest.fixture(scope="module")
def in_pytorch() -> FrontEnds:
    return FrontEnds()


@pytest.fixture(scope="module")
def graph(in_pytorch) -> onnxruntime.InferenceSession:
    """The graph, batch and samples dynamic; it is made of a sound with fewer frames than it is padded to."""
    exported = copy.deepcopy(in_pytorch)
    for way in exported.ways:
        way.prepare_export()
    dynamic = {"waveform": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            exported,
            (torch.randn(2, RATE // 2),),
            input_names=["waveform"],
            output_names=list(WAYS),
            dynamic_shapes=dynamic,
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
    content = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_clips", "n_samples", "pause"),
    [
        (1, 8 * HOP, 0.0),  # as few frames as deltas take
        (2, AS_LONG // 3 + 1, 0.0),
        (1, AS_LONG - 1, 0.0),
        (1, AS_LONG, 0.0),
        (2, AS_LONG + HOP - 1, 0.0),
        (1, AS_LONG + HOP, 0.0),
        (1, 2 * AS_LONG, 0.0),
        (1, AS_LONG, 1e-19),  # what a decoder leaves: its power, 1e-38 and less, is hardly a float32
    ],
    ids=["shortest", "shorter", "a frame less", "as long", "yet as long", "a frame more", "longer", "coded"],
)
def test_the_exported_graph_hears_what_pytorch_hears(graph, in_pytorch, n_clips, n_samples, pause):
    clips = np.stack([voice(n_samples, seed, pause) for seed in range(n_clips)])
    with torch.inference_mode():
        expected = in_pytorch(torch.from_numpy(clips))
    for way, answer, exact in zip(WAYS, graph.run(None, {"waveform": clips}), expected, strict=True):
        assert answer.shape == exact.shape, way
        assert np.isfinite(answer).all(), way
        difference = np.abs(answer - exact.numpy()).max(axis=(0, 2))  # of each row
        largest = np.maximum(1, exact.abs().amax(dim=(0, 2)).numpy())  # normalised rows are of the order of 1
        assert (difference <= 1e-4 * largest).all(), way
