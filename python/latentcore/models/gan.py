"""A small convolutional GAN: a generator of images, and a discriminator that it is to deceive."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from latentcore import _checks, ops
from latentcore.models.config import GANConfig

# shapes: (N, C, H, W) images, (N, L) latents, P images of N

_SLOPE = 0.2  # of the leaky rectifiers below 0


class GANOutput(NamedTuple):
    """What a discriminator says in a step of training, as logits of "real".

    Attributes:
        real: Of the real images. (N,).
        fake: Of drawn images, through which no gradient reaches the generator. (N,).
        judged: Of the same drawn images, with no gradient for the discriminator. (N,).
        steepness: Squared length of the gradient of a real image's logit by its pixels, of the first images. (P,).
    """

    real: Tensor
    fake: Tensor
    judged: Tensor
    steepness: Tensor


class GAN(nn.Module):
    r"""A generator, which draws images from normal latents, and a discriminator, which tells them from real ones.

    The generator normalises over the batch. The discriminator does not: what it says of an image depends on that image
    alone, so that the gradient by its pixels is that image's own.

    Args:
        config: Sizes. The weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models import GAN, GANConfig
        >>> model = GAN(GANConfig(latent=16, channels=(8, 16), hidden=32))
        >>> model.draw(torch.randn(5, 16)).shape, model.judge(torch.rand(5, 1, 28, 28)).shape
        (torch.Size([5, 1, 28, 28]), torch.Size([5]))

    Reference:
        Goodfellow et al., "Generative adversarial nets", 2014.
        Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative
        adversarial networks", 2016.
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = _generator(config)
        self.discriminator = _discriminator(config)

    def draw(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        _checks.floating("z", z)
        _checks.shape("z", z, ("N", self.config.latent))
        images: Tensor = torch.sigmoid(self.generator(z))
        return images

    def judge(self, images: Tensor) -> Tensor:
        """Logits (N,) of images (N, C, H, W) in [0, 1] being real."""
        _checks.floating("images", images)
        _checks.shape("images", images, ("N", *self.config.image_shape))
        logits: Tensor = self.discriminator(2 * images - 1)
        return logits.squeeze(1)

    def forward(self, real: Tensor, *, seed: int | Tensor, steep: int) -> GANOutput:
        """What an adversarial loss is made of.

        Args:
            real: Real images in [0, 1]. (N, C, H, W).
            seed: Of the latents, a function of which all of them are, as of :func:`latentcore.ops.reparameterize_kl`.
            steep: Real images of which the steepness is found, P.
        """
        prior = real.new_zeros(len(real), self.config.latent)
        fake = self.draw(ops.reparameterize_kl(prior, prior, seed=seed)[0])
        answers = self.judge(torch.cat([real, fake.detach()]))
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        judged = functional_call(self.discriminator, frozen, 2 * fake - 1).squeeze(1)
        return GANOutput(answers[: len(real)], answers[len(real) :], judged, self._steepness(real[:steep]))

    def _steepness(self, images: Tensor) -> Tensor:
        """Of the logits at images, differentiable by the discriminator's parameters. (P,)."""
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            # the sum's gradient by an image is that of its own logit: no layer mixes images
            (slopes,) = torch.autograd.grad(self.judge(images).sum(), images, create_graph=learning)
        return slopes.square().flatten(1).sum(1)


def _discriminator(config: GANConfig) -> nn.Sequential:
    """(N, C, H, W) -> (N, 1)."""
    layers: list[nn.Module] = []
    for before, after in pairwise((config.image_shape[0], *config.channels)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
    layers += [nn.Flatten(), nn.Linear(_size(config), config.hidden), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, nn.Linear(config.hidden, 1))


def _generator(config: GANConfig) -> nn.Sequential:
    """(N, L) -> logits (N, C, H, W)."""
    size = _size(config)
    layers: list[nn.Module] = [nn.Linear(config.latent, size, bias=False), nn.Unflatten(1, config.feature_shape)]
    for before, after in pairwise((*reversed(config.channels), config.image_shape[0])):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


def _size(config: GANConfig) -> int:
    channels, height, width = config.feature_shape
    return channels * height * width
