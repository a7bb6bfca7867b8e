"""The training of a GAN."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentcore.models import GAN
from latentcore.systems.gan.config import GANTraining
from latentcore.systems.gan.objective import AdversarialLoss
from latentcore.training.epoch_pictures import pictures_of_epochs
from latentcore.training.images import ImageTraining

# shapes: (N, L) latents

EPOCH_SIDE = 8  # samples along a side of the picture of an epoch


class Training(ImageTraining[GANTraining]):
    """A GAN and images, whose labels do not count."""

    needs = ("draw", "config.image_shape", "config.latent")

    @staticmethod
    def build(config: GANTraining) -> GAN:
        """A new model."""
        return GAN(config.gan)

    def objective(self, model: Any) -> AdversarialLoss:
        """The adversarial loss."""
        return AdversarialLoss(self.config.loss)

    def watch(self, model: Any, folder: Path) -> Callable[[int], None]:
        """A picture of samples, of the same latents each time."""
        z = normal_latents(EPOCH_SIDE**2, model.config.latent, seed=0)

        def draw() -> Tensor:
            # of the device and the dtype that the model is trained in
            drawn: Tensor = model.draw(z.to(next(model.parameters())))
            return drawn.float()

        return pictures_of_epochs(folder, draw, EPOCH_SIDE)


def normal_latents(n: int, latent: int, seed: int) -> Tensor:
    """Normal latents (n, L)."""
    return torch.randn(n, latent, generator=torch.Generator().manual_seed(seed))
