"""What the registry knows of a corpus, as frozen records."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Labels:
    """What a file's name, and the folder it lies in, say of a recording.

    Attributes
    ----------
    stem
        The corpus's own name of the recording, without suffix: the same for every copy of it.
    speaker
        Unique within the corpus.
    gender
        ``female`` or ``male``.
    emotion
        A canonical emotion, or the corpus's own label where it has no place among the eight.
    intensity, sentence
        The corpus's own word and code, or empty.
    """

    stem: str
    speaker: str
    gender: str
    emotion: str
    intensity: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes
    ----------
    url
        Where it is.
    path
        Where it goes, relative to the corpus's folder, with forward slashes.
    size_bytes
        Length, where it is known.
    digest
        ``md5:`` or ``sha256:`` and the hexadecimal digest; empty where nobody published one.
    unpack
        It is a zip archive whose contents go to the corpus's folder.
    """

    url: str
    path: str
    size_bytes: int | None = None
    digest: str = ""
    unpack: bool = False


@dataclass(frozen=True)
class CorpusInfo:
    """One entry of the registry.

    Attributes
    ----------
    name
        What the command line and the manifests call it.
    title, licence, citation, home
        Full name, terms of use, the paper to cite, and the page that says more.
    languages
        ISO 639-1 codes.
    emotions
        Labels that its utterances have here, in the order of `vocalics.emotions.EMOTIONS`, others last.
    speakers, utterances
        How many the complete corpus has.
    folders
        Names its folder has on people's disks, in lower case without punctuation.
    example
        The name of one of its files.
    read_name
        ``read_name(stem, folder) -> Labels | None``: what the stem of a file name, in a folder of that name,
        says; None when it is no name of this corpus.
    part_of
        The corpus that its utterances count to, where the same people speak in two (RAVDESS's songs): their
        speakers must not be mistaken for strangers.
    base_url
        Where downloads start; a mirror replaces it.
    remote_files
        ``remote_files(base_url) -> files``; None when the corpus is only given on request.
    how_to_get
        A sentence for the person who wants it.
    """

    name: str
    title: str
    licence: str
    citation: str
    home: str
    languages: tuple[str, ...]
    emotions: tuple[str, ...]
    speakers: int
    utterances: int
    folders: tuple[str, ...]
    example: str
    read_name: Callable[[str, str], Labels | None]
    how_to_get: str
    part_of: str = ""
    base_url: str = ""
    remote_files: Callable[[str], tuple[RemoteFile, ...]] | None = None

    @property
    def corpus(self) -> str:
        """What `Utterance.corpus` and the start of `Utterance.id` say."""
        return self.part_of or self.name
