"""Where the batches of a training come from: examples on the device, gathered and transformed there."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from latentcore import ops
from latentcore.data.convert import to_unit
from latentcore.training.config import Augmentation

# shapes: (N, C, H, W) all images, (B, C, H, W) a batch, (K, B) random numbers in [-1, 1]


class Source(Protocol):
    """Examples that can be asked for by number.

    Attributes:
        unit: What an example is, in the plural.
    """

    unit: str

    @property
    def numbers(self) -> int:
        """K, the random numbers that an example of a step needs."""

    def __len__(self) -> int:
        """Number of examples."""

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""

    def to(self, device: torch.device) -> Self:
        """The same examples on a device."""

    def strength(self, progress: float) -> float:
        """What the random numbers are multiplied by when this fraction of the epochs is done; 0 needs none."""

    def order(self, random: np.random.Generator, steps: int, batch_size: int) -> Tensor:
        """Which rows each step of an epoch asks for, (steps, batch_size), int64."""

    def begin(self, epoch: int | None, step: int, batch_size: int) -> None:
        """The steps of an epoch from `step` on come next; epoch None: once through all examples in their order."""

    def advance(self) -> None:
        """Get ready what the next step may ask for; called before each."""

    def batch(self, rows: Tensor, draws: Tensor | None) -> Any:
        """What the objective takes, for rows (B,) and draws (K, B), or None where the strength is 0."""


class Resident(Sized):
    """Base of sources that have all their examples on the device."""

    unit = "images"

    def order(self, random: np.random.Generator, steps: int, batch_size: int) -> Tensor:
        """Rows without replacement."""
        return torch.from_numpy(random.permutation(len(self))[: steps * batch_size]).view(steps, batch_size)

    def begin(self, epoch: int | None, step: int, batch_size: int) -> None:
        """Nothing is to be done."""

    def advance(self) -> None:
        """Nothing is to be done."""


@dataclass(frozen=True)
class Stored(Resident):
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
    """Images to be reconstructed: batches are (input, target), or (input, target, labels).

    The input is float in [0, 1]. The target is the clean batch in the dtype of `images`, or the input itself.

    Attributes:
        labels: What a model of classes is told. (N,), int64, or None.
        binarise: Whether pixels are drawn, 0 or 1, with their values as probabilities: from torch's generator of the
            device, as dropout.
        augmentation: Of the input.
        reconstruct: What is to be drawn, the "clean" image or the "augmented" one.
    """

    augmentation: Augmentation = field(default_factory=Augmentation)
    reconstruct: Literal["clean", "augmented"] = "clean"
    labels: Tensor | None = None
    binarise: bool = False

    @property
    def numbers(self) -> int:
        """The augmentation's."""
        return self.augmentation.numbers

    def strength(self, progress: float) -> float:
        """The augmentation's."""
        return self.augmentation.strength(progress)

    def batch(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, ...]:
        """Input and target (B, C, H, W), and labels (B,) where there are any."""
        clean = self.images.index_select(0, rows)
        if self.binarise:
            clean = torch.bernoulli(to_unit(clean))
        augmented = augment(clean, self.augmentation, draws)
        target = clean if draws is None or self.reconstruct == "clean" else augmented
        return (augmented, target) if self.labels is None else (augmented, target, self.labels.index_select(0, rows))


@dataclass(frozen=True)
class LabelledImages(Stored):
    """Images to be classified: batches are pairs (images, labels).

    Attributes:
        labels: (N,), int64.
        augmentation: Of the images.
    """

    labels: Tensor
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def numbers(self) -> int:
        """The augmentation's."""
        return self.augmentation.numbers

    def strength(self, progress: float) -> float:
        """The augmentation's."""
        return self.augmentation.strength(progress)

    def batch(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), float in [0, 1], and labels (B,)."""
        images = self.images.index_select(0, rows)
        return augment(images, self.augmentation, draws), self.labels.index_select(0, rows)


def augment(batch: Tensor, ranges: Augmentation, draws: Tensor | None) -> Tensor:
    """Transform each image by its own numbers (K, B), times the ranges. (B, C, H, W); of uint8 images in [0, 1]."""
    if draws is None:
        return to_unit(batch)
    turn, right, down, zoom, slant, *mirrors = draws
    return ops.affine(
        batch,
        angle=ranges.degrees * turn,
        translate=(ranges.translate * right, ranges.translate * down),
        scale=_scale(torch.exp(ranges.scale * zoom), mirrors, ranges.mirror),
        shear=(ranges.shear * slant, torch.zeros_like(slant)),
        center=ranges.center,
        dtype=torch.float32,
    )


def _scale(zoom: Tensor, mirrors: Sequence[Tensor], axes: str) -> Tensor | list[Tensor]:
    """The zoom along x and y, negative where an image is mirrored."""
    if axes == "none":
        return zoom
    return [
        torch.where(draw < 0, -zoom, zoom) if axis in axes else zoom for axis, draw in zip("xy", mirrors, strict=True)
    ]
