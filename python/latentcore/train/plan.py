"""Everything about a step that follows from the configuration and the step's number alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentcore import ops
from latentcore.train.config import TrainConfig
from latentcore.train.inputs import to_unit

# shapes: (N, C, H, W) images, (B, C, H, W) a batch

# Streams of random numbers; each is a function of (seed, stream, epoch), so that a resumed run draws what an
# undisturbed one would have drawn.
_ORDER, _AUGMENTATION = 0, 1
_VALIDATION = 2**31  # steps of training stay below; validation's noise is numbered from here


@dataclass(frozen=True)
class Plan:
    """The steps of a training.

    Attributes:
        config: How to train.
        count: Number of training images.
    """

    config: TrainConfig
    count: int

    @property
    def batch_size(self) -> int:
        """Images per step."""
        return min(self.config.batch_size, self.count)

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.count // self.batch_size

    @property
    def total(self) -> int:
        """Steps of all epochs."""
        return self.steps * self.config.epochs

    def progress(self, epoch: int) -> float:
        """Fraction of the epochs that is done when `epoch` begins."""
        return epoch / self.config.epochs

    def beta(self, step: int) -> float:
        """Factor of the KL term."""
        ramp = self.config.beta_warmup * self.total
        return self.config.beta * min(1.0, step / ramp) if ramp else self.config.beta

    def noise_seed(self, step: int) -> int:
        """Seed of the latent noise: another one for every step of every seed."""
        return (self.config.seed << 32) + step

    def validation_seed(self, batch: int) -> int:
        """Seed of the latent noise of a validation batch: the same in every epoch, so that losses compare."""
        return self.noise_seed(_VALIDATION + batch)

    def batches(self, images: Tensor, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (input, target) for each step of an epoch, gathered and augmented on the device of `images`.

        The input is float in [0, 1]; the target is the clean batch in the dtype of `images`, or the input itself.
        """
        used = self.steps * self.batch_size
        order = torch.from_numpy(self._random(_ORDER, epoch).permutation(self.count)[:used]).to(images.device)
        strength = self.config.augmentation.strength(self.progress(epoch))
        draws = self._draws(epoch, used).to(images.device) if strength else None
        for start in range(0, used, self.batch_size):
            clean = images[order[start : start + self.batch_size]]
            if draws is None:
                yield to_unit(clean), clean
                continue
            augmented = self._augment(clean, strength * draws[:, start : start + self.batch_size])
            yield augmented, (augmented if self.config.reconstruct == "augmented" else clean)

    def _augment(self, batch: Tensor, draws: Tensor) -> Tensor:
        """Transform each image by its own five numbers in [-1, 1], times the configured ranges. draws: (5, B)."""
        ranges, (turn, right, down, zoom, slant) = self.config.augmentation, draws
        return ops.affine(
            batch,
            angle=ranges.degrees * turn,
            translate=(ranges.translate * right, ranges.translate * down),
            scale=torch.exp(ranges.scale * zoom),
            shear=(ranges.shear * slant, torch.zeros_like(slant)),
            dtype=torch.float32,
        )

    def _draws(self, epoch: int, count: int) -> Tensor:
        return torch.from_numpy(2 * self._random(_AUGMENTATION, epoch).random((5, count), dtype=np.float32) - 1)

    def _random(self, stream: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, stream, epoch))
