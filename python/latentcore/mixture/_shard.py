"""The samples that a process holds, as the starts of EM see them."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from latentcore.mixture.distributed import Group

# shapes: (N, D) samples of this process


@dataclass(frozen=True)
class Shard:
    """Samples, and what stands beside them.

    Attributes:
        x: (N, D), float32 or float64.
        weight: How often each counts, (N,), or None for once each.
        labels: Class indices, -1 where unknown, (N,) int64, or None.
        group: The processes among which the samples are shared out.
    """

    x: Tensor
    weight: Tensor | None = None
    labels: Tensor | None = None
    group: Group = field(default_factory=Group)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def count(self) -> int:
        """The number of all processes' samples."""
        return self._numbers()[2]

    def take(self, rows: Tensor | slice) -> "Shard":
        """Some of the samples, by their numbers or a mask."""
        return Shard(self.x[rows], picked(self.weight, rows), picked(self.labels, rows), self.group)

    def counted_labels(self) -> Tensor:
        """The known labels of samples of weight > 0."""
        assert self.labels is not None
        known = self.labels >= 0
        return self.labels[known if self.weight is None else known & (self.weight > 0)]

    def indexed(self, classes: Tensor) -> "Shard":
        """With the labels' places among the classes (C,), in ascending order, instead of class numbers."""
        return self if self.labels is None else replace(self, labels=places_of(self.labels, classes))

    @property
    def total(self) -> Tensor:
        """The sum of all processes' weights, float64."""
        ones = torch.tensor(float(len(self.x)), dtype=torch.float64, device=self.x.device)
        return self.sum(ones if self.weight is None else self.weight.double().sum())

    @property
    def counted(self) -> int:
        """The number of all processes' samples of weight > 0."""
        return self.count if self.weight is None else int(self.sum((self.weight > 0).double().sum()))

    @property
    def mean_weight(self) -> Tensor | None:
        """The mean weight of all processes' samples of weight > 0, float64; None where each counts once."""
        return None if self.weight is None else self.total / self.counted

    def sum(self, value: Tensor) -> Tensor:
        """`value` summed over the processes."""
        return self.group.sum([value])[0]

    def draw(
        self, count: int, random: np.random.RandomState, *, weighted: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of `count` samples that are drawn of all without replacement: which are this process's, and their places.

        The draws are those of scikit-learn: `RandomState.choice`, by the weights if they are to count.
        """
        first, after, everything = self._numbers()
        probabilities = None
        if weighted and self.weight is not None:
            mass = self.group.gather(self.weight.double()).cpu().numpy()
            probabilities = mass / mass.sum()
        drawn = random.choice(everything, count, replace=False, p=probabilities)
        mine = (drawn >= first) & (drawn < after)
        return mine, drawn[mine] - first

    def uniforms(self, columns: int, random: np.random.RandomState) -> Tensor:
        """This process's rows (n, columns) of the uniform numbers that are drawn for all samples, float64."""
        first, after, everything = self._numbers()
        _pass_over(first * columns, random)
        drawn = random.uniform(size=(after - first, columns))
        _pass_over((everything - after) * columns, random)
        return torch.from_numpy(drawn).to(self.x.device)

    def first(self) -> Tensor:
        """The first sample of all processes, (1, D)."""
        return self.group.gather(self.x[:1])[:1]

    def foremost(self, values: Tensor, count: int) -> "Shard":
        """The samples of all processes with the greatest values (N,), greatest first."""
        own = values.topk(min(count, len(values))).indices
        values, part = self.group.gather(values[own]), self.take(own)
        weight, labels = (v if v is None else self.group.gather(v) for v in (part.weight, part.labels))
        gathered = Shard(self.group.gather(part.x), weight, labels)
        return gathered.take(values.topk(min(count, len(values))).indices)

    def at_levels(self, mass: Tensor, levels: Tensor) -> Tensor:
        """The samples, (L, D), at which the running sum of all processes' masses (N,) passes each of L levels."""
        running = mass.cumsum_(0)
        before, after, everything = self.group.edges(running[-1] if len(mass) else mass.sum())
        # rounding may lead beyond the last sample
        levels = levels.clamp(max=torch.nextafter(everything, torch.zeros_like(everything)))
        mine = ((levels >= before) & (levels < after)).nonzero().flatten()
        places = torch.searchsorted(running, levels[mine] - before).clamp_(max=len(self.x) - 1)
        found = self.x.new_zeros(len(levels), self.x.shape[1])
        found[mine] = self.x[places]
        return self.sum(found)

    def _numbers(self) -> tuple[int, int, int]:
        """The number of this process's first sample among all, of the one after its last, and of all."""
        first, after, everything = self.group.edges(torch.tensor(len(self.x), device=self.x.device))
        return int(first), int(after), int(everything)


def picked(values: Tensor | None, rows: Tensor | slice) -> Tensor | None:
    """Some of the values that may stand beside samples."""
    return None if values is None else values[rows]


def places_of(labels: Tensor, classes: Tensor) -> Tensor:
    """The labels' places among the classes, -1 where unknown."""
    places = torch.searchsorted(classes, labels).clamp_(max=len(classes) - 1)
    # a class of which no sample counts is none
    return places.where(classes[places] == labels, -1)


def _pass_over(count: int, random: np.random.RandomState) -> None:
    """Draw numbers for other processes' samples."""
    block = 2**20
    for begin in range(0, count, block):
        random.uniform(size=min(block, count - begin))
