"""Changes to training audio and features; every draw comes from the generator that is handed in."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from vocalics.lab.recipes.schema import AugmentationSettings

Samples = npt.NDArray[np.float32]


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
    samples: Samples, settings: AugmentationSettings, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Draw and apply a recipe's waveform changes to `samples` (n,).

    They come in the order in which a recording picks them up: voice, place, room, gain.
    """
    if settings.speed:
        samples = change_speed(samples, rng.uniform(*settings.speed))
    if settings.pitch_semitones and rng.random() < settings.pitch_probability:
        samples = shift_pitch(samples, rng.uniform(*settings.pitch_semitones), sample_rate)
    if settings.stretch and rng.random() < settings.stretch_probability:
        samples = stretch_time(samples, rng.uniform(*settings.stretch), sample_rate)
    if settings.shift_s:
        samples = shift_time(samples, round(rng.uniform(-settings.shift_s, settings.shift_s) * sample_rate))
    if settings.noise_factor and rng.random() < settings.noise_probability:
        samples = add_noise(samples, settings.noise_factor, rng)
    if settings.noise_snr_db and rng.random() < settings.noise_probability:
        samples = add_white_noise(samples, rng.uniform(*settings.noise_snr_db), rng)
    if settings.gain_db:
        samples = change_gain(samples, rng.uniform(*settings.gain_db))
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
