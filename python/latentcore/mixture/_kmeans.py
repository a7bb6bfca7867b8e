"""K-means as scikit-learn's `KMeans(n_init=1)` runs it, draw for draw, for several restarts at once."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from latentcore._memory import bounded
from latentcore.mixture._shard import Shard
from latentcore.ops import kmeans_potentials, kmeans_step, kmeans_update
from latentcore.reference import KMeansStep

# shapes: (N, D) samples of a shard, (N,) weights, K centres, (R, K, D) those of R restarts

_MOST_ITERATIONS = 300
_TOLERANCE = 1e-4  # of the mean variance, for the sum of squared moves


def seed(shard: Shard, n_components: int, random: np.random.RandomState) -> Tensor:
    """K samples that k-means++ draws, (K, D)."""
    x, weight = shard.x, shard.weight
    trials = 2 + int(math.log(n_components))
    # both are filled again and again: memory that is freed and taken anew leaves holes in the heap
    closest = torch.full((len(x),), math.inf, dtype=x.dtype, device=x.device)
    mass = torch.ones(len(x), dtype=torch.float64, device=x.device)
    if weight is not None:
        mass.copy_(weight)
    seeds = [shard.at_levels(mass, torch.from_numpy(random.random_sample(1)).to(x.device) * shard.total)]
    for _ in range(1, n_components):
        potential = shard.sum(kmeans_update(closest, x, seeds[-1], sample_weight=weight))
        levels = torch.from_numpy(random.uniform(size=trials)).to(x.device) * potential
        mass.copy_(closest)
        if weight is not None:
            mass *= weight
        # where nothing is away from the seeds, any of them will do
        candidates = torch.where(potential > 0, shard.at_levels(mass, levels), seeds[0])
        best = shard.sum(kmeans_potentials(x, candidates, closest, sample_weight=weight)).argmin()
        seeds.append(candidates[best][None])
    return torch.cat(seeds)


def cluster(shard: Shard, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from (R, K, D) centres: the centres that labels are found with, and the inertias (R,)."""
    centers = centers.clone()
    tolerance = _TOLERANCE * mean_variance(shard)
    inertia = torch.zeros(len(centers), dtype=torch.float64, device=centers.device)
    running = torch.arange(len(centers), device=centers.device)
    for _ in bounded(range(_MOST_ITERATIONS)):
        old = centers[running]
        step = kmeans_step(shard.x, old, sample_weight=shard.weight)
        step = KMeansStep(step.labels, *shard.group.sum([value.double() for value in step[1:]]))
        new = _moved(shard, old, step)
        centers[running] = new
        inertia[running] = step.inertia
        del step  # its labels are as large as the next ones
        # scikit-learn also stops where no label changes: then the centres move by their rounding only
        rounding = (torch.finfo(old.dtype).eps * old.double().abs().amax((1, 2))).square() * old[0].numel()
        running = running[(new - old).double().square().sum((1, 2)) > tolerance + rounding]
        if len(running) == 0:
            break
    return centers, inertia


def mean_variance(shard: Shard) -> float:
    """Over the features, from one centre's inertia: torch's variance copies the samples."""
    step = kmeans_step(shard.x, shard.first(), sample_weight=shard.weight)
    count, inertia, shift = shard.group.sum([step.counts.double(), step.inertia.double(), step.shifts.double()])
    return max(0.0, float(inertia / count - (shift / count).square().sum())) / shard.x.shape[1]


def _moved(shard: Shard, centers: Tensor, step: KMeansStep) -> Tensor:
    """The centres after an iteration. A centre without samples goes to one that is far from its own."""
    counts, sums = step.counts.clone(), step.shifts + step.counts.unsqueeze(-1) * centers.double()
    for r in (counts == 0).any(1).nonzero().flatten().tolist():
        _relocate(shard, centers[r], step.labels[r].long(), counts[r], sums[r])
    # where even that gives it nothing, it stays
    moved = torch.where(counts.unsqueeze(-1) > 0, sums / counts.unsqueeze(-1), centers.double())
    return moved.to(centers.dtype)


def _relocate(shard: Shard, centers: Tensor, labels: Tensor, counts: Tensor, sums: Tensor) -> None:
    """Give every empty centre of one restart the sample that is farthest from its centre; changes counts and sums."""
    empty = (counts == 0).nonzero().flatten()
    far = replace(shard, labels=labels).foremost((shard.x - centers[labels]).square_().sum(1), len(empty))
    assert far.labels is not None
    weights = torch.ones(len(far)) if far.weight is None else far.weight
    for center, sample, owner, weight in zip(empty, far.x.double(), far.labels, weights.tolist(), strict=True):
        given = weight * sample
        sums[owner] -= given
        counts[owner] -= weight
        sums[center], counts[center] = given, weight
