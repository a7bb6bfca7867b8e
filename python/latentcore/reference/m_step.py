"""Plain torch twin of `latentcore.ops.m_step`."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from latentcore.reference.mixture import MixtureStatistics

# shapes: K components, D features; covariances and factors have scikit-learn's shapes for the covariance type


class MixtureParameters(NamedTuple):
    """A Gaussian mixture in float64, with scikit-learn's names and shapes: weights (..., K), means (..., K, D)."""

    weights: Tensor
    means: Tensor
    covariances: Tensor
    precisions_cholesky: Tensor


def gmm_m_step(
    statistics: MixtureStatistics,
    means: Tensor,
    covariance_type: str = "full",
    *,
    reg_covar: float = 1e-6,
    mean_weight: Tensor | None = None,
) -> MixtureParameters:
    """See `latentcore.ops.gmm_m_step`."""
    # a component without samples keeps its mean
    n_k = statistics.n_k.double() + count_guard(statistics, mean_weight)
    shift = statistics.first.double() / n_k.unsqueeze(-1)
    covariances = _covariances(statistics.second.double(), n_k, shift, covariance_type, reg_covar)
    return MixtureParameters(
        n_k / n_k.sum(-1, keepdim=True),
        means.double() + shift,
        covariances,
        precisions_cholesky_of(covariances, covariance_type),
    )


def count_guard(statistics: MixtureStatistics, mean_weight: Tensor | None) -> Tensor | float:
    """scikit-learn's guard of components without samples, added to how many they have: a number or (..., 1)."""
    guard = 10 * torch.finfo(statistics.n_k.dtype).eps
    return guard if mean_weight is None else guard * mean_weight.double().unsqueeze(-1)


def mean_weight_of(sample_weight: Tensor | None) -> Tensor | None:
    """The mean weight of the samples that count, (...), float64, from (..., N) weights; None where each counts once."""
    if sample_weight is None:
        return None
    mean: Tensor = sample_weight.double().sum(-1) / (sample_weight > 0).sum(-1)
    return mean


def precisions_cholesky_of(covariances: Tensor, covariance_type: str) -> Tensor:
    """Upper triangular P with P Pᵀ the inverse of each covariance; NaN where one is not positive definite."""
    if covariance_type in ("diag", "spherical"):
        return covariances.rsqrt().masked_fill(~(covariances > 0), math.nan)
    lower, failed = torch.linalg.cholesky_ex(covariances)
    identity = torch.eye(covariances.shape[-1], dtype=torch.float64, device=covariances.device)
    factors: Tensor = torch.linalg.solve_triangular(lower, identity, upper=False).mT.contiguous()
    return factors.masked_fill((failed != 0)[..., None, None], math.nan)


def _covariances(second: Tensor, n_k: Tensor, shift: Tensor, covariance_type: str, reg_covar: float) -> Tensor:
    # rounding may bring a variance of 0 below it
    if covariance_type == "diag":
        return (second / n_k.unsqueeze(-1) - shift.square()).clamp_min(0) + reg_covar
    if covariance_type == "spherical":
        return ((second / n_k - shift.square().sum(-1)) / shift.shape[-1]).clamp_min(0) + reg_covar
    if covariance_type == "tied":
        between = (n_k.unsqueeze(-1) * shift).mT @ shift
        matrices = (second - between) / n_k.sum(-1)[..., None, None]
    else:
        matrices = second / n_k[..., None, None] - shift.unsqueeze(-1) * shift.unsqueeze(-2)
    return matrices + reg_covar * torch.eye(shift.shape[-1], dtype=torch.float64, device=shift.device)
