"""A planted answer for the timeline: conversations spliced from clips whose emotion is known.

    python benchmarks/conversations.py [--data DIR] [--clips N] [-o FILE.json]

Two speakers of TESS, or two of SAVEE, which the bundled model never heard, talk in turns: one to three clips
of one emotion, the silence about them cut off, 0.2 to 0.6 s apart, then 0.3 to 1.5 s until the other one
answers, over faint brown noise. Each conversation is heard twice: in stereo, a speaker a channel, and in
mono, with the turns in an RTTM file.

Compared with the truth in frames of 10 ms: `found` is the share of the clips' time that lies in a segment of
its speaker, `accuracy` and `UAR` are over all of the clips' time, so what was not found is wrong; `answered`
and `right when answering` leave abstained segments out. `turns` are those whose beginning and end both have a
border of one of the speaker's segments within 0.5 s. `clip by clip` is what `predict` answers for each clip
by itself, with the clip's borders given: the model's own limit.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import vocalics
from vocalics import audio, emotions
from vocalics.audio import Waveform
from vocalics.files import write_atomically
from vocalics.lab.corpora.data import data_folder, load_data
from vocalics.recognition.rttm import Turn, read_rttm
from vocalics.recognition.timeline import timeline

RATE = 16_000
FRAME_S = 0.01
QUIET_DB = -35.0
TURNS = 30
TOLERANCE_S = 0.5
PAIRS = {"tess": [("OAF", "YAF")], "savee": [("DC", "JE"), ("JK", "KL")]}
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A clip of a corpus."""

    speaker: str
    emotion: str
    path: Path


@dataclass(frozen=True)
class Spoken:
    """A clip in a conversation."""

    speaker: int
    start_s: float
    end_s: float
    emotion: str
    turn: int
    path: Path


@dataclass(frozen=True)
class Conversation:
    """Sound, (2, n_samples), and what is said in it."""

    name: str
    samples: Samples
    spoken: list[Spoken]

    @property
    def turns(self) -> list[tuple[int, float, float]]:
        """Speaker, beginning and end of every turn."""
        found: dict[int, tuple[int, float, float]] = {}
        for one in self.spoken:
            start_s = found[one.turn][1] if one.turn in found else one.start_s
            found[one.turn] = (one.speaker, start_s, one.end_s)
        return list(found.values())


def trimmed(samples: Samples) -> Samples:
    """Cut off the silence before and after speech: frames of 20 ms far below the loudest one."""
    n_frame = RATE // 50
    frames = samples[: len(samples) - len(samples) % n_frame].reshape(-1, n_frame)
    powers = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(powers >= powers.max() * 10 ** (QUIET_DB / 10))
    return samples[loud[0] * n_frame : (loud[-1] + 1) * n_frame]


def converse(
    name: str, clips: Sequence[list[Clip]], generator: np.random.Generator, n_turns: int
) -> Iterator[Conversation]:
    """Make conversations of two speakers until either has no clips left; each clip is used once."""
    stock = [[own[i] for i in generator.permutation(len(own))] for own in clips]
    number = 0
    while all(stock):
        pieces: list[tuple[int, Samples]] = []
        spoken: list[Spoken] = []
        now = 0
        for turn in range(n_turns):
            speaker = turn % 2
            own = stock[speaker]
            if not own:
                break
            emotion = own[-1].emotion
            wanted = int(generator.integers(1, 4))
            said = [clip for clip in reversed(own) if clip.emotion == emotion][:wanted]
            for clip in said:
                own.remove(clip)
                samples = trimmed(audio.read(clip.path).mono().resampled(RATE).samples[0])
                pieces.append((now, samples))
                end = now + len(samples)
                spoken.append(Spoken(speaker, now / RATE, end / RATE, emotion, turn, clip.path))
                now = end + round(RATE * generator.uniform(0.2, 0.6))
            now += round(RATE * generator.uniform(0.1, 0.9))
        sound = np.cumsum(generator.standard_normal((2, now + RATE)), axis=1)
        sound = np.diff(sound - 0.999 * np.roll(sound, 1, axis=1), prepend=0.0)  # brown, without its drift
        sound = (1e-3 * sound / np.abs(sound).max()).astype(np.float32)
        for (start, samples), one in zip(pieces, spoken, strict=True):
            sound[one.speaker, start : start + len(samples)] += samples
        number += 1
        yield Conversation(f"{name} {number}", sound, spoken)


def of_tess(data: Path | None, n_clips: int, n_turns: int) -> Iterator[Conversation]:
    """Make conversations of the two speakers of TESS, for what is measured of speed."""
    manifest = load_data(data_folder(data), None, ["tess"])
    generator = np.random.default_rng(0)
    clips = [Clip(one.speaker, one.emotion, manifest.audio_path(one)) for one in manifest]
    some = [clips[i] for i in generator.permutation(len(clips))[:n_clips]]
    return converse(
        "tess", [[one for one in some if one.speaker == who] for who in PAIRS["tess"][0]], generator, n_turns
    )


@dataclass
class Tally:
    """Frames and turns, counted."""

    truth: list[npt.NDArray[np.int64]]
    answer: list[npt.NDArray[np.int64]]  # -1 where nothing was found
    sure: list[npt.NDArray[np.bool_]]
    n_turns: int = 0
    n_turns_found: int = 0
    n_segments: int = 0

    def figures(self) -> dict[str, float]:
        """Shares, 0 to 1."""
        truth, answer, sure = (np.concatenate(part) for part in (self.truth, self.answer, self.sure))
        recalls = [(answer[truth == emotion] == emotion).mean() for emotion in np.unique(truth)]
        return {
            "found": float((answer >= 0).mean()),
            "accuracy": float((answer == truth).mean()),
            "UAR": float(np.mean(recalls)),
            "answered": float(sure.mean()),
            "right when answering": float((answer == truth)[sure].mean()),
            "turns": self.n_turns_found / self.n_turns,
            "segments a turn": self.n_segments / self.n_turns,
        }


def compare(found: vocalics.Timeline, conversation: Conversation, names: Sequence[str], tally: Tally) -> None:
    """Count frames and turns of one timeline."""
    labels = list(emotions.EMOTIONS)
    n_frames = round(conversation.samples.shape[1] / RATE / FRAME_S)
    for speaker, name in enumerate(names):
        truth = np.full(n_frames, -1)
        answer, sure = truth.copy(), np.zeros(n_frames, dtype=bool)
        for one in conversation.spoken:
            if one.speaker == speaker:
                truth[_frames(one.start_s, one.end_s)] = labels.index(one.emotion)
        segments = [segment for segment in found.segments if segment.speaker == name]
        for segment in segments:
            answer[_frames(segment.start_s, segment.end_s)] = labels.index(str(segment.emotion))
            sure[_frames(segment.start_s, segment.end_s)] = not segment.abstained
        tally.truth.append(truth[truth >= 0])
        tally.answer.append(answer[truth >= 0])
        tally.sure.append(sure[truth >= 0])
        tally.n_segments += len(segments)
        starts_s = np.array([segment.start_s for segment in segments] or [np.inf])
        ends_s = np.array([segment.end_s for segment in segments] or [np.inf])
        for whose, start_s, end_s in conversation.turns:
            if whose == speaker:
                near = (
                    np.abs(starts_s - start_s).min() <= TOLERANCE_S
                    and np.abs(ends_s - end_s).min() <= TOLERANCE_S
                )
                tally.n_turns += 1
                tally.n_turns_found += bool(near)


def _frames(start_s: float, end_s: float) -> slice:
    return slice(round(start_s / FRAME_S), round(end_s / FRAME_S))


def clip_by_clip(model: vocalics.Model, conversations: Sequence[Conversation]) -> dict[str, float]:
    """Measure what the model answers for each clip by itself, weighted by the clip's time."""
    spoken = [one for conversation in conversations for one in conversation.spoken]
    answers = [answer.emotion for answer in model.predict([one.path for one in spoken])]
    truth = np.array([one.emotion for one in spoken])
    right = np.array([answer == one.emotion for answer, one in zip(answers, spoken, strict=True)])
    lengths_s = np.array([one.end_s - one.start_s for one in spoken])
    recalls = [
        np.average(right[truth == label], weights=lengths_s[truth == label]) for label in np.unique(truth)
    ]
    return {"accuracy": float(np.average(right, weights=lengths_s)), "UAR": float(np.mean(recalls))}


def main() -> None:
    """Make the conversations, hear them, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per corpus (VOCALICS_DATA)")
    parser.add_argument("--clips", type=int, default=600, help="clips of each corpus, at most")
    parser.add_argument("--model", help="a bundled model, or an .onnx file")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    model = vocalics.load(options.model)
    heard = set(model.card.training["corpora"]) & set(PAIRS)
    if heard:
        sys.exit(f"{model.name} was trained on {', '.join(sorted(heard))}")
    result: dict[str, object] = {"model": model.name, "command": "python benchmarks/conversations.py"}
    generator = np.random.default_rng(0)
    for corpus, pairs in PAIRS.items():
        manifest = load_data(data_folder(options.data), None, [corpus])
        clips = [Clip(one.speaker, one.emotion, manifest.audio_path(one)) for one in manifest]
        kept = [clips[i] for i in generator.permutation(len(clips))[: options.clips]]
        conversations = [
            conversation
            for pair in pairs
            for conversation in converse(
                f"{corpus} {'-'.join(pair)}",
                [[one for one in kept if one.speaker == who] for who in pair],
                generator,
                TURNS,
            )
        ]
        rows: dict[str, dict[str, float]] = {}
        for way in ("stereo", "mono with RTTM"):
            tally = Tally([], [], [])
            for conversation in conversations:
                compare(*hear(model, conversation, way), tally)
            rows[way] = tally.figures()
        rows["clip by clip"] = clip_by_clip(model, conversations)
        minutes = sum(one.samples.shape[1] for one in conversations) / RATE / 60
        n_turns = sum(len(one.turns) for one in conversations)
        print(f"\n{corpus}: {len(conversations)} conversations, {n_turns} turns, {minutes:.0f} minutes")
        for way, figures in rows.items():
            print(f"  {way:15}" + "".join(f"  {name} {value:.3f}" for name, value in figures.items()))
        result[corpus] = {"conversations": len(conversations), "turns": n_turns, "minutes": minutes, **rows}
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


def hear(
    model: vocalics.Model, conversation: Conversation, way: str
) -> tuple[vocalics.Timeline, Conversation, list[str]]:
    """Make the timeline of a conversation; also return what the speakers are called in it."""
    if way == "stereo":
        found = timeline((conversation.samples, RATE), model, channels="split", adapt="none")
        return found, conversation, ["channel 1", "channel 2"]
    names = ["ann", "bob"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "conversation.rttm")
        lines = [
            f"SPEAKER call 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {names[speaker]} <NA> <NA>\n"
            for speaker, start_s, end_s in conversation.turns
        ]
        path.write_text("".join(lines))
        turns: list[Turn] = read_rttm(path)
    mono = Waveform(conversation.samples.sum(axis=0, keepdims=True), RATE)
    return timeline(mono, model, turns=turns, adapt="none"), conversation, names


if __name__ == "__main__":
    main()
