"""Where EM starts: scikit-learn's four ways to draw responsibilities, and parameters that the user gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks
from latentcore.mixture import _arrays, _kmeans
from latentcore.mixture._em import Options, m_step
from latentcore.ops import gmm_m_step, gmm_statistics
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


def starts(
    x: Tensor,
    sample_weight: Tensor | None,
    given: Given,
    n_components: int,
    init_params: str,
    n_init: int,
    options: Options,
    random: np.random.RandomState,
) -> MixtureParameters:
    """The parameters before the first iteration of every restart, which is the dimension in front."""
    weights, means, precisions = given.weights, given.means, given.precisions
    kind = options.covariance_type
    if weights is not None and means is not None and precisions is not None:
        estimated = MixtureParameters(weights, means, *_from_precisions(precisions, kind))
        return MixtureParameters(*(value.expand(n_init, *value.shape) for value in estimated))
    statistics, centres = _statistics(x, sample_weight, n_components, init_params, n_init, kind, random)
    if precisions is None:
        estimated = m_step(statistics, centres, kind, reg_covar=options.reg_covar, estimate=options.m_step)
    else:  # the estimated covariances are not used: they may be singular
        covariances, factors = (value.expand(n_init, *value.shape) for value in _from_precisions(precisions, kind))
        estimated = gmm_m_step(statistics, centres, kind)._replace(covariances=covariances, precisions_cholesky=factors)
    if weights is not None:
        estimated = estimated._replace(weights=weights.expand(n_init, -1))
    return estimated if means is None else estimated._replace(means=means.expand(n_init, -1, -1))


def _statistics(
    x: Tensor,
    sample_weight: Tensor | None,
    n_components: int,
    init_params: str,
    n_init: int,
    covariance_type: str,
    random: np.random.RandomState,
) -> tuple[MixtureStatistics, Tensor]:
    """Statistics of every restart, and the means about which they are centred; scikit-learn's draws."""
    if init_params == "kmeans":
        seeds = torch.stack([_kmeans.seed(x, sample_weight, n_components, random) for _ in range(n_init)])
        centres, inertia = _kmeans.cluster(x, sample_weight, x[seeds])
        return _hard_statistics(x, sample_weight, centres, inertia, covariance_type), centres
    draw = _random if init_params == "random" else _seeds
    parts = [draw(x, sample_weight, n_components, init_params, random) for _ in range(n_init)]
    found = [_soft_statistics(*part, covariance_type) for part in parts]
    statistics = MixtureStatistics(*map(torch.stack, zip(*(part for part, _ in found), strict=True)))
    return statistics, torch.stack([means for _, means in found])


def _hard_statistics(
    x: Tensor, sample_weight: Tensor | None, centres: Tensor, inertia: Tensor, covariance_type: str
) -> MixtureStatistics:
    """Statistics of samples that belong to their nearest centre: an E-step whose variance is next to nothing."""
    restarts, K, D = centres.shape
    total = float(len(x) if sample_weight is None else sample_weight.double().sum())
    spread = (inertia / (total * D)).sqrt().to(x.dtype)
    precision = torch.where(spread > 0, 1e9 / spread, 1e9)
    shape = covariance_shape(K, D, covariance_type)
    unit = x.new_ones(shape)
    if covariance_type in ("full", "tied"):
        unit = torch.eye(D, dtype=x.dtype, device=x.device).expand(shape)
    return gmm_statistics(
        x.expand(restarts, *x.shape),
        x.new_full((restarts, K), 1 / K),
        centres,
        precision.view(-1, *[1] * len(shape)) * unit,
        covariance_type,
        sample_weight=None if sample_weight is None else sample_weight.expand(restarts, -1),
    )


def _random(
    x: Tensor, sample_weight: Tensor | None, n_components: int, _: str, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """The samples and their responsibilities (N, K), times the sample weights."""
    resp = random.uniform(size=(len(x), n_components))
    resp /= resp.sum(axis=1, keepdims=True)
    drawn = torch.from_numpy(resp).to(x.device)
    return x, drawn if sample_weight is None else drawn.mul_(sample_weight.unsqueeze(-1))


def _seeds(
    x: Tensor, sample_weight: Tensor | None, n_components: int, init_params: str, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """K samples, each responsible for a component, times its weight."""
    if init_params == "k-means++":
        seeds = _kmeans.seed(x, sample_weight, n_components, random)
    else:
        weight = None if sample_weight is None else sample_weight.double().cpu().numpy()
        probabilities = None if weight is None else weight / weight.sum()
        drawn = random.choice(len(x), size=n_components, replace=False, p=probabilities)
        seeds = torch.from_numpy(drawn).to(x.device)
    weights = x.new_ones(n_components) if sample_weight is None else sample_weight[seeds]
    return x[seeds], torch.diag(weights.double())


def _soft_statistics(x: Tensor, resp: Tensor, covariance_type: str) -> tuple[MixtureStatistics, Tensor]:
    """Statistics of given responsibilities, and the means about which they are centred."""
    x, n_k = x.double(), resp.sum(0)
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
