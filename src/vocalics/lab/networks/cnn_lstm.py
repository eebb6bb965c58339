"""2-D convolutions over features and time, then an LSTM over what is left of the time axis."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput
from vocalics.lab.networks.pooling import POOLINGS, require_pooling


class CnnLstm(nn.Module):
    """CNN for what a moment sounds like, LSTM for how moments follow each other.

    Parameters
    ----------
    n_features
        Rows of the feature stack.
    channels
        Of the convolution blocks, in order; every block halves the axis of the rows.
    time_pools
        For each block, by how much it shortens the time axis.
    lstm_inputs, units
        Width before the LSTM, and of it.
    pooling
        What of the LSTM enters the dense layer: ``last``, the state after the last step, or ``mean``.
    embedding_size
        Width of the dense layer, which is the utterance embedding.
    convolution_dropout, dropout
        Of whole feature maps after each block; of single values before the projection and the dense layer.

    Raises
    ------
    ValueError
        Blocks without a time pool of their own, more blocks than the rows can be halved, or an unknown
        pooling.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (32, 64, 128),
        time_pools: Sequence[int] = (2, 2, 1),
        lstm_inputs: int = 128,
        units: int = 128,
        pooling: str = "mean",
        embedding_size: int = 64,
        convolution_dropout: float = 0.1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if len(channels) != len(time_pools):
            raise ValueError(
                f"channels has {len(channels)} blocks and time_pools {len(time_pools)}; give each block one"
            )
        bands = n_features // 2 ** len(channels)
        if not bands:
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
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(inputs * bands, lstm_inputs)
        self.lstm = nn.LSTM(lstm_inputs, units, batch_first=True)
        self.pooling = require_pooling(pooling)
        self.dense = nn.Sequential(
            nn.Linear(units, embedding_size), nn.BatchNorm1d(embedding_size), nn.ReLU()
        )
        self.embedding_size = embedding_size

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        maps = self.convolutions(features[:, None])  # (batch, channels, n_features // 2**blocks, steps)
        steps = maps.flatten(1, 2).transpose(1, 2)  # (batch, steps, channels * bands)
        steps = functional.relu(self.projection(self.dropout(steps)))  # (batch, steps, lstm_inputs)
        steps, _ = self.lstm(steps)  # (batch, steps, units)
        pooled = self.dropout(POOLINGS[self.pooling](steps.float()))
        return NetworkOutput(self.dense(pooled).float(), None)
