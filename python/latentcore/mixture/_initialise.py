"""Where EM starts: scikit-learn's four ways to draw responsibilities, and parameters that the user gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.mixture import _arrays, _kmeans
from latentcore.mixture._batch import Complete
from latentcore.mixture._em import Options, m_step
from latentcore.mixture._shard import Shard
from latentcore.mixture.clamped import class_shards
from latentcore.ops import gmm_m_step
from latentcore.reference import MixtureParameters, MixtureStatistics, centred_moments, covariance_shape, covariances_of

_SEEDS = ("k-means++", "random_from_data")
# A variance, in parts of the samples', with which each belongs to its nearest centre only; the squares of whitened
# distances stay within float32.
_HARD = 1e-18


@dataclass(frozen=True)
class Given:
    """What the user gave of a start; None is estimated."""

    weights: Tensor | None
    means: Tensor | None
    precisions: Tensor | None

    @classmethod
    def checked(cls, estimator: Any, n_components: int, device: torch.device) -> "Given":
        """`weights_init`, `means_init` and `precisions_init` of the estimator, checked."""
        K, D = n_components, estimator.n_features_in_
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
    given = _arrays.tensor(value, device, name=name)
    _checks.shape(name, given, shape)
    if not bool(given.isfinite().all()):
        _errors.fail_value(name, "finite numbers", "NaN or infinity")
    return given


def _check_weights(weights: Tensor) -> None:
    # 1e-6: weights may have been normalised in float32
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-6:
        _errors.fail_value("weights_init", "numbers >= 0 that sum to 1", weights.tolist())


def _check_positive_definite(precisions: Tensor, covariance_type: str) -> None:
    if covariance_type in ("diag", "spherical"):
        if bool((precisions <= 0).any()):
            _errors.fail_value("precisions_init", "positive numbers", f"{float(precisions.min()):g}")
    elif not _symmetric(precisions) or bool(torch.linalg.cholesky_ex(precisions, upper=True).info.any()):
        least = float(torch.linalg.eigvalsh((precisions + precisions.mT) / 2).min())
        _errors.fail_value(
            "precisions_init",
            "symmetric, positive definite matrices",
            f"{'a symmetric' if _symmetric(precisions) else 'an asymmetric'} one, least eigenvalue {least:g}",
        )


def _symmetric(matrices: Tensor) -> bool:
    """Up to rounding, in the scale of the matrices themselves."""
    return bool((matrices - matrices.mT).abs().max() <= 1e-6 * matrices.abs().max())


def starts(
    shard: Shard,
    shares: Tensor | None,
    given: Given,
    n_components: int | Sequence[int],
    init_params: str,
    n_init: int,
    options: Options,
    random: np.random.RandomState,
) -> MixtureParameters:
    """The parameters before the first iteration of every restart, which is the dimension in front.

    Several numbers of components are those of the classes: each class starts from samples near its labelled ones.
    `shares`: which part of each feature's values was known, (D,), where gaps were filled.
    """
    weights, means, precisions = given.weights, given.means, given.precisions
    kind = options.covariance_type
    if weights is not None and means is not None and precisions is not None:
        estimated = MixtureParameters(weights, means, *_from_precisions(precisions, kind))
        return MixtureParameters(*(value.expand(n_init, *value.shape) for value in estimated))
    if isinstance(n_components, Sequence):
        parts = zip(class_shards(shard, len(n_components)), n_components, strict=True)
        found = [_statistics(part, count, init_params, n_init, kind, random) for part, count in parts]
        statistics, centres = _joined([part for part, _ in found], kind), torch.cat([means for _, means in found], 1)
    else:
        statistics, centres = _statistics(shard, int(n_components), init_params, n_init, kind, random)
    if shares is not None:
        statistics = statistics._replace(second=_spread_of_known(statistics.second, shares, kind))
    # seeds count once each
    mean_weight = None if init_params in _SEEDS else shard.mean_weight
    if precisions is None:
        reg_covar = options.reg_covar
        if init_params in _SEEDS and reg_covar == 0:  # they have no variance, so samples belong to the nearest of them
            reg_covar = _HARD * (_kmeans.mean_variance(shard) or 1.0)
        estimate = partial(m_step, estimate=options.m_step)
        estimated = estimate(statistics, centres, kind, reg_covar=reg_covar, mean_weight=mean_weight)
    else:  # the estimated covariances are not used: they may be singular
        covariances, factors = (value.expand(n_init, *value.shape) for value in _from_precisions(precisions, kind))
        estimated = gmm_m_step(statistics, centres, kind, mean_weight=mean_weight)
        estimated = estimated._replace(covariances=covariances, precisions_cholesky=factors)
    if weights is not None:
        estimated = estimated._replace(weights=weights.expand(n_init, -1))
    return estimated if means is None else estimated._replace(means=means.expand(n_init, -1, -1))


def _statistics(
    shard: Shard,
    n_components: int,
    init_params: str,
    n_init: int,
    covariance_type: str,
    random: np.random.RandomState,
) -> tuple[MixtureStatistics, Tensor]:
    """Statistics of every restart, and the means about which they are centred; scikit-learn's draws."""
    if init_params == "kmeans":
        seeds = torch.stack([_kmeans.seed(shard, n_components, random) for _ in range(n_init)])
        centres, inertia = _kmeans.cluster(shard, seeds)
        return _hard_statistics(shard, centres, inertia, covariance_type), centres
    draw = _random if init_params == "random" else _seeds
    parts = [draw(shard, n_components, init_params, random) for _ in range(n_init)]
    found = [_soft_statistics(*part, covariance_type) for part in parts]
    statistics = MixtureStatistics(*map(torch.stack, zip(*(part for part, _ in found), strict=True)))
    return statistics, torch.stack([means for _, means in found])


def _joined(parts: Sequence[MixtureStatistics], covariance_type: str) -> MixtureStatistics:
    """The statistics of one mixture that has the components of several."""
    log_likelihood, n_k, first, second = zip(*parts, strict=True)
    joined = sum(second) if covariance_type == "tied" else torch.cat(second, 1)
    return MixtureStatistics(sum(log_likelihood), torch.cat(n_k, 1), torch.cat(first, 1), joined)


def _spread_of_known(second: Tensor, shares: Tensor, covariance_type: str) -> Tensor:
    """Second moments as they would be if the gaps, which were filled with one value, spread as the known values do."""
    widths = torch.where(shares > 0, shares, 1).rsqrt().to(second)
    if covariance_type in ("full", "tied"):
        return second * widths.unsqueeze(-1) * widths
    return second * widths.square() if covariance_type == "diag" else second / shares.mean()


def _hard_statistics(shard: Shard, centres: Tensor, inertia: Tensor, covariance_type: str) -> MixtureStatistics:
    """Statistics of samples that belong to their nearest centre: an E-step whose variance is next to nothing."""
    restarts, K, D = centres.shape
    variance = inertia / (shard.total * D)
    precision = (_HARD * torch.where(variance > 0, variance, 1)).rsqrt()
    shape = covariance_shape(K, D, covariance_type)
    unit = torch.ones(shape, dtype=torch.float64, device=centres.device)
    if covariance_type in ("full", "tied"):
        unit = torch.eye(D, dtype=torch.float64, device=centres.device).expand(shape)
    factors = precision.view(-1, *[1] * len(shape)) * unit
    # only means and factors count for an E-step
    start = MixtureParameters(torch.full((restarts, K), 1 / K).to(factors), centres, factors, factors)
    return MixtureStatistics(*shard.group.sum(Complete(shard.x, shard.weight).statistics(start, covariance_type)))


def _random(shard: Shard, n_components: int, _: str, random: np.random.RandomState) -> tuple[Shard, Tensor]:
    """The samples and their responsibilities (N, K), times the sample weights."""
    resp = shard.uniforms(n_components, random)
    resp /= resp.sum(1, keepdim=True)
    return shard, resp if shard.weight is None else resp.mul_(shard.weight.unsqueeze(-1))


def _seeds(shard: Shard, n_components: int, init_params: str, random: np.random.RandomState) -> tuple[Shard, Tensor]:
    """K samples, each responsible for a component."""
    if init_params == "k-means++":
        seeds = _kmeans.seed(shard, n_components, random)
    else:
        mine, places = shard.draw(n_components, random, weighted=True)
        seeds = shard.x.new_zeros(n_components, shard.x.shape[1])
        seeds[torch.from_numpy(mine).to(seeds.device)] = shard.x[torch.from_numpy(places).to(seeds.device)]
        seeds = shard.sum(seeds)
    return Shard(seeds), torch.eye(n_components, dtype=torch.float64, device=seeds.device)


def _soft_statistics(shard: Shard, resp: Tensor, covariance_type: str) -> tuple[MixtureStatistics, Tensor]:
    """Statistics of given responsibilities, and the means about which they are centred."""
    x, n_k = shard.x.double(), shard.sum(resp.sum(0))
    count = shard.sum(torch.tensor(float(len(x)), dtype=torch.float64, device=x.device))
    # a component that got no sample starts at the mean of all
    share = torch.where(n_k > 0, resp / n_k.clamp_min(1e-300), 1 / count)
    centres = shard.sum(share.mT @ x)
    first, second = shard.group.sum(centred_moments(x, resp, centres, covariance_type))
    return MixtureStatistics(n_k.sum(), n_k, first, second), centres


def _from_precisions(precisions: Tensor, covariance_type: str) -> tuple[Tensor, Tensor]:
    """Covariances and the upper triangular U with precision = U Uᵀ, from the Cholesky factor of the reversed matrix."""
    if covariance_type in ("diag", "spherical"):
        factors = precisions.sqrt()
    else:
        factors = torch.linalg.cholesky(precisions.flip(-2, -1)).flip(-2, -1).contiguous()
    return covariances_of(factors, covariance_type), factors
