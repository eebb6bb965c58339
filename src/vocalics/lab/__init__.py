"""The lab wing: corpora, splits, training, export, evaluation. Needs ``pip install 'vocalics[lab]'``."""
