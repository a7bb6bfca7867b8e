"""The loss of a variational autoencoder: reconstruction and KL divergence, in one pass over the pixels."""

from typing import Any

import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack
from torch._C._functorch import peek_interpreter_stack

from latentcore import _checks, _native, reference
from latentcore.ops._autocast import under_autocast
from latentcore.ops._registration import register, register_backward
from latentcore.reference import VAELoss

if _native.cpu_library.loaded:
    from latentcore._C import take_nan_of_vae_loss

# shapes: B samples, any number of pixel dimensions, L latents


@under_autocast("logits", "mu", "logvar")
def vae_loss(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    *,
    beta: float | Tensor = 1.0,
    likelihood: str = "bernoulli",
    scale: float = 1.0,
    reduction: str = "mean",
) -> VAELoss:
    r"""Negative evidence lower bound of a VAE with a diagonal Gaussian posterior, every term apart.

    .. math::

        \text{loss} = \text{reconstruction} + \beta \, KL, \qquad
        KL = \tfrac12 \sum_L (\mu^2 + \sigma^2 - 1 - \log\sigma^2)

    Convention: the decoded image is always ``sigmoid(logits)``. The reconstruction term is summed over the pixels:

    - ``"bernoulli"``: binary cross entropy of the target under ``sigmoid(logits)``.
    - ``"gaussian"``: ``(target - sigmoid(logits))² / (2 scale²)``, the constant dropped.

    The gradient with respect to ``logits`` is found in the forward pass, so that the backward pass only scales it.

    Args:
        logits: Decoder outputs before the sigmoid. (B, ...), float32, float64, float16 or bfloat16.
        target: Images, of the shape of ``logits``: floating point in [0, 1], read in the dtype of ``logits``, or uint8,
            which is divided by 255. Under ``"bernoulli"`` any other number, or NaN, is an error on the CPU; on CUDA, in
            a graph and under ``torch.compile``, where nobody waits to look, it makes the loss NaN.
        mu: Posterior means. (B, L), dtype and device of ``logits``.
        logvar: Logarithms of the posterior variances. Like ``mu``.
        beta: Weight of the KL term: a number, or a tensor with one element, which may require a gradient.
        likelihood: ``"bernoulli"`` or ``"gaussian"``.
        scale: Standard deviation of the Gaussian likelihood, > 0.
        reduction: ``"mean"`` over the batch, or ``"none"``: one value per sample.

    Returns:
        ``VAELoss(loss, reconstruction, kl)`` in nats; scalars for ``"mean"``, (B,) for ``"none"``; float32 (float64
        for float64 input). ``reconstruction`` and ``kl`` are without ``beta``. Differentiable in all
        five tensors; where ``target`` requires a gradient, plain torch finds all of them.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: Shapes or devices differ, the batch is empty under ``"mean"``, an option is unknown, or a target of
            the Bernoulli likelihood is outside [0, 1].

    Example:
        >>> import torch
        >>> from latentcore.ops import vae_loss
        >>> logits, latents = torch.zeros(4, 784), torch.zeros(4, 2)
        >>> images = torch.zeros(4, 784, dtype=torch.uint8)
        >>> vae_loss(logits, images, latents, latents).loss.round()  # 784 * log(2)
        tensor(543.)

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014, equation 10.
        Higgins et al., "beta-VAE", 2017 (the weight beta).
    """
    _check(logits, target, mu, logvar, beta, likelihood, scale, reduction)
    # the kernel has no gradient in the target
    if (target.requires_grad and torch.is_grad_enabled()) or not _native.has_kernel("vae_loss", logits):
        _checks.countable("logits", logits)  # as the kernel does
        _checks.countable("mu", mu)
        terms = reference.vae_loss(
            logits, target, mu, logvar, beta=beta, likelihood=likelihood, scale=scale, reduction=reduction
        )
        if likelihood == "bernoulli" and _is_known(terms.loss) and bool(terms.reconstruction.isnan().any()):
            _check_values(target)
        return terms
    if target.dtype != torch.uint8:
        target = target.to(logits.dtype)
    with_gradient = torch.is_grad_enabled() and logits.requires_grad
    # beside the operator numbers are variables for a compiler, which need not compile anew for other values
    compiled = torch.compiler.is_compiling()
    beside = compiled or not _is_plain(beta)
    weight, deviation = 0.0 if beside else float(beta), 1.0 if compiled else float(scale)
    loss, reconstruction, kl, _ = _operator(
        logits, target, mu, logvar, weight, likelihood, deviation, reduction == "mean", with_gradient
    )
    # an earlier call that nobody could check may have left its word
    looks = likelihood == "bernoulli" and not torch.compiler.is_dynamo_compiling()
    if looks and take_nan_of_vae_loss() and _is_known(loss):
        _check_values(target)
    if compiled and likelihood == "gaussian":
        reconstruction = reconstruction / (scale * scale)
    if beside:  # neither the shape nor the dtype of a tensor is to spread to the loss
        loss = reconstruction + (beta.reshape(()).to(kl.dtype) if isinstance(beta, Tensor) else beta) * kl
    return VAELoss(loss, reconstruction, kl)


def _check(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    beta: float | Tensor,
    likelihood: str,
    scale: float,
    reduction: str,
) -> None:
    _checks.floating("logits", logits)
    if logits.dim() == 0:
        _checks.fail_value("logits", "at least 1 dimension", "a scalar")
    _checks.dtype("target", target, (torch.uint8, *_checks.FLOATING))
    _checks.shape("target", target, tuple(logits.shape))
    if target.device != logits.device:
        _checks.fail_value("target", f"the device of logits, {logits.device}", target.device)
    _checks.like("mu", mu, "logits", logits)
    _checks.shape("mu", mu, (logits.shape[0], "L"))
    _checks.like("logvar", logvar, "mu", mu)
    _checks.shape("logvar", logvar, tuple(mu.shape))
    _checks.one_of("likelihood", likelihood, ("bernoulli", "gaussian"))
    _checks.one_of("reduction", reduction, ("mean", "none"))
    if isinstance(beta, Tensor):
        if beta.numel() != 1:
            _checks.fail_value("beta", "a number or a tensor with one element", f"shape {tuple(beta.shape)}")
        if beta.is_complex():
            _checks.fail_type("beta", "a real number", str(beta.dtype))
        if beta.device != logits.device:
            _checks.fail_value("beta", f"the device of logits, {logits.device}", beta.device)
    else:
        _checks.number("beta", beta)
    _checks.number("scale", scale)
    if not scale > 0:
        _checks.fail_value("scale", "a positive number", scale)
    if reduction == "mean" and logits.shape[0] == 0:
        _checks.fail_value("logits", "a batch with at least one sample", tuple(logits.shape))


def _fake(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
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
    gradient: Tensor,
    mu: Tensor,
    logvar: Tensor,
    beta: float,
    mean: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(gradient, memory_format=torch.contiguous_format),
        torch.empty_like(mu, memory_format=torch.contiguous_format),
        torch.empty_like(mu, memory_format=torch.contiguous_format),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.beta, ctx.likelihood, ctx.scale, ctx.mean, ctx.with_gradient = inputs
    gradient = output[3]
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, gradient)


def _backward(
    ctx: Any, grad_loss: Tensor | None, grad_reconstruction: Tensor | None, grad_kl: Tensor | None, _: None
) -> tuple[Tensor | None, ...]:
    *_, mu, logvar, gradient = ctx.saved_tensors
    if getattr(ctx, "handed_on", False):  # the graph was retained, and a hook may have written to what it got
        inputs = (*ctx.saved_tensors[:4], ctx.beta, ctx.likelihood, ctx.scale, ctx.mean, True)
        gradient = torch.ops.latentcore.vae_loss(*inputs)[3]
    ready = ctx.with_gradient and ctx.mean and grad_reconstruction is None and _is_one(grad_loss, gradient)
    grad_logits, grad_mu, grad_logvar = torch.ops.latentcore.vae_loss_backward.default(
        grad_loss,
        grad_reconstruction,
        grad_kl,
        gradient if ctx.with_gradient and not ready else mu.new_empty((mu.shape[0], 0)),
        mu,
        logvar,
        ctx.beta,
        ctx.mean,
    )
    if ready:
        # not the saved tensor itself, which would say that somebody had written to it
        grad_logits, ctx.handed_on = gradient.data, True
    return grad_logits if ctx.with_gradient else None, None, grad_mu, grad_logvar, *(None,) * 5


def _is_one(grad: Tensor | None, gradient: Tensor) -> bool:
    """Whether backward() starts at the loss itself, whose gradient the forward pass has found already."""
    return grad is not None and _is_plain(grad) and gradient.dtype == grad.dtype and float(grad) == 1.0


def _is_plain(value: float | Tensor) -> bool:
    """Whether a number can be looked at and is a constant."""
    return not isinstance(value, Tensor) or (_is_known(value) and not value.requires_grad)


def _is_known(value: Tensor) -> bool:
    """Whether the values of a tensor can be looked at.

    A tensor of a subclass stands for one whose value is not known (under a compiler), as do all while calls are written
    down or transformed, and looking at a value on another device would wait for it.
    """
    known = type(value) is Tensor and value.is_cpu and not torch.compiler.is_compiling()
    return known and not _len_torch_dispatch_stack() and peek_interpreter_stack() is None


def _check_values(target: Tensor) -> None:
    """An error where a target is none of the Bernoulli likelihood's, of which the pass over the pixels made NaN.

    So nobody else looks at the targets, unless it is the logits that are NaN. Bytes are always right.
    """
    if target.dtype == torch.uint8:
        return
    outside = target[~((target >= 0) & (target <= 1))]
    if outside.numel() > 0:
        _checks.fail_value("target", "numbers in [0, 1] for the Bernoulli likelihood", outside[0].item())


def _twin(ctx: Any, *saved: Tensor) -> VAELoss:
    reduction = "mean" if ctx.mean else "none"
    options = {"beta": ctx.beta, "likelihood": ctx.likelihood, "scale": ctx.scale, "reduction": reduction}
    return reference.vae_loss(*saved[:4], **options)


_operator = register("vae_loss", fake=_fake, setup_context=_setup_context, backward=_backward, twin=_twin)
register_backward("vae_loss_backward", fake=_fake_backward)
