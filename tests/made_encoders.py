"""Tiny speech encoders with weights at random, in the format of real checkpoints, made by transformers."""

import json
from pathlib import Path
from typing import Any

#: Two layers of width 16 over the convolutions of the real ones: 400 samples wide, a step every 320.
WIDTH, LAYERS = 16, 2
_COMMON: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embedding_groups": 2,
}

#: Of Whisper's window, which is 30 s in the real ones: 2 s, so that it is quick.
WHISPER_S = 2.0


def _wav2vec2() -> Any:
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    # With the parts of its pretraining, as the checkpoints that people share.
    return Wav2Vec2ForPreTraining(Wav2Vec2Config(**_COMMON, num_conv_pos_embeddings=16))


def _wav2vec2_large() -> Any:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    # Normalised before each layer and after each convolution, as the large ones are.
    large = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
    return Wav2Vec2Model(Wav2Vec2Config(**_COMMON, **large, num_conv_pos_embeddings=16))


def _hubert() -> Any:
    from transformers import HubertConfig, HubertModel

    return HubertModel(HubertConfig(**_COMMON, num_conv_pos_embeddings=16))


def _wavlm() -> Any:
    from transformers import WavLMConfig, WavLMModel

    buckets = {"num_buckets": 32, "max_bucket_distance": 80}
    return WavLMModel(WavLMConfig(**_COMMON, **buckets, num_conv_pos_embeddings=16))


def _data2vec() -> Any:
    from transformers import Data2VecAudioConfig, Data2VecAudioModel

    positions = {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 9}
    return Data2VecAudioModel(Data2VecAudioConfig(**_COMMON, **positions))


def _whisper() -> Any:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    words = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return WhisperForConditionalGeneration(
        WhisperConfig(
            **words,
            decoder_start_token_id=1,
            d_model=WIDTH,
            encoder_layers=LAYERS,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_source_positions=int(WHISPER_S * 50),
            begin_suppress_tokens=None,
        )
    )


MADE = {
    "wav2vec2": _wav2vec2,
    "wav2vec2-large": _wav2vec2_large,
    "hubert": _hubert,
    "wavlm": _wavlm,
    "data2vec": _data2vec,
    "whisper": _whisper,
}


def whole_model(kind: str, seed: int = 0) -> Any:
    """A model of transformers, in use."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MADE[kind]()
    return model.eval()


def encoder_in(model: Any) -> Any:
    """The encoder within a whole model of transformers."""
    if model.config.model_type == "whisper":
        return model.model.encoder
    return getattr(model, "wav2vec2", model)


def extractor(kind: str) -> Any:
    """What prepares the encoder's input in transformers, as its checkpoints carry it."""
    from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    if kind == "whisper":
        return WhisperFeatureExtractor(feature_size=80, chunk_length=int(WHISPER_S))
    return Wav2Vec2FeatureExtractor(do_normalize=kind != "wavlm")  # as the base ones


def write(folder: Path, kind: str, seed: int = 0, prepared: bool = True) -> Path:
    """Write a checkpoint, and return its folder."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    whole_model(kind, seed).save_pretrained(folder)
    if prepared:
        extractor(kind).save_pretrained(folder)
    return folder


def change_config(folder: Path, **settings: Any) -> None:
    """Change what ``config.json`` says."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
