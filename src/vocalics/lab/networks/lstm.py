"""LSTM layers over the feature frames, then dense layers."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocalics.lab.networks.output import NetworkOutput


class Lstm(nn.Module):
    """LSTM on frames; the state after the last frame goes through dense layers.

    Parameters
    ----------
    n_features
        Rows of the feature stack.
    units
        Of each LSTM layer.
    layers
        LSTM layers.
    dense
        Widths of the dense layers; the last one is the utterance embedding.
    dropout
        Between LSTM layers and before each dense layer.
    """

    def __init__(
        self,
        n_features: int,
        units: int = 128,
        layers: int = 2,
        dense: Sequence[int] = (64,),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            n_features, units, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        stack: list[nn.Module] = []
        inputs = units
        for outputs in dense:
            stack += [nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        self.dense = nn.Sequential(*stack)
        self.embedding_size = inputs

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        steps, _ = self.lstm(features.transpose(1, 2))  # (batch, frames, units)
        return NetworkOutput(self.dense(steps[:, -1]).float(), None)
