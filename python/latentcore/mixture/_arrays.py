"""NumPy arrays and torch tensors in and out: the estimator computes on tensors and answers in the caller's kind."""

from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch import Tensor

from latentcore import _checks, _errors

LEAST_WEIGHT, MOST_WEIGHT = 1e-200, 1e200
POSSIBLE_WEIGHTS = f"numbers >= 0 of which the greatest is from {LEAST_WEIGHT} to {MOST_WEIGHT}"

_ARRAYS = ("shape", "__array__", "__array_interface__", "__dlpack__", "__dataframe__")  # what only arrays have


def samples(estimator: Any, X: Any, *, reset: bool, missing: bool = False) -> Tensor:
    """(N, D) float32 or float64 tensor of finite numbers; arrays share memory where they can.

    With `reset`, the estimator learns the number of features, as in scikit-learn; otherwise X must have that number.
    With `missing`, NaN may stand for a missing value.
    """
    if isinstance(X, Tensor):
        return _samples_of_tensor(estimator, X, reset, missing)
    array = validate_data(
        estimator,
        array_like("X", X, "an array or tensor (N, D) of real numbers"),
        reset=reset,
        dtype=[np.float64, np.float32],
        ensure_min_samples=2 if reset else 1,
        ensure_all_finite="allow-nan" if missing else True,
    )
    if not reset:  # scikit-learn does not look where parameters were set by hand
        check_features(estimator, array.shape[1], reset=False)
    return shared(array)


def array_like(name: str, values: Any, expected: str) -> Any:
    """`values` where an array can be made of them; of lists and words it is made here, and of nothing else at all."""
    words = isinstance(values, np.ndarray) and values.dtype.kind in "US"
    if not words and any(hasattr(values, known) for known in _ARRAYS):  # scikit-learn has its own words for objects
        return values
    if not words and (not isinstance(values, Sequence) or isinstance(values, str | bytes)):
        _errors.fail_type(name, expected, type(values).__name__)
    array = _array(name, values, expected)
    if array.dtype.kind not in "OUS":
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        got = str(array.dtype) if words else f"a {type(values).__name__} of {type(values[0]).__name__}"
        _errors.fail_type(name, expected, got)


def _samples_of_tensor(estimator: Any, X: Tensor, reset: bool, missing: bool) -> Tensor:
    check_dense("X", X)
    if X.dim() != 2:
        _errors.fail_value("X", "shape (N, D)", tuple(X.shape))
    if len(X) < (2 if reset else 1) or X.shape[1] == 0:
        _errors.fail_value("X", f"at least {2 if reset else 1} samples and 1 feature", f"shape {tuple(X.shape)}")
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
        _errors.fail_value("X", f"shape (N, {expected})", f"{features} features")


def check_dense(name: str, value: Tensor) -> None:
    """A tensor has its numbers in memory, one after the other."""
    if value.is_nested or value.is_quantized or value.layout != torch.strided or value.is_meta:
        kind = "a nested tensor" if value.is_nested else f"{value.layout}, {value.dtype}, on the device {value.device}"
        _errors.fail_type(name, "a dense tensor of numbers", kind)


def floating(x: Tensor) -> Tensor:
    """Samples as float32 or float64: half types as float32, whole numbers as float64."""
    check_dense("X", x)
    if x.is_complex():
        _errors.fail_type("X", "real numbers", str(x.dtype))
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
        _errors.fail_value("X", "finite numbers", f"{'infinity' if missing else 'NaN or infinity'} in sample {row}")


def numbers(name: str, values: Any, expected: str = "real numbers") -> np.ndarray:
    """Real numbers, however they are given, as a float32 (of halves too) or float64 array, shared where it can be."""
    array = _array(name, values, expected)
    if array.dtype.kind == "O":
        with suppress(TypeError, ValueError, OverflowError, RuntimeError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        _errors.fail_type(name, expected, str(array.dtype))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what is beyond float64 is infinity, which those say who mind
            return array.astype(np.float64)
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.asarray(array, np.float32 if narrow else np.float64)


def integers(name: str, values: Any) -> np.ndarray:
    """Whole numbers, however they are given, as an int64 array."""
    array = _array(name, values, "integers")
    objects = array.dtype.kind == "O" and all(isinstance(value, Integral) for value in array.flat)
    if array.dtype.kind not in "iu" and not objects:
        _errors.fail_type(name, "integers", str(array.dtype))
    for value in (array.min(), array.max()) if array.size else ():
        _errors.integer(name, value, -(2**63), 2**63 - 1)
    return array.astype(np.int64)


def _array(name: str, values: Any, expected: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        _errors.fail_value(name, expected, "parts of different shapes")
    except (TypeError, RuntimeError):  # NumPy does not take every tensor in a list
        plain = _without_tensors(name, values)
    try:
        return np.asarray(plain)
    except (TypeError, ValueError, RuntimeError):
        _errors.fail_type(name, expected, type(values).__name__)


def _without_tensors(name: str, values: Any) -> Any:
    """Arrays instead of the tensors in lists."""
    if isinstance(values, Tensor):
        check_dense(name, values)
        return values.detach().cpu().to(torch.float32 if values.dtype == torch.bfloat16 else values.dtype).numpy()
    return [_without_tensors(name, value) for value in values] if isinstance(values, list | tuple) else values


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


def one_kind(piece: Tensor, first: Tensor | None) -> Tensor:
    """A piece as float32 or float64, with the features, dtype and device of the first one."""
    x = floating(piece)
    features = None if first is None else first.shape[1]
    if x.dim() != 2 or x.shape[1] == 0 or features not in (None, x.shape[1]):
        _errors.fail_value("X", f"pieces of shape (n, {features or 'D'})", tuple(x.shape))
    if first is not None and x.dtype != first.dtype:
        _errors.fail_type("X", f"pieces of one dtype, {first.dtype}", str(x.dtype))
    return x if first is None else x.to(first.device)


def tensor(
    value: Any, device: torch.device | None = None, dtype: torch.dtype = torch.float64, *, name: str = "a parameter"
) -> Tensor:
    """A parameter, however it was given, as a tensor; on its own device unless another is named."""
    if isinstance(value, Tensor):
        check_dense(name, value)
        given = value.detach()
        if given.is_complex():
            _errors.fail_type(name, "real numbers", str(given.dtype))
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
    """(N,) weights with the dtype and device of the samples, or float64 where that has no room for them; or None."""
    if sample_weight is None:
        return None
    w = tensor(sample_weight, like.device, name="sample_weight")
    if w.dim() == 0:
        w = w.expand(count)
    _checks.shape("sample_weight", w, (count,))
    if not bool((w.isfinite() & (w >= 0)).all()) or not bool((w > 0).any()):
        _errors.fail_value("sample_weight", "finite numbers >= 0, not all zero", f"{w.min():g} ... {w.max():g}")
    if not LEAST_WEIGHT <= float(w.max()) <= MOST_WEIGHT:
        _errors.fail_value("sample_weight", POSSIBLE_WEIGHTS, f"{w.max():g}")
    return with_room(w, like.dtype).contiguous()


def with_room(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """float64 weights in a dtype, in which what they are multiplied with is far from its ends; else as they are."""
    ordinary = bool(((weight == 0) | ((weight >= 2.0**-40) & (weight <= 2.0**40))).all())
    return weight.to(dtype) if ordinary else weight


def in_unit(weight: Tensor, greatest: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Weights in a dtype as multiples of a power of two about the greatest of them, and that power, float64.

    A weight that is too small beside the greatest is the least number > 0 of the dtype.
    """
    greatest = greatest.double()
    # a power of two changes no digit; that of a number is the quotient of the number and its mantissa
    unit = torch.where(greatest > 0, greatest / torch.frexp(greatest).mantissa, 1)
    scaled = (weight.double() / unit).clamp_min(torch.finfo(dtype).tiny)
    return torch.where(weight > 0, scaled, 0).to(dtype), unit


def weights_of_piece(sample_weight: Any, first: int, piece: Tensor) -> Tensor:
    """The (n,) weights, float64, of a piece of samples of which the first has the number `first`."""
    if sample_weight is None:
        return torch.ones(len(piece), dtype=torch.float64, device=piece.device)
    w = tensor(sample_weight, piece.device, name="sample_weight")
    part = w.expand(len(piece)) if w.dim() == 0 else w[first : first + len(piece)]
    _checks.shape("sample_weight", part, (len(piece),))
    return part
