"""What users hand in, checked value by value, as the tensors that models take."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.data._pixels import as_float32, check_plain, rounded

# shapes: (N, C, H, W) images, (N, L) latents


def as_images(images: Any, image_shape: tuple[int, int, int], name: str = "images") -> Tensor:
    """Images as a tensor (N, C, H, W), uint8 or float32 in [0, 1].

    Args:
        images: A NumPy array or tensor (N, C, H, W), or (N, H, W) where C is 1; uint8, or floating point in [0, 1].
        image_shape: The (C, H, W) that is expected.
        name: The argument's name, for messages.

    Raises:
        TypeError: Neither array nor tensor, one that is not dense, or another dtype.
        ValueError: Another shape, no images, a value that is NaN or outside [0, 1], or an image of a contrast that
            float32 does not hold.
    """
    batch = _tensor(images, name)
    channels, height, width = image_shape
    if channels == 1 and batch.dim() == 3:
        batch = batch.unsqueeze(1)
    if batch.dim() != 4 or tuple(batch.shape[1:]) != image_shape:
        wanted = f"(N, {height}, {width}) or (N, 1, {height}, {width})" if channels == 1 else f"(N, {image_shape})"
        _errors.fail_value(name, f"shape {wanted}", tuple(images.shape))
    if not len(batch):
        _errors.fail_value(name, "at least one image", tuple(images.shape))
    if batch.dtype == torch.uint8:
        return batch
    if not batch.is_floating_point():
        _errors.fail_type(name, "uint8, or a floating dtype with values in [0, 1]", str(batch.dtype))
    _in_unit_range(batch, name)
    if batch.dtype == torch.float64:
        return torch.from_numpy(as_float32(name, batch.numpy(force=True))).to(batch.device)
    return batch.float()


def as_bytes(images: Any, image_shape: tuple[int, int, int] | None, name: str = "images") -> Tensor:
    """As `as_images`, with floats `rounded` to 1/255; `image_shape` None leaves it free. (N, C, H, W), uint8."""
    return rounded(name, as_images(images, image_shape or shape_of(images, name), name))


def shape_of(images: Any, name: str = "images") -> tuple[int, int, int]:
    """(C, H, W) of images (N, C, H, W) or (N, H, W); errors as `as_images`."""
    sizes = tuple(_tensor(images, name).shape)
    if len(sizes) not in (3, 4):
        _errors.fail_value(name, "shape (N, H, W) or (N, C, H, W)", sizes)
    return sizes[1] if len(sizes) == 4 else 1, sizes[-2], sizes[-1]


def as_latents(z: Any, latent: int, name: str = "z") -> Tensor:
    """Latents as a finite float32 tensor (N, L); errors as `as_images`."""
    vectors = _tensor(z, name)
    _checks.shape(name, vectors, ("N", latent))
    if not vectors.is_floating_point():
        _errors.fail_type(name, "a floating dtype", str(vectors.dtype))
    _check_finite(vectors, name)
    return vectors.float()


def as_labels(labels: Any, count: int, name: str = "labels") -> Tensor:
    """Labels as an int64 tensor (N,) with one label per image; errors as `as_images`."""
    values = _tensor(labels, name)
    if values.is_floating_point() or values.dtype == torch.bool:
        _errors.fail_type(name, "whole numbers", str(values.dtype))
    _checks.shape(name, values, (count,))
    found = values.long()
    if values.dtype == torch.uint64 and bool((found < 0).any()):  # beyond int64, numbers wrap
        _errors.fail_value(name, "numbers below 2^63", int(found.min()) % 2**64)
    return found


def as_classes(labels: Any, count: int, classes: int, name: str = "labels") -> Tensor | None:
    """Labels (N,) for a model of so many classes, int64, on the CPU; None for a model of none, which wants none."""
    if classes == 0:
        if labels is not None:
            _errors.fail_value(name, "none: the model knows no classes", type(labels).__name__)
        return None
    if labels is None:
        _errors.fail_value(name, f"one of {classes} classes for each image", "none")
    known = as_labels(labels, count, name).cpu()
    if count and not (int(known.min()) >= 0 and int(known.max()) < classes):
        _errors.fail_value(name, f"whole numbers in [0, {classes})", f"{int(known.min())} to {int(known.max())}")
    return known


def as_events(images: Any, shape: tuple[int, int, int]) -> Tensor:
    """Events (N, C, H, W) on the CPU, whichever side their channels are on; finite real numbers."""
    if not isinstance(images, Tensor | np.ndarray):
        _errors.fail_type("images", "a NumPy array or a torch.Tensor", type(images).__name__)
    if isinstance(images, np.ndarray):
        images = np.ascontiguousarray(images, images.dtype.newbyteorder("="))  # as torch takes them; seldom a copy
    batch = torch.as_tensor(images).detach()
    check_plain("images", batch)
    if batch.dtype == torch.bool:
        _errors.fail_type("images", "real numbers", str(batch.dtype))
    batch = batch.cpu()
    channels, height, width = shape
    if tuple(batch.shape[1:]) == (height, width, channels) and shape != (height, width, channels):
        batch = batch.permute(0, 3, 1, 2)
    _checks.shape("images", batch, ("N", *shape))
    _check_finite(batch, "images")
    return batch


def as_column(name: str, value: Any, count: int) -> Tensor:
    """A number or one for each latent, finite, as float64 (count,)."""
    if isinstance(value, Tensor | np.ndarray | np.generic):  # of complex ones torch takes the real part
        value = _tensor(value if isinstance(value, Tensor) else np.asarray(value), name)
    try:
        column = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        _errors.fail_type(name, "a number, or one for each latent", type(value).__name__)
    if column.dim() > 1 or (column.dim() == 1 and len(column) != count):
        _errors.fail_value(name, f"a number or shape ({count},)", tuple(column.shape))
    if not bool(column.float().isfinite().all()):
        _errors.fail_value(name, "finite numbers", "NaN, infinity, or one beyond float32")
    return column.cpu().expand(count)


def to_unit(images: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1]; float images as they are."""
    return images / 255 if images.dtype == torch.uint8 else images


def _tensor(value: Any, name: str) -> Tensor:
    """A plain tensor."""
    found = value.detach() if isinstance(value, Tensor) else _from_numpy(value, name)
    check_plain(name, found)
    return found


def _from_numpy(value: Any, name: str) -> Tensor:
    if not isinstance(value, np.ndarray):
        _errors.fail_type(name, "a NumPy array or a torch.Tensor", type(value).__name__)
    try:
        # a copy: torch takes neither negative strides nor other processors' bytes, and warns of read-only arrays
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), order="C"))
    except TypeError:
        _errors.fail_type(name, "an array of numbers of a dtype that torch has", f"dtype {value.dtype}")


def _check_finite(numbers: Tensor, name: str) -> None:
    """All numbers are finite, and stay so as float32."""
    if not numbers.is_floating_point() or not numbers.numel():
        return
    low, high = (float(extreme) for extreme in numbers.aminmax())
    most = torch.finfo(torch.float32).max
    if not (low >= -most and high <= most):  # NaN fails both
        _errors.fail_value(name, "finite numbers that float32 holds", f"numbers from {low:g} to {high:g}")


def _in_unit_range(batch: Tensor, name: str) -> None:
    low, high = float(batch.min()), float(batch.max())
    if not (low >= 0 and high <= 1):  # NaN fails both
        _errors.fail_value(name, "values in [0, 1]", f"values from {low:g} to {high:g}")
