"""Mixtures in files: tensors and a word, never code."""

import os
from typing import Any

import torch
from latentcore.mixture._initialise import factor_shape
from latentcore.mixture.estimator import GaussianMixture

from latentcore import _checks
from latentcore._tensors import load_tensors, save_tensors

# shapes: K components, D features, C classes

_PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
_LABELS = ("classes_", "component_label_proba_")
_TYPE = "covariance_type"


def save_mixture(mixture: GaussianMixture, path: str | os.PathLike[str]) -> None:
    """Write a fitted mixture's parameters, and what its components stand for where it has learnt labels."""
    content: dict[str, Any] = {_TYPE: mixture.covariance_type}
    for name in (*_PARAMETERS, *_LABELS):
        if hasattr(mixture, name):
            content[name] = torch.as_tensor(getattr(mixture, name)).cpu()
    save_tensors(path, content)


def load_mixture(path: str | os.PathLike[str]) -> GaussianMixture:
    """Read what `save_mixture` wrote; the mixture predicts and samples as the saved one did, on tensors.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, holds code, or is not a mixture's.
    """
    content = load_tensors(path)
    _check(content, str(path))
    mixture = GaussianMixture(len(content["weights_"]), covariance_type=content[_TYPE])
    for name in (*_PARAMETERS, *_LABELS):
        if name in content:
            setattr(mixture, name, content[name])
    mixture.n_features_in_ = content["means_"].shape[1]
    return mixture


def _check(content: dict[str, Any], path: str) -> None:
    for name in (_TYPE, *_PARAMETERS):
        if name not in content:
            _checks.fail_value(path, f"a mixture's file with {_TYPE}, {', '.join(_PARAMETERS)}", f"none of {name!r}")
    _checks.one_of(f"{path}: {_TYPE}", content[_TYPE], ("full", "tied", "diag", "spherical"))
    for name in _PARAMETERS:
        _checks.floating(f"{path}: {name}", content[name])
        if not bool(content[name].isfinite().all()):
            _checks.fail_value(f"{path}: {name}", "finite numbers", "NaN or infinity")
    _checks.shape(f"{path}: means_", content["means_"], ("K", "D"))
    K, D = content["means_"].shape
    _checks.shape(f"{path}: weights_", content["weights_"], (K,))
    for name in _PARAMETERS[2:]:
        _checks.shape(f"{path}: {name}", content[name], factor_shape(content[_TYPE], K, D))
    if any(name in content for name in _LABELS):
        _check_labels(content, path, K)


def _check_labels(content: dict[str, Any], path: str, K: int) -> None:
    for name in _LABELS:
        _checks.tensor(f"{path}: {name}", content.get(name))
    _checks.shape(f"{path}: classes_", content["classes_"], ("C",))
    _checks.shape(f"{path}: component_label_proba_", content["component_label_proba_"], (K, len(content["classes_"])))
