"""Everything about a step that follows from the configuration and the step's number alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore.training.config import TrainConfig
from latentcore.training.sources import Source

# shapes: S steps per epoch, B examples of this process per step, K random numbers for each example, A parts of a batch

# Streams of random numbers; each is a function of (seed, stream, epoch), so that a resumed run draws what an
# undisturbed one would have drawn.
_ORDER, _DRAWS, _LAYERS = 0, 1, 2
# steps and epochs of training stay below; those of validation are numbered from here
_VALIDATION = 2**31


class Inputs(NamedTuple):
    """What the steps of an epoch read, a row per step.

    Attributes:
        rows: Numbers of the examples. (S, B), int64.
        draws: Random numbers in [-1, 1] times the source's strength; None where that is 0. (S, K, B).
        seeds: Of the latent noise, one for each part of a batch. (S, A), int64.
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
        source: What is learned from.
        rank: Number of this process.
        processes: How many share each batch: the first one takes the first examples, and so on.

    Raises:
        ValueError: A batch cannot be shared evenly.
    """

    config: TrainConfig
    source: Source
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        parts = self.processes * self.config.accumulate
        if self.batch_size % parts:
            words = f"a multiple of {self.processes} processes times {self.config.accumulate} parts"
            _errors.fail_value("TrainConfig.batch_size", words, self.batch_size)

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self.source)

    @property
    def batch_size(self) -> int:
        """Examples per step, of all processes."""
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

    def noise_seed(self, step: int, part: int = 0) -> int:
        """Seed of the latent noise: another one for every step of every seed, and for every part.

        Processes have the same: each draws the noise of its own rows (`first_row`).
        """
        return (self.config.seed << 32) + step * self.config.accumulate + part

    def layer_seed(self, epoch: int, step: int = 0) -> int:
        """Seed of torch's own generators from a step on: layers such as dropout draw from them."""
        return int(self._random(_LAYERS, epoch, step * self.processes + self.rank).integers(2**63))

    def validation_seed(self, batch: int) -> int:
        """Seed of the latent noise of a validation batch: the same in every epoch, so that losses compare."""
        return self.noise_seed(_VALIDATION + batch)

    def inputs(self, epoch: int) -> Inputs:
        """What the steps of an epoch read, on the device of the source."""
        device = self.source.device
        order = self.source.order(self._random(_ORDER, epoch), self.steps, self.batch_size)
        first = epoch * self.steps
        parts = range(self.config.accumulate)
        seeds = [[self.noise_seed(first + step, part) for part in parts] for step in range(self.steps)]
        betas = [self.beta(first + step) for step in range(self.steps)]
        strength = self.source.strength(self.progress(epoch))
        return Inputs(
            self.share(order, self.config.accumulate).to(device),
            strength * self.share(self._draws(epoch), self.config.accumulate).to(device) if strength else None,
            torch.tensor(seeds).to(device),
            torch.tensor(betas, dtype=torch.float64).to(device),
        )

    def validation_draws(self, source: Source, batch: int, size: int) -> Tensor | None:
        """This process's random numbers (K, B) of a validation batch of `size` examples, the same in every epoch.

        They have the strength that they have at the end of the training: augmented images are validated as they are.
        """
        strength = source.strength(1.0)
        draws = _uniform(self._random(_DRAWS, _VALIDATION + batch), source.numbers, size)
        return strength * self.share(draws).to(source.device) if strength else None

    def share(self, of_all: Tensor, parts: int = 1) -> Tensor:
        """What belongs to the examples of this process, whose numbers the last dimension counts.

        Of a batch in several parts it is this process's share of each.
        """
        of_parts = of_all.unflatten(-1, (parts, -1))
        count = of_parts.shape[-1]
        own: Tensor = of_parts[..., self.first_row(count) : (self.rank + 1) * count // self.processes]
        return own.flatten(-2).contiguous()

    def first_row(self, count: int) -> int:
        """Number of this process's first example among `count` that all share."""
        return self.rank * count // self.processes

    def _draws(self, epoch: int) -> Tensor:
        flat = _uniform(self._random(_DRAWS, epoch), self.source.numbers, self.steps * self.batch_size)
        return flat.view(-1, self.steps, self.batch_size).transpose(0, 1).contiguous()

    def _random(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, *numbers))


def _uniform(generator: np.random.Generator, *shape: int) -> Tensor:
    """Numbers in [-1, 1)."""
    return torch.from_numpy(2 * generator.random(shape, dtype=np.float32) - 1)
