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

from dataclasses import dataclass
from typing import Any

import torch
from sklearn.utils import check_random_state
from torch import Tensor

from latentcore.mixture import _arrays
from latentcore.mixture._em import Options, m_step, pick
from latentcore.mixture._fitting import checked_starts, options_of
from latentcore.mixture._shard import Shard
from latentcore.mixture._source import Preparation, Resident
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
        bounds: The mean log-likelihood of every batch before it was learned.
    """

    parameters: MixtureParameters
    n_k: Tensor
    second: Tensor
    samples: float
    bounds: tuple[float, ...]

    @classmethod
    def of_fit(
        cls, parameters: MixtureParameters, covariance_type: str, samples: float, bounds: tuple[float, ...]
    ) -> "Running":
        """That of a mixture fitted to so many samples, as after one batch."""
        weights, means, covariances, _ = parameters
        of_component = {"full": weights[:, None, None], "diag": weights[:, None], "spherical": means.shape[1] * weights}
        return cls(parameters, weights, covariances * of_component.get(covariance_type, 1.0), samples, bounds)

    def to(self, device: torch.device) -> "Running":
        """The same on another device."""
        moved = MixtureParameters(*(value.to(device) for value in self.parameters))
        return Running(moved, self.n_k.to(device), self.second.to(device), self.samples, self.bounds)

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
    first, missing = not hasattr(estimator, "means_"), estimator.missing == "marginalize"
    x = _arrays.samples(estimator, X, reset=first, missing=missing)
    source = Resident(Shard(x, _arrays.weights(sample_weight, len(x), x)), Preparation(missing))
    running = (_begun if first else _continued)(estimator, source, options_of(estimator, source.device))
    dtype = x.dtype if first else _arrays.dtype_of(estimator.means_)
    estimator._set_parameters(running.parameters, X, dtype)
    estimator._running = running
    estimator.n_samples_seen_ = running.samples
    estimator.lower_bounds_, estimator.lower_bound_ = list(running.bounds), running.bounds[-1]
    estimator.n_iter_, estimator.converged_ = len(running.bounds), False


def _begun(estimator: Any, source: Resident, options: Options) -> Running:
    """After the first batch: an M-step from the likeliest start."""
    random = check_random_state(estimator.random_state)
    begin = checked_starts(estimator, source.shard, estimator.n_components, options, random)
    found = source.statistics(begin, options.covariance_type)
    best = int(found.log_likelihood.argmax())
    statistics = MixtureStatistics(*(value[best] for value in found))
    return _learned(statistics, begin.means[best].to(source.dtype), options, source.total, ())


def _continued(estimator: Any, source: Resident, options: Options) -> Running:
    """After one more batch."""
    device, samples = source.device, source.total
    running = getattr(estimator, "_running", None)
    if running is None:
        seen, bounds = getattr(estimator, "n_samples_seen_", samples), (getattr(estimator, "lower_bound_", 0.0),)
        running = Running.of_fit(estimator._parameters(device), options.covariance_type, seen, bounds)
    running = running.to(device)
    found = source.statistics(pick(running.parameters, None), options.covariance_type)
    batch = MixtureStatistics(*(value[0] for value in found))
    rate = (estimator.learning_offset + len(running.bounds)) ** -estimator.learning_decay
    centres = running.parameters.means.to(source.dtype)
    blended = running.blended(batch, centres, samples, rate)
    bounds = (*running.bounds, float(batch.log_likelihood) / samples)
    return _learned(blended, centres, options, running.samples + samples, bounds)


def _learned(
    statistics: MixtureStatistics, centres: Tensor, options: Options, samples: float, bounds: tuple[float, ...]
) -> Running:
    """The mixture that sums over samples ask for."""
    kind = options.covariance_type
    bounds = bounds or (float(statistics.log_likelihood) / samples,)
    found = m_step(statistics, centres, kind, reg_covar=options.reg_covar, estimate=options.m_step)
    _, n_k, first, second = (value.double() for value in statistics)
    shift = found.means - centres.double()
    if kind == "full":
        moved = first.unsqueeze(-1) * shift.unsqueeze(-2)
    elif kind == "tied":
        moved = first.mT @ shift
    else:
        moved = first * shift if kind == "diag" else (first * shift).sum(-1)
    return Running(found, n_k / samples, (second - moved) / samples, samples, bounds)
