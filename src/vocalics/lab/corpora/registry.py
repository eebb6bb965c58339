"""The registry of corpora."""

from difflib import get_close_matches

from vocalics.errors import UsageError
from vocalics.lab.corpora import cremad, emodb, nemo, ravdess, savee, tess
from vocalics.lab.corpora.info import CorpusInfo

#: Every corpus whose labels stand in its file names, by name. (Anything else is read by ``folder``.)
CORPORA: dict[str, CorpusInfo] = {
    info.name: info
    for info in (ravdess.SPEECH, ravdess.SONG, tess.INFO, savee.INFO, cremad.INFO, emodb.INFO, nemo.INFO)
}


def get(name: str) -> CorpusInfo:
    """Return the corpus of that name; `UsageError` lists the known ones otherwise.

    Examples
    --------
    >>> get("tess").speakers
    2
    """
    if name in CORPORA:
        return CORPORA[name]
    near = get_close_matches(name.lower(), CORPORA, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UsageError(f"unknown corpus '{name}'.{hint} Known are {', '.join(CORPORA)} and folder.")
