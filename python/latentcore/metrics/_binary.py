"""Checks of labels and scores of two classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latentcore import _errors

Floats = NDArray[np.float64]


def checked(labels: Any, values: Any, name: str = "scores", *, both: bool = True) -> tuple[NDArray[np.bool_], Floats]:
    """Which events are signal, and their numbers, (N,) both; `both` classes have to be there, or either."""
    truth, numbers = array(labels), array(values)
    if truth.ndim != 1 or len(truth) == 0:
        _errors.fail_value("labels", "shape (N,), N >= 1", truth.shape)
    if numbers.shape != truth.shape:
        _errors.fail_value(name, f"shape {truth.shape}", numbers.shape)
    present = np.unique(truth).tolist()
    if not (present == [0, 1] if both else set(present) <= {0, 1}):
        _errors.fail_value("labels", "0 and 1, both present" if both else "0 or 1", present[:10])
    if np.isnan(numbers).any():
        _errors.fail_value(name, "no NaN", f"{int(np.isnan(numbers).sum())} of {len(numbers)}")
    return truth == 1, numbers


def array(values: Any) -> Floats:
    """What is given as a tensor, an array or a sequence."""
    if isinstance(values, Tensor):
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
