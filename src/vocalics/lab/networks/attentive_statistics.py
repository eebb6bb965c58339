"""A dense layer over each frame, then attentive statistics pooling [1]_: for frames that know their context.

.. [1] Okabe, Koshinaka, Shinoda: Attentive statistics pooling for deep speaker embedding. Interspeech 2018.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput
from vocalics.lab.networks.pooling import steps_of_clips


class AttentiveStatistics(nn.Module):
    """Each frame by itself, then the weighted mean and deviation of all.

    Parameters
    ----------
    n_features
        Rows of the features.
    units
        Width of the layer over each frame.
    attention_units
        Hidden width of the attention.
    embedding_size
        Width of the utterance embedding.
    dropout
        Of single values before each layer.
    """

    def __init__(
        self,
        n_features: int,
        units: int = 256,
        attention_units: int = 64,
        embedding_size: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.frame = nn.Linear(n_features, units)
        self.attention = nn.Sequential(
            nn.Linear(units, attention_units), nn.Tanh(), nn.Linear(attention_units, 1)
        )
        self.embedding = nn.Linear(2 * units, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = embedding_size

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> NetworkOutput:
        """Embed features (batch, n_features, frames), of which each clip has `lengths` (batch,), or all."""
        frames = functional.relu(self.frame(self.dropout(features.transpose(1, 2))))  # (batch, frames, units)
        frames = frames.float()  # statistics in full precision: a variance cancels badly in bfloat16
        scores = self.attention(frames).float()  # (batch, frames, 1)
        if lengths is not None:
            scores = scores.masked_fill(~steps_of_clips(frames.shape[1], lengths)[:, :, None], float("-inf"))
        attention = scores.softmax(dim=1)
        mean = (attention * frames).sum(dim=1)
        variance = (attention * (frames - mean[:, None]).square()).sum(dim=1)
        statistics = torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)  # (batch, 2 * units)
        embedding = functional.relu(self.embedding(self.dropout(statistics)))
        return NetworkOutput(embedding.float(), attention[:, :, 0])
