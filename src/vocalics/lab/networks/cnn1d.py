"""1-D convolutions along the coefficients of one feature vector a clip: the mean over time comes first."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput


class Cnn1d(nn.Module):
    """1-D CNN on the features' mean over time, read as a sequence of coefficients.

    Parameters
    ----------
    n_features
        Rows of the feature stack: the length of the sequence.
    channels
        Filters of the convolution layers.
    kernel_size
        Coefficients that a filter spans.
    pool_size, pool_stride
        Of the average pooling after each convolution.
    dense
        Width of the dense layer, which is the utterance embedding.
    dropout
        After each pooling.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (256, 256, 128),
        kernel_size: int = 6,
        pool_size: int = 4,
        pool_stride: int = 2,
        dense: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs, length = 1, n_features
        for outputs in channels:
            blocks += [
                nn.ConstantPad1d(
                    ((kernel_size - 1) // 2, kernel_size // 2), 0.0
                ),  # an even kernel looks ahead
                nn.Conv1d(inputs, outputs, kernel_size),
                nn.ReLU(),
                nn.AvgPool1d(pool_size, pool_stride),
                nn.Dropout(dropout),
            ]
            inputs, length = outputs, (length - pool_size) // pool_stride + 1
        self.convolutions = nn.Sequential(*blocks)
        self.dense = nn.Linear(inputs * length, dense)
        self.embedding_size = dense

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        mean = features.mean(dim=2)[:, None]  # (batch, 1, n_features)
        maps = self.convolutions(mean)  # (batch, channels, length)
        return NetworkOutput(functional.relu(self.dense(maps.flatten(1))), None)
