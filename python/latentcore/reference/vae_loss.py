"""Plain torch twin of `latentcore.ops.vae_loss`."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore.reference._dtypes import sum_dtype
from latentcore.reference._gaussian import gaussian_kl


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
    prior_mu: Tensor | None = None,
    prior_logvar: Tensor | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> VAELoss:
    """See `latentcore.ops.vae_loss`; `mask` has the shape of `logits`, `pos_weight` that of a sample."""
    dtype = sum_dtype(logits.dtype)
    weight = None if sample_weight is None else sample_weight.to(dtype)
    weighted = None if weight is None or weight.requires_grad else weight.unsqueeze(1) != 0
    counted = _counted(mask, weighted)
    # a column for logits of one dimension, a pixel per sample
    x = _kept((target / 255 if target.dtype == torch.uint8 else target).to(dtype).unsqueeze(-1).flatten(1), counted)
    wide_logits = _kept(logits.to(dtype).unsqueeze(-1).flatten(1), counted)
    if likelihood == "bernoulli":
        x = x.where((x >= 0) & (x <= 1), torch.nan)  # for which there is no such likelihood
        terms = _cross_entropy(wide_logits, x, pos_weight)
    else:
        terms = 0.5 * ((x - torch.sigmoid(wide_logits)) / scale).square()
    reconstruction = _kept(terms, counted).sum(1)
    mu, logvar = (_kept(t.to(dtype), weighted) for t in (mu, logvar))
    prior = (None if t is None else _kept(t.to(dtype), weighted) for t in (prior_mu, prior_logvar))
    kl = gaussian_kl(mu, logvar, *prior).sum(1)
    if weight is not None:
        reconstruction, kl = weight * reconstruction, weight * kl
    if reduction == "mean":
        reconstruction, kl = (_mean(rows, weight) for rows in (reconstruction, kl))
    if isinstance(beta, Tensor):
        beta = beta.reshape(()).to(kl.dtype)
    return VAELoss(reconstruction + beta * kl, reconstruction, kl)


def _cross_entropy(logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
    if pos_weight is None:
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # not torch's own, which has no derivative in the weight, and in which parts of two signs cancel
    on = pos_weight.to(logits.dtype).flatten() * target
    return -(1 - target) * F.logsigmoid(-logits) - on * F.logsigmoid(logits)


def _mean(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Of rows that are weighted already."""
    return rows.mean() if weight is None else rows.sum() / weight.sum()


def _counted(mask: Tensor | None, weighted: Tensor | None) -> Tensor | None:
    """Pixels that are not masked, of samples that have a weight, (B, P) or (B, 1); None where that is all of them."""
    parts = [] if mask is None else [mask.unsqueeze(-1).flatten(1)]
    parts += [] if weighted is None else [weighted]
    return None if not parts else parts[0] & parts[-1]


def _kept(values: Tensor, counted: Tensor | None) -> Tensor:
    """Zeros where nothing counts, so that what stands there has no part in values and derivatives."""
    return values if counted is None else values.where(counted, 0)
