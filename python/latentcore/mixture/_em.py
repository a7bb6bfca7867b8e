"""Expectation maximisation on sufficient statistics, for several restarts at once.

Small matrices are float64 whatever the samples are. The statistics are centred on the current means, so that a
covariance is never the difference of two large numbers.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from latentcore import _checks
from latentcore.ops import MixtureStatistics, gmm_statistics

# shapes: (N, D) samples, K components, (..., K) parameters with the restarts in front


class Parameters(NamedTuple):
    """A mixture in float64; covariances and factors have scikit-learn's shapes for the covariance type."""

    weights: Tensor
    means: Tensor
    covariances: Tensor
    precisions_cholesky: Tensor

    def at(self, index: Tensor | int | None) -> "Parameters":
        """The restarts that `index` picks; None adds the dimension of restarts."""
        return Parameters(*(value[index] for value in self))


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

    parameters: Parameters
    lower_bounds: list[float]
    converged: bool

    @property
    def lower_bound(self) -> float:
        """The last mean log-likelihood; -inf without iterations."""
        return self.lower_bounds[-1] if self.lower_bounds else -math.inf


def best_of_restarts(
    x: Tensor, start: Parameters, options: Options, sample_weight: Tensor | None = None, previous: float = -math.inf
) -> Fit:
    """Run EM from every start (leading dimension) and return the fit with the greatest likelihood.

    A restart stops when its mean log-likelihood changes by less than `tol`. `previous`: mean log-likelihood before the
    first iteration, where a fit is continued.
    """
    restarts = len(start.weights)
    running = torch.arange(restarts, device=x.device)
    total = float(len(x) if sample_weight is None else sample_weight.double().sum())
    parameters = Parameters(*(value.clone() for value in start))
    bounds: list[list[float]] = [[] for _ in range(restarts)]
    last = torch.full((restarts,), previous, dtype=torch.float64, device=x.device)
    for iteration in range(1, options.max_iter + 1):
        updated, log_likelihood = _iterate(x, parameters.at(running), options, sample_weight)
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
    return Fit(parameters.at(best), bounds[best], converged=best not in running.tolist())


def _iterate(
    x: Tensor, parameters: Parameters, options: Options, sample_weight: Tensor | None
) -> tuple[Parameters, Tensor]:
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


def m_step(statistics: MixtureStatistics, centres: Tensor, options: Options) -> Parameters:
    """The parameters that maximise the expected log-likelihood, from statistics centred on `centres`."""
    weights, means, covariances = moments_to_parameters(statistics, centres, options)
    return Parameters(weights, means, *factorise(covariances, options))


def moments_to_parameters(
    statistics: MixtureStatistics, centres: Tensor, options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances of the components, the latter with `reg_covar` on their diagonals."""
    # scikit-learn's guard of components without samples; such a component keeps its mean
    n_k = statistics.n_k.double() + 10 * torch.finfo(statistics.n_k.dtype).eps
    shift = statistics.first.double() / n_k.unsqueeze(-1)
    covariances = _covariances(statistics.second.double(), n_k, shift, options)
    if not bool(covariances.isfinite().all()):
        _checks.fail_value("X", "samples whose covariance is finite", "an overflow; scale X")
    return n_k / n_k.sum(-1, keepdim=True), centres.double() + shift, covariances


def _covariances(second: Tensor, n_k: Tensor, shift: Tensor, options: Options) -> Tensor:
    if options.covariance_type == "diag":
        return (second / n_k.unsqueeze(-1) - shift.square()).clamp_min(0) + options.reg_covar
    if options.covariance_type == "spherical":
        variance = (second / n_k - shift.square().sum(-1)) / shift.shape[-1]
        return variance.clamp_min(0) + options.reg_covar
    if options.covariance_type == "tied":
        between = (n_k.unsqueeze(-1) * shift).mT @ shift
        matrices = (second - between) / n_k.sum(-1)[..., None, None]
    else:
        matrices = second / n_k[..., None, None] - shift.unsqueeze(-1) * shift.unsqueeze(-2)
    return matrices + options.reg_covar * torch.eye(shift.shape[-1], dtype=torch.float64, device=shift.device)


def factorise(covariances: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """The covariances, made positive definite where only rounding kept them from it, and `precisions_cholesky`."""
    if options.covariance_type in ("diag", "spherical"):
        if bool((covariances <= 0).any()):
            _fail_collapsed(options)
        return covariances, covariances.rsqrt()
    lower, failed = torch.linalg.cholesky_ex(covariances)
    if bool(failed.any()):
        covariances = _lift_eigenvalues(covariances, options)
        lower, failed = torch.linalg.cholesky_ex(covariances)
        if bool(failed.any()):
            _fail_collapsed(options)
    identity = torch.eye(covariances.shape[-1], dtype=torch.float64, device=covariances.device)
    return covariances, torch.linalg.solve_triangular(lower, identity, upper=False).mT.contiguous()


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
