"""Samples and Gaussians in the plane, as all figures draw them."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Ellipse

from latentcore import _errors
from latentcore.plots.style import PALETTE

# shapes: N samples, K Gaussians


def samples(name: str, values: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """The checked samples (N, 2), and their labels (N,): zeros where there are none."""
    z = np.asarray(values)
    if z.ndim != 2 or z.shape[1] != 2:
        _errors.fail_value(name, "shape (N, 2)", z.shape)
    names = np.zeros(len(z), dtype=int) if labels is None else np.asarray(labels)
    if names.shape != (len(z),):
        _errors.fail_value("labels", f"shape ({len(z)},)", names.shape)
    return z, names


def gaussians(means: Any, covariances: Any, covariance_type: str = "full") -> tuple[np.ndarray, np.ndarray]:
    """The checked means (K, 2), and the covariances, of any type, as matrices (K, 2, 2)."""
    means, covariances = np.asarray(means), np.asarray(covariances)
    if means.ndim != 2 or means.shape[1] != 2:
        _errors.fail_value("means", "shape (K, 2)", means.shape)
    K = len(means)
    shapes = {"full": (K, 2, 2), "tied": (2, 2), "diag": (K, 2), "spherical": (K,)}
    _errors.one_of("covariance_type", covariance_type, shapes)
    if covariances.shape != shapes[covariance_type]:
        _errors.fail_value("covariances", f"shape {shapes[covariance_type]}", covariances.shape)
    if not np.isfinite(means).all() or not np.isfinite(covariances).all():
        _errors.fail_value("means, covariances", "finite numbers", "NaN or infinity")
    if covariance_type == "tied":
        covariances = np.broadcast_to(covariances, (K, 2, 2))
    elif covariance_type != "full":
        covariances = covariances.reshape(K, -1, 1) * np.eye(2)
    if K and np.linalg.eigvalsh(covariances).min() < 0:
        _errors.fail_value(
            "covariances", "no negative variance in any direction", np.linalg.eigvalsh(covariances).min()
        )
    return means, covariances


def add_samples(panel: Axes, z: np.ndarray, names: np.ndarray, colours: Sequence[str] = PALETTE) -> float:
    """A cloud per label, in the colours' order; returns the area of a point, in points²."""
    size = min(25.0, max(3.0, 4000 / max(len(z), 1)))  # few points are drawn large
    for colour, name in zip(cycle(colours), np.unique(names), strict=False):
        x, y = z[names == name].T
        panel.scatter(x, y, s=size, alpha=0.6, color=colour, linewidths=0, label=str(name), rasterized=True)
    return size


def add_legend(panel: Axes, title: str, size: float) -> None:
    """The clouds' names beside the panel, with points that are large enough to show their colour."""
    panel.legend(title=title, markerscale=(36 / size) ** 0.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def add_ellipses(panel: Axes, mean: Any, covariance: Any, colour: str = "black", opacity: float = 0) -> None:
    """A Gaussian's ellipses of one and two standard deviations, filled where the opacity is not 0."""
    variances, directions = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(directions[1, 1], directions[0, 1])))
    minor, major = 2 * np.sqrt(np.maximum(variances, 0))
    for deviations, width in ((1, 1.2), (2, 0.5)):
        size = (deviations * major, deviations * minor)
        face = to_rgba(colour, opacity)
        panel.add_patch(Ellipse(mean, *size, angle=angle, facecolor=face, edgecolor=colour, linewidth=width))
