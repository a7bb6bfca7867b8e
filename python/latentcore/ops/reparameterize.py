"""Reparameterised sampling of a diagonal Gaussian with its KL divergence, in one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _errors, _native, reference
from latentcore.ops._autocast import under_autocast
from latentcore.ops._folds import in_front
from latentcore.ops._prior import prior_of
from latentcore.ops._registration import register, register_backward

# shapes: (..., L) latents


_first_row: ContextVar[int] = ContextVar("first_row", default=0)


@contextmanager
def first_row(row: int) -> Iterator[None]:
    """Inside, the first latents of a call of `reparameterize_kl` are row `row` of a batch that was divided.

    So processes that share a batch draw the noise of the whole batch, whatever model calls the operator. It does
    nothing inside of a compiled function.

    Example:
        >>> import torch
        >>> from latentcore.ops import reparameterize_kl
        >>> mu = torch.zeros(4, 3)
        >>> whole, _ = reparameterize_kl(mu, mu, seed=0)
        >>> with first_row(2):
        ...     part, _ = reparameterize_kl(mu[2:], mu[2:], seed=0)
        >>> torch.equal(part, whole[2:])
        True
    """
    token = _first_row.set(row)
    try:
        yield
    finally:
        _first_row.reset(token)


@under_autocast("mu", "logvar", "prior_mu", "prior_logvar")
def reparameterize_kl(
    mu: Tensor,
    logvar: Tensor,
    *,
    prior_mu: Tensor | None = None,
    prior_logvar: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
    reduction: str = "sum",
) -> tuple[Tensor, Tensor]:
    r"""Sample :math:`z \sim N(\mu, \sigma^2)` and measure its KL divergence from a diagonal Gaussian prior.

    .. math::

        z = \mu + e^{\log\sigma^2 / 2} \, \varepsilon, \qquad
        KL = \tfrac12 \sum_L \left(\frac{(\mu - \mu_p)^2 + \sigma^2}{\sigma_p^2} - 1
        - \log\frac{\sigma^2}{\sigma_p^2}\right)

    where the prior :math:`N(\mu_p, \sigma_p^2)` is N(0, I) unless it is given.

    The noise of element i (in row-major order) is a function of the seed and of ``offset + i`` alone: Philox4x32-10
    with key = seed and counter = (offset + i) // 4, Box-Muller, lane i mod 4. It is the same in eager mode, under
    ``torch.compile``, in a CUDA graph, for any number of threads, and for a batch processed whole or in parts. The
    backward pass draws it again instead of keeping it.

    Args:
        mu: Posterior means. (..., L), float32, float64, float16 or bfloat16.
        logvar: Logarithms of the posterior variances. Shape, dtype and device of ``mu``.
        prior_mu: Means of the prior, of a shape that broadcasts to that of ``mu``, its dtype and device. ``None`` is 0.
        prior_logvar: Logarithms of its variances, the same way.
        seed: An int in [-2^63, 2^63), or an int64 tensor with one element on ``mu``'s device. ``None`` draws one from
            ``generator``.
        generator: A generator of ``mu``'s device. ``None`` is that device's default one, so that ``torch.manual_seed``
            governs it. ``torch.compile`` breaks the graph at a generator: hand over a seed that was drawn outside.
        offset: Index of the first element, >= 0: rows b and later of a batch are sampled alone with ``offset = b * L``.
        reduction: ``"sum"`` over the L latents, or ``"none"``: the divergence of every latent, as for free bits.

    Returns:
        ``(z, kl)``: samples like ``mu``, and the divergences in nats, shape ``mu.shape[:-1]``, or ``mu.shape`` for
        ``"none"``, float32 (float64 for float64 input). Both are differentiable in ``mu`` and ``logvar``, the
        divergences in the prior too.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: Shapes or devices differ, ``seed`` or ``offset`` is out of range, an option is unknown, or there are
            both a seed and a generator.

    Example:
        >>> import torch
        >>> from latentcore.ops import reparameterize_kl
        >>> z, kl = reparameterize_kl(torch.zeros(3, 2), torch.zeros(3, 2), seed=0)
        >>> z.shape, kl
        (torch.Size([3, 2]), tensor([0., 0., 0.]))

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.4 and appendix B.
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
        Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016, appendix C.8 (free
        bits).
    """
    _checks.floating("mu", mu)
    if mu.dim() == 0:
        _errors.fail_value("mu", "at least 1 dimension", "a scalar")
    _checks.countable("mu", mu)
    _checks.like("logvar", logvar, "mu", mu)
    _checks.shape("logvar", logvar, mu.shape)
    _errors.integer("offset", offset, 0, 2**63 - 1)
    if reduction != "sum":
        _errors.one_of("reduction", reduction, ("sum", "none"))
    if not (prior_mu is None and prior_logvar is None):
        prior_mu, prior_logvar = prior_of(mu, prior_mu, prior_logvar)
    seed_tensor = _seed_tensor(seed, generator, mu)
    if not torch.compiler.is_compiling() and (row := _first_row.get()):
        offset += row * (mu.numel() // max(1, mu.shape[0]))
    if not _native.has_kernel("reparameterize_kl", mu):
        return reference.reparameterize_kl(
            mu,
            logvar,
            seed=seed_tensor,
            offset=offset,
            prior_mu=prior_mu,
            prior_logvar=prior_logvar,
            reduction=reduction,
        )
    z, kl = _operator(mu, logvar, prior_mu, prior_logvar, seed_tensor, int(offset), reduction == "none")
    return z, kl


def _seed_tensor(seed: int | Tensor | None, generator: torch.Generator | None, mu: Tensor) -> Tensor:
    if generator is not None:
        return _seed_of(generator, seed, mu)
    if seed is None:
        drawn: Tensor = torch.ops.latentcore.draw_seed(mu) if torch.compiler.is_compiling() else _draw_seed(mu)
        return drawn
    if isinstance(seed, Tensor):
        _checks.dtype("seed", seed, (torch.int64,))
        if seed.numel() != 1:
            _errors.fail_value("seed", "one element", f"shape {tuple(seed.shape)}")
        if seed.device != mu.device:
            _errors.fail_value("seed", f"the device of mu, {mu.device}", seed.device)
        return seed
    _errors.integer("seed", seed, -(2**63), 2**63 - 1)
    return torch.full((), int(seed), dtype=torch.int64, device=mu.device)


def _seed_of(generator: torch.Generator, seed: int | Tensor | None, mu: Tensor) -> Tensor:
    if not isinstance(generator, torch.Generator):
        _errors.fail_type("generator", "a torch.Generator", type(generator).__name__)
    if seed is not None:
        _errors.fail_value("generator", "None beside a seed", generator)
    if generator.device.type != mu.device.type:
        _errors.fail_value("generator", f"one of the device of mu, {mu.device}", generator.device)
    return _draw_seed(mu, generator)


# A schema with a tag cannot be made in schema.cpp: the stable ABI of torch 2.11 has no tags.
torch.library.define("latentcore::draw_seed", "(Tensor like) -> Tensor", tags=torch.Tag.nondeterministic_seeded)


def _draw_seed(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, device=like.device, generator=generator)


torch.library.impl("latentcore::draw_seed", "CompositeExplicitAutograd", lambda like: _draw_seed(like))


@torch.library.register_fake("latentcore::draw_seed")
def _draw_seed_fake(like: Tensor) -> Tensor:
    return like.new_empty((), dtype=torch.int64)


def _fake(
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor | None,
    prior_logvar: Tensor | None,
    seed: Tensor,
    offset: int,
    per_latent: bool,
) -> tuple[Tensor, Tensor]:
    z = torch.empty_like(mu, memory_format=torch.contiguous_format)
    return z, mu.new_empty(mu.shape if per_latent else mu.shape[:-1], dtype=reference.sum_dtype(mu.dtype))


def _fake_backward(
    grad_z: Tensor,
    grad_kl: Tensor,
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor | None,
    prior_logvar: Tensor | None,
    seed: Tensor,
    offset: int,
    per_latent: bool,
) -> list[Tensor]:
    count = 2 if prior_mu is None else 4
    return [torch.empty_like(mu, memory_format=torch.contiguous_format) for _ in range(count)]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.offset, ctx.per_latent = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad_z: Tensor, grad_kl: Tensor) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors
    options = (ctx.offset, ctx.per_latent)
    gradients = torch.ops.latentcore.reparameterize_kl_backward.default(grad_z, grad_kl, *saved, *options)
    return *gradients, *(None,) * (7 - len(gradients))


def _twin(ctx: Any, mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor, seed: Tensor) -> Any:
    return reference.reparameterize_kl(
        mu,
        logvar,
        seed=seed,
        offset=ctx.offset,
        prior_mu=prior_mu,
        prior_logvar=prior_logvar,
        reduction="none" if ctx.per_latent else "sum",
    )


_operator = register(
    "reparameterize_kl",
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
    twin=_twin,
    # a seed for each index of the mapped dimension, be it the same: so the noise of each starts anew
    fold=in_front,
)
register_backward("reparameterize_kl_backward", fake=_fake_backward)
