"""The operator of `vae_loss`: its fake kernel, its derivative, and its rule for vmap."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentcore import reference
from latentcore.ops._folds import Mapped, merge, one_by_one
from latentcore.ops._registration import register, register_backward
from latentcore.ops._vae_loss_arguments import is_plain
from latentcore.reference import VAELoss

_POS_WEIGHT = 8  # its place among the arguments
# after the first four tensors; the operator and its twin take them by the same names
OPTIONAL = ("prior_mu", "prior_logvar", "mask", "sample_weight", "pos_weight")


def _fake(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor | None,
    prior_logvar: Tensor | None,
    mask: Tensor | None,
    sample_weight: Tensor | None,
    pos_weight: Tensor | None,
    beta: float,
    likelihood: str,
    scale: float,
    mean: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sizes = () if mean else logits.shape[:1]
    loss, reconstruction, kl = (logits.new_empty(sizes, dtype=reference.sum_dtype(logits.dtype)) for _ in range(3))
    gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
    return loss, reconstruction, kl, gradient if with_gradient else logits.new_empty((0,))


def _fake_backward(
    grad_loss: Tensor | None,
    grad_reconstruction: Tensor | None,
    grad_kl: Tensor | None,
    gradient: Tensor | None,
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor | None,
    prior_logvar: Tensor | None,
    sample_weight: Tensor | None,
    beta: float,
    mean: bool,
) -> list[Tensor]:
    given = (gradient, mu, logvar, prior_mu, prior_logvar)
    return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in given if t is not None]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.beta, ctx.likelihood, ctx.scale, ctx.mean, ctx.with_gradient = inputs
    gradient = output[3]
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, gradient)


def _backward(
    ctx: Any, grad_loss: Tensor | None, grad_reconstruction: Tensor | None, grad_kl: Tensor | None, _: None
) -> tuple[Tensor | None, ...]:
    *inputs, gradient = ctx.saved_tensors
    _, _, mu, logvar, prior_mu, prior_logvar, _, sample_weight, _ = inputs
    if getattr(ctx, "handed_on", False):  # the graph was retained, and a hook may have written to what it got
        options = (ctx.beta, ctx.likelihood, ctx.scale, ctx.mean, True)
        gradient = torch.ops.latentcore.vae_loss(*inputs, *options)[3]
    remembers = hasattr(ctx, "save_for_backward")  # a copy of the context does not
    ready = remembers and ctx.with_gradient and ctx.mean and grad_reconstruction is None
    ready = ready and _is_one(grad_loss, gradient)
    found = torch.ops.latentcore.vae_loss_backward.default(
        grad_loss,
        grad_reconstruction,
        grad_kl,
        gradient if ctx.with_gradient and not ready else None,
        mu,
        logvar,
        prior_mu,
        prior_logvar,
        sample_weight,
        ctx.beta,
        ctx.mean,
    )
    if ready:
        # not the saved tensor itself, which would say that somebody had written to it
        found, ctx.handed_on = (gradient.data, *found), True
    elif not ctx.with_gradient:
        found = (None, *found)
    return found[0], None, *found[1:], *(None,) * (13 - len(found))


def _is_one(grad: Tensor | None, gradient: Tensor) -> bool:
    """Whether backward() starts at the loss itself, whose gradient the forward pass has found already."""
    return grad is not None and is_plain(grad) and gradient.dtype == grad.dtype and float(grad) == 1.0


def _twin(ctx: Any, *saved: Any) -> VAELoss:
    return reference.vae_loss(
        *saved[:4],
        **dict(zip(OPTIONAL, saved[4:-1], strict=True)),
        beta=ctx.beta,
        likelihood=ctx.likelihood,
        scale=ctx.scale,
        reduction="mean" if ctx.mean else "none",
    )


def _fold(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """More samples, whose weights of positive pixels are the same. The terms must be those of every sample."""
    if mapped.dims[_POS_WEIGHT] is not None or _has_means(mapped):
        return one_by_one(call, mapped)
    of_samples = [place for place in range(len(mapped.inputs)) if place != _POS_WEIGHT]
    below = call if mapped.needed is not None else functools.partial(_with_rows, call)
    return merge(below, mapped, of_samples, dim=0, first=0)


def _with_rows(call: Callable[..., Any], *inputs: Any) -> tuple[Tensor, ...]:
    """All results with a row for each sample, the gradient that was not asked for too."""
    *terms, gradient = call(*inputs)
    return *terms, gradient if inputs[-1] else gradient.new_empty((inputs[0].shape[0], 0))


def _has_means(mapped: Mapped) -> bool:
    """Whether these are gradients in means over the batch, of a call that vmap has not seen."""
    results = zip(mapped.inputs[10:], mapped.dims[10:], strict=True)
    return mapped.needed is not None and any(
        grad is not None and grad.dim() == (0 if dim is None else 1) for grad, dim in results
    )


operator = register("vae_loss", fake=_fake, setup_context=_setup_context, backward=_backward, twin=_twin, fold=_fold)
register_backward("vae_loss_backward", fake=_fake_backward)
