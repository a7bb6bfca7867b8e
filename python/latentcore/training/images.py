"""The base of trainings on images: checks them, and parts off those by which weights are chosen."""

from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric

from latentcore import _errors
from latentcore.data.arrays import ImageSet
from latentcore.data.convert import as_classes, as_images
from latentcore.data.drawn import parted
from latentcore.data.examples import Examples
from latentcore.data.hashes import image_hash
from latentcore.training.driver import Training
from latentcore.training.sources import Images, Source
from latentcore.training.system import SystemConfig

# shapes: (N, C, H, W) images, (N,) labels

C = TypeVar("C", bound=SystemConfig)

SIZES = ("config.image_shape", "config.latent", "config.classes")
"""What a model says that encodes and decodes images, as `Training.needs` names it."""


class ImageTraining(Training[C]):
    """A training on images of the configured network's shape.

    Attributes:
        images: All that are given to learn from, those for validation among them.
        learned: Those to learn from.
        kept_back: Those by which the best weights are chosen, or None.
    """

    def __init__(self, config: C, data: Examples, fabric: Fabric) -> None:
        super().__init__(config, data, fabric)
        self.images = self.checked(data.train, "images")
        self.learned, self.kept_back = self._divided()
        self.validated = self.kept_back is not None

    @property
    def classes(self) -> int:
        """Number of classes that the model is told; 0: labels do not count."""
        return 0

    def checked(self, images: Any, name: str) -> ImageSet:
        """Images of the network's shape, and labels where the model is told them."""
        pictures = as_images(images.images, self.config.network.image_shape, name)
        labels = images.labels if self.classes else None
        words = "labels" if name == "images" else f"labels of {name}"
        return ImageSet(pictures, as_classes(labels, len(pictures), self.classes, words))

    @property
    def fingerprint(self) -> str:
        """Of the images, and of the labels where they count."""
        return image_hash(self.images)

    def source(self) -> Source:
        """Images to be reconstructed."""
        train, images = self.config.train, self.learned
        return Images(images.images, train.augmentation, train.reconstruct, images.labels, train.binarise)

    def validation(self) -> Source | None:
        """Images as they are, so that the losses of all epochs compare."""
        held = self.kept_back
        return None if held is None else Images(held.images, labels=held.labels)

    def _divided(self) -> tuple[ImageSet, ImageSet | None]:
        if self.data.validation is not None:
            return self.images, self.checked(self.data.validation, "validation")
        share, seed = self.config.train.validation, self.config.train.seed
        if share == 0:
            return self.images, None
        count = round(share * len(self.images))
        if not 0 < count < len(self.images):
            words = f"0, or a share of {len(self.images)} images that is neither none nor all of them"
            _errors.fail_value("TrainConfig.validation", words, share)
        rows = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))[:count]
        return parted(self.images, rows)
