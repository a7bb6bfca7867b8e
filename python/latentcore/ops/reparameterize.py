"""Reparameterised sampling of a diagonal Gaussian with its KL divergence, in one pass."""

from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _native, reference
from latentcore.ops._autocast import under_autocast
from latentcore.ops._registration import register, register_backward

# shapes: (..., L) latents


@under_autocast("mu", "logvar")
def reparameterize_kl(
    mu: Tensor, logvar: Tensor, *, seed: int | Tensor | None = None, offset: int = 0
) -> tuple[Tensor, Tensor]:
    r"""Sample :math:`z \sim N(\mu, \sigma^2)` and measure its KL divergence from the standard normal prior.

    .. math::

        z = \mu + e^{\log\sigma^2 / 2} \, \varepsilon, \qquad
        KL = \tfrac12 \sum_L (\mu^2 + \sigma^2 - 1 - \log\sigma^2)

    The noise of element i (in row-major order) is a function of the seed and of ``offset + i`` alone: Philox4x32-10
    with key = seed and counter = (offset + i) // 4, Box-Muller, lane i mod 4. It is the same in eager mode, under
    ``torch.compile``, in a CUDA graph, for any number of threads, and for a batch processed whole or in parts. The
    backward pass draws it again instead of keeping it.

    Args:
        mu: Posterior means. (..., L), float32, float64, float16 or bfloat16.
        logvar: Logarithms of the posterior variances. Shape, dtype and device of ``mu``.
        seed: An int in [-2^63, 2^63), or an int64 tensor with one element on ``mu``'s device. ``None`` draws one from
            the default generator of that device, so that ``torch.manual_seed`` governs it.
        offset: Index of the first element, >= 0: rows b and later of a batch are sampled alone with ``offset = b * L``.

    Returns:
        ``(z, kl)``: samples like ``mu``, and the divergences in nats, shape ``mu.shape[:-1]``, float32 (float64 for
        float64 input). Both are differentiable in ``mu`` and ``logvar``.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: Shapes or devices differ, or ``seed`` or ``offset`` is out of range.

    Example:
        >>> import torch
        >>> from latentcore.ops import reparameterize_kl
        >>> z, kl = reparameterize_kl(torch.zeros(3, 2), torch.zeros(3, 2), seed=0)
        >>> z.shape, kl
        (torch.Size([3, 2]), tensor([0., 0., 0.]))

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.4 and appendix B.
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    _checks.floating("mu", mu)
    if mu.dim() == 0:
        _checks.fail_value("mu", "at least 1 dimension", "a scalar")
    _checks.countable("mu", mu)
    _checks.like("logvar", logvar, "mu", mu)
    _checks.shape("logvar", logvar, tuple(mu.shape))
    _checks.integer("offset", offset, 0, 2**63 - 1)
    seed_tensor = _seed_tensor(seed, mu)
    if not _native.has_kernel("reparameterize_kl", mu):
        return reference.reparameterize_kl(mu, logvar, seed=seed_tensor, offset=offset)
    z, kl = _operator(mu, logvar, seed_tensor, int(offset))
    return z, kl


def _seed_tensor(seed: int | Tensor | None, mu: Tensor) -> Tensor:
    if seed is None:
        drawn: Tensor = torch.ops.latentcore.draw_seed(mu) if torch.compiler.is_compiling() else _draw_seed(mu)
        return drawn
    if isinstance(seed, Tensor):
        _checks.dtype("seed", seed, (torch.int64,))
        if seed.numel() != 1:
            _checks.fail_value("seed", "one element", f"shape {tuple(seed.shape)}")
        if seed.device != mu.device:
            _checks.fail_value("seed", f"the device of mu, {mu.device}", seed.device)
        return seed
    _checks.integer("seed", seed, -(2**63), 2**63 - 1)
    return torch.full((), int(seed), dtype=torch.int64, device=mu.device)


# A schema with a tag cannot be made in schema.cpp: the stable ABI of torch 2.11 has no tags.
torch.library.define("latentcore::draw_seed", "(Tensor like) -> Tensor", tags=torch.Tag.nondeterministic_seeded)


def _draw_seed(like: Tensor) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, device=like.device)


torch.library.impl("latentcore::draw_seed", "CompositeExplicitAutograd", _draw_seed)


@torch.library.register_fake("latentcore::draw_seed")
def _draw_seed_fake(like: Tensor) -> Tensor:
    return like.new_empty((), dtype=torch.int64)


def _fake(mu: Tensor, logvar: Tensor, seed: Tensor, offset: int) -> tuple[Tensor, Tensor]:
    z = torch.empty_like(mu, memory_format=torch.contiguous_format)
    return z, mu.new_empty(mu.shape[:-1], dtype=reference.sum_dtype(mu.dtype))


def _fake_backward(
    grad_z: Tensor, grad_kl: Tensor, mu: Tensor, logvar: Tensor, seed: Tensor, offset: int
) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(mu, memory_format=torch.contiguous_format),
        torch.empty_like(mu, memory_format=torch.contiguous_format),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    mu, logvar, seed, offset = inputs
    ctx.save_for_backward(mu, logvar, seed)
    ctx.offset = offset


def _backward(ctx: Any, grad_z: Tensor, grad_kl: Tensor) -> tuple[Tensor, Tensor, None, None]:
    mu, logvar, seed = ctx.saved_tensors
    grad_mu, grad_logvar = torch.ops.latentcore.reparameterize_kl_backward(
        grad_z, grad_kl, mu, logvar, seed, ctx.offset
    )
    return grad_mu, grad_logvar, None, None


_operator = register(
    "reparameterize_kl",
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    twin=lambda ctx, mu, logvar, seed: reference.reparameterize_kl(mu, logvar, seed=seed, offset=ctx.offset),
)
register_backward("reparameterize_kl_backward", fake=_fake_backward)
