"""SAVEE: the Surrey Audio-Visual Expressed Emotion database.

Four men of 27 to 31 years (DC, JE, JK, KL), British English, say 15 TIMIT sentences in each of six emotions
and 30 in neutral: 480 recordings.

The name is the emotion's letters and the number of the sentence. The original has a folder for each speaker,
the copy on Kaggle puts the speaker before the name; both get the id of the second.

- ``DC/sa05.wav``: speaker DC, sad, fifth sentence of the sad ones
- ``JK_su11.wav``: speaker JK, surprised, eleventh sentence of the surprised ones

On request from its authors at the University of Surrey, for research use only.
"""

import re

from vocalics.lab.corpora.info import CorpusInfo, Labels

_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)(\d\d)")

_SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTION = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}


def read_name(stem: str, folder: str) -> Labels | None:
    """Read emotion and sentence from the name, and the speaker from the name or the folder.

    Examples
    --------
    >>> read_name("sa05", "DC") == read_name("DC_sa05", "AudioData")
    True
    >>> read_name("DC_sa05", "").emotion
    'sad'
    """
    match = _NAME.fullmatch(stem)
    speaker = match and (match[1] or folder.upper())
    if match is None or speaker not in _SPEAKERS:
        return None
    return Labels(
        stem=f"{speaker}_{match[2]}{match[3]}",
        speaker=speaker,
        gender="male",
        emotion=_EMOTION[match[2]],
        sentence=f"{match[2]}{match[3]}",  # numbers count within an emotion: a05 and sa05 differ
    )


INFO = CorpusInfo(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion",
    licence="research use only",
    citation=(
        "Haq, Jackson: Multimodal emotion recognition. In: Machine Audition: Principles, Algorithms and "
        "Systems, pp. 398-423. IGI Global, 2010."
    ),
    home="http://kahlan.eps.surrey.ac.uk/savee/",
    languages=("en",),
    emotions=("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    speakers=4,
    utterances=480,
    folders=("savee", "saveeaudio", "surreyaudiovisualexpressedemotionsavee"),
    example="DC_sa05.wav",
    read_name=read_name,
    how_to_get="ask its authors at http://kahlan.eps.surrey.ac.uk/savee/, then put the files into DIR/savee",
)
