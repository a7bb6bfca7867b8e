"""Transformed images and latents over the angle: tables of images, curves, orbits and films."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, StrMethodFormatter
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.plots.films import check_films
from latentcore.plots.images import add_angles, labelled_rows
from latentcore.plots.style import PALETTE, new_figure, tidy

# shapes: R digits, A angles, T frames, L latent dimensions

_MARKERS = "os^Dv*PX<>"
_MOST_MARKERS = 37  # along a line: every ten degrees
_LONGEST_ROW = 6  # digits beside each other in a film


def angle_grid(rows: Mapping[str, Tensor], angles: Sequence[float]) -> Figure:
    """What several methods make of an image at several angles: a row per method, a column per angle.

    Args:
        rows: Per method its images in [0, 1], all of one shape: (A, C, H, W), or (R, A, C, H, W) for several digits,
            which are drawn below each other with all methods each. C is 1 or 3.
        angles: Degrees, A of them.

    Returns:
        The figure.

    Raises:
        ValueError: There is no method, or a shape does not fit.
        TypeError: A value is no tensor.

    Example:
        >>> figure = angle_grid({"input": torch.rand(3, 1, 28, 28), "decoded": torch.rand(3, 1, 28, 28)}, [0, 45, 90])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['input', 'decoded']
    """
    if not rows:
        _errors.fail_value("rows", "at least one method", "none")
    methods = [_digits(name, images, len(angles)) for name, images in rows.items()]
    for name, images in zip(rows, methods, strict=True):
        _checks.shape(f"rows[{name!r}]", images, tuple(methods[0].shape))
    digits = len(methods[0])
    figure = labelled_rows(torch.stack(methods, dim=1).flatten(0, 2), len(angles), list(rows) * digits, digits)
    add_angles(figure, methods[0].shape[-1], angles)
    return figure


def psnr_curve(curves: Mapping[str, Sequence[float]], angles: Sequence[float], *, ylabel: str = "PSNR [dB]") -> Figure:
    """A quality over the angle, a line per method; the legend has the order of their means.

    Args:
        curves: Per method its values, A of them; where one is not finite, as the PSNR of equal images, the line has a
            gap.
        angles: Degrees, A of them.
        ylabel: Name and unit of the values.

    Returns:
        The figure.

    Raises:
        ValueError: There is no curve, or one of another length or without a finite value.

    Example:
        >>> figure = psnr_curve({"bilinear": [30.0, 24.0, 30.0], "bicubic": [32.0, 27.0, 33.0]}, [0, 45, 90])
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['bicubic', 'bilinear']
    """
    if not curves:
        _errors.fail_value("curves", "at least one curve", "none")
    values = {name: _curve(name, curve, len(angles)) for name, curve in curves.items()}
    figure = new_figure(6.4, 3.4)
    panel = figure.subplots()
    every = _spacing(angles)
    for index, (name, curve) in enumerate(values.items()):
        panel.plot(
            angles,
            curve,
            color=PALETTE[index % len(PALETTE)],
            linewidth=1.6,
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.6,
            markevery=(index % every, every),  # each line begins elsewhere, so that lines that coincide all show theirs
            label=name,
        )
    _add_sorted_legend(panel, values)
    panel.xaxis.set_major_locator(MultipleLocator(60 if np.ptp(angles) > 180 else 30))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}°"))
    panel.set_xlabel("angle")
    panel.set_ylabel(ylabel)
    panel.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    tidy(panel)
    return figure


def orbit(points: Tensor, angles: Sequence[float], *, labels: Any = None) -> Figure:
    r"""The paths of latents while their images turn, in the plane in which they vary most.

    More than two dimensions are projected on the first two principal axes :math:`v_1, v_2` of all points together,

    .. math::

        (x - \bar x)^\top v_i, \qquad \text{share of the variance } \sigma_i^2 / \sum_j \sigma_j^2,

    with singular values :math:`\sigma` of the centred points. The line's colour is the digit's, its label stands at
    the first angle, and points along the line are shaded by the angle. Angles around the full turn give a closed line.

    Args:
        points: Latents of R digits at A angles. (R, A, L), L >= 2.
        angles: Degrees, A of them, at least two, in the order in which they are passed.
        labels: What stands at the first angles, words or numbers, or ``None`` for 0 to R - 1. (R,).

    Returns:
        The figure.

    Raises:
        ValueError: A shape does not fit, or a number is not finite.
        TypeError: `points` is no tensor.

    Example:
        >>> turns = torch.arange(12) * torch.pi / 6
        >>> circle = torch.stack([turns.cos(), turns.sin(), torch.zeros(12)], dim=-1)
        >>> orbit(circle[None], range(0, 360, 30)).axes[0].get_xlabel()
        'principal axis 1 (50 % of the variance)'

    Reference:
        Jolliffe, "Principal component analysis", 2002, section 3.5.
    """
    plane, axes = _in_plane(_checked_points(points, len(angles)))
    names = np.arange(len(plane)) if labels is None else np.asarray(labels)
    if names.shape != (len(plane),):
        _errors.fail_value("labels", f"shape ({len(plane)},)", names.shape)
    degrees = np.asarray(angles, dtype=float)
    shades = ScalarMappable(Normalize(0, 360), "twilight")
    figure = new_figure(6, 5)
    panel = figure.subplots()
    for path, name, colour in zip(plane, names, cycle(PALETTE), strict=False):
        _add_path(panel, path, degrees, shades, str(name), colour)
    panel.set_xlabel(axes[0])
    panel.set_ylabel(axes[1])
    panel.set_aspect("equal", adjustable="datalim")  # a circle looks like one
    bar = figure.colorbar(shades, ax=panel, ticks=range(0, 361, 60), format="{x:g}°", label="angle", aspect=30)
    bar.outline.set_visible(False)
    tidy(panel)
    return figure


def _digits(name: str, images: Tensor, angles: int) -> Tensor:
    """A method's checked images as (R, A, C, H, W)."""
    _checks.tensor(f"rows[{name!r}]", images)
    if images.dim() == 4:
        images = images.unsqueeze(0)
    check_films(f"rows[{name!r}]", images, angles)
    return images.detach().float().cpu()


def _curve(name: str, values: Sequence[float], angles: int) -> np.ndarray:
    """A method's checked values, NaN where one is not finite."""
    curve = np.array(values, dtype=float)
    if curve.shape != (angles,):
        _errors.fail_value(f"curves[{name!r}]", f"shape ({angles},)", curve.shape)
    curve[~np.isfinite(curve)] = np.nan
    if np.isnan(curve).all():
        _errors.fail_value(f"curves[{name!r}]", "at least one finite number", list(values))
    return curve


def _add_sorted_legend(panel: Axes, values: Mapping[str, np.ndarray]) -> None:
    """The lines' names beside the panel, from the one with the highest mean to the one with the lowest."""
    means = [np.nanmean(curve) for curve in values.values()]
    lines = [panel.lines[index] for index in np.argsort(means)[::-1]]
    panel.legend(handles=lines, frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))


def _checked_points(points: Tensor, angles: int) -> np.ndarray:
    _checks.tensor("points", points)
    _checks.shape("points", points, ("R", angles, "L"))
    if len(points) < 1 or angles < 2 or points.shape[2] < 2:
        _errors.fail_value("points", "shape (R, A, L), R >= 1, A >= 2, L >= 2", tuple(points.shape))
    if not points.isfinite().all():
        _errors.fail_value("points", "finite numbers", "NaN or infinity")
    return np.asarray(points.detach().double().cpu())


def _in_plane(points: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The points (R, A, 2) in the plane of most variance, and the names of its axes."""
    if points.shape[-1] == 2:
        return points, ["$z_1$", "$z_2$"]
    centred = points - points.mean((0, 1))
    _, singular, axes = np.linalg.svd(centred.reshape(-1, points.shape[-1]), full_matrices=False)
    axes = axes[:2]
    largest = np.abs(axes).argmax(1)
    axes = axes * np.sign(axes[[0, 1], largest])[:, None]  # the decomposition leaves the signs open
    shares = singular**2 / max(float((singular**2).sum()), 1e-300)
    names = [f"principal axis {i + 1} ({100 * shares[i]:.0f} % of the variance)" for i in range(2)]
    return centred @ axes.T, names


def _add_path(
    panel: Axes, path: np.ndarray, angles: np.ndarray, shades: ScalarMappable, name: str, colour: str
) -> None:
    """A path (A, 2) with its points and, at its start, its name."""
    closes = 360 - np.ptp(angles) <= 1.5 * np.abs(np.diff(angles)).max()
    line = np.concatenate([path, path[:1]]) if closes else path
    panel.plot(*line.T, color=colour, linewidth=1.6, zorder=1)
    some = slice(None, None, _spacing(angles))
    x, y = path[some].T
    panel.scatter(x, y, s=26, c=shades.to_rgba(angles[some] % 360), edgecolors=colour, linewidths=1, zorder=2)
    panel.annotate(
        name,
        path[0],
        ha="center",
        va="center",
        fontsize=9,
        bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour, "linewidth": 1.6},
        zorder=3,
    )


def _spacing(angles: Sequence[float] | np.ndarray) -> int:
    """Every how many angles a line has a marker: those of all angles would hide it where there are many."""
    return -(-len(angles) // _MOST_MARKERS)
