"""NumPy arrays and torch tensors in and out: the estimator computes on tensors and answers in the caller's kind."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch import Tensor

from latentcore import _checks


def samples(estimator: Any, X: Any, *, reset: bool) -> Tensor:
    """(N, D) float32 or float64 tensor of finite numbers; arrays share memory where they can.

    With `reset`, the estimator learns the number of features, as in scikit-learn; otherwise X must have that number.
    """
    if isinstance(X, Tensor):
        return _samples_of_tensor(estimator, X, reset)
    array = validate_data(
        estimator, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1
    )
    return torch.from_numpy(array if array.flags.writeable and min(array.strides) >= 0 else array.copy())


def _samples_of_tensor(estimator: Any, X: Tensor, reset: bool) -> Tensor:
    if X.dim() != 2:
        _checks.fail_value("X", "shape (N, D)", tuple(X.shape))
    if len(X) < (2 if reset else 1) or X.shape[1] == 0:
        _checks.fail_value("X", f"at least {2 if reset else 1} samples and 1 feature", f"shape {tuple(X.shape)}")
    if X.is_complex():
        _checks.fail_type("X", "real numbers", str(X.dtype))
    if reset:
        estimator.n_features_in_ = X.shape[1]
    elif X.shape[1] != estimator.n_features_in_:
        _checks.fail_value("X", f"shape (N, {estimator.n_features_in_})", tuple(X.shape))
    X = X.detach()
    if X.dtype not in (torch.float32, torch.float64):
        X = X.to(torch.float32 if X.is_floating_point() else torch.float64)
    if not bool(X.isfinite().all()):
        _checks.fail_value("X", "finite numbers", "NaN or infinity")
    return X


def tensor(value: Any, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """A parameter, however it was given, as a tensor; on its own device unless another is named."""
    given = value.detach() if isinstance(value, Tensor) else torch.tensor(np.asarray(value))
    if given.is_complex():
        _checks.fail_type("a parameter", "real numbers", str(given.dtype))
    return given.to(given.device if device is None else device, dtype)


def dtype_of(value: Any) -> torch.dtype:
    """The torch dtype of a float32 or float64 array or tensor."""
    return torch.float32 if value.dtype in (torch.float32, np.float32) else torch.float64


def like(value: Tensor, model: Any) -> Any:
    """`value` as a tensor where `model` is one, else as a NumPy array."""
    return value if isinstance(model, Tensor) else value.cpu().numpy()


def weights(sample_weight: Any, X: Tensor) -> Tensor | None:
    """(N,) weights with the dtype and device of X, or None."""
    if sample_weight is None:
        return None
    w = tensor(sample_weight, X.device, X.dtype)
    if w.dim() == 0:
        w = w.expand(len(X))
    _checks.shape("sample_weight", w, (len(X),))
    if not bool((w.isfinite() & (w >= 0)).all()) or not bool((w > 0).any()):
        _checks.fail_value("sample_weight", "finite numbers >= 0, not all zero", f"{w.min():g} ... {w.max():g}")
    return w.contiguous()
