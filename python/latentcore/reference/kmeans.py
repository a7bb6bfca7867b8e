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


def kmeans_distances(
    x: Tensor, points: Tensor, *, closest: Tensor | None = None, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """See `latentcore.ops.kmeans_distances`."""
    distances = _squared_distances(x.to(sum_dtype(x.dtype)), points.to(sum_dtype(x.dtype))).mT.contiguous()
    if closest is not None:
        distances = torch.minimum(distances, closest)
    weighted = distances.double() if sample_weight is None else distances.double() * sample_weight.double()
    return distances, weighted.sum(-1)


def _step(x: Tensor, weight: Tensor, centers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    nearest, labels = _squared_distances(x, centers).min(-1)
    differences = (x - centers[labels]) * weight.unsqueeze(-1)
    counts = torch.zeros_like(centers[:, 0]).index_add(0, labels, weight)
    shifts = torch.zeros_like(centers).index_add(0, labels, differences)
    return labels.int(), (weight * nearest).sum(), counts, shifts


def _squared_distances(x: Tensor, centers: Tensor) -> Tensor:
    """(N, K); the differences themselves are squared, which loses no digits far from the origin."""
    return torch.stack([(x - center).square().sum(-1) for center in centers], -1)
