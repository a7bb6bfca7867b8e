"""Latents of many dimensions on the axes along which they vary most."""

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from latentcore import _errors
from latentcore.plots import clouds
from latentcore.plots.clouds import Floats, Labels
from latentcore.plots.style import new_figure, tidy

# shapes: N samples, L latent dimensions, P principal axes

_GREY = "#D0D0D0"
_SHADOW = "#B0B0B0"


def pca(z: Any, axes: int) -> tuple[Floats, Floats, Floats]:
    r"""Principal axes: the orthogonal directions along which samples vary most.

    With the singular values :math:`\sigma` and right singular vectors v of the centred samples,

    .. math::

        y_{ni} = (z_n - \bar z)^\top v_i, \qquad \text{share of the variance } \sigma_i^2 / \sum_j \sigma_j^2.

    The largest entry of an axis, by magnitude, is positive, so that the same samples always have the same axes.

    Args:
        z: Tensor or array. (N, L), N >= P, L >= P.
        axes: How many, P.

    Returns:
        float64: the coordinates (N, P); the shares of the variance (P,), zeros where all samples are equal; the axes,
        which are orthonormal (P, L).

    Raises:
        TypeError: `axes` is no int.
        ValueError: The shape or the number of axes does not fit, or a number is not finite.

    Example:
        >>> coordinates, shares, components = pca([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]], 1)
        >>> coordinates.ravel().tolist(), shares.tolist(), components.tolist()
        ([-2.0, 0.0, 2.0], [1.0], [[1.0, 0.0]])

    Reference:
        Jolliffe, "Principal component analysis", 2002, section 3.5.
    """
    samples, _ = clouds.samples("z", z, None)
    _errors.integer("axes", axes, 1, min(samples.shape))
    centred = samples - samples.mean(0)
    # the triangle has the singular values and right vectors of the samples, and their left ones are not needed
    _, singular, vectors = np.linalg.svd(np.linalg.qr(centred, mode="r"), full_matrices=False)
    components = vectors[:axes]
    largest = np.abs(components).argmax(1)
    components = components * np.sign(components[np.arange(axes), largest])[:, None]
    shares = singular**2 / max(float((singular**2).sum()), 1e-300)
    return centred @ components.T, shares[:axes], components


def latent_projection(z: Any, labels: Any = None, *, axes: int = 2) -> Figure:
    """Latents on their first two or three principal axes, coloured by label.

    Points are drawn in an order by lot, so that no label lies on top of the others.

    Args:
        z: Tensor or array. (N, L), N >= `axes`, L >= `axes`.
        labels: Numbers or words, or ``None`` for one colour. (N,).
        axes: 2 for the plane or 3 for space.

    Returns:
        The figure, with the shares of the variance beside the names of the axes.

    Raises:
        TypeError: `axes` is no int.
        ValueError: A shape or the number of axes does not fit, or a number is not finite.

    Example:
        >>> import torch
        >>> z = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [4.0, 2.0, 0.0]])
        >>> latent_projection(z, [0, 1, 0, 1]).axes[0].get_xlabel()
        'principal axis 1 (80 % of the variance)'
    """
    _errors.integer("axes", axes, 2, 3)
    samples, names = clouds.samples("z", z, labels)
    points, words = projected(samples, axes)
    colours = clouds.colours_of([names])
    figure = _in_plane(points, names, words) if axes == 2 else _in_space(points, names, words)
    if labels is not None:
        clouds.add_names(figure, colours, loc="outside right upper")
    return figure


def projected(samples: Floats, axes: int) -> tuple[Floats, list[str]]:
    """Coordinates (N, P) on the principal axes, and the names of these with their shares of the variance."""
    points, shares, _ = pca(samples, axes)
    return points, [f"principal axis {i + 1} ({100 * share:.0f} % of the variance)" for i, share in enumerate(shares)]


def _in_plane(points: Floats, names: Labels, words: list[str]) -> Figure:
    figure = new_figure(6.2, 5.2)
    panel = figure.subplots()
    clouds.add_cloud(panel, points, names, clouds.colours_of([names]))
    panel.set_xlabel(words[0])
    panel.set_ylabel(words[1])
    panel.set_aspect("equal", adjustable="datalim")  # a length is the same along both axes
    tidy(panel)
    return figure


def _in_space(points: Floats, names: Labels, words: list[str]) -> Figure:
    """Seen from above, between white walls, with shadows on the floor: they show how near a point is."""
    figure = new_figure(6.4, 5.2)
    with rc_context({"grid.color": "#ECECEC", "grid.linewidth": 0.6}):  # axes in space read them once, here
        panel: Any = figure.add_subplot(projection="3d")
    floor = points[:, 2].min() - 0.1 * max(float(np.ptp(points[:, 2])), 1e-9)
    shadows = np.column_stack([points[:, :2], np.full(len(points), floor)])
    opacity = min(0.3, 1500 / len(points))
    panel.scatter(*shadows.T, s=1, color=_SHADOW, alpha=opacity, linewidths=0, depthshade=False, rasterized=True)
    clouds.add_cloud(panel, points, names, clouds.colours_of([names]))
    panel.set_zlim(floor, None)
    for axis, word in zip((panel.xaxis, panel.yaxis, panel.zaxis), words, strict=True):
        axis.set_label_text(word.replace(" (", "\n("), fontsize=9)
        axis.labelpad = 8
        axis.set_pane_color("white")
        axis.pane.set_edgecolor(_GREY)
        axis.line.set_color(_GREY)
    panel.tick_params(labelsize=8, color=_GREY)
    panel.view_init(elev=22, azim=-55)
    panel.set_box_aspect((1, 1, 0.85), zoom=0.92)  # the names of the axes lie outside of the box
    return figure
