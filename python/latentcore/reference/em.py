"""Plain torch twin of `latentcore.ops.em`, and the loop of expectation maximisation on any device."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore._memory import bounded
from latentcore.reference._dtypes import sum_dtype
from latentcore.reference.m_step import MixtureParameters, gmm_m_step, mean_weight_of
from latentcore.reference.mixture import MixtureStatistics, gmm_statistics

# shapes: B mixtures, (B, N, D) samples, K components; parameters with B in front

Step = Callable[[MixtureParameters, Tensor], tuple[MixtureParameters, Tensor]]


class Operators(NamedTuple):
    """What an iteration is made of: `gmm_statistics` and `gmm_m_step`, plain or fast."""

    statistics: Callable[..., MixtureStatistics]
    m_step: Callable[..., MixtureParameters]


def look_interval(device: torch.device) -> int:
    """Iterations between two looks at whether all have stopped; a look waits for the device."""
    return 1 if device.type == "cpu" else 5


class MixtureFit(NamedTuple):
    """Mixtures after expectation maximisation, with scikit-learn's names.

    The parameters are float64: `weights`: (..., K); `means`: (..., K, D); `covariances` and `precisions_cholesky` have
    the shapes of the covariance type. `lower_bounds`: (..., max_iter), the mean log-likelihood before each iteration,
    NaN for those that were not needed; `n_iter`: (...), int64; `converged`: (...), bool.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    precisions_cholesky: Tensor
    lower_bounds: Tensor
    n_iter: Tensor
    converged: Tensor

    @property
    def parameters(self) -> MixtureParameters:
        """The mixtures themselves."""
        return MixtureParameters(*self[:4])


def gmm_em(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str = "full",
    *,
    max_iter: int = 100,
    tol: float = 1e-3,
    reg_covar: float = 1e-6,
    sample_weight: Tensor | None = None,
    operators: Operators | None = None,
) -> MixtureFit:
    """See `latentcore.ops.gmm_em`; `operators` may stand for the plain ones."""
    batch = means.shape[:-2]
    x = x.to(sum_dtype(x.dtype)).reshape(-1, *x.shape[-2:])
    if sample_weight is not None:
        sample_weight = sample_weight.to(x.dtype).reshape(-1, x.shape[-2])
    start = start_of(weights, means, precisions_cholesky, covariance_type)
    flat = MixtureParameters(*(value.reshape((-1, *value.shape[len(batch) :])) for value in start))
    step = step_of(x, sample_weight, covariance_type, reg_covar, operators or Operators(gmm_statistics, gmm_m_step))
    fit = iterate(step, flat, max_iter=max_iter, tol=tol)
    missing = max_iter - fit.lower_bounds.shape[1]
    fit = fit._replace(lower_bounds=F.pad(fit.lower_bounds, (0, missing), value=math.nan))
    return MixtureFit(*(value.reshape((*batch, *value.shape[1:])) for value in fit))


def step_of(
    x: Tensor, sample_weight: Tensor | None, covariance_type: str, reg_covar: float, operators: Operators
) -> Step:
    """An iteration on (B, N, D) samples and (B, N) weights, for `iterate`."""
    total = torch.full((len(x),), x.shape[-2], dtype=torch.float64, device=x.device)
    if sample_weight is not None:
        total = sample_weight.double().sum(-1)
    mean_weight = mean_weight_of(sample_weight)

    def step(parameters: MixtureParameters, which: Tensor) -> tuple[MixtureParameters, Tensor]:
        weights, means, _, factors = (value.to(x.dtype) for value in parameters)
        part, scale = (None if value is None else _pick(value, which) for value in (sample_weight, mean_weight))
        statistics = operators.statistics(_pick(x, which), weights, means, factors, covariance_type, sample_weight=part)
        # the moments are centred on the means as rounded to the samples' dtype
        found = operators.m_step(statistics, means, covariance_type, reg_covar=reg_covar, mean_weight=scale)
        return found, statistics.log_likelihood.double() / total[which]

    return step


def _pick(values: Tensor, which: Tensor) -> Tensor:
    """values[which], without a copy where all mixtures are asked for or have the same samples."""
    if len(which) == len(values) or values.stride(0) == 0:
        return values[: len(which)]
    return values[which]


def start_of(weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str) -> MixtureParameters:
    """The parameters in float64, with their covariances."""
    factors = precisions_cholesky.double()
    return MixtureParameters(weights.double(), means.double(), covariances_of(factors, covariance_type), factors)


def covariances_of(factors: Tensor, covariance_type: str) -> Tensor:
    """The covariances whose `precisions_cholesky` are `factors`."""
    if covariance_type in ("diag", "spherical"):
        return 1 / factors.square()
    identity = torch.eye(factors.shape[-1], dtype=factors.dtype, device=factors.device)
    inverse = torch.linalg.solve_triangular(factors, identity, upper=True)
    covariances: Tensor = inverse.mT @ inverse
    return covariances


def iterate(
    step: Step,
    start: MixtureParameters,
    *,
    max_iter: int,
    tol: float,
    previous: float = -math.inf,
    look: Callable[[int, Tensor, int], None] | None = None,
) -> MixtureFit:
    """Repeat `step` for every mixture of a batch until its bound changes by less than `tol`.

    Args:
        step: From the parameters of some mixtures and their numbers in the batch, the parameters after an iteration
            and the mean log-likelihood before it, float64. A mixture whose bound or factors are not finite stops
            before that step, without having converged.
        start: The parameters at the start, float64.
        max_iter: Greatest number of iterations.
        tol: A change of the bound that is not worth another iteration.
        previous: The bound before the first iteration, where a fit is continued.
        look: Called now and then with the number of iterations, the last bounds and how many mixtures run on.
    """
    batch, device = len(start.weights), start.weights.device
    interval = look_interval(device)
    found = [value.clone() for value in start]
    bounds: list[Tensor] = []
    converged = torch.zeros(batch, dtype=torch.bool, device=device)
    # of those that may go on: their numbers, parameters and last bounds, and whether they do
    which = torch.arange(batch, device=device)
    current, running = start, torch.ones_like(converged)
    last = torch.full((batch,), previous, dtype=torch.float64, device=device)
    for iteration in bounded(range(1, max_iter + 1)):
        after, bound = step(current, which)
        going = running & bound.isfinite() & after.precisions_cholesky.flatten(1).isfinite().all(1)
        current = _chosen(going, after, current)
        bounds.append(torch.full_like(converged, math.nan, dtype=torch.float64))
        bounds[-1][which] = bound.where(going, math.nan)
        still = (bound - last).abs() < tol
        converged[which] |= going & still
        last = bound.where(going, last)
        running = going & ~still
        if iteration % interval == 0:
            if look is not None:
                look(iteration, last, int(running.sum()))
            if not bool(running.all()):
                for value, new in zip(found, current, strict=True):
                    value[which] = new
                which, last = which[running], last[running]
                current = MixtureParameters(*(value[running] for value in current))
                running = running[running]
                if len(which) == 0:
                    break
    for value, new in zip(found, current, strict=True):
        value[which] = new
    lower_bounds = torch.stack(bounds, 1) if bounds else torch.empty((batch, 0), dtype=torch.float64, device=device)
    return MixtureFit(*MixtureParameters(*found), lower_bounds, lower_bounds.isfinite().sum(1), converged)


def _chosen(going: Tensor, after: MixtureParameters, before: MixtureParameters) -> MixtureParameters:
    """The new parameters of the mixtures that go on, the old ones of the others."""
    if going.device.type == "cpu" and bool(going.all()):
        return after
    pairs = zip(after, before, strict=True)
    return MixtureParameters(*(new.where(going.view(-1, *[1] * (new.dim() - 1)), old) for new, old in pairs))
