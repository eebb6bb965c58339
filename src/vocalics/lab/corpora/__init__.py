"""Corpora of emotional speech: a registry, readers from folder to manifest, and a downloader.

Each corpus has a file of its own (`ravdess`, `tess`, `savee`, `cremad`, `emodb`, `nemo`) that says what it
is, who spoke, how the label hides in the file name, where to get it and under which licence; `folder` reads
recordings of one's own.
"""

from vocalics.lab.corpora.data import data_folder, find_corpora, load_data, scan, scan_data
from vocalics.lab.corpora.decoding import audio_digest, cache_folder
from vocalics.lab.corpora.download import Download, download
from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile
from vocalics.lab.corpora.notes import Note
from vocalics.lab.corpora.registry import CORPORA, get

__all__ = [
    "CORPORA",
    "CorpusInfo",
    "Download",
    "Labels",
    "Note",
    "RemoteFile",
    "audio_digest",
    "cache_folder",
    "data_folder",
    "download",
    "find_corpora",
    "get",
    "load_data",
    "scan",
    "scan_data",
]
