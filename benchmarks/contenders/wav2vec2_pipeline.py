"""A pipeline of Hugging Face's transformers with a fine-tuned wav2vec2-base.

    python benchmarks/contenders/wav2vec2_pipeline.py --write FOLDER

writes such a checkpoint with weights at random: its size and arithmetic are those of the real ones. The
pipeline is handed samples; it would start ffmpeg for each file.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch
from predicting import parser, tell
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification, pipeline

N_EMOTIONS = 8


def write(folder: Path) -> None:
    """Write a checkpoint; transformers' own defaults are wav2vec2-base."""
    torch.manual_seed(0)
    Wav2Vec2ForSequenceClassification(Wav2Vec2Config(num_labels=N_EMOTIONS)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    print(json.dumps({"checkpoint": str(folder)}))


def open_model(folder: Path) -> tuple[Callable[[str], str], int]:
    """Open a checkpoint."""
    torch.set_num_threads(1)
    classify = pipeline("audio-classification", model=str(folder), device="cpu")

    def label(path: str) -> str:
        samples, sample_rate = soundfile.read(path, dtype="float32")
        return str(classify({"raw": samples, "sampling_rate": sample_rate}, top_k=1)[0]["label"])

    return label, classify.model.num_parameters()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]))
    else:
        options = parser()
        options.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
        wanted = options.parse_args()
        tell(wanted, lambda: open_model(wanted.model))
