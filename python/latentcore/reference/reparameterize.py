"""Plain torch twin of `latentcore.ops.reparameterize_kl`."""

import math

import torch
from torch import Tensor

from latentcore.reference._dtypes import sum_dtype
from latentcore.reference._gaussian import gaussian_kl

_MASK = 0xFFFFFFFF


def reparameterize_kl(
    mu: Tensor,
    logvar: Tensor,
    *,
    seed: Tensor,
    offset: int = 0,
    prior_mu: Tensor | None = None,
    prior_logvar: Tensor | None = None,
    reduction: str = "sum",
) -> tuple[Tensor, Tensor]:
    """See `latentcore.ops.reparameterize_kl`; `seed` is an int64 tensor, of one seed for each equal part of `mu`."""
    dtype = sum_dtype(mu.dtype)
    seeds = max(seed.numel(), 1)
    noise = philox_normal(seed, offset, mu.numel() // seeds, dtype).view(mu.shape)
    wide_mu, wide_logvar = mu.to(dtype), logvar.to(dtype)
    z = wide_mu + torch.exp(0.5 * wide_logvar) * noise
    wide_prior = (None if value is None else value.to(dtype) for value in (prior_mu, prior_logvar))
    kl = gaussian_kl(wide_mu, wide_logvar, *wide_prior)
    return z.to(mu.dtype), kl.sum(-1) if reduction == "sum" else kl


def philox_normal(seed: Tensor, offset: int, count: int, dtype: torch.dtype) -> Tensor:
    """The noise of the elements offset ... offset + count - 1: (count,) standard normal numbers for each seed."""
    first = offset // 4
    counters = torch.arange(first, (offset + count + 3) // 4, device=seed.device)
    a, b, c, d = _philox4x32_10(counters, seed.reshape(-1, 1))
    lanes = (*_box_muller(a, b, dtype), *_box_muller(c, d, dtype))
    start = offset - 4 * first
    return torch.stack(lanes, dim=-1).flatten(1)[:, start : start + count].flatten()


def _philox4x32_10(counter: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds on 32-bit words held in int64; a product's high half survives the wrap of int64."""
    c0, c1 = counter & _MASK, (counter >> 32) & _MASK
    c2, c3 = torch.zeros_like(counter), torch.zeros_like(counter)
    k0, k1 = key & _MASK, (key >> 32) & _MASK
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _MASK) ^ c1 ^ k0,
            p1 & _MASK,
            ((p0 >> 32) & _MASK) ^ c3 ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return c0, c1, c2, c3


def _box_muller(a: Tensor, b: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    radius = torch.sqrt(-2 * torch.log((a.to(dtype) + 0.5) * 2.0**-32))
    # quarter turns are split off in integers, so that the angle that is left is exact in float32 too
    quarter = ((b + 0x20000000) & _MASK) >> 30
    rest = b - (quarter << 30)
    rest = torch.where(rest > 0x7FFFFFFF, rest - 0x100000000, rest)
    angle = rest.to(dtype) * (math.pi / 2 * 2.0**-30)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    x = torch.where(quarter % 2 == 1, sine, cosine)
    y = torch.where(quarter % 2 == 1, cosine, sine)
    x = torch.where((quarter == 1) | (quarter == 2), -x, x)
    y = torch.where(quarter >= 2, -y, y)
    return radius * x, radius * y
