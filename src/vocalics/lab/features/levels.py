"""One power on other scales: amplitude, decibel, share of a total."""

import torch
from torch import Tensor

#: librosa's ``amin``: a power below it counts as silence in decibels.
SILENCE = 1e-10

#: librosa's ``tiny``: a total below the smallest float32 with all its digits is not divided by.
NOTHING = torch.finfo(torch.float32).tiny


def amplitude(power: Tensor) -> Tensor:
    """Square root of a power, shaped as it is; its gradient in digital silence is 0, not infinite.

    It needs no bound: one that only float64 holds would be 0 in the exported graph, and one that float32
    holds, 1.2e-38, lies above what a decoder leaves in a pause. What rounding left below 0 counts as 0.

    Examples
    --------
    >>> amplitude(torch.tensor([4.0, 0.0]))
    tensor([2., 0.])
    """
    sounds = power > 0
    return torch.where(sounds, power, 1.0).sqrt() * sounds


def power_to_db(power: Tensor, top_db: float = 80.0) -> Tensor:
    """Decibel against a power of 1, floored at `top_db` under the loudest value of each clip.

    Each clip equals ``librosa.power_to_db(power, top_db=top_db)``.

    Parameters
    ----------
    power
        (batch, rows, frames).
    top_db
        Distance of the floor from the clip's maximum, dB.

    Examples
    --------
    >>> power_to_db(torch.tensor([[[100.0, 0.1, 0.0]]]))
    tensor([[[ 20., -10., -60.]]])
    """
    decibel: Tensor = 10.0 * torch.log10(power.clamp(min=SILENCE))
    return torch.maximum(decibel, decibel.amax(dim=(1, 2), keepdim=True) - top_db)


def share_of(total: Tensor, part: Tensor) -> Tensor:
    """`part` over `total`; where the total is nothing, `part` as it is (librosa's ``util.normalize``).

    Examples
    --------
    >>> share_of(torch.tensor([4.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor([0.2500, 0.0000])
    """
    return part / torch.where(total < NOTHING, 1.0, total)
