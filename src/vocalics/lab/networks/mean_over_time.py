"""A dense layer over each frame, then the mean over time: what benchmarks put on frozen encoders [1]_, [2]_.

.. [1] Yang et al.: SUPERB: speech processing universal performance benchmark. Interspeech 2021.
.. [2] Ma et al.: EmoBox: multilingual multi-corpus speech emotion recognition toolkit and benchmark.
   Interspeech 2024.
"""

from torch import Tensor, nn
from torch.nn import functional

from vocalics.lab.networks.output import NetworkOutput
from vocalics.lab.networks.pooling import steps_of_clips


class MeanOverTime(nn.Module):
    """Each frame by itself, then the mean of all, which is the utterance embedding.

    Parameters
    ----------
    n_features
        Rows of the features.
    units
        Width of the layer over each frame, and of the embedding.
    dropout
        Of single values before it.
    """

    def __init__(self, n_features: int, units: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.frame = nn.Linear(n_features, units)
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = units

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> NetworkOutput:
        """Embed features (batch, n_features, frames), of which each clip has `lengths` (batch,), or all."""
        frames = functional.relu(self.frame(self.dropout(features.transpose(1, 2)))).float()
        if lengths is None:
            return NetworkOutput(frames.mean(dim=1), None)  # (batch, units)
        own = steps_of_clips(frames.shape[1], lengths)[:, :, None]
        return NetworkOutput((frames * own).sum(dim=1) / lengths[:, None], None)
