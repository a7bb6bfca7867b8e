"""Priors: how the latents of a VAE are distributed before an image is seen, and how far a posterior is from that."""

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latentcore import _checks, _errors
from latentcore.reference import sum_dtype

# shapes: (N, L) latents

_LOG_TWO_PI = math.log(2 * math.pi)


class Posterior(NamedTuple):
    """Diagonal Gaussian posteriors of a batch, and one sample of each.

    Attributes:
        mu: Means. (N, L).
        logvar: Logarithms of the variances. (N, L).
        z: Samples that gradients go through to `mu` and `logvar`. (N, L).
        kl: Divergences from N(0, I) in nats, as :func:`latentcore.ops.reparameterize_kl` gives them. (N,), float32
            (float64 for latents of float64).
    """

    mu: Tensor
    logvar: Tensor
    z: Tensor
    kl: Tensor

    @classmethod
    def of(cls, mu: Tensor, logvar: Tensor, z: Tensor) -> "Posterior":
        """The same, with the divergences found anew, in float32 at least."""
        m, v = (part.to(sum_dtype(part.dtype)) for part in (mu, logvar))
        return cls(mu, logvar, z, 0.5 * (m.square() + v.expm1() - v).sum(1))


class Prior(nn.Module, ABC):
    r"""A distribution p(z) of latents. A VAE's is its attribute `prior`; one of your own has `log_prob` and `sample`.

    Its parameters, where it has any, belong to the model and are learned with the others. Distributions of torch want
    ``validate_args=False``: they look at numbers otherwise, and steps that do so are not recorded but take longer.

    Attributes:
        standard: Whether it is N(0, I), for which there are fused operators; they are used instead of its methods.
            A subclass that writes one of these methods anew is not, unless it says so itself.

    Example:
        >>> import torch
        >>> from latentcore.models import VAE, MLPConfig, Prior, VAEConfig
        >>> class Laplace(Prior):
        ...     def __init__(self, latent):
        ...         super().__init__()
        ...         self.log_scale = torch.nn.Parameter(torch.zeros(latent))
        ...
        ...     def log_prob(self, z):
        ...         density = torch.distributions.Laplace(0.0, self.log_scale.exp(), validate_args=False)
        ...         return density.log_prob(z).sum(1)
        ...
        ...     def sample(self, n, generator=None):
        ...         sign, size = torch.rand(2, n, len(self.log_scale), generator=generator)
        ...         return torch.sign(sign - 0.5) * -torch.log1p(-size) * self.log_scale.exp()
        >>> class LaplaceVAE(VAE):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.prior = Laplace(config.latent)
        >>> config = VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))
        >>> model, images = LaplaceVAE(config), torch.rand(5, 1, 28, 28)
        >>> model.objective()(model, (images, images), beta=1.0, seed=0)._fields
        ('loss', 'reconstruction', 'kl')
    """

    standard: ClassVar[bool] = False

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "standard" not in vars(cls) and not {"log_prob", "sample", "kl"}.isdisjoint(vars(cls)):
            cls.standard = False

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Logarithms of the density, in nats, for latents z (N, L), of float32 or float64. (N,)."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` latents (n, L), n >= 1, drawn by a generator, or by torch's default one."""

    def kl(self, q: Posterior) -> Tensor:
        r"""Divergence of posteriors from the prior, from one sample of each.

        .. math::

            KL(q \,\|\, N(0, I)) + \log N(z; 0, I) - \log p(z), \qquad z \sim q

        Its expectation is :math:`KL(q \,\|\, p)`. The nearer p is to N(0, I) and the narrower q, the less it varies
        with z, since the first term is exact. It can be negative. A prior that knows the divergence exactly returns
        that instead.

        Args:
            q: The posteriors.

        Returns:
            In nats; differentiable in `q` and in the prior's parameters. (N,).

        Raises:
            ValueError: `log_prob` returns another shape than (N,).

        Example:
            >>> import torch
            >>> from latentcore.models import Posterior, StandardNormal
            >>> q = Posterior(torch.zeros(3, 2), torch.zeros(3, 2), torch.randn(3, 2), kl=torch.zeros(3))
            >>> StandardNormal(2).kl(q)
            tensor([0., 0., 0.])

        Reference:
            Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.3 (sampled and exact divergence).
            Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018 (priors without an exact one).
        """
        z = q.z.to(sum_dtype(q.z.dtype))
        density = self.log_prob(z)
        _checks.shape(f"{type(self).__name__}.log_prob(z)", density, (len(z),))
        return q.kl + _log_standard_normal(z) - density


class StandardNormal(Prior):
    """N(0, I), the prior of a VAE that names no other; it has no parameters.

    Args:
        latent: L, the number of latent axes.

    Example:
        >>> import torch
        >>> from latentcore.models import StandardNormal
        >>> prior = StandardNormal(2)
        >>> prior.sample(5, torch.Generator().manual_seed(0)).shape, prior.log_prob(torch.zeros(1, 2))
        (torch.Size([5, 2]), tensor([-1.8379]))
    """

    standard = True

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def log_prob(self, z: Tensor) -> Tensor:
        """Logarithms of the density, for latents z (N, L). (N,), float32 (float64 for float64)."""
        return _log_standard_normal(z)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` latents (n, L) as `torch.randn` draws them, on the generator's device; without one on torch's default."""
        _errors.integer("n", n, 1, 2**31)
        return torch.randn(n, self.latent, generator=generator, device=None if generator is None else generator.device)

    def kl(self, q: Posterior) -> Tensor:
        """Exact: that of `q`. (N,)."""
        return q.kl


class Mixture(Prior):
    r"""A Gaussian mixture whose weights, means and covariances are learned with the model.

    .. math::

        p(z) = \sum_k \pi_k \, N(z \mid \mu_k, \Sigma_k)

    The divergence of a posterior from it has no closed form and is `Prior.kl`, from one sample.

    Args:
        latent: L, the number of latent axes.
        components: K.
        covariance_type: "full", "tied" (one matrix for all), "diag" or "spherical" (one number per component).
        spread: Standard deviation of the first means about the origin, >= 0; the first covariances are the identity,
            the first weights equal. One component and a spread of 0 begin as N(0, I).

    Attributes:
        density: The :class:`latentcore.mixture.MixturePrior` that holds the parameters.

    Raises:
        TypeError: A size is not an int, or `spread` not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> from latentcore.models import Mixture
        >>> prior = Mixture(latent=2, components=5)
        >>> z = prior.sample(100, torch.Generator().manual_seed(0))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([100, 2]), torch.Size([100]))

    Reference:
        Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders", 2016.
        Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018 (a mixture that is learned, as a baseline).
    """

    def __init__(self, latent: int, components: int = 10, covariance_type: str = "full", spread: float = 1.0) -> None:
        super().__init__()
        _errors.integer("latent", latent, 1, 2**31 - 1)
        _errors.integer("components", components, 1, 2**31 - 1)
        from latentcore.mixture import MixturePrior  # with scikit-learn, which models of other priors do not need

        self.density = MixturePrior(components, latent, covariance_type, spread=spread)

    def log_prob(self, z: Tensor) -> Tensor:
        """Logarithms of the density, for latents z (N, L). (N,), float32 (float64 where z or the parameters are)."""
        return self.density.log_prob(z)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` latents (n, L), n >= 1, on the device of the generator; without one on that of the parameters."""
        _errors.integer("n", n, 1, 2**31)
        density = self.density
        if generator is not None and generator.device != density.means.device:
            density = copy.deepcopy(density).to(generator.device)
        return density.sample(n, generator=generator)[0]


def _log_standard_normal(z: Tensor) -> Tensor:
    """Log N(z; 0, I) of latents (N, L). (N,)."""
    wide = z.to(sum_dtype(z.dtype))
    return -0.5 * (wide.square() + _LOG_TWO_PI).sum(1)
