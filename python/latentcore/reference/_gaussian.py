"""The KL divergence between diagonal Gaussians in plain torch."""

from torch import Tensor


def gaussian_kl(mu: Tensor, logvar: Tensor, prior_mu: Tensor | None, prior_logvar: Tensor | None) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(prior_mu, exp(prior_logvar))) of every element, in nats; what is not given is 0.

    With a prior it is the divergence from N(0, 1) of the posterior in units of the prior.
    """
    if prior_mu is not None:
        mu = mu - prior_mu
    if prior_logvar is not None:
        mu, logvar = mu * (-0.5 * prior_logvar).exp(), logvar - prior_logvar
    # not `square`, whose derivative overflows at half of the greatest number
    return 0.5 * (mu * mu + logvar.exp() - 1 - logvar)
