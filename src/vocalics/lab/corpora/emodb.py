"""EMO-DB: the Berlin Database of Emotional Speech.

Ten actors (5 women, 5 men, 21 to 35 years) say ten German sentences in seven emotions; the 535 takes that
listeners recognised remain.

The name is speaker (2 digits), sentence (3 characters), the first letter of the German word for the emotion,
and a letter for the version. Boredom has no place among the eight emotions and keeps its name.

- ``03a01Fa.wav``: speaker 03, sentence a01, Freude (happy), version a
- ``16b10Lb.wav``: speaker 16, sentence b10, Langeweile (boredom), version b

From its home page at TU Berlin; audEERING republished it under CC0 1.0, the authors ask to be cited.
"""

import re

from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile

_NAME = re.compile(r"(03|08|09|1[0-6])([ab]\d\d)([WLEAFTN])([a-z]?)")

#: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral.
_EMOTION = {
    "W": "angry",
    "L": "boredom",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
_WOMEN = frozenset({"08", "09", "13", "14", "16"})


def read_name(stem: str, folder: str) -> Labels | None:
    """Read speaker, sentence and emotion from the name; the folder says nothing.

    Examples
    --------
    >>> read_name("16b10Lb", "wav")
    Labels(stem='16b10Lb', speaker='16', gender='female', emotion='boredom', intensity='', sentence='b10')
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    speaker, sentence, letter, _ = match.groups()
    gender = "female" if speaker in _WOMEN else "male"
    return Labels(stem, speaker, gender, _EMOTION[letter], sentence=sentence)


def _remote_files(base_url: str) -> tuple[RemoteFile, ...]:
    return (RemoteFile(f"{base_url}/download.zip", "download.zip", unpack=True),)


INFO = CorpusInfo(
    name="emodb",
    title="Berlin Database of Emotional Speech",
    licence="free, cite the authors (CC0 1.0 in audEERING's edition)",
    citation=(
        "Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech. "
        "Interspeech, pp. 1517-1520, 2005."
    ),
    home="http://emodb.bilderbar.info",
    languages=("de",),
    emotions=("neutral", "happy", "sad", "angry", "fearful", "disgust", "boredom"),
    speakers=10,
    utterances=535,
    folders=("emodb", "berlin", "berlindatabaseofemotionalspeech"),
    example="03a01Fa.wav",
    read_name=read_name,
    how_to_get="vocalics corpus download emodb",
    base_url="http://emodb.bilderbar.info/download",
    remote_files=_remote_files,
)
