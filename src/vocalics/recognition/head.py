"""The affine head in NumPy: the graph's answer, and adaptation to a speaker without running the network."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vocalics.card import Head
from vocalics.errors import UsageError
from vocalics.recognition.speaker_prior import SpeakerPrior

FloatArray = npt.NDArray[np.float64]

#: Clips' worth of trust in the training statistics: n clips weigh n / (n + SHRINKAGE).
SHRINKAGE = 4.0


@dataclass(frozen=True)
class AffineHead:
    """``softmax((weight . (embedding - mean) / std + bias) / temperature)``.

    Attributes
    ----------
    weight
        (n_emotions, n_embedding).
    bias
        (n_emotions,).
    mean, std
        (n_embedding,): of the training utterances, or of the speaker it was adapted to.
    temperature
        Divides the logits.
    prior
        What is known of speakers, where the card says it.
    """

    weight: FloatArray
    bias: FloatArray
    mean: FloatArray
    std: FloatArray
    temperature: float
    prior: SpeakerPrior | None = None

    @classmethod
    def from_card(cls, head: Head) -> "AffineHead":
        """Read the head's numbers from a card."""
        return cls(
            np.asarray(head.weight),
            np.asarray(head.bias),
            np.asarray(head.mean),
            np.asarray(head.std),
            head.temperature,
            SpeakerPrior.from_card(head.speakers) if head.speakers else None,
        )

    def logits(self, embeddings: npt.ArrayLike) -> FloatArray:
        """Logits before the temperature, (n, n_emotions), of embeddings (n, n_embedding)."""
        normalised = (np.asarray(embeddings, dtype=np.float64) - self.mean) / self.std
        return np.asarray(normalised @ self.weight.T + self.bias)

    def probabilities(self, embeddings: npt.ArrayLike) -> FloatArray:
        """Calibrated probabilities, (n, n_emotions), of embeddings (n, n_embedding)."""
        logits = self.logits(embeddings) / self.temperature
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def adapted(self, embeddings: npt.ArrayLike, shrinkage: float = SHRINKAGE) -> "AffineHead":
        """Return the head for a speaker, of whom unlabelled clips are given.

        Where the card tells how speakers differ, emotion and voice are told apart (`SpeakerPrior`). Else the
        mean and the standard deviation are moved to the speaker's [1]_: each is a mixture in which n clips
        weigh n / (n + shrinkage), the training utterances the rest. That takes the clips to be of all
        emotions alike.

        Parameters
        ----------
        embeddings
            (n, n_embedding), one row a clip of the speaker.
        shrinkage
            Clips' worth of trust in the training statistics, where the card tells nothing of speakers.

        Raises
        ------
        UsageError
            There is no clip, or the embeddings are of another network.

        References
        ----------
        .. [1] Busso, Metallinou, Narayanan: Iterative feature normalization for emotional speech detection.
           ICASSP 2011.
        """
        clips = np.asarray(embeddings, dtype=np.float64)
        if clips.ndim != 2 or clips.shape[1] != self.mean.shape[0] or not len(clips):
            raise UsageError(
                f"embeddings to adapt with have the shape {clips.shape}; give (n_clips, "
                f"{self.mean.shape[0]}), n_clips at least 1."
            )
        if self.prior:
            (matrix,), (offset,) = self.prior.adapted(self.logits(clips)[None])
            return replace(self, weight=matrix @ self.weight, bias=matrix @ self.bias + offset)
        share = len(clips) / (len(clips) + shrinkage)
        mean = share * clips.mean(axis=0) + (1 - share) * self.mean
        variance = share * clips.var(axis=0) + (1 - share) * self.std**2
        return replace(self, mean=mean, std=np.sqrt(variance))
