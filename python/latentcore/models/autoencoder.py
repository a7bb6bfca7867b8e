"""Autoencoder without a prior."""

from typing import NamedTuple

from torch import Tensor

from latentcore.models.base import EncoderDecoder
from latentcore.models.objectives import ReconstructionError

# shapes: (N, C, H, W) images, (N, L) latents


class AutoencoderOutput(NamedTuple):
    """What an `Autoencoder` computes for a batch: logits (N, C, H, W) of the pixels, and latents z (N, L)."""

    logits: Tensor
    z: Tensor


class Autoencoder(EncoderDecoder):
    """Encoder and decoder around a bottleneck: no noise and no KL divergence.

    Args:
        config: Sizes and kinds of the layers. The weights are drawn from torch's default generator.

    Attributes:
        likelihood: Of the pixels, given the logits: the one that the configuration names. A subclass may put another
            one here.

    Example:
        >>> import torch
        >>> from latentcore.models import Autoencoder, AutoencoderConfig, MLPConfig
        >>> model = Autoencoder(AutoencoderConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> model.encode(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 2])
    """

    outputs_per_latent = 1

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, L) of images (N, C, H, W), float in [0, 1], and labels (N,) where there are classes."""
        return self.run_encoder(images, labels)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> AutoencoderOutput:
        """Encode and decode a batch."""
        z = self.encode(images, labels)
        return AutoencoderOutput(self.decode_logits(z, labels), z)

    def objective(self) -> ReconstructionError:
        """What it is trained by."""
        return ReconstructionError()
