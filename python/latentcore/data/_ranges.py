"""Checks of the numbers that describe transformations."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors


def degrees_of(angles: Any) -> Tensor:
    """Angles as float32 (A,), finite and at least one."""
    expected = "finite degrees, at least one, or None"
    if isinstance(angles, Tensor | np.ndarray):
        angles = angles.tolist()
    if not isinstance(angles, Iterable) or isinstance(angles, str):
        _errors.fail_type("angles", expected, type(angles).__name__)
    degrees = list(angles)
    for angle in degrees:
        check_finite("angles", angle, expected)
    if not degrees:
        _errors.fail_value("angles", expected, "none")
    return torch.tensor(degrees, dtype=torch.float32)


def range_of(scale: Any) -> tuple[float, float]:
    """Lowest and highest magnification, 0 < low <= high."""
    expected = "(low, high) with 0 < low <= high"
    if not isinstance(scale, Sequence | np.ndarray) or isinstance(scale, str):
        _errors.fail_type("scale", expected, type(scale).__name__)
    if len(scale) != 2:
        _errors.fail_value("scale", expected, scale)
    for bound in scale:
        check_finite("scale", bound, expected)
    low, high = float(scale[0]), float(scale[1])
    if not (low <= high and np.float32(low) > 0):  # one that float32 takes for 0 is none
        _errors.fail_value("scale", expected, scale)
    return low, high


def check_finite(name: str, value: Any, expected: str, at_least: float = -math.inf) -> None:
    """`value` is a number that float32 holds."""
    _errors.number(name, value, expected)
    if not (at_least <= value and abs(value) <= torch.finfo(torch.float32).max):  # NaN fails
        _errors.fail_value(name, expected, value)
