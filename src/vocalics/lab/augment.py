"""Changes to training audio and features; every draw comes from the generator that is handed in."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy import fft
from torch import Tensor

from vocalics.lab.recipes.schema import AugmentationSettings

Samples = npt.NDArray[np.float32]

#: Makes babble: (how many samples, source of every draw) -> (n_samples,).
Babble = Callable[[int, np.random.Generator], Samples]

#: The echo of a room begins so much later than the direct sound: the first wall is about 0.4 m away.
ECHO_DELAY_S = 0.0025

#: Over which share of its own frequency a band's upper edge falls to nothing; the lower one falls over half.
UPPER_SKIRT, LOWER_SKIRT = 0.05, 0.5

_MU = 255.0  # of the mu-law code, and the levels of one sign, with the zero that both share
_LEVELS = 127


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play `samples` (n,) faster by `factor`: tempo and pitch rise together.

    The result has about n / factor samples.
    """
    return np.asarray(soxr.resample(samples, factor * 10_000, 10_000, quality="MQ"), dtype=np.float32)


def change_gain(samples: Samples, gain_db: float) -> Samples:
    """Amplify by `gain_db` decibels."""
    return np.asarray(samples * np.float32(10.0 ** (gain_db / 20.0)), dtype=np.float32)


def add_white_noise(samples: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Add white noise at a signal-to-noise ratio of `snr_db` over the whole clip; silence stays silent."""
    signal = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    return np.asarray(samples + noise * np.float32(signal * 10.0 ** (-snr_db / 20.0)), dtype=np.float32)


def add_noise(samples: Samples, factor: float, rng: np.random.Generator) -> Samples:
    """Add white noise with a deviation of `factor`, in units of full scale, however loud the clip is."""
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    return np.asarray(samples + noise * np.float32(factor), dtype=np.float32)


def mix(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add `noise` (n,) at a signal-to-noise ratio of `snr_db` over the whole clip; silence stays silent."""
    noise_power = float(np.dot(noise, noise))
    if not noise_power:
        return samples.copy()
    ratio = float(np.dot(samples, samples)) / noise_power
    return samples + noise * np.float32(np.sqrt(ratio) * 10.0 ** (-snr_db / 20.0))


def room_response(rt60_s: float, direct_db: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Make the impulse response of a room: the direct sound, 1, then noise that decays exponentially [1]_.

    Parameters
    ----------
    rt60_s
        Time in which the echo falls by 60 dB; so long is the response.
    direct_db
        Direct-to-reverberant ratio: energy of the direct sound over that of all the rest.
    sample_rate
        Hz.
    rng
        Source of every draw.

    References
    ----------
    .. [1] Polack: La transmission de l'énergie sonore dans les salles. Dissertation, Le Mans 1988.
    """
    n_samples, delay = max(2, round(rt60_s * sample_rate)), max(1, round(ECHO_DELAY_S * sample_rate))
    response = rng.standard_normal(max(n_samples, delay + 1), dtype=np.float32)
    response *= 10.0 ** (-3.0 * np.arange(len(response), dtype=np.float32) / n_samples)
    response[:delay] = 0
    response *= np.float32(10.0 ** (-direct_db / 20.0) / np.sqrt(np.dot(response, response)))
    response[0] = 1
    return response


def add_echo(samples: Samples, response: Samples) -> Samples:
    """Let `samples` (n,) sound in a room; what rings on after the clip is lost."""
    size = fft.next_fast_len(len(samples) + len(response) - 1, real=True)
    heard = fft.irfft(fft.rfft(samples, size) * fft.rfft(response, size), size)
    return np.asarray(heard[: len(samples)], dtype=np.float32)


def limit_band(samples: Samples, low_hz: float, high_hz: float, sample_rate: int) -> Samples:
    """Keep of `samples` (n,) what lies from `low_hz` to `high_hz`, without any delay.

    Beyond the band the gain falls to 0 along a cosine: upwards within `UPPER_SKIRT` of `high_hz`, downwards
    within `LOWER_SKIRT` of `low_hz`, which may be 0.
    """
    size = fft.next_fast_len(len(samples) + sample_rate // 20, real=True)  # room for it to ring
    spectrum = fft.rfft(samples, size)
    bins_a_hz = size / sample_rate
    upper = [round(high_hz * factor * bins_a_hz) for factor in (1, 1 + UPPER_SKIRT)]
    lower = [round(low_hz * factor * bins_a_hz) for factor in (1 - LOWER_SKIRT, 1)]
    spectrum[upper[1] :] = 0
    spectrum[: lower[0]] = 0
    for edge, falls in ((slice(*upper), True), (slice(*lower), False)):
        skirt = spectrum[edge]
        phase = np.linspace(0, np.pi, len(skirt), dtype=np.float32)
        skirt *= 0.5 + 0.5 * np.cos(phase if falls else phase[::-1])
    return np.asarray(fft.irfft(spectrum, size)[: len(samples)], dtype=np.float32)


def code_mu_law(samples: Samples) -> Samples:
    """Pass `samples` (n,) through the telephone's 8-bit code and back, by the curve that G.711 approximates.

    What is over full scale is cut off.
    """
    steps = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int32)
    return _mu_law()[steps + 32_768]


@cache
def _mu_law() -> Samples:
    """Return what the code makes of each 16-bit sample, from the lowest on."""
    linear = np.arange(-32_768, 32_768) / 32_768
    codes = np.rint(_LEVELS * np.log1p(_MU * np.abs(linear)) / np.log1p(_MU))
    levels = np.expm1(codes / _LEVELS * np.log1p(_MU)) / _MU
    return np.asarray(np.copysign(levels, linear), dtype=np.float32)


def clip_peaks(samples: Samples, share: float) -> Samples:
    """Cut the loudest `share` of the samples (n,) off at the level where they begin."""
    loudness = np.abs(samples)
    place = min(len(samples) - 1, round((1 - share) * len(samples)))
    level = np.partition(loudness, place)[place]
    return np.clip(samples, -level, level) if level else samples.copy()  # 0: nearly all of it is silent


def shift_time(samples: Samples, shift: int) -> Samples:
    """Move the clip later by `shift` samples (earlier when negative); what leaves is lost, silence enters."""
    shifted = np.zeros_like(samples)
    if shift >= 0:
        shifted[shift:] = samples[: max(len(samples) - shift, 0)]
    else:
        shifted[:shift] = samples[-shift:]
    return shifted


def shift_pitch(samples: Samples, semitones: float, sample_rate: int) -> Samples:
    """Shift the pitch by `semitones` at equal length."""
    return _audiomentation("PitchShift", {"num_semitones": semitones}, samples, sample_rate)


def stretch_time(samples: Samples, rate: float, sample_rate: int) -> Samples:
    """Play at `rate` times the tempo at equal pitch; the result has about n / rate samples.

    Below a rate of 0.5 the stretcher fills in phases from the machine's own randomness, so no run repeats.
    """
    return _audiomentation("TimeStretch", {"rate": rate}, samples, sample_rate)


def _audiomentation(name: str, drawn: dict[str, float], samples: Samples, sample_rate: int) -> Samples:
    transform = _transforms()[name]
    transform.parameters = {"should_apply": True, **drawn}
    transform.freeze_parameters()  # the draw is ours: audiomentations would ask the global generator
    writeable = np.require(samples, requirements="W")  # the stretcher refuses any other array
    return np.asarray(transform(writeable, sample_rate), dtype=np.float32)


@cache
def _transforms() -> dict[str, Any]:
    import audiomentations

    return {
        "PitchShift": audiomentations.PitchShift(p=1.0),
        "TimeStretch": audiomentations.TimeStretch(leave_length_unchanged=False, p=1.0),
    }


def augment_waveform(
    samples: Samples,
    settings: AugmentationSettings,
    sample_rate: int,
    rng: np.random.Generator,
    babble: Babble | None = None,
) -> Samples:
    """Draw and apply a recipe's waveform changes to `samples` (n,).

    They come in the order in which a recording picks them up: voice, place, room, noises, line, gain.
    Without `babble` nobody else is heard, whatever the recipe says.
    """
    if settings.speed:
        samples = change_speed(samples, rng.uniform(*settings.speed))
    if settings.pitch_semitones and rng.random() < settings.pitch_probability:
        samples = shift_pitch(samples, rng.uniform(*settings.pitch_semitones), sample_rate)
    if settings.stretch and rng.random() < settings.stretch_probability:
        samples = stretch_time(samples, rng.uniform(*settings.stretch), sample_rate)
    if settings.shift_s:
        samples = shift_time(samples, round(rng.uniform(-settings.shift_s, settings.shift_s) * sample_rate))
    if settings.echo_rt60_s and rng.random() < settings.echo_probability:
        rt60_s, direct_db = rng.uniform(*settings.echo_rt60_s), rng.uniform(*settings.echo_direct_db)
        samples = add_echo(samples, room_response(rt60_s, direct_db, sample_rate, rng))
    if settings.noise_factor and rng.random() < settings.noise_probability:
        samples = add_noise(samples, settings.noise_factor, rng)
    if settings.noise_snr_db and rng.random() < settings.noise_probability:
        samples = add_white_noise(samples, rng.uniform(*settings.noise_snr_db), rng)
    if settings.babble_snr_db and babble and rng.random() < settings.babble_probability:
        samples = mix(samples, babble(len(samples), rng), rng.uniform(*settings.babble_snr_db))
    samples = _over_a_line(samples, settings, sample_rate, rng)
    if settings.gain_db:
        samples = change_gain(samples, rng.uniform(*settings.gain_db))
    return samples


def _over_a_line(
    samples: Samples, settings: AugmentationSettings, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Draw and apply what a coder, a telephone line and a converter do."""
    if settings.low_pass_hz and rng.random() < settings.low_pass_probability:
        samples = limit_band(samples, 0.0, rng.uniform(*settings.low_pass_hz), sample_rate)
    if settings.band_low_hz and settings.band_high_hz and rng.random() < settings.band_probability:
        band_hz = rng.uniform(*settings.band_low_hz), rng.uniform(*settings.band_high_hz)
        if rng.random() < settings.mu_law_probability:
            samples = code_mu_law(samples)
        samples = limit_band(samples, *band_hz, sample_rate)
    if settings.clip_share and rng.random() < settings.clip_probability:
        samples = clip_peaks(samples, rng.uniform(0, settings.clip_share))
    return samples


def shift_frames(features: Tensor, most: int, rng: np.random.Generator) -> Tensor:
    """Move each clip by up to `most` frames either way; what leaves is lost, zeros (the mean) enter.

    Parameters
    ----------
    features
        (batch, n_features, frames), normalised; left as they are.
    most
        Fewer than the frames.
    rng
        Source of every draw.
    """
    if not most:
        return features
    n_frames = features.shape[2]
    shifted = torch.zeros_like(features)
    for clip, source, shift in zip(
        shifted, features, rng.integers(-most, most + 1, len(features)), strict=True
    ):
        later, earlier = max(int(shift), 0), max(-int(shift), 0)
        clip[:, later : n_frames - earlier] = source[:, earlier : n_frames - later]
    return shifted


def add_feature_noise(features: Tensor, factor: float, rng: np.random.Generator) -> Tensor:
    """Add white noise with a deviation of `factor` to normalised features of any shape."""
    if not factor:
        return features
    noise = rng.standard_normal(features.shape, dtype=np.float32)
    return features + factor * torch.from_numpy(noise).to(features.device)


def mask_features(features: Tensor, settings: AugmentationSettings, rng: np.random.Generator) -> Tensor:
    """Blank bands and stretches of each clip with its mean: SpecAugment without warping [1]_.

    Parameters
    ----------
    features
        (batch, n_features, frames); left as they are.
    settings
        How many masks, and the share of rows or frames that one may cover; one row or frame it always may.
    rng
        Source of every draw.

    References
    ----------
    .. [1] Park et al.: SpecAugment: a simple data augmentation method for automatic speech recognition.
       Interspeech 2019.
    """
    if not settings.frequency_masks and not settings.time_masks:
        return features
    masked = features.clone()
    n_rows, n_frames = features.shape[1:]
    for clip, fill in zip(masked, features.mean(dim=(1, 2)), strict=True):
        for _ in range(settings.frequency_masks):
            width = int(rng.integers(0, max(1, int(n_rows * settings.frequency_mask_share)) + 1))
            start = int(rng.integers(0, n_rows - width + 1))
            clip[start : start + width] = fill
        for _ in range(settings.time_masks):
            width = int(rng.integers(0, max(1, int(n_frames * settings.time_mask_share)) + 1))
            start = int(rng.integers(0, n_frames - width + 1))
            clip[:, start : start + width] = fill
    return masked


def mixup(
    features: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each clip of a batch with another one [1]_.

    Parameters
    ----------
    features
        (batch, n_features, frames).
    targets
        (batch, n_emotions), rows sum to one.
    alpha
        Of the beta distribution that the blend is drawn from.

    Returns
    -------
    Blended features, blended targets, and the partner of each clip (batch,).

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond empirical risk minimization. ICLR 2018.
    """
    share = float(rng.beta(alpha, alpha))
    partners = torch.from_numpy(rng.permutation(len(features)))
    return (
        share * features + (1 - share) * features[partners],
        share * targets + (1 - share) * targets[partners],
        partners,
    )
