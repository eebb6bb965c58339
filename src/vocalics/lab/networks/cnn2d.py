"""Three blocks of 3x3 convolutions over features and time, global average pooling, two dense layers."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocalics.lab.networks.output import NetworkOutput


class Cnn2d(nn.Module):
    """2-D CNN on a stack of features as on a picture.

    Parameters
    ----------
    n_features
        Rows of the feature stack.
    channels
        Of the blocks; each halves both axes.
    dense
        Widths of the dense layers; the last one is the utterance embedding.
    dropout
        Before each dense layer.
    keep_rows
        Average over time alone, so that the dense layers know which rows a pattern was found in; otherwise
        over rows and time.

    Raises
    ------
    ValueError
        More blocks than the rows can be halved.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (32, 64, 128),
        dense: Sequence[int] = (256, 128),
        dropout: float = 0.3,
        keep_rows: bool = False,
    ) -> None:
        super().__init__()
        bands = n_features // 2 ** len(channels)
        if not bands:
            raise ValueError(
                f"{n_features} rows of features cannot be halved {len(channels)} times; take fewer channels"
            )
        blocks: list[nn.Module] = []
        inputs = 1
        for outputs in channels:
            blocks += [
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            inputs = outputs
        self.convolutions = nn.Sequential(*blocks)
        self.keep_rows = keep_rows
        inputs = inputs * bands if keep_rows else inputs
        layers: list[nn.Module] = []
        for outputs in dense:
            layers += [nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        self.dense = nn.Sequential(*layers)
        self.embedding_size = inputs

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        maps = self.convolutions(features[:, None])  # (batch, channels, n_features // 8, frames // 8)
        pooled = maps.mean(dim=3).flatten(1) if self.keep_rows else maps.mean(dim=(2, 3))
        return NetworkOutput(self.dense(pooled), None)
