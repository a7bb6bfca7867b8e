r"""Samples whose class is known belong to the components of their class.

Where component k gives class c with probability :math:`T_{kc}`, a sample x of class c has the likelihood
:math:`p(x, c) = \sum_k w_k T_{kc} N(x \mid \mu_k, \Sigma_k)`, and its responsibilities are those of a mixture with the
weights :math:`w_k T_{kc}`: none for components that never give c.

Reference:
    Miller and Uyar, "A mixture of experts classifier with learning based on both labelled and unlabelled data",
    NeurIPS 1996.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore.mixture._batch import Batch, added
from latentcore.mixture._shard import Shard
from latentcore.ops import kmeans_step
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (N, D) samples, K components, C classes

EXEMPLARS = 64
"""Labelled samples of a class with which the others are compared."""


class Clamped:
    """Samples of which some have a known class.

    Args:
        x: (N, D), float32 or float64.
        weight: (N,), dtype and device of x, or None.
        labels: Class indices in [0, C), -1 where unknown. (N,), int64.
        table: The class probabilities of the components. (K, C), float64.
        prepare: Makes the samples of one class, or of none, ready for E-steps.
    """

    def __init__(
        self,
        x: Tensor,
        weight: Tensor | None,
        labels: Tensor,
        table: Tensor,
        prepare: Callable[[Tensor, Tensor | None], Batch],
    ) -> None:
        known = labels >= 0
        ones = x.new_ones(len(x)) if weight is None else weight
        # few samples have labels as a rule: the others are not copied, those with labels count as nothing among them
        self._free = None if bool(known.all()) else prepare(x, ones.masked_fill(known, 0))
        self._table = table
        self._classes = {int(c): prepare(x[labels == c], ones[labels == c]) for c in labels[known].unique()}

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Statistics of every restart; the log-likelihood is that of samples and known classes."""
        parts = [] if self._free is None else [self._free.statistics(parameters, covariance_type)]
        for c, batch in self._classes.items():
            of_class = parameters._replace(weights=parameters.weights * self._table[:, c])
            parts.append(batch.statistics(of_class, covariance_type))
        return added(parts)


def components_of_classes(n_components_per_class: Any, n_classes: int) -> list[int]:
    """How many components each class has; the components stand class after class."""
    if not isinstance(n_components_per_class, Integral):
        counts: list[int] = np.asarray(n_components_per_class).tolist()
        if len(counts) != n_classes:
            _errors.fail_value("n_components_per_class", f"a number for each of {n_classes} classes", len(counts))
    else:
        counts = [int(n_components_per_class)] * n_classes
    for count in counts:
        _errors.integer("n_components_per_class", count, 1, 2**31 - 1)
    return counts


def class_table(counts: Sequence[int], device: torch.device) -> Tensor:
    """p(class | component), (K, C): 1 for the component's own class."""
    owners = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return torch.nn.functional.one_hot(owners, len(counts)).to(device, torch.float64)


def class_shards(shard: Shard, n_classes: int) -> list[Shard]:
    """For each class the samples that are nearer to its labelled ones than to others'; the rest have no weight there.

    A labelled sample is its own class's. At most 64 labelled samples of a class are compared with.
    """
    assert shard.labels is not None
    labels = shard.labels
    weight = shard.x.new_ones(len(shard)) if shard.weight is None else shard.weight
    exemplars = [
        shard.group.gather(shard.x[(labels == c) & (weight > 0)][:EXEMPLARS])[:EXEMPLARS] for c in range(n_classes)
    ]
    owners = torch.repeat_interleave(torch.tensor([len(some) for some in exemplars])).to(labels.device)
    nearest = owners[kmeans_step(shard.x, torch.cat(exemplars)).labels.long()]
    nearest = torch.where(labels >= 0, labels, nearest)
    return [replace(shard, weight=weight * (nearest == c)) for c in range(n_classes)]
