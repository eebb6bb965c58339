"""The vocabulary: eight emotions, what others call them, where they lie and how they are drawn.

The eight are RAVDESS's [1]_. Valence and arousal are conventional positions on the circumplex [2]_, rounded
to tenths: they place an emotion on a plane for display and averaging, they are not measurements. Colours are
the palette of Okabe and Ito [3]_, which colour-blind readers can tell apart.

.. [1] Livingstone, Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song. PLoS ONE, 2018.
.. [2] Russell: A circumplex model of affect. Journal of Personality and Social Psychology 39(6), 1980.
.. [3] Okabe, Ito: Color universal design, 2008.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from vocalics.errors import UsageError


@dataclass(frozen=True)
class Emotion:
    """One emotion of the vocabulary.

    Attributes
    ----------
    name
        The word that stands in every output.
    aliases
        What corpora and people call it.
    valence, arousal
        Position on the circumplex, each in [-1, 1].
    color
        Display colour as ``#rrggbb``.
    """

    name: str
    aliases: tuple[str, ...]
    valence: float
    arousal: float
    color: str


#: The eight emotions by name, in the order that every output keeps.
EMOTIONS: dict[str, Emotion] = {
    emotion.name: emotion
    for emotion in (
        Emotion("neutral", ("neutrality", "neu"), 0.0, 0.0, "#999999"),
        Emotion("calm", ("calmness", "relaxed"), 0.4, -0.6, "#56b4e9"),
        Emotion("happy", ("happiness", "joy", "hap", "joyful"), 0.8, 0.5, "#e69f00"),
        Emotion("sad", ("sadness",), -0.7, -0.5, "#0072b2"),
        Emotion("angry", ("anger", "ang"), -0.6, 0.8, "#d55e00"),
        Emotion("fearful", ("fear", "anxiety", "fea", "afraid"), -0.6, 0.6, "#cc79a7"),
        Emotion("disgust", ("disgusted", "dis"), -0.7, 0.2, "#009e73"),
        Emotion(
            "surprised",
            ("surprise", "ps", "pleasant_surprise", "pleasant_surprised", "pleasant surprise", "sur"),
            0.3,
            0.8,
            "#f0e442",
        ),
    )
}

_BY_LABEL = {
    label: emotion.name for emotion in EMOTIONS.values() for label in (emotion.name, *emotion.aliases)
}


def canonical(label: str) -> str | None:
    """Name of the emotion that a corpus's label means, or None when it is none of the eight.

    Examples
    --------
    >>> canonical("Anger"), canonical("pleasant_surprise"), canonical("boredom")
    ('angry', 'surprised', None)
    """
    return _BY_LABEL.get(label.strip().lower())


def get(name: str) -> Emotion:
    """Return the emotion of that name; raises `UsageError` with the nearest known name otherwise.

    Examples
    --------
    >>> get("calm").valence
    0.4
    """
    if name in EMOTIONS:
        return EMOTIONS[name]
    near = get_close_matches(name, EMOTIONS, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise UsageError(f"unknown emotion '{name}'{hint} The vocabulary is {', '.join(EMOTIONS)}.")


def color(name: str) -> str:
    """Display colour of any label; a label outside the eight is drawn in dark grey."""
    return EMOTIONS[name].color if name in EMOTIONS else "#444444"
