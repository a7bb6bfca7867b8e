"""Where EM starts: scikit-learn's four ways to draw responsibilities, and parameters that the user gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans, kmeans_plusplus
from torch import Tensor

from latentcore import _checks
from latentcore.mixture import _arrays
from latentcore.mixture._em import Options, m_step
from latentcore.ops import gmm_m_step
from latentcore.reference import MixtureParameters, MixtureStatistics, centred_moments, covariance_shape, covariances_of


@dataclass(frozen=True)
class Given:
    """What the user gave of a start; None is estimated."""

    weights: Tensor | None
    means: Tensor | None
    precisions: Tensor | None

    @classmethod
    def checked(cls, estimator: Any, device: torch.device) -> "Given":
        """`weights_init`, `means_init` and `precisions_init` of the estimator, checked."""
        K, D = estimator.n_components, estimator.n_features_in_
        precisions_shape = covariance_shape(K, D, estimator.covariance_type)
        given = cls(
            _given("weights_init", estimator.weights_init, (K,), device),
            _given("means_init", estimator.means_init, (K, D), device),
            _given("precisions_init", estimator.precisions_init, precisions_shape, device),
        )
        if given.weights is not None:
            _check_weights(given.weights)
        if given.precisions is not None:
            _check_positive_definite(given.precisions, estimator.covariance_type)
        return given


def _given(name: str, value: Any, shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    if value is None:
        return None
    given = _arrays.tensor(value, device)
    _checks.shape(name, given, shape)
    if not bool(given.isfinite().all()):
        _checks.fail_value(name, "finite numbers", "NaN or infinity")
    return given


def _check_weights(weights: Tensor) -> None:
    # 1e-6: weights may have been normalised in float32
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-6:
        _checks.fail_value("weights_init", "numbers >= 0 that sum to 1", weights.tolist())


def _check_positive_definite(precisions: Tensor, covariance_type: str) -> None:
    if covariance_type in ("diag", "spherical"):
        if bool((precisions <= 0).any()):
            _checks.fail_value("precisions_init", "positive numbers", f"{float(precisions.min()):g}")
    elif not _symmetric(precisions) or bool(torch.linalg.cholesky_ex(precisions, upper=True).info.any()):
        least = float(torch.linalg.eigvalsh((precisions + precisions.mT) / 2).min())
        _checks.fail_value(
            "precisions_init",
            "symmetric, positive definite matrices",
            f"{'a symmetric' if _symmetric(precisions) else 'an asymmetric'} one, least eigenvalue {least:g}",
        )


def _symmetric(matrices: Tensor) -> bool:
    """Up to rounding, in the scale of the matrices themselves."""
    return bool((matrices - matrices.mT).abs().max() <= 1e-6 * matrices.abs().max())


def start(
    x: Tensor,
    sample_weight: Tensor | None,
    given: Given,
    n_components: int,
    init_params: str,
    options: Options,
    random: np.random.RandomState,
) -> MixtureParameters:
    """The parameters before the first iteration, without a dimension for restarts."""
    weights, means, precisions = given.weights, given.means, given.precisions
    if weights is not None and means is not None and precisions is not None:
        return MixtureParameters(weights, means, *_from_precisions(precisions, options.covariance_type))
    resp = _responsibilities(x, sample_weight, n_components, init_params, random)
    statistics, centres = _statistics(x.double(), resp, options.covariance_type)
    if precisions is None:
        estimated = m_step(statistics, centres, options.covariance_type, reg_covar=options.reg_covar)
        matrices = estimated[2:]
    else:  # the estimated covariances are not used: they may be singular
        estimated = gmm_m_step(statistics, centres, options.covariance_type)
        matrices = _from_precisions(precisions, options.covariance_type)
    return MixtureParameters(
        estimated.weights if weights is None else weights, estimated.means if means is None else means, *matrices
    )


def _responsibilities(
    x: Tensor, sample_weight: Tensor | None, n_components: int, init_params: str, random: np.random.RandomState
) -> Tensor:
    """(N, K) in float64, times the sample weights; the draws are scikit-learn's for the same random state."""
    array = x.cpu().numpy()
    weight = None if sample_weight is None else sample_weight.double().cpu().numpy()
    resp = np.zeros((len(array), n_components))
    if init_params == "kmeans":
        clusters = KMeans(n_components, n_init=1, random_state=random).fit(array, sample_weight=weight).labels_
        resp[np.arange(len(array)), clusters] = 1
    elif init_params == "random":
        resp = random.uniform(size=resp.shape)
        resp /= resp.sum(axis=1, keepdims=True)
    else:
        if init_params == "random_from_data":
            probabilities = None if weight is None else weight / weight.sum()
            seeds = random.choice(len(array), size=n_components, replace=False, p=probabilities)
        else:
            _, seeds = kmeans_plusplus(array, n_components, sample_weight=weight, random_state=random)
        resp[seeds, np.arange(n_components)] = 1
    if weight is not None:
        resp *= weight[:, None]
    return torch.from_numpy(resp).to(x.device)


def _statistics(x: Tensor, resp: Tensor, covariance_type: str) -> tuple[MixtureStatistics, Tensor]:
    """Statistics of given responsibilities, and the means about which they are centred."""
    n_k = resp.sum(0)
    # a component that got no sample starts at the mean of all
    share = torch.where(n_k > 0, resp / n_k.clamp_min(1e-300), 1 / len(x))
    centres = share.mT @ x
    first, second = centred_moments(x, resp, centres, covariance_type)
    return MixtureStatistics(n_k.sum(), n_k, first, second), centres


def _from_precisions(precisions: Tensor, covariance_type: str) -> tuple[Tensor, Tensor]:
    """Covariances and the upper triangular U with precision = U Uᵀ, from the Cholesky factor of the reversed matrix."""
    if covariance_type in ("diag", "spherical"):
        factors = precisions.sqrt()
    else:
        factors = torch.linalg.cholesky(precisions.flip(-2, -1)).flip(-2, -1).contiguous()
    return covariances_of(factors, covariance_type), factors
