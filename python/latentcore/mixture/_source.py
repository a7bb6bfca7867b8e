"""Where the samples of a fit come from, and what EM asks of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore.mixture import _arrays
from latentcore.mixture._batch import Batch, Complete
from latentcore.mixture._shard import Shard
from latentcore.mixture.clamped import EXEMPLARS, Clamped
from latentcore.mixture.distributed import Group
from latentcore.mixture.missing import Incomplete
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (N, D) samples of this process, K components, C classes

_SEARCHED = 2**16  # samples among which a place for a dead component is looked for


class Ready(Protocol):
    """Samples of which all is known that EM and the predictions ask for."""

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Of every restart."""

    def e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        """Log-likelihoods (N,) and logarithms of the responsibilities (N, K)."""

    def responsibilities(self, parameters: MixtureParameters, covariance_type: str) -> Tensor:
        """Responsibilities (N, K)."""


@dataclass(frozen=True)
class InUnit:
    """Samples whose weights are so many of a unit.

    Attributes:
        batch: The samples with these weights.
        unit: Float64, ().
    """

    batch: Ready
    unit: Tensor

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Those of the weights as they were given, float64."""
        found = self.batch.statistics(parameters, covariance_type)
        return MixtureStatistics(*(value.double() * self.unit for value in found))

    def e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        """As the batch's."""
        return self.batch.e_step(parameters, covariance_type)

    def responsibilities(self, parameters: MixtureParameters, covariance_type: str) -> Tensor:
        """As the batch's."""
        return self.batch.responsibilities(parameters, covariance_type)


@dataclass(frozen=True)
class Preparation:
    """How samples are made ready for E-steps.

    Attributes:
        missing: Whether NaN is a missing value; it does not occur otherwise.
        reg_covar: What the M-step adds to the variances.
        table: The class probabilities of the components, (K, C), to which labelled samples are held, or None.
    """

    missing: bool = False
    reg_covar: float = 0.0
    table: Tensor | None = None

    def plain(self, x: Tensor, weight: Tensor | None) -> Ready:
        """Samples whose labels do not count."""
        if weight is not None and weight.dtype != x.dtype:
            weight, unit = _arrays.in_unit(weight, weight.max(), x.dtype)
            return InUnit(self.plain(x, weight), unit)
        if self.missing and bool(x.isnan().any()):
            return Incomplete(x, weight, self.reg_covar)
        return Complete(x, weight)

    def __call__(self, shard: Shard) -> Batch:
        """Samples that are held to their classes where these are known."""
        if self.table is None or shard.labels is None or not bool((shard.labels >= 0).any()):
            return self.plain(shard.x, shard.weight)
        return Clamped(shard.x, shard.weight, shard.labels, self.table, self.plain)


class Source(Protocol):
    """Samples that are read as often as EM asks for them."""

    @property
    def preparation(self) -> Preparation:
        """How they are made ready."""

    @property
    def group(self) -> Group:
        """The processes among which they are shared out."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""

    @property
    def device(self) -> torch.device:
        """Of the samples."""

    @property
    def total(self) -> float:
        """The sum of all weights."""

    @property
    def mean_weight(self) -> Tensor | None:
        """The mean weight of the samples of weight > 0, float64; None where each counts once."""

    @property
    def some(self) -> Shard:
        """Not too many of the samples, without gaps."""

    @property
    def means(self) -> Tensor | None:
        """The features' means, (D,), where values may be missing."""

    def prepared(self, preparation: Preparation) -> "Source":
        """The same samples, made ready in another way."""

    def indexed(self, classes: Tensor) -> "Source":
        """The same samples, with places among the classes for class numbers."""

    def start(self, size: int | None, random: np.random.RandomState) -> tuple[Shard, bool]:
        """Samples for the start, `size` of them where it is given, and whether these are all."""

    def shards(self) -> Iterator[Shard]:
        """All samples of this process, in pieces."""

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Of every restart, summed over all processes."""


@dataclass(frozen=True)
class Resident:
    """Samples in memory.

    Attributes:
        shard: The samples of this process.
        preparation: How they are made ready.
    """

    shard: Shard
    preparation: Preparation = field(default_factory=Preparation)

    @property
    def group(self) -> Group:
        """The processes among which they are shared out."""
        return self.shard.group

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self.shard.x.dtype

    @property
    def device(self) -> torch.device:
        """Of the samples."""
        return self.shard.x.device

    @cached_property
    def total(self) -> float:
        """The sum of all processes' weights."""
        return float(self.shard.total)

    @cached_property
    def mean_weight(self) -> Tensor | None:
        """The mean weight of all processes' samples of weight > 0."""
        return self.shard.mean_weight

    @property
    def some(self) -> Shard:
        """Not too many of the samples, without gaps."""
        step = -(-len(self.shard) // _SEARCHED)
        return without_gaps(self.shard.take(slice(None, None, step)), self.means)

    @cached_property
    def means(self) -> Tensor | None:
        """The features' means, (D,), where values may be missing."""
        if not self.preparation.missing:
            return None
        return means_of_known(*sums_of_known(self.shard.x, self.shard.weight), self.group)

    def prepared(self, preparation: Preparation) -> "Resident":
        """The same samples, made ready in another way."""
        return replace(self, preparation=preparation)

    def indexed(self, classes: Tensor) -> "Resident":
        """With places among the classes for class numbers."""
        return replace(self, shard=self.shard.indexed(classes))

    def start(self, size: int | None, random: np.random.RandomState) -> tuple[Shard, bool]:
        """All samples, or `size` of them, and whether these are all."""
        shard = self.shard
        if size is None or size >= shard.count:
            return shard, True
        possible, weighted = shard.count, False
        if shard.weight is not None:
            possible = shard.counted
            weighted = possible < shard.count  # samples that do not count are not drawn
            shard = replace(shard, weight=(shard.weight > 0).double())
        _, drawn = shard.draw(min(size, possible), random, weighted=weighted)
        places = np.union1d(drawn, exemplars(shard.labels, self.shard.weight).cpu().numpy())
        return self.shard.take(torch.from_numpy(places).to(self.device)), False

    def shards(self) -> Iterator[Shard]:
        """All in one piece."""
        yield self.shard

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Summed over all processes."""
        found = self._batch.statistics(parameters, covariance_type)
        if self._wide:  # in all processes: where one of them rounded the sums, they would no longer agree
            found = MixtureStatistics(*(value.double() for value in found))
        return MixtureStatistics(*self.shard.group.sum(found))

    @cached_property
    def _wide(self) -> bool:
        return _greatest_without_room(self.shard) is not None

    @cached_property
    def _batch(self) -> Batch:
        return self.preparation(self.shard)


def without_gaps(shard: Shard, means: Tensor | None) -> Shard:
    """The samples with the mean of a feature where its value is missing: good enough to start from.

    Their weights have their dtype; where it has no room for those of any process, in a unit of all processes.
    """
    x, weight = shard.x, shard.weight
    if weight is not None and (greatest := _greatest_without_room(shard)) is not None:
        weight, _ = _arrays.in_unit(weight, greatest, x.dtype)
    filled = x if means is None else torch.where(x.isnan(), means.to(x.dtype), x)
    return replace(shard, x=filled, weight=weight)


def _greatest_without_room(shard: Shard) -> Tensor | None:
    """The greatest weight of all processes, where the samples' dtype has no room for those of any; otherwise None."""
    if shard.weight is None:
        return None
    wide = torch.tensor(shard.weight.dtype != shard.x.dtype).to(shard.x.device, torch.float64)
    greatest, wide = shard.group.gather(torch.stack([shard.weight.max().double(), wide])[None]).amax(0)
    return greatest if bool(wide) else None


def sums_of_known(x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weighted sum of every feature's known values, and the sum of their weights, float64, (D,) each."""
    known = (~x.isnan()).double()
    weighted = known if weight is None else known * weight.double().unsqueeze(-1)
    return (weighted * x.nan_to_num(0)).sum(0), weighted.sum(0)


def known_shares(shard: Shard) -> Tensor:
    """The share of every feature's values that are known, by weight, (D,)."""
    return shard.sum(sums_of_known(shard.x, shard.weight)[1]) / shard.total


def means_of_known(sums: Tensor, counts: Tensor, group: Group) -> Tensor:
    """The features' means over all processes, (D,), from `sums_of_known`."""
    sums, counts = group.sum([sums, counts])
    if bool((counts == 0).any()):
        empty = (counts == 0).nonzero().flatten().tolist()
        _errors.fail_value("X", "a value in every feature", f"none in feature {empty[0]}")
    return sums / counts


def exemplars(labels: Tensor | None, weight: Tensor | None) -> Tensor:
    """The numbers of labelled samples without which a class could not start, of weight > 0; sorted."""
    if labels is None:
        return torch.empty(0, dtype=torch.int64)
    counted = labels if weight is None else labels.masked_fill(weight == 0, -1)
    classes = counted[counted >= 0].unique()
    places = [(counted == c).nonzero().flatten()[:EXEMPLARS] for c in classes]
    return torch.cat(places).sort().values if places else classes
