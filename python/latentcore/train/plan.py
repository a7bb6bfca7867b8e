"""Everything about a step that follows from the configuration and the step's number alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentcore import ops
from latentcore.train.config import TrainConfig
from latentcore.train.inputs import to_unit

# shapes: (N, C, H, W) images, (B, C, H, W) a batch, S steps per epoch

# Streams of random numbers; each is a function of (seed, stream, epoch), so that a resumed run draws what an
# undisturbed one would have drawn.
_ORDER, _AUGMENTATION = 0, 1
_VALIDATION = 2**31  # steps of training stay below; validation's noise is numbered from here


class Inputs(NamedTuple):
    """What the steps of an epoch read, a row per step.

    Attributes:
        rows: Numbers of the images. (S, B), int64.
        draws: Numbers of their augmentation, in [-1, 1] times its strength; None leaves images as they are. (S, 5, B).
        seeds: Of the latent noise. (S,), int64.
        betas: Factors of the KL term. (S,), float64.
    """

    rows: Tensor
    draws: Tensor | None
    seeds: Tensor
    betas: Tensor

    def at(self, step: Tensor) -> "Inputs":
        """The rows of the step whose number in the epoch `step` holds, (1,) int64; nothing waits for the device."""
        draws = None if self.draws is None else self.draws.index_select(0, step)[0]
        rows, seeds, betas = (part.index_select(0, step)[0] for part in (self.rows, self.seeds, self.betas))
        return Inputs(rows, draws, seeds, betas)

    def take_over(self, other: "Inputs") -> None:
        """Hold the numbers of another epoch, in the same memory."""
        for kept, new in zip(self, other, strict=True):
            if kept is not None and new is not None:
                kept.copy_(new)


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

    def inputs(self, epoch: int, device: torch.device) -> "Inputs":
        """What the steps of an epoch read, on a device."""
        order = self._random(_ORDER, epoch).permutation(self.count)[: self.steps * self.batch_size]
        first = epoch * self.steps
        seeds = [self.noise_seed(first + step) for step in range(self.steps)]
        betas = [self.beta(first + step) for step in range(self.steps)]
        strength = self.config.augmentation.strength(self.progress(epoch))
        return Inputs(
            torch.from_numpy(order).view(self.steps, self.batch_size).to(device),
            strength * self._draws(epoch).to(device) if strength else None,
            torch.tensor(seeds).to(device),
            torch.tensor(betas, dtype=torch.float64).to(device),
        )

    def batch(self, images: Tensor, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Input and target of a step, gathered and augmented on the device of `images`.

        The input is float in [0, 1]; the target is the clean batch in the dtype of `images`, or the input itself.
        """
        clean = images.index_select(0, rows)
        if draws is None:
            return to_unit(clean), clean
        augmented = self._augment(clean, draws)
        return augmented, (augmented if self.config.reconstruct == "augmented" else clean)

    def _augment(self, batch: Tensor, draws: Tensor) -> Tensor:
        """Transform each image by its own five numbers, times the configured ranges. draws: (5, B)."""
        ranges, (turn, right, down, zoom, slant) = self.config.augmentation, draws
        return ops.affine(
            batch,
            angle=ranges.degrees * turn,
            translate=(ranges.translate * right, ranges.translate * down),
            scale=torch.exp(ranges.scale * zoom),
            shear=(ranges.shear * slant, torch.zeros_like(slant)),
            dtype=torch.float32,
        )

    def _draws(self, epoch: int) -> Tensor:
        uniform = self._random(_AUGMENTATION, epoch).random((5, self.steps * self.batch_size), dtype=np.float32)
        return torch.from_numpy(2 * uniform - 1).view(5, self.steps, self.batch_size).transpose(0, 1).contiguous()

    def _random(self, stream: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, stream, epoch))
