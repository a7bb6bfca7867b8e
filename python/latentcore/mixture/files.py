"""A mixture in a file: a dict of tensors, checked when it is read."""

import os
from typing import Any, NoReturn

import torch
from torch import Tensor

from latentcore._ambient import torch_as_usual
from latentcore._tensors import load_tensors, save_tensors
from latentcore.mixture import _arrays
from latentcore.mixture.estimator import GaussianMixture
from latentcore.reference import COVARIANCE_TYPES, MixtureParameters, covariance_shape, covariances_of

# shapes: K components, D features, C classes

_REQUIRED = ("covariance_type", "weights", "means", "precisions_cholesky")
_LABELS = ("classes", "component_label_proba")


@torch_as_usual()
def save_mixture(path: str | os.PathLike[str], model: GaussianMixture) -> None:
    """Write a fitted mixture, with its decoding of labels where it has one.

    The file is `torch.save` of a dict of tensors: ``covariance_type`` (0 full, 1 tied, 2 diag, 3 spherical),
    ``weights`` (K,), ``means`` (K, D), ``precisions_cholesky`` and, together, ``classes`` (C,) and
    ``component_label_proba`` (K, C).

    Args:
        path: The file; replaced as a whole, or left as it was where writing fails.
        model: A fitted mixture.

    Raises:
        sklearn.exceptions.NotFittedError: The mixture is not fitted.
        OSError: The file cannot be written.
    """
    weights, means, _, factors = model._parameters()
    dtype = _arrays.dtype_of(model.means_)
    content = {
        "covariance_type": torch.tensor(COVARIANCE_TYPES.index(model.covariance_type), dtype=torch.uint8),
        "weights": weights.to(dtype),
        "means": means.to(dtype),
        "precisions_cholesky": factors.to(dtype),
    }
    if hasattr(model, "classes_"):
        content["classes"] = _arrays.tensor(model.classes_, dtype=torch.int64)
        content["component_label_proba"] = _arrays.tensor(model.component_label_proba_, dtype=dtype)
    save_tensors(path, {name: value.cpu().contiguous() for name, value in content.items()})


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
    content = _Content(path)
    kind = content.kind
    weights, means = content.numbers("weights", ("K",)), content.numbers("means", ("K", "D"))
    K, D = means.shape
    factors = content.numbers("precisions_cholesky", covariance_shape(K, D, kind))
    diagonal = factors.diagonal(dim1=-2, dim2=-1) if kind in ("full", "tied") else factors
    content.expect(len(weights) == K, "weights", f"shape ({K},)", tuple(weights.shape))
    content.expect(content.sums_to_one(weights), "weights", "numbers >= 0 that sum to 1", weights.tolist())
    content.expect(bool((diagonal > 0).all()), "precisions_cholesky", "a positive diagonal", float(diagonal.min()))
    model = GaussianMixture(K, covariance_type=kind)
    model.n_features_in_ = D
    wide = factors.double()
    parameters = MixtureParameters(weights.double(), means.double(), covariances_of(wide, kind), wide)
    model._set_parameters(parameters, None, means.dtype)
    if content.has_labels:
        classes = content.integers("classes", ("C",))
        table = content.numbers("component_label_proba", (K, len(classes)))
        content.expect(
            bool((classes.diff() > 0).all()) and int(classes[0]) >= 0,
            "classes",
            "different class numbers >= 0 in ascending order",
            classes.tolist(),
        )
        content.expect(content.sums_to_one(table), "component_label_proba", "rows >= 0 that sum to 1", "others")
        model.classes_, model.component_label_proba_ = classes.numpy(), table.numpy()
    return model


class _Content:
    """The dict of tensors in a file; every complaint names the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._tensors = self._read()
        self.has_labels = set(_LABELS) <= set(self._tensors)
        self.kind = COVARIANCE_TYPES[self._covariance_type()]

    def _read(self) -> dict[str, Tensor]:
        content = load_tensors(self._path)
        keys = set(content)
        if keys not in (set(_REQUIRED), {*_REQUIRED, *_LABELS}):
            self.fail("the content", f"a dict with {', '.join(_REQUIRED)} (and {', '.join(_LABELS)})", sorted(keys))
        for name, value in content.items():
            if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
                self.fail(name, "a dense tensor", type(value).__name__)
        return content

    def fail(self, name: str, expected: str, got: object) -> NoReturn:
        raise ValueError(f"{self._path}: {name}: expected {expected}, got {got}")

    def expect(self, holds: bool, name: str, expected: str, got: object) -> None:
        if not holds:
            self.fail(name, expected, got)

    def numbers(self, name: str, shape: tuple[int | str, ...]) -> Tensor:
        value = self._tensors[name]
        dtype = self._tensors["means"].dtype
        self.expect(dtype in (torch.float32, torch.float64), "means", "float32 or float64", dtype)
        self.expect(value.dtype == dtype, name, f"the dtype of means, {dtype}", value.dtype)
        self._expect_shape(name, value, shape)
        self.expect(bool(value.isfinite().all()), name, "finite numbers", "NaN or infinity")
        return value

    def integers(self, name: str, shape: tuple[int | str, ...]) -> Tensor:
        value = self._tensors[name]
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
