"""Adaptation to a speaker by what is known of speakers at large: safe with one-sided clips, at home with all.

The mean of a speaker's clips tells the speaker's voice only if the clips are of all emotions alike; of eight
angry clips it tells anger. So emotion and voice are found out together. In coordinates of the logits,

    clip = mean of the emotion + the speaker + the speaker's way with this emotion + what is left,

each term Gaussian but the speaker's, whose tails are heavy: a stranger on another microphone may be far from
everybody who was ever heard. How these terms are spread is measured once, on speakers that a model was not
trained on (`vocalics.lab.speaker_statistics`), and lies in the card. For a new speaker's unlabelled clips an
EM iteration says in turn which emotion each clip may be, and where the speaker then stands.

This is probabilistic linear discriminant analysis (Prince and Elder, ICCV 2007) with a term between speaker
and emotion, fitted without labels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vocalics.card import SpeakerNumbers

FloatArray = npt.NDArray[np.float64]

#: Rounds of the EM iteration; after ten nothing moves that matters.
ROUNDS = 10

#: Clips' worth of belief, for each emotion, that a speaker shows all of them alike.
CONCENTRATION = 10.0

#: Degrees of freedom of the speaker's distribution, a multivariate t.
TAIL = 3.0

#: Power of a clip's likelihood: clips are not as independent as the model has it.
SHARPNESS = 0.6

#: Share of the Gaussian answer beside the network's own, once very many clips were heard, and the number of
#: clips at which it has half of that.
GAUSSIAN_SHARE, TRUST = 0.4, 4.0

#: Share of the variance between a speaker's ways that clips of the speaker leave open.
LEFT_OPEN = 0.5


@dataclass(frozen=True)
class SpeakerPrior:
    """What is known of speakers before one is heard.

    Attributes
    ----------
    coordinates
        (n_coordinates, n_emotions): takes logits to coordinates in which clips of one speaker and emotion
        have unit covariance; one coordinate fewer than emotions, since only differences of logits count.
    means
        (n_emotions, n_coordinates): of each emotion over speakers.
    ways
        (n_coordinates,): variance of how a speaker's way with an emotion differs from others'.
    speakers
        (n_coordinates, n_coordinates): covariance of speakers.
    """

    coordinates: FloatArray
    means: FloatArray
    ways: FloatArray
    speakers: FloatArray

    @classmethod
    def from_card(cls, numbers: SpeakerNumbers) -> "SpeakerPrior":
        """Read the numbers of a card."""
        coordinates = np.asarray(numbers.coordinates)
        return cls(
            coordinates - coordinates.mean(axis=1, keepdims=True),  # exactly, though the card rounds
            np.asarray(numbers.means),
            np.asarray(numbers.ways),
            np.asarray(numbers.speakers),
        )

    def adapted(
        self, logits: npt.ArrayLike, heard: npt.ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Find out about speakers from unlabelled clips; return what turns plain logits into adapted ones.

        Parameters
        ----------
        logits
            (n_speakers, n_clips, n_emotions), plain, before the temperature.
        heard
            (n_speakers, n_clips): 1 for a clip, 0 for a place without one; by default all are clips. Each
            speaker has one clip at least.

        Returns
        -------
        ``matrix`` (n_speakers, n_emotions, n_emotions) and ``offset`` (n_speakers, n_emotions): adapted are
        ``matrix @ logits + offset``.
        """
        clips = np.asarray(logits, dtype=np.float64) @ self.coordinates.T
        present = np.ones(clips.shape[:2]) if heard is None else np.asarray(heard, dtype=np.float64)
        speaker, ways = self._found(clips, present)
        n_emotions = len(self.means)
        n_clips = present.sum(axis=1)
        share = (GAUSSIAN_SHARE * n_clips / (n_clips + TRUST))[:, None]

        # With one covariance for all emotions, their log-likelihoods differ by what is linear in a clip.
        centres = self.means + speaker[:, None] + ways
        scaled = centres / (1 + LEFT_OPEN * self.ways)
        centring = np.eye(n_emotions) - 1 / n_emotions
        matrix = (1 - share[:, :, None]) * centring + share[:, :, None] * (scaled @ self.coordinates)
        moved = speaker @ np.linalg.pinv(self.coordinates).T  # the speaker in logits
        offset = -(1 - share) * moved - 0.5 * share * (scaled * centres).sum(axis=2)
        return matrix, offset

    def _found(self, clips: FloatArray, present: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where each speaker stands, and each emotion with them beside that: means a posteriori."""
        n_speakers, _, n_coordinates = clips.shape
        n_emotions = len(self.means)
        n_clips = present.sum(axis=1)
        precision = np.linalg.inv(self.speakers)
        speaker = np.zeros((n_speakers, n_coordinates))
        ways = np.zeros((n_speakers, n_emotions, n_coordinates))
        composition = np.full((n_speakers, n_emotions), 1 / n_emotions)
        nearness = np.ones(n_speakers)  # under 1 for a speaker who is far from all others
        spread = 1 + self.ways + np.diag(self.speakers)  # nothing is known yet
        for _ in range(ROUNDS):
            emotions = self._emotions(clips, self.means + speaker[:, None] + ways, spread, composition)
            emotions *= present[:, :, None]
            counts = emotions.sum(axis=1)  # (n_speakers, n_emotions)
            composition = (counts + CONCENTRATION) / (n_clips[:, None] + n_emotions * CONCENTRATION)

            some = np.maximum(counts, 1e-9)[:, :, None]
            offsets = np.swapaxes(emotions, 1, 2) @ clips / some - self.means
            certainty = 1 / (self.ways + 1 / some)  # of an emotion's offset as a sign of the speaker
            told = np.eye(n_coordinates) * certainty.sum(axis=1)[:, None]
            uncertainty = np.linalg.inv(nearness[:, None, None] * precision + told)
            speaker = (uncertainty @ (certainty * offsets).sum(axis=1)[:, :, None])[:, :, 0]
            distance = ((speaker @ precision) * speaker).sum(axis=1)
            distance += np.trace(precision @ uncertainty, axis1=1, axis2=2)
            nearness = (TAIL + n_coordinates) / (TAIL + distance)
            ways = self.ways * certainty * (offsets - speaker[:, None])
            spread = 1 + LEFT_OPEN * self.ways
        return speaker, ways

    def _emotions(
        self, clips: FloatArray, centres: FloatArray, spread: FloatArray, composition: FloatArray
    ) -> FloatArray:
        """Return how probably each clip is of each emotion, (n_speakers, n_clips, n_emotions)."""
        scaled = centres / spread
        # The term that is quadratic in the clip is the same for all emotions.
        likelihood = clips @ np.swapaxes(scaled, 1, 2) - 0.5 * (scaled * centres).sum(axis=2)[:, None]
        logs = SHARPNESS * likelihood + np.log(composition)[:, None]
        shares = np.exp(logs - logs.max(axis=2, keepdims=True))
        return np.asarray(shares / shares.sum(axis=2, keepdims=True))
