"""Who trains, who validates, who tests: protocols of evaluation.

::

    split.py       Split: the record, its digest, its file
    protocols.py   make_splits: a manifest and the name of a protocol -> one Split a fold
    folds.py       which utterances each protocol tests in each fold
    official.py    folds that others published: EmoBox's lists, or a split file
    validation.py  the part of the training utterances that is held out for choices

Whatever the protocol, utterances with the same audio never stand on two sides, and validation is taken out of
the training part.
"""

from vocalics.lab.splits.protocols import make_splits
from vocalics.lab.splits.split import PROTOCOLS, Split, load_split

__all__ = ["PROTOCOLS", "Split", "load_split", "make_splits"]
