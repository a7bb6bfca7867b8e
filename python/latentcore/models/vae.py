"""Variational autoencoder."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from latentcore import ops
from latentcore.models.base import EncoderDecoder
from latentcore.models.config import SharpConfig, VAEConfig
from latentcore.models.objectives import NegativeELBO
from latentcore.models.priors import Prior

# shapes: (N, C, H, W) images, (N, L) latents

# Beyond these a posterior is a point or covers the prior many times; the bound keeps exp(logvar) far from overflow.
LOGVAR_RANGE = (-12.0, 8.0)


class VAEOutput(NamedTuple):
    """What a `VAE` computes for a batch: all that its loss needs.

    Attributes:
        logits: Of the decoded pixels. (N, C, H, W).
        mu: Posterior means. (N, L).
        logvar: Logarithms of the posterior variances, in `LOGVAR_RANGE`. (N, L).
        z: The samples that were decoded. (N, L).
    """

    logits: Tensor
    mu: Tensor
    logvar: Tensor
    z: Tensor


class VAE(EncoderDecoder):
    """Variational autoencoder with a diagonal Gaussian posterior.

    Args:
        config: Sizes and kinds of the layers. The weights are drawn from torch's default generator.

    Attributes:
        prior: Of the latents: the one that the configuration names. A subclass may put another one here, which its
            objective, the evaluation of its likelihood and the samples of its runs then ask.
        likelihood: As `Autoencoder` has it.

    Example:
        >>> import torch
        >>> from latentcore.models import VAE, MLPConfig, VAEConfig
        >>> model = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> mu, logvar = model.encode(torch.rand(5, 1, 28, 28))
        >>> mu.shape, model.decode(mu).shape
        (torch.Size([5, 2]), torch.Size([5, 1, 28, 28]))

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014.
    """

    outputs_per_latent = 2
    prior: Prior

    def __init__(self, config: VAEConfig | SharpConfig) -> None:
        super().__init__(config)
        self.prior = config.prior.build(config.latent)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Posterior means and logarithms of the variances, (N, L) each.

        Args:
            images: (N, C, H, W), float in [0, 1].
            labels: (N,), int64, where the configuration has classes.

        Returns:
            ``(mu, logvar)``; logvar is clamped to `LOGVAR_RANGE`.

        Raises:
            TypeError: ``images`` is not a floating-point tensor.
            ValueError: ``images`` has not the configured shape, or labels are missing or not wanted.
        """
        mu, logvar = self.run_encoder(images, labels).chunk(2, dim=1)
        return mu, F.hardtanh(logvar, *LOGVAR_RANGE)  # a clamp whose derivative is one operator

    def forward(self, images: Tensor, labels: Tensor | None = None, *, seed: int | Tensor | None = None) -> VAEOutput:
        """Encode, sample and decode a batch; `seed` is that of `latentcore.ops.reparameterize_kl`."""
        mu, logvar = self.encode(images, labels)
        z, _ = ops.reparameterize_kl(mu, logvar, seed=seed)
        return VAEOutput(self.decode_logits(z, labels), mu, logvar, z)

    def objective(self) -> NegativeELBO:
        """What it is trained by."""
        return NegativeELBO()
