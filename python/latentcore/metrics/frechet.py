"""How far two sets of samples are apart, by the Gaussians that fit them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors

# shapes: N and M samples, D features

_MOST = 1e140  # sums of squares of larger ones overflow, without a word from LAPACK


def frechet_distance(a: Any, b: Any) -> float:
    r"""Squared Fréchet distance of the normal distributions that fit two sets of samples.

    .. math::

        d^2 = \lVert \mu_a - \mu_b \rVert^2 + \mathrm{tr}\bigl(\Sigma_a + \Sigma_b - 2 (\Sigma_a \Sigma_b)^{1/2}\bigr)

    with means and sample covariances (divided by N - 1). Of features of an Inception network it is the FID. It falls
    with the number of samples, so that only distances of equally many are to be compared.

    The root is never taken of a matrix. With triangular factors :math:`\Sigma = R^T R` of the centred samples, the
    eigenvalues of :math:`\Sigma_a \Sigma_b` are the squared singular values of :math:`R_a R_b^T`, and the trace of the
    root is the sum of these values: nothing is squared, no eigenvalue is below 0, and covariances may be singular. All
    in float64.

    Args:
        a: Features of the first set, N >= 2. (N, D).
        b: Features of the second set, M >= 2. (M, D).

    Returns:
        The squared distance, at least 0.

    Raises:
        TypeError: The features are no real numbers.
        ValueError: A shape does not fit, or a number is not finite or too large to be squared.

    Example:
        >>> import torch
        >>> from latentcore import metrics
        >>> features = torch.randn(1000, 5)
        >>> distance = metrics.frechet_distance(features, features + 2)
        >>> round(distance, 6)
        20.0

    Reference:
        Dowson and Landau, "The Fréchet distance between multivariate normal distributions", J. Multivariate Analysis
        12(3), 1982.
        Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017.
    """
    first, second = _features("a", a), _features("b", b)
    if first.shape[1] != second.shape[1]:
        _errors.fail_value("b", f"shape (M, {first.shape[1]}), as a has features", tuple(second.shape))
    apart = (first.mean(0) - second.mean(0)).square().sum()
    factors = [_factor(features) for features in (first, second)]
    spread = sum(factor.square().sum() for factor in factors)
    common = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    return max(0.0, float(apart + spread - 2 * common))


def _factor(features: Tensor) -> Tensor:
    """R (K, D), K at most D, of which R^T R is the covariance."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    factor: Tensor = torch.linalg.qr(centred, mode="r").R
    return factor


def _features(name: str, value: Any) -> Tensor:
    """Checked, on the CPU, in float64."""
    array = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    if array.is_complex() or array.dtype == torch.bool:
        _errors.fail_type(name, "real numbers", str(array.dtype))
    if array.dim() != 2 or len(array) < 2 or not array.shape[1]:
        _errors.fail_value(name, "shape (N, D), N >= 2, D >= 1", tuple(array.shape))
    features = array.double()
    if not bool(features.isfinite().all()):
        _errors.fail_value(name, "finite numbers", "NaN or infinity")
    if (most := float(features.abs().max())) > _MOST:
        _errors.fail_value(name, f"numbers of at most {_MOST:g}", f"{most:g}")
    return features
