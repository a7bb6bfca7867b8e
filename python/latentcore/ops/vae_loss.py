"""The loss of a variational autoencoder: reconstruction and KL divergence, in one pass over the pixels."""

from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _native, reference
from latentcore.ops._registration import once_differentiable
from latentcore.reference import VAELoss

# shapes: B samples, any number of pixel dimensions, L latents


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
        target: Images, of the shape of ``logits``: floating point in [0, 1], or uint8, which is divided by 255.
        mu: Posterior means. (B, L), dtype and device of ``logits``.
        logvar: Logarithms of the posterior variances. Like ``mu``.
        beta: Weight of the KL term: a number, or a tensor with one element, which may require a gradient.
        likelihood: ``"bernoulli"`` or ``"gaussian"``.
        scale: Standard deviation of the Gaussian likelihood, > 0.
        reduction: ``"mean"`` over the batch, or ``"none"``: one value per sample.

    Returns:
        ``VAELoss(loss, reconstruction, kl)`` in nats; scalars for ``"mean"``, (B,) for ``"none"``; float32 (float64
        for float64 input). ``reconstruction`` and ``kl`` are without ``beta``. Differentiable once.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: Shapes or devices differ, the batch is empty under ``"mean"``, or an option is unknown.

    Example:
        >>> import torch
        >>> from latentcore.ops import vae_loss
        >>> logits, latents = torch.zeros(4, 784), torch.zeros(4, 2)
        >>> images = torch.zeros(4, 784, dtype=torch.uint8)
        >>> vae_loss(logits, images, latents, latents).loss  # 784 * log(2)
        tensor(543.4274)

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014, equation 10.
        Higgins et al., "beta-VAE", 2017 (the weight beta).
    """
    _check(logits, target, mu, logvar, beta, likelihood, scale, reduction)
    if not _native.has_kernel("vae_loss", logits):
        return reference.vae_loss(
            logits, target, mu, logvar, beta=beta, likelihood=likelihood, scale=scale, reduction=reduction
        )
    if target.dtype != torch.uint8:
        target = target.to(logits.dtype)
    with_gradient = torch.is_grad_enabled() and logits.requires_grad
    reconstruction, kl, _ = torch.ops.latentcore.vae_loss(
        logits, target, mu, logvar, likelihood, float(scale), with_gradient
    )
    if reduction == "mean":
        reconstruction, kl = reconstruction.mean(), kl.mean()
    return VAELoss(reconstruction + beta * kl, reconstruction, kl)


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
    if isinstance(beta, Tensor) and beta.numel() != 1:
        _checks.fail_value("beta", "a number or a tensor with one element", f"shape {tuple(beta.shape)}")
    if not scale > 0:
        _checks.fail_value("scale", "a positive number", scale)
    if reduction == "mean" and logits.shape[0] == 0:
        _checks.fail_value("logits", "a batch with at least one sample", tuple(logits.shape))


def _fake(
    logits: Tensor, target: Tensor, mu: Tensor, logvar: Tensor, likelihood: str, scale: float, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = reference.sum_dtype(logits.dtype)
    sums = logits.new_empty(logits.shape[:1], dtype=dtype)
    gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
    return sums, torch.empty_like(sums), gradient if with_gradient else logits.new_empty((0,))


def _fake_backward(
    grad_reconstruction: Tensor, grad_kl: Tensor, gradient: Tensor, mu: Tensor, logvar: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(gradient, memory_format=torch.contiguous_format),
        torch.empty_like(mu, memory_format=torch.contiguous_format),
        torch.empty_like(mu, memory_format=torch.contiguous_format),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, _, mu, logvar, _, _, with_gradient = inputs
    gradient = output[2]
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)
    ctx.with_gradient = with_gradient
    ctx.save_for_backward(gradient, mu, logvar)


def _backward(
    ctx: Any, grad_reconstruction: Tensor | None, grad_kl: Tensor | None, _: None
) -> tuple[Tensor | None, ...]:
    gradient, mu, logvar = ctx.saved_tensors
    zeros = mu.new_zeros(mu.shape[:1], dtype=reference.sum_dtype(mu.dtype))
    if not ctx.with_gradient:  # only mu and logvar asked for one
        gradient = mu.new_empty((mu.shape[0], 0))
    grad_logits, grad_mu, grad_logvar = torch.ops.latentcore.vae_loss_backward(
        zeros if grad_reconstruction is None else grad_reconstruction,
        zeros if grad_kl is None else grad_kl,
        gradient,
        mu,
        logvar,
    )
    return grad_logits if ctx.with_gradient else None, None, grad_mu, grad_logvar, None, None, None


if _native.cpu_library.loaded:
    torch.library.register_fake("latentcore::vae_loss", _fake)
    torch.library.register_fake("latentcore::vae_loss_backward", _fake_backward)
    torch.library.register_autograd("latentcore::vae_loss", _backward, setup_context=_setup_context)
    once_differentiable("vae_loss_backward")
