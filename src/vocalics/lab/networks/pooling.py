"""One vector for an utterance from what was heard of it step by step."""

from collections.abc import Callable

import torch
from torch import Tensor

#: By name: states (batch, steps, units) -> (batch, units).
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "last": lambda states: states[:, -1],
    "mean": lambda states: states.mean(dim=1),
}


def require_pooling(name: str) -> str:
    """Return the name of a pooling; `ValueError` names those that there are."""
    if name not in POOLINGS:
        raise ValueError(f"pooling is '{name}'; give one of {', '.join(POOLINGS)}")
    return name


def steps_of_clips(steps: int, lengths: Tensor) -> Tensor:
    """Tell the steps of each clip from what fills up its place in a batch: (batch, steps), True within it.

    Examples
    --------
    >>> steps_of_clips(3, torch.tensor([1, 3])).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]
