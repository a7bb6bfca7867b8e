"""K-means as scikit-learn's `KMeans(n_init=1)` runs it, draw for draw, for several restarts at once."""

import math

import numpy as np
import torch
from torch import Tensor

from latentcore.ops import kmeans_potentials, kmeans_step, kmeans_update
from latentcore.reference import KMeansStep

# shapes: (N, D) samples, (N,) weights, K centres, (R, K, D) those of R restarts

_MOST_ITERATIONS = 300
_TOLERANCE = 1e-4  # of the mean variance, for the sum of squared moves


def seed(x: Tensor, sample_weight: Tensor | None, n_components: int, random: np.random.RandomState) -> Tensor:
    """Numbers of K samples that k-means++ draws, (K,), int64."""
    trials = 2 + int(math.log(n_components))
    weight = np.ones(len(x)) if sample_weight is None else sample_weight.double().cpu().numpy()
    weight = weight / weight.sum()
    seeds = [torch.tensor(random.choice(len(x), p=weight), device=x.device)]
    # both are filled again and again: memory that is freed and taken anew leaves holes in the heap
    closest = torch.full((len(x),), math.inf, dtype=x.dtype, device=x.device)
    mass = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for _ in range(1, n_components):
        potential = kmeans_update(closest, x, x[seeds[-1]][None], sample_weight=sample_weight)
        levels = torch.from_numpy(random.uniform(size=trials)).to(x.device) * potential
        mass.copy_(closest)
        if sample_weight is not None:
            mass *= sample_weight
        # rounding may lead beyond the last sample
        candidates = torch.searchsorted(mass.cumsum_(0), levels).clamp_(max=len(x) - 1)
        best = kmeans_potentials(x, x[candidates], closest, sample_weight=sample_weight).argmin()
        seeds.append(candidates[best])
    return torch.stack(seeds)


def cluster(x: Tensor, sample_weight: Tensor | None, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from (R, K, D) centres: the centres that labels are found with, and the inertias (R,)."""
    centers = centers.clone()
    tolerance = _TOLERANCE * _mean_variance(x)
    inertia = torch.zeros(len(centers), dtype=torch.float64, device=x.device)
    running = torch.arange(len(centers), device=x.device)
    before: Tensor | None = None
    for iteration in range(1, _MOST_ITERATIONS + 1):
        old = centers[running]
        step = kmeans_step(x, old, sample_weight=sample_weight)
        new = _moved(x, sample_weight, old, step)
        centers[running] = new
        inertia[running] = step.inertia.double()
        settled = (new - old).double().square().sum((1, 2)) <= tolerance
        if before is not None:
            settled |= (step.labels == before).all(1)
        running, before = running[~settled], step.labels[~settled]
        if len(running) == 0 or iteration == _MOST_ITERATIONS:
            break
    return centers, inertia


def _mean_variance(x: Tensor) -> float:
    """Over the features, from one centre's inertia: torch's variance copies the samples."""
    step = kmeans_step(x, x[:1])
    shift = step.shifts.double() / len(x)
    return max(0.0, float(step.inertia / len(x) - shift.square().sum())) / x.shape[1]


def _moved(x: Tensor, sample_weight: Tensor | None, centers: Tensor, step: KMeansStep) -> Tensor:
    """The centres after an iteration. A centre without samples goes to one that is far from its own."""
    counts, sums = step.counts.double(), step.shifts.double()
    sums += counts.unsqueeze(-1) * centers.double()
    for r in (counts == 0).any(1).nonzero().flatten().tolist():
        _relocate(x, sample_weight, centers[r], step.labels[r].long(), counts[r], sums[r])
    # where even that gives it nothing, it stays
    moved = torch.where(counts.unsqueeze(-1) > 0, sums / counts.unsqueeze(-1), centers.double())
    return moved.to(centers.dtype)


def _relocate(
    x: Tensor, sample_weight: Tensor | None, centers: Tensor, labels: Tensor, counts: Tensor, sums: Tensor
) -> None:
    """Give every empty centre of one restart the sample that is farthest from its centre; changes counts and sums."""
    empty = (counts == 0).nonzero().flatten()
    far = (x - centers[labels]).square_().sum(1).topk(len(empty)).indices
    for center, sample in zip(empty.tolist(), far.tolist(), strict=True):
        weight = 1.0 if sample_weight is None else float(sample_weight[sample])
        given = weight * x[sample].double()
        sums[labels[sample]] -= given
        counts[labels[sample]] -= weight
        sums[center], counts[center] = given, weight
