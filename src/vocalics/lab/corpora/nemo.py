"""nEMO: a dataset of emotional speech in Polish.

Nine actors (4 women, 5 men, 23 to 28 years) say 90 sentences in six emotions: 4,481 recordings.

The name is speaker, emotion, sentence.

- ``EB0_anger_1.wav``: speaker EB0, angry, sentence 1
- ``WR0_surprised_66.wav``: speaker WR0, surprised, sentence 66

From github.com/amu-cai/nEMO, folder ``samples``, under CC BY-NC-SA 4.0. GitHub makes the archive anew when
asked, so it has no digest.
"""

import re

from vocalics import emotions
from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile

_NAME = re.compile(r"([A-Z]{2}0)_(anger|fear|happiness|neutral|sadness|surprised)_(\d{1,2})")

#: From the corpus's ``data.tsv``.
_GENDER = {
    "EB0": "female",
    "IC0": "female",
    "KD0": "female",
    "KS0": "male",
    "MK0": "female",
    "MP0": "male",
    "SM0": "male",
    "TP0": "male",
    "WR0": "male",
}


def read_name(stem: str, folder: str) -> Labels | None:
    """Read speaker, emotion and sentence from the name; the folder says nothing.

    Examples
    --------
    >>> read_name("EB0_anger_1", "samples")
    Labels(stem='EB0_anger_1', speaker='EB0', gender='female', emotion='angry', intensity='', sentence='1')
    """
    match = _NAME.fullmatch(stem)
    if match is None or match[1] not in _GENDER:
        return None
    speaker, label, sentence = match.groups()
    return Labels(stem, speaker, _GENDER[speaker], emotions.canonical(label) or label, sentence=sentence)


def _remote_files(base_url: str) -> tuple[RemoteFile, ...]:
    return (RemoteFile(f"{base_url}/archive/refs/heads/main.zip", "main.zip", unpack=True),)


INFO = CorpusInfo(
    name="nemo",
    title="nEMO, emotional speech in Polish",
    licence="CC BY-NC-SA 4.0",
    citation="Christop: nEMO: Dataset of Emotional Speech in Polish. LREC-COLING, 2024. arXiv 2404.06292.",
    home="https://github.com/amu-cai/nEMO",
    languages=("pl",),
    emotions=("neutral", "happy", "sad", "angry", "fearful", "surprised"),
    speakers=9,
    utterances=4481,
    folders=("nemo", "nemomain"),
    example="EB0_anger_1.wav",
    read_name=read_name,
    how_to_get="vocalics corpus download nemo",
    base_url="https://github.com/amu-cai/nEMO",
    remote_files=_remote_files,
)
