"""Three blocks of 3x3 convolutions over features and time, global average pooling, two dense layers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vocalics.lab.networks.output import NetworkOutput


def _statistics(maps: Tensor) -> Tensor:
    maps = maps.float()  # in full precision: a variance cancels badly in bfloat16
    deviation = (maps.var(dim=3, correction=0) + 1e-5).sqrt()
    return torch.cat([maps.mean(dim=3), deviation], dim=1).flatten(1)


#: Maps (batch, channels, rows, frames) to what the dense layers get, (batch, inputs).
_POOLED: dict[str, Callable[[Tensor], Tensor]] = {
    "global": lambda maps: maps.mean(dim=(2, 3)),
    "time": lambda maps: maps.mean(dim=3).flatten(1),
    "statistics": _statistics,
}


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
    pooling
        ``global``: the mean over rows and time. ``time``: over time alone, so that the dense layers know
        which rows a pattern was found in. ``statistics``: mean and deviation over time.

    Raises
    ------
    ValueError
        More blocks than the rows can be halved, or an unknown pooling.
    """

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int] = (32, 64, 128),
        dense: Sequence[int] = (256, 128),
        dropout: float = 0.3,
        pooling: str = "global",
    ) -> None:
        super().__init__()
        bands = n_features // 2 ** len(channels)
        if not bands:
            raise ValueError(
                f"{n_features} rows of features cannot be halved {len(channels)} times; take fewer channels"
            )
        if pooling not in _POOLED:
            raise ValueError(f"pooling is '{pooling}'; give one of {', '.join(_POOLED)}")
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
        self.pooling = pooling
        inputs *= {"global": 1, "time": bands, "statistics": 2 * bands}[pooling]
        layers: list[nn.Module] = []
        for outputs in dense:
            layers += [nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        self.dense = nn.Sequential(*layers)
        self.embedding_size = inputs

    def forward(self, features: Tensor) -> NetworkOutput:
        """Embed features (batch, n_features, frames)."""
        maps = self.convolutions(features[:, None])  # (batch, channels, n_features // 8, frames // 8)
        return NetworkOutput(self.dense(_POOLED[self.pooling](maps)), None)
