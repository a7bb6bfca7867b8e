"""Plain torch twin of `latentcore.ops.kmeans`: one set of centres at a time."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentcore.reference._dtypes import sum_dtype

# shapes: (N, D) samples, (..., K, D) centres


class KMeansStep(NamedTuple):
    """What an iteration of Lloyd's algorithm needs.

    `labels`: (..., N), int32, the nearest centre; `inertia`: (...), the weighted sum of squared distances to it;
    `counts`: (..., K), the weight of the samples of each centre; `shifts`: (..., K, D), their weighted differences
    from it.
    """

    labels: Tensor
    inertia: Tensor
    counts: Tensor
    shifts: Tensor


def kmeans_step(x: Tensor, centers: Tensor, *, sample_weight: Tensor | None = None) -> KMeansStep:
    """See `latentcore.ops.kmeans_step`."""
    dtype = sum_dtype(x.dtype)
    x, batch = x.to(dtype), centers.shape[:-2]
    weight = x.new_ones(len(x)) if sample_weight is None else sample_weight.to(dtype)
    parts = [_step(x, weight, one) for one in centers.to(dtype).reshape(-1, *centers.shape[-2:])]
    if not parts:
        labels = torch.empty((*batch, len(x)), dtype=torch.int32, device=x.device)
        return KMeansStep(labels, x.new_empty(batch), x.new_empty(centers.shape[:-1]), x.new_empty(centers.shape))
    stacked = (torch.stack(part) for part in zip(*parts, strict=True))
    return KMeansStep(*(part.reshape((*batch, *part.shape[1:])) for part in stacked))


def kmeans_potentials(x: Tensor, points: Tensor, closest: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """See `latentcore.ops.kmeans_potentials`."""
    dtype = sum_dtype(x.dtype)
    distances = torch.minimum(_squared_distances(x.to(dtype), points.to(dtype)), closest.unsqueeze(-1)).double()
    return (distances if sample_weight is None else distances * sample_weight.double().unsqueeze(-1)).sum(0)


def kmeans_update(closest: Tensor, x: Tensor, point: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """See `latentcore.ops.kmeans_update`."""
    dtype = sum_dtype(x.dtype)
    closest.copy_(torch.minimum(closest, _squared_distances(x.to(dtype), point.to(dtype))[:, 0]))
    weighted = closest.double() if sample_weight is None else closest.double() * sample_weight.double()
    return weighted.sum(0, keepdim=True)


def _step(x: Tensor, weight: Tensor, centers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    nearest, labels = _squared_distances(x, centers).min(-1)
    differences = (x - centers[labels]) * weight.unsqueeze(-1)
    counts = torch.zeros_like(centers[:, 0]).index_add(0, labels, weight)
    shifts = torch.zeros_like(centers).index_add(0, labels, differences)
    return labels.int(), (weight * nearest).sum(), counts, shifts


def _squared_distances(x: Tensor, centers: Tensor) -> Tensor:
    """(N, K); the differences themselves are squared, which loses no digits far from the origin."""
    return torch.stack([(x - center).square().sum(-1) for center in centers], -1)
