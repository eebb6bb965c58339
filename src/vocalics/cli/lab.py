"""``vocalics train``, ``evaluate``, ``benchmark``, ``export``: doors to the lab, imported when one opens."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vocalics.cli.screen import progress, tell
from vocalics.errors import SplitError, UsageError

if TYPE_CHECKING:
    from vocalics.lab.corpora import Note
    from vocalics.lab.manifest import Manifest
    from vocalics.lab.recipes import Recipe

app = typer.Typer()

Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with one folder per corpus.", show_default="VOCALICS_DATA"),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        "--manifest", metavar="FILE", help="A manifest or a table (.parquet, .csv) instead of --data."
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: training.epochs=5.")
]
Corpora = Annotated[
    list[str] | None,
    typer.Option("--corpus", metavar="NAME", help="Instead of the recipe's corpora; may be repeated."),
]
Conditions = Annotated[
    str | None,
    typer.Option(
        metavar="all|NAME,...",
        help="Also in bad recordings, such as telephone,mp3: what is lost of the UAR under each.",
    ),
]
Gender = Annotated[str | None, typer.Option(help="Speakers of one gender alone: female or male.")]


class _Speakers(StrEnum):
    """Whose models a benchmark compares."""

    MIXED = "mixed"
    FEMALE = "female"
    MALE = "male"


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A bundled recipe's name, or a YAML file.")],
    data: Data = None,
    manifest: ManifestFile = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN", help="Run folder; default runs/RECIPE.")
    ] = None,
    settings: Settings = None,
    corpus: Corpora = None,
    gender: Gender = None,
    protocol: Annotated[
        str, typer.Option(help="speaker, loso, random, cross-corpus, official, or all: every speaker trains.")
    ] = "speaker",
    fold: Annotated[int, typer.Option(help="Which fold of the protocol.")] = 1,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For 'official': a list of test utterances, or a split.json."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Begin with the weights of a model of this recipe (fine-tuning); measured before and after.",
        ),
    ] = None,
) -> None:
    """Train a recipe on one fold and export it to RUN/model.onnx.

    A run that was interrupted goes on from its last whole epoch when the same command is given again.
    """
    from vocalics.files import write_atomically
    from vocalics.lab.initial import Initial, before_and_after
    from vocalics.lab.leaks import refuse_leaky_protocol
    from vocalics.lab.splits import make_splits
    from vocalics.lab.training import fit

    refuse_leaky_protocol(protocol)
    wanted = _recipe(recipe, settings, corpus, fine_tuning=init is not None)
    initial = Initial.read(init) if init else None
    if initial:
        initial.require_same_network(wanted)
    chosen, utterances = _recordings(wanted, data, manifest, corpus)
    splits = make_splits(
        utterances,
        protocol,
        seed=chosen.training.seed,
        validation_share=chosen.training.validation_share,
        gender=gender,
        official=split,
    )
    if not 1 <= fold <= len(splits):
        raise SplitError(f"fold {fold} does not exist; here '{protocol}' has folds 1 to {len(splits)}.")
    parts = splits[fold - 1]
    run = output or Path("runs", chosen.name)
    for note in parts.notes:
        tell(f"note: {note}")
    tell(
        f"{chosen.name}: {len(parts.train)} utterances train, {len(parts.validation)} validate, "
        f"{len(parts.test)} are kept for 'vocalics evaluate {run}'"
    )
    with _resumable():
        model = fit(
            chosen, utterances, parts, run, command=_command(), initial=initial, progress=progress, tell=tell
        )
    if initial and parts.test:
        found = before_and_after(initial, model, utterances.select(parts.test))
        write_atomically(run / "before-and-after.json", json.dumps(found, indent=1) + "\n")
        tell(_before_and_after(found))
    typer.echo(str(model))


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RUN", help="A model (name or .onnx file), or a run folder: its own test part then."
        ),
    ],
    data: Data = None,
    manifest: ManifestFile = None,
    corpus: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Corpora to measure on; may be repeated.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A split.json: measure on its test part.")
    ] = None,
    emotions: Annotated[
        str | None,
        typer.Option(help="Choose among these alone, comma-separated; default: those that both sides know."),
    ] = None,
    adapt: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Also adapted to the speaker, with N other clips or all; or several: 1,5,all.",
        ),
    ] = None,
    conditions: Conditions = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure although the model was trained on these speakers.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for evaluation.json and the report."),
    ] = None,
) -> None:
    """Measure a model file on labelled recordings of speakers that it was not trained on."""
    from vocalics.cli.figures import print_evaluation
    from vocalics.files import write_atomically
    from vocalics.lab.evaluate_file import evaluate_file
    from vocalics.lab.leaks import refuse_leaky_run
    from vocalics.lab.log import read_log

    refuse_leaky_run(model)
    figures = evaluate_file(
        model,
        data=data,
        manifest=manifest,
        corpora=corpus,
        split=split,
        emotions=[name.strip() for name in emotions.split(",")] if emotions else None,
        adapt=adapt,
        conditions=conditions,
        allow_seen=allow_seen,
        command=_command(),
        progress=progress,
        tell=tell,
    )
    print_evaluation(figures)
    if output:
        from vocalics.lab.report import write_report

        write_atomically(output / "evaluation.json", json.dumps(figures, indent=1) + "\n")
        write_report(figures, output, read_log(Path(model)))
        tell(f"wrote evaluation.json, report.html and report.md to {output}")


@app.command()
def benchmark(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE]...", help="Default: all that are bundled.")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="speaker, loso, random or cross-corpus; may be repeated. augment-before-split: a deliberate "
            "leak, to show what it does.",
            show_default="speaker",
        ),
    ] = None,
    data: Data = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder of the folds' results and the leaderboard."
        ),
    ] = Path("results"),
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs themselves.")] = Path("runs"),
    settings: Settings = None,
    corpus: Corpora = None,
    gender: Annotated[
        list[_Speakers] | None,
        typer.Option(
            help="Speakers of one gender alone; mixed: all. May be repeated: one table compares them.",
            show_default="mixed",
        ),
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only these folds; may be repeated.")] = None,
    conditions: Conditions = None,
) -> None:
    """Train and measure recipes under protocols, fold by fold, and write the leaderboard.

    A fold whose result lies in the folder is not trained again; conditions that it lacks are measured while
    the model of its run is there.
    """
    from vocalics.cli.figures import print_genders, print_summary
    from vocalics.lab.benchmark import System, run_system
    from vocalics.lab.conditions import list_conditions
    from vocalics.lab.leaderboard import write_leaderboard
    from vocalics.lab.leak_report import leak_table, write_leaks
    from vocalics.lab.recipes import list_recipes

    condition_names = list_conditions(conditions) if conditions is not None else ()
    measured = set()
    for name in recipes or list_recipes():
        chosen = _recipe(name, settings, corpus)
        if not recipes and chosen.lacks_encoder:
            continue  # the bundled recipe that waits for somebody to name one
        utterances = _load(data, None, chosen.corpora)
        for one, speakers in product(protocol or ["speaker"], gender or [_Speakers.MIXED]):
            system = System(chosen, one, None if speakers is _Speakers.MIXED else speakers.value)
            with _resumable():
                run_system(
                    system, utterances, output, runs, _command(), fold, progress, tell, condition_names
                )
            measured.add(system.folder.as_posix())
    summaries = [summary for summary in write_leaderboard(output) if summary["folder"] in measured]
    for summary in summaries:
        print_summary(summary)
    print_genders(summaries)
    tell(f"wrote {output / 'leaderboard.md'}")
    for leak in write_leaks(output):
        typer.echo(f"{leak.title}:\n\n{leak_table(leak)}")


@app.command()
def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL", help="A run folder; with --precision also an .onnx file or a model's name."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The model file to write, .onnx.")
    ],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of folds (fold-*.json) from 'vocalics benchmark', whose calibration and figures the "
            "model shall carry; may be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the card calls the model.", show_default="as the recipe")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="int8|float16",
            help="Write a variant with smaller weights, made with recordings that the model was trained on.",
        ),
    ] = None,
    data: Data = None,
    manifest: ManifestFile = None,
) -> None:
    """Take the model file out of a run, or write a variant of a model with smaller weights.

    A model on all speakers has nobody left to be measured on: give it the evidence of its recipe's folds.
    """
    if precision is None:
        from vocalics.lab.leaks import refuse_leaky_run
        from vocalics.lab.release import release

        if data or manifest:
            raise UsageError("--data and --manifest are for variants; name one with --precision.")
        refuse_leaky_run(run)
        release(Path(run), output, evaluation or [], name)
    else:
        from vocalics.lab.variants import export_variant

        if evaluation:
            raise UsageError(
                "--evaluation and --precision are given together; export the model with its evidence first, "
                "and then a variant of that file."
            )
        export_variant(
            run, output, precision, data=data, manifest=manifest, name=name, progress=progress, tell=tell
        )
    typer.echo(str(output))


def _recipe(
    name: str, settings: list[str] | None, corpora: list[str] | None, *, fine_tuning: bool = False
) -> "Recipe":
    from vocalics.lab.recipes import load_recipe

    chosen = [f"corpora={json.dumps(corpora)}"] if corpora else []
    return load_recipe(name, [*(settings or []), *chosen], fine_tuning=fine_tuning)


def _before_and_after(found: dict[str, Any]) -> str:
    """Say what fine-tuning changed."""
    if "before" not in found:
        return "the model before knows fewer than two of these emotions, so there is nothing to compare"
    uars, accuracies = (
        [f"{100 * found[when][figure]:.1f} %" for when in ("before", "after")]
        for figure in ("uar", "accuracy")
    )
    return (
        f"on the {found['clips']} test clips of {found['speakers']} speakers, kept from both trainings, "
        f"{len(found['emotions'])} emotions: UAR {uars[0]} before, {uars[1]} after; accuracy {accuracies[0]} "
        f"before, {accuracies[1]} after"
    )


def _recordings(
    recipe: "Recipe", data: Path | None, manifest: Path | None, corpora: list[str] | None
) -> "tuple[Recipe, Manifest]":
    """Return the utterances in the recipe's vocabulary, and the recipe with the corpora that they are of.

    A manifest says itself what to train on: without --corpus all of it is taken, whatever the recipe names.
    """
    if manifest is None or corpora:
        utterances = _load(data, manifest, recipe.corpora)
    else:
        utterances = _load(data, manifest, None)
        recipe = recipe.model_copy(update={"corpora": utterances.corpora})
    projected, dropped = utterances.project(recipe.emotions, recipe.merge)
    for emotion, count in dropped.items():
        tell(f"left out: {count} utterances of '{emotion}', which the recipe does not name")
    if not len(projected):
        raise UsageError(
            f"no utterance has one of the recipe's emotions, {', '.join(recipe.emotions)}; name those that "
            "are there (--set emotions=[...])."
        )
    return recipe, projected


def _load(data: Path | None, manifest: Path | None, corpora: "tuple[str, ...] | None") -> "Manifest":
    """Read the corpora, and tell what was passed over."""
    from vocalics.lab.corpora import load_data

    notes: list[Note] = []
    with progress("reading the corpora") as bar:
        utterances = load_data(data, manifest, corpora, progress=bar, notes=notes.append)
    for note in notes:
        tell(note.message)
    return utterances


@contextmanager
def _resumable() -> Iterator[None]:
    """Answer Ctrl-C with what to do next."""
    try:
        yield
    except KeyboardInterrupt:
        tell("interrupted; give the same command again, and it goes on from the last whole epoch")
        raise typer.Exit(130) from None


def _command() -> str:
    """Return the command line as typed, without the folder of the program."""
    return shlex.join(["vocalics", *sys.argv[1:]])
