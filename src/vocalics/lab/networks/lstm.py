"""LSTM layers over the feature frames, then dense layers."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocalics.lab.networks.output import NetworkOutput
from vocalics.lab.networks.pooling import POOLINGS, require_pooling


class Lstm(nn.Module):
    """LSTM on frames; its state after the last frame, or the mean of all, goes through dense layers.

    Parameters
    ----------
    n_features
        Rows of the feature stack.
    units
        Of each LSTM layer.
    layers
        LSTM layers.
    bidirectional
        Whether a second LSTM reads the frames backwards.
    pooling
        What of the last layer enters the dense ones: ``last``, the state after the last frame, or ``mean``.
    dense
        Widths of the dense layers; the last one is the utterance embedding.
    dropout
        Between LSTM layers and before each dense layer.

    Raises
    ------
    ValueError
        An unknown pooling.
    """

    def __init__(
        self,
        n_features: int,
        units: int = 128,
        layers: int = 2,
        bidirectional: bool = False,
        pooling: str = "last",
        dense: Sequence[int] = (64,),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            n_features,
            units,
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.pooling = require_pooling(pooling)
        stack: list[nn.Module] = []
        inputs = units * (2 if bidirectional else 1)
        for outputs in dense:
            stack += [nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        self.dense = nn.Sequential(*stack)
        self.embedding_size = inputs

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        steps, _ = self.lstm(features.transpose(1, 2))  # (batch, frames, units or twice as many)
        return NetworkOutput(self.dense(POOLINGS[self.pooling](steps)).float(), None)
