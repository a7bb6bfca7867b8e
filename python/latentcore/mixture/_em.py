"""Expectation maximisation for the estimator: several restarts at once, and what to do where a step fails.

Small matrices are float64 whatever the samples are. The statistics are centred on the current means, so that a
covariance is never the difference of two large numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentcore import _checks
from latentcore.ops import gmm_m_step, gmm_statistics
from latentcore.reference import MixtureParameters, MixtureStatistics, precisions_cholesky_of
from latentcore.reference.em import Operators, iterate, step_of

# shapes: (N, D) samples, K components, (..., K) parameters with the restarts in front


@dataclass(frozen=True)
class Options:
    """What the M-step and the loop need to know of the estimator."""

    covariance_type: str
    reg_covar: float
    tol: float
    max_iter: int
    verbose_interval: int = 0
    """Print about every so many iterations; 0: never."""


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


def pick(parameters: MixtureParameters, index: Tensor | slice | int | None) -> MixtureParameters:
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
    em = _EM(x, sample_weight, options)
    fits = [em.finished(fit, previous) for fit in em.run(start, options.max_iter, previous)]
    return max(fits, key=lambda fit: fit.lower_bound)


class _EM:
    """Iterations on the samples of one fit."""

    def __init__(self, x: Tensor, sample_weight: Tensor | None, options: Options) -> None:
        self.x, self.sample_weight, self.options = x, sample_weight, options

    def run(self, start: MixtureParameters, count: int, previous: float) -> list[Fit]:
        """At most `count` iterations of every restart. One that cannot go on stops where it is."""
        options = self.options
        restarts = len(start.weights)
        weight = None if self.sample_weight is None else self.sample_weight.expand(restarts, -1)
        step = step_of(
            self.x.expand(restarts, *self.x.shape),
            weight,
            options.covariance_type,
            options.reg_covar,
            Operators(gmm_statistics, gmm_m_step),
        )
        look = _printer(options.verbose_interval) if options.verbose_interval else None
        found = iterate(step, start, max_iter=count, tol=options.tol, previous=previous, look=look)
        counts, converged = found.n_iter.tolist(), found.converged.tolist()
        return [
            Fit(pick(found.parameters, r), found.lower_bounds[r, : counts[r]].tolist(), converged[r])
            for r in range(restarts)
        ]

    def finished(self, fit: Fit, previous: float) -> Fit:
        """The fit as it goes on over the steps that stopped it, which are mended or say what is wrong."""
        parameters, bounds, converged = fit.parameters, fit.lower_bounds, fit.converged
        while not converged and len(bounds) < self.options.max_iter:
            last = bounds[-1] if bounds else previous
            parameters, bound = self._mended_step(parameters)
            bounds = [*bounds, bound]
            converged = abs(bound - last) < self.options.tol
            if not converged:
                (rest,) = self.run(pick(parameters, None), self.options.max_iter - len(bounds), bound)
                parameters, bounds, converged = rest.parameters, bounds + rest.lower_bounds, rest.converged
        return Fit(parameters, bounds, converged)

    def _mended_step(self, parameters: MixtureParameters) -> tuple[MixtureParameters, float]:
        x, options = self.x.unsqueeze(0), self.options
        weight = None if self.sample_weight is None else self.sample_weight.unsqueeze(0)
        operators = Operators(gmm_statistics, m_step)
        step = step_of(x, weight, options.covariance_type, options.reg_covar, operators)
        found, bound = step(pick(parameters, None), torch.zeros(1, dtype=torch.int64, device=x.device))
        if not bool(bound.isfinite()):
            _checks.fail_value("X", "samples that the mixture reaches", "a log-likelihood that is not finite; scale X")
        return pick(found, 0), float(bound)


def _printer(interval: int) -> Callable[[int, Tensor, int], None]:
    """Prints the progress about every so many iterations."""
    printed = 0

    def look(iteration: int, bounds: Tensor, running: int) -> None:
        nonlocal printed
        if iteration // interval > printed:
            printed = iteration // interval
            print(f"iteration {iteration}: mean log-likelihood {float(bounds.max()):.6g}, {running} restarts run on")

    return look


def m_step(
    statistics: MixtureStatistics, means: Tensor, covariance_type: str, *, reg_covar: float
) -> MixtureParameters:
    """`gmm_m_step` that mends covariances which only rounding keeps from being positive definite, or fails."""
    found = gmm_m_step(statistics, means, covariance_type, reg_covar=reg_covar)
    if not bool(found.covariances.isfinite().all()):
        _checks.fail_value("X", "samples whose covariance is finite", "an overflow; scale X")
    if bool(found.precisions_cholesky.isfinite().all()):
        return found
    if covariance_type in ("diag", "spherical"):
        _fail_collapsed(reg_covar)
    covariances = _lift_eigenvalues(found.covariances, reg_covar)
    factors = precisions_cholesky_of(covariances, covariance_type)
    if not bool(factors.isfinite().all()):
        _fail_collapsed(reg_covar)
    return MixtureParameters(*found[:2], covariances, factors)


def _lift_eigenvalues(covariances: Tensor, reg_covar: float) -> Tensor:
    """`reg_covar` bounds the eigenvalues from below; an eigenvalue under that bound is rounding of the samples."""
    if reg_covar == 0:
        _fail_collapsed(reg_covar)
    values, vectors = torch.linalg.eigh(covariances)
    lifted: Tensor = (vectors * values.clamp_min(reg_covar).unsqueeze(-2)) @ vectors.mT
    return lifted


def _fail_collapsed(reg_covar: float) -> None:
    _checks.fail_value(
        "X",
        "samples that give every component a positive definite covariance",
        f"a component that collapsed with reg_covar {reg_covar:g}; "
        "use fewer components or a greater reg_covar, or scale X",
    )
