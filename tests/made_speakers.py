"""Made logits of speakers who differ as `SpeakerPrior` says they do, with spreads that are known."""

import numpy as np

#: Emotions; the logits of clip, way and speaker lie in the space of their differences.
N_EMOTIONS = 5

#: Deviations, in logits: clips about their speaker's way, ways about the speaker, speakers about nobody.
CLIP, WAY, SPEAKER = 1.0, 0.5, 1.5

#: Logit of the emotion that is meant, above the others.
MEANT = 3.0


def made_speakers(n_speakers, per_emotion=6, seed=0, speaker=SPEAKER):
    """Return logits (n, n_emotions), truth (n,) and speakers (n,)."""
    rng = np.random.default_rng(seed)
    logits, truth, speakers = [], [], []
    for number in range(n_speakers):
        own = speaker * rng.standard_normal(N_EMOTIONS)
        for emotion in range(N_EMOTIONS):
            way = WAY * rng.standard_normal(N_EMOTIONS)
            for _ in range(per_emotion):
                noise = CLIP * rng.standard_normal(N_EMOTIONS)
                logits.append(MEANT * np.eye(N_EMOTIONS)[emotion] + own + way + noise)
                truth.append(emotion)
                speakers.append(f"made/{number}")
    return np.array(logits), np.array(truth), speakers
