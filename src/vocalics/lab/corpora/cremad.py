"""CREMA-D: the Crowd-sourced Emotional Multimodal Actors Dataset.

Ninety-one actors (43 women, 48 men, 20 to 74 years, of many backgrounds) say twelve English sentences in six
emotions, one of them at three levels of intensity: 7,442 recordings.

The name is actor, sentence, emotion, level.

- ``1001_DFA_ANG_XX.wav``: actor 1001, "Don't forget a jacket", angry, level not specified
- ``1002_IEO_SAD_HI.wav``: actor 1002, "It's eleven o'clock", sad, high

From github.com/CheyneyComputerScience/CREMA-D, under the Open Database License 1.0. The audio is stored with
Git LFS: each file has its size and SHA-256 there, and ``cremad_files.csv.gz`` here repeats them, so every
download is checked. Known: ``1076_MTI_SAD_XX`` is said to hold no speech.
"""

import csv
import gzip
import re
from importlib import resources

from vocalics import emotions
from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile

_NAME = re.compile(
    r"(10[0-8]\d|109[01])_(DFA|IEO|IOM|ITH|ITS|IWL|IWW|MTI|TAI|TIE|TSI|WSI)_(ANG|DIS|FEA|HAP|NEU|SAD)_(XX?|LO|MD|HI)"
)
_INTENSITY = {"X": "unspecified", "XX": "unspecified", "LO": "low", "MD": "medium", "HI": "high"}

#: From the corpus's ``VideoDemographics.csv``; the other actors are men.
# fmt: off
_WOMEN = frozenset({
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028,
    1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063,
    1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091,
})
# fmt: on


def read_name(stem: str, folder: str) -> Labels | None:
    """Read actor, sentence, emotion and level from the name; the folder says nothing.

    Examples
    --------
    >>> read_name("1002_IEO_SAD_HI", "AudioWAV")
    Labels(stem='1002_IEO_SAD_HI', speaker='1002', gender='female', emotion='sad', intensity='high',
    sentence='IEO')
    """
    match = _NAME.fullmatch(stem)
    if match is None or match[1] == "1000":
        return None
    actor, sentence, code, level = match.groups()
    return Labels(
        stem=stem if level != "X" else f"{stem}X",  # older copies have one file with a single X
        speaker=actor,
        gender="female" if int(actor) in _WOMEN else "male",
        emotion=emotions.canonical(code) or code.lower(),
        intensity=_INTENSITY[level],
        sentence=sentence,
    )


def _remote_files(base_url: str) -> tuple[RemoteFile, ...]:
    table = resources.files("vocalics.lab.corpora") / "cremad_files.csv.gz"
    rows = csv.DictReader(gzip.decompress(table.read_bytes()).decode().splitlines())
    return tuple(
        RemoteFile(
            f"{base_url}/AudioWAV/{row['file']}", row["file"], int(row["bytes"]), f"sha256:{row['sha256']}"
        )
        for row in rows
    )


INFO = CorpusInfo(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset",
    licence="ODbL 1.0",
    citation=(
        "Cao, Cooper, Keutmann, Gur, Nenkova, Verma: CREMA-D: Crowd-sourced Emotional Multimodal Actors "
        "Dataset. IEEE Transactions on Affective Computing 5(4), pp. 377-390, 2014."
    ),
    home="https://github.com/CheyneyComputerScience/CREMA-D",
    languages=("en",),
    emotions=("neutral", "happy", "sad", "angry", "fearful", "disgust"),
    speakers=91,
    utterances=7442,
    folders=("cremad", "crema", "audiowav"),
    example="1001_DFA_ANG_XX.wav",
    read_name=read_name,
    how_to_get="vocalics corpus download cremad",
    base_url="https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master",
    remote_files=_remote_files,
)
