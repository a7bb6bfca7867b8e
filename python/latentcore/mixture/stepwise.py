r"""Learning from batches that come one by one: stepwise expectation maximisation.

The statistics s of all samples so far are an average that forgets, and the mixture is the one that they ask for:

.. math::

    s_t = (1 - \eta_t) \, s_{t-1} + \eta_t \, \hat s(X_t, \theta_{t-1}), \quad \eta_t = (\tau + t)^{-\kappa}, \quad
    \theta_t = \operatorname{M-step}(s_t)

with :math:`\tau` the ``learning_offset`` and :math:`\kappa` the ``learning_decay``.

Reference:
    Cappé and Moulines, "On-line expectation-maximization algorithm for latent data models", JRSS B 2009.
    Liang and Klein, "Online EM for unsupervised models", NAACL 2009.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from sklearn.utils import check_random_state
from torch import Tensor

from latentcore import _errors
from latentcore.mixture import _arrays
from latentcore.mixture._batch import pick
from latentcore.mixture._em import Options, m_step
from latentcore.mixture._fitting import checked_starts, continued, options_of
from latentcore.mixture._predictions import on_device
from latentcore.mixture._shard import Shard
from latentcore.mixture._source import Preparation, Resident
from latentcore.mixture._stream import is_stream
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (N, D) samples, K components; second moments in the shape of the covariances


@dataclass(frozen=True)
class Running:
    """A mixture and the statistics per sample that gave it, centred on its means; float64.

    Attributes:
        parameters: The mixture.
        n_k: Shares of its components. (K,).
        second: Their second moments.
        samples: How many samples, or weights of samples, went in.
        steps: How many batches.
        bound: The mean log-likelihood of the last batch before it was learned.
    """

    parameters: MixtureParameters
    n_k: Tensor
    second: Tensor
    samples: float
    steps: int
    bound: float

    @classmethod
    def of_fit(cls, parameters: MixtureParameters, options: Options, samples: float, bound: float) -> "Running":
        """That of a mixture fitted to so many samples, as after one batch."""
        weights, means, covariances, _ = parameters
        kind, reg_covar = options.covariance_type, options.reg_covar
        triangular = kind in ("full", "tied")
        # the M-step will add this again
        added = reg_covar * torch.eye(means.shape[1]).to(means) if triangular else reg_covar
        of_component = {"full": weights[:, None, None], "diag": weights[:, None], "spherical": means.shape[1] * weights}
        return cls(parameters, weights, (covariances - added) * of_component.get(kind, 1.0), samples, 1, bound)

    def to(self, device: torch.device) -> "Running":
        """The same on another device."""
        moved = on_device(self.parameters, device)
        return replace(self, parameters=moved, n_k=self.n_k.to(device), second=self.second.to(device))

    def blended(self, batch: MixtureStatistics, centres: Tensor, samples: float, rate: float) -> MixtureStatistics:
        """The next statistics, as sums over all samples about `centres`, which are the means, rounded."""
        total = self.samples + samples
        keep, add = (1 - rate) * total, rate * total / samples
        n_k, first, second = (value.double() for value in batch[1:])
        # what the centres were rounded by would be lost in every step
        rounding = self.n_k.unsqueeze(-1) * (self.parameters.means - centres.double())
        return MixtureStatistics(
            batch.log_likelihood,
            keep * self.n_k + add * n_k,
            keep * rounding + add * first,
            keep * self.second + add * second,
        )


def step(estimator: Any, X: Any, sample_weight: Any) -> None:
    """Let an estimator learn from one more batch."""
    if is_stream(X) and not hasattr(X, "shape"):
        _errors.fail_type("X", "an array or tensor (n, D), one batch", type(X).__name__)
    if estimator.n_components_per_class is not None:
        _errors.fail_value(
            "n_components_per_class", "None: partial_fit takes no labels", estimator.n_components_per_class
        )
    first, missing = not hasattr(estimator, "means_"), estimator.missing == "marginalize"
    x = _arrays.samples(estimator, X, reset=first, missing=missing)
    estimator.n_features_in_ = x.shape[1]  # which parameters that were set by hand do not say
    preparation = Preparation(missing, float(estimator.reg_covar))
    source = Resident(Shard(x, _arrays.weights(sample_weight, len(x), x)), preparation)
    running = (_begun if first else _continued)(estimator, source, options_of(estimator, x.device))
    dtype = x.dtype if first else _arrays.dtype_of(estimator.means_)
    bounds = getattr(estimator, "lower_bounds_", []) if getattr(estimator, "_running", None) else []
    estimator._set_parameters(running.parameters, X, dtype)
    estimator._running = running
    estimator.n_samples_seen_ = running.samples
    estimator.lower_bound_, estimator.lower_bounds_ = running.bound, bounds
    estimator.n_iter_, estimator.converged_ = running.steps, False
    bounds.append(running.bound)


def _begun(estimator: Any, source: Resident, options: Options) -> Running:
    """After the first batch: an M-step from the likeliest start."""
    random = check_random_state(estimator.random_state)
    begin = checked_starts(estimator, source.shard, source.means, estimator.n_components, options, random)
    found = source.statistics(begin, options.covariance_type)
    best = int(found.log_likelihood.argmax())
    statistics = MixtureStatistics(*(value[best] for value in found))
    bound = float(statistics.log_likelihood) / source.total
    centres = begin.means[best].to(source.dtype)
    return _learned(statistics, centres, options, source.mean_weight, Learned(source.total, 1, bound))


def _continued(estimator: Any, source: Resident, options: Options) -> Running:
    """After one more batch."""
    samples, running = source.total, _before(estimator, source, options)
    found = source.statistics(pick(running.parameters, None), options.covariance_type)
    batch = MixtureStatistics(*(value[0] for value in found))
    rate = (estimator.learning_offset + running.steps) ** -estimator.learning_decay
    centres = running.parameters.means.to(source.dtype)
    blended = running.blended(batch, centres, samples, rate)
    bound = float(batch.log_likelihood) / samples
    learned = Learned(running.samples + samples, running.steps + 1, bound)
    return _learned(blended, centres, options, source.mean_weight, learned)


def _before(estimator: Any, source: Resident, options: Options) -> Running:
    """What the estimator has learned so far; from its attributes where these are not what the last batch left."""
    parameters = continued(estimator, estimator.n_components, source.device)
    running, seen = getattr(estimator, "_running", None), getattr(estimator, "n_samples_seen_", source.total)
    if running is None or estimator._changed(estimator._attributes()):
        steps = 1 if running is None else running.steps
        bound = getattr(estimator, "lower_bound_", 0.0)
        running = replace(Running.of_fit(parameters, options, seen, bound), steps=steps)
    return replace(running, samples=seen).to(source.device)


class Learned(NamedTuple):
    """What `Running` keeps beside the statistics."""

    samples: float
    steps: int
    bound: float


def _learned(
    statistics: MixtureStatistics, centres: Tensor, options: Options, mean_weight: Tensor | None, learned: Learned
) -> Running:
    """The mixture that sums over samples ask for."""
    kind, samples = options.covariance_type, learned.samples
    found = m_step(
        statistics, centres, kind, reg_covar=options.reg_covar, mean_weight=mean_weight, estimate=options.m_step
    )
    _, n_k, first, second = (value.double() for value in statistics)
    shift = found.means - centres.double()
    if kind == "full":
        moved = first.unsqueeze(-1) * shift.unsqueeze(-2)
    elif kind == "tied":
        moved = first.mT @ shift
    else:
        moved = first * shift if kind == "diag" else (first * shift).sum(-1)
    return Running(found, n_k / samples, (second - moved) / samples, *learned)
