"""Expectation maximisation for the estimator: several restarts at once, and what to do where a step fails.

Small matrices are float64 whatever the samples are. The statistics are centred on the current means, so that a
covariance is never the difference of two large numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from latentcore import _checks
from latentcore.mixture._batch import Complete, pick
from latentcore.mixture._priors import Priors
from latentcore.mixture._source import Source
from latentcore.ops import gmm_m_step
from latentcore.reference import MixtureParameters, MixtureStatistics, precisions_cholesky_of
from latentcore.reference.em import Step, iterate

# shapes: K components, (..., K) parameters with the restarts in front

MStep = Callable[..., MixtureParameters]


@dataclass(frozen=True)
class Options:
    """What the M-step and the loop need to know of the estimator."""

    covariance_type: str
    reg_covar: float
    tol: float
    max_iter: int
    verbose_interval: int = 0
    """Print about every so many iterations; 0: never."""
    priors: Priors | None = None
    reseed: bool = False
    """Give components that have died another place."""

    @property
    def m_step(self) -> MStep:
        """The M-step."""
        return gmm_m_step if self.priors is None else self.priors.m_step


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


def best_of_restarts(source: Source, start: MixtureParameters, options: Options, previous: float = -math.inf) -> Fit:
    """Run EM from every start (leading dimension) and return the fit with the greatest likelihood.

    A restart stops when its mean log-likelihood changes by less than `tol`. `previous`: mean log-likelihood before the
    first iteration, where a fit is continued.
    """
    em = _EM(source, options)
    fits = [em.finished(fit, previous) for fit in em.run(start, options.max_iter, previous)]
    best = max(fits, key=lambda fit: fit.lower_bound)
    return em.reseeded(best) if options.reseed else best


class _EM:
    """Iterations on the samples of one fit."""

    def __init__(self, source: Source, options: Options) -> None:
        self.source, self.options = source, options

    def run(self, start: MixtureParameters, count: int, previous: float) -> list[Fit]:
        """At most `count` iterations of every restart. One that cannot go on stops where it is."""
        options, restarts = self.options, len(start.weights)
        step = self._step(options.m_step)
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
        step = self._step(partial(m_step, estimate=self.options.m_step))
        found, bound = step(pick(parameters, None), torch.zeros(1, dtype=torch.int64, device=parameters.means.device))
        if not bool(bound.isfinite()):
            _checks.fail_value("X", "samples that the mixture reaches", "a log-likelihood that is not finite; scale X")
        return pick(found, 0), float(bound)

    def _step(self, m_step: MStep) -> Step:
        """An iteration of restarts; with priors, the bound is the mean logarithm of the posterior density."""
        source, options, priors = self.source, self.options, self.options.priors

        def step(parameters: MixtureParameters, _: Tensor) -> tuple[MixtureParameters, Tensor]:
            statistics = source.statistics(parameters, options.covariance_type)
            means = parameters.means.to(source.dtype)  # as the moments are centred
            found = m_step(
                statistics,
                means,
                options.covariance_type,
                reg_covar=options.reg_covar,
                mean_weight=source.mean_weight,
            )
            bound = statistics.log_likelihood.double() / source.total
            return found, bound if priors is None else bound + priors.log_density(parameters) / source.total

        return step

    def reseeded(self, fit: Fit) -> Fit:
        """The fit as it goes on with other places for components of less than a sample, while that is better."""
        sample = 1.0 if self.source.mean_weight is None else self.source.mean_weight
        while len(fit.lower_bounds) < self.options.max_iter:
            dead = fit.parameters.weights * self.source.total < sample
            if not bool(dead.any()) or bool(dead.all()):
                break
            start = pick(self._moved(fit.parameters, dead), None)
            (rest,) = self.run(start, self.options.max_iter - len(fit.lower_bounds), -math.inf)
            rest = self.finished(Fit(rest.parameters, fit.lower_bounds + rest.lower_bounds, rest.converged), 0.0)
            if rest.lower_bound <= fit.lower_bound:
                break
            fit = rest
        return fit

    def _moved(self, parameters: MixtureParameters, dead: Tensor) -> MixtureParameters:
        """The dead components on the samples that the others explain worst, as wide as the others are on average."""
        weights, means, covariances, factors = (value.clone() for value in parameters)
        some = self.source.some
        likelihood = Complete(some.x).e_step(parameters, self.options.covariance_type)[0]
        means[dead] = some.foremost(-likelihood, int(dead.sum())).x.double()
        if self.options.covariance_type != "tied":
            covariances[dead] = covariances[~dead].mean(0)
            factors = precisions_cholesky_of(covariances, self.options.covariance_type)
        weights[dead] = 1 / len(weights)
        return MixtureParameters(weights / weights.sum(), means, covariances, factors)


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
    statistics: MixtureStatistics,
    means: Tensor,
    covariance_type: str,
    *,
    reg_covar: float,
    mean_weight: Tensor | None = None,
    estimate: MStep = gmm_m_step,
) -> MixtureParameters:
    """`estimate`, but covariances which only rounding keeps from being positive definite are mended, or it fails."""
    found = estimate(statistics, means, covariance_type, reg_covar=reg_covar, mean_weight=mean_weight)
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
    """`reg_covar` bounds the eigenvalues from below; an eigenvalue under that bound is rounding of the samples.

    Beside a great eigenvalue, float64 cannot tell a smaller one from 0 than some units of the great one's rounding.
    """
    if reg_covar == 0:
        _fail_collapsed(reg_covar)
    values, vectors = torch.linalg.eigh(covariances)
    smallest = 10 * values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
    lifted: Tensor = (vectors * values.clamp_min(reg_covar).maximum(smallest).unsqueeze(-2)) @ vectors.mT
    return lifted


def _fail_collapsed(reg_covar: float) -> None:
    _checks.fail_value(
        "X",
        "samples that give every component a positive definite covariance",
        f"a component that collapsed with reg_covar {reg_covar:g}; "
        "use fewer components or a greater reg_covar, or scale X",
    )
