"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song.

Twenty-four actors (12 women, 12 men, North American English) say two sentences in eight emotions, each but
neutral at two intensities, each take twice: 1,440 spoken recordings. Twenty-three of them also sing the
sentences in six: 1,012.

The name is seven numbers: modality, channel, emotion, intensity, sentence, repetition, actor. Actors with odd
numbers are men.

- ``Actor_12/03-01-06-01-02-01-12.wav``: audio only, speech, fearful, normal, "Dogs are sitting by the door",
  first take, actor 12
- ``Actor_01/03-02-03-02-01-02-01.wav``: audio only, song, happy, strong, "Kids are talking by the door",
  second take, actor 1

Modality 01 (video with sound) is the same take as 03 (sound alone), so both have one id; 02 (video alone) has
no sound and is not read. Known: ``03-01-03-01-02-01-07`` and ``03-01-03-01-02-02-07`` are the same recording.

From Zenodo, record 1188976, under CC BY-NC-SA 4.0. Songs are a corpus of their own here, ``ravdess-song``, so
that nobody trains on singing unawares; its utterances count to ``ravdess``, since the singers are its
speakers.
"""

import re
from functools import partial

from vocalics.lab.corpora.info import CorpusInfo, Labels, RemoteFile

_NAME = re.compile(r"0[13]-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")

_CHANNEL = {"speech": "01", "song": "02"}
_EMOTION = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_INTENSITY = {"01": "normal", "02": "strong"}


def read_name(stem: str, folder: str, *, channel: str = "speech") -> Labels | None:
    """Read the seven numbers of a name; the folder says nothing.

    Examples
    --------
    >>> read_name("03-01-06-01-02-01-12", "Actor_12")
    Labels(stem='03-01-06-01-02-01-12', speaker='12', gender='female', emotion='fearful', intensity='normal',
    sentence='02')
    """
    match = _NAME.fullmatch(stem)
    if match is None or match[1] != _CHANNEL[channel]:
        return None
    actor = match[6]
    return Labels(
        stem=f"03{stem[2:]}",
        speaker=actor,
        gender="male" if int(actor) % 2 else "female",
        emotion=_EMOTION[match[2]],
        intensity=_INTENSITY[match[3]],
        sentence=match[4],
    )


def _archive(base_url: str, *, name: str, size_bytes: int, digest: str) -> tuple[RemoteFile, ...]:
    return (RemoteFile(f"{base_url}/{name}", name, size_bytes, digest, unpack=True),)


_CITATION = (
    "Livingstone, Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS): A "
    "dynamic, multimodal set of facial and vocal expressions in North American English. "
    "PLoS ONE 13(5): e0196391, 2018."
)
_ZENODO = "https://zenodo.org/record/1188976/files"

# Sizes and MD5 as Zenodo's record states them.
SPEECH = CorpusInfo(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song, speech",
    licence="CC BY-NC-SA 4.0",
    citation=_CITATION,
    home="https://zenodo.org/record/1188976",
    languages=("en",),
    emotions=("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    speakers=24,
    utterances=1440,
    folders=("ravdess", "ravdessspeech", "audiospeechactors0124", "ravdessemotionalspeechaudio"),
    example="03-01-06-01-02-01-12.wav",
    read_name=partial(read_name, channel="speech"),
    how_to_get="vocalics corpus download ravdess",
    base_url=_ZENODO,
    remote_files=partial(
        _archive,
        name="Audio_Speech_Actors_01-24.zip",
        size_bytes=208_468_073,
        digest="md5:bc696df654c87fed845eb13823edef8a",
    ),
)

SONG = CorpusInfo(
    name="ravdess-song",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song, song",
    licence="CC BY-NC-SA 4.0",
    citation=_CITATION,
    home="https://zenodo.org/record/1188976",
    languages=("en",),
    emotions=("neutral", "calm", "happy", "sad", "angry", "fearful"),
    speakers=23,
    utterances=1012,
    folders=("ravdesssong", "audiosongactors0124"),
    example="03-02-03-02-01-02-01.wav",
    read_name=partial(read_name, channel="song"),
    how_to_get="vocalics corpus download ravdess-song",
    part_of="ravdess",
    base_url=_ZENODO,
    remote_files=partial(
        _archive,
        name="Audio_Song_Actors_01-24.zip",
        size_bytes=225_505_317,
        digest="md5:5411230427d67a21e18aa4d466e6d1b9",
    ),
)
