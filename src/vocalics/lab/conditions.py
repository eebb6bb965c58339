"""Bad recordings of the clips that a model is tested on: how much of its answers is left in them.

Each condition changes the waveform, mono and at 16 kHz, by draws that follow from the condition and the
utterance alone, so every model hears the same. A model that listens above 8 kHz loses that too, under every
condition; the recipes here do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.errors import UsageError
from vocalics.lab import augment
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.augment import Babble, Samples
from vocalics.lab.babble import Voices
from vocalics.lab.dataset import clip_rng, utterance_number
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.progress import Progress, no_progress
from vocalics.lab.scores import score
from vocalics.mp3 import encode_mp3
from vocalics.recognition.model import Model
from vocalics.resampling import resample

#: At which every condition is made, Hz: with its noises in the band that speech has.
SAMPLE_RATE = 16_000

#: Signal-to-noise ratios over the whole clip, dB.
SNRS_DB = (20, 10, 5)

#: People in the babble.
N_VOICES = 5

#: Band of a telephone, Hz, and the rate of its code.
TELEPHONE_HZ, TELEPHONE_RATE = (300.0, 3_400.0), 8_000

MP3_BITS_PER_S = 32_000

#: Rooms: time in which the echo falls by 60 dB, seconds, and direct-to-reverberant ratio, dB. An office with
#: the speaker within reach; a hall in which the echo is as strong as the speaker.
MILD_ECHO, STRONG_ECHO = (0.3, 5.0), (0.8, 0.0)

QUIET_DB = -30.0

CLIPPED_SHARE = 0.05


@dataclass(frozen=True)
class Condition:
    """A bad recording.

    Attributes
    ----------
    name
        As the command line calls it.
    description
        For people.
    record
        Clean samples (n,) at `SAMPLE_RATE`, source of every draw, maker of babble -> as many samples.
    takes_voices
        Whether it needs other speakers.
    """

    name: str
    description: str
    record: Callable[[Samples, np.random.Generator, Babble], Samples]
    takes_voices: bool = False


def _telephone(samples: Samples) -> Samples:
    """Band of the line, 8 kHz, the code there and back, the same band again, 16 kHz."""
    line = resample(samples[np.newaxis], SAMPLE_RATE, TELEPHONE_RATE)[0]
    for change in (_limit_to_the_line, augment.code_mu_law, _limit_to_the_line):
        line = change(line)
    return _of_length(resample(line[np.newaxis], TELEPHONE_RATE, SAMPLE_RATE)[0], len(samples))


def _limit_to_the_line(samples: Samples) -> Samples:
    return augment.limit_band(samples, *TELEPHONE_HZ, TELEPHONE_RATE)


def _mp3(samples: Samples) -> Samples:
    heard = audio.read(encode_mp3(samples, SAMPLE_RATE, MP3_BITS_PER_S), name="the MP3")
    return _of_length(heard.samples[0], len(samples))


def _of_length(samples: Samples, n_samples: int) -> Samples:
    """Cut or pad at the end, where a change of rate rounds its length otherwise."""
    return np.pad(samples[:n_samples], (0, max(0, n_samples - len(samples))))


def _quiet(samples: Samples) -> Samples:
    """Lower it and round it to 16 bits, as a quiet recording is."""
    full_scale = 32_768
    return np.asarray(
        np.rint(augment.change_gain(samples, QUIET_DB) * full_scale) / full_scale, dtype=np.float32
    )


def _room(rt60_s: float, direct_db: float, samples: Samples, rng: np.random.Generator) -> Samples:
    return augment.add_echo(samples, augment.room_response(rt60_s, direct_db, SAMPLE_RATE, rng))


def _conditions() -> list[Condition]:
    def white(snr_db: int) -> Condition:
        return Condition(
            f"white-{snr_db}db",
            f"white noise, {snr_db} dB",
            lambda samples, rng, babble: augment.add_white_noise(samples, snr_db, rng),
        )

    def others(snr_db: int) -> Condition:
        return Condition(
            f"babble-{snr_db}db",
            f"{N_VOICES} other speakers, {snr_db} dB",
            lambda samples, rng, babble: augment.mix(samples, babble(len(samples), rng), snr_db),
            takes_voices=True,
        )

    def echo(name: str, rt60_s: float, direct_db: float) -> Condition:
        return Condition(
            name,
            f"echo, RT60 {rt60_s:g} s, direct sound at {direct_db:+g} dB",
            lambda samples, rng, babble: _room(rt60_s, direct_db, samples, rng),
        )

    return [
        *map(white, SNRS_DB),
        *map(others, SNRS_DB),
        Condition(
            "telephone", "telephone, 300 to 3400 Hz, mu-law", lambda samples, rng, babble: _telephone(samples)
        ),
        Condition("mp3", "MP3 at 32 kbit/s", lambda samples, rng, babble: _mp3(samples)),
        echo("echo-mild", *MILD_ECHO),
        echo("echo-strong", *STRONG_ECHO),
        Condition("quiet", "30 dB quieter, 16 bits", lambda samples, rng, babble: _quiet(samples)),
        Condition(
            "clipped",
            "5 % of the samples clipped",
            lambda samples, rng, babble: augment.clip_peaks(samples, CLIPPED_SHARE),
        ),
    ]


#: By name, in the order of the table.
CONDITIONS: dict[str, Condition] = {condition.name: condition for condition in _conditions()}


def list_conditions(wanted: str) -> tuple[str, ...]:
    """Read which conditions are wanted: ``all``, or names with commas between them.

    Examples
    --------
    >>> list_conditions("mp3, telephone")
    ('telephone', 'mp3')
    """
    names = [name.strip() for name in wanted.split(",")]
    if names == ["all"]:
        return tuple(CONDITIONS)
    for name in names:
        if name not in CONDITIONS:
            near = get_close_matches(name, CONDITIONS, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else f"known: all, {', '.join(CONDITIONS)}."
            raise UsageError(f"there is no condition '{name}'; {remedy}")
    return tuple(name for name in CONDITIONS if name in names)


def condition_probabilities(
    model: Model,
    tested: Manifest,
    among: Sequence[str],
    names: Sequence[str],
    recordings: Manifest,
    progress: Progress = no_progress,
) -> dict[str, npt.NDArray[np.float64]]:
    """Let a model answer under every condition.

    Parameters
    ----------
    model
        The file to measure.
    tested
        Clips that it is measured on.
    among
        Emotions that it chooses among.
    names
        Conditions of `CONDITIONS`.
    recordings
        All that there is, in any vocabulary: where voices for babble are found.
    progress
        Opens a bar under a title.

    Returns
    -------
    condition -> probabilities (n_clips, n_emotions), in the order of `tested` and `among`.

    Raises
    ------
    UsageError
        Babble is asked for, and it is not known who speaks, or there is one speaker only.
    """
    chosen = [CONDITIONS[name] for name in names]
    heard = recordings if any(condition.takes_voices for condition in chosen) else tested
    with progress("decoding for the conditions") as bar:
        store = AudioStore.build(heard, SAMPLE_RATE, SAMPLE_RATE / 2, progress=bar)
    voices = Voices(store, recordings) if heard is recordings else None
    found = {}
    for condition in chosen:
        listen = partial(recorded, condition, store, voices)
        with progress(condition.description) as bar:
            scores = score(model, tested, gate=False, listen=listen, progress=bar).among(among)
        found[condition.name] = scores.probabilities
    return found


def recorded(
    condition: Condition, store: AudioStore, voices: Voices | None, utterance: Utterance
) -> audio.Waveform:
    """Return a clip as it was recorded under a condition, as long as it is.

    Parameters
    ----------
    condition
        One of `CONDITIONS`.
    store
        Decoded clips at `SAMPLE_RATE`.
    voices
        Other speakers, where the condition takes any.
    utterance
        The clip.
    """

    def babble(n_samples: int, rng: np.random.Generator) -> Samples:
        if voices is None:
            raise UsageError(f"the condition '{condition.name}' needs other speakers; give their clips.")
        return voices.mixed(utterance, n_samples, rng, N_VOICES)

    rng = clip_rng(0, utterance_number(condition.name), utterance.id)
    return audio.Waveform.from_array(condition.record(store[utterance.id], rng, babble), SAMPLE_RATE)
