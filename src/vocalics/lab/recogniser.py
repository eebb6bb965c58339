"""The module that is trained and exported: front end, network, affine head, temperature."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vocalics.errors import RecipeError
from vocalics.lab.features.stack import FrontEnd
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
        Its features, network and emotions.

    Raises
    ------
    RecipeError
        The shortest clip has fewer frames than the network needs.
    """

    embedding_mean: Tensor
    embedding_std: Tensor
    temperature: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.front_end = FrontEnd(recipe.features, recipe.sample_rate)
        self.network = _network(recipe, self.front_end.n_features)
        _require_frames(recipe)
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

    def logits(self, features: Tensor) -> Tensor:
        """Logits (batch, n_emotions) of features (batch, n_features, frames), for the loss."""
        embedding = self.network(features).embedding
        normalised = (embedding - self.embedding_mean) / self.embedding_std
        return self.head(self.head_dropout(normalised)).float()  # type: ignore[no-any-return]

    def forward(self, waveform: Tensor) -> Answer:
        """Answer a waveform (batch, samples)."""
        features = self.front_end(waveform)
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


def _require_frames(recipe: Recipe) -> None:
    """Raise `RecipeError` where the shortest clip has too few frames for the network."""
    shortest = 1 + int(recipe.minimum_s * recipe.sample_rate) // recipe.features.hop_length
    frames = recipe.features.fixed_frames or shortest
    needed = NETWORKS[recipe.network.name].minimum_frames
    if frames < needed:
        raise RecipeError(
            f"network '{recipe.network.name}' needs {needed} frames, and the shortest clip has {frames}; "
            "raise features.frames or minimum_s, lower features.hop_length, or leave out "
            "features.functionals."
        )
