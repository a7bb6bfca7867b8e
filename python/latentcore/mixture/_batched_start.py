"""Where EM of a batch of mixtures starts: k-means of all of them at once, without a loop over the mixtures."""

import math

import numpy as np
import torch
from torch import Tensor

from latentcore.ops import gmm_m_step, gmm_statistics
from latentcore.reference import MixtureStatistics, covariance_shape, mean_weight_of

# shapes: B mixtures, x (B, N, D) samples, (B, N) weights, K centres each, T trials

_LLOYD_STEPS = 10
# Standard deviations, in parts of a mixture's extent, of samples that belong to their nearest centre only: squares of
# the whitened distances stay within float32, and 1e-7 of the extent still decides.
_HARD = 1e-9


def start(
    x: Tensor,
    sample_weight: Tensor | None,
    n_components: int,
    covariance_type: str,
    reg_covar: float,
    random: np.random.RandomState,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and Cholesky factors of the precisions for `gmm_em`, float64.

    The samples of a mixture decide about its start together with its own random numbers, whose number does not depend
    on N: a sample of weight 0 changes nothing, and may be NaN.
    """
    centres, extent = _seeds(x, sample_weight, n_components, random)
    for _ in range(_LLOYD_STEPS):
        found = _hard_statistics(x, sample_weight, centres, extent, "spherical")
        # a centre without samples stays
        centres = centres + found.first / found.n_k.unsqueeze(-1).clamp_min(torch.finfo(x.dtype).tiny)
    found = _hard_statistics(x, sample_weight, centres, extent, covariance_type)
    mean_weight = mean_weight_of(sample_weight)
    weights, means, _, factors = gmm_m_step(
        found, centres, covariance_type, reg_covar=reg_covar, mean_weight=mean_weight
    )
    # a component of one sample has no variance of its own: it starts as wide as its mixture, and EM decides
    wide = _spherical(1 / extent.double(), means, covariance_type)
    return weights, means, factors.where(factors.isfinite(), wide)


def _seeds(
    x: Tensor, sample_weight: Tensor | None, n_components: int, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """Greedy k-means++: K samples of every mixture, (B, K, D), and the extents of the mixtures, (B,)."""
    weight = torch.ones_like(x[..., 0]) if sample_weight is None else sample_weight
    each, trials = torch.arange(len(x), device=x.device), 2 + int(math.log(n_components))
    seeds = [_drawn(x, weight.double(), random, 1)]
    # samples that do not count are at no distance from anything; fmin, since they may be NaN
    closest = torch.fmin(_squares(x, seeds[0])[:, 0], torch.where(weight > 0, math.inf, 0.0))
    extent = closest.amax(1).sqrt()
    for _ in range(1, n_components):
        mass = closest.double() * weight
        # fewer different samples than centres: the others lie on centres, and any of them will do
        mass = mass.where(mass.sum(1, keepdim=True) > 0, weight.double())
        candidates = _drawn(x, mass, random, trials)
        shorter = torch.fmin(_squares(x, candidates), closest.unsqueeze(1))
        best = torch.einsum("btn,bn->bt", shorter, weight).argmin(1)
        seeds.append(candidates[each, best].unsqueeze(1))
        closest = shorter[each, best]
    return torch.cat(seeds, 1), extent.where(extent > 0, 1)


def _drawn(x: Tensor, mass: Tensor, random: np.random.RandomState, count: int) -> Tensor:
    """Samples of every mixture, (B, count, D), drawn with probabilities proportional to their masses, (B, N)."""
    cumulative = mass.cumsum(1)
    uniform = torch.from_numpy(random.uniform(size=(len(x), count))).to(x.device)
    # right: never a sample without mass; rounding may lead beyond the last one
    drawn = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).clamp_(max=x.shape[1] - 1)
    return x.take_along_dim(drawn.unsqueeze(-1), 1)


def _squares(x: Tensor, points: Tensor) -> Tensor:
    """Squared distances (B, T, N) of the samples from T points of their mixture, (B, T, D)."""
    # from differences: products of samples far from the origin would cancel
    return torch.cdist(points, x, compute_mode="donot_use_mm_for_euclid_dist").square_()


def _hard_statistics(
    x: Tensor, sample_weight: Tensor | None, centres: Tensor, extent: Tensor, covariance_type: str
) -> MixtureStatistics:
    """Statistics of samples that belong to their nearest centre: an E-step whose variance is next to nothing."""
    factors = _spherical(1 / (_HARD * extent), centres, covariance_type)
    equal = torch.full_like(centres[..., 0], 1 / centres.shape[1])
    return gmm_statistics(x, equal, centres, factors, covariance_type, sample_weight=sample_weight)


def _spherical(precision: Tensor, means: Tensor, covariance_type: str) -> Tensor:
    """Factors that are `precision`, (B,), in every direction, in the shape and with the device of a covariance type."""
    B, K, D = means.shape
    shape = covariance_shape(K, D, covariance_type)
    triangular = covariance_type in ("full", "tied")
    unit = torch.eye(D, dtype=precision.dtype, device=means.device) if triangular else precision.new_ones(())
    return precision.view(B, *[1] * len(shape)) * unit.expand(shape)
