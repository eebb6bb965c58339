"""Convolutions over time and frequency, a bidirectional LSTM over time, attention over what it heard.

The attention weighs the LSTM's outputs; their weighted mean and standard deviation (attentive statistics
pooling [1]_) become the utterance embedding.

.. [1] Okabe, Koshinaka, Shinoda: Attentive statistics pooling for deep speaker embedding. Interspeech 2018.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput


class CnnBilstmAttention(nn.Module):
    """CNN, BiLSTM and attentive statistics pooling.

    Parameters
    ----------
    n_features
        Rows of the feature stack.
    channels
        Of the convolution blocks, in order; every block halves the frequency axis.
    time_pools
        For each block, by how much it shortens the time axis.
    lstm_inputs, lstm_units
        Width before the LSTM, and of each of its directions.
    attention_units
        Hidden width of the attention.
    embedding_size
        Width of the utterance embedding.
    convolution_dropout, dropout
        Of whole feature maps after each block; of single values before LSTM and pooling.

    Raises
    ------
    ValueError
        Blocks without a time pool of their own, or more blocks than the rows can be halved.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (32, 64, 128),
        time_pools: Sequence[int] = (2, 2, 1),
        lstm_inputs: int = 160,
        lstm_units: int = 128,
        attention_units: int = 64,
        embedding_size: int = 128,
        convolution_dropout: float = 0.1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if len(channels) != len(time_pools):
            raise ValueError(
                f"channels has {len(channels)} blocks and time_pools {len(time_pools)}; give each block one"
            )
        if n_features < 2 ** len(channels):
            raise ValueError(
                f"{n_features} rows of features cannot be halved {len(channels)} times; take fewer channels"
            )
        blocks: list[nn.Module] = []
        inputs = 1
        for outputs, time_pool in zip(channels, time_pools, strict=True):
            blocks += [
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d((2, time_pool)),
                nn.Dropout2d(convolution_dropout),
            ]
            inputs = outputs
        self.convolutions = nn.Sequential(*blocks)
        self.projection = nn.Linear(inputs * (n_features // 2 ** len(channels)), lstm_inputs)
        self.lstm = nn.LSTM(lstm_inputs, lstm_units, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(
            nn.Linear(2 * lstm_units, attention_units), nn.Tanh(), nn.Linear(attention_units, 1)
        )
        self.embedding = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(4 * lstm_units, embedding_size),
            nn.BatchNorm1d(embedding_size),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = embedding_size

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        maps = self.convolutions(features[:, None])  # (batch, channels, n_features // 2**blocks, steps)
        steps = maps.flatten(1, 2).transpose(1, 2)  # (batch, steps, channels * bands)
        steps = functional.relu(self.projection(self.dropout(steps)))
        steps, _ = self.lstm(steps)  # (batch, steps, 2 * lstm_units)
        steps = steps.float()  # statistics in full precision: a variance cancels badly in bfloat16
        attention = self.attention(steps).float().softmax(dim=1)  # (batch, steps, 1)
        mean = (attention * steps).sum(dim=1)
        variance = (attention * (steps - mean[:, None]).square()).sum(dim=1)
        statistics = torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)  # (batch, 4 * lstm_units)
        return NetworkOutput(self.embedding(statistics).float(), attention[:, :, 0])
