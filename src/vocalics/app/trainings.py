"""The page for trainings: the leaderboard, every system's figures, the curves of runs. It needs the lab."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from vocalics.app import folders, models
from vocalics.app.memory import remembered
from vocalics.app.models import Choice
from vocalics.app.settings import Settings
from vocalics.errors import UsageError
from vocalics.recognition.model import Model

#: Where results and runs usually lie, seen from where the page was started.
_USUAL = ("results", "docs/results", "runs")

#: How many folders deep results and runs are looked for.
DEPTH = 4

#: How often a training is looked at that is followed, seconds.
FOLLOW_S = 10.0

_BOARD, _SYSTEMS, _RUNS = "Leaderboard", "Figures of a system", "Runs"


def page(settings: Settings) -> None:
    """Draw the page."""
    st.title("Trainings")
    st.markdown(
        "Compare recipes on speakers they never heard, look into the errors of each, and watch trainings as "
        "they run."
    )
    folders.require(settings, "vocalics.lab.plots", "Looking at trainings")
    usual = next((name for name in _USUAL if Path(name).is_dir()), "")
    folder = folders.ask_for_path(
        "Folder of results or runs on this machine",
        usual,
        "trainings",
        "What 'vocalics benchmark', 'vocalics evaluate' or 'vocalics train' wrote with -o, or a folder of "
        "such.",
    )
    if folder is None:
        st.caption("Name a folder that 'vocalics train', 'benchmark' or 'evaluate' wrote.")
        return
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{folder}' on this machine; name one with results or runs.")
    board = folder / "leaderboard.json"
    systems, runs = _find_systems(folder), _find(folder, "log.csv")
    parts = [
        name
        for name, there in ((_BOARD, board.is_file()), (_SYSTEMS, bool(systems)), (_RUNS, bool(runs)))
        if there
    ]
    if not parts:
        raise UsageError(
            f"in '{folder}' lie neither results nor runs; name a folder that 'vocalics train', 'benchmark' "
            "or 'evaluate' wrote."
        )
    part = st.segmented_control(
        "Part",
        parts,
        default=parts[0],
        required=True,
        key=f"trainings part {folder}",
        label_visibility="collapsed",
    )
    if part == _BOARD:
        _show_board(board)
    elif part == _SYSTEMS:
        _show_system(folder, systems)
    else:
        _show_runs(folder, runs)


def _find(folder: Path, name: str) -> list[Path]:
    """List files of a name, at most `DEPTH` folders deep, the last changed first."""
    found = [
        path for depth in range(DEPTH + 1) for path in folder.glob("*/" * depth + name) if path.is_file()
    ]
    return sorted(found, key=lambda path: (-path.stat().st_mtime, path.as_posix()))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}; write it anew.") from None


# ---- leaderboard -------------------------------------------------------------------------------------------


def _show_board(board: Path) -> None:
    rows: list[dict[str, Any]] = _read(board)
    plain = [row for row in rows if row["adapted_clips"] == 0]
    protocols = sorted({row["protocol"] for row in plain})
    chosen = st.pills(
        "Protocols", protocols, selection_mode="multi", default=protocols, key=f"trainings protocols {board}"
    )
    shown = [row for row in plain if row["protocol"] in chosen]
    if not shown:
        st.caption("Choose a protocol.")
        return
    st.caption(
        "'speaker': tested on people who were never heard in training. 'random': the same people on both "
        "sides, as behind most published figures. Only figures on the same clips compare."
    )
    key = (str(board), board.stat().st_mtime_ns, tuple(chosen))
    folders.embed(remembered("board", key, lambda: _drawn_board(shown)), "The leaderboard as a picture")
    st.dataframe(
        [_row(row) for row in shown],
        hide_index=True,
        column_config={
            name: st.column_config.ProgressColumn(name, format="%.1f %%", min_value=0, max_value=100)
            for name in ("UAR", "accuracy")
        },
        alt="The leaderboard as a table: one row for each system and protocol",
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    from vocalics.lab.standings import folds_text

    low, high = row["uar"]["low"], row["uar"]["high"]
    return {
        "recipe": row["recipe"] + (f" ({row['gender']})" if row["gender"] else ""),
        "tested on": ", ".join(row["tested_on"]),
        "protocol": row["protocol"],
        "folds": folds_text(row),
        "UAR": 100 * row["uar"]["mean"],
        "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}"
        if low is not None and high is not None
        else "",
        "accuracy": 100 * row["accuracy"]["mean"],
        "emotions": row["emotions"],
        "parameters": row["parameters"],
        "claim": row["claim"] or "",
    }


def _drawn_board(rows: Sequence[Mapping[str, Any]]) -> str:
    from vocalics.lab import plots
    from vocalics.lab.page import Picture
    from vocalics.lab.standings import list_claims, rows_to_draw

    drawn = rows_to_draw(rows)
    figure = plots.leaderboard(drawn, "accuracy", list_claims(drawn))
    return _as_page(Picture("leaderboard", figure, "Accuracy of every system: claim, random, speaker"))


# ---- systems -----------------------------------------------------------------------------------------------


def _find_systems(folder: Path) -> dict[str, list[Path]]:
    """List what can be reported: files with figures, and folders of folds that nobody summed up."""
    systems: dict[str, list[Path]] = {}
    for name in ("summary-*.json", "evaluation.json"):
        for path in _find(folder, name):
            told = path.relative_to(folder).with_suffix("").as_posix()
            systems[told.removesuffix("/evaluation").replace("/summary-", ", on ")] = [path]
    summed_up = {path.parent for (path,) in systems.values()}
    folds: dict[Path, list[Path]] = {}
    for path in _find(folder, "fold-*.json"):
        if path.parent not in summed_up:
            folds.setdefault(path.parent, []).append(path)
    return dict(
        sorted((systems | {p.relative_to(folder).as_posix(): own for p, own in folds.items()}).items())
    )


def _show_system(folder: Path, systems: Mapping[str, list[Path]]) -> None:
    name = st.selectbox("System", list(systems), key=f"trainings system {folder}")
    files = systems[name]
    key = tuple((str(path), path.stat().st_mtime_ns) for path in files)
    with st.spinner("Drawing"):
        html = remembered("report", key, lambda: _report(files))
    folders.embed(html, f"Report of {name}: confusion matrix, calibration, speakers")


def _report(files: Sequence[Path]) -> str:
    from vocalics.lab.leaderboard import summarise
    from vocalics.lab.log import read_log
    from vocalics.lab.report import write_report

    first = files[0]
    figures = summarise(files) if first.name.startswith("fold-") else _read(first)
    with tempfile.TemporaryDirectory() as folder:
        return write_report(figures, Path(folder), read_log(first.parent)).read_text(encoding="utf-8")


# ---- runs --------------------------------------------------------------------------------------------------


def _show_runs(folder: Path, logs: Sequence[Path]) -> None:
    runs = {log.parent.relative_to(folder).as_posix(): log.parent for log in logs}
    name = st.selectbox("Run", list(runs), key=f"trainings run {folder}")
    run = runs[name]
    follow = st.toggle("Follow it while it trains", key="trainings follow")
    st.fragment(_show_curves, run_every=FOLLOW_S if follow else None)(run)
    recipe = run / "recipe.yaml"
    if recipe.is_file():
        with st.expander("Its recipe", icon=":material/receipt_long:"):
            st.code(recipe.read_text(encoding="utf-8"), language="yaml")
    if (run / "model.onnx").is_file():
        _offer_model(f"run {name}", run / "model.onnx")


def _offer_model(label: str, path: Path) -> None:
    def keep() -> None:
        models.keep(Choice(label, (str(path), path.stat().st_mtime_ns), Model.load(path)), choose=True)

    if st.button("Listen with its model", icon=":material/bookmark_add:", on_click=keep):
        st.success(f"'{label}' is now the model of every page, until you choose another.")


def _show_curves(run: Path) -> None:
    from vocalics.lab.log import read_log

    rows = read_log(run)
    if not rows:
        st.caption("No epoch has ended yet.")
        return
    st.caption(f"{len(rows)} epochs")
    key = (str(run), len(rows), (run / "log.csv").stat().st_mtime_ns)
    folders.embed(
        remembered("curves", key, lambda: _drawn_curves(rows)), f"Curves of the training in {run.name}"
    )


def _drawn_curves(rows: Sequence[Mapping[str, float]]) -> str:
    from vocalics.lab import plots
    from vocalics.lab.page import Picture

    return _as_page(Picture("training", plots.training_curves(rows), "Accuracy and loss over the epochs"))


#: For a picture alone on its page.
_CENTRED = "section, figure { margin: 0; } figure svg { margin: 0 auto; }"


def _as_page(picture: Any) -> str:
    """Return one picture as a page of the lab, without heading."""
    from importlib.resources import files

    from vocalics.lab.page import svg

    sheet = files("vocalics.lab").joinpath("page.css").read_text(encoding="utf-8")
    drawn = svg(picture.figure, picture.name, picture.says)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><style>{sheet}{_CENTRED}</style></head>'
        f"<body><section><figure>{drawn}</figure></section></body></html>"
    )
