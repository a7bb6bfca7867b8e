"""The loss of a variational autoencoder: reconstruction and KL divergence, in one pass over the pixels."""

from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _errors, _native, reference
from latentcore.ops._autocast import under_autocast
from latentcore.ops._prior import prior_of
from latentcore.ops._transformed import is_tracked
from latentcore.ops._vae_loss_arguments import (
    check_targets,
    checked_mask,
    checked_pos_weight,
    checked_sample_weight,
    is_known,
    is_plain,
    requires_grad,
)
from latentcore.ops._vae_loss_operator import OPTIONAL, operator
from latentcore.reference import VAELoss

if _native.cpu_library.loaded:
    from latentcore._C import take_nan_of_vae_loss

# shapes: B samples, any number of pixel dimensions, L latents


@under_autocast("logits", "mu", "logvar", "prior_mu", "prior_logvar")
def vae_loss(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    *,
    beta: float | Tensor = 1.0,
    likelihood: str = "bernoulli",
    scale: float = 1.0,
    prior_mu: Tensor | None = None,
    prior_logvar: Tensor | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    pos_weight: float | Tensor | None = None,
    reduction: str = "mean",
) -> VAELoss:
    r"""Negative evidence lower bound of a VAE with a diagonal Gaussian posterior, every term apart.

    .. math::

        \text{loss} = \text{reconstruction} + \beta \, KL, \qquad
        KL = \tfrac12 \sum_L \left(\frac{(\mu - \mu_p)^2 + \sigma^2}{\sigma_p^2} - 1
        - \log\frac{\sigma^2}{\sigma_p^2}\right)

    where the prior :math:`N(\mu_p, \sigma_p^2)` is N(0, I) unless it is given.

    Convention: the decoded image is always ``sigmoid(logits)``. The reconstruction term is summed over the pixels:

    - ``"bernoulli"``: binary cross entropy of the target under ``sigmoid(logits)``.
    - ``"gaussian"``: ``(target - sigmoid(logits))² / (2 scale²)``, the constant dropped.

    A pixel that is masked and a sample of weight 0 count as if they were not there: what they hold, NaN included, shows
    neither in the terms nor in a gradient, which is 0 for them. Only where ``sample_weight`` itself requires a gradient
    are samples of weight 0 looked at.

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
        prior_mu: Means of the prior, of a shape that broadcasts to (B, L), dtype and device of ``mu``. ``None`` is 0.
        prior_logvar: Logarithms of its variances, the same way. A prior may require a gradient.
        mask: Pixels that count: bool, of a shape that broadcasts to that of ``logits``. ``None``: all of them.
        sample_weight: Weights of the samples, >= 0, finite. (B,), any real dtype. They multiply all three terms; the
            mean is the weighted one, divided by the sum of the weights. ``None``: 1 each.
        pos_weight: Weight of the positive part of the Bernoulli likelihood, as in
            ``torch.nn.BCEWithLogitsLoss``: a number >= 0, or a tensor that broadcasts to the shape of one sample, whose
            values are not checked.
        reduction: ``"mean"`` over the batch, or ``"none"``: one value per sample.

    Returns:
        ``VAELoss(loss, reconstruction, kl)`` in nats; scalars for ``"mean"``, (B,) for ``"none"``; float32 (float64
        for float64 input). ``reconstruction`` and ``kl`` are without ``beta``. Differentiable in ``logits``, ``mu``,
        ``logvar``, ``beta`` and the prior; where ``target`` or a weight requires a gradient, plain torch finds all of
        them.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: Shapes or devices differ, the batch is empty under ``"mean"``, an option is unknown, a target of
            the Bernoulli likelihood is outside [0, 1], or, on the CPU, a weight of a sample is negative or infinite, or
            all are 0.

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
        Sohn et al., "Learning structured output representation using deep conditional generative models", 2015 (a
        prior with parameters of its own).
    """
    _check(logits, target, mu, logvar, beta, likelihood, scale, reduction)
    if not (prior_mu is None and prior_logvar is None):
        prior_mu, prior_logvar = prior_of(mu, prior_mu, prior_logvar)
    if not (mask is None and sample_weight is None and pos_weight is None):
        mask = checked_mask(mask, logits)
        sample_weight = checked_sample_weight(sample_weight, logits, reduction)
        pos_weight = checked_pos_weight(pos_weight, logits, likelihood)
    # the kernel has no gradient in these
    if requires_grad(target, sample_weight, pos_weight) or not _native.has_kernel("vae_loss", logits):
        _checks.countable("logits", logits)  # as the kernel does
        _checks.countable("mu", mu)
        optional = (prior_mu, prior_logvar, mask, sample_weight, pos_weight)
        options: dict[str, Any] = dict(zip(OPTIONAL, optional, strict=True))
        options |= {"beta": beta, "likelihood": likelihood, "scale": scale, "reduction": reduction}
        terms = reference.vae_loss(logits, target, mu, logvar, **options)
        if likelihood == "bernoulli" and is_known(terms.loss) and bool(terms.reconstruction.isnan().any()):
            check_targets(target, mask, sample_weight)
        return terms
    if target.dtype != torch.uint8:
        target = target.to(logits.dtype)
    with_gradient = is_tracked(logits)
    # beside the operator numbers are variables for a compiler, which need not compile anew for other values
    compiled = torch.compiler.is_compiling()
    beside = compiled or not is_plain(beta)
    weight, deviation = 0.0 if beside else float(beta), 1.0 if compiled else float(scale)
    # torch.func's vmap makes more samples of a batch, whose means are for later
    mean, rows = reduction == "mean", _native.is_transformed()
    tensors = (logits, target, mu, logvar, prior_mu, prior_logvar, mask, sample_weight, pos_weight)
    loss, reconstruction, kl, _ = operator(*tensors, weight, likelihood, deviation, mean and not rows, with_gradient)
    if mean and rows:
        find = torch.mean if sample_weight is None else torch.sum
        loss, reconstruction, kl = find(loss, 0), find(reconstruction, 0), find(kl, 0)
    # an earlier call that nobody could check may have left its word
    looks = likelihood == "bernoulli" and not torch.compiler.is_dynamo_compiling()
    if looks and take_nan_of_vae_loss() and is_known(loss):
        check_targets(target, mask, sample_weight)
    if compiled and likelihood == "gaussian":
        reconstruction = reconstruction / scale / scale  # a product of two numbers is a constant to torch 2.11
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
        _errors.fail_value("logits", "at least 1 dimension", "a scalar")
    _checks.dtype("target", target, (torch.uint8, *_checks.FLOATING))
    _checks.shape("target", target, logits.shape)
    if target.device != logits.device:
        _errors.fail_value("target", f"the device of logits, {logits.device}", target.device)
    _checks.like("mu", mu, "logits", logits)
    _checks.shape("mu", mu, (logits.shape[0], "L"))
    _checks.like("logvar", logvar, "mu", mu)
    _checks.shape("logvar", logvar, mu.shape)
    _errors.one_of("likelihood", likelihood, ("bernoulli", "gaussian"))
    _errors.one_of("reduction", reduction, ("mean", "none"))
    if isinstance(beta, Tensor):
        if beta.numel() != 1:
            _errors.fail_value("beta", "a number or a tensor with one element", f"shape {tuple(beta.shape)}")
        if beta.is_complex():
            _errors.fail_type("beta", "a real number", str(beta.dtype))
        if beta.device != logits.device:
            _errors.fail_value("beta", f"the device of logits, {logits.device}", beta.device)
    else:
        _errors.number("beta", beta)
    _errors.number("scale", scale)
    if not scale > 0:
        _errors.fail_value("scale", "a positive number", scale)
    if reduction == "mean" and logits.shape[0] == 0:
        _errors.fail_value("logits", "a batch with at least one sample", tuple(logits.shape))
