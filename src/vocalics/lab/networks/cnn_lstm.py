"""1-D convolutions over time with the features as channels, then an LSTM."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput


class CnnLstm(nn.Module):
    """CNN for what a moment sounds like, LSTM for how moments follow each other.

    Parameters
    ----------
    n_features
        Rows of the feature stack, the channels of the first convolution.
    channels
        Of the convolution blocks; each halves the time axis.
    kernel_size
        Frames that a filter spans.
    units
        Of the LSTM.
    embedding_size
        Width of the dense layer, which is the utterance embedding.
    dropout
        After each block and before the dense layer.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (128, 128),
        kernel_size: int = 5,
        units: int = 128,
        embedding_size: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = n_features
        for outputs in channels:
            blocks += [
                nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
                nn.MaxPool1d(2),
                nn.Dropout(dropout),
            ]
            inputs = outputs
        self.convolutions = nn.Sequential(*blocks)
        self.lstm = nn.LSTM(inputs, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(units, embedding_size)
        self.embedding_size = embedding_size

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        steps = self.convolutions(features).transpose(1, 2)  # (batch, frames // 4, channels)
        steps, _ = self.lstm(steps)  # (batch, frames // 4, units)
        last = self.dropout(steps[:, -1].float())
        return NetworkOutput(functional.relu(self.dense(last)).float(), None)
