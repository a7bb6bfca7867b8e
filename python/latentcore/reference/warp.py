"""Plain torch twin of the native `warp`, and the sampling matrices from which `ops.rotate` and `ops.affine` start.

A sampling matrix (..., 2, 3) takes an output pixel (x, y, 1) to the input point whose value it shows. It is float64.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore.reference._dtypes import sum_dtype

Point = tuple[float | Tensor, float | Tensor]

# shapes: N images, A angles of each, C channels, H rows, W columns


def warp(images: Tensor, matrix: Tensor, *, interpolation: str, fill: float | Tensor, dtype: torch.dtype) -> Tensor:
    """Sample images (N, C, H, W) at matrix (N, A, 2, 3): (N, A, C, H, W).

    The image goes on outside with the value `fill`, which blends with the pixels of its border. Points that are not
    finite show `fill`. A pixel of weight 0 is not used.
    """
    n, channels, height, width = images.shape
    compute = sum_dtype(dtype)
    pixels = images.to(compute)
    if images.dtype == torch.uint8 and dtype != torch.uint8:
        pixels = pixels / 255
    ring = F.pad(torch.zeros(height, width, dtype=torch.bool, device=images.device), (1, 1, 1, 1), value=True)
    outer = fill.to(compute) if isinstance(fill, Tensor) else fill
    padded = torch.where(ring, outer, F.pad(pixels, (1, 1, 1, 1))).flatten(2)  # (N, C, (H + 2) * (W + 2))
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64, device=images.device),
        torch.arange(width, dtype=torch.float64, device=images.device),
        indexing="ij",
    )
    points = matrix @ torch.stack((x, y, torch.ones_like(x))).flatten(1)  # (N, A, 2, H * W)
    outside = ~points.isfinite().all(2, keepdim=True)
    px, py = points.masked_fill(outside, -1.0).unbind(2)
    # in the padded image
    px, py = px.clamp(-1, width) + 1, py.clamp(-1, height) + 1
    if interpolation == "nearest":
        left, top = torch.floor(px + 0.5), torch.floor(py + 0.5)
    else:
        left, top = torch.floor(px).clamp(max=width), torch.floor(py).clamp(max=height)
    corner = (top * (width + 2) + left).long().flatten(1)[:, None].expand(n, channels, -1)

    def neighbour(step: int) -> Tensor:
        return padded.gather(2, corner + step).view(n, channels, *px.shape[1:])

    if interpolation == "nearest":
        sampled = neighbour(0)
    else:
        dx, dy = (px - left.detach()).to(compute)[:, None], (py - top.detach()).to(compute)[:, None]
        upper = _between(neighbour(0), neighbour(1), dx)
        lower = _between(neighbour(width + 2), neighbour(width + 3), dx)
        sampled = _between(upper, lower, dy)
    sampled = sampled.transpose(1, 2).reshape(n, matrix.shape[1], channels, height, width)
    return (sampled + 0.5).clamp(0, 255).to(torch.uint8) if dtype == torch.uint8 else sampled.to(dtype)


def _between(a: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Two pixels blended. One that is not finite, as missing ones are, is not used with weight 0, and has no slope."""
    missing_a, missing_b = ~a.isfinite(), ~b.isfinite()
    d = torch.where(missing_a | missing_b, d.detach(), d)
    return (1 - d) * a.masked_fill(missing_a & (d == 1), 0) + d * b.masked_fill(missing_b & (d == 0), 0)


def affine_sampling(
    linear_inverse: tuple[Tensor, Tensor, Tensor, Tensor], center: Point, shift: tuple[Tensor, Tensor]
) -> Tensor:
    """The sampling matrix of: a linear map about `center`, then a translation by `shift`.

    `linear_inverse` holds the entries a, b, c, d of the inverse linear map [[a, b], [c, d]]; all tensors broadcast.
    """
    a, b, c, d = linear_inverse
    cx, cy = center
    dx, dy = shift
    # center + L^-1 (p - center - shift); written so that exact entries give exact offsets
    x = cx - a * (cx + dx) - b * (cy + dy)
    y = cy - c * (cx + dx) - d * (cy + dy)
    return _stacked(torch.broadcast_tensors(a, b, x, c, d, y))


def inverse_sampling(matrix: Tensor) -> Tensor:
    """The sampling matrix of a map (..., 2, 3) from input pixels to output pixels."""
    a, b, x, c, d, y = matrix.double().flatten(-2).unbind(-1)
    determinant = a * d - b * c
    ia, ib, ic, id_ = d / determinant, -b / determinant, -c / determinant, a / determinant
    return _stacked((ia, ib, -(ia * x + ib * y), ic, id_, -(ic * x + id_ * y)))


def _stacked(entries: Sequence[Tensor]) -> Tensor:
    flat = torch.stack(tuple(entries), dim=-1)
    return flat.view(*flat.shape[:-1], 2, 3)


def rotation_sampling(degrees: Tensor, center: Point) -> Tensor:
    """The sampling matrix of a rotation about `center`, counter-clockwise as displayed."""
    cosine, sine = cosine_sine(degrees)
    cx, cy = center
    # center - R^-1 center
    x = cx - cosine * cx + sine * cy
    y = cy - cosine * cy - sine * cx
    return _stacked((cosine, -sine, x, sine, cosine, y))


def cosine_sine(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine in float64, exact at multiples of 90 degrees.

    Without `alpha=` and `value=`, with which torch's compiler crashes in forward mode.
    """
    degrees = degrees.double()
    quarter = torch.round(degrees.detach() / 90)
    rest = (degrees - quarter * 90) * (math.pi / 180)
    cosine, sine = torch.cos(rest), torch.sin(rest)
    # of the quarter turns: -1, 0 or 1
    angle = (quarter - 4 * torch.floor(quarter / 4)) * (math.pi / 2)
    c, s = torch.round(torch.cos(angle)), torch.round(torch.sin(angle))
    return c * cosine - s * sine, c * sine + s * cosine
