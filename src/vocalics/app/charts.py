"""Figures of one answer: bars, the plane of valence and arousal, what the network heard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sequential
from plotly.subplots import make_subplots

from vocalics import emotions
from vocalics.app import look
from vocalics.app.heard import Heard
from vocalics.app.words import percent
from vocalics.recognition.prediction import Prediction

#: For every figure: nothing to zoom by accident with a finger, no tools over it.
CONFIG: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}

#: Height of one bar and its gap, pixels.
BAR_PX = 34

#: Size of what is written in a figure, pixels.
FONT_PX = 14

#: Frequencies that are written beside a spectrogram, Hz.
TICKS_HZ = (500, 1000, 2000, 4000, 8000)

#: Magma, but for its black: Streamlit takes that very colour for a name of one of its own.
MAGMA = ["#020208", *sequential.Magma[1:]]

#: Where the name of an emotion stands beside its circle, where not above.
_BESIDE = {
    "fearful": "middle left",
    "disgust": "middle left",
    "sad": "bottom center",
    "calm": "bottom center",
}


def bars(prediction: Prediction) -> go.Figure:
    """Draw the probabilities, the highest on top; hatched where the model abstains."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: item[1])
    names, shares = [name for name, _ in ranked], [share for _, share in ranked]
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=names,
            orientation="h",
            text=[percent(share) for share in shares],
            textposition="outside",
            textfont={"size": FONT_PX},
            cliponaxis=False,
            marker=_fill(names, prediction.abstained),
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    return _bare(figure, BAR_PX * len(names) + 10, x_max=max(0.35, 1.16 * max(shares)))


def paired_bars(sets: Sequence[tuple[str, Prediction]], labels: Sequence[str]) -> go.Figure:
    """Draw the probabilities of several answers to one recording, a group for each emotion.

    Parameters
    ----------
    sets
        What each answer is called, and the answer; the last is drawn in full colour, those before it pale.
    labels
        The emotions, from top to bottom.
    """
    figure = go.Figure()
    for position, (name, answer) in enumerate(sets):
        shares = [answer.probabilities.get(label) for label in labels]
        last = position == len(sets) - 1
        fill = _fill(labels, abstained=False) | {"opacity": 1.0 if last else 0.4}
        figure.add_bar(
            name=name,
            x=shares,
            y=list(labels),
            orientation="h",
            text=["" if share is None else percent(share) for share in shares],
            textposition="outside",
            textfont={"size": FONT_PX},
            cliponaxis=False,
            marker=fill,
            hovertemplate=f"%{{y}}, {name}: %{{text}}<extra></extra>",
        )
    highest = max((share for _, answer in sets for share in answer.probabilities.values()), default=1.0)
    _bare(figure, 46 * len(labels) + 20, x_max=max(0.35, 1.2 * highest))
    return figure.update_yaxes(autorange="reversed").update_layout(bargap=0.25, bargroupgap=0.05)


def plane(probabilities: Mapping[str, float]) -> go.Figure | None:
    """Draw valence and arousal: each emotion where it conventionally lies, a ring at their weighted mean.

    Returns
    -------
    None for a model with a label that has no place there.
    """
    if any(name not in emotions.EMOTIONS for name in probabilities):
        return None
    known = [emotions.EMOTIONS[name] for name in probabilities]
    shares = np.array(list(probabilities.values()))
    x, y = np.array([one.valence for one in known]), np.array([one.arousal for one in known])
    figure = go.Figure()
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers+text",
        text=list(probabilities),
        textfont={"size": FONT_PX},
        textposition=[_BESIDE.get(one.name, "top center") for one in known],
        marker={
            "size": 9 + 34 * np.sqrt(shares),
            "color": [one.color for one in known],
            "opacity": 1.0,
            "line": {"width": 1, "color": look.OUTLINE},
        },
        customdata=[percent(share) for share in shares],
        hovertemplate="%{text}: %{customdata}<extra></extra>",
    )
    figure.add_scatter(
        x=[float(shares @ x / shares.sum())],
        y=[float(shares @ y / shares.sum())],
        mode="markers",
        marker={"size": 20, "symbol": "circle-open", "color": look.GREY, "line": {"width": 4}},
        hovertemplate="this voice: valence %{x:+.2f}, arousal %{y:+.2f}<extra></extra>",
    )
    axis: dict[str, Any] = {
        "range": [-1.12, 1.12],
        "zeroline": True,
        "showgrid": False,
        "showticklabels": False,
        "fixedrange": True,
        "title": {"standoff": 4},
    }
    return figure.update_layout(
        height=BAR_PX * 8 + 40,
        showlegend=False,
        dragmode=False,
        margin={"l": 28, "r": 8, "t": 8, "b": 28},
        xaxis=axis | {"title": {"text": "unpleasant  ←  →  pleasant"}},
        yaxis=axis | {"title": {"text": "quiet  ←  →  excited"}},
    )


def heard(seen: Heard) -> go.Figure:
    """Draw what the network heard over time and, where it has any, its attention below."""
    rows = 1 if seen.attention is None else 2
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.72, 0.28][:rows]
    )
    figure.add_trace(
        go.Heatmap(
            z=seen.picture, x=seen.picture_s, colorscale=MAGMA, zmin=0, zmax=255, showscale=False,
            hoverinfo="skip",
        ),
        row=1,
        col=1,
    )  # fmt: skip
    if seen.mel_hz is not None:
        places, words = _mel_ticks(seen.mel_hz, len(seen.picture))
        figure.update_yaxes(tickvals=places, ticktext=words, title_text="kHz", row=1, col=1)
    else:
        figure.update_yaxes(showticklabels=False, title_text="features", row=1, col=1)
    if seen.attention is not None:
        figure.add_trace(
            go.Scatter(
                x=seen.attention_s,
                y=seen.attention,
                fill="tozeroy",
                line={"shape": "hvh", "width": 1.5, "color": look.GREY},
                fillcolor="rgba(127,134,143,0.35)",
                hovertemplate="%{y:.1f}× an even share at %{x:.2f} s<extra></extra>",
            ),
            row=2,
            col=1,
        )
        top = max(2.0, 1.1 * float(seen.attention.max()))
        figure.update_yaxes(range=[0, top], ticksuffix="×", nticks=4, title_text="attention", row=2, col=1)
        figure.add_hline(y=1, line={"dash": "dot", "width": 1, "color": look.GREY}, row=2, col=1)
    figure.update_xaxes(range=[0, seen.duration_s], fixedrange=True, showgrid=False)
    figure.update_xaxes(title_text="seconds", row=rows, col=1)
    figure.update_yaxes(fixedrange=True, showgrid=False, zeroline=False)
    return figure.update_layout(
        height=230 + 110 * (rows - 1),
        showlegend=False,
        dragmode=False,
        margin={"l": 48, "r": 8, "t": 8, "b": 36},
    )


def _fill(names: Sequence[str], abstained: bool) -> dict[str, Any]:
    """Return the look of bars of emotions, outlined so that each is seen on any page."""
    return {
        "color": [emotions.color(name) for name in names],
        "line": {"width": 1, "color": look.OUTLINE},
        "pattern": {"shape": "/" if abstained else "", "solidity": 0.4},
        "cornerradius": 4,
    }


def _bare(figure: go.Figure, height: int, x_max: float) -> go.Figure:
    """Take away what bars with their percentages beside them need not have."""
    figure.update_xaxes(visible=False, range=[0, x_max], fixedrange=True)
    figure.update_yaxes(
        fixedrange=True, showgrid=False, ticks="", automargin=True, tickfont={"size": FONT_PX}
    )
    return figure.update_layout(
        height=height, showlegend=False, dragmode=False, bargap=0.3, margin={"l": 8, "r": 8, "t": 4, "b": 4}
    )


def _mel_ticks(mel_hz: tuple[float, float], n_bands: int) -> tuple[list[float], list[str]]:
    """Return the rows at which frequencies lie, and what is written there, in kHz."""
    low, high = (_mel(hz) for hz in mel_hz)
    shown = [hz for hz in TICKS_HZ if mel_hz[0] < hz <= mel_hz[1]]
    # Triangular filters, evenly spaced: the first is centred one step above the lowest edge.
    places = [(_mel(hz) - low) / (high - low) * (n_bands + 1) - 1 for hz in shown]
    return places, [f"{hz / 1000:g}" for hz in shown]


def _mel(hz: float) -> float:
    """Return a frequency on the mel scale of Slaney's Auditory Toolbox (1998), as the features have it."""
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * float(np.log(hz / 1000) / np.log(6.4))
