"""A mixture in a file: a dict of tensors, checked when it is read."""

import os
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._tensors import load_tensors, save_tensors
from latentcore.mixture import _arrays
from latentcore.mixture._predictions import DECODING
from latentcore.mixture.estimator import GaussianMixture
from latentcore.mixture.labels import bad_row, check_decoding
from latentcore.reference import COVARIANCE_TYPES, MixtureParameters, covariance_shape, covariances_of

# shapes: K components, D features, C classes

_REQUIRED = ("covariance_type", "weights", "means", "precisions_cholesky")
_LABELS = ("classes", "component_label_proba")


@torch_as_usual()
def save_mixture(path: str | os.PathLike[str], model: GaussianMixture) -> None:
    """Write a fitted mixture, with its decoding of labels where it has one.

    The file is `torch.save` of a dict of tensors: ``covariance_type`` (0 full, 1 tied, 2 diag, 3 spherical),
    ``weights`` (K,), ``means`` (K, D), ``precisions_cholesky`` and, together, ``classes`` (C,) and
    ``component_label_proba`` (K, C). The numbers are float32 where the means are and float32 has all of them, else
    float64: what is read predicts the same.

    Args:
        path: The file; replaced as a whole, or left as it was where writing fails.
        model: A fitted mixture.

    Raises:
        sklearn.exceptions.NotFittedError: The mixture is not fitted.
        TypeError: ``model`` is no `GaussianMixture`, or an attribute that was set by hand does not hold numbers.
        ValueError: Such attributes are no mixture's.
        OSError: The file cannot be written.
    """
    if not isinstance(model, GaussianMixture):
        _errors.fail_type("model", "a GaussianMixture", type(model).__name__)
    content = _content_of(model)
    _mixture_of(_Content("model", content))  # what could not be read is not written
    save_tensors(path, content)


def _content_of(model: GaussianMixture) -> dict[str, Tensor]:
    weights, means, _, factors = model._parameters()
    numbers, others = {"weights": weights, "means": means, "precisions_cholesky": factors}, {}
    there = [name for name in DECODING if hasattr(model, name)]
    if len(there) == 1:
        missing = next(name for name in DECODING if name not in there)
        _errors.fail_value(missing, f"to be set where {there[0]} is", "none")
    if there:
        others["classes"], numbers["component_label_proba"] = check_decoding(
            model.classes_, model.component_label_proba_, len(weights)
        )
    narrow = _arrays.dtype_of(model.means_) == torch.float32 and all(map(_has_float32, numbers.values()))
    content = {name: value.to(torch.float32 if narrow else torch.float64) for name, value in numbers.items()}
    content |= {"covariance_type": torch.tensor(COVARIANCE_TYPES.index(model.covariance_type), dtype=torch.uint8)}
    return {name: value.cpu().contiguous() for name, value in (content | others).items()}


def _has_float32(value: Tensor) -> bool:
    """Whether float32 has all these numbers."""
    return torch.equal(value.float().double(), value)


@torch_as_usual()
def load_mixture(path: str | os.PathLike[str]) -> GaussianMixture:
    """Read a mixture that `save_mixture` wrote; nothing in the file is ever executed.

    Args:
        path: The file.

    Returns:
        A fitted mixture with NumPy arrays, ready to predict, score and sample.

    Raises:
        ValueError: The file is not a mixture's, is cut short, or holds values that are no mixture.
        OSError: The file cannot be read.

    Example:
        >>> import numpy as np, tempfile
        >>> model = GaussianMixture(2, random_state=0).fit(np.arange(12.0).reshape(6, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_mixture(f"{folder}/mixture.pt", model)
        ...     load_mixture(f"{folder}/mixture.pt").means_.shape
        (2, 2)
    """
    return _mixture_of(_Content(os.fspath(path), load_tensors(path)))


def _mixture_of(content: "_Content") -> GaussianMixture:
    kind = content.kind
    weights, means = content.numbers("weights", ("K",)), content.numbers("means", ("K", "D"))
    K, D = means.shape
    factors = content.numbers("precisions_cholesky", covariance_shape(K, D, kind))
    diagonal = factors.diagonal(dim1=-2, dim2=-1) if kind in ("full", "tied") else factors
    content.expect(len(weights) == K, "weights", f"shape ({K},)", tuple(weights.shape))
    content.expect(content.sums_to_one(weights), "weights", "numbers >= 0 that sum to 1", weights.tolist())
    content.expect(bool((diagonal > 0).all()), "precisions_cholesky", "a positive diagonal", float(diagonal.min()))
    if kind in ("full", "tied"):
        content.expect(not bool(factors.tril(-1).any()), "precisions_cholesky", "0 below the diagonal", "others")
    model = GaussianMixture(K, covariance_type=kind)
    model.n_features_in_ = D
    wide = factors.double()
    parameters = MixtureParameters(weights.double(), means.double(), covariances_of(wide, kind), wide)
    model._set_parameters(parameters, None, means.dtype)
    if content.has_labels:
        classes = content.integers("classes", ("C",))
        table = content.numbers("component_label_proba", (K, len(classes)))
        different = int(classes.min()) >= 0 and len(classes.unique()) == len(classes)
        content.expect(different, "classes", "different class numbers >= 0", classes.tolist())
        content.expect(bad_row(table) is None, "component_label_proba", "rows >= 0 that sum to 1", "others")
        model.classes_, model.component_label_proba_ = classes.numpy(), table.numpy()
    return model


class _Content:
    """The dict of tensors in a file; every complaint names the file.

    Args:
        source: The file.
        content: The dict, not yet checked.
    """

    def __init__(self, source: str, content: Mapping[str, Any]) -> None:
        self._source, self._tensors = source, content
        self._check_tensors()
        self.has_labels = set(_LABELS) <= set(content)
        self.kind = COVARIANCE_TYPES[self._covariance_type()]

    def _check_tensors(self) -> None:
        keys = set(self._tensors)
        if keys not in (set(_REQUIRED), {*_REQUIRED, *_LABELS}):
            self.fail("the content", f"a dict with {', '.join(_REQUIRED)} (and {', '.join(_LABELS)})", sorted(keys))
        for name, value in self._tensors.items():
            if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
                self.fail(name, "a dense tensor", type(value).__name__)

    def fail(self, name: str, expected: str, got: object) -> NoReturn:
        raise ValueError(f"{self._source}: {name}: expected {expected}, got {got}")

    def expect(self, holds: bool, name: str, expected: str, got: object) -> None:
        if not holds:
            self.fail(name, expected, got)

    def numbers(self, name: str, shape: tuple[int | str, ...]) -> Tensor:
        value: Tensor = self._tensors[name]
        dtype = self._tensors["means"].dtype
        self.expect(dtype in (torch.float32, torch.float64), "means", "float32 or float64", dtype)
        self.expect(value.dtype == dtype, name, f"the dtype of means, {dtype}", value.dtype)
        self._expect_shape(name, value, shape)
        self.expect(bool(value.isfinite().all()), name, "finite numbers", "NaN or infinity")
        return value

    def integers(self, name: str, shape: tuple[int | str, ...]) -> Tensor:
        value: Tensor = self._tensors[name]
        self.expect(value.dtype == torch.int64, name, "int64", value.dtype)
        self._expect_shape(name, value, shape)
        return value

    def sums_to_one(self, probabilities: Tensor) -> bool:
        return bool((probabilities >= 0).all()) and bool(((probabilities.double().sum(-1) - 1).abs() < 1e-4).all())

    def _expect_shape(self, name: str, value: Tensor, shape: tuple[int | str, ...]) -> None:
        sizes: tuple[Any, ...] = tuple(value.shape)
        fits = len(sizes) == len(shape) and all(
            have == want or (isinstance(want, str) and have > 0) for have, want in zip(sizes, shape, strict=True)
        )
        self.expect(fits, name, f"shape ({', '.join(map(str, shape))})", sizes)

    def _covariance_type(self) -> int:
        value = self._tensors["covariance_type"]
        fits = value.dtype == torch.uint8 and value.dim() == 0 and int(value) < len(COVARIANCE_TYPES)
        self.expect(fits, "covariance_type", "a uint8 number in 0 ... 3", value)
        return int(value)
