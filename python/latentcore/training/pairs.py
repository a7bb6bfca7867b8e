"""Pairs of an image and the transformed image, drawn anew in every step."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore.data import ImageSet, TransformedImages, transformed
from latentcore.training.sources import Resident

# shapes: (B, C, H, W) images, (B, 4) parameters: degrees, scale, pixels right, pixels down


@dataclass(frozen=True)
class PairsConfig:
    """Which transformations are learned, and from what pairs.

    Attributes:
        angles: Degrees from which orientations are drawn; none stands for any angle.
        scale: Lowest and highest magnification.
        translate: Pixels; both directions are in [-translate, translate].
        upright: Fraction of the pairs whose first image is as it is in the data. That of the others is transformed
            itself: turned pairs begin at any orientation, and where there are scales or translations both images of a
            pair are the same, for two of them after each other would leave the ranges.
        same: Fraction of the pairs whose second image is the first.
        upright_labels: Classes whose images are only ever seen as they are, to see later whether they can be turned.
        canvas: Side of a larger square on which images are centred, so that turning crops no corner; 0 keeps them.
    """

    angles: tuple[float, ...] = tuple(30.0 * step for step in range(12))
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    upright: float = 0.5
    same: float = 0.25
    upright_labels: tuple[int, ...] = ()
    canvas: int = 0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("upright", "same"):
            _config.in_range(self, field, 0, 1)
        for field in ("translate", "canvas"):
            _config.in_range(self, field, 0, 2**15)
        if not 0 < self.scale[0] <= self.scale[1]:
            _errors.fail_value("PairsConfig.scale", "0 < low <= high", self.scale)

    @property
    def rotations_only(self) -> bool:
        """Whether scales and translations stay as they are."""
        return self.scale == (1.0, 1.0) and self.translate == 0

    def images(self, images: Tensor | ImageSet) -> TransformedImages:
        """uint8 images (N, C, H, W), or with their labels, and these transformations of them."""
        angles = self.angles or None
        canvas = self.canvas or None
        return TransformedImages(images, angles=angles, scale=self.scale, translate=self.translate, canvas=canvas)


class PairBatch(NamedTuple):
    """A batch of pairs.

    Attributes:
        images: The first images. (B, C, H, W), float32 in [0, 1].
        parameters: What takes the first to the second. (B, 4).
        targets: The second images, each transformed from the data in one step. (B, C, H, W), float32 in [0, 1].
    """

    images: Tensor
    parameters: Tensor
    targets: Tensor


class Pairs(Resident):
    """A source (`latentcore.training.sources`) of pairs.

    Args:
        data: Images and ranges, as `config.images` makes them.
        config: Which pairs.

    Raises:
        ValueError: There are `upright_labels`, but no labels.
    """

    numbers = 10  # for the first image, the second one, and two choices

    def __init__(self, data: TransformedImages, config: PairsConfig) -> None:
        self.data, self.config = data, config
        # made once: a step that is recorded on CUDA cannot copy from the host
        self._still = torch.tensor([0.0, 1.0, 0.0, 0.0], device=data.images.device)
        self._fixed = self._never_turned()

    def __len__(self) -> int:
        return len(self.data.images)

    @property
    def device(self) -> torch.device:
        """Of the images."""
        return self.data.images.device

    def to(self, device: torch.device) -> "Pairs":
        """The same pairs on a device."""
        return Pairs(self.data.to(device), self.config)

    def strength(self, progress: float) -> float:
        """Pairs are the same throughout the training."""
        return 1.0

    def batch(self, rows: Tensor, draws: Tensor | None) -> PairBatch:
        """Pairs of the images `rows` (B,), chosen by numbers (10, B) in [-1, 1)."""
        assert draws is not None, "pairs are drawn"
        uniform = ((draws.T + 1) / 2).contiguous()
        first, second = self.data.parameters_of(uniform[:, :4]), self.data.parameters_of(uniform[:, 4:8])
        upright = uniform[:, 8:9] < self.config.upright
        same = uniform[:, 9:] < self.config.same
        if not self.config.rotations_only:
            same = same | ~upright
        if self._fixed is not None:
            fixed = self._fixed.index_select(0, rows).unsqueeze(1)
            upright, same = upright | fixed, same | fixed
        first = torch.where(upright, self._still, first)
        second = torch.where(same, first, second)
        parameters = torch.where(same, self._still, _between(first, second))
        images = self.data.images.index_select(0, rows)
        return PairBatch(transformed(images, first), parameters, transformed(images, second))

    def _never_turned(self) -> Tensor | None:
        """Which images are only ever seen as they are. (N,)."""
        if not self.config.upright_labels:
            return None
        if self.data.labels is None:
            _errors.fail_value("labels", "a label for every image, for the sake of upright_labels", "none")
        return torch.isin(self.data.labels, torch.tensor(self.config.upright_labels, device=self.device))


def _between(first: Tensor, second: Tensor) -> Tensor:
    """What takes `first` to `second`: rotations follow each other, other transformations begin at upright images."""
    return torch.cat([(second[:, :1] - first[:, :1]) % 360, second[:, 1:]], dim=1)
