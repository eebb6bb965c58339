"""What clients send and get: for checking what comes, and for the OpenAPI document.

What the service sends is made elsewhere, by the code behind the command line; here it is only described, and
tests hold the two together.
"""

from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vocalics.errors import UsageError

#: A stream is not asked more often than this, seconds: what one client costs is bounded.
SHORTEST_HOP_S = 0.25

#: How often a stream is asked unless its client wishes otherwise, seconds.
USUAL_HOP_S = 0.5

#: What the formats of a timeline are called over HTTP.
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "textgrid": "text/plain; charset=utf-8",
    "audacity": "text/plain; charset=utf-8",
    "webvtt": "text/vtt; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
}

Shape = TypeVar("Shape", bound=BaseModel)

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Closed(BaseModel):
    """What a client sends: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictOptions(_Closed):
    """Query of ``/v1/predict``."""

    model: Annotated[str | None, Field(description="Name of a model of this service; else its first.")] = None
    abstain_below: Annotated[
        Probability | None, Field(description="Confidence under which the model abstains; else its own.")
    ] = None


class TimelineOptions(PredictOptions):
    """Query of ``/v1/timeline``."""

    channels: Annotated[
        Literal["mix", "split"], Field(description="split: each channel is a speaker of its own.")
    ] = "mix"
    window_s: Annotated[Seconds | None, Field(description="Seconds heard at once; else 3.")] = None
    hop_s: Annotated[Seconds | None, Field(description="Seconds from window to window; else 1.")] = None
    adapt: Annotated[
        Literal["auto", "none"],
        Field(description="auto: to each speaker, where the model's card shows that it is safe."),
    ] = "auto"
    format: Annotated[
        Literal["json", "csv", "parquet", "textgrid", "audacity", "webvtt", "rttm"],
        Field(description="Of the answer; all but json take one recording."),
    ] = "json"


class Hello(_Closed):
    """First message of a stream."""

    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)]
    encoding: Literal["pcm_s16le", "pcm_f32le"] = "pcm_s16le"
    model: str | None = None
    window_s: Seconds | None = None
    hop_s: Annotated[float, Field(ge=SHORTEST_HOP_S, le=60, allow_inf_nan=False)] = USUAL_HOP_S
    first_s: Seconds | None = None
    abstain_below: Probability | None = None
    sequence: Annotated[int, Field(ge=1, lt=1 << 53)] = 1
    start_s: Moment = 0.0
    after_s: Moment | None = None


class Lost(_Closed):
    """Message of a stream that tells that sound was lost."""

    sequence: Annotated[int, Field(ge=1, lt=1 << 53)]
    lost_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class End(_Closed):
    """Last message of a stream."""

    end: Literal[True]


class Error(BaseModel):
    """Any error."""

    error: Annotated[str, Field(description="One sentence: what was given, what is allowed, what to do.")]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "there is no model 'x'; this service has 'vocalics'."}]}
    )


class Prediction(BaseModel):
    """The answer for one recording."""

    path: Annotated[str | None, Field(description="The file's name as the client gave it.")]
    emotion: Annotated[str | None, Field(description="null without speech, and after an error.")]
    confidence: float | None
    probabilities: dict[str, float]
    abstained: bool
    reason: Annotated[str | None, Field(description="'no speech' or 'low confidence'.")]
    duration_s: float | None
    model: str
    error: Annotated[str | None, Field(description="One sentence where the recording cannot be used.")]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "path": "talk.wav",
                    "emotion": "happy",
                    "confidence": 0.61,
                    "probabilities": {"neutral": 0.24, "happy": 0.61, "sad": 0.15},
                    "abstained": False,
                    "reason": None,
                    "duration_s": 3.2,
                    "model": "vocalics",
                    "error": None,
                }
            ]
        }
    )


class Predictions(BaseModel):
    """The answers for the recordings of a form, in their order."""

    predictions: list[Prediction]


class Segment(Prediction):
    """A stretch of a recording in which one speaker is of one emotion."""

    start_s: float
    end_s: float
    speaker: str


class TurningPoint(BaseModel):
    """A moment from which on a speaker sounds otherwise."""

    time_s: float
    before: str
    after: str
    change: float


class Speaker(BaseModel):
    """One speaker as a whole."""

    speaker: str
    speech_s: float
    share: dict[str, float]
    valence: float | None
    arousal: float | None
    turning_points: list[TurningPoint]
    adapted_s: float


class Timeline(BaseModel):
    """Who felt what, when, in one recording."""

    path: str | None
    duration_s: float
    model: str
    emotions: list[str]
    window_s: float
    hop_s: float
    segments: list[Segment]
    speakers: list[Speaker]
    notes: list[str]
    error: Annotated[str | None, Field(description="One sentence where the recording breaks off.")]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "path": "call.wav",
                    "duration_s": 61.5,
                    "model": "vocalics",
                    "emotions": ["neutral", "happy", "sad"],
                    "window_s": 3.0,
                    "hop_s": 1.0,
                    "segments": [
                        {
                            "path": "call.wav",
                            "emotion": "sad",
                            "confidence": 0.7,
                            "probabilities": {"neutral": 0.2, "happy": 0.1, "sad": 0.7},
                            "abstained": False,
                            "reason": None,
                            "duration_s": 2.4,
                            "model": "vocalics",
                            "error": None,
                            "start_s": 0.8,
                            "end_s": 3.2,
                            "speaker": "channel 1",
                        }
                    ],
                    "speakers": [
                        {
                            "speaker": "channel 1",
                            "speech_s": 2.4,
                            "share": {"neutral": 0.0, "happy": 0.0, "sad": 1.0, "abstained": 0.0},
                            "valence": -0.41,
                            "arousal": -0.3,
                            "turning_points": [],
                            "adapted_s": 0.0,
                        }
                    ],
                    "notes": [],
                    "error": None,
                }
            ]
        }
    )


class Timelines(BaseModel):
    """The timelines of the recordings of a form, in their order."""

    timelines: list[Timeline]


class ModelInfo(BaseModel):
    """A model of this service."""

    name: str
    description: str
    emotions: list[str]
    sample_rate: int
    bandwidth_hz: float
    window_s: float
    minimum_s: float
    abstain_below: float
    recipe: str
    network: str
    parameters: int
    licence: str
    languages: list[str]
    limits: list[str]


class Models(BaseModel):
    """The models of this service; the first answers unless another is named."""

    models: list[ModelInfo]


class Status(BaseModel):
    """How the service is."""

    status: Literal["ok", "ready"]


def first_fault(errors: list[dict[str, Any]], known: type[BaseModel]) -> str:
    """Say the first thing that is wrong with what a client sent.

    Parameters
    ----------
    errors
        As pydantic lists them.
    known
        What should have come.

    Examples
    --------
    >>> try: PredictOptions.model_validate({"modle": "x"})
    ... except ValidationError as error: print(first_fault(error.errors(), PredictOptions))
    'modle' is not known; did you mean 'model'? Known are 'model', 'abstain_below'.
    """
    first = errors[0]
    key = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        near = get_close_matches(key, known.model_fields, n=1)
        hint = f"did you mean '{near[0]}'? Known are" if near else "known are"
        names = ", ".join(f"'{name}'" for name in known.model_fields)
        return f"'{key[:100]}' is not known; {hint} {names}."
    if first["type"] == "missing":
        return f"'{key}' is missing; give it."
    said = first["msg"].removeprefix("Value error, ")
    given = str(first["input"])[:100]
    return f"'{key}' is '{given}'; {said[:1].lower()}{said[1:]}."


def checked(shape: type[Shape], record: object) -> Shape:
    """Return what a client sent, checked; `UsageError` says the first thing that is wrong with it."""
    try:
        return shape.model_validate(record)
    except ValidationError as error:
        raise UsageError(first_fault([dict(one) for one in error.errors()], shape)) from None
