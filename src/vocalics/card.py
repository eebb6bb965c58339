"""The model card: what a model file says of itself.

The card is JSON in the metadata of the ONNX file (key ``vocalics``), so that labels, sample rate, licence and
evidence cannot be parted from the weights.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vocalics.errors import ModelError

#: Key of the card in the ONNX file's metadata.
METADATA_KEY = "vocalics"

#: Raised when a change makes older readers misread a file.
FORMAT_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpeakerNumbers(_Frozen):
    """How speakers differ, for `recognition.speaker_prior.SpeakerPrior`, which says what the numbers mean.

    Attributes
    ----------
    coordinates
        (n_coordinates, n_emotions).
    means
        (n_emotions, n_coordinates).
    ways
        (n_coordinates,), above 0.
    speakers
        (n_coordinates, n_coordinates), positive definite.
    source
        On whom they were measured, in words.
    """

    coordinates: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...]
    ways: tuple[float, ...]
    speakers: tuple[tuple[float, ...], ...]
    source: str

    @model_validator(mode="after")
    def _shapes_agree(self) -> "SpeakerNumbers":
        size, n_emotions = len(self.ways), len(self.means)
        widths = [len(row) == size for row in (*self.means, *self.speakers)]
        widths += [len(row) == n_emotions for row in self.coordinates]
        if not all(widths) or not len(self.coordinates) == len(self.speakers) == size == n_emotions - 1:
            raise ValueError("the numbers of the speakers differ in length")
        return self


class Head(_Frozen):
    """The affine head: ``softmax((weight . (embedding - mean) / std + bias) / temperature)``.

    Attributes
    ----------
    weight
        (n_emotions, n_embedding).
    bias
        (n_emotions,).
    mean, std
        (n_embedding,): statistics of the training utterances' embeddings.
    temperature
        Fitted on validation speakers [1]_; 1 leaves the logits as trained.
    emotion_means
        Mean embedding of every emotion over the training utterances, each (n_embedding,).
    speakers
        How speakers differ, measured on those that the recipe's models were not trained on; None where
        nobody has measured it.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017.
    """

    weight: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float = Field(gt=0)
    emotion_means: dict[str, tuple[float, ...]]
    speakers: SpeakerNumbers | None = None

    @model_validator(mode="after")
    def _shapes_agree(self) -> "Head":
        n_embedding = len(self.mean)
        rows = [*self.weight, self.std, *self.emotion_means.values()]
        if len(self.weight) != len(self.bias) or any(len(row) != n_embedding for row in rows):
            raise ValueError("the head's weight, bias, mean, std and emotion means differ in length")
        if self.speakers and len(self.speakers.means) != len(self.bias):
            raise ValueError("the head and its numbers of speakers differ in their emotions")
        return self


class ModelCard(_Frozen):
    """What a model file says of itself: one frozen record, JSON in the file's metadata.

    Attributes
    ----------
    format_version
        Version of this record; a reader refuses a newer one.
    name
        What ``vocalics models`` and the field ``model`` of a prediction call it.
    emotions
        Labels in the order of ``probabilities``.
    sample_rate
        Of the input ``waveform``, Hz.
    bandwidth_hz
        Highest frequency that the training audio held; recordings are limited to it before resampling.
    window_s
        Longest stretch the model hears at once, seconds; a longer clip is cut into windows.
    minimum_s
        Shortest clip it answers, seconds.
    abstain_below
        Confidence under which the model abstains by default.
    training
        Corpora, speakers, command, seed, split digest, software versions: how the file was made.
    evaluation
        Figures and how they were made. Free-form, since protocols differ, but always numbers from a run.
    """

    format_version: Literal[1] = 1
    name: str
    description: str
    emotions: tuple[str, ...] = Field(min_length=2)
    sample_rate: int = Field(ge=8000, le=192_000)
    bandwidth_hz: float = Field(gt=0)
    window_s: float = Field(gt=0)
    minimum_s: float = Field(gt=0)
    abstain_below: float = Field(default=0.0, ge=0, le=1)
    recipe: str
    network: str
    parameters: int = Field(ge=0)
    licence: str
    languages: tuple[str, ...] = ()
    head: Head
    training: dict[str, Any]
    evaluation: dict[str, Any]
    limits: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _head_fits(self) -> "ModelCard":
        if len(self.head.bias) != len(self.emotions):
            raise ValueError(
                f"the head answers {len(self.head.bias)} emotions, the card names {len(self.emotions)}"
            )
        return self

    def to_json(self) -> str:
        """Return the card as JSON text, the value of `METADATA_KEY`."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str, source: str = "the model file") -> "ModelCard":
        """Read a card; `ModelError` names `source` and the first thing wrong with it."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "card"
            raise ModelError(
                f"{source} has a card that this version cannot read ({where}: {first['msg']}). "
                f"It reads format version {FORMAT_VERSION}; upgrade vocalics or export the model again."
            ) from None
