"""Many narrow filters over a spectrum, as few small matrix products."""

import torch
from torch import Tensor, nn

#: Groups of neighbouring filters. Over 128 mel filters and 1,025 bins, one thread: one group 13.8 ms for 32
#: clips of 3.5 s, 4 groups 4.5, 8 groups 3.3, 16 groups 3.5.
GROUPS = 8


class FilterBank(nn.Module):
    """Filters, each of which touches few neighbouring bins, in order of frequency.

    As one matrix nearly all of its products would be with zeros, so the filters are taken in groups, and each
    group over only the bins that it touches.

    Parameters
    ----------
    filters
        (n_filters, n_bins).

    Examples
    --------
    >>> FilterBank(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]))(torch.tensor([[[1.0], [3.0], [5.0]]]))
    tensor([[[2.],
             [4.]]])
    """

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self._bins: list[slice] = []
        for position, group in enumerate(filters.chunk(GROUPS)):
            touched = group.any(dim=0).nonzero().flatten().tolist() or [0]
            bins = slice(touched[0], touched[-1] + 1)
            self._bins.append(bins)
            self.register_buffer(f"group_{position}", group[:, bins].clone(), persistent=False)

    def forward(self, power: Tensor) -> Tensor:
        """Return (batch, n_filters, frames) of a power spectrogram (batch, n_bins, frames)."""
        groups = zip(self.buffers(), self._bins, strict=True)
        return torch.cat([filters @ power[:, bins] for filters, bins in groups], dim=1)
