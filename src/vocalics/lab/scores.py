"""What a model file answers for the utterances of a manifest: the raw material of every figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.errors import UsageError
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.recognition import speech
from vocalics.recognition.model import Model

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Answers of one model file, clip by clip.

    Attributes
    ----------
    utterances
        The clips.
    emotions
        Labels in the order of `probabilities`.
    probabilities
        (n_clips, n_emotions), calibrated; each row sums to one.
    embeddings
        (n_clips, n_embedding), the mean over a clip's windows.
    no_speech
        (n_clips,): where ``predict`` would say "no speech". The figures count the network's answer all the
        same, and tell how many these are.
    """

    utterances: tuple[Utterance, ...]
    emotions: tuple[str, ...]
    probabilities: FloatArray
    embeddings: FloatArray
    no_speech: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """Indices of the true emotions, (n_clips,)."""
        index = {emotion: position for position, emotion in enumerate(self.emotions)}
        return np.array([index[utterance.emotion] for utterance in self.utterances], dtype=np.int64)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Indices of the most probable emotions, (n_clips,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def speakers(self) -> list[str]:
        """``corpus/speaker`` of every clip; where the speaker is unknown, the clip counts as one."""
        return [
            f"{utterance.corpus}/{utterance.speaker}" if utterance.speaker else utterance.id
            for utterance in self.utterances
        ]

    def among(self, emotions: Sequence[str]) -> "Scores":
        """Choose the answers among fewer emotions; clips of others are left out.

        Parameters
        ----------
        emotions
            Some of the model's own; the probabilities are renormalised over them.
        """
        unknown = [emotion for emotion in emotions if emotion not in self.emotions]
        if unknown:
            raise UsageError(f"the model does not know '{unknown[0]}'; it knows {', '.join(self.emotions)}.")
        columns = [self.emotions.index(emotion) for emotion in emotions]
        rows = [
            position
            for position, utterance in enumerate(self.utterances)
            if utterance.emotion in set(emotions)
        ]
        kept = self.probabilities[np.ix_(rows, columns)]
        return replace(
            self,
            utterances=tuple(self.utterances[row] for row in rows),
            emotions=tuple(emotions),
            probabilities=kept / kept.sum(axis=1, keepdims=True),
            embeddings=self.embeddings[rows],
            no_speech=self.no_speech[rows],
        )


def score(
    model: Model,
    manifest: Manifest,
    *,
    gate: bool = True,
    listen: Callable[[Utterance], audio.Waveform] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Let a model file answer every utterance of a manifest, undivided, as ``predict`` hears it.

    Parameters
    ----------
    model
        The file to measure.
    manifest
        Utterances whose emotions the model may or may not know; `Scores.among` picks.
    gate
        Also ask whether ``predict`` would hear speech at all, which takes longer than the answer itself.
    listen
        Utterance to its sound; by default its recording is read.
    progress
        Hears (done, total).

    Raises
    ------
    UsageError
        The manifest is empty.
    AudioError
        A recording cannot be used.
    """
    if not len(manifest):
        raise UsageError("there is no recording to measure the model on; name others.")
    probabilities, embeddings, silent = [], [], []
    for done, utterance in enumerate(manifest, start=1):
        waveform = listen(utterance) if listen else audio.read(manifest.audio_path(utterance))
        outputs = model.hear(waveform)
        probabilities.append(outputs.probabilities.mean(axis=0, dtype=np.float64))
        embeddings.append(outputs.embedding.mean(axis=0, dtype=np.float64))
        silent.append(gate and not speech.has_speech(waveform))
        if progress:
            progress(done, len(manifest))
    return Scores(
        utterances=manifest.utterances,
        emotions=model.emotions,
        probabilities=np.stack(probabilities),
        embeddings=np.stack(embeddings),
        no_speech=np.array(silent),
    )
