"""Walks through the latent space: their latents, and pictures of what is decoded along them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.plots.films import check_films
from latentcore.plots.images import add_columns, labelled_rows, with_channels
from latentcore.plots.style import PALETTE

# shapes: L latent dimensions, T steps

_WAYS = ("linear", "spherical")
_OPPOSITE = 1e-6  # radians


def interpolate(a: Tensor, b: Tensor, steps: int, how: str = "linear") -> Tensor:
    r"""Latents on the way from one to another, both included.

    With t from 0 to 1 in equal steps, the straight way and the way along a great circle are

    .. math::

        (1 - t) a + t b, \qquad
        \frac{\sin((1 - t) \omega)}{\sin \omega} a + \frac{\sin(t \omega)}{\sin \omega} b,

    where :math:`\omega` is the angle between a and b. The second one keeps the length of latents of equal length, which
    in many dimensions are all typical ones of a normal prior; the straight way passes nearer to 0 than any of them.

    Args:
        a: The first latent. (L,).
        b: The last one, of the dtype and on the device of `a`. (L,).
        steps: T, at least 2.
        how: "linear" or "spherical".

    Returns:
        (T, L), dtype and device of `a`; the first row is `a` and the last one `b`, bit by bit.

    Raises:
        TypeError: An argument is of a wrong type or dtype.
        ValueError: A shape, a device or a number does not fit, or a number is not finite; or the way is spherical and
            one of the latents is zero, or they point in opposite directions, so that no great circle is the shortest.

    Example:
        >>> a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> interpolate(a, b, 3)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.0000, 1.0000]])
        >>> interpolate(a, b, 3, "spherical")
        tensor([[1.0000, 0.0000],
                [0.7071, 0.7071],
                [0.0000, 1.0000]])

    Reference:
        Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.
        White, "Sampling generative networks", arXiv:1609.04468.
    """
    _checks.floating("a", a)
    _checks.shape("a", a, ("L",))
    _checks.like("b", b, "a", a)
    _checks.shape("b", b, tuple(a.shape))
    if not bool((a.isfinite() & b.isfinite()).all()):
        _errors.fail_value("a, b", "finite numbers", "NaN or infinity")
    _errors.integer("steps", steps, 2, 10**6)
    _errors.one_of("how", how, _WAYS)
    t = torch.linspace(0, 1, int(steps), dtype=torch.float64, device=a.device).unsqueeze(1)
    first, last = a.double(), b.double()
    angle = _angle(first, last) if how == "spherical" else torch.zeros_like(t[0])
    if float(angle) == 0:
        return ((1 - t) * first + t * last).to(a.dtype)
    return ((((1 - t) * angle).sin() * first + (t * angle).sin() * last) / angle.sin()).to(a.dtype)


def traversal(z: Tensor, axis: int, values: Any) -> Tensor:
    """A latent of which one entry takes several values and all others stay.

    Args:
        z: (L,).
        axis: Which entry, in [0, L).
        values: T numbers, a sequence or a tensor.

    Returns:
        (T, L), dtype and device of `z`.

    Raises:
        TypeError: `z` is no tensor of floating-point numbers, or `axis` no int.
        ValueError: A shape or a number does not fit.

    Example:
        >>> traversal(torch.tensor([5.0, 7.0]), 1, [-3, 0, 3])
        tensor([[ 5., -3.],
                [ 5.,  0.],
                [ 5.,  3.]])
    """
    _checks.floating("z", z)
    _checks.shape("z", z, ("L",))
    _errors.integer("axis", axis, 0, len(z) - 1)
    steps = torch.as_tensor(values, dtype=z.dtype, device=z.device)
    if steps.dim() != 1 or not len(steps):
        _errors.fail_value("values", "shape (T,), T >= 1", tuple(steps.shape))
    latents = z.repeat(len(steps), 1)
    latents[:, axis] = steps
    return latents


def interpolation(rows: Mapping[str, Tensor], *, ends: tuple[str, str] = ("A", "B")) -> Figure:
    """Walks from one image to another, by several models or between several pairs, below each other.

    The first and the last image of each walk have a frame.

    Args:
        rows: Per model or pair, by the name that stands beside it, the images along its walk in [0, 1], all of one
            shape. (T, C, H, W), T >= 2, C 1 or 3, or (T, H, W).
        ends: What stands above the first and the last column.

    Returns:
        The figure.

    Raises:
        TypeError: A value is no tensor.
        ValueError: There is no walk, or a shape does not fit.

    Example:
        >>> figure = interpolation({"linear": torch.rand(8, 1, 28, 28), "spherical": torch.rand(8, 1, 28, 28)})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['linear', 'spherical']
    """
    if not rows:
        _errors.fail_value("rows", "at least one walk", "none")
    walks = [_walk(f"rows[{name!r}]", images) for name, images in rows.items()]
    for name, walk in zip(rows, walks, strict=True):
        _checks.shape(f"rows[{name!r}]", walk, tuple(walks[0].shape))
    steps, _, height, width = walks[0].shape
    figure = labelled_rows(torch.cat(walks), steps, list(rows))
    add_columns(figure, width, {0: ends[0], steps - 1: ends[1]})
    for column in (0, steps - 1):
        for row in range(len(walks)):
            _add_frame(figure, (column * (width + 1) - 1, row * (height + 1) - 1), (width + 1, height + 1))
    return figure


def traversals(images: Tensor, *, values: Sequence[float] = (), labels: Sequence[str] = ()) -> Figure:
    """What each latent axis does: a row per axis, a column per value.

    Args:
        images: Decoded latents of `traversal` in [0, 1]. (L, T, C, H, W), C 1 or 3.
        values: What stands above the columns, T numbers; or nothing.
        labels: What stands beside the rows, L words; by default :math:`z_1` to :math:`z_L`.

    Returns:
        The figure. `film` makes of the same images one that moves.

    Raises:
        TypeError: `images` is no tensor.
        ValueError: A shape or a number of words does not fit.

    Example:
        >>> from latentcore.plots import film
        >>> images = torch.rand(2, 5, 1, 28, 28)
        >>> figure = traversals(images, values=[-3, -1.5, 0, 1.5, 3])
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['−3', '−1.5', '0', '1.5', '3']
        >>> film(torch.cat([images, images.flip(1)[:, 1:-1]], dim=1)).shape  # there and back
        torch.Size([8, 1, 28, 57])
    """
    _checks.tensor("images", images)
    _checks.shape("images", images, ("L", "T", "C", "H", "W"))
    check_films("images", images, "T")
    axes, steps = images.shape[:2]
    names = list(labels) or [f"$z_{{{axis + 1}}}$" for axis in range(axes)]
    if len(names) != axes:
        _errors.fail_value("labels", f"{axes} words", len(names))
    if len(values) not in (0, steps):
        _errors.fail_value("values", f"{steps} numbers", len(values))
    figure = labelled_rows(with_channels("images", images.detach().flatten(0, 1)), steps, names)
    add_columns(figure, images.shape[-1], {i: f"{value:g}".replace("-", "−") for i, value in enumerate(values)})
    return figure


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between two vectors, exact for small ones too; 0 only where they point in the same direction."""
    lengths = a.norm(), b.norm()
    if not min(float(length) for length in lengths) > 0:
        _errors.fail_value("a, b", "no zero vector on a spherical way", "one")
    first, last = a / lengths[0], b / lengths[1]
    angle = 2 * torch.atan2((first - last).norm(), (first + last).norm())
    if not float(angle) < torch.pi - _OPPOSITE:
        _errors.fail_value("a, b", "vectors that do not point in opposite directions", f"an angle of {float(angle):g}")
    return angle


def _walk(name: str, images: Tensor) -> Tensor:
    """A checked walk as (T, C, H, W)."""
    images = with_channels(name, images)
    if len(images) < 2:
        _errors.fail_value(name, "at least two images", len(images))
    return images.detach().float().cpu()


def _add_frame(figure: Figure, corner: tuple[float, float], size: tuple[int, int]) -> None:
    frame = Rectangle(corner, *size, fill=False, edgecolor=PALETTE[0], linewidth=1.6, clip_on=False, zorder=3)
    figure.axes[0].add_patch(frame)
