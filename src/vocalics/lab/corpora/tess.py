"""TESS: the Toronto Emotional Speech Set.

Two actresses, one of 64 years (OAF) and one of 26 (YAF), say "Say the word ..." with 200 words in seven
emotions: 2,800 recordings in North American English.

The name is speaker, word, emotion; ``ps`` is pleasant surprise. Where a copy's file names lack the emotion,
the folder has it.

- ``YAF_happy/YAF_shack_happy.wav``: the younger woman, "shack", happy
- ``OAF_Pleasant_surprise/OAF_bath_ps.wav``: the older woman, "bath", surprised

One file is named ``OA_bite_neutral``; its speaker is OAF and the name stays in the id.

From Borealis (doi:10.5683/SP2/E8H2MF), under CC BY-NC-ND 4.0. With two speakers, any split that is not by
speaker reads 98 to 100 % and means nothing.
"""

import re

from vocalics import emotions
from vocalics.lab.corpora.dataverse import dataset_files
from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile

_NAME = re.compile(r"(OAF?|YAF)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.IGNORECASE)
_BARE_NAME = re.compile(r"(?:(OAF|YAF)_)?([a-z]+)", re.IGNORECASE)
_FOLDER = re.compile(r"(OAF|YAF)_([a-z_]+)", re.IGNORECASE)


def read_name(stem: str, folder: str) -> Labels | None:
    """Read speaker, word and emotion from the name, or from name and folder.

    Examples
    --------
    >>> read_name("OAF_bath_ps", "OAF_Pleasant_surprise")
    Labels(stem='OAF_bath_ps', speaker='OAF', gender='female', emotion='surprised', intensity='',
    sentence='bath')
    >>> read_name("OAF_bath", "OAF_Fear").stem
    'OAF_bath_fear'
    """
    if match := _NAME.fullmatch(stem):
        speaker, word, label = match[1].upper(), match[2].lower(), match[3].lower()
        stem = f"{speaker}_{word}_{label}"
        speaker = "OAF" if speaker == "OA" else speaker
    elif (bare := _BARE_NAME.fullmatch(stem)) and (parent := _FOLDER.fullmatch(folder)):
        speaker, word, label = parent[1].upper(), bare[2].lower(), parent[2].lower()
        if bare[1] and bare[1].upper() != speaker:
            return None
        stem = f"{speaker}_{word}_{'ps' if 'surprise' in label else label}"
    else:
        return None
    emotion = emotions.canonical(label)
    return Labels(stem, speaker, "female", emotion, sentence=word) if emotion else None


def _remote_files(base_url: str) -> tuple[RemoteFile, ...]:
    return dataset_files(base_url, "doi:10.5683/SP2/E8H2MF")


INFO = CorpusInfo(
    name="tess",
    title="Toronto Emotional Speech Set",
    licence="CC BY-NC-ND 4.0",
    citation=(
        "Pichora-Fuller, Dupuis: Toronto emotional speech set (TESS). Borealis, 2020. doi:10.5683/SP2/E8H2MF."
    ),
    home="https://doi.org/10.5683/SP2/E8H2MF",
    languages=("en",),
    emotions=("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    speakers=2,
    utterances=2800,
    folders=(
        "tess",
        "tesstorontoemotionalspeechsetdata",
        "torontoemotionalspeechset",
        "torontoemotionalspeechsettess",
    ),
    example="YAF_shack_happy.wav",
    read_name=read_name,
    how_to_get="vocalics corpus download tess",
    base_url="https://borealisdata.ca",
    remote_files=_remote_files,
)
