"""Pairs of an image and the transformed image, drawn anew in every step, and the images that they are drawn from."""

import torch
from torch import Tensor

from latentcore import _errors
from latentcore.data import ImageSet, TransformedImages, transformed
from latentcore.data.convert import as_bytes
from latentcore.data.image_sets import Images, of_classes
from latentcore.models.transforming import PairBatch
from latentcore.systems.rotation.config import PairsConfig, RotationConfig
from latentcore.training.sources import Resident

# shapes: (B, C, H, W) images, (B, 4) parameters: degrees, scale, pixels right, pixels down


IMAGES = Images(chosen=lambda images, config: of_classes(images, config.digits))


def fitting(images: ImageSet, config: RotationConfig, name: str) -> ImageSet:
    """Images as bytes, of a shape that the configuration takes; floats are rounded to 1/255."""
    # on a canvas the size of the images is free, as long as they fit
    pixels = as_bytes(images.images, None if config.pairs.canvas else config.vae.image_shape, name)
    channels, *sides = config.vae.image_shape
    if pixels.shape[1] != channels or max(pixels.shape[2:]) > max(sides):
        _errors.fail_value(name, f"{channels} channels and at most {max(sides)} pixels a side", tuple(pixels.shape))
    return ImageSet(pixels, images.labels)


def transformable(images: Tensor | ImageSet, config: PairsConfig) -> TransformedImages:
    """uint8 images (N, C, H, W), or with their labels, on the configured canvas, and the transformations of them."""
    angles, canvas = config.angles or None, config.canvas or None
    return TransformedImages(images, angles=angles, scale=config.scale, translate=config.translate, canvas=canvas)


class Pairs(Resident):
    """A source (`latentcore.training.sources`) of pairs.

    Args:
        data: Images and ranges, as `transformable` makes them.
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
