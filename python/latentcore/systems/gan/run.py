"""A trained GAN, ready for use."""

from typing import Any

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._memory import bounded
from latentcore.data.convert import as_latents
from latentcore.systems.gan.config import GANTraining
from latentcore.systems.gan.training import normal_latents
from latentcore.training.run import Run

# shapes: (N, C, H, W) images, (N, L) latents

_BATCH = 2048  # images at a time, so that memory does not grow with N


class GANRun(Run[GANTraining]):
    """A trained GAN."""

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def decode(self, z: Any) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        return torch.cat([self.model.draw(batch.cpu()) for batch in bounded(batches)])

    @torch_as_usual(gradients=False)
    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the standard normal prior."""
        _errors.integer("n", n, 1, 2**31)
        return self.decode(normal_latents(n, self.model.config.latent, seed))
