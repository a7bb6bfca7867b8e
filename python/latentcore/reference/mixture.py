"""Plain torch twin of `latentcore.ops.mixture`: one component at a time, so that nothing has size N×K×D."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from latentcore.reference._dtypes import sum_dtype

# shapes: (..., N, D) samples, (..., K, D) means, K components; factors: scikit-learn's precisions_cholesky, i.e.
# full (..., K, D, D), tied (..., D, D), diag (..., K, D), spherical (..., K)


COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def covariance_shape(components: int, dimensions: int, covariance_type: str) -> tuple[int, ...]:
    """The shape of covariances, precisions, their factors and second moments: scikit-learn's."""
    return {
        "full": (components, dimensions, dimensions),
        "tied": (dimensions, dimensions),
        "diag": (components, dimensions),
        "spherical": (components,),
    }[covariance_type]


class MixtureStatistics(NamedTuple):
    """What an M-step needs of N samples; the moments are centred on the current means.

    `log_likelihood`: (...), sum over the samples; `n_k`: (..., K), sums of responsibilities r; `first`: (..., K, D),
    Σ r (x−μ); `second`: Σ r (x−μ)(x−μ)ᵀ, full (..., K, D, D), tied (..., D, D), diag (..., K, D), and its trace for
    spherical (..., K).
    """

    log_likelihood: Tensor
    n_k: Tensor
    first: Tensor
    second: Tensor


def gmm_log_prob(x: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full") -> Tensor:
    """See `latentcore.ops.gmm_log_prob`."""
    dtype = sum_dtype(x.dtype)
    x, means, factors = x.to(dtype), means.to(dtype), precisions_cholesky.to(dtype)
    distances = [_distance(x - means[..., k, None, :], factors, k, covariance_type) for k in range(means.shape[-2])]
    log_det = _log_det(factors, x.shape[-1], covariance_type)
    return log_det.unsqueeze(-2) - 0.5 * (x.shape[-1] * math.log(2 * math.pi) + torch.stack(distances, -1))


def gmm_e_step(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full"
) -> tuple[Tensor, Tensor]:
    """See `latentcore.ops.gmm_e_step`."""
    log_prob = gmm_log_prob(x, means, precisions_cholesky, covariance_type)
    log_joint = log_prob + weights.to(log_prob.dtype).log().unsqueeze(-2)
    # a sample that no component reaches belongs to none, and moves nothing, instead of being NaN
    lost = (log_joint == -math.inf).all(-1)
    reached = log_joint.masked_fill(lost.unsqueeze(-1), 0).logsumexp(-1)
    return reached.masked_fill(lost, -math.inf), log_joint - reached.unsqueeze(-1)


def gmm_responsibilities(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full"
) -> Tensor:
    """See `latentcore.ops.gmm_responsibilities`."""
    return gmm_e_step(x, weights, means, precisions_cholesky, covariance_type)[1].exp()


def gmm_statistics(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str = "full",
    *,
    sample_weight: Tensor | None = None,
) -> MixtureStatistics:
    """See `latentcore.ops.gmm_statistics`."""
    if sample_weight is not None:  # a sample of weight 0 counts nowhere, whatever it is
        x = x.masked_fill((sample_weight == 0).unsqueeze(-1), 0)
    log_prob_norm, log_resp = gmm_e_step(x, weights, means, precisions_cholesky, covariance_type)
    resp = log_resp.detach().exp()
    # nor does one that no component reaches, but in the likelihood
    x = x.detach().masked_fill((log_prob_norm == -math.inf).unsqueeze(-1), 0)
    if sample_weight is not None:
        sample_weight = sample_weight.to(resp.dtype)
        # a sample of weight 0 counts nowhere, whatever its likelihood is
        log_prob_norm = log_prob_norm.masked_fill(sample_weight == 0, 0) * sample_weight
        resp = resp * sample_weight.unsqueeze(-1)
    first, second = centred_moments(x.to(resp.dtype), resp, means.detach().to(resp.dtype), covariance_type)
    return MixtureStatistics(log_prob_norm.sum(-1), resp.sum(-2), first, second)


def centred_moments(x: Tensor, resp: Tensor, means: Tensor, covariance_type: str) -> tuple[Tensor, Tensor]:
    """First and second moments about the means, weighted with (..., N, K) responsibilities; see `MixtureStatistics`."""
    first, second = [], []
    for k in range(means.shape[-2]):
        difference = x - means[..., k, None, :]
        weighted = difference * resp[..., k, None]
        first.append(weighted.sum(-2))
        second.append(_second_moment(difference, weighted, covariance_type))
    if covariance_type == "tied":
        return torch.stack(first, -2), torch.stack(second).sum(0)
    component_dim = {"full": -3, "diag": -2, "spherical": -1}[covariance_type]
    return torch.stack(first, -2), torch.stack(second, component_dim)


def _distance(difference: Tensor, factors: Tensor, k: int, covariance_type: str) -> Tensor:
    """(..., N) squares of (..., N, D) differences from mean k in units of its standard deviation.

    Infinite where they overflow, so that NaN is only where something given is, and constant there: the derivatives of
    so great numbers overflow too, and 0 times infinity would make NaN of those of all samples.
    """
    factor, most = _factor(factors, k, covariance_type), torch.finfo(difference.dtype).max
    greatest = difference.detach().abs().amax(-1)  # NaN where one of them is
    unknown = greatest.isnan() | factor.isnan().any(-1).any(-1, keepdim=True)
    difference = difference.clamp(-most, most)
    whitened = difference @ factor if covariance_type in ("full", "tied") else difference * factor
    # twice the root, whose square is infinite however it is rounded; NaN is no less
    near = (whitened.detach().abs().amax(-1) < 2 * math.sqrt(most)) & ~greatest.isinf()
    far = ~(near | unknown)
    whitened = whitened.masked_fill(far.unsqueeze(-1), 0)
    # not `square`, whose derivative overflows at half of the greatest number
    return (whitened * whitened).sum(-1).masked_fill(far, math.inf)


def _factor(factors: Tensor, k: int, covariance_type: str) -> Tensor:
    """Component k's: (..., D, D) where it is triangular, else (..., 1, D) or (..., 1, 1), a number per feature."""
    if covariance_type == "full":
        return factors[..., k, :, :].triu()
    if covariance_type == "tied":
        return factors.triu()
    return factors[..., k, None, :] if covariance_type == "diag" else factors[..., k, None, None]


def _log_det(factors: Tensor, dimensions: int, covariance_type: str) -> Tensor:
    """(..., K) logarithms of the factors' determinants; (..., 1) for tied."""
    if covariance_type == "full":
        return factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    if covariance_type == "tied":
        return factors.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    return factors.log().sum(-1) if covariance_type == "diag" else dimensions * factors.log()


def _second_moment(difference: Tensor, weighted: Tensor, covariance_type: str) -> Tensor:
    if covariance_type in ("full", "tied"):
        return weighted.mT @ difference
    squares = (weighted * difference).sum(-2)
    return squares if covariance_type == "diag" else squares.sum(-1)
