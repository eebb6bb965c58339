"""The command line. It finds words for what the library does; no logic of its own stands here.

Every module of this package imports Typer, the standard library and vocalics's small modules at its top, and
what a command needs when it is called. So help is instant, and ``vocalics predict`` never loads PyTorch.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated

import typer

from vocalics.cli import app as page
from vocalics.cli import batch, corpus, explain, features, lab, listen, models, predict, serve, timeline
from vocalics.cli.screen import tell
from vocalics.errors import VocalicsError

app = typer.Typer(
    help="Recognise emotion in speech; train, evaluate and compare the models that do.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
app.add_typer(predict.app)
app.add_typer(timeline.app)
app.add_typer(listen.app)
app.add_typer(batch.app)
app.add_typer(explain.app)
app.add_typer(page.app)
app.add_typer(serve.app)
app.add_typer(models.app, name="models")
app.add_typer(corpus.app, name="corpus")
app.add_typer(features.app)
app.add_typer(lab.app)

#: Modules that do not come with the core, and the extra that brings them.
_EXTRAS = {
    "batch": {"fsspec", "pyarrow"},
    "ray": {"ray"},
    "live": {"sounddevice"},
    "app": {"plotly", "streamlit"},
    "hub": {"huggingface_hub"},
    "encoders": {"safetensors", "transformers"},
    "service": {"fastapi", "prometheus_client", "python_multipart", "uvicorn", "websockets"},
    "lab": {"audiomentations", "librosa", "lightning", "matplotlib", "onnx", "onnxscript"}
    | {"pandas", "scipy", "seaborn", "sklearn", "tensorboard", "torch", "yaml"},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 1 some inputs failed, 2 the call itself was wrong, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--traceback" in given or os.environ.get("VOCALICS_DEBUG", "0") != "0"
    given = [argument for argument in given if argument != "--traceback"]  # it may stand anywhere
    try:
        code = typer.main.get_command(app).main(given, prog_name="vocalics", standalone_mode=False)
    except typer.TyperException as error:  # the call does not parse
        if sentence := _usage_sentence(error):
            tell(sentence)
        return error.exit_code
    except (VocalicsError, ModuleNotFoundError) as error:
        sentence = _missing_extra(error, given) if isinstance(error, ModuleNotFoundError) else str(error)
        if debug or not sentence:
            raise
        tell(sentence)
        return 2
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        import vocalics

        typer.echo(f"vocalics {vocalics.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error arose, as VOCALICS_DEBUG=1 does.")
    ] = False,
) -> None:
    pass


def _usage_sentence(error: typer.TyperException) -> str:
    """Say what does not parse and where the help is; empty when the help itself was the answer."""
    message = " ".join(error.format_message().split()).replace("Value error, ", "")
    if not message:
        return ""
    message = message[0].lower() + message[1:] + ("" if message.endswith((".", "?")) else ".")
    context = getattr(error, "ctx", None)
    return f"{message} Try '{context.command_path} --help'." if context else message


def _missing_extra(error: ModuleNotFoundError, given: Sequence[str]) -> str:
    """Name the extra that brings a module that the call misses; empty when none does."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in _EXTRAS.items() if module in modules), None)
    if extra is None:
        return ""
    whole_lab = extra == "lab" and find_spec("torch") is None
    work = "'vocalics explain'" if given[:1] == ["explain"] else "Training"
    what = f"{work} needs PyTorch" if whole_lab else f"this needs {module}, which is not installed"
    return f"{what}: pip install 'vocalics[{extra}]'"
