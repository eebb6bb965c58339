"""A made-up corpus in RAVDESS's names and a recipe that learns it in seconds, for the tests of the lab.

What an emotion sounds like is planted: each has a pitch of its own, and anger is noise. A speaker moves the
pitches by a few percent, a take brings its own noise, so no two recordings are the same.
"""

from pathlib import Path

import numpy as np
import soundfile
import yaml

SAMPLE_RATE = 8000  # Hz, the lowest that is accepted: small files, short trainings
DURATION_S = 0.4

#: A man and a woman of each of RAVDESS's published folds 1, 3 and 4, which are folds 1, 2 and 3 here.
ACTORS = (1, 20, 8, 9, 3, 24)

#: RAVDESS's number of each emotion, and its pitch in Hz; None is noise.
EMOTIONS = {"neutral": ("01", 300.0), "happy": ("03", 2400.0), "sad": ("04", 900.0), "angry": ("05", None)}

SENTENCES = TAKES = (1, 2)

#: Utterances of one speaker.
UTTERANCES = len(EMOTIONS) * len(SENTENCES) * len(TAKES)

RECIPE = {
    "name": "tiny",
    "description": "Learns made-up sounds in seconds; for tests, not for people.",
    "corpora": ["ravdess"],
    "emotions": list(EMOTIONS),
    "sample_rate": SAMPLE_RATE,
    "bandwidth_hz": SAMPLE_RATE / 2,
    "window_s": 1.0,
    "features": {
        "n_fft": 256,
        "hop_length": 128,
        "normalisation": "level",
        "stack": [{"name": "log_mel", "n_mels": 16}],
    },
    "network": {
        "name": "cnn_bilstm_attention",
        "parameters": {
            "channels": [4, 8],
            "time_pools": [2, 1],
            "lstm_inputs": 8,
            "lstm_units": 8,
            "attention_units": 4,
            "embedding_size": 8,
            "dropout": 0.1,
        },
    },
    "augmentation": {"speed": [0.97, 1.03], "time_masks": 1, "mixup_alpha": 0.2},
    "training": {
        "epochs": 3,
        "batch_size": 8,
        "crop_s": [0.3, 0.35],
        "learning_rate": 0.02,
        "precision": "float32",
    },
}


def sound(actor: int, emotion: str, sentence: int, take: int) -> np.ndarray:
    """Samples (n,) of one recording, float64 in [-1, 1]."""
    rng = np.random.default_rng([actor, *emotion.encode(), sentence, take])
    time_s = np.arange(round(DURATION_S * SAMPLE_RATE)) / SAMPLE_RATE
    pitch_hz = EMOTIONS[emotion][1]
    noise = rng.standard_normal(len(time_s))
    if pitch_hz is None:
        return 0.1 * noise
    own = 1 + 0.04 * np.sin(actor)  # the speaker's voice
    return 0.3 * np.sin(2 * np.pi * own * pitch_hz * time_s + rng.uniform(0, 2 * np.pi)) + 0.003 * noise


def write_corpus(data: Path, actors: tuple[int, ...] = ACTORS) -> Path:
    """Write ``ravdess/`` below the data folder, and return that folder."""
    (data / "ravdess").mkdir(parents=True)
    for actor in actors:
        for emotion, (number, _) in EMOTIONS.items():
            for sentence in SENTENCES:
                for take in TAKES:
                    name = f"03-01-{number}-01-{sentence:02d}-{take:02d}-{actor:02d}.wav"
                    soundfile.write(data / "ravdess" / name, sound(actor, emotion, sentence, take), SAMPLE_RATE)
    return data


def write_recipe(path: Path, **training: object) -> Path:
    """Write the recipe as YAML, with changes to its section ``training``."""
    content = RECIPE | {"training": RECIPE["training"] | training}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
