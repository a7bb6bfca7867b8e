"""Expectation maximisation for the estimator: several restarts at once, and what to do where a step fails.

Small matrices are float64 whatever the samples are. The statistics are centred on the current means, so that a
covariance is never the difference of two large numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NoReturn

import torch
from torch import Tensor

from latentcore import _errors
from latentcore.mixture._batch import Complete, pick
from latentcore.mixture._priors import Priors
from latentcore.mixture._rounding import Level, is_lost, is_shaken, may_fall, mended
from latentcore.mixture._source import Source
from latentcore.ops import gmm_m_step
from latentcore.reference import MixtureParameters, MixtureStatistics, precisions_cholesky_of
from latentcore.reference.em import Step, iterate

# shapes: K components, (..., K) parameters with the restarts in front

MStep = Callable[..., MixtureParameters]

# A fall of the bound, in parts of it, that is more than rounding of a sum over well-conditioned components.
_FALL = {torch.float32: 5e-6, torch.float64: 1e-7}


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
    em, count = _EM(source, options), options.max_iter
    fits = em.run(start, count, previous)
    fits = [em.finished(fit, pick(start, r), count, previous) for r, fit in enumerate(fits)]
    best = max(fits, key=lambda fit: fit.lower_bound)
    return em.reseeded(best) if options.reseed else best


class _EM:
    """Iterations on the samples of one fit."""

    def __init__(self, source: Source, options: Options) -> None:
        self.source, self.options = source, options

    def run(self, start: MixtureParameters, count: int, previous: float, m_step: MStep | None = None) -> list[Fit]:
        """At most `count` iterations of every restart. One that cannot go on stops where it is."""
        options, restarts = self.options, len(start.weights)
        step = self._step(m_step or options.m_step)
        look = _printer(options.verbose_interval) if options.verbose_interval else None
        found = iterate(step, start, max_iter=count, tol=options.tol, previous=previous, look=look)
        counts, converged = found.n_iter.tolist(), found.converged.tolist()
        return [
            Fit(pick(found.parameters, r), found.lower_bounds[r, : counts[r]].tolist(), converged[r])
            for r in range(restarts)
        ]

    def finished(self, fit: Fit, start: MixtureParameters, count: int, previous: float) -> Fit:
        """The fit, or where rounding had a say in it, one from the same start without that.

        All steps of the other are free of rounding: a bound would leap between steps that are and steps that are not.
        """
        if not (_stopped(fit, count) or self._is_rounded(fit)):
            return fit
        if not _is_mendable(self.options.covariance_type, self.options.reg_covar):
            self._fail(fit.parameters)
        level = self._level(start)  # not where rounding stopped the fit: that is another place in every shard
        start = level.start(start, self.options.covariance_type)
        step = partial(_free_m_step, level=level, estimate=self.options.m_step)
        (fit,) = self.run(pick(start, None), count, previous, step)
        if _stopped(fit, count):
            self._fail(fit.parameters)
        return fit

    def _is_rounded(self, fit: Fit) -> bool:
        """Whether a covariance is nearly singular at the end, or was before: then the bound fell."""
        bounds, parameters, kind = fit.lower_bounds, fit.parameters, self.options.covariance_type
        reg_covar, dtype = self.options.reg_covar, self.source.dtype
        if not bounds or not _is_mendable(kind, reg_covar):
            return False
        if is_lost(parameters, kind, dtype) or is_shaken(parameters, dtype, reg_covar):
            return True
        fell = any(before - after > _FALL[dtype] * max(1.0, abs(before)) for before, after in pairwise(bounds))
        return fell and may_fall(parameters, dtype, reg_covar)

    def _level(self, start: MixtureParameters) -> Level:
        """What directions without a variance get in a fit, going by its first step."""
        kind, reg_covar, dtype = self.options.covariance_type, self.options.reg_covar, self.source.dtype
        # in a factor that is but rounding the E-step of float32 may overflow
        found, _ = self._tried(mended(start, start.means, kind, dtype, reg_covar))
        _check_finite(found)
        return Level.of(found, kind, dtype, reg_covar)

    def _tried(self, parameters: MixtureParameters) -> tuple[MixtureParameters, Tensor]:
        """The outcome of an iteration, whatever it is."""
        one = torch.zeros(1, dtype=torch.int64, device=parameters.means.device)
        found, bound = self._step(self.options.m_step)(pick(parameters, None), one)
        return pick(found, 0), bound

    def _fail(self, parameters: MixtureParameters) -> NoReturn:
        """Say why there is no step from these parameters."""
        found, bound = self._tried(parameters)
        _check_finite(found)
        if bool(bound.isfinite()):
            _fail_collapsed(self.options.reg_covar)
        _fail_unreached()

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
            start, count = self._moved(fit.parameters, dead), self.options.max_iter - len(fit.lower_bounds)
            (rest,) = self.run(pick(start, None), count, -math.inf)
            rest = self.finished(rest, start, count, -math.inf)
            rest = Fit(rest.parameters, fit.lower_bounds + rest.lower_bounds, rest.converged)
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
    _check_finite(found)
    failed = not bool(found.precisions_cholesky.isfinite().all())
    if not _is_mendable(covariance_type, reg_covar):
        if failed:
            _fail_collapsed(reg_covar)
        return found
    if not (failed or is_lost(found, covariance_type, means.dtype)):
        return found
    return mended(found, means, covariance_type, means.dtype, reg_covar)


def _free_m_step(
    statistics: MixtureStatistics,
    means: Tensor,
    covariance_type: str,
    *,
    reg_covar: float,
    mean_weight: Tensor | None = None,
    estimate: MStep,
    level: Level,
) -> MixtureParameters:
    """`estimate` without what rounding has in its covariances."""
    found = estimate(statistics, means, covariance_type, reg_covar=reg_covar, mean_weight=mean_weight)
    _check_finite(found)
    return level.step(found, means, covariance_type)


def _stopped(fit: Fit, count: int) -> bool:
    """Whether it could not go on."""
    return not fit.converged and len(fit.lower_bounds) < count


def _check_finite(found: MixtureParameters) -> None:
    if not bool(found.covariances.isfinite().all()):
        _errors.fail_value("X", "samples whose covariance is finite", "an overflow; scale X")


def _is_mendable(covariance_type: str, reg_covar: float) -> bool:
    """Whether covariances without a factor can be mended: matrices, whose eigenvalues have a bound."""
    return covariance_type in ("full", "tied") and reg_covar > 0


def _fail_collapsed(reg_covar: float) -> NoReturn:
    _errors.fail_value(
        "X",
        "samples that give every component a positive definite covariance",
        f"a component that collapsed with reg_covar {reg_covar:g}; "
        "use fewer components or a greater reg_covar, or scale X",
    )


def _fail_unreached() -> NoReturn:
    _errors.fail_value("X", "samples that the mixture reaches", "a log-likelihood that is not finite; scale X")
