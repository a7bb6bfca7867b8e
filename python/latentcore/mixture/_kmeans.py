"""K-means as scikit-learn's `KMeans(n_init=1)` runs it, draw for draw, for several restarts at once."""

import math

import numpy as np
import torch
from torch import Tensor

from latentcore.ops import kmeans_distances, kmeans_step
from latentcore.reference import KMeansStep

# shapes: (N, D) samples, (N,) weights, K centres, (R, K, D) those of R restarts

_MOST_ITERATIONS = 300
_TOLERANCE = 1e-4  # of the mean variance, for the sum of squared moves


def seed(x: Tensor, sample_weight: Tensor | None, n_components: int, random: np.random.RandomState) -> Tensor:
    """Numbers of K samples that k-means++ draws, (K,), int64."""
    trials = 2 + int(math.log(n_components))
    weight = torch.ones(len(x)) if sample_weight is None else sample_weight.cpu()
    probabilities = weight.double().numpy()
    drawn = random.choice(len(x), p=probabilities / probabilities.sum())
    seeds = [torch.tensor(drawn, device=x.device)]
    distances, potentials = kmeans_distances(x, x[drawn : drawn + 1], sample_weight=sample_weight)
    closest, potential = distances[0], float(potentials[0])
    for _ in range(1, n_components):
        levels = torch.from_numpy(random.uniform(size=trials) * potential).to(x.device)
        mass = closest if sample_weight is None else closest.double() * sample_weight
        # rounding may lead beyond the last sample
        candidates = torch.searchsorted(mass.cumsum(0, dtype=torch.float64), levels).clamp_(max=len(x) - 1)
        distances, potentials = kmeans_distances(x, x[candidates], closest=closest, sample_weight=sample_weight)
        best = int(potentials.argmin())
        closest, potential = distances[best].clone(), float(potentials[best])
        seeds.append(candidates[best])
    return torch.stack(seeds)


def cluster(x: Tensor, sample_weight: Tensor | None, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from (R, K, D) centres: the centres that labels are found with, and the inertias (R,)."""
    centers = centers.clone()
    tolerance = _TOLERANCE * float(x.var(0, correction=0).mean(dtype=torch.float64))
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
