"""Several models beside each other."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from latentcore import _errors
from latentcore.plots import clouds
from latentcore.plots.clouds import Floats, Labels
from latentcore.plots.projections import projected
from latentcore.plots.style import DASHES, PALETTE, new_figure, tidy

# shapes: N samples, L latent dimensions

_LONGEST_ROW = 3  # panels beside each other


def losses_by_run(histories: Mapping[str, Mapping[str, Sequence[float]]], *, ylabel: str = "nats per image") -> Figure:
    """A panel for each term of the loss over the epochs, with a line for each run in each.

    Args:
        histories: Per run, by the name that the legend shows, its terms; of each the value after every epoch. Runs may
            have different terms and lengths. Where a value is not finite, the line has a gap.
        ylabel: Name of the values.

    Returns:
        The figure, in rows of at most three panels.

    Raises:
        ValueError: There is no run, one without terms, or a term that is no sequence of at least one number.

    Example:
        >>> runs = {"L = 2": {"loss": [160.0, 150.0], "kl": [5.0, 6.0]}, "L = 16": {"loss": [120.0, 100.0]}}
        >>> figure = losses_by_run(runs)
        >>> [(panel.get_title(), len(panel.lines)) for panel in figure.axes]
        [('loss', 2), ('kl', 1)]
    """
    if not histories:
        _errors.fail_value("histories", "at least one run", "none")
    curves = {run: _curves(run, terms) for run, terms in histories.items()}
    titles = list(dict.fromkeys(title for terms in curves.values() for title in terms))
    figure, panels = _panels(len(titles), 3.0, 2.5)
    looks = dict(zip(curves, zip(cycle(PALETTE), cycle(DASHES), strict=False), strict=False))
    for panel, title in zip(panels, titles, strict=True):
        for run, (colour, dashes) in looks.items():
            if title in curves[run]:
                _add_curve(panel, curves[run][title], colour, dashes)
        panel.set_title(title, fontsize=11)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        tidy(panel)
    handles = [Line2D([], [], color=colour, linestyle=dashes, label=run) for run, (colour, dashes) in looks.items()]
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right upper")
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    return figure


def latent_panels(models: Mapping[str, tuple[Any, Any]]) -> Figure:
    """The latents of several models side by side, coloured by label.

    Latents in the plane are drawn as they are, those of more dimensions on their first two principal axes. A label has
    the same colour in all panels. Points are drawn in an order by lot, so that no label lies on top of the others.

    Args:
        models: Per model, by the name that stands above it, its latents (N, L), N >= 2, L >= 2, tensor or array, and
            their labels (N,), numbers or words, or ``None``.

    Returns:
        The figure, in rows of at most three panels.

    Raises:
        ValueError: There is no model, a shape does not fit, or a number is not finite.

    Example:
        >>> import torch
        >>> labels = torch.arange(20) % 2
        >>> figure = latent_panels({"L = 2": (torch.randn(20, 2), labels), "L = 16": (torch.randn(20, 16), labels)})
        >>> [panel.get_title() for panel in figure.axes]
        ['L = 2', 'L = 16']
    """
    if not models:
        _errors.fail_value("models", "at least one model", "none")
    latents = {name: _latents(f"models[{name!r}]", *pair) for name, pair in models.items()}
    colours = clouds.colours_of([names for _, _, names in latents.values()])
    figure, panels = _panels(len(latents), 3.2, 3.0)
    for panel, (title, (points, axes, names)) in zip(panels, latents.items(), strict=True):
        clouds.add_cloud(panel, points, names, colours)
        panel.set_title(title, fontsize=11)
        panel.set_xlabel(axes[0], fontsize=9)
        panel.set_ylabel(axes[1], fontsize=9)
        panel.set_aspect("equal", adjustable="datalim")
        tidy(panel)
    if any(labels is not None for _, labels in models.values()):
        clouds.add_names(figure, colours, loc="outside right upper")
    return figure


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Panels of a size, in inches, in rows that are as equal as they can be."""
    rows = -(-count // _LONGEST_ROW)
    columns = -(-count // rows)
    figure = new_figure(width * columns + 1, height * rows + 0.2)
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def _curves(run: str, terms: Mapping[str, Sequence[float]]) -> dict[str, Floats]:
    """A run's checked terms, NaN where a value is not finite."""
    if not terms:
        _errors.fail_value(f"histories[{run!r}]", "at least one term", "none")
    curves = {}
    for title, values in terms.items():
        curve = np.array(values, dtype=np.float64)
        if curve.ndim != 1 or not np.isfinite(curve).any():
            _errors.fail_value(f"histories[{run!r}][{title!r}]", "at least one finite number", values)
        curve[~np.isfinite(curve)] = np.nan
        curves[title] = curve
    return curves


def _add_curve(panel: Axes, curve: Floats, colour: str, dashes: Any) -> None:
    """A line, with a point at its end: it is all that is seen of a run of one epoch."""
    last = int(np.flatnonzero(np.isfinite(curve))[-1])
    look = {"color": colour, "linestyle": dashes, "linewidth": 1.6, "marker": "o", "markersize": 4}
    panel.plot(range(1, len(curve) + 1), curve, markevery=[last], **look)


def _latents(name: str, z: Any, labels: Any) -> tuple[Floats, list[str], Labels]:
    """A model's points in the plane (N, 2), the names of their axes, and the labels (N,)."""
    points, names = clouds.samples(name, z, labels)
    if min(points.shape) < 2:
        _errors.fail_value(name, "shape (N, L), N >= 2, L >= 2", points.shape)
    axes = ["$z_1$", "$z_2$"]
    if points.shape[1] > 2:
        points, axes = projected(points, 2)
    return points, axes, names
