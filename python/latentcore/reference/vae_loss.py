"""Plain torch twin of `latentcore.ops.vae_loss`."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore.reference._dtypes import sum_dtype


class VAELoss(NamedTuple):
    """The loss and its terms, in nats: loss = reconstruction + beta * kl."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


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
    """See `latentcore.ops.vae_loss`."""
    dtype = sum_dtype(logits.dtype)
    # a column for logits of one dimension, a pixel per sample
    x = (target / 255 if target.dtype == torch.uint8 else target).to(dtype).unsqueeze(-1).flatten(1)
    wide_logits = logits.to(dtype).unsqueeze(-1).flatten(1)
    if likelihood == "bernoulli":
        x = x.where((x >= 0) & (x <= 1), torch.nan)  # for which there is no such likelihood
        terms = F.binary_cross_entropy_with_logits(wide_logits, x, reduction="none")
    else:
        terms = 0.5 * ((x - torch.sigmoid(wide_logits)) / scale).square()
    reconstruction = terms.sum(1)
    wide_mu, wide_logvar = mu.to(dtype), logvar.to(dtype)
    # not `square`, whose derivative overflows at half of the greatest number
    kl = 0.5 * (wide_mu * wide_mu + wide_logvar.exp() - 1 - wide_logvar).sum(1)
    if reduction == "mean":
        reconstruction, kl = reconstruction.mean(), kl.mean()
    if isinstance(beta, Tensor):
        beta = beta.reshape(()).to(kl.dtype)
    return VAELoss(reconstruction + beta * kl, reconstruction, kl)
