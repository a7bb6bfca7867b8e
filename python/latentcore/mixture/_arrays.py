"""NumPy arrays and torch tensors in and out: the estimator computes on tensors and answers in the caller's kind."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch import Tensor

from latentcore import _checks


def samples(estimator: Any, X: Any, *, reset: bool, missing: bool = False) -> Tensor:
    """(N, D) float32 or float64 tensor of finite numbers; arrays share memory where they can.

    With `reset`, the estimator learns the number of features, as in scikit-learn; otherwise X must have that number.
    With `missing`, NaN may stand for a missing value.
    """
    if isinstance(X, Tensor):
        return _samples_of_tensor(estimator, X, reset, missing)
    array = validate_data(
        estimator,
        X,
        reset=reset,
        dtype=[np.float64, np.float32],
        ensure_min_samples=2 if reset else 1,
        ensure_all_finite="allow-nan" if missing else True,
    )
    return torch.from_numpy(array if array.flags.writeable and min(array.strides) >= 0 else array.copy())


def _samples_of_tensor(estimator: Any, X: Tensor, reset: bool, missing: bool) -> Tensor:
    if X.dim() != 2:
        _checks.fail_value("X", "shape (N, D)", tuple(X.shape))
    if len(X) < (2 if reset else 1) or X.shape[1] == 0:
        _checks.fail_value("X", f"at least {2 if reset else 1} samples and 1 feature", f"shape {tuple(X.shape)}")
    check_features(estimator, X.shape[1], reset=reset)
    x = floating(X)
    check_values(x, missing=missing)
    return x


def check_features(estimator: Any, features: int, *, reset: bool) -> None:
    """Samples have the estimator's number of features, or with `reset` tell it that number."""
    if reset:
        estimator.n_features_in_ = features
        # names of columns, which an earlier fit may have learned
        estimator.__dict__.pop("feature_names_in_", None)
    elif features != estimator.n_features_in_:
        _checks.fail_value("X", f"shape (N, {estimator.n_features_in_})", f"{features} features")


def floating(x: Tensor) -> Tensor:
    """Samples as float32 or float64: half types as float32, whole numbers as float64."""
    if x.is_complex():
        _checks.fail_type("X", "real numbers", str(x.dtype))
    x = x.detach()
    if x.dtype in (torch.float32, torch.float64):
        return x
    return x.to(torch.float32 if x.is_floating_point() else torch.float64)


def check_values(x: Tensor, *, missing: bool, first: int = 0) -> None:
    """The samples are finite; with `missing` they may be NaN. `first` is the number of the first, for the message."""
    if bool(x.sum().isfinite()):  # then every number is, and nothing of the size of x was needed
        return
    good = (~x.isinf() if missing else x.isfinite()).all(1)
    if not bool(good.all()):
        row = first + int(good.logical_not().nonzero()[0])
        _checks.fail_value("X", "finite numbers", f"{'infinity' if missing else 'NaN or infinity'} in sample {row}")


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
    """`value` as a tensor where `model` is one, or on a GPU, where a stream may have been; else as a NumPy array."""
    return value if isinstance(model, Tensor) or value.device.type != "cpu" else value.numpy()


def weights(sample_weight: Any, count: int, like: Tensor) -> Tensor | None:
    """(N,) weights with the dtype and device of the samples, or None."""
    if sample_weight is None:
        return None
    w = tensor(sample_weight, like.device, like.dtype)
    if w.dim() == 0:
        w = w.expand(count)
    _checks.shape("sample_weight", w, (count,))
    if not bool((w.isfinite() & (w >= 0)).all()) or not bool((w > 0).any()):
        _checks.fail_value("sample_weight", "finite numbers >= 0, not all zero", f"{w.min():g} ... {w.max():g}")
    return w.contiguous()


def weights_of_piece(sample_weight: Any, first: int, piece: Tensor) -> Tensor:
    """The (n,) weights, float64, of a piece of samples of which the first has the number `first`."""
    if sample_weight is None:
        return torch.ones(len(piece), dtype=torch.float64, device=piece.device)
    w = tensor(sample_weight, piece.device)
    part = w.expand(len(piece)) if w.dim() == 0 else w[first : first + len(piece)]
    _checks.shape("sample_weight", part, (len(piece),))
    return part
