"""Sound at another rate, piece by piece: the same sound as at once, and soon."""

import numpy as np
import pytest

from vocalics.resampling import Resampler, resample

RATES = [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (11_025, 16_000), (16_000, 22_050)]


@pytest.fixture(scope="module")
def noise():
    return (0.1 * np.random.default_rng(0).standard_normal(48_017)).astype(np.float32)


def piecewise(resampler, samples, size):
    pieces = [resampler.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    return np.concatenate([*pieces, resampler.finish()])


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
@pytest.mark.parametrize("size", [7, 480, 10_000])
def test_it_does_not_matter_how_the_sound_comes(noise, rate, to_rate, size):
    samples = noise[: 100 * size]
    whole = piecewise(Resampler(rate, to_rate), samples, len(samples))
    np.testing.assert_array_equal(piecewise(Resampler(rate, to_rate), samples, size), whole)
    assert abs(len(whole) - len(samples) * to_rate / rate) <= 2


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
@pytest.mark.parametrize("bandwidth_hz", [None, 3_000.0])
def test_it_is_what_the_sound_as_a_whole_becomes(noise, rate, to_rate, bandwidth_hz):
    spectrum = np.fft.rfft(noise)
    highest_hz = 0.9 * min(rate / 2, to_rate / 2, bandwidth_hz or rate)
    spectrum[np.fft.rfftfreq(len(noise), 1 / rate) > highest_hz] = 0  # both are free above, near the limit
    samples = np.fft.irfft(spectrum, len(noise)).astype(np.float32)
    (expected,) = resample(samples[np.newaxis], rate, to_rate, bandwidth_hz)
    found = piecewise(Resampler(rate, to_rate, bandwidth_hz), samples, 480)
    inside = slice(300, min(len(expected), len(found)) - 300)  # the edges know no neighbours
    error = found[inside] - expected[inside]
    assert np.square(error).mean() < 10 ** (-70 / 10) * np.square(expected[inside]).mean()


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_nothing_is_kept_back_for_longer_than_stated(noise, rate, to_rate):
    resampler = Resampler(rate, to_rate)
    assert 0 < resampler.latency_s < 0.02
    n_in = n_out = 0
    for size in [1, 480, 3, 4_800, 17] * 5:
        n_out += len(resampler.push(noise[:size]))
        n_in += size
        assert n_in / rate - n_out / to_rate <= resampler.latency_s + 1e-3


def test_the_same_rate_changes_nothing(noise):
    resampler = Resampler(16_000, 16_000)
    assert resampler.push(noise) is noise
    assert (resampler.latency_s, len(resampler.finish())) == (0.0, 0)


def test_without_sound_nothing_comes_out():
    resampler = Resampler(48_000, 16_000)
    assert len(resampler.push(np.empty(0, np.float32))) == len(resampler.finish()) == 0
