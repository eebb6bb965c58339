"""Made-up manifests, and a strategy that makes more of them, for the tests of splits and audit."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from vocalics.lab.manifest import Manifest, Utterance

EMOTIONS = ("neutral", "happy", "sad", "angry")


def utterance(corpus: str, speaker: str, number: int, emotion: str = "neutral", **others: str) -> Utterance:
    """One utterance with audio of its own."""
    name = f"{corpus}/{speaker}_{number:03d}"
    columns = {"gender": "", "intensity": "", "sentence": "", "digest": f"digest of {name}"} | others
    return Utterance(name, f"{name}.wav", corpus, speaker, emotion=emotion, duration_s=2.0, **columns)


def manifest(utterances: Iterable[Utterance]) -> Manifest:
    return Manifest(Path("made"), tuple(utterances))


def spoken_by(
    corpus: str, speakers: dict[str, str], per_emotion: int = 2, emotions: tuple[str, ...] = EMOTIONS
) -> list[Utterance]:
    """Every speaker (name -> gender) says every emotion `per_emotion` times, in two sentences."""
    return [
        utterance(corpus, speaker, number, emotion, gender=gender, sentence=str(1 + number % 2))
        for speaker, gender in speakers.items()
        for number, emotion in enumerate(emotion for emotion in emotions for _ in range(per_emotion))
    ]


def ravdess(per_emotion: int = 2) -> list[Utterance]:
    """Twenty-four actors: those with odd numbers are men."""
    actors = {f"{actor:02d}": "male" if actor % 2 else "female" for actor in range(1, 25)}
    return spoken_by("ravdess", actors, per_emotion)


def savee(per_emotion: int = 2) -> list[Utterance]:
    return spoken_by("savee", dict.fromkeys(("DC", "JE", "JK", "KL"), "male"), per_emotion)


def tess(per_emotion: int = 5) -> list[Utterance]:
    return spoken_by("tess", {"OAF": "female", "YAF": "female"}, per_emotion)


def nemo(per_emotion: int = 2) -> list[Utterance]:
    """Nine speakers, four women and five men."""
    women = dict.fromkeys(("EB0", "IC0", "KD0", "MK0"), "female")
    return spoken_by("nemo", women | dict.fromkeys(("KS0", "MP0", "SM0", "TP0", "WR0"), "male"), per_emotion)


#: Where speakers of made corpora come from: two corpora with published folds, two without.
SPEAKERS = {
    "ravdess": [f"{actor:02d}" for actor in range(1, 25)],
    "savee": ["DC", "JE", "JK", "KL"],
    "podcasts": list("abcdefgh"),
    "calls": list("stuvwxyz"),
}


@st.composite
def manifests(draw: st.DrawFn, copies: bool = True) -> Manifest:
    """Several corpora, each of two speakers or more, uneven, of known and unknown gender; some audio twice.

    The first utterance of each speaker is never copied, so that everybody keeps something to train on.
    """
    utterances: list[Utterance] = []
    for corpus in draw(st.lists(st.sampled_from(sorted(SPEAKERS)), min_size=1, max_size=3, unique=True)):
        for speaker in draw(st.lists(st.sampled_from(SPEAKERS[corpus]), min_size=2, max_size=7, unique=True)):
            gender = draw(st.sampled_from(("female", "male", "male", "")))
            emotions = draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=6))
            utterances += [
                utterance(corpus, speaker, number, emotion, gender=gender, sentence=str(number % 3))
                for number, emotion in enumerate(emotions)
            ]
    copied = [index for index, spoken in enumerate(utterances) if not spoken.id.endswith("_000")]
    if copies and copied:
        pairs = st.tuples(st.sampled_from(copied), st.sampled_from(copied))
        for source, target in draw(st.lists(pairs, max_size=4)):
            utterances[target] = replace(utterances[target], digest=utterances[source].digest)
    return manifest(utterances)
