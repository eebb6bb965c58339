"""The leak audit: what a manifest holds twice, and what a split lets through from one side to the other.

It runs before every training. A leak that makes a figure mean less than it says is *refused*; what a reader
must know beside the figure is *reported*.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vocalics.errors import LeakError
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.splits import Split
from vocalics.lab.splits.validation import speakers_to_spare

Severity = Literal["refused", "reported"]

#: (corpus, speaker): a speaker's name is unique within the corpus only.
Speaker = tuple[str, str]

#: Utterances of a split's parts, by name of the part.
Parts = dict[str, list[Utterance]]

_PAIRS = (("train", "test"), ("validation", "test"), ("train", "validation"))


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Attributes
    ----------
    kind
        Of a split: ``same utterance``, ``same audio``, ``same speaker``, ``unknown speaker``,
        ``same corpus``, ``same sentence``, ``unknown utterance``, ``empty part``, ``missing emotion``.
        Of a manifest: ``duplicate audio``, ``conflicting labels``. Of both: ``balance``.
    severity
        ``refused``: no training with it. ``reported``: to be told beside the figures.
    message
        One sentence with its numbers.
    ids
        The utterances concerned, sorted; empty where the message says all.
    """

    kind: str
    severity: Severity
    message: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """All that an audit found, the refused first."""

    findings: tuple[Finding, ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that forbid a training."""
        return tuple(finding for finding in self.findings if finding.severity == "refused")

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "refused": bool(self.refused),
            "findings": [asdict(finding) | {"ids": list(finding.ids)} for finding in self.findings],
        }

    def raise_if_refused(self) -> None:
        """Raise `LeakError` with every refused finding, in one sentence."""
        if self.refused:
            what = "; ".join(finding.message for finding in self.refused)
            raise LeakError(f"the split is refused: {what}. Make it again from this manifest.")


def audit(manifest: Manifest, split: Split | None = None) -> AuditReport:
    """Look for leaks, and for facts that a reader of figures must know.

    Parameters
    ----------
    manifest
        What the split was made from.
    split
        Without it, the manifest alone is looked at.
    """
    findings = [*_audio_in_manifest(manifest), *_balance("the manifest", manifest.utterances)]
    if split is not None:
        by_id = {utterance.id: utterance for utterance in manifest}
        listed = {"train": split.train, "validation": split.validation, "test": split.test}
        parts = {part: [by_id[name] for name in ids if name in by_id] for part, ids in listed.items()}
        findings += [
            *_unknown_utterances(split, by_id.keys()),
            *_empty_parts(split),
            *_same_utterance(parts),
            *_same_audio(parts),
            *_same_speaker(parts, split.protocol),
            *_unknown_speakers(parts, split.protocol),
            *_same_corpus(parts, split.protocol),
            *_same_sentence(parts),
            *_missing_emotions(parts),
            *(finding for part, utterances in parts.items() for finding in _balance(part, utterances)),
        ]
    return AuditReport(tuple(sorted(findings, key=lambda finding: finding.severity != "refused")))


def _audio_in_manifest(manifest: Manifest) -> Iterator[Finding]:
    by_digest: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in manifest:
        if utterance.digest:
            by_digest[utterance.digest].append(utterance)
    copies = [group for group in by_digest.values() if len(group) > 1]
    conflicts = [group for group in copies if len({(u.emotion, u.corpus, u.speaker) for u in group}) > 1]
    if ids := _ids(u for group in copies for u in group):
        message = f"the same audio under several ids: {_told(ids)}, recordings {len(copies)}"
        yield Finding("duplicate audio", "reported", message, ids)
    if ids := _ids(u for group in conflicts for u in group):
        message = f"the same audio with two emotions or speakers: {_told(ids)}, recordings {len(conflicts)}"
        yield Finding("conflicting labels", "reported", message, ids)


def _balance(where: str, utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Tell how many utterances there are by gender, emotion and speaker."""
    if not utterances:
        return
    speakers: dict[str, set[Speaker]] = defaultdict(set)
    spoken: dict[Speaker, set[str]] = defaultdict(set)
    emotions_of: dict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
        speaker = (utterance.corpus, utterance.speaker)
        speakers[utterance.gender].add(speaker)
        spoken[speaker].add(utterance.emotion)
        emotions_of[utterance.corpus].add(utterance.emotion)
    clips = Counter(u.gender for u in utterances)
    genders = [f"{name or 'gender unknown'} {clips[name]} by {len(speakers[name])}" for name in sorted(clips)]
    emotions = [f"{name} {count}" for name, count in sorted(Counter(u.emotion for u in utterances).items())]
    lacking = sum(said != emotions_of[corpus] for (corpus, _), said in spoken.items())
    yield Finding(
        "balance",
        "reported",
        f"utterances in {where}: {len(utterances)}, speakers: {len(spoken)} ({', '.join(genders)}); "
        f"{', '.join(emotions)}; speakers who lack an emotion of their corpus: {lacking}",
    )


def _unknown_utterances(split: Split, known: Iterable[str]) -> Iterator[Finding]:
    if unknown := {*split.train, *split.validation, *split.test} - set(known):
        message = f"utterances that are not in the manifest: {_told(unknown)}"
        yield Finding("unknown utterance", "refused", message, tuple(sorted(unknown)))


def _empty_parts(split: Split) -> Iterator[Finding]:
    if not split.train:
        yield Finding("empty part", "refused", "nothing to train on")
    if not split.test and split.protocol != "all":
        yield Finding("empty part", "refused", "nothing to test")
    if not split.validation and split.protocol != "all":
        yield Finding(
            "empty part", "reported", "nothing to validate on: no choice and no calibration is possible"
        )


def _same_utterance(parts: Parts) -> Iterator[Finding]:
    for one, other in _PAIRS:
        if both := {u.id for u in parts[one]} & {u.id for u in parts[other]}:
            message = f"the same utterance in {one} and in {other}: {_told(both)}"
            yield Finding("same utterance", "refused", message, tuple(sorted(both)))


def _same_audio(parts: Parts) -> Iterator[Finding]:
    for one, other in _PAIRS:
        # An utterance on both sides is told as that; here count its copies under another id.
        once = {u.id for u in parts[one]} ^ {u.id for u in parts[other]}
        sides = [[u for u in parts[side] if u.digest and u.id in once] for side in (one, other)]
        both = {u.digest for u in sides[0]} & {u.digest for u in sides[1]}
        if ids := _ids(u for side in sides for u in side if u.digest in both):
            message = f"the same audio in {one} and, under another id, in {other}: {_told(ids)}"
            yield Finding("same audio", "refused", message, ids)


def _same_speaker(parts: Parts, protocol: str) -> Iterator[Finding]:
    for one, other in _PAIRS:
        both = _speakers(parts[one]) & _speakers(parts[other])
        if not both:
            continue
        if other == "test":
            refused = protocol in ("speaker", "loso")
        else:  # where no speaker can be spared, validation is taken by utterance
            refused = protocol != "random" and bool(speakers_to_spare(parts["train"] + parts["validation"]))
        message = f"the same speaker in {one} and in {other}: {_told('/'.join(speaker) for speaker in both)}"
        crossing = (u for side in (one, other) for u in parts[side] if (u.corpus, u.speaker) in both)
        if refused:
            yield Finding("same speaker", "refused", message, _ids(crossing))
        else:
            yield Finding("same speaker", "reported", message)


def _unknown_speakers(parts: Parts, protocol: str) -> Iterator[Finding]:
    ids = _ids(u for utterances in parts.values() for u in utterances if not u.speaker)
    if ids and protocol in ("speaker", "loso"):
        message = f"utterances of unknown speakers under the protocol '{protocol}': {_told(ids)}"
        yield Finding("unknown speaker", "refused", message, ids)


def _same_corpus(parts: Parts, protocol: str) -> Iterator[Finding]:
    for one in ("train", "validation"):
        both = {u.corpus for u in parts[one]} & {u.corpus for u in parts["test"]}
        if both and protocol == "cross-corpus":
            yield Finding("same corpus", "refused", f"the same corpus in {one} and in test: {_told(both)}")


def _same_sentence(parts: Parts) -> Iterator[Finding]:
    trained = {(u.corpus, u.sentence) for u in parts["train"] + parts["validation"] if u.sentence}
    tested = {(u.corpus, u.sentence) for u in parts["test"] if u.sentence}
    if both := trained & tested:
        clips = sum((u.corpus, u.sentence) in both for u in parts["test"])
        message = (
            f"tested sentences that are trained on too: {len(both)} of {len(tested)}, "
            f"in {clips} of {len(parts['test'])} tested utterances"
        )
        yield Finding("same sentence", "reported", message)


def _missing_emotions(parts: Parts) -> Iterator[Finding]:
    emotions = {part: {u.emotion for u in utterances} for part, utterances in parts.items() if utterances}
    for part, present in emotions.items():
        if missing := set().union(*emotions.values()) - present:
            message = f"emotions of the split that {part} has no utterance of: {', '.join(sorted(missing))}"
            yield Finding("missing emotion", "reported", message)


def _speakers(utterances: Iterable[Utterance]) -> set[Speaker]:
    return {(u.corpus, u.speaker) for u in utterances if u.speaker}


def _ids(utterances: Iterable[Utterance]) -> tuple[str, ...]:
    return tuple(sorted({u.id for u in utterances}))


def _told(names: Iterable[str]) -> str:
    """How many, and the first of them."""
    ordered = sorted(names)
    return f"{len(ordered)}, first '{ordered[0]}'"
