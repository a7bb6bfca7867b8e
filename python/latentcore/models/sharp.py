"""A VAE of photographs: residual convolutions around the principal axes of its training images."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentcore import _errors
from latentcore.models.config import SharpConfig
from latentcore.models.networks import ACTIVATIONS
from latentcore.models.residual import Refine, doubling, halving
from latentcore.models.vae import VAE

# shapes: (N, C, H, W) images, (N, L) latents, P = C * H * W

_DARKEST = 0.002  # of what the axes draw, and as far from white: beyond, logits are nearly infinite
_FIRST_LOGVAR = -6.0
_FLAT = 1e-4  # deviations below are none: neither axis nor channel is scaled by them


class PrincipalAxes(NamedTuple):
    """Where images lie, and along which axes they differ most.

    Attributes:
        mean: Of the images. (C, H, W).
        components: Orthonormal, the longest first. (A, C, H, W).
        deviations: Of the images along them. (A,).
        channel_deviations: Of the pixels of each channel. (C,).
    """

    mean: Tensor
    components: Tensor
    deviations: Tensor
    channel_deviations: Tensor


class SharpVAE(VAE):
    r"""Variational autoencoder of photographs: networks that learn what the principal axes of the images cannot say.

    .. math::

        \mu = \Lambda^{-1} U (x - \bar x) + f(x), \qquad
        \text{logits} = \operatorname{logit} y + g(y, h(z)), \quad y = \bar x + U^\top \Lambda z

    with the mean image, principal axes U and deviations :math:`\Lambda` of the training images, f the convolutional
    encoder, h the decoder of transposed convolutions, and g residual blocks. f and g are zero at first, so that
    training begins at what principal component analysis reaches, with latents of mean 0 and deviation 1 along each
    axis. f reads :math:`(x - \bar x) / s` with the deviation s of each channel. All these numbers are buffers, which
    belong to the weights; before `start_from` there are no axes and s is 1.

    Args:
        config: Sizes and kinds of the layers. The weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models import SharpConfig, SharpVAE
        >>> model = SharpVAE(SharpConfig(latent=32))
        >>> mu, logvar = model.encode(torch.rand(5, 3, 64, 64))
        >>> mu.shape, model.decode(mu).shape
        (torch.Size([5, 32]), torch.Size([5, 3, 64, 64]))

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014.
        Tipping and Bishop, "Probabilistic principal component analysis", 1999 (the linear part).
    """

    config: SharpConfig
    encoder: "_Encoder"
    decoder: "_Decoder"

    def __init__(self, config: SharpConfig) -> None:
        super().__init__(config)

    def new_encoder(self) -> nn.Module:
        """Axes and residual convolutions."""
        return _Encoder(self.config)

    def new_decoder(self) -> nn.Module:
        """Axes, transposed convolutions, and residual blocks that see both."""
        return _Decoder(self.config)

    def start_from(self, axes: PrincipalAxes) -> None:
        """Set the mean image, the deviations and the axes; fewer axes than latents leave the others to the networks."""
        _errors.integer("axes", len(axes.deviations), 0, self.config.latent)
        self.encoder.start_from(axes)
        self.decoder.start_from(axes)

    @torch.no_grad()
    def project(self, images: Tensor) -> Tensor:
        """What the axes alone draw of images (N, C, H, W): their projections, not cut off at 0 and 1."""
        along = F.linear((images - self.encoder.mean).flatten(1), self.encoder.axes)
        return self.decoder.mean + F.linear(along, self.decoder.axes).view_as(images)


class _Encoder(nn.Module):
    """(N, C, H, W) -> (N, 2 L): means and logarithms of variances."""

    mean: Tensor
    deviations: Tensor
    axes: Tensor

    def __init__(self, config: SharpConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full(config.image_shape, 0.5))
        self.register_buffer("deviations", torch.ones(config.image_shape[0], 1, 1))
        self.register_buffer("axes", torch.zeros(config.latent, math.prod(config.image_shape)))
        activate, channels = ACTIVATIONS[config.activation], config.channels
        heads = nn.Linear(math.prod(config.feature_shape) // 4, 2 * config.latent)
        self.network = nn.Sequential(
            nn.Conv2d(config.image_shape[0], channels[0], 8, stride=4, padding=2),
            *[Refine(channels[0], activate) for _ in range(config.blocks)],
            *halving(channels[0], channels[1:], config.blocks, activate),
            nn.Flatten(),
            heads,
        )
        nn.init.zeros_(heads.weight)
        heads.bias.data = torch.tensor([0.0, _FIRST_LOGVAR]).repeat_interleave(config.latent)

    def start_from(self, axes: PrincipalAxes) -> None:
        self.mean.copy_(axes.mean)
        channels = axes.channel_deviations
        self.deviations.copy_(torch.where(channels > _FLAT, channels, 1).view(-1, 1, 1))
        wide = axes.deviations > _FLAT
        factors = torch.where(wide, 1 / axes.deviations, 0)
        self.axes[: len(factors)] = axes.components.flatten(1) * factors.unsqueeze(1)

    def forward(self, images: Tensor) -> Tensor:
        apart = images - self.mean
        learned: Tensor = self.network(apart / self.deviations)
        along = F.linear(apart.flatten(1), self.axes)
        return learned + F.pad(along, (0, along.shape[1]))


class _Decoder(nn.Module):
    """(N, L) -> logits (N, C, H, W)."""

    mean: Tensor
    axes: Tensor

    def __init__(self, config: SharpConfig) -> None:
        super().__init__()
        pixels, (maps, height, width) = math.prod(config.image_shape), config.feature_shape
        self.register_buffer("mean", torch.full(config.image_shape, 0.5))
        self.register_buffer("axes", torch.zeros(pixels, config.latent))
        activate, quarters = ACTIVATIONS[config.activation], 16 * config.image_shape[0]
        self.network = nn.Sequential(
            nn.Linear(config.latent, maps * height * width // 4),
            nn.Unflatten(1, (maps, height // 2, width // 2)),
            *doubling(quarters, config.channels[1:], config.blocks, activate),
        )
        last = nn.ConvTranspose2d(2 * quarters, config.image_shape[0], 8, stride=4, padding=2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # there is one
        blocks = [Refine(2 * quarters, activate) for _ in range(config.refinements)]
        self.refine = nn.Sequential(*blocks, nn.BatchNorm2d(2 * quarters), activate(), last)

    def start_from(self, axes: PrincipalAxes) -> None:
        self.mean.copy_(axes.mean)
        self.axes[:, : len(axes.deviations)] = (axes.components.flatten(1) * axes.deviations.unsqueeze(1)).T

    def forward(self, z: Tensor) -> Tensor:
        apart = F.linear(z, self.axes).view(-1, *self.mean.shape)
        quarters = torch.cat([F.pixel_unshuffle(apart, 4), self.network(z)], 1)
        logits: Tensor = torch.logit(self.mean + apart, _DARKEST) + self.refine(quarters)
        return logits
