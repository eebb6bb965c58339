"""Networks: one file per architecture, one registry.

A network turns features (batch, n_features, frames) into an utterance embedding (batch, embedding_size) and,
where it has one, attention over time (batch, frames). The affine head that follows is the same for all, so
that adaptation works on every recipe.
"""

from vocalics.lab.networks.ensemble import Ensemble
from vocalics.lab.networks.registry import NETWORKS, NetworkInfo, NetworkOutput, build_network

__all__ = ["NETWORKS", "Ensemble", "NetworkInfo", "NetworkOutput", "build_network"]
