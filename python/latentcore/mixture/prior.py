"""A Gaussian mixture as a module whose parameters are learned by gradients, for instance as the prior of a VAE."""

import math
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentcore import _checks, _errors
from latentcore.mixture import _arrays
from latentcore.mixture._predictions import checked_parameters
from latentcore.mixture._sampling import _coloured
from latentcore.mixture.estimator import GaussianMixture
from latentcore.ops import gmm_e_step, gmm_responsibilities
from latentcore.reference import COVARIANCE_TYPES, MixtureParameters, covariance_shape, covariances_of, sum_dtype

# shapes: (..., L) latents with any leading dimensions, K components

_FITTED = ("weights_", "means_", "precisions_cholesky_")
# The gradient in a weight divides by it: a component that lost all weight must not make that NaN.
_LEAST_WEIGHT = 1e-30


class MixturePrior(nn.Module):
    r"""Gaussian mixture whose parameters are learned by gradients, together with what it is the prior of.

    .. math::

        p(z) = \sum_k \pi_k \, N(z \mid \mu_k, (U_k U_k^\top)^{-1}), \qquad \pi = \mathrm{softmax}(\text{logits})

    U is upper triangular with a positive diagonal, scikit-learn's ``precisions_cholesky_``. Any values of the
    parameters make a mixture, so that every optimiser may move them freely. Half types are computed in float32; where
    the dtypes of z and the parameters differ, the wider one counts.

    Args:
        n_components: K, >= 1.
        n_features: L, the number of latent axes, >= 1.
        covariance_type: "full", "tied" (one matrix for all), "diag" or "spherical" (one number per component).
        spread: Standard deviation of the first means about the origin, >= 0, in units of z. They are drawn from torch's
            default generator; the first covariances are the identity, the first weights equal. One component and a
            spread of 0 make the standard normal prior.
        device: Where the parameters are; ``None``: torch's default.
        dtype: Floating dtype of the parameters; ``None``: torch's default.

    Attributes:
        logits: Logarithms of the weights, up to a constant. (K,).
        means: (K, L).
        log_diagonal: Logarithms of the diagonal of U: full and diag (K, L), tied (L,), spherical (K,).
        off_diagonal: What stands above the diagonal of U: full (K, L, L), tied (L, L), of which the rest is not read;
            ``None`` for diag and spherical.

    Raises:
        TypeError: A size is not an int, or ``spread`` not a number.
        ValueError: A size, ``spread`` or ``covariance_type`` is out of range.

    Example:
        >>> import torch
        >>> from latentcore.mixture import MixturePrior
        >>> prior = MixturePrior(10, 2, "diag")
        >>> z = torch.randn(5, 2, requires_grad=True)
        >>> prior.log_prob(z).sum().backward()
        >>> z.grad.shape, prior.means.grad.shape
        (torch.Size([5, 2]), torch.Size([10, 2]))

    Reference:
        Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders", 2016.
        Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.
    """

    off_diagonal: nn.Parameter | None

    def __init__(
        self,
        n_components: int,
        n_features: int,
        covariance_type: str = "full",
        *,
        spread: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _errors.integer("n_components", n_components, 1, 2**31 - 1)
        _errors.integer("n_features", n_features, 1, 2**31 - 1)
        _errors.one_of("covariance_type", covariance_type, COVARIANCE_TYPES)
        _errors.number("spread", spread)
        if not 0 <= spread < math.inf:
            _errors.fail_value("spread", "a finite number >= 0", spread)
        self.covariance_type = covariance_type
        triangular = covariance_type in ("full", "tied")
        shape = covariance_shape(n_components, n_features, covariance_type)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.logits = nn.Parameter(torch.zeros(n_components, **kind))
        self.means = nn.Parameter(spread * torch.randn(n_components, n_features, **kind))
        self.log_diagonal = nn.Parameter(torch.zeros(shape[:-1] if triangular else shape, **kind))
        self.register_parameter("off_diagonal", nn.Parameter(torch.zeros(shape, **kind)) if triangular else None)

    @classmethod
    def from_mixture(cls, mixture: Any) -> "MixturePrior":
        """Copy a fitted mixture, to start from it.

        Args:
            mixture: A fitted `GaussianMixture`, or scikit-learn's. The prior has the dtype and, where it was fitted to
                tensors, the device of its means.

        Returns:
            A prior with the mixture's density; no random number is drawn.

        Raises:
            sklearn.exceptions.NotFittedError: The mixture is not fitted and has no parameters that were set by hand.
            TypeError: ``mixture`` is no such estimator, or its parameters are not real numbers.
            ValueError: They are no mixture's.

        Example:
            >>> import torch
            >>> from latentcore.mixture import GaussianMixture, MixturePrior
            >>> MixturePrior.from_mixture(GaussianMixture(3, random_state=0).fit(torch.randn(50, 2)))
            MixturePrior(3, 2, covariance_type='full', dtype=torch.float32)
        """
        if isinstance(mixture, GaussianMixture):
            weights, means, _, factors = mixture._parameters()
        else:
            if not hasattr(mixture, "covariance_type"):
                _errors.fail_type("mixture", "a fitted GaussianMixture, or scikit-learn's", type(mixture).__name__)
            check_is_fitted(mixture, _FITTED)
            values = {name: _arrays.tensor(getattr(mixture, name), name=name) for name in _FITTED}
            weights, means, _, factors = checked_parameters(mixture.covariance_type, values)
        dtype = _arrays.dtype_of(mixture.means_)
        # copies, so that training the prior leaves the mixture as it was
        weights, means, factors = (value.to(dtype, copy=True) for value in (weights, means, factors))
        triangular = mixture.covariance_type in ("full", "tied")
        state = {
            "logits": weights.clamp_min(_LEAST_WEIGHT).log(),
            "means": means,
            "log_diagonal": (factors.diagonal(dim1=-2, dim2=-1) if triangular else factors).log(),
        }
        if triangular:
            state["off_diagonal"] = factors.triu(1)
        K, L = means.shape
        prior = cls(K, L, mixture.covariance_type, device="meta", dtype=dtype)
        prior.load_state_dict(state, assign=True)
        return prior

    def to_mixture(self) -> GaussianMixture:
        """A fitted `GaussianMixture` with this density: a copy, with tensors on the prior's device.

        Raises:
            ValueError: A parameter is NaN or infinity, or a factor of a precision is no positive number of its dtype.
        """
        values = [value.detach().clone() for value in self._values(torch.float64)]
        dtype = sum_dtype(self.means.dtype)
        rounded = (value.to(dtype).double() for value in values)
        checked_parameters(self.covariance_type, dict(zip(_FITTED, rounded, strict=True)), suffix="")
        weights, means, factors = values
        mixture = GaussianMixture(len(means), covariance_type=self.covariance_type)
        mixture.n_features_in_ = means.shape[1]
        parameters = MixtureParameters(weights, means, covariances_of(factors, self.covariance_type), factors)
        mixture._set_parameters(parameters, means, dtype)
        return mixture

    @property
    def weights(self) -> Tensor:
        """Mixture weights in (0, 1) with sum 1, (K,), differentiable."""
        return self._values()[0]

    @property
    def precisions_cholesky(self) -> Tensor:
        """U, with precision = U Uᵀ, in scikit-learn's shape for the covariance type, differentiable."""
        return self._values()[2]

    @property
    def covariances(self) -> Tensor:
        """Covariances, in the squared unit of z and scikit-learn's shape for the type, differentiable."""
        return covariances_of(self.precisions_cholesky, self.covariance_type)

    def forward(self, z: Tensor) -> Tensor:
        """`log_prob`."""
        return self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density log p(z) of latents.

        Args:
            z: (..., L), float32, float64, float16 or bfloat16, on the prior's device.

        Returns:
            Nats, (...), float32 (float64 where z or the prior is); differentiable in z and all parameters.

        Raises:
            TypeError: ``z`` is not a floating-point tensor.
            ValueError: ``z`` has another last dimension, or is on another device.
        """
        return gmm_e_step(*self._with_parameters(z), self.covariance_type)[0].view(z.shape[:-1])

    def log_resp(self, z: Tensor) -> Tensor:
        """Logarithms of the responsibilities, log p(k | z) in nats, (..., K); everything else as in `log_prob`."""
        return gmm_e_step(*self._with_parameters(z), self.covariance_type)[1].view(*z.shape[:-1], len(self.logits))

    def predict_proba(self, z: Tensor) -> Tensor:
        """Responsibilities p(k | z) in [0, 1], (..., K); everything else as in `log_prob`."""
        resp = gmm_responsibilities(*self._with_parameters(z), self.covariance_type)
        return resp.view(*z.shape[:-1], len(self.logits))

    def kl_divergence(self, z: Tensor, kl: Tensor) -> Tensor:
        r"""KL divergence of posteriors q from this prior p, estimated without bias from one sample of each.

        .. math::

            KL(q \,\|\, p) \approx KL(q \,\|\, N(0, I)) + \log N(z \mid 0, I) - \log p(z), \qquad z \sim q

        It takes what `latentcore.reparameterize_kl` returns. Only the ratio of the two priors is estimated. Where p is
        N(0, I), it is 1 and the result the analytic divergence; elsewhere it changes little over a posterior, which is
        narrower than the priors. The plain estimate, log q(z) − log p(z), has the variance L / 2 of log q(z) on top.
        The gradient, through z and ``kl``, is unbiased too.

        Args:
            z: A sample of each posterior, (..., L), as in `log_prob`.
            kl: The divergences of the posteriors from N(0, I), nats, (...): each its own, not their mean.

        Returns:
            Nats, (...), differentiable. A single estimate may be negative.

        Raises:
            TypeError: ``z`` or ``kl`` is not a floating-point tensor.
            ValueError: The shape of ``z`` or ``kl`` does not fit, or ``z`` is on another device.

        Example:
            >>> import torch, latentcore
            >>> from latentcore.mixture import MixturePrior
            >>> z, kl = latentcore.reparameterize_kl(torch.ones(3, 2), torch.zeros(3, 2), seed=0)
            >>> MixturePrior(1, 2, spread=0).kl_divergence(z, kl).detach().round(decimals=4)
            tensor([1., 1., 1.])

        Reference:
            Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.3.
        """
        log_prob = self.log_prob(z)
        _checks.floating("kl", kl)
        _checks.shape("kl", kl, tuple(z.shape[:-1]))
        squares = z.to(log_prob.dtype).square().sum(-1)
        return kl - 0.5 * (squares + z.shape[-1] * math.log(2 * math.pi)) - log_prob

    @torch.no_grad()
    def sample(self, n_samples: int = 1, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw independent samples, without gradients.

        Args:
            n_samples: N, >= 1.
            generator: A generator on the prior's device. ``None``: the default one there, so that `torch.manual_seed`
                governs it.

        Returns:
            ``(z, component)``: (N, L) in the dtype of the parameters, and the component of each, (N,), int64.

        Raises:
            TypeError: ``n_samples`` is not an int, or ``generator`` not a `torch.Generator`.
            ValueError: ``n_samples`` is less than 1.
        """
        _errors.integer("n_samples", n_samples, 1, 2**63 - 1)
        if generator is not None and not isinstance(generator, torch.Generator):
            _errors.fail_type("generator", "a torch.Generator", type(generator).__name__)
        weights, means, factors = self._values()
        component = weights.multinomial(n_samples, replacement=True, generator=generator)
        noise = torch.randn(n_samples, means.shape[1], generator=generator, dtype=means.dtype, device=means.device)
        z = means[component]
        # every component colours all noise: the host need not know how many samples are whose, unless most have none
        for k in range(len(means)) if len(means) <= n_samples else component.unique().tolist():
            mine = (component == k).unsqueeze(-1)
            z += _coloured(noise, factors, k, self.covariance_type).where(mine, 0)
        return z.to(self.means.dtype), component

    def extra_repr(self) -> str:
        """What `repr` says of the module."""
        K, L = self.means.shape
        return f"{K}, {L}, covariance_type={self.covariance_type!r}, dtype={self.means.dtype}"

    def _values(self, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and factors as the operators take them, in a dtype, or in that of computation."""
        dtype = sum_dtype(self.means.dtype) if dtype is None else dtype
        factors = self.log_diagonal.to(dtype).exp()
        if self.off_diagonal is not None:
            identity = torch.eye(factors.shape[-1], dtype=dtype, device=factors.device)
            factors = factors.unsqueeze(-1) * identity + self.off_diagonal.to(dtype).triu(1)
        return self.logits.to(dtype).softmax(0).clamp_min(_LEAST_WEIGHT), self.means.to(dtype), factors

    def _with_parameters(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents (N, L) and the parameters, in one dtype."""
        _checks.floating("z", z)
        features = self.means.shape[1]
        if z.dim() == 0 or z.shape[-1] != features:
            _errors.fail_value("z", f"shape (..., {features})", tuple(z.shape))
        if z.device != self.means.device:
            _errors.fail_value("z", f"the device of the prior, {self.means.device}", z.device)
        dtype = sum_dtype(torch.promote_types(z.dtype, self.means.dtype))
        return z.to(dtype).reshape(-1, features), *self._values(dtype)
