"""NumPy arrays and torch tensors in and out: the estimator computes on tensors and answers in the caller's kind."""

from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral
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
    if not reset:  # scikit-learn does not look where parameters were set by hand
        check_features(estimator, array.shape[1], reset=False)
    return shared(array)


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
        return
    expected = getattr(estimator, "n_features_in_", None) or np.shape(estimator.means_)[-1]
    if features != expected:
        _checks.fail_value("X", f"shape (N, {expected})", f"{features} features")


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


def numbers(name: str, values: Any, expected: str = "real numbers") -> np.ndarray:
    """Real numbers, however they are given, as a float32 (of halves too) or float64 array, shared where it can be."""
    array = _array(name, values, expected)
    if array.dtype.kind == "O":
        with suppress(TypeError, ValueError, OverflowError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        _checks.fail_type(name, expected, str(array.dtype))
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.asarray(array, np.float32 if narrow else np.float64)


def integers(name: str, values: Any) -> np.ndarray:
    """Whole numbers, however they are given, as an int64 array."""
    array = _array(name, values, "integers")
    objects = array.dtype.kind == "O" and all(isinstance(value, Integral) for value in array.flat)
    if array.dtype.kind not in "iu" and not objects:
        _checks.fail_type(name, "integers", str(array.dtype))
    for value in (array.min(), array.max()) if array.size else ():
        _checks.integer(name, value, -(2**63), 2**63 - 1)
    return array.astype(np.int64)


def _array(name: str, values: Any, expected: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        _checks.fail_value(name, expected, "parts of different shapes")


def shared(array: np.ndarray) -> Tensor:
    """A tensor in the memory of an array, where torch can have one there; nobody writes to it."""
    if not array.flags.aligned or min(array.strides, default=0) < 0:
        array = array.copy()
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Lent(array)))


class _Lent:
    """A read-only array in the words of one that is not, of which torch does not warn; it may be larger than memory."""

    def __init__(self, array: np.ndarray) -> None:
        described = array.__array_interface__
        self._owner, self.__array_interface__ = array, {**described, "data": (described["data"][0], False)}


def first_entry(batch: Any) -> Any:
    """The samples of a loader's batch, beside which may stand anything."""
    apart = isinstance(batch, list | tuple) and {getattr(entry, "ndim", 0) for entry in batch} == {1}
    if apart:  # a feature each, which `default_collate` makes of samples that are lists of numbers
        _checks.fail_value("X", "batches of shape (n, D)", f"{len(batch)} tensors of shape {tuple(batch[0].shape)}")
    several = isinstance(batch, list | tuple) and [getattr(entry, "ndim", 0) for entry in batch[:1]] == [2]
    return batch[0] if several else batch


def row(item: Any) -> np.ndarray:
    """The numbers (D,) of one item of a data set, beside which may stand anything."""
    if isinstance(item, list | tuple) and item and (np.ndim(item[0]) == 1 or isinstance(item[0], Mapping)):
        item = item[0]
    if isinstance(item, Mapping):
        _checks.fail_type("X", "samples of real numbers", f"a dict of {', '.join(map(str, item))}: give one of them")
    found = floating(item).cpu().numpy() if isinstance(item, Tensor) else numbers("X", item, "samples of real numbers")
    if found.ndim != 1:
        _checks.fail_value("X", "samples of shape (D,)", found.shape)
    return found


def of_piece(piece: Any) -> Tensor:
    """A copy of a piece as an iterable gives it, which may fill the same memory with the next one.

    Of a list or tuple it is the first entry, where a label of every sample stands beside it.
    """
    if isinstance(piece, list | tuple) and [getattr(entry, "ndim", 0) for entry in piece[:2]] in ([2], [2, 1]):
        piece = piece[0]
    if isinstance(piece, Tensor):
        return piece.detach().clone()
    if isinstance(piece, Mapping):
        _checks.fail_type("X", "pieces of real numbers", f"a dict of {', '.join(map(str, piece))}: give one of them")
    return torch.from_numpy(np.array(numbers("X", piece, "pieces of real numbers")))


def one_kind(piece: Tensor, first: Tensor | None) -> Tensor:
    """A piece as float32 or float64, with the features, dtype and device of the first one."""
    x = floating(piece)
    features = None if first is None else first.shape[1]
    if x.dim() != 2 or x.shape[1] == 0 or features not in (None, x.shape[1]):
        _checks.fail_value("X", f"pieces of shape (n, {features or 'D'})", tuple(x.shape))
    if first is not None and x.dtype != first.dtype:
        _checks.fail_type("X", f"pieces of one dtype, {first.dtype}", str(x.dtype))
    return x if first is None else x.to(first.device)


def tensor(
    value: Any, device: torch.device | None = None, dtype: torch.dtype = torch.float64, *, name: str = "a parameter"
) -> Tensor:
    """A parameter, however it was given, as a tensor; on its own device unless another is named."""
    if isinstance(value, Tensor):
        given = value.detach()
        if given.is_complex():
            _checks.fail_type(name, "real numbers", str(given.dtype))
    else:
        array = numbers(name, value) if dtype.is_floating_point else integers(name, value)
        given = torch.from_numpy(np.array(array))
    return given.to(given.device if device is None else device, dtype)


def dtype_of(value: Any) -> torch.dtype:
    """The torch dtype that stands for float32, and for float64 and all that is neither."""
    return torch.float32 if getattr(value, "dtype", None) in (torch.float32, np.float32) else torch.float64


def like(value: Tensor, model: Any) -> Any:
    """`value` as a tensor where `model` is one, or on a GPU, where a stream may have been; else as a NumPy array."""
    return value if isinstance(model, Tensor) or value.device.type != "cpu" else value.numpy()


def weights(sample_weight: Any, count: int, like: Tensor) -> Tensor | None:
    """(N,) weights with the dtype and device of the samples, or None."""
    if sample_weight is None:
        return None
    w = tensor(sample_weight, like.device, like.dtype, name="sample_weight")
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
    w = tensor(sample_weight, piece.device, name="sample_weight")
    part = w.expand(len(piece)) if w.dim() == 0 else w[first : first + len(piece)]
    _checks.shape("sample_weight", part, (len(piece),))
    return part
