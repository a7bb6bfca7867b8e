"""The latent plane."""

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from latentcore import _checks
from latentcore.plots.style import PALETTE, new_figure, tidy

# shapes: N samples, K Gaussians


def latent_scatter(z: Any, labels: Any = None, *, means: Any = None, covariances: Any = None) -> Figure:
    """Latents in the plane, coloured by label, with each Gaussian as its ellipses of one and two standard deviations.

    Args:
        z: (N, 2).
        labels: (N,), or None for one colour.
        means: (K, 2), or None for no ellipses.
        covariances: (K, 2, 2), where there are means.
    """
    z = np.asarray(z)
    if z.ndim != 2 or z.shape[1] != 2:
        _checks.fail_value("z", "shape (N, 2)", z.shape)
    names = np.zeros(len(z), dtype=int) if labels is None else np.asarray(labels)
    if names.shape != (len(z),):
        _checks.fail_value("labels", f"shape ({len(z)},)", names.shape)
    gaussians = [] if means is None else _gaussians(means, covariances)
    figure = new_figure(6, 5.4)
    panel = figure.subplots()
    size = min(25.0, max(3.0, 4000 / max(len(z), 1)))  # few points are drawn large
    for colour, name in zip(cycle(PALETTE), np.unique(names), strict=False):
        points = z[names == name]
        x, y = points.T
        panel.scatter(x, y, s=size, alpha=0.6, color=colour, linewidths=0, label=str(name), rasterized=True)
    for mean, covariance in gaussians:
        _add_ellipses(panel, mean, covariance)
    if labels is not None:
        panel.legend(
            title="label", markerscale=(36 / size) ** 0.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
        )
    panel.set_xlabel("$z_1$")
    panel.set_ylabel("$z_2$")
    tidy(panel)
    return figure


def _gaussians(means: Any, covariances: Any) -> list[tuple[Any, Any]]:
    means, covariances = np.asarray(means), np.asarray(covariances)
    if means.ndim != 2 or means.shape[1] != 2:
        _checks.fail_value("means", "shape (K, 2)", means.shape)
    if covariances.shape != (len(means), 2, 2):
        _checks.fail_value("covariances", f"shape ({len(means)}, 2, 2)", covariances.shape)
    return list(zip(means, covariances, strict=True))


def _add_ellipses(panel: Axes, mean: Any, covariance: Any) -> None:
    variances, directions = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(directions[1, 1], directions[0, 1])))
    minor, major = 2 * np.sqrt(np.maximum(variances, 0))
    for deviations, width in ((1, 1.2), (2, 0.5)):
        size = (deviations * major, deviations * minor)
        panel.add_patch(Ellipse(mean, *size, angle=angle, fill=False, edgecolor="black", linewidth=width))
