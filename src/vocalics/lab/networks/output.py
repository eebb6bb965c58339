"""What every network answers."""

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """An utterance embedding and, where the network has it, attention over time.

    Attributes
    ----------
    embedding
        (batch, embedding_size).
    attention
        (batch, frames), each row sums to one; None where the network pools without attention.
    """

    embedding: Tensor
    attention: Tensor | None
