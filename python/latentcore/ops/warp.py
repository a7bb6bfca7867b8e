"""Rotation and affine maps of batches of images, differentiable in the images and in the map."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors, _forks, _native, reference
from latentcore.ops import _transformed
from latentcore.ops._autocast import under_autocast
from latentcore.ops._folds import in_front
from latentcore.ops._warp_operator import operator
from latentcore.reference.warp import Point, cosine_sine

# shapes: N images, A angles of each, C channels, H rows, W columns

_DTYPES = (torch.uint8, *_checks.FLOATING)
_PAIR = "a pair or a tensor of shape (N, 2)"
Numbers = float | Tensor
Center = Tensor | Sequence[Numbers] | None


@under_autocast("images")
def rotate(
    images: Tensor,
    angle: Numbers,
    *,
    interpolation: str = "bilinear",
    center: Center = None,
    fill: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Rotate images, each by an angle of its own or by several.

    **Convention**: angles are in degrees, counter-clockwise as displayed. Pixel centres lie on integers, x to the right
    and y down, and the centre is ((W - 1) / 2, (H - 1) / 2). The image goes on outside with the value ``fill``, which
    blends bilinearly with the border. Multiples of 90 degrees of square images are exact. An angle that is not finite
    gives an image of ``fill``. A pixel of weight 0 is not used: missing pixels, which are NaN, make those NaN in which
    they have a share, and the gradient of the map leaves them out.

    Args:
        images: (N, C, H, W) or (C, H, W); float32, float64, float16, bfloat16 or uint8.
        angle: A number, a tensor (N,), or a tensor (N, A) for A angles of each image, on the images' device.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        center: The fixed point (x, y) in pixels: a pair of numbers or tensors (N,), or a tensor (2,) or (N, 2).
        fill: Value outside the image, in the units of the result.
        dtype: Type of the result; the images' by default. A floating type for uint8 images divides them by 255.

    Returns:
        Images of the input's shape; (N, A, C, H, W) for an angle of shape (N, A). Differentiable in ``images``,
        ``angle`` and ``center``.

    Raises:
        TypeError: An argument is of a wrong type or dtype.
        ValueError: A shape does not fit, or ``interpolation`` is unknown.

    Example:
        >>> import torch
        >>> from latentcore.ops import rotate
        >>> rotate(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 90.0)
        tensor([[[2., 4.],
                 [1., 3.]]])

    Reference:
        The convention is that of ``torch.rot90(x, 1, (-2, -1))`` and of torchvision's and kornia's ``rotate``.
    """
    batch = _batch(images)
    n = batch.shape[0]
    several = isinstance(angle, Tensor) and angle.dim() == 2
    degrees = _numbers("angle", angle, n, batch.device, extra="A" if several else None)
    matrix = _rotation_sampling(degrees, *_center(center, batch, several))
    rotated = _warp(batch, matrix if several else matrix.unsqueeze(1), interpolation, fill, dtype)
    return rotated if several else _unbatch(rotated[:, 0], images)


_rotation_sampling = _transformed.beneath_maps(
    lambda degrees, x, y: reference.rotation_sampling(degrees, (x, y)), in_front
)


@under_autocast("images")
def affine(
    images: Tensor,
    *,
    angle: Numbers = 0.0,
    translate: Tensor | Sequence[Numbers] = (0.0, 0.0),
    scale: Numbers | Sequence[Numbers] = 1.0,
    shear: Tensor | Sequence[Numbers] = (0.0, 0.0),
    matrix: Tensor | None = None,
    interpolation: str = "bilinear",
    center: Center = None,
    fill: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    r"""Scale, mirror, shear, rotate and translate images, each by numbers of its own.

    **Convention**: that of :func:`rotate`. An input pixel p goes to

    .. math::

        R(\text{angle}) \begin{pmatrix} 1 & \tan s_x \\ \tan s_y & 1 \end{pmatrix}
        \begin{pmatrix} m_x & 0 \\ 0 & m_y \end{pmatrix} (p - c) + c + t

    with the centre c, the magnification m along each axis, the translation t in pixels (right, down) and the shear
    (s_x, s_y) in degrees: a positive s_x moves lower pixels to the right. A negative magnification mirrors.

    Args:
        images: (N, C, H, W) or (C, H, W); float32, float64, float16, bfloat16 or uint8.
        angle: Degrees, counter-clockwise as displayed: a number or a tensor (N,).
        translate: Pixels to the right and down: a pair of numbers or tensors (N,), or a tensor (N, 2).
        scale: Magnification: a number or a tensor (N,) for both axes; a pair of them, or a tensor (N, 2), for x and y.
        shear: Degrees in x and y: a pair of numbers or tensors (N,), or a tensor (N, 2).
        matrix: (N, 2, 3) or (2, 3): takes the input pixel (x, y, 1) to the output pixel; excludes the four arguments
            above and ``center``. A singular matrix gives an image of ``fill``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        center: The fixed point (x, y) of scale, shear and rotation, in pixels: a pair of numbers or tensors (N,), or a
            tensor (2,) or (N, 2). The image's centre by default.
        fill: Value outside the image, in the units of the result.
        dtype: Type of the result; the images' by default. A floating type for uint8 images divides them by 255.

    Returns:
        Images of the input's shape. Differentiable in ``images`` and in every number of the map.

    Raises:
        TypeError: An argument is of a wrong type or dtype.
        ValueError: A shape does not fit, ``matrix`` comes with another argument, or ``interpolation`` is unknown.

    Example:
        >>> import torch
        >>> from latentcore.ops import affine
        >>> affine(torch.tensor([[[1.0, 2.0, 3.0]]]), translate=(1.0, 0.0))
        tensor([[[0., 1., 2.]]])
        >>> affine(torch.tensor([[[1.0, 2.0, 3.0]]]), scale=(-1.0, 1.0))
        tensor([[[3., 2., 1.]]])
    """
    batch = _batch(images)
    n, device = batch.shape[0], batch.device
    if matrix is not None:
        sampling = _given(matrix, n, device, angle, translate, scale, shear, center)
    else:
        turned = cosine_sine(_numbers("angle", angle, n, device))
        tx, ty = _pair("translate", translate, n, device)
        inverse = _inverse_linear(turned, _scales(scale, n, device), shear, n, device)
        sampling = reference.affine_sampling(inverse, _center(center, batch), (tx, ty))
    return _unbatch(_warp(batch, sampling.unsqueeze(1), interpolation, fill, dtype)[:, 0], images)


def _inverse_linear(
    turned: tuple[Tensor, Tensor],
    scales: Sequence[Tensor],
    shear: Tensor | Sequence[Numbers],
    n: int,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The inverse of scale, then shear, then rotation, row by row."""
    cosine, sine = turned
    across, down = scales
    if not isinstance(shear, Tensor):
        _check_pair("shear", shear, _PAIR)
        if all(type(angle) in (int, float) and angle == 0 for angle in shear):  # mostly: half as many small operations
            c, s = cosine / across, sine / across
            return (c, -s, s, c) if across is down else (c, -s, sine / down, cosine / down)
    sx, sy = (torch.tan(s * (math.pi / 180)) for s in _pair("shear", shear, n, device))
    left, lower = (1 / (scale * (1 - sx * sy)) for scale in scales)
    return (
        left * (cosine - sx * sine),
        left * (-sine - sx * cosine),
        lower * (sine - sy * cosine),
        lower * (cosine + sy * sine),
    )


def _scales(scale: Numbers | Sequence[Numbers], n: int, device: torch.device) -> list[Tensor]:
    """Magnifications along x and y, (N,) each; the same tensor where they are one number."""
    if (isinstance(scale, Tensor) and scale.dim() < 2) or not isinstance(scale, Tensor | Sequence | np.ndarray):
        return [_numbers("scale", scale, n, device)] * 2
    return _pair("scale", scale, n, device)


def _batch(images: Tensor) -> Tensor:
    _forks.check_threads()  # the map comes before the kernel
    _checks.dtype("images", images, _DTYPES)
    if images.dim() not in (3, 4):
        _errors.fail_value("images", "shape (N, C, H, W) or (C, H, W)", tuple(images.shape))
    if 0 in images.shape[-2:]:
        _errors.fail_value("images", "at least one pixel", tuple(images.shape))
    _checks.countable("images", images)
    return images if images.dim() == 4 else images.unsqueeze(0)


def _unbatch(result: Tensor, images: Tensor) -> Tensor:
    return result if images.dim() == 4 else result[0]


def _center(center: Center, batch: Tensor, several: bool = False) -> Point:
    """The fixed point; tensors of it are (N,), or (N, 1) beside several angles of each image."""
    if center is None:
        return (batch.shape[-1] - 1) / 2, (batch.shape[-2] - 1) / 2
    n, device = batch.shape[0], batch.device
    if isinstance(center, Tensor) and center.dim() == 1:
        _checks.shape("center", center, (2,))
        center = center.unbind()
    if not isinstance(center, Tensor) and not torch.compiler.is_compiling():
        _check_pair("center", center, _PAIR)
        if not any(isinstance(coordinate, Tensor) for coordinate in center):  # fewer small operations
            for coordinate in center:
                _errors.number("center", coordinate)
            return float(center[0]), float(center[1])
    x, y = _pair("center", center, n, device)
    return (x[:, None], y[:, None]) if several else (x, y)


def _numbers(name: str, value: Numbers, n: int, device: torch.device, extra: str | None = None) -> Tensor:
    """A number or a tensor (N,) as float64 (N,); (N, A) where `extra` names a second dimension."""
    if isinstance(value, Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            _errors.fail_type(name, "real numbers", str(value.dtype))
        if value.device != device:
            _errors.fail_value(name, f"the device of images, {device}", value.device)
        if value.dim() > 0:
            _checks.shape(name, value, (n, extra) if extra else (n,))
        return value.double().expand(n) if value.dim() == 0 else value.double()
    _errors.number(name, value, "a number or a torch.Tensor")
    return _scalar(value, device).expand(n)


def _scalar(value: float, device: torch.device) -> Tensor:
    """A number as a tensor. Under a compiler it stays a variable, which is not compiled anew for another value."""
    if torch.compiler.is_compiling():
        return torch.zeros((), dtype=torch.float64, device=device) + value
    return torch.full((), float(value), dtype=torch.float64, device=device)


def _pair(name: str, value: Tensor | Sequence[Numbers], n: int, device: torch.device) -> list[Tensor]:
    if isinstance(value, Tensor):
        _checks.shape(name, value, (n, 2))
        return [_numbers(name, column, n, device) for column in value.unbind(1)]
    _check_pair(name, value, _PAIR)
    return [_numbers(name, item, n, device) for item in value]


def _check_pair(name: str, value: object, expected: str) -> None:
    if not isinstance(value, Sequence | Tensor | np.ndarray) or isinstance(value, str):
        _errors.fail_type(name, expected, type(value).__name__)
    if len(value) != 2:
        _errors.fail_value(name, expected, value)


def _given(matrix: Tensor, n: int, device: torch.device, *others: Any) -> Tensor:
    _checks.floating("matrix", matrix)
    names = ("angle", "translate", "scale", "shear", "center")
    defaults = (0.0, (0.0, 0.0), 1.0, (0.0, 0.0), None)
    for name, value, default in zip(names, others, defaults, strict=True):
        parts = value if isinstance(value, Sequence) else [value]
        if any(isinstance(part, Tensor | np.ndarray) for part in parts) or value != default:
            _errors.fail_value(name, "no value beside matrix", value)
    if matrix.device != device:
        _errors.fail_value("matrix", f"the device of images, {device}", matrix.device)
    if matrix.dim() == 2:
        matrix = matrix.expand(n, *matrix.shape)
    _checks.shape("matrix", matrix, (n, 2, 3))
    return reference.inverse_sampling(matrix)


def _warp(images: Tensor, matrix: Tensor, interpolation: str, fill: float, dtype: torch.dtype | None) -> Tensor:
    _errors.one_of("interpolation", interpolation, ("bilinear", "nearest"))
    _errors.number("fill", fill)
    result = images.dtype if dtype is None else dtype
    if result != images.dtype and (images.dtype != torch.uint8 or result not in _checks.FLOATING):
        allowed = "uint8 or a floating dtype" if images.dtype == torch.uint8 else f"the images' dtype, {images.dtype}"
        _errors.fail_type("dtype", allowed, str(dtype))
    outer = _scalar(fill, images.device)
    if not _native.has_kernel("warp", images):
        return reference.warp(images, matrix, interpolation=interpolation, fill=outer, dtype=result)
    warped: Tensor = operator(images, matrix, outer, interpolation, result)
    return warped
