"""Several networks of one kind that answer together.

While they are trained, each clip of a batch is heard by one of them alone, so an epoch takes no longer than
with one network, and they do not come to lean on one another [1]_. In use all hear every clip, and the head
adds up what they say.

.. [1] Lee et al.: Why M heads are better than one: training a diverse ensemble of deep networks. 2015.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vocalics.lab.networks.output import NetworkOutput


class Ensemble(nn.Module):
    """An ensemble of networks with first weights of their own.

    Parameters
    ----------
    members
        Networks with embeddings of one size.

    Examples
    --------
    >>> from vocalics.lab.networks import build_network
    >>> pair = Ensemble([build_network("lstm", 40, {"dense": [8]}) for _ in range(2)])
    >>> pair.embedding_size, pair(torch.zeros(4, 40, 100)).embedding.shape
    (16, torch.Size([4, 16]))
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        sizes: list[Any] = [member.embedding_size for member in members]
        self.embedding_size: int = sum(sizes)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> NetworkOutput:
        """Embed features (batch, n_features, frames); the members' embeddings stand side by side."""
        given = () if lengths is None else (lengths,)
        if self.training:
            return NetworkOutput(self._embed_in_turn(features, *given), None)
        answers = [member(features, *given) for member in self.members]
        attentions = [answer.attention for answer in answers if answer.attention is not None]
        attention = torch.stack(attentions).mean(dim=0) if attentions else None
        return NetworkOutput(torch.cat([answer.embedding for answer in answers], dim=1), attention)

    def _embed_in_turn(self, features: Tensor, *lengths: Tensor) -> Tensor:
        """Let each of n members hear every n-th clip, with n times its weight; the others' places are 0."""
        n_members = len(self.members)
        embeddings = torch.zeros(len(features), n_members, self.embedding_size // n_members)
        embeddings = embeddings.to(features.device)
        for position, member in enumerate(self.members):
            own = [given[position::n_members] for given in (features, *lengths)]
            heard = member(*own).embedding  # (clips, size)
            embeddings[position::n_members, position] = n_members * heard.float()
        return embeddings.flatten(1)
