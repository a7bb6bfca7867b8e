"""Expectation maximisation on sufficient statistics, for several restarts at once.

Small matrices are float64 whatever the samples are. The statistics are centred on the current means, so that a
covariance is never the difference of two large numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentcore import _checks
from latentcore.ops import gmm_m_step, gmm_statistics
from latentcore.reference import MixtureParameters, MixtureStatistics, precisions_cholesky_of

# shapes: (N, D) samples, K components, (..., K) parameters with the restarts in front


@dataclass(frozen=True)
class Options:
    """What the M-step and the loop need to know of the estimator."""

    covariance_type: str
    reg_covar: float
    tol: float
    max_iter: int
    verbose_interval: int = 0
    """Print every so many iterations; 0: never."""


@dataclass(frozen=True)
class Fit:
    """One restart's end: its parameters, the mean log-likelihood at every E-step, whether it converged."""

    parameters: MixtureParameters
    lower_bounds: list[float]
    converged: bool

    @property
    def lower_bound(self) -> float:
        """The last mean log-likelihood; -inf without iterations."""
        return self.lower_bounds[-1] if self.lower_bounds else -math.inf


def pick(parameters: MixtureParameters, index: Tensor | int | None) -> MixtureParameters:
    """The restarts that `index` picks; None adds the dimension of restarts."""
    return MixtureParameters(*(value[index] for value in parameters))


def best_of_restarts(
    x: Tensor,
    start: MixtureParameters,
    options: Options,
    sample_weight: Tensor | None = None,
    previous: float = -math.inf,
) -> Fit:
    """Run EM from every start (leading dimension) and return the fit with the greatest likelihood.

    A restart stops when its mean log-likelihood changes by less than `tol`. `previous`: mean log-likelihood before the
    first iteration, where a fit is continued.
    """
    restarts = len(start.weights)
    running = torch.arange(restarts, device=x.device)
    total = float(len(x) if sample_weight is None else sample_weight.double().sum())
    parameters = MixtureParameters(*(value.clone() for value in start))
    bounds: list[list[float]] = [[] for _ in range(restarts)]
    last = torch.full((restarts,), previous, dtype=torch.float64, device=x.device)
    for iteration in range(1, options.max_iter + 1):
        updated, log_likelihood = _iterate(x, pick(parameters, running), options, sample_weight)
        for value, new in zip(parameters, updated, strict=True):
            value[running] = new
        current = log_likelihood / total
        _check_likelihood(current)
        for restart, bound in zip(running.tolist(), current.tolist(), strict=True):
            bounds[restart].append(bound)
        changing = (current - last[running]).abs() >= options.tol
        last[running] = current
        running = running[changing]
        if options.verbose_interval and iteration % options.verbose_interval == 0:
            print(f"iteration {iteration}: mean log-likelihood {float(last.max()):.6g}, {len(running)} restarts run on")
        if not len(running):
            break
    best = int(last.argmax())
    return Fit(pick(parameters, best), bounds[best], converged=best not in running.tolist())


def _iterate(
    x: Tensor, parameters: MixtureParameters, options: Options, sample_weight: Tensor | None
) -> tuple[MixtureParameters, Tensor]:
    """One E-step and M-step of every restart; also the log-likelihood before the step."""
    restarts = len(parameters.weights)
    weights, means, _, factors = (value.to(x.dtype) for value in parameters)
    statistics = gmm_statistics(
        x.expand(restarts, *x.shape),
        weights,
        means,
        factors,
        options.covariance_type,
        sample_weight=None if sample_weight is None else sample_weight.expand(restarts, -1),
    )
    # the moments are centred on the means as rounded to the samples' dtype
    return m_step(statistics, means, options), statistics.log_likelihood.double()


def _check_likelihood(log_likelihood: Tensor) -> None:
    if not bool(log_likelihood.isfinite().all()):
        _checks.fail_value("X", "samples that the mixture reaches", "a log-likelihood that is not finite; scale X")


def m_step(statistics: MixtureStatistics, centres: Tensor, options: Options) -> MixtureParameters:
    """The parameters that maximise the expected log-likelihood, from statistics centred on `centres`."""
    found = gmm_m_step(statistics, centres, options.covariance_type, reg_covar=options.reg_covar)
    if not bool(found.covariances.isfinite().all()):
        _checks.fail_value("X", "samples whose covariance is finite", "an overflow; scale X")
    if bool(found.precisions_cholesky.isfinite().all()):
        return found
    return MixtureParameters(*found[:2], *_rescue(found.covariances, options))


def _rescue(covariances: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """The covariances, made positive definite where only rounding kept them from it, and `precisions_cholesky`."""
    if options.covariance_type in ("diag", "spherical"):
        _fail_collapsed(options)
    covariances = _lift_eigenvalues(covariances, options)
    factors = precisions_cholesky_of(covariances, options.covariance_type)
    if not bool(factors.isfinite().all()):
        _fail_collapsed(options)
    return covariances, factors


def _lift_eigenvalues(covariances: Tensor, options: Options) -> Tensor:
    """`reg_covar` bounds the eigenvalues from below; an eigenvalue under that bound is rounding of the samples."""
    if options.reg_covar == 0:
        _fail_collapsed(options)
    values, vectors = torch.linalg.eigh(covariances)
    lifted: Tensor = (vectors * values.clamp_min(options.reg_covar).unsqueeze(-2)) @ vectors.mT
    return lifted


def _fail_collapsed(options: Options) -> None:
    _checks.fail_value(
        "X",
        "samples that give every component a positive definite covariance",
        f"a component that collapsed with reg_covar {options.reg_covar:g}; "
        "use fewer components or a greater reg_covar, or scale X",
    )
