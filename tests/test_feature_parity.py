"""Every feature equals librosa's, alone or in a batch, in PyTorch and in ONNX; its gradient is the slope."""

import importlib.util
import sys
import warnings
from functools import cache
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest
import torch

from vocalics.errors import RecipeError
from vocalics.lab.features.cepstrum import Cepstrum, Delta
from vocalics.lab.features.chroma import Chroma
from vocalics.lab.features.contrast import SpectralContrast, mean_of_extremes
from vocalics.lab.features.filter_bank import FilterBank
from vocalics.lab.features.levels import amplitude, power_to_db
from vocalics.lab.features.magnitude import MagnitudeSpectrum
from vocalics.lab.features.moments import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralRolloff,
)
from vocalics.lab.features.time_domain import RMS, SpectralRMS, ZeroCrossingRate


def script(name: str):
    """A script of ``benchmarks/`` as a module."""
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    )
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = script("feature_parity")

RATE, N_FFT, HOP = parity.RATE, parity.N_FFT, parity.HOP
N_SAMPLES = 20_001  # 0.9 s, 40 frames; odd, and no multiple of the hop
FEATURES = list(parity.PAIRS)
STEPS = ("spectral roll-off", "zero-crossing rate")


def noise(n_samples: int = N_SAMPLES, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def chirp() -> np.ndarray:
    """From 50 Hz to 10 kHz."""
    t = np.arange(N_SAMPLES) / RATE
    return (0.5 * np.sin(2 * np.pi * (50 + 0.5 * 9_950 * t / t[-1]) * t)).astype(np.float32)


def tone() -> np.ndarray:
    """9 kHz: its bandwidth is a thousandth of its centroid, and between them lie the squares of both."""
    return (0.5 * np.sin(2 * np.pi * 9_000 * np.arange(N_SAMPLES) / RATE)).astype(np.float32)


def voice() -> np.ndarray:
    """Glottal pulses at 120 Hz through two formants, a pause of digital silence in their midst.

    Nothing sounds above 3 kHz or so, so the valley of the highest bands lies more than 100 dB down.
    """
    t = np.arange(600) / RATE
    pulse = sum(np.exp(-300 * t) * np.sin(2 * np.pi * hz * t) for hz in (500, 1_500)) * np.hanning(600)
    train = np.zeros(N_SAMPLES)
    train[:: RATE // 120] = 0.3
    train[N_SAMPLES // 3 : N_SAMPLES // 3 + 3 * N_FFT] = 0
    return np.convolve(train, pulse)[:N_SAMPLES].astype(np.float32)


def fading() -> np.ndarray:
    """A voice and then what a decoder leaves in a pause: its square, 1e-40, is below the smallest float32."""
    sound = voice()
    sound[N_SAMPLES // 2 :] = 1e-19 * noise()[N_SAMPLES // 2 :]
    return sound


SOUNDS = {made.__name__: made for made in (noise, chirp, tone, voice, fading)}


@cache
def errors_of(sound: str) -> dict[str, np.ndarray]:
    return parity.errors(SOUNDS[sound](), np.float32)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("sound", SOUNDS)
def test_a_feature_equals_librosa(sound, feature):
    errors = errors_of(sound)[feature]
    if feature == parity.ROLLOFF:  # in bins; librosa's own sum in float32 rounds to a neighbour now and then
        assert errors.max() < 1.001
        assert (errors > 0.5).mean() < 0.05  # one frame of these 40
    else:
        assert errors.max() <= 1e-5  # the mark on real clips is 1e-4; float32 rounds to 6e-8


def test_silence_has_the_values_that_librosa_gives_it():
    silence = np.zeros(N_SAMPLES, dtype=np.float32)
    with torch.inference_mode():
        answers = parity.features(torch.from_numpy(silence)[None])
    for (name, pair), answer in zip(parity.PAIRS.items(), answers, strict=True):
        # In decibel silence is -100, in the 0th cepstral coefficient -1,131: float32 is exact to 1e-4 there.
        np.testing.assert_allclose(
            answer[0].numpy(), pair.librosa(silence), rtol=1e-6, atol=1e-3, err_msg=name
        )


@pytest.mark.data
def test_features_of_real_clips_equal_librosa(data):
    clips = parity.read_clips(data, 8)  # two of each corpus; the command takes 50
    found = [parity.errors(samples, np.float64) for samples in clips.values()]
    for feature in FEATURES:
        assert parity.summary(feature, [clip[feature] for clip in found])["met"], feature


def test_a_clip_alone_equals_the_clip_among_louder_ones():
    batch = torch.from_numpy(np.stack([voice(), 8 * noise(), chirp()]))
    with torch.inference_mode():
        together, alone = parity.features(batch), parity.features(batch[:1])
    for name, ours, expected in zip(FEATURES, together, alone, strict=True):
        # a batched matrix product may sum in another order, which moves the last digits of float32
        largest = expected.abs().max()
        assert (ours[:1] - expected).abs().max() <= 2e-6 * largest, name


# The spectrum -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["fft", "product"])
@pytest.mark.parametrize(
    ("n_fft", "hop_length", "win_length"),
    [(2048, 512, 2048), (512, 256, 512), (450, 200, 450), (401, 200, 401), (512, 128, 399)],
)
def test_every_magnitude_has_the_digits_of_float32(route, n_fft, hop_length, win_length):
    spectrum = MagnitudeSpectrum(n_fft, hop_length, win_length)
    if route == "product":
        spectrum.prepare_export()
    assert spectrum.route == route
    clip = voice()
    exact = np.abs(
        librosa.stft(clip.astype(np.float64), n_fft=n_fft, hop_length=hop_length, win_length=win_length)
    )
    ours = spectrum(torch.from_numpy(clip)[None])[0].numpy()
    # One rounding to float32 is 6e-8 of each bin, not of the largest one; the transform in float64 errs by
    # 1e-15 of the largest, which the rounding hides in every bin above 1e-8 of it.
    np.testing.assert_allclose(ours, exact, rtol=2e-7, atol=1e-15 * exact.max())


def test_tables_of_the_magnitude_are_no_part_of_a_checkpoint():
    spectrum = MagnitudeSpectrum()
    spectrum.prepare_export()
    assert dict(spectrum.state_dict()) == {}


# Filters and bands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_mels", "n_fft"), [(128, 2048), (20, 512), (5, 256), (128, 256)])
def test_a_filter_bank_equals_its_matrix(n_mels, n_fft):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa: of 128 filters over 129 bins some are empty
        filters = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=n_fft, n_mels=n_mels))
    power = torch.rand(2, n_fft // 2 + 1, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(FilterBank(filters)(power), filters @ power, rtol=1e-5, atol=0)


def test_a_filter_bank_takes_filters_that_touch_nothing():
    assert torch.equal(FilterBank(torch.zeros(3, 5))(torch.ones(1, 5, 2)), torch.zeros(1, 3, 2))


@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_bands", "fmin", "quantile"),
    [
        (22_050, 2_048, 6, 200.0, 0.02),  # librosa's defaults
        (16_000, 512, 4, 200.0, 0.02),  # the published window of the bundled recipe
        (16_000, 400, 3, 500.0, 0.25),
        (8_000, 256, 1, 1_000.0, 0.99),  # more extremes than bins in the lowest band
    ],
)
def test_contrast_equals_librosa_at_any_setting(sample_rate, n_fft, n_bands, fmin, quantile):
    magnitude = np.random.default_rng(0).random((n_fft // 2 + 1, 7), dtype=np.float32)
    exact = librosa.feature.spectral_contrast(
        S=magnitude, sr=sample_rate, n_bands=n_bands, fmin=fmin, quantile=quantile
    )
    ours = SpectralContrast(sample_rate, n_fft, n_bands, fmin, quantile)(torch.from_numpy(magnitude)[None])
    np.testing.assert_allclose(ours[0].numpy(), exact, rtol=0, atol=1e-5)  # dB, up to 20


def test_contrast_is_the_same_sorted_or_selected():
    values = torch.rand(2, 3, 50, generator=torch.Generator().manual_seed(0))
    selected = mean_of_extremes(values.clone().requires_grad_(), 4)
    for sorted_mean, selected_mean in zip(mean_of_extremes(values, 4), selected, strict=True):
        torch.testing.assert_close(sorted_mean, selected_mean.detach(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("n_bands", "fmin", "told"),
    [
        (7, 200.0, "7 octaves from 200 Hz reach beyond half the sample rate, 8000 Hz"),
        (4, 20.0, "fmin is 20 Hz, but the bins of the spectrum are 31.25 Hz apart"),
    ],
)
def test_bands_that_the_spectrum_cannot_have_are_refused(n_bands, fmin, told):
    # The seventh octave would start at 200 Hz * 2 ** 6 = 12,800 Hz; 512 points at 16 kHz lie 31.25 Hz apart.
    with pytest.raises(RecipeError, match=told):
        SpectralContrast(16_000, 512, n_bands, fmin)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("width", [3, 5, 9])
def test_deltas_equal_librosa_up_to_the_ends(width, order):
    rows = np.random.default_rng(0).standard_normal((4, 9)).astype(np.float32)  # as few frames as 9 need
    exact = librosa.feature.delta(rows.astype(np.float64), width=width, order=order)
    ours = Delta(width, order)(torch.from_numpy(rows)[None])[0].numpy()
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


# Gradients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module",
    [
        Cepstrum(5, 33),
        Delta(3),
        Chroma(8_000, 64),
        SpectralContrast(8_000, 64, n_bands=2, fmin=800.0, quantile=0.3),
        SpectralCentroid(8_000, 64),
        SpectralBandwidth(8_000, 64),
        SpectralFlatness(),
        SpectralRMS(64),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_gradient_is_the_slope(module):
    # 33 bins in 4 frames, in double precision as finite differences need it
    spectrum = 0.1 + torch.rand(2, 33, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(module.double(), (spectrum.requires_grad_(),), fast_mode=True)


def test_the_gradient_of_the_level_is_the_slope():
    wave = torch.randn(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(RMS(8, 4), (wave.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("feature", [name for name in FEATURES if name not in STEPS])
def test_the_gradient_reaches_the_samples_and_is_finite_in_silence(feature):
    samples = torch.from_numpy(voice())[None].clone().requires_grad_()
    spectrum = MagnitudeSpectrum(N_FFT, HOP)
    magnitude = spectrum(samples)
    module = parity.PAIRS[feature].ours
    answer = module({"waveform": samples, "power": magnitude.square(), "magnitude": magnitude}[module.takes])
    assert (magnitude == 0).any(), "there is a frame of digital silence"
    answer.square().sum().backward()
    assert samples.grad.isfinite().all()
    assert samples.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("module", "shape"), [(SpectralRolloff(8_000, 64), (1, 33, 4)), (ZeroCrossingRate(8, 4), (1, 33))]
)
def test_a_step_function_has_no_gradient(module, shape):
    assert not module(torch.rand(shape, requires_grad=True)).requires_grad


# Levels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_amplitude_is_the_root_of_every_power(dtype):
    powers = torch.tensor([0.0, 1e-40, 1e-37, 1e-20, 1.0, 2.0, 1e30], dtype=dtype)
    torch.testing.assert_close(amplitude(powers), powers.sqrt(), rtol=3e-7, atol=0)


def test_a_variance_that_rounding_left_below_zero_counts_as_zero():
    assert amplitude(torch.tensor([-1e-9])).item() == 0.0


def test_decibels_equal_librosa_clip_by_clip():
    # Powers over fifteen decades: some above 80 dB under the loudest, some below, some below 1e-10.
    exponents = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1)) * 15 - 12
    powers = 10.0 ** (exponents - torch.tensor([0.0, 2.0, -3.0])[:, None, None])  # three loudnesses
    for clip, power in zip(power_to_db(powers).numpy(), powers.double().numpy(), strict=True):
        exact = librosa.power_to_db(power)
        assert exact.max() - exact.min() == 80.0  # the floor is reached
        np.testing.assert_allclose(clip, exact, rtol=0, atol=1e-4)  # 100 dB in float32: steps of 8e-6


# The exported graph -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph() -> onnxruntime.InferenceSession:
    """All features in one graph, batch and samples dynamic."""
    features = parity.AllFeatures()
    features.spectrum.prepare_export()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            features,
            (torch.randn(2, RATE),),
            input_names=["waveform"],
            output_names=FEATURES,
            dynamic_shapes={"waveform": {0: torch.export.Dim("batch"), 1: torch.export.Dim("samples")}},
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
    content = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_clips", "n_samples"),
    [(1, 20_001), (3, 30_000), (2, 8 * HOP)],  # the last: nine frames, as few as a delta takes
)
def test_the_exported_graph_equals_pytorch(graph, n_clips, n_samples):
    clips = np.stack([np.resize(voice(), n_samples) + noise(n_samples, seed) for seed in range(n_clips)])
    with torch.inference_mode():
        expected = parity.AllFeatures()(torch.from_numpy(clips))  # by the FFT
    for name, answer, exact in zip(FEATURES, graph.run(None, {"waveform": clips}), expected, strict=True):
        assert answer.shape == exact.shape, name
        # the demand is 1e-4; the two routes differ in the order of their sums
        assert np.abs(answer - exact.numpy()).max() <= 1e-5 * exact.abs().max(), name
