"""Where the batches of a training come from: examples on the device, gathered and transformed there."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from latentcore import ops
from latentcore.train.config import Augmentation
from latentcore.train.inputs import to_unit

# shapes: (N, C, H, W) all images, (B, C, H, W) a batch, (K, B) random numbers in [-1, 1]


class Source(Protocol):
    """Examples that can be asked for by number.

    Attributes:
        numbers: K, the random numbers that an example of a step needs.
    """

    numbers: int

    def __len__(self) -> int:
        """Number of examples."""

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""

    def to(self, device: torch.device) -> Self:
        """The same examples on a device."""

    def strength(self, progress: float) -> float:
        """What the random numbers are multiplied by when this fraction of the epochs is done; 0 needs none."""

    def batch(self, rows: Tensor, draws: Tensor | None) -> Any:
        """What the objective takes, for rows (B,) and draws (K, B), or None where the strength is 0."""


@dataclass(frozen=True)
class Stored:
    """Images in memory; the base of sources that gather their batches from them.

    Attributes:
        images: (N, C, H, W), uint8 or float in [0, 1].
    """

    images: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Of the images."""
        return self.images.device

    def to(self, device: torch.device) -> Self:
        """The same examples on a device."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)})


@dataclass(frozen=True)
class Images(Stored):
    """Images to be reconstructed: batches are pairs (input, target).

    The input is float in [0, 1]. The target is the clean batch in the dtype of `images`, or the input itself.

    Attributes:
        augmentation: Of the input.
        reconstruct: What is to be drawn, the "clean" image or the "augmented" one.
    """

    augmentation: Augmentation = field(default_factory=Augmentation)
    reconstruct: Literal["clean", "augmented"] = "clean"
    numbers = 5

    def strength(self, progress: float) -> float:
        """The augmentation's."""
        return self.augmentation.strength(progress)

    def batch(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Input and target (B, C, H, W)."""
        clean = self.images.index_select(0, rows)
        augmented = augment(clean, self.augmentation, draws)
        return augmented, (clean if draws is None or self.reconstruct == "clean" else augmented)


@dataclass(frozen=True)
class LabelledImages(Stored):
    """Images to be classified: batches are pairs (images, labels).

    Attributes:
        labels: (N,), int64.
        augmentation: Of the images.
    """

    labels: Tensor
    augmentation: Augmentation = field(default_factory=Augmentation)
    numbers = 5

    def strength(self, progress: float) -> float:
        """The augmentation's."""
        return self.augmentation.strength(progress)

    def batch(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), float in [0, 1], and labels (B,)."""
        images = self.images.index_select(0, rows)
        return augment(images, self.augmentation, draws), self.labels.index_select(0, rows)


def augment(batch: Tensor, ranges: Augmentation, draws: Tensor | None) -> Tensor:
    """Transform each image by its own five numbers (5, B), times the ranges. (B, C, H, W), float in [0, 1]."""
    if draws is None:
        return to_unit(batch)
    turn, right, down, zoom, slant = draws
    return ops.affine(
        batch,
        angle=ranges.degrees * turn,
        translate=(ranges.translate * right, ranges.translate * down),
        scale=torch.exp(ranges.scale * zoom),
        shear=(ranges.shear * slant, torch.zeros_like(slant)),
        dtype=torch.float32,
    )
