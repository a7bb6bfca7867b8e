r"""Samples with missing values: each is judged by the features it has, exactly.

A Gaussian's marginal over the observed features o is the Gaussian of their means and covariances. What an M-step needs
of the missing features m are the conditional moments given the observed ones,

.. math::

    E[x \mid x_o] = \mu + T (x_o - \mu_o), \qquad \operatorname{Cov}[x \mid x_o] = C, \qquad
    T = \Sigma_{:o} \Sigma_{oo}^{-1}, \qquad C = \Sigma - T \Sigma_{o:}

which are the same for all samples that lack the same features. So the statistics of such samples follow from those of
their observed features by small matrices.

The M-step adds ``reg_covar``, :math:`\lambda`, to the variances, as if every observed value had noise of that variance.
A missing value has none: the prediction hands on the noise of what it is made from, :math:`\lambda T T^\top`, where the
M-step adds :math:`\lambda I`. Otherwise the conditional covariance, which carries :math:`\lambda` already, would get it
once more in every iteration. A single Gaussian so ends with the variances of the observed values plus :math:`\lambda`;
it maximises :math:`\sum_n \log N(x_o \mid \mu_o, \Sigma_{oo}) - \tfrac{\lambda}{2} \operatorname{tr} \Sigma_{oo}^{-1}`.

Reference:
    Ghahramani and Jordan, "Supervised learning from incomplete data via an EM approach", NeurIPS 1994.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentcore.mixture._batch import Complete, added, pick
from latentcore.ops import gmm_e_step, gmm_statistics
from latentcore.reference import MixtureParameters, MixtureStatistics, covariance_shape, precisions_cholesky_of

# shapes: (N, D) samples, K components, P patterns of missing values with n samples and d observed features each

_NUMBERS = 2**22  # in the largest matrices that are held at once


class Incomplete:
    """Samples with NaN where a value is missing.

    Args:
        x: (N, D), float32 or float64; NaN is a missing value.
        weight: (N,), dtype and device of x, or None.
        reg_covar: What the M-step adds to the variances, in squared units of x.
    """

    def __init__(self, x: Tensor, weight: Tensor | None = None, reg_covar: float = 0.0) -> None:
        self._x, self._weight, self._reg_covar = x, weight, reg_covar
        gaps = x.isnan().any(1)
        ones = x.new_ones(len(x)) if weight is None else weight
        # samples of weight 0 count nowhere: those without gaps need not be picked out
        self._complete = Complete(x, ones.masked_fill(gaps, 0) if bool(gaps.any()) else weight)
        self._has_complete = not bool(gaps.all())
        self._buckets = list(_buckets(x, ones, gaps.nonzero().flatten()))

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Statistics of every restart, expectations over the missing values included."""
        parts = [self._complete.statistics(parameters, covariance_type)] if self._has_complete else []
        for bucket in self._buckets:
            rows = [
                bucket.statistics(pick(parameters, r), covariance_type, self._reg_covar)
                for r in range(len(parameters.weights))
            ]
            parts.append(MixtureStatistics(*map(torch.stack, zip(*rows, strict=True))))
        return added(parts)

    def e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        """Log-likelihoods of the observed features (N,) and logarithms of the responsibilities (N, K)."""
        log_prob_norm, log_resp = self._complete.e_step(parameters, covariance_type)
        for bucket in self._buckets:
            log_prob_norm[bucket.rows], log_resp[bucket.rows] = bucket.e_step(parameters, covariance_type)
        return log_prob_norm, log_resp

    def responsibilities(self, parameters: MixtureParameters, covariance_type: str) -> Tensor:
        """Responsibilities (N, K)."""
        return self.e_step(parameters, covariance_type)[1].exp()


@dataclass(frozen=True)
class _Bucket:
    """Patterns with as many observed features, and about as many samples each.

    Attributes:
        x: The observed features of their samples, padded to one length. (P, n, d).
        weight: 0 where padded. (P, n).
        rows: The numbers of these samples among all. (P, n).
        observed: The numbers of the observed features. (P, d).
        missing: Which features are missing. (P, D), bool.
    """

    x: Tensor
    weight: Tensor
    rows: Tensor
    observed: Tensor
    missing: Tensor

    def e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        """As `Incomplete`'s, with (P, n) for N."""
        parts = [part._e_step(parameters, covariance_type) for part in self._parts(len(parameters.weights))]
        log_prob_norm, log_resp = (torch.cat(values) for values in zip(*parts, strict=True))
        return log_prob_norm, log_resp

    def statistics(self, parameters: MixtureParameters, covariance_type: str, reg_covar: float) -> MixtureStatistics:
        """As `Incomplete`'s, of one restart, float64."""
        each = self._parts(len(parameters.weights))
        parts = [part._statistics(parameters, covariance_type, reg_covar) for part in each]
        return MixtureStatistics(*(torch.stack(values).sum(0) for values in zip(*parts, strict=True)))

    def _parts(self, components: int) -> Iterator["_Bucket"]:
        """Some patterns at a time, whose matrices fit the memory."""
        size = max(1, _NUMBERS // (components * self.missing.shape[1] ** 2))
        parts = (self.x, self.weight, self.rows, self.observed, self.missing)
        return (_Bucket(*some) for some in zip(*(part.split(size) for part in parts), strict=True))

    def _e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        weights, means, factors = self._marginals(parameters, covariance_type)
        if self.observed.shape[1] == 0:  # nothing is known of them
            log_prob_norm = self.x.new_zeros(self.x.shape[:2])
            return log_prob_norm, weights.log().to(self.x.dtype).unsqueeze(1).expand(*log_prob_norm.shape, -1)
        dtype = self.x.dtype
        return gmm_e_step(self.x, weights.to(dtype), means.to(dtype), factors.to(dtype), covariance_type)

    def _statistics(self, parameters: MixtureParameters, covariance_type: str, reg_covar: float) -> MixtureStatistics:
        marginals = self._marginals(parameters, covariance_type)
        found = self._observed_statistics(marginals, covariance_type)
        if covariance_type in ("full", "tied"):
            first, second = self._filled_matrices(found, parameters.covariances, marginals[2], reg_covar)
        else:
            first, second = self._filled_variances(found, parameters.covariances - reg_covar)
        return MixtureStatistics(found.log_likelihood.sum(), found.n_k.sum(0), first, second)

    def _marginals(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and factors of the observed features, with the patterns in front, float64."""
        weights, means, covariances, factors = parameters
        if covariance_type in ("full", "tied"):
            factors = precisions_cholesky_of(_blocks(covariances, self.observed, self.observed), covariance_type)
        elif covariance_type == "diag":
            factors = factors[:, self.observed].transpose(0, 1)
        else:
            factors = factors.expand(len(self.x), -1)
        return weights.expand(len(self.x), -1), means[:, self.observed].transpose(0, 1), factors

    def _observed_statistics(self, marginals: tuple[Tensor, Tensor, Tensor], covariance_type: str) -> MixtureStatistics:
        """Those of the observed features of every pattern, float64."""
        weights, means, factors = marginals
        if self.observed.shape[1] == 0:
            n_k = self.weight.double().sum(1, keepdim=True) * weights
            shape = covariance_shape(weights.shape[1], 0, covariance_type)
            return MixtureStatistics(n_k.new_zeros(len(n_k)), n_k, means, n_k.new_zeros(len(n_k), *shape))
        weights, means, factors = (value.to(self.x.dtype) for value in marginals)
        found = gmm_statistics(self.x, weights, means, factors, covariance_type, sample_weight=self.weight)
        return MixtureStatistics(*(value.double() for value in found))

    def _filled_matrices(
        self, found: MixtureStatistics, covariances: Tensor, factors: Tensor, reg_covar: float
    ) -> tuple[Tensor, Tensor]:
        """The moments with those of the missing features: T F and T S T' + n (C + reg (T T' - I)), summed."""
        _, n_k, first, second = found
        D = self.missing.shape[1]
        across = _blocks(covariances, torch.arange(D, device=self.missing.device).expand(len(self.x), D), self.observed)
        tied = covariances.dim() == 2
        each = (len(self.x), 1) if not tied else (len(self.x),)
        gaps = self.missing.view(*each, D, 1)
        transfer = across @ factors @ factors.mT
        # what was observed stays as it is, to the last digit
        transfer = torch.where(gaps, transfer, one_hot(self.observed, D).mT.view(*each, D, -1).double())
        unknown = (covariances - transfer @ across.mT) * gaps * gaps.mT
        count = (n_k.sum(-1) if tied else n_k)[..., None, None]
        spread = transfer @ transfer.mT - torch.eye(D).to(transfer)
        second = transfer @ second @ transfer.mT + count * (unknown + reg_covar * spread)
        if tied:
            transfer = transfer.unsqueeze(1)
        return (transfer @ first.unsqueeze(-1)).squeeze(-1).sum(0), second.sum(0)

    def _filled_variances(self, found: MixtureStatistics, covariances: Tensor) -> tuple[Tensor, Tensor]:
        """The same for independent features: a missing one has its mean and its variance."""
        _, n_k, first, second = found
        gaps = self.missing.double()
        moments = n_k.new_zeros(*n_k.shape, gaps.shape[1])
        places = self.observed.unsqueeze(1).expand_as(first)
        first = moments.scatter(-1, places, first).sum(0)
        if covariances.dim() == 1:
            return first, second.sum(0) + (n_k.mT @ gaps).sum(1) * covariances
        return first, moments.scatter(-1, places, second).sum(0) + (n_k.mT @ gaps) * covariances


def _blocks(covariances: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """For every pattern the rows (P, a) and columns (P, b) of the covariances: (P, K, a, b), or (P, a, b) if tied."""
    blocks = covariances[..., rows.unsqueeze(-1), columns.unsqueeze(-2)]
    return blocks if covariances.dim() == 2 else blocks.transpose(0, 1)


def _buckets(x: Tensor, weight: Tensor, rows: Tensor) -> Iterator[_Bucket]:
    """The samples with gaps, whose numbers `rows` are, by what they lack."""
    if not len(rows):
        return
    missing = x[rows].isnan()
    pattern = _pattern_numbers(missing)
    counts = pattern.bincount()
    ends = counts.cumsum(0)
    order = pattern.argsort(stable=True)
    patterns = missing[order[ends - 1]]
    sizes = (~patterns).sum(1)
    # within a bucket the numbers of samples differ by a factor below 2, so less than half of x is padding
    keys = sizes * 64 + counts.double().log2().ceil().long()
    for key in keys.unique():
        some = (keys == key).nonzero().flatten()
        count, d = counts[some].unsqueeze(1), int(key) // 64
        steps = torch.arange(int(count.max()), device=x.device)
        # padding repeats a pattern's last sample
        numbers = rows[order[ends[some].unsqueeze(1) - count + torch.minimum(steps, count - 1)]]
        observed = (~patterns[some]).nonzero()[:, 1].view(len(some), d)
        samples = x[numbers].gather(2, observed.unsqueeze(1).expand(-1, len(steps), -1))
        yield _Bucket(samples, weight[numbers] * (steps < count), numbers, observed, patterns[some])


def _pattern_numbers(missing: Tensor) -> Tensor:
    """A number for every different row of (N, D) flags, counted from 0. (N,)."""
    number = torch.zeros(len(missing), dtype=torch.int64, device=missing.device)
    for flags in missing.split(30, dim=1):
        bits = 2 ** torch.arange(flags.shape[1], device=missing.device)
        number = (number * 2**30 + (flags * bits).sum(1)).unique(return_inverse=True)[1]
    return number
