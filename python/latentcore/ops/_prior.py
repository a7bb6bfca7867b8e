"""The prior that latents are measured from: an argument of more than one operator."""

import torch
from torch import Tensor

from latentcore import _checks


def prior_of(
    mu: Tensor, prior_mu: Tensor | None, prior_logvar: Tensor | None
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The parameters of a diagonal Gaussian prior, checked and with the shape of `mu`; none stand for N(0, I).

    One that is left out is 0.
    """
    if prior_mu is None and prior_logvar is None:
        return None, None
    return _expanded("prior_mu", prior_mu, mu), _expanded("prior_logvar", prior_logvar, mu)


def _expanded(name: str, value: Tensor | None, mu: Tensor) -> Tensor:
    if value is None:
        return mu.new_zeros(()).expand(mu.shape)
    _checks.like(name, value, "mu", mu)
    return _checks.expanded(name, value, tuple(mu.shape), "mu")


def new_gradient_of_prior(mu: Tensor, prior: Tensor | None) -> Tensor:
    """What the native operators return, uninitialised: nothing where there is no prior."""
    return mu.new_empty((0,)) if prior is None else torch.empty_like(mu, memory_format=torch.contiguous_format)
