"""A trained VAE of photographs, ready for use."""

from typing import Any

import torch
from torch import Tensor

from latentcore._ambient import torch_as_usual
from latentcore._memory import bounded
from latentcore.data.convert import as_images, to_unit
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.training.run import CodingRun

# shapes: (N, C, H, W) images

_BATCH = 4096  # images at a time: those of a mapped file are not to be copied at once


class PhotographsRun(CodingRun[PhotographsConfig]):
    """A trained VAE of photographs."""

    @torch_as_usual(gradients=False)
    def principal(self, images: Any) -> Tensor:
        """What the principal axes of the training photographs draw, as many as there are latents. (N, C, H, W)."""
        shown = as_images(images, self.model.config.image_shape)
        return torch.cat([self.model.project(to_unit(part.cpu())) for part in bounded(shown.split(_BATCH))])
