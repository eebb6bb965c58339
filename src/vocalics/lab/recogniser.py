"""The module that is trained and exported: front end, network, affine head, temperature."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vocalics.errors import RecipeError
from vocalics.lab.encoders import EncoderFrontEnd
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.front_end import build_front_end
from vocalics.lab.networks import NETWORKS, Ensemble, build_network
from vocalics.lab.recipes.schema import Recipe


class Answer(NamedTuple):
    """What the graph answers: its outputs, in their order and under their names.

    Attributes
    ----------
    probabilities
        (batch, n_emotions), calibrated.
    embedding
        (batch, embedding_size): what enters the head.
    features
        (batch, n_features, frames): what the network heard.
    attention
        (batch, steps) or None.
    """

    probabilities: Tensor
    embedding: Tensor
    features: Tensor
    attention: Tensor | None


class Recogniser(nn.Module):
    """Waveform in, calibrated probabilities out.

    The head is ``softmax((weight . (embedding - mean) / std + bias) / temperature)``. Training works with
    mean 0 and std 1; `set_statistics` then moves the training utterances' statistics into the head without
    changing any answer.

    Parameters
    ----------
    recipe
        Its features or encoder, its network and emotions.

    Raises
    ------
    RecipeError
        The shortest clip has fewer frames than the network needs, or clips of all lengths come undivided to
        one that does not hear lengths.
    ModelError, MissingExtraError
        The encoder cannot be had; see `encoders.source.find_encoder`.
    """

    embedding_mean: Tensor
    embedding_std: Tensor
    temperature: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.front_end = build_front_end(recipe)
        self.network = _network(recipe, self.front_end.n_features)
        _require_frames(recipe, self.front_end)
        size = int(self.network.embedding_size)  # type: ignore[arg-type]
        self.head_dropout = nn.Dropout(float(recipe.network.parameters.get("dropout", 0.3)))
        self.head = nn.Linear(size, len(recipe.emotions))
        self.register_buffer("embedding_mean", torch.zeros(size))
        self.register_buffer("embedding_std", torch.ones(size))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def n_parameters(self) -> int:
        """Trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def logits(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (batch, n_emotions) of features (batch, n_features, frames), for the loss.

        Parameters
        ----------
        features
            What the network hears.
        lengths
            Frames of each clip (batch,), where they differ.
        """
        answer = self.network(features) if lengths is None else self.network(features, lengths)
        embedding = answer.embedding
        normalised = (embedding - self.embedding_mean) / self.embedding_std
        return self.head(self.head_dropout(normalised)).float()  # type: ignore[no-any-return]

    def forward(self, waveform: Tensor) -> Answer:
        """Answer a waveform (batch, samples)."""
        return self.answer(self.front_end(waveform))

    def answer(self, features: Tensor) -> Answer:
        """Answer what the front end makes of waveforms, (batch, n_features, frames)."""
        embedding, attention = self.network(features)
        normalised = (embedding - self.embedding_mean) / self.embedding_std
        probabilities = (self.head(normalised) / self.temperature).softmax(dim=1)
        return Answer(probabilities, embedding, features, attention)

    @torch.no_grad()
    def set_statistics(self, embeddings: np.ndarray) -> None:
        """Move the statistics of `embeddings` (n, embedding_size) into the head; no answer changes."""
        mean = torch.from_numpy(embeddings.mean(axis=0)).float()
        std = torch.from_numpy(embeddings.std(axis=0)).float()
        std = std.clamp(min=1e-3)  # a dead unit must not divide by zero
        weight = self.head.weight / self.embedding_std  # of the raw embedding
        self.head.bias.add_(weight @ (mean - self.embedding_mean))
        self.head.weight.copy_(weight * std)
        self.embedding_mean.copy_(mean)
        self.embedding_std.copy_(std)


def _network(recipe: Recipe, n_features: int) -> nn.Module:
    """Build the recipe's network, or the several that answer together."""
    settings = recipe.network
    members = [build_network(settings.name, n_features, settings.parameters) for _ in range(settings.members)]
    return Ensemble(members) if settings.members > 1 else members[0]


def _require_frames(recipe: Recipe, front_end: FrontEnd | EncoderFrontEnd) -> None:
    """Raise `RecipeError` where the network cannot hear the clips: too short, or of different lengths."""
    shortest_samples = int(recipe.minimum_s * recipe.sample_rate)
    info = NETWORKS[recipe.network.name]
    if isinstance(front_end, EncoderFrontEnd):
        frames, remedy = front_end.n_steps(shortest_samples), "raise minimum_s."
        if recipe.training.crop_s is None and not info.hears_lengths:
            hears = ", ".join(name for name, known in NETWORKS.items() if known.hears_lengths)
            raise RecipeError(
                f"network '{info.name}' takes clips of one length, and to an encoder that stays as it is "
                f"they come undivided (training.crop_s null); take one of {hears}."
            )
    else:
        shortest = 1 + shortest_samples // front_end.settings.hop_length
        frames = front_end.settings.fixed_frames or shortest
        remedy = (
            "raise features.frames or minimum_s, lower features.hop_length, or leave out "
            "features.functionals."
        )
    if frames < info.minimum_frames:
        raise RecipeError(
            f"network '{info.name}' needs {info.minimum_frames} frames, and the shortest clip has {frames}; "
            f"{remedy}"
        )
