"""K-means: an iteration of Lloyd's algorithm, and the distances that seeding needs, each in one pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _errors, _native, reference
from latentcore.ops._folds import Mapped, merge, one_by_one
from latentcore.ops._registration import register_constant, register_fake
from latentcore.ops._transformed import is_tracked
from latentcore.reference import KMeansStep

# shapes: (N, D) samples, (..., K, D) centres


@torch.no_grad()
def kmeans_step(x: Tensor, centers: Tensor, *, sample_weight: Tensor | None = None) -> KMeansStep:
    r"""Assign samples to their nearest centres and sum what moves the centres, for several sets of centres at once.

    .. math::

        l_n = \arg\min_k \lVert x_n - c_k \rVert^2, \quad
        I = \sum_n s_n \lVert x_n - c_{l_n} \rVert^2, \quad
        N_k = \sum_{l_n = k} s_n, \quad
        F_k = \sum_{l_n = k} s_n (x_n - c_k)

    An iteration of Lloyd's algorithm moves :math:`c_k` to :math:`c_k + F_k / N_k`. All sets share the samples, which
    are read once. Of centres equally near the first is taken. Nothing of size N×K exists, and the result is the same
    for any number of threads.

    Args:
        x: Samples. (N, D), D >= 1, float32, float64, float16 or bfloat16.
        centers: Centres. (..., K, D), K >= 1, one set for every index in front; dtype and device of ``x``.
        sample_weight: How often each sample counts, >= 0 (not checked). (N,), likewise. ``None`` counts each once.

    Returns:
        `KMeansStep(labels, inertia, counts, shifts)`: (..., N) int32; (...), (..., K) and (..., K, D) float32 (float64
        for float64 input). Not differentiable.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape or a device is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import kmeans_step
        >>> step = kmeans_step(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[1.0], [4.0]]))
        >>> step.labels, step.shifts.flatten()
        (tensor([0, 0, 1], dtype=torch.int32), tensor([-1.,  1.]))

    Reference:
        Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory, 1982.
    """
    _check(x, "centers", centers, sample_weight)
    if not _native.has_kernel("kmeans_step", x):
        return reference.kmeans_step(x, centers, sample_weight=sample_weight)
    return KMeansStep(*_step(x, centers, sample_weight))


@torch.no_grad()
def kmeans_potentials(x: Tensor, points: Tensor, closest: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    r"""What would be left of the squared distances if one of several points became a centre.

    .. math::

        P_l = \sum_n s_n \min(\text{closest}_n, \lVert x_n - p_l \rVert^2)

    A step of k-means++ draws some points with probabilities proportional to the squared distances so far, and keeps the
    one with the least potential. Nothing of size L×N exists.

    Args:
        x: Samples. (N, D), as in `kmeans_step`.
        points: Candidates. (L, D), L >= 1, dtype and device of ``x``.
        closest: Squared distances to the nearest centre so far; infinite where there is none yet. (N,), float32
            (float64 for float64 samples).
        sample_weight: How often each sample counts, as in `kmeans_step`.

    Returns:
        (L,), float64. Not differentiable.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape or a device is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import kmeans_potentials
        >>> x, points = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[1.0], [4.0]])
        >>> kmeans_potentials(x, points, torch.tensor([9.0, 9.0, 9.0]))
        tensor([10., 19.], dtype=torch.float64)

    Reference:
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    _check(x, "points", points, sample_weight)
    _check_closest(closest, x)
    _checks.shape("points", points, ("L", x.shape[1]))
    if not _native.has_kernel("kmeans_potentials", x):
        return reference.kmeans_potentials(x, points, closest, sample_weight=sample_weight)
    potentials: Tensor = _potentials(x, points, closest, sample_weight)
    return potentials


def kmeans_update(closest: Tensor, x: Tensor, point: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    r"""Make a point a centre: each number of `closest` becomes the lesser of itself and the squared distance to it.

    Args:
        closest: Squared distances to the nearest centre so far, contiguous; changed in place. (N,). It must not
            require a gradient, except under `torch.no_grad`.
        x: Samples. (N, D), as in `kmeans_step`.
        point: The point. (1, D), dtype and device of ``x``.
        sample_weight: How often each sample counts, as in `kmeans_step`.

    Returns:
        The weighted sum of `closest`, (1,), float64. Not differentiable.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape or a device is wrong, or ``closest`` is not contiguous or requires a gradient.

    Example:
        >>> import torch
        >>> from latentcore.ops import kmeans_update
        >>> closest = torch.tensor([9.0, 9.0, 9.0])
        >>> kmeans_update(closest, torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[1.0]])), closest
        (tensor([10.], dtype=torch.float64), tensor([1., 0., 9.]))

    Reference:
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    _check(x, "point", point, sample_weight)
    _checks.shape("point", point, (1, x.shape[1]))
    _check_closest(closest, x)
    if not closest.is_contiguous():
        _errors.fail_value("closest", "a contiguous tensor", f"strides {closest.stride()}")
    if is_tracked(closest):
        _errors.fail_value("closest", "a tensor that requires no gradient, as it is changed", "one that does")
    with torch.no_grad():
        if not _native.has_kernel("kmeans_update", x):
            return reference.kmeans_update(closest, x, point, sample_weight=sample_weight)
        potential: Tensor = torch.ops.latentcore.kmeans_update(closest, x, point, sample_weight)
    # for autograd, which may have saved it
    torch.autograd.graph.increment_version(closest)
    return potential


def _check_closest(closest: Tensor, x: Tensor) -> None:
    _checks.dtype("closest", closest, (reference.sum_dtype(x.dtype),))
    _checks.shape("closest", closest, (len(x),))
    if closest.device != x.device:
        _errors.fail_value("closest", f"the device of x, {x.device}", closest.device)


def _check(x: Tensor, name: str, centers: Tensor, sample_weight: Tensor | None) -> None:
    _checks.floating("x", x)
    if x.dim() != 2 or x.shape[1] == 0:
        _errors.fail_value("x", "shape (N, D) with D >= 1", tuple(x.shape))
    _checks.like(name, centers, "x", x)
    if centers.dim() < 2 or centers.shape[-1] != x.shape[1] or centers.shape[-2] == 0:
        _errors.fail_value(name, f"shape (..., K, {x.shape[1]}) with K >= 1", tuple(centers.shape))
    _checks.countable("x", x)
    _checks.countable(name, centers)
    if sample_weight is not None:
        _checks.like("sample_weight", sample_weight, "x", x)
        _checks.shape("sample_weight", sample_weight, (len(x),))


def _fake_step(x: Tensor, centers: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, dtype = centers.shape[:-2], reference.sum_dtype(x.dtype)
    return (
        x.new_empty((*batch, x.shape[0]), dtype=torch.int32),
        x.new_empty(batch, dtype=dtype),
        x.new_empty(centers.shape[:-1], dtype=dtype),
        x.new_empty(centers.shape, dtype=dtype),
    )


def _fake_potentials(x: Tensor, points: Tensor, closest: Tensor, sample_weight: Tensor | None) -> Tensor:
    return x.new_empty((points.shape[0],), dtype=torch.float64)


def _fake_update(closest: Tensor, x: Tensor, point: Tensor, sample_weight: Tensor | None) -> Tensor:
    return x.new_empty((1,), dtype=torch.float64)


def _fold_step(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """More sets of centres, where all have the samples in common."""
    x, _, sample_weight = mapped.inputs
    if mapped.dims[0] is not None or mapped.dims[2] is not None:
        return one_by_one(call, mapped)
    return call(x, mapped.at(1, 0), sample_weight), 0


def _fold_potentials(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """More points, where all have the rest in common."""
    if any(mapped.dims[place] is not None for place in (0, 2, 3)):
        return one_by_one(call, mapped)
    return merge(call, mapped, (1,), dim=0, first=0)


_step = register_constant("kmeans_step", _fake_step, _fold_step)
_potentials = register_constant("kmeans_potentials", _fake_potentials, _fold_potentials)
# no rule: what is written in place is not a copy of what vmap maps
register_fake("kmeans_update", _fake_update)
