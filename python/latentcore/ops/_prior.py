"""The prior that latents are measured from: an argument of more than one operator."""

from torch import Tensor

from latentcore import _checks


def prior_of(mu: Tensor, prior_mu: Tensor | None, prior_logvar: Tensor | None) -> tuple[Tensor, Tensor]:
    """The parameters of a diagonal Gaussian prior, checked and with the shape of `mu`; one that is left out is 0."""
    return _expanded("prior_mu", prior_mu, mu), _expanded("prior_logvar", prior_logvar, mu)


def _expanded(name: str, value: Tensor | None, mu: Tensor) -> Tensor:
    if value is None:
        return mu.new_zeros(()).expand(mu.shape)
    _checks.like(name, value, "mu", mu)
    return _checks.expanded(name, value, tuple(mu.shape), "mu")
