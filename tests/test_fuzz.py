"""Files that somebody damaged, by accident or on purpose: the readers answer, or refuse with a sentence."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import sounds
from mutations import fuzzed, refusal
from vocalics import audio
from vocalics.recognition.model import Model
from vocalics.recognition.rttm import read_rttm

TONE = sounds.sine(440, 16_000, duration_s=0.3)[np.newaxis]

RTTM = b"""SPEAKER call 1 0.50 2.25 <NA> <NA> ann <NA> <NA>
;; a comment
SPKR-INFO call 1 <NA> <NA> <NA> unknown ann <NA> <NA>
SPEAKER call 1 3.00 1.00 <NA> <NA> bob <NA> <NA>
"""


@cache
def recordings() -> list[bytes]:
    """A tone in every coding."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"tone.{suffix}") for suffix in (*sounds.SOUNDFILE, *sounds.FFMPEG)]
        files = [sounds.encode(path, TONE, 16_000).read_bytes() for path in paths]
        paths = [Path(folder, f"eight.{suffix}") for suffix in ("m4a", "webm")]
        files += [sounds.encode(path, TONE.repeat(8, axis=0), 16_000).read_bytes() for path in paths]
    return files + [sounds.wav_bytes(TONE.T, subtype=subtype) for subtype in ("FLOAT", "ULAW")]


@cache
def models() -> list[bytes]:
    """The toy model."""
    toy_model = pytest.importorskip("toy_model", reason="the toy model is written with onnx")
    with TemporaryDirectory() as folder:
        return [toy_model.write(Path(folder, "toy.onnx")).read_bytes()]


@pytest.fixture
def file(tmp_path):
    """Where the damaged file lies."""
    return tmp_path / "damaged"


@fuzzed(recordings)
def test_a_damaged_recording_is_read_or_refused(content, file):
    file.write_bytes(content)  # it lies there still when a library ends the process

    def read():
        waveform = audio.read(content, name="damaged", max_duration_s=3600)
        assert np.isfinite(waveform.samples).all()
        assert sum(block.n_samples for block in audio.blocks(content, 0.1, "damaged")) == waveform.n_samples

    told = refusal(read)
    assert told is None or told.startswith("damaged")


@fuzzed(models)
def test_a_damaged_model_answers_or_is_refused(content, file):
    path = file.with_suffix(".onnx")
    path.write_bytes(content)

    def ask():
        prediction = Model.load(path).predict((TONE[0], 16_000))
        assert prediction.error or all(0 <= p <= 1 for p in prediction.probabilities.values())

    told = refusal(ask)
    assert told is None or str(path) in told


@fuzzed(lambda: [RTTM])
def test_a_damaged_diarization_is_read_or_refused(content, file):
    file.write_bytes(content)

    def read():
        assert all(0 <= turn.start_s < turn.end_s < float("inf") for turn in read_rttm(file))

    told = refusal(read)
    assert told is None or str(file) in told
