"""From a manifest and the name of a protocol to splits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vocalics.errors import SplitError, UsageError
from vocalics.lab.manifest import Manifest, Utterance
from vocalics.lab.splits.folds import Dealing, deal_at_random, deal_by_speaker, deal_one_speaker_a_fold
from vocalics.lab.splits.official import TestLists, match_utterances, read_official
from vocalics.lab.splits.split import PROTOCOLS, Split
from vocalics.lab.splits.validation import BY_UTTERANCE, hold_out_recordings, hold_out_speakers


def make_splits(
    manifest: Manifest,
    protocol: str = "speaker",
    *,
    seed: int = 0,
    validation_share: float = 0.2,
    gender: str | None = None,
    test_corpora: str | Collection[str] | None = None,
    official: str | Path | None = None,
    folds: int | None = None,
) -> tuple[Split, ...]:
    """Split a manifest by a protocol of evaluation, one `Split` a fold.

    The same manifest and arguments give the same splits. Utterances with the same audio never stand on two
    sides: copies of a tested or validated recording are left out of training, and a note says so.

    Parameters
    ----------
    manifest
        What there is, already projected to the emotions of the recipe.
    protocol
        ``speaker``: grouped folds, no speaker on two sides. RAVDESS, SAVEE and TESS have published folds, any
        other corpus is dealt into five, balanced by gender. Fold k joins the k-th folds of all corpora.
        ``loso``: one fold a speaker.
        ``random``: five folds stratified by emotion and corpus, speakers on both sides.
        ``cross-corpus``: train on some corpora, test on others, on the emotions they share.
        ``official``: test utterances from a file.
        ``all``: everything trains; for a model to ship.
    seed
        Of all that is drawn; published folds do not depend on it.
    validation_share
        Share of the training part to validate on, in [0, 1): speakers, women and men alike; under ``random``
        recordings, stratified by emotion.
    gender
        ``female`` or ``male``: that gender's speakers alone train and test; under ``speaker`` in six folds.
    test_corpora
        For ``cross-corpus``: what to test, in one fold. Without it, each corpus has a fold that tests it.
    official
        For ``official``: a list as EmoBox has them, a folder of lists, or a split file, taken as it is.
    folds
        For ``speaker`` and ``random``: how many, instead of the default and of published ones.

    Raises
    ------
    UsageError
        When an argument is out of range, or has no meaning under the protocol.
    SplitError
        When the manifest cannot be split so: a speaker is unknown, or nothing is left to train on.
    """
    _check_call(protocol, seed, validation_share, gender, test_corpora, official, folds)
    if not len(manifest):
        raise SplitError("the manifest holds no utterance; there is nothing to split.")
    manifest, notes = _of_gender(manifest, gender)
    published = read_official(official) if official else {}
    if isinstance(published, Split):
        return (_matched(published, manifest, str(official)),)
    plans: dict[str, Callable[[], list[_Fold]]] = {
        "speaker": lambda: _by_speaker(manifest, deal_by_speaker(manifest, folds, gender, seed)),
        "loso": lambda: _dealt(manifest, deal_one_speaker_a_fold(manifest)),
        "random": lambda: _dealt(manifest, deal_at_random(manifest, folds, seed)),
        "cross-corpus": lambda: _across_corpora(manifest, test_corpora),
        "official": lambda: _listed(manifest, published, str(official)),
        "all": lambda: [_Fold(manifest.utterances, (), (_NOTHING_IS_TESTED,))],
    }
    plan = plans[protocol]()
    splits = []
    for number, fold in enumerate(plan, start=1):
        train, validation, more_notes = _with_validation(fold, protocol, number, seed, validation_share)
        splits.append(
            Split(
                protocol,
                fold=number,
                folds=len(plan),
                seed=seed,
                train=_ids(train),
                validation=_ids(validation),
                test=_ids(fold.test),
                notes=(*notes, *fold.notes, *more_notes),
            )
        )
    return tuple(splits)


_NOTHING_IS_TESTED = "everything trains: nothing is left to validate or test on"


@dataclass(frozen=True)
class _Fold:
    """What one fold tests, and what is left to train and to validate on."""

    train: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


def _by_speaker(manifest: Manifest, dealing: Dealing) -> list[_Fold]:
    n_folds = 1 + max(dealing.values())
    last = {u.corpus: 0 for u in manifest}
    for utterance in manifest:
        last[utterance.corpus] = max(last[utterance.corpus], 1 + dealing[utterance.id])
    notes = (
        f"{corpus} is tested in folds 1 to {n} of {n_folds}; the others train on all of it"
        for corpus, n in last.items()
        if n < n_folds
    )
    return _dealt(manifest, dealing, tuple(notes))


def _dealt(manifest: Manifest, dealing: Dealing, notes: tuple[str, ...] = ()) -> list[_Fold]:
    return [
        _Fold(
            train=tuple(u for u in manifest if dealing[u.id] != fold),
            test=tuple(u for u in manifest if dealing[u.id] == fold),
            notes=notes,
        )
        for fold in range(1 + max(dealing.values()))
    ]


def _across_corpora(manifest: Manifest, test_corpora: str | Collection[str] | None) -> list[_Fold]:
    named = {test_corpora} if isinstance(test_corpora, str) else set(test_corpora or ())
    unknown = sorted(named - set(manifest.corpora))
    if unknown:
        raise SplitError(
            f"the manifest holds no corpus '{unknown[0]}'; it holds {', '.join(manifest.corpora)}."
        )
    tested = [named] if named else [{corpus} for corpus in manifest.corpora]
    return [_tested_on(corpora, manifest) for corpora in tested]


def _tested_on(test_corpora: set[str], manifest: Manifest) -> _Fold:
    tested = {u.emotion for u in manifest if u.corpus in test_corpora}
    shared = {u.emotion for u in manifest if u.corpus not in test_corpora} & tested
    if not shared:
        raise SplitError(
            f"{', '.join(sorted(test_corpora))} shares no emotion with another corpus of the manifest, which "
            f"holds {', '.join(manifest.corpora)}; the protocol 'cross-corpus' needs some on both sides."
        )
    dropped = Counter(u.emotion for u in manifest if u.emotion not in shared)
    counted = ", ".join(f"{emotion} {count}" for emotion, count in sorted(dropped.items()))
    note = f"{dropped.total()} utterances of emotions that one side lacks are dropped: {counted}"
    return _Fold(
        train=tuple(u for u in manifest if u.emotion in shared and u.corpus not in test_corpora),
        test=tuple(u for u in manifest if u.emotion in shared and u.corpus in test_corpora),
        notes=(note,) if dropped else (),
    )


def _listed(manifest: Manifest, lists: TestLists, source: str) -> list[_Fold]:
    plan = []
    for tested, missing in match_utterances(lists, manifest, source):
        train = tuple(u for u in manifest if u.id not in tested)
        test = tuple(u for u in manifest if u.id in tested)
        strangers = {(u.corpus, u.speaker) for u in test} - {(u.corpus, u.speaker) for u in train}
        known = {(u.corpus, u.speaker) for u in test} - strangers
        notes = []
        if missing:
            notes.append(f"{missing} of {missing + len(test)} listed utterances are not in the manifest")
        if known:
            notes.append(
                f"the list leaves {len(known)} of {len(known | strangers)} tested speakers in training"
            )
        plan.append(_Fold(train, test, tuple(notes)))
    return plan


def _matched(split: Split, manifest: Manifest, source: str) -> Split:
    missing = sorted({*split.train, *split.validation, *split.test} - {u.id for u in manifest})
    if missing:
        raise SplitError(
            f"{len(missing)} utterances of {source} are not in the manifest (first: '{missing[0]}'); "
            "scan the same corpora and keep the same emotions as when it was made."
        )
    return split


def _with_validation(
    fold: _Fold, protocol: str, number: int, seed: int, share: float
) -> tuple[list[Utterance], list[Utterance], list[str]]:
    """Part the training utterances into train and validation; leave out copies of what is judged."""
    train, notes = _without_copies(fold.train, fold.test, "tested")
    if not train:
        raise SplitError(
            f"fold {number} of the protocol '{protocol}' leaves nothing to train on; add speakers or corpora."
        )
    if protocol == "all":
        return train, [], notes
    if not share:
        return train, [], [*notes, "no validation part was asked for"]
    held = set() if protocol == "random" else hold_out_speakers(train, share, seed, number)
    if not held:
        held = hold_out_recordings(train, share, seed, number)
        notes += [] if protocol == "random" else [BY_UTTERANCE]
    validation = [u for u in train if u.id in held]
    train, more_notes = _without_copies([u for u in train if u.id not in held], validation, "validated")
    return train, validation, [*notes, *more_notes]


def _without_copies(
    train: Sequence[Utterance], judged: Sequence[Utterance], how: str
) -> tuple[list[Utterance], list[str]]:
    digests = {u.digest for u in judged} - {""}
    kept = [u for u in train if u.digest not in digests]
    copies = len(train) - len(kept)
    notes = [f"{copies} utterances are left out of training: copies of {how} recordings"] if copies else []
    return kept, notes


def _of_gender(manifest: Manifest, gender: str | None) -> tuple[Manifest, tuple[str, ...]]:
    if gender is None:
        return manifest, ()
    alone = manifest.filter(lambda u: u.gender == gender)
    if not len(alone):
        raise SplitError(
            f"no speaker of the manifest is known to be {gender}; leave 'gender' out, or fill that column."
        )
    return alone, (f"{gender} speakers alone: {len(alone)} of {len(manifest)} utterances",)


def _ids(utterances: Iterable[Utterance]) -> tuple[str, ...]:
    return tuple(u.id for u in utterances)


def _check_call(
    protocol: str,
    seed: int,
    validation_share: float,
    gender: str | None,
    test_corpora: str | Collection[str] | None,
    official: str | Path | None,
    folds: int | None,
) -> None:
    if protocol not in PROTOCOLS:
        near = get_close_matches(protocol, PROTOCOLS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UsageError(f"unknown protocol '{protocol}'; {hint}known: {', '.join(PROTOCOLS)}.")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; give a whole number from 0 on.")
    if not 0 <= validation_share < 1:
        raise UsageError(
            f"validation_share is {validation_share}; give a share of the training part, from 0 to below 1."
        )
    if gender not in (None, "female", "male"):
        raise UsageError(f"unknown gender '{gender}'; give 'female' or 'male', or leave it out.")
    if folds is not None and folds < 2:
        raise UsageError(f"{folds} folds were asked for; give 2 or more.")
    meant_for = {
        "test_corpora": (test_corpora, ("cross-corpus",)),
        "official": (official, ("official",)),
        "folds": (folds, ("speaker", "random")),
    }
    for name, (value, protocols) in meant_for.items():
        if value is not None and protocol not in protocols:
            raise UsageError(
                f"'{name}' has no meaning under the protocol '{protocol}', only under "
                f"{' and '.join(protocols)}; leave it out or change the protocol."
            )
    if protocol == "official" and official is None:
        raise UsageError(
            "the protocol 'official' needs a file; name a list of test utterances or a split file."
        )
