"""Samples in which there is nothing to convert, to warn of or to refuse: to ask takes longer than to answer for one."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from latentcore.mixture import _arrays

_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))


def samples(estimator: Any, X: Any) -> Tensor | None:
    """(N, D) finite numbers of an array for a fitted estimator; None where scikit-learn should look at X, or others."""
    if type(X) is not np.ndarray or X.dtype not in _DTYPES or X.ndim != 2 or not len(X):
        return None
    if X.shape[1] != getattr(estimator, "n_features_in_", None) or hasattr(estimator, "feature_names_in_"):
        return None
    x = _arrays.shared(X)
    return x if math.isfinite(x.sum().item()) else None
