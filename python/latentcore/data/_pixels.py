"""Arrays of others as images and labels: what they hold is taken as it is, or refused."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks

# shapes: N images, C channels, H rows, W columns

_COLOURS = 4  # as many channels may be wider than the rows are long
_AT_A_TIME = 1024  # images, so that their copies take little memory
_LOST = 0.02  # of the images' contrast, by rounding to bytes


def as_pixels(array: Any, channels_last: bool | None = None) -> Tensor:
    """An array of uint8, or of floats in [0, 1], as images (N, C, H, W) that lack nothing: uint8 or float32.

    Floats that are float32's nearest to multiples of 1/255 become these bytes; others stay floats.

    Args:
        array: (N, H, W), or (N, C, H, W), or (N, H, W, C).
        channels_last: Whether it is (N, H, W, C); None: it is (N, C, H, W), and an error where that is unlikely.

    Raises:
        TypeError: It has another dtype.
        ValueError: It has another shape, probably its channels last, or values outside [0, 1].
    """
    array = _channels_first(np.asarray(array), channels_last)
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # NaN fails both
            _checks.fail_value("images", "floats in [0, 1]", f"values from {low:g} to {high:g}")
        found = _exact_bytes(array)
        array = array.astype(np.float32) if found is None else found
    if array.dtype not in (np.uint8, np.float32):
        _checks.fail_type("images", "uint8, or floats in [0, 1]", array.dtype)
    return torch.from_numpy(np.array(array, order="C"))


def as_bytes(array: Any) -> Tensor:
    """As `as_pixels`, with floats `rounded`."""
    return rounded("images", as_pixels(array))


def rounded(name: str, images: Tensor) -> Tensor:
    """Images, uint8 or floats in [0, 1], rounded to 1/255, as uint8 of the same shape.

    Raises:
        ValueError: What is lost shows beside the images' contrast, as of images that are nearly black.
    """
    if images.dtype == torch.uint8 or not images.numel():
        return images.to(torch.uint8)
    found = images.float().mul(255).round_().to(torch.uint8)
    lost = float((found / 255 - images).square().mean().sqrt())
    low, high = (float(extreme) for extreme in images.aminmax())
    contrast = float(images.float().std(correction=0)) if high > low else high
    if lost > _LOST * contrast:
        got = f"values from {low:g} to {high:g}, which lose {100 * lost / contrast:.0f} % of their contrast"
        _checks.fail_value(name, "floats that may be rounded to 1/255", got)
    return found


def as_labels(array: Any, count: int) -> Tensor:
    """An array of whole numbers as labels (count,), int64.

    Raises:
        TypeError: It has another dtype.
        ValueError: It has another shape, or a number that int64 does not hold.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        _checks.fail_type("labels", "whole numbers", array.dtype)
    if array.shape != (count,):
        _checks.fail_value("labels", f"shape ({count},)", array.shape)
    if count and (highest := int(array.max())) > np.iinfo(np.int64).max:
        _checks.fail_value("labels", "numbers below 2^63", highest)
    return torch.from_numpy(array.astype(np.int64))


def _channels_first(array: np.ndarray[Any, Any], channels_last: bool | None) -> np.ndarray[Any, Any]:
    """An array (N, C, H, W)."""
    if channels_last:
        if array.ndim != 4:
            _checks.fail_value("images", "shape (N, H, W, C), channels last", array.shape)
        return np.moveaxis(array, 3, 1)
    if array.ndim not in (3, 4):
        _checks.fail_value("images", "shape (N, H, W) or (N, C, H, W)", array.shape)
    if channels_last is None and array.ndim == 4 and _probably_last(*array.shape[1:]):
        words = "channels before rows and columns, (N, C, H, W), or to be told by channels_last (--channels-last)"
        _checks.fail_value("images", words, array.shape)
    return array if array.ndim == 4 else array[:, None]


def _probably_last(first: int, second: int, last: int) -> bool:
    """Whether these are rows, columns and channels: images are square more often than not, and channels are few."""
    square = first == second != last and first > _COLOURS
    return square or (last < first and (last <= _COLOURS or last != second))


def _exact_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Floats as the bytes that they are 1/255 of; None where a float32 would be another one."""
    found = np.empty(array.shape, np.uint8)
    for begin in range(0, len(array), _AT_A_TIME):
        part = array[begin : begin + _AT_A_TIME].astype(np.float32)
        some = np.rint(part * 255).astype(np.uint8)
        if not np.array_equal(some / np.float32(255), part):
            return None
        found[begin : begin + _AT_A_TIME] = some
    return found
