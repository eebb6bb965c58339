"""``vocalics train``, ``evaluate``, ``benchmark``, ``export``: thin doors to the lab, which is imported when
one is opened."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vocalics.lab.manifest import Manifest
    from vocalics.lab.recipes import Recipe

app = typer.Typer()

Data = Annotated[
    Path | None, typer.Option(help="Folder with one folder per corpus.", show_default="VOCALICS_DATA")
]
ManifestFile = Annotated[
    Path | None, typer.Option("--manifest", help="A manifest (.parquet, .csv) instead of --data.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: training.epochs=5.")]
Corpora = Annotated[
    list[str] | None, typer.Option("--corpus", help="Instead of the recipe's corpora; may be repeated.")
]


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A bundled recipe's name, or a YAML file.")],
    data: Data = None,
    manifest: ManifestFile = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Run folder; default runs/RECIPE.")
    ] = None,
    settings: Settings = None,
    corpus: Corpora = None,
    gender: Annotated[str | None, typer.Option(help="Speakers of one gender alone: female or male.")] = None,
    protocol: Annotated[
        str, typer.Option(help="speaker, loso, random, cross-corpus, official, or all: every speaker trains.")
    ] = "speaker",
    fold: Annotated[int, typer.Option(help="Which fold of the protocol.")] = 1,
) -> None:
    """Train a recipe on one fold and export it to RUN/model.onnx.

    A run that was interrupted goes on from its last epoch when the same command is given again.
    """
    from vocalics.lab.splits import make_splits
    from vocalics.lab.training import fit

    chosen = _recipe(recipe, settings, corpus)
    utterances = _manifest(chosen, data, manifest)
    splits = make_splits(
        utterances,
        protocol,
        seed=chosen.training.seed,
        validation_share=chosen.training.validation_share,
        gender=gender,
    )
    if not 1 <= fold <= len(splits):
        from vocalics.errors import SplitError

        raise SplitError(
            f"fold {fold} does not exist; protocol '{protocol}' has folds 1 to {len(splits)} here."
        )
    split = splits[fold - 1]
    run = output or Path("runs", chosen.name)
    _tell(
        f"{chosen.name}: {len(split.train)} utterances train, {len(split.validation)} validate, {len(split.test)} are kept "
        f"for 'vocalics evaluate {run}'"
    )
    for note in split.notes:
        _tell(f"note: {note}")
    model = fit(chosen, utterances, split, run, command=_command())
    print(model)  # noqa: T201, the answer of the command


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model (name or .onnx file), or a run folder: its test part then.")
    ],
    data: Data = None,
    manifest: ManifestFile = None,
    corpus: Annotated[list[str] | None, typer.Option(help="Corpora to measure on; may be repeated.")] = None,
    split: Annotated[Path | None, typer.Option(help="A split.json: measure on its test part.")] = None,
    emotions: Annotated[
        str | None,
        typer.Option(help="Choose among these alone, comma-separated; default: those that both sides know."),
    ] = None,
    adapt: Annotated[
        str | None, typer.Option(help="Also adapted to the speaker with N other unlabelled clips, or all.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure although the model was trained on these speakers.")
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for evaluation.json.")] = None,
) -> None:
    """Measure a model file on labelled recordings it was not trained on."""
    from vocalics.cli.figures import print_evaluation
    from vocalics.lab.evaluate_file import evaluate_file

    figures = evaluate_file(
        model,
        data=data,
        manifest=manifest,
        corpora=corpus,
        split=split,
        emotions=emotions.split(",") if emotions else None,
        adapt=adapt,
        allow_seen=allow_seen,
        command=_command(),
        tell=_tell,
    )
    if output:
        from vocalics.files import write_atomically

        write_atomically(output / "evaluation.json", json.dumps(figures, indent=1) + "\n")
        _tell(f"wrote {output / 'evaluation.json'}")
    print_evaluation(figures)


@app.command()
def benchmark(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes; default: all that are bundled.")
    ] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="Protocols; may be repeated. Default: speaker.")
    ] = None,
    data: Data = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the folds' results and the leaderboard.")
    ] = Path("results"),
    runs: Annotated[Path, typer.Option(help="Folder for the runs themselves.")] = Path("runs"),
    settings: Settings = None,
    corpus: Corpora = None,
    gender: Annotated[str | None, typer.Option(help="Speakers of one gender alone: female or male.")] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only these folds; may be repeated.")] = None,
) -> None:
    """Train and measure recipes under protocols, fold by fold, and write the leaderboard.

    A fold whose result lies in the folder is not trained again.
    """
    from vocalics.cli.figures import print_summary
    from vocalics.lab.benchmark import System, run_system
    from vocalics.lab.leaderboard import write_leaderboard
    from vocalics.lab.recipes import list_recipes

    for name in recipes or list(list_recipes()):
        chosen = _recipe(name, settings, corpus)
        utterances = _scan(chosen, data)
        for one in protocol or ["speaker"]:
            system = System(chosen, one, gender)
            run_system(system, utterances, output, runs, _command(), fold, _tell)
    for summary in write_leaderboard(output):
        print_summary(summary)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model file to write, .onnx.")],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folders of folds from 'vocalics benchmark': calibration and figures for a model on all speakers."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the card calls the model; default: as the recipe.")
    ] = None,
) -> None:
    """Take the model file out of a run, for a model on all speakers with the evidence of its recipe's
    folds."""
    from vocalics.lab.release import release

    release(run, output, evaluation or [], name)
    print(output)  # noqa: T201, the answer of the command


def _recipe(name: str, settings: list[str] | None, corpora: list[str] | None) -> "Recipe":
    from vocalics.lab.recipes import load_recipe

    chosen = [f"corpora={json.dumps(corpora)}"] if corpora else []
    return load_recipe(name, [*(settings or []), *chosen])


def _manifest(recipe: "Recipe", data: Path | None, manifest: Path | None) -> "Manifest":
    """The recipe's utterances, in its vocabulary; what is left out is counted and told."""
    if manifest:
        from vocalics.lab.manifest import load_manifest

        utterances = load_manifest(manifest)
    else:
        utterances = _scan(recipe, data)
    projected, dropped = utterances.project(recipe.emotions, recipe.merge)
    for emotion, count in dropped.items():
        _tell(f"left out: {count} utterances of '{emotion}', which the recipe does not name")
    return projected


def _scan(recipe: "Recipe", data: Path | None) -> "Manifest":
    from vocalics.lab.corpora import data_folder, scan_data

    return scan_data(data_folder(data), recipe.corpora)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201, notes go to stderr


def _command() -> str:
    """The command line as typed, without the folder of the program."""
    return shlex.join(["vocalics", *sys.argv[1:]])
