"""Fakes and gradients of the mixture operators.

With r in place of responsibilities, the gradients of Σ r (log w + log N) in the parameters are closed forms of the same
moments that an M-step needs; those of the log likelihood are the case r = responsibilities (Fisher's identity).
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from latentcore import reference
from latentcore.ops._folds import Fold, Mapped, in_front, merge
from latentcore.ops._registration import register, register_backward

# shapes: (..., N, D) samples, (..., K, D) means, K components


torch.library.define(
    "latentcore::gmm_parameter_gradients",
    "(Tensor n_k, Tensor first, Tensor second, Tensor weights, Tensor precisions_cholesky, str covariance_type) "
    "-> (Tensor grad_weights, Tensor grad_means, Tensor grad_precisions_cholesky)",
)


@torch.library.impl("latentcore::gmm_parameter_gradients", "CompositeExplicitAutograd")
def _parameter_gradients(
    n_k: Tensor, first: Tensor, second: Tensor, weights: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of Σ_k Σ_n r (log w_k + log N_k) out of the moments of r, in the dtype of the parameters."""
    factors, dimensions = precisions_cholesky.to(n_k.dtype), first.shape[-1]
    if covariance_type in ("full", "tied"):
        factors = factors.triu()
        if covariance_type == "full":
            grad_means = (first.unsqueeze(-2) @ factors @ factors.mT).squeeze(-2)
            count = n_k.unsqueeze(-1)
        else:
            grad_means = first @ factors @ factors.mT
            count = n_k.sum(-1, keepdim=True)
        log_det = torch.diag_embed(count / factors.diagonal(dim1=-2, dim2=-1))
        grad_factors = log_det - (second @ factors).triu()
    elif covariance_type == "diag":
        grad_means = first * factors.square()
        grad_factors = n_k.unsqueeze(-1) / factors - second * factors
    else:
        grad_means = first * factors.square().unsqueeze(-1)
        grad_factors = dimensions * n_k / factors - second * factors
    grad_weights = n_k / weights.to(n_k.dtype)
    dtype = precisions_cholesky.dtype
    return grad_weights.to(dtype), grad_means.to(dtype), grad_factors.to(dtype)


def _fake_parameter_gradients(
    n_k: Tensor, first: Tensor, second: Tensor, weights: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (n_k.shape, first.shape, precisions_cholesky.shape)
    grad_weights, grad_means, grad_factors = (precisions_cholesky.new_empty(shape) for shape in shapes)
    return grad_weights, grad_means, grad_factors


def _fake_log_prob(x: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str) -> Tensor:
    return x.new_empty((*x.shape[:-1], means.shape[-2]), dtype=reference.sum_dtype(x.dtype))


def _fake_e_step(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> tuple[Tensor, Tensor]:
    norm = x.new_empty(x.shape[:-1], dtype=reference.sum_dtype(x.dtype))
    return norm, _fake_log_prob(x, means, precisions_cholesky, covariance_type)


def _fake_statistics(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str,
    sample_weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *batch, components, dimensions = means.shape
    shapes = (
        (),
        (components,),
        (components, dimensions),
        reference.covariance_shape(components, dimensions, covariance_type),
    )
    dtype = reference.sum_dtype(x.dtype)
    log_likelihood, n_k, first, second = (x.new_empty((*batch, *shape), dtype=dtype) for shape in shapes)
    return log_likelihood, n_k, first, second


def _fake_responsibilities(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> Tensor:
    return _fake_log_prob(x, means, precisions_cholesky, covariance_type)


def _fake_score(
    grad: Tensor,
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str,
    sample_weight: Tensor | None,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _fake_moments(
    resp: Tensor, x: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _, n_k, first, second = _fake_statistics(x, resp, means, precisions_cholesky, covariance_type, None)
    return torch.empty_like(x, memory_format=torch.contiguous_format), n_k, first, second


def _setup_log_prob(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.covariance_type = inputs
    ctx.save_for_backward(*tensors)


def _log_prob_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    x, means, factors = ctx.saved_tensors
    score, *moments = torch.ops.latentcore.gmm_moments(grad, x, means, factors, ctx.covariance_type)
    no_weights = torch.ones_like(moments[0])
    _, grad_means, grad_factors = torch.ops.latentcore.gmm_parameter_gradients(
        *moments, no_weights, factors, ctx.covariance_type
    )
    return score, grad_means, grad_factors, None


def _log_prob_twin(ctx: Any, x: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    return reference.gmm_log_prob(x, means, factors, ctx.covariance_type)


def _setup_e_step(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.covariance_type = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.set_materialize_grads(False)


def _e_step_backward(ctx: Any, grad_norm: Tensor | None, grad_log_resp: Tensor | None) -> tuple[Tensor | None, ...]:
    x, weights, means, factors, log_resp = ctx.saved_tensors
    resp = log_resp.exp()
    # the gradient in the joint log densities, which stands in for responsibilities
    joint = torch.zeros_like(resp) if grad_norm is None else resp * grad_norm.unsqueeze(-1)
    if grad_log_resp is not None:
        joint = joint + grad_log_resp - resp * grad_log_resp.sum(-1, keepdim=True)
    score, *moments = torch.ops.latentcore.gmm_moments(joint, x, means, factors, ctx.covariance_type)
    gradients = torch.ops.latentcore.gmm_parameter_gradients(*moments, weights, factors, ctx.covariance_type)
    return score, *gradients, None


def _e_step_twin(
    ctx: Any, x: Tensor, weights: Tensor, means: Tensor, factors: Tensor, log_resp: Tensor
) -> tuple[Tensor, Tensor]:
    return reference.gmm_e_step(x, weights, means, factors, ctx.covariance_type)


def _setup_responsibilities(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.covariance_type = inputs
    ctx.save_for_backward(*tensors, output)


def _responsibilities_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weights, means, factors, resp = ctx.saved_tensors
    weighted = resp * grad
    joint = weighted - resp * weighted.sum(-1, keepdim=True)
    score, *moments = torch.ops.latentcore.gmm_moments(joint, x, means, factors, ctx.covariance_type)
    gradients = torch.ops.latentcore.gmm_parameter_gradients(*moments, weights, factors, ctx.covariance_type)
    return score, *gradients, None


def _responsibilities_twin(
    ctx: Any, x: Tensor, weights: Tensor, means: Tensor, factors: Tensor, resp: Tensor
) -> Tensor:
    return reference.gmm_responsibilities(x, weights, means, factors, ctx.covariance_type)


def _setup_statistics(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.covariance_type, sample_weight = inputs
    ctx.save_for_backward(*tensors, sample_weight, *output[1:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _statistics_backward(ctx: Any, grad: Tensor | None, *unused: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 6
    x, weights, means, factors, sample_weight, *moments = ctx.saved_tensors
    score = None
    if ctx.needs_input_grad[0]:
        score = torch.ops.latentcore.gmm_score(grad, x, weights, means, factors, ctx.covariance_type, sample_weight)
    scaled = (moment * _expand(grad, moment) for moment in moments)
    gradients = torch.ops.latentcore.gmm_parameter_gradients(*scaled, weights, factors, ctx.covariance_type)
    return score, *gradients, None, None


def _statistics_twin(
    ctx: Any,
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    factors: Tensor,
    sample_weight: Tensor | None,
    *moments: Tensor,
) -> tuple[Tensor, ...]:
    return reference.gmm_statistics(x, weights, means, factors, ctx.covariance_type, sample_weight=sample_weight)


def _expand(grad: Tensor, like: Tensor) -> Tensor:
    """`grad` with trailing dimensions of size 1, as many as `like` has."""
    return grad.reshape(grad.shape + (1,) * (like.dim() - grad.dim()))


def _over_samples(parameters: Collection[int]) -> Fold:
    """The rule of an operator that does the same with every sample, whose parameters are the inputs at these places.

    More samples are cheaper than more mixtures. Gradients of parameters are sums over the samples.
    """

    def fold(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
        shared = all(mapped.dims[place] is None for place in parameters)
        one_mixture = mapped.dims[0] is not None and mapped.inputs[0].dim() == 3
        if not (shared and one_mixture and mapped.needed in (None, (0,))):
            return in_front(call, mapped)
        places = [place for place in range(len(mapped.inputs)) if place not in parameters]
        return merge(call, mapped, places, dim=1 if mapped.dims[0] == 1 else 0, first=0)

    return fold


log_prob = register(
    "gmm_log_prob",
    fake=_fake_log_prob,
    setup_context=_setup_log_prob,
    backward=_log_prob_backward,
    twin=_log_prob_twin,
    fold=_over_samples((1, 2)),
)
e_step = register(
    "gmm_e_step",
    fake=_fake_e_step,
    setup_context=_setup_e_step,
    backward=_e_step_backward,
    twin=_e_step_twin,
    fold=_over_samples((1, 2, 3)),
)
responsibilities = register(
    "gmm_responsibilities",
    fake=_fake_responsibilities,
    setup_context=_setup_responsibilities,
    backward=_responsibilities_backward,
    twin=_responsibilities_twin,
    fold=_over_samples((1, 2, 3)),
)
statistics = register(
    "gmm_statistics",
    fake=_fake_statistics,
    setup_context=_setup_statistics,
    backward=_statistics_backward,
    twin=_statistics_twin,
    fold=in_front,
)
register_backward("gmm_score", fake=_fake_score)
register_backward("gmm_moments", fake=_fake_moments)
register_backward("gmm_parameter_gradients", fake=_fake_parameter_gradients)
