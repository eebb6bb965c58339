"""Vocal tracts of other lengths: formants move by the factor, and the front end is afterwards as it was."""

import librosa
import numpy as np
import pytest
import torch

import tiny_corpus
from vocalics.lab import module, training
from vocalics.lab.features.mel import MelSpectrogram
from vocalics.lab.module import TrainingModule
from vocalics.lab.recipes import load_recipe
from vocalics.lab.vocal_tract import BEND_SHARE, warp, warped

RATE, N_FFT, N_MELS = 16_000, 512, 64

#: A short training of the tiny recipe, at 8 kHz, with all that a recording may suffer.
BADLY_RECORDED = [
    "training.epochs=3",
    "augmentation.babble_snr_db=[10, 20]",
    "augmentation.echo_rt60_s=[0.1, 0.2]",
    "augmentation.band_low_hz=[200, 300]",
    "augmentation.band_high_hz=[2500, 3500]",
    "augmentation.low_pass_hz=[2500, 3500]",
    "augmentation.clip_share=0.05",
    "augmentation.vocal_tract=[0.9, 1.1]",
]


@pytest.fixture
def mel() -> MelSpectrogram:
    return MelSpectrogram(RATE, N_FFT, N_MELS, 50, 8_000)


def formant(frequency_hz: float) -> torch.Tensor:
    """A power spectrum, (1, bins, 1), with one broad peak."""
    bins_hz = torch.linspace(0, RATE / 2, N_FFT // 2 + 1)
    return torch.exp(-(((bins_hz - frequency_hz) / 150) ** 2))[None, :, None]


def centre_hz(bands: torch.Tensor) -> float:
    """Mean frequency of the energy in mel bands (1, n_mels, 1)."""
    edges_hz = librosa.mel_frequencies(N_MELS + 2, fmin=50, fmax=8_000)
    energy = bands[0, :, 0].double().numpy() * np.diff(edges_hz)[1:]  # of filters with the area one
    return float(energy @ edges_hz[1:-1] / energy.sum())


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_the_axis_is_multiplied_below_the_bend_and_ends_where_it_ended(factor):
    frequencies = np.linspace(0, 8_000, 801)
    moved = warp(frequencies, factor, 8_000.0)
    low = frequencies <= BEND_SHARE * 8_000 * min(factor, 1) / factor
    np.testing.assert_allclose(moved[low], factor * frequencies[low])
    assert moved[-1] == 8_000
    assert (np.diff(moved) > 0).all()
    assert np.abs(np.diff(moved)).max() < 3 * 10 * max(factor, 1 / factor)  # it is nowhere torn


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("frequency_hz", [700.0, 1_500.0, 2_500.0])
def test_a_formant_moves_by_the_factor(mel, factor, frequency_hz):
    power = formant(frequency_hz)
    before = centre_hz(mel(power))
    with warped([mel], factor):
        after = centre_hz(mel(power))
    # bands of 50 to 130 Hz: the centre of energy between them is that of the peak within 1 %
    assert after / before == pytest.approx(factor, rel=0.01)


def test_a_factor_of_one_changes_nothing(mel):
    power = torch.rand(2, N_FFT // 2 + 1, 7, generator=torch.Generator().manual_seed(0))
    before = mel(power)
    with warped([mel], 1.0):
        torch.testing.assert_close(mel(power), before, rtol=1e-5, atol=1e-8)  # librosa's own filters


def test_afterwards_the_filters_stand_where_they_stood_even_after_an_error(mel):
    power = formant(1_000.0)
    before = mel(power)

    def diverge() -> None:
        with warped([mel], 1.2):
            assert not torch.equal(mel(power), before)
            raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        diverge()
    assert torch.equal(mel(power), before)


@pytest.fixture
def answers(tiny, monkeypatch):
    """Fit without the exporter: ``answers(recipe, run)`` is what the network answers to the test part."""
    heard = []

    def hear(recipe, recogniser, store, *_):
        with torch.inference_mode():
            heard.append([recogniser(torch.from_numpy(store[u.id])[None])[0] for u in tiny.tested])

    monkeypatch.setenv("VOCALICS_CACHE", str(tiny.cache))
    monkeypatch.setattr(training, "export", hear)

    def train(recipe, run):
        with tiny_corpus.one_thread():
            training.fit(recipe, tiny.manifest, tiny.split, run)
        return torch.cat(heard.pop())

    return train


def test_a_training_with_every_bad_recording_goes_on_to_the_same_model(tiny, tmp_path, answers, monkeypatch):
    recipe = load_recipe(tiny.recipe_file, BADLY_RECORDED)
    whole = answers(recipe, tmp_path / "whole")
    step, factors = TrainingModule.training_step, []

    def interrupted(module, batch, batch_index):
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        return step(module, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            answers(recipe, tmp_path / "resumed")
    monkeypatch.setattr(module, "warped", lambda mels, factor: factors.append(factor) or warped(mels, factor))
    assert torch.equal(answers(recipe, tmp_path / "resumed"), whole)
    assert len(factors) == 32 // recipe.training.batch_size  # one for each batch of the epoch that was left
    assert len(set(factors)) == len(factors)
    assert all(0.9 <= factor <= 1.1 for factor in factors)
    assert not torch.equal(
        answers(load_recipe(tiny.recipe_file, BADLY_RECORDED[:1]), tmp_path / "clean"), whole
    )
