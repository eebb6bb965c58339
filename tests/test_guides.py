"""The code in the guides runs; what it adds to the lab keeps the contracts that the lab's own parts keep."""

import re
from pathlib import Path

import numpy as np
import pytest

from vocalics.errors import RecipeError

ROOT = Path(__file__).parents[1]


def code(page: str) -> list[str]:
    """The Python blocks of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(page: str) -> dict:
    """What the blocks of a page define, run one after another."""
    names: dict = {"__name__": page}
    for block in code(page):
        exec(compile(block, page, "exec"), names)
    return names


def test_the_first_guide_runs_from_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert sum(run("start.md")["prediction"].probabilities.values()) == pytest.approx(1)


def test_the_file_alone_answers_as_the_package_does(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names = run("for-engineers.md")
    assert names["answer"] == pytest.approx(names["answers"][0].probabilities, abs=1e-5)  # float32
    assert {segment.speaker for segment in names["found"].segments} == {"channel 1", "channel 2"}
    assert "examples/no_speech.wav not answered: no speech" in capsys.readouterr().out


@pytest.fixture(scope="module")
def added() -> dict:
    pytest.importorskip("torch", reason="corpora, networks and features are the lab's")
    return run("extend.md")


class TestWhatIsAdded:
    """docs/extend.md, held to the contracts of the registries."""

    def test_a_corpus_is_read_like_any_other(self, added, tmp_path, monkeypatch):
        from made_corpora import write
        from vocalics.lab.corpora import CORPORA, scan

        info = added["INFO"]
        monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setitem(CORPORA, info.name, info)
        for name in (
            "anna_ang_03.wav",
            "deep/ben_neu_11.flac",
            "carl_ang_01.wav",
        ):  # Carl is nobody of this corpus
            write(tmp_path / "fables" / name)
        found = scan("fables", tmp_path / "fables", notes=lambda note: None)
        told = [(one.id, one.speaker, one.gender, one.emotion, one.sentence) for one in found]
        assert told == [
            ("fables/anna_ang_03", "anna", "female", "angry", "03"),
            ("fables/ben_neu_11", "ben", "male", "neutral", "11"),
        ]

    def test_a_corpus_agrees_with_its_record(self, added, monkeypatch):
        import test_corpora

        info = added["INFO"]
        monkeypatch.setitem(test_corpora.CORPORA, info.name, info)
        test_corpora.test_each_record_of_the_registry_agrees_with_its_reader(info)

    @pytest.mark.parametrize(
        "rule",
        [
            "test_it_is_registered_under_its_name_with_a_description",
            "test_each_clip_has_an_embedding_of_the_stated_size",
            "test_it_accepts_as_few_frames_as_it_says",
            "test_an_answer_does_not_depend_on_the_batch",
            "test_gradients_reach_every_parameter",
            "test_the_same_seed_builds_the_same_network",
            "test_an_unknown_parameter_is_refused_with_the_nearest_one",
        ],
    )
    def test_a_network_keeps_the_contract(self, added, monkeypatch, rule):
        import test_networks
        from vocalics.lab.networks import NETWORKS

        info = added["NETWORK"]
        monkeypatch.setitem(NETWORKS, info.name, info)
        getattr(test_networks.TestContract(), rule)(info.name)

    def test_a_network_that_nobody_registered_is_unknown(self, added):
        from vocalics.lab.networks import build_network

        with pytest.raises(RecipeError, match="unknown network 'mean_and_deviation'"):
            build_network(added["NETWORK"].name, 64, {})

    @pytest.mark.parametrize(("tone_hz", "share"), [(500, 1.0), (3000, 0.0), (None, 0.0)])
    def test_a_feature_tells_low_from_high_and_silence(self, added, tone_hz, share):
        import torch

        from vocalics.lab.features.parts import Frames
        from vocalics.lab.features.spectrum import PowerSpectrum

        frames, info = Frames(sample_rate=16_000, n_fft=512, hop_length=256), added["FEATURE"]
        settings = added["LowShareSettings"]()
        # Bins are 31.25 Hz apart and 500 and 3,000 Hz are bins of their own, so nothing of a tone leaks far.
        samples = (
            np.zeros(16_000) if tone_hz is None else np.sin(2 * np.pi * tone_hz * np.arange(16_000) / 16_000)
        )
        power = PowerSpectrum(frames.n_fft, frames.hop_length, None)(torch.from_numpy(samples).float()[None])
        rows = info.build(settings, frames)(power)[0]
        assert rows.shape == (len(info.rows(settings)), power.shape[2])
        # Under a Hann window a whole tone keeps all but 1e-6 within 16 bins; the outer frames are cut.
        np.testing.assert_allclose(rows[:, 2:-2].numpy(), share, atol=1e-5)
