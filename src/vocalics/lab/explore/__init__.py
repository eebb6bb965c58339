"""``vocalics corpus explore``: get to know a corpus before a model does.

::

    sample.py        which recordings are listened to
    measures.py      what can be measured on one recording
    listening.py     listen to many at once; lay them out on a map
    oddities.py      sentences about what is odd
    sections.py      the sections of the page
    exploration.py   manifest -> the page and its pictures
"""

from vocalics.lab.explore.exploration import SAMPLE, explore

__all__ = ["SAMPLE", "explore"]
