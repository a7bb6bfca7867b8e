"""Interactive plots, as plotly's own plain data: curves of trainings, and latents in the plane."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from latentcore.evaluate.latents import Latents
from latentcore.plots.plane import gaussians
from latentcore.plots.projections import pca
from latentcore.plots.style import PALETTE
from latentcore.report.folder import RunFolder

_NOT_CURVES = ("epoch", "seconds")
_VALIDATION = "validation_"
_DASHES = ("solid", "dot")  # of runs, where there are more than colours; dashed is the validation
_CIRCLE = np.linspace(0, 2 * np.pi, 73)
_MOST_POINTS = 1000  # of a curve
_MOST_ELLIPSES = 300
_RADIUS = 2.0  # of an ellipse, in standard deviations


class Line(NamedTuple):
    """An entry of the legend of all curves: its name, the place of its colour in the palette, its dashes."""

    name: str
    colour: int
    dash: str


def legend(runs: Sequence[RunFolder]) -> list[Line]:
    """What the lines of the curves are; nothing where there is but one kind."""
    lines = [Line(run.name, _colour(place), _dash(place)) for place, run in enumerate(runs) if run.history]
    columns = [column for run in runs for row in run.history for column in row]
    if any(column.startswith(_VALIDATION) for column in columns):
        lines.append(Line("validation", lines[0].colour, "dash"))
    return lines if len(lines) > 1 else []


def curves(runs: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """A plot for each column of the runs' histories, all runs in it; what is of the validation is dashed.

    Returns:
        For each plot ``title``, ``words`` for who cannot see it, and ``figure``.
    """
    columns = dict.fromkeys(
        column.removeprefix(_VALIDATION)
        for run in runs
        for row in run.history
        for column in row
        if column.removeprefix(_VALIDATION) not in _NOT_CURVES
    )
    drawn = [_curve(column, runs) for column in columns]
    return [plot for plot in drawn if plot is not None]


def _curve(column: str, runs: Sequence[RunFolder]) -> dict[str, Any] | None:
    figure, words, longest, used = go.Figure(layout=_layout("epoch", 260)), [], 0, False
    for place, run in enumerate(runs):
        for validation in (False, True):
            epochs, values = _along(run, _VALIDATION + column if validation else column)
            if not values:
                continue
            label = f"{run.name}, validation" if validation else run.name
            line = {"color": PALETTE[_colour(place)], "dash": "dash" if validation else _dash(place)}
            mode = "lines+markers" if len(values) < 40 else "lines"
            some = _places(len(values))
            x, y = [epochs[at] for at in some], [values[at] for at in some]
            figure.add_scatter(x=x, y=y, name=_plain(label), mode=mode, line=line, marker={"size": 5})
            words.append(f"{label}: from {values[0]:.4g} to {values[-1]:.4g} in {len(values)} epochs")
            longest, used = max(longest, len(values)), used or any(values)  # a term that nobody uses is 0 throughout
    if not used:
        return None
    title = column.replace("_", " ")
    figure.update_layout(showlegend=False, xaxis_dtick=1 if longest <= 10 else None)
    return {"title": title, "words": f"Curve of {title}. {'; '.join(words)}.", "figure": _data(figure)}


def _along(run: RunFolder, name: str) -> tuple[list[float], list[float]]:
    """How many epochs were done, and a column's values after them, where it has any."""
    epochs, values = [], []
    for place, row in enumerate(run.history):
        value, number = row.get(name), row.get("epoch")
        if value is not None:
            epochs.append(1 + (place if number is None else number))
            values.append(value)
    return epochs, values


def _places(count: int) -> list[int]:
    """All places of a curve; of more than can be told apart on a screen some, the first and the last among them."""
    places = np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(int)
    return list(map(int, places))


def scatter(run: RunFolder) -> dict[str, Any] | None:
    """Latents in the plane or on their first two principal axes, a trace for each class, with a mixture's ellipses.

    Every point's `customdata` is its place among the small images.
    """
    latents = run.latents
    if latents is None or latents.z.shape[1] < 2 or len(latents.z) < 2:
        return None
    points, (right, up) = _points(latents)
    figure = go.Figure(layout=_layout(right, 480, up))
    classes = [None] if latents.labels is None else np.unique(latents.labels).tolist()
    for place, name in enumerate(classes):
        inside = np.arange(len(points)) if name is None else np.flatnonzero(latents.labels == name)
        figure.add_scatter(
            x=points[inside, 0].round(4),
            y=points[inside, 1].round(4),
            customdata=inside,
            name="images" if name is None else str(name),
            mode="markers",
            marker={"size": 5, "opacity": 0.7, "color": PALETTE[place % len(PALETTE)]},
            hovertemplate="%{x:.3f}, %{y:.3f}<extra>%{fullData.name}</extra>",
        )
    _add_ellipses(figure, run)
    figure.update_layout(showlegend=len(classes) > 1, yaxis_scaleanchor="x")
    kinds = "" if latents.labels is None else f" of {len(classes)} classes"
    words = f"Latents of {len(points)} test images{kinds}, over {right} and {up}."
    return {"title": "Latents of test images", "words": words, "figure": _data(figure)}


def _points(latents: Latents) -> tuple[np.ndarray[Any, Any], tuple[str, str]]:
    if latents.z.shape[1] == 2:
        return latents.z.astype(np.float64), ("latent axis 1", "latent axis 2")
    points, shares, _ = pca(latents.z, 2)
    first, second = (f"principal axis {i + 1} ({100 * share:.0f} % of the variance)" for i, share in enumerate(shares))
    return points, (first, second)


def _add_ellipses(figure: go.Figure, run: RunFolder) -> None:
    """Each component of a mixture in the plane, at two standard deviations, in the colour of its class."""
    mixture = getattr(run.run, "mixture", None)
    if mixture is None or np.shape(mixture.means_)[1] != 2 or not hasattr(mixture, "classes_"):
        return
    means, covariances = gaussians(mixture.means_, mixture.covariances_, mixture.covariance_type)
    of_class = np.asarray(mixture.component_label_proba_).argmax(1)
    circle = _RADIUS * np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)])
    colours = _colours(run)
    heaviest = np.argsort(-np.asarray(mixture.weights_), kind="stable")[:_MOST_ELLIPSES]
    for k in sorted(heaviest.tolist()):
        x, y = means[k][:, None] + np.linalg.cholesky(covariances[k]) @ circle
        line = {"color": colours.get(int(mixture.classes_[of_class[k]]), "#7F7F7F"), "width": 1.5}
        figure.add_scatter(x=x.round(4), y=y.round(4), mode="lines", line=line, showlegend=False, hoverinfo="skip")


def _colours(run: RunFolder) -> dict[int, str]:
    assert run.latents is not None
    names = [] if run.latents.labels is None else np.unique(run.latents.labels).tolist()
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}


def _colour(place: int) -> int:
    return place % len(PALETTE)


def _dash(place: int) -> str:
    return _DASHES[place // len(PALETTE) % len(_DASHES)]


def _layout(right: str, height: int, up: str = "") -> go.Layout:
    """Without colours of its own: the page's script gives those of the light or the dark theme."""
    return go.Layout(
        template="none",
        height=height,
        margin={"l": 52, "r": 12, "t": 32, "b": 44},
        xaxis={"title": {"text": right}, "zeroline": False, "automargin": True},
        yaxis={"title": {"text": up}, "zeroline": False, "automargin": True},
        legend={"orientation": "h", "y": -0.16, "yanchor": "top"},
        hovermode="closest",
    )


def _plain(text: str) -> str:
    """A name as plotly shows it, which takes some tags for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _data(figure: go.Figure) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(figure.to_json())
    return plain
