"""A VAE and a transformation of its latents, as one model."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from latentcore import ops
from latentcore.models.vae import VAE

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down


class PairBatch(NamedTuple):
    """A batch of pairs.

    Attributes:
        images: The first images. (N, C, H, W), float32 in [0, 1].
        parameters: What takes the first to the second. (N, 4).
        targets: The second images, each transformed from the data in one step. (N, C, H, W), float32 in [0, 1].
    """

    images: Tensor
    parameters: Tensor
    targets: Tensor


class TransformedOutput(NamedTuple):
    """What a `TransformingVAE` computes for a batch of pairs.

    Attributes:
        logits: Of the pixels of the decoded, transformed latents, where they were asked for. (N, C, H, W).
        mu: Posterior means of the images. (N, L).
        logvar: Logarithms of the posterior variances. (N, L).
        moved: The transformed latents. (N, L).
        goal: Posterior means of the targets, without a gradient, where they were asked for. (N, L).
        z: The latents before they were transformed. (N, L).
    """

    logits: Tensor | None
    mu: Tensor
    logvar: Tensor
    moved: Tensor
    goal: Tensor | None
    z: Tensor


class TransformingVAE(nn.Module):
    """Encode an image, transform its latents, decode the image of the transformed thing.

    Args:
        vae: The VAE.
        operator: (z (N, L), parameters (N, 4)) -> (N, L), as `build_operator` makes it.

    Attributes:
        frozen: Whether the VAE stays as it is; then latents are posterior means, without noise.

    Example:
        >>> import torch
        >>> from latentcore.models import VAE, LatentConfig, MLPConfig, TransformingVAE, VAEConfig, build_operator
        >>> vae = VAE(VAEConfig(latent=8, network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> model = TransformingVAE(vae, build_operator(LatentConfig(), latent=8))
        >>> quarter_turns = torch.tensor([90.0, 1.0, 0.0, 0.0]).expand(5, 4)
        >>> model(torch.rand(5, 1, 28, 28), quarter_turns).logits.shape
        torch.Size([5, 1, 28, 28])
    """

    def __init__(self, vae: VAE, operator: nn.Module) -> None:
        super().__init__()
        self.vae, self.operator, self.frozen = vae, operator, False

    def freeze(self) -> None:
        """Keep the VAE as it is from now on, and learn the operator alone."""
        self.frozen = True
        self.vae.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; a frozen VAE stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.vae.eval()
        return self

    def transform(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Transformed latents (N, L)."""
        moved: Tensor = self.operator(z, parameters)
        return moved

    def forward(
        self,
        images: Tensor,
        parameters: Tensor,
        targets: Tensor | None = None,
        *,
        decode: bool = True,
        seed: int | Tensor | None = None,
    ) -> TransformedOutput:
        """Encode, sample, transform and decode a batch; `seed` is that of `latentcore.ops.reparameterize_kl`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            mu, logvar = self.vae.encode(images)
        z = mu if self.frozen else ops.reparameterize_kl(mu, logvar, seed=seed)[0]
        moved = self.transform(z, parameters)
        logits = self.vae.decode_logits(moved) if decode else None
        return TransformedOutput(logits, mu, logvar, moved, self._goal(targets), z)

    @torch.no_grad()
    def _goal(self, targets: Tensor | None) -> Tensor | None:
        return None if targets is None else self.vae.encode(targets)[0]
