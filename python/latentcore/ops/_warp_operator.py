"""The operator of `rotate` and `affine`: its fake kernel, its derivative, and its rule for vmap."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentcore import reference
from latentcore.ops._folds import Mapped, merge, one_by_one
from latentcore.ops._registration import register, register_backward

# shapes: N images, A angles of each, C channels, H rows, W columns


def _fake(images: Tensor, matrix: Tensor, fill: Tensor, interpolation: str, dtype: torch.dtype) -> Tensor:
    return images.new_empty((images.shape[0], matrix.shape[1], *images.shape[1:]), dtype=dtype)


def _fake_backward(
    grad: Tensor, images: Tensor, matrix: Tensor, fill: Tensor, interpolation: str, for_images: bool, for_matrix: bool
) -> tuple[Tensor, Tensor]:
    n, rest, a = images.shape[0], images.shape[1:], matrix.shape[1]
    return (
        grad.new_empty((n if for_images else 0, *rest)),
        matrix.new_empty((n if for_matrix else 0, a, 2, 3)),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.interpolation, ctx.dtype = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
    images, matrix, fill = ctx.saved_tensors
    for_images, for_matrix = ctx.needs_input_grad[:2]
    grad_images, grad_matrix = torch.ops.latentcore.warp_backward(
        grad, images, matrix, fill, ctx.interpolation, for_images, for_matrix
    )
    return grad_images if for_images else None, grad_matrix if for_matrix else None, None, None, None


def _twin(ctx: Any, images: Tensor, matrix: Tensor, fill: Tensor) -> Tensor:
    return reference.warp(images, matrix, interpolation=ctx.interpolation, fill=fill, dtype=ctx.dtype)


def _fold(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """More images; more angles where all have the images in common and nobody asks for the gradient of each in them."""
    images, _, fill, *_ = mapped.dims
    if fill is not None:
        return one_by_one(call, mapped)
    # the matrices, and of the derivative the results' gradients
    places = (1, 3)
    if images is None and mapped.needed in (None, (1,)):
        return merge(call, mapped, places, dim=1, first=1)
    return merge(call, mapped, (0, *places), dim=1 if images == 1 else 0, first=0)


operator = register("warp", fake=_fake, setup_context=_setup_context, backward=_backward, twin=_twin, fold=_fold)
register_backward("warp_backward", fake=_fake_backward)
