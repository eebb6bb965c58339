"""A model file, opened: waveform in, calibrated probabilities out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from vocalics.card import ModelCard
from vocalics.errors import AudioError, UsageError
from vocalics.recognition import speech
from vocalics.recognition.head import AffineHead
from vocalics.recognition.model_file import describe_tensors, locate, open_session, read_card
from vocalics.recognition.prediction import Prediction
from vocalics.recognition.recordings import (
    Recording,
    Recordings,
    each_recording,
    is_recording,
    read_recording,
    recording_name,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from vocalics.audio import Waveform

FloatArray = npt.NDArray[np.float32]

#: Windows of one recording that the network hears at once. On one thread larger batches gain nothing (2.1 ms
#: a clip of 3.5 s in batches of 1, 8 and 16, 3.7 in batches of 32), so recordings do not share them either.
WINDOWS_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network says of windows of equal length, float32.

    Attributes
    ----------
    probabilities
        Calibrated, (n_windows, n_emotions).
    embedding
        What enters the head, (n_windows, n_embedding).
    features
        What the network heard, (n_windows, n_features, n_frames).
    attention
        Where it listened, (n_windows, n_frames), rows with the sum 1; None where the network has none.
    """

    probabilities: FloatArray
    embedding: FloatArray
    features: FloatArray
    attention: FloatArray | None


@dataclass(frozen=True, eq=False)
class _Heard:
    """What is kept of one recording once the network has heard it: enough for any head to answer.

    Without speech, and after an error, `probabilities` and `embedding` are None.
    """

    path: str | None
    duration_s: float | None = None
    probabilities: FloatArray | None = None  # (n_windows, n_emotions)
    embedding: FloatArray | None = None  # (n_windows, n_embedding)
    error: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """An open model file.

    Immutable, and safe to ask from several threads at once; `adapt` returns another one, which shares the
    network.

    Attributes
    ----------
    card
        What the file says of itself: emotions, sample rate, window, evidence, licence.
    name
        What a prediction's field ``model`` says.
    path
        The file.
    session
        ONNX Runtime's session.
    speaker_head
        The head adapted to one speaker, or None for the head in the graph.
    adapted_clips
        Clips of that speaker behind it; 0 for the plain model.

    Examples
    --------
    >>> model = Model.load()  # doctest: +SKIP
    >>> model.predict("clip.wav").emotion  # doctest: +SKIP
    'happy'
    """

    card: ModelCard
    name: str
    path: Path
    session: "InferenceSession"
    speaker_head: AffineHead | None = None
    adapted_clips: int = 0

    @classmethod
    def load(cls, model: str | Path | None = None, *, threads: int = 1) -> "Model":
        """Open a model file.

        Parameters
        ----------
        model
            Name of a bundled model, path of an ``.onnx`` file, ``hf://owner/name`` for one on the Hugging
            Face hub, or None for the bundled default.
        threads
            Threads that work on one answer. One is best for many short clips.

        Raises
        ------
        ModelError
            There is no such model, or the file is cut short, not ONNX, a pickle, without a card, of a newer
            format, or its graph is not what its card says; or the hub cannot be reached, and its cache has
            it not.
        UsageError
            A name that begins with ``hf://`` is none, or needs huggingface_hub, which is not installed.
        """
        session = open_session(path := locate(model), threads)
        card = read_card(session, path)
        return cls(card, card.name, path, session)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels in the order of the probabilities."""
        return self.card.emotions

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is an Iterable too; the first signature is meant
        self, recordings: Recording, *, abstain_below: float | None = ..., adapt: Recordings | None = ...
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        recordings: Iterable[Recording],
        *,
        abstain_below: float | None = ...,
        adapt: Recordings | None = ...,
    ) -> list[Prediction]: ...

    def predict(
        self, recordings: Recordings, *, abstain_below: float | None = None, adapt: Recordings | None = None
    ) -> Prediction | list[Prediction]:
        """Recognise the emotion in one recording or several.

        Each recording is one clip: mixed to mono, resampled, and heard undivided up to the card's window;
        the answer for a longer one is the mean over its windows. No answer depends on what else is in the
        list.

        Parameters
        ----------
        recordings
            One recording (a path, a `Waveform`, ``(array, sample_rate)``, the bytes of an audio file, a
            binary file object), or an iterable of these.
        abstain_below
            Confidence in [0, 1] under which the model abstains; by default the card's.
        adapt
            Unlabelled recordings of the same speaker, as for `adapt`; ``"self"`` says that the given
            recordings are all of one.

        Returns
        -------
        Prediction or list of Prediction
            One for one; for several a list in their order, where a recording that cannot be used has
            `Prediction.error`.

        Raises
        ------
        AudioError
            The one recording cannot be used.
        UsageError
            Something given is not a recording, or a value is out of range.
        """
        predictions = list(self.predict_iter(recordings, abstain_below=abstain_below, adapt=adapt))
        if not is_recording(recordings):
            return predictions
        (prediction,) = predictions
        if prediction.error is not None:
            raise AudioError(prediction.error)
        return prediction

    def predict_iter(
        self,
        recordings: Recordings,
        *,
        abstain_below: float | None = None,
        adapt: Recordings | None = None,
    ) -> Iterator[Prediction]:
        """Yield what `predict` returns, one by one: the memory needed is that of one recording.

        With ``adapt="self"`` the answers come after the last recording was heard; what is kept meanwhile is
        one embedding a window.
        """
        threshold = self.abstaining_below(abstain_below)
        heard: Iterable[_Heard] = map(self._hear_or_tell, each_recording(recordings))
        if isinstance(adapt, str) and adapt == "self":
            heard = list(heard)
            model = self._adapted_to(heard)
        else:
            model = self if adapt is None else self.adapt(adapt)
        return (model._answer(one, threshold) for one in heard)

    def abstaining_below(self, confidence: float | None) -> float:
        """Return the confidence under which the model abstains: the one given, by default the card's.

        Raises
        ------
        UsageError
            It is not from 0 to 1.
        """
        threshold = self.card.abstain_below if confidence is None else confidence
        if not 0 <= threshold <= 1:
            raise UsageError(f"abstain_below is {threshold}; give a confidence from 0 to 1.")
        return threshold

    def adapt(self, recordings: Recordings) -> "Model":
        """Return the model adapted to one speaker, from recordings without labels.

        The mean and standard deviation of the speaker's embeddings replace those of the training utterances
        in the affine head, shrunk towards them while the recordings are few (n clips weigh n / (n + 4)).
        The network is not run or changed again. The recordings should be as varied as the speech to come:
        with one emotion alone the answers get worse.

        Parameters
        ----------
        recordings
            Of one speaker. Those without speech, and those that cannot be read, are left out.

        Raises
        ------
        UsageError
            None of them can be used.
        """
        return self._adapted_to(list(map(self._hear_or_tell, each_recording(recordings))))

    def embed(self, recordings: Recordings) -> FloatArray:
        """Return one embedding for each recording: what enters the head, the mean over its windows.

        Returns
        -------
        numpy.ndarray
            float32, (n_recordings, n_embedding). Whether there is speech in them is not asked.

        Raises
        ------
        AudioError
            One of them cannot be used.
        """
        means = [self.hear(recording).embedding.mean(axis=0) for recording in each_recording(recordings)]
        return np.stack(means) if means else np.empty((0, len(self.card.head.mean)), dtype=np.float32)

    def hear(self, recording: Recording) -> Outputs:
        """Return what the network says of every window of one recording, whether it is speech or not.

        Raises
        ------
        AudioError
            The recording cannot be used.
        """
        prepared = self._prepared(read_recording(recording), recording_name(recording))
        return self._outputs(self._windows(prepared))

    def run(self, windows: npt.ArrayLike) -> Outputs:
        """Run the network on windows of equal length.

        Parameters
        ----------
        windows
            (n_windows, n_samples), mono at the card's sample rate, full scale 1.

        Raises
        ------
        UsageError
            Another shape, or windows shorter than the card's minimum.
        """
        samples = np.ascontiguousarray(windows, dtype=np.float32)
        shortest = round(self.card.minimum_s * self.card.sample_rate)
        if samples.ndim != 2 or not len(samples) or samples.shape[1] < shortest:
            raise UsageError(
                f"windows have the shape {samples.shape}; give (n_windows, n_samples >= {shortest})."
            )
        return self._outputs(samples)

    def answer(self, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Probabilities (n_windows, n_emotions) by this model's head, and embeddings, of windows as of `run`.

        It is faster than `run`, which brings the features along and checks the windows.
        """
        probabilities, embedding = self._run(windows, ["probabilities", "embedding"])
        if self.speaker_head is not None:
            probabilities = self.speaker_head.probabilities(embedding).astype(np.float32)
        return probabilities, embedding

    def _outputs(self, windows: FloatArray) -> Outputs:
        names = [output.name for output in self.session.get_outputs()]
        found = dict(zip(names, self._run(windows, names), strict=True))
        return Outputs(found["probabilities"], found["embedding"], found["features"], found.get("attention"))

    def __repr__(self) -> str:
        """Print name, inputs, outputs, shapes and labels."""
        return "\n".join(
            [f"Model '{self.name}' ({self.path.name})", *describe_tensors(self.session, self.card)]
        )

    def _prepared(self, waveform: "Waveform", name: str | None) -> "Waveform":
        """Return the sound as the network hears it: mono, limited in band, at the model's rate."""
        if waveform.duration_s < self.card.minimum_s:
            raise AudioError(
                f"{name or 'the recording'} lasts {waveform.duration_s:.2f} s; at least "
                f"{self.card.minimum_s:g} s is needed. Record longer, or join clips."
            )
        return waveform.mono().resampled(self.card.sample_rate, self.card.bandwidth_hz)

    def _windows(self, prepared: "Waveform") -> FloatArray:
        """Cut sound into (n_windows, n_samples); a clip shorter than the window is one of its own length."""
        samples = prepared.samples[0]
        spans = speech.windows(len(samples), round(self.card.window_s * self.card.sample_rate))
        return np.stack([samples[start:stop] for start, stop in spans])

    def _run(self, windows: FloatArray, names: list[str]) -> list[FloatArray]:
        """Run the session on windows of equal length, a few at once, and join the outputs."""
        parts = [
            self.session.run(names, {"waveform": windows[start : start + WINDOWS_AT_ONCE]})
            for start in range(0, len(windows), WINDOWS_AT_ONCE)
        ]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _hear_or_tell(self, recording: Recording) -> _Heard:
        """Hear one recording; that it cannot be used is an answer too, so that the others are not lost."""
        name = recording_name(recording)
        duration_s = None
        try:
            waveform = read_recording(recording)
            duration_s = waveform.duration_s
            prepared = self._prepared(waveform, name)
            if not speech.has_speech(prepared):
                return _Heard(name, duration_s)
            probabilities, embedding = self._run(self._windows(prepared), ["probabilities", "embedding"])
        except AudioError as error:
            return _Heard(name, duration_s, error=str(error))
        return _Heard(name, duration_s, probabilities, embedding)

    def _answer(self, heard: _Heard, abstain_below: float) -> Prediction:
        """Turn what was heard into the answer of this model's head."""
        if heard.error is not None:
            return Prediction(
                heard.path, None, None, duration_s=heard.duration_s, model=self.name, error=heard.error
            )
        if heard.embedding is None or heard.probabilities is None:
            return Prediction(
                heard.path, None, None, {}, True, "no speech", duration_s=heard.duration_s, model=self.name
            )
        head = self.speaker_head
        windows = heard.probabilities if head is None else head.probabilities(heard.embedding)
        mean = windows.mean(axis=0, dtype=np.float64)  # (n_emotions,)
        return Prediction.from_probabilities(
            mean,
            self.emotions,
            abstain_below,
            path=heard.path,
            duration_s=heard.duration_s,
            model=self.name,
        )

    def _adapted_to(self, heard: list[_Heard]) -> "Model":
        clips = [one.embedding.mean(axis=0) for one in heard if one.embedding is not None]
        errors = [one.error for one in heard if one.error is not None]
        if not clips:
            first = f" (first: {errors[0]})" if errors else ""
            raise UsageError(
                f"none of {len(heard)} recordings to adapt with can be used: {len(heard) - len(errors)} hold "
                f"no speech, {len(errors)} fail{first}; give recordings in which the speaker talks."
            )
        head = AffineHead.from_card(self.card.head).adapted(clips)
        name = f"{self.card.name} (adapted, {len(clips)} clip{'s' if len(clips) > 1 else ''})"
        return replace(self, name=name, speaker_head=head, adapted_clips=len(clips))


def load(model: str | Path | None = None, *, threads: int = 1) -> Model:
    """Open a model: a bundled one's name, a file's path, ``hf://owner/name``, or None for the default.

    Parameters and errors as of `Model.load`.
    """
    return Model.load(model, threads=threads)


@overload
def predict(  # type: ignore[overload-overlap]  # as above
    recordings: Recording, model: Model | str | Path | None = ...
) -> Prediction: ...


@overload
def predict(recordings: Iterable[Recording], model: Model | str | Path | None = ...) -> list[Prediction]: ...


def predict(recordings: Recordings, model: Model | str | Path | None = None) -> Prediction | list[Prediction]:
    """Recognise the emotion in one recording or several: `load` and `Model.predict` in one call.

    Parameters
    ----------
    recordings
        As of `Model.predict`.
    model
        An open `Model`, else as of `load`. Whoever asks often opens one and keeps it.
    """
    return (model if isinstance(model, Model) else load(model)).predict(recordings)
