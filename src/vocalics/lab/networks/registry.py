"""The networks that a recipe can name."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from typing import Any

from torch import nn

from vocalics.errors import RecipeError
from vocalics.lab.networks.attentive_statistics import AttentiveStatistics
from vocalics.lab.networks.cnn1d import Cnn1d
from vocalics.lab.networks.cnn2d import Cnn2d
from vocalics.lab.networks.cnn_bilstm_attention import CnnBilstmAttention
from vocalics.lab.networks.cnn_lstm import CnnLstm
from vocalics.lab.networks.lstm import Lstm
from vocalics.lab.networks.mean_over_time import MeanOverTime
from vocalics.lab.networks.output import NetworkOutput

__all__ = ["NETWORKS", "NetworkInfo", "NetworkOutput", "build_network"]


@dataclass(frozen=True)
class NetworkInfo:
    """A network that a recipe can name.

    Attributes
    ----------
    name
        Its name in a recipe.
    build
        The class: ``build(n_features, **parameters)``; the module has ``embedding_size`` and answers a
        `NetworkOutput`.
    minimum_frames
        Fewest feature frames it accepts.
    description
        One line.
    hears_lengths
        Whether it takes clips of different lengths in one batch, and how many frames each has:
        ``network(features, lengths)``.
    """

    name: str
    build: Callable[..., nn.Module]
    minimum_frames: int
    description: str
    hears_lengths: bool = False


#: Every network that a recipe can name.
NETWORKS: dict[str, NetworkInfo] = {
    info.name: info
    for info in (
        NetworkInfo(
            "cnn_bilstm_attention",
            CnnBilstmAttention,
            minimum_frames=8,
            description="2-D convolutions, bidirectional LSTM, attentive statistics pooling",
        ),
        NetworkInfo(
            "cnn_lstm",
            CnnLstm,
            minimum_frames=8,
            description="2-D convolutions over features and time, LSTM over time",
        ),
        NetworkInfo("lstm", Lstm, minimum_frames=1, description="LSTM layers over the frames, dense layers"),
        NetworkInfo(
            "cnn1d",
            Cnn1d,
            minimum_frames=1,
            description="1-D convolutions along the coefficients of the features' mean over time",
        ),
        NetworkInfo(
            "cnn2d",
            Cnn2d,
            minimum_frames=8,
            description="three blocks of 3x3 convolutions, global average pooling, dense layers",
        ),
        NetworkInfo(
            "attentive_statistics",
            AttentiveStatistics,
            minimum_frames=1,
            description="a dense layer over each frame, attentive statistics pooling; for encoders",
            hears_lengths=True,
        ),
        NetworkInfo(
            "mean_over_time",
            MeanOverTime,
            minimum_frames=1,
            description="a dense layer over each frame, the mean over time; for encoders",
            hears_lengths=True,
        ),
    )
}


def build_network(name: str, n_features: int, parameters: dict[str, Any]) -> nn.Module:
    """Build the network of that name.

    Parameters
    ----------
    name
        One of `NETWORKS`.
    n_features
        Rows of the feature stack.
    parameters
        The network's own, as its class takes them.

    Raises
    ------
    RecipeError
        An unknown network or parameter (with the nearest known one), or a value that the network refuses.
    """
    if name not in NETWORKS:
        near = get_close_matches(name, NETWORKS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise RecipeError(f"unknown network '{name}'{hint} Known: {', '.join(NETWORKS)}.")
    info = NETWORKS[name]
    known = [key for key in signature(info.build).parameters if key != "n_features"]
    unknown = [key for key in parameters if key not in known]
    if unknown:
        near = get_close_matches(unknown[0], known, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else f". Known: {', '.join(known)}."
        raise RecipeError(f"network '{name}': unknown parameter '{unknown[0]}'{hint}")
    try:
        return info.build(n_features, **parameters)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"network '{name}' cannot be built as the recipe says: {error}.") from error
