"""Pretrained speech encoders: found on this disk or on the Hugging Face hub, and heard layer by layer.

A recipe's ``encoder`` stands in the place of its ``features``. As with these, what is heard lies inside the
exported graph; and where the encoder stays as it is, its states are computed once for each clip and kept.
"""

from vocalics.lab.encoders.families import FAMILIES, Family, SpeechEncoder, load_encoder
from vocalics.lab.encoders.front_end import EncoderFrontEnd
from vocalics.lab.encoders.states import StateStore, WholeStates, join_states

__all__ = [
    "FAMILIES",
    "EncoderFrontEnd",
    "Family",
    "SpeechEncoder",
    "StateStore",
    "WholeStates",
    "join_states",
    "load_encoder",
]
