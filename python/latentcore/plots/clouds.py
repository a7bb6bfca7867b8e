"""Clouds of many samples in which no class hides another, in the plane or in space."""

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from latentcore import _errors
from latentcore.plots.style import PALETTE

Floats = NDArray[np.float64]
Labels = NDArray[Any]

# shapes: N samples, L dimensions

_LONGEST_COLUMN = 20  # names of a legend below each other


def samples(name: str, values: Any, labels: Any) -> tuple[Floats, Labels]:
    """The checked samples (N, L), N >= 1, all finite, and their labels (N,): zeros where there are none."""
    z = np.asarray(_on_cpu(values), dtype=np.float64)
    if z.ndim != 2 or not z.size:
        _errors.fail_value(name, "shape (N, L), N >= 1, L >= 1", z.shape)
    if not np.isfinite(z).all():
        _errors.fail_value(name, "finite numbers", "NaN or infinity")
    names = np.zeros(len(z), dtype=int) if labels is None else np.asarray(_on_cpu(labels))
    if names.shape != (len(z),):
        _errors.fail_value("labels", f"shape ({len(z)},)", names.shape)
    return z, names


def colours_of(labels: Iterable[Labels]) -> dict[Any, str]:
    """A colour for each label of several clouds, in their order; more labels than colours begin again."""
    names = np.unique(np.concatenate(list(labels))).tolist()
    return dict(zip(names, cycle(PALETTE), strict=False))


def add_cloud(panel: Any, points: Floats, names: Labels, colours: Mapping[Any, str]) -> None:
    """Points (N, 2) or (N, 3) in one order drawn by lot, the more of them the smaller and the more transparent."""
    order = np.random.default_rng(0).permutation(len(points))
    size = min(24.0, 300 / len(points) ** 0.5)
    opacity = min(0.8, 4 / len(points) ** 0.22)
    if points.shape[1] == 3:  # where the far points are faded once more
        opacity = min(0.9, 2 * opacity)
    panel.scatter(
        *points[order].T,
        s=size,
        c=[colours[name] for name in names[order].tolist()],
        alpha=opacity,
        linewidths=0,
        rasterized=True,  # or a page of 70,000 points would be slow to show
    )


def add_names(target: Any, colours: Mapping[Any, str], **place: Any) -> None:
    """The labels with their colours, in a legend of a panel or a figure."""
    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=6, color=colour, label=str(name))
        for name, colour in colours.items()
    ]
    columns = -(-len(handles) // _LONGEST_COLUMN)
    target.legend(handles=handles, title="label", frameon=False, handletextpad=0.2, ncols=columns, **place)


def _on_cpu(values: Any) -> Any:
    return values.numpy(force=True) if isinstance(values, Tensor) else values
