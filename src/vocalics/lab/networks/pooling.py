"""One vector for an utterance from the states of an LSTM."""

from collections.abc import Callable

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
