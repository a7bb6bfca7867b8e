"""Arrays of others as images and labels: what they hold is taken as it is, or refused."""

import warnings
from collections.abc import Iterator
from math import prod
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors

# shapes: N images, C channels, H rows, W columns

_COLOURS = 4  # as many channels may be wider than the rows are long
_AT_A_TIME = 2**20  # pixels, so that their copies take little memory
_LOST = 0.02  # of an image's contrast, by rounding
_HALF = 0.5  # of it: such an image is hardly the same
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8)


def as_pixels(array: Any, channels_last: bool | None = None) -> Tensor:
    """An array of uint8, or of floats in [0, 1], as images (N, C, H, W) that lack nothing: uint8 or float32.

    Floats that are multiples of 1/255, as exactly as their dtype or float32 can be, become these bytes; others stay
    floats.

    Args:
        array: (N, H, W), or (N, C, H, W), or (N, H, W, C).
        channels_last: Whether it is (N, H, W, C); None: it is (N, C, H, W), and an error where that is unlikely.

    Raises:
        TypeError: It has another dtype.
        ValueError: It has another shape, probably its channels last, or values outside [0, 1] or of a contrast that
            float32 does not hold.
    """
    array = _channels_first(np.asarray(array), channels_last)
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # NaN fails both
            _errors.fail_value("images", "floats in [0, 1]", f"values from {low:g} to {high:g}")
        found = _exact_bytes(array)
        return torch.from_numpy(as_float32("images", array) if found is None else found)
    if array.dtype != np.uint8:
        _errors.fail_type("images", "uint8, or floats in [0, 1]", array.dtype)
    return torch.from_numpy(np.array(array, order="C"))


def as_bytes(images: np.ndarray[Any, Any] | Tensor) -> Tensor:
    """As `as_pixels`, with floats `rounded`."""
    if isinstance(images, Tensor):
        check_plain("images", images)
        # NumPy has no bfloat16
        images = (images.float() if images.dtype == torch.bfloat16 else images).numpy(force=True)
    return rounded("images", as_pixels(images))


def as_float32(name: str, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats in [0, 1], images (N, ...), as float32.

    Raises:
        ValueError: An image loses its contrast by that, as one whose numbers all become 0 or 0.5.
    """
    found = images.astype(np.float32, order="C")
    if images.dtype.itemsize > found.itemsize:
        lost = _losses(images, found)
        if (lost > _LOST).any():
            _fail_lost(name, "floats whose contrast float32 holds, or float32 itself", images, lost)
    return found


def rounded(name: str, images: Tensor) -> Tensor:
    """Images, uint8 or floats in [0, 1], rounded to 1/255, as uint8 of the same shape.

    Raises:
        ValueError: The images lose too much of their contrast, on average, as those do that are nearly black. A few
            that do so among many others are a warning.
    """
    if images.dtype == torch.uint8 or not images.numel():
        return images.to(torch.uint8)
    found = images.float().mul(255).round_().to(torch.uint8)
    lost = _losses(images.numpy(force=True), found.numpy(force=True), 255)
    if lost.mean() > _LOST:
        _fail_lost(name, "floats that may be rounded to 1/255", images.numpy(force=True), lost)
    if (lost > _HALF).any():
        words = f"{name}: {(lost > _HALF).sum()} of {len(lost)} images lose most of their contrast, rounded to 1/255"
        warnings.warn(words, UserWarning, stacklevel=3)
    return found


def check_plain(name: str, tensor: Tensor) -> None:
    """A tensor of real numbers that lie in memory, as torch computes with them.

    Raises:
        TypeError: It is sparse or nested, or of a dtype that hardly any operation takes.
        ValueError: It has no numbers.
    """
    if tensor.is_nested or tensor.layout != torch.strided:
        _errors.fail_type(name, "a dense tensor", "a nested one" if tensor.is_nested else str(tensor.layout))
    if tensor.dtype not in (*_checks.FLOATING, *_WHOLE, torch.bool):
        _errors.fail_type(name, "real numbers, whole or of a common floating dtype", str(tensor.dtype))
    if tensor.is_meta:
        _errors.fail_value(name, "a tensor with numbers", "one on the device meta")


def as_labels(array: Any, count: int) -> Tensor:
    """An array of whole numbers as labels (count,), int64.

    Raises:
        TypeError: It has another dtype.
        ValueError: It has another shape, or a number that int64 does not hold.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        _errors.fail_type("labels", "whole numbers", array.dtype)
    if array.shape != (count,):
        _errors.fail_value("labels", f"shape ({count},)", array.shape)
    if count and (highest := int(array.max())) > np.iinfo(np.int64).max:
        _errors.fail_value("labels", "numbers below 2^63", highest)
    return torch.from_numpy(array.astype(np.int64))


def _channels_first(array: np.ndarray[Any, Any], channels_last: bool | None) -> np.ndarray[Any, Any]:
    """An array (N, C, H, W)."""
    if channels_last:
        if array.ndim != 4:
            _errors.fail_value("images", "shape (N, H, W, C), channels last", array.shape)
        return np.moveaxis(array, 3, 1)
    if array.ndim not in (3, 4):
        _errors.fail_value("images", "shape (N, H, W) or (N, C, H, W)", array.shape)
    if channels_last is None and array.ndim == 4 and _probably_last(*array.shape[1:]):
        words = "channels before rows and columns, (N, C, H, W), or to be told by channels_last (--channels-last)"
        _errors.fail_value("images", words, array.shape)
    return array if array.ndim == 4 else array[:, None]


def _probably_last(first: int, second: int, last: int) -> bool:
    """Whether these are rows, columns and channels: images are square more often than not, and channels are few."""
    square = first == second != last and first > _COLOURS
    return square or (last < first and (last <= _COLOURS or last != second))


def _exact_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Floats as the bytes that they are 1/255 of; None where these would be other numbers."""
    wide = np.result_type(array.dtype, np.float32)
    own = np.finfo(wide).eps if wide.itemsize > 4 else 0  # who multiplies by 1/255 does not get the same as by dividing
    found = np.empty(array.shape, np.uint8)
    for piece in _pieces(array):
        part = array[piece].astype(wide)
        found[piece] = np.rint(part * 255)
        exact = found[piece] / wide.type(255)
        if (np.abs(part - exact) > own * exact).any() and not np.array_equal(part, exact.astype(np.float32)):
            return None
    return found


def _losses(images: np.ndarray[Any, Any], found: np.ndarray[Any, Any], white: int = 1) -> np.ndarray[Any, Any]:
    """Which share of its contrast, at most all, each image (N, ...) loses where its numbers become found / white."""
    return np.concatenate([_losses_of(images[piece], found[piece], white) for piece in _pieces(images)])


def _losses_of(images: np.ndarray[Any, Any], found: np.ndarray[Any, Any], white: int) -> np.ndarray[Any, Any]:
    levels = images.reshape(len(images), -1).astype(np.result_type(images.dtype, np.float64))
    brightest = levels.max(1, keepdims=True)
    brightest[brightest == 0] = 1
    levels /= brightest  # the squares of small numbers would be 0
    lost = np.sqrt(np.square(levels - found.reshape(levels.shape) / (white * brightest)).mean(1))
    contrast = levels.std(1)
    contrast[contrast < 4 * np.finfo(images.dtype).eps] = 1  # all of it is one level, but for its own rounding
    shares: np.ndarray[Any, Any] = np.minimum(lost / contrast, 1)
    return shares


def _pieces(images: np.ndarray[Any, Any]) -> Iterator[slice]:
    """Some images at a time."""
    step = max(1, _AT_A_TIME // max(1, prod(images.shape[1:])))
    return (slice(begin, begin + step) for begin in range(0, len(images), step))


def _fail_lost(name: str, expected: str, images: np.ndarray[Any, Any], lost: np.ndarray[Any, Any]) -> NoReturn:
    many = f"{(lost > _LOST).sum()} of {len(lost)} images lose more than {100 * _LOST:.0f} % of their contrast"
    _errors.fail_value(name, expected, f"values from {images.min()} to {images.max()}: {many}")
