"""The training of a classifier."""

from latentcore.data.arrays import ImageSet
from latentcore.models import ResNet15
from latentcore.systems.classifier.config import ClassifierConfig
from latentcore.training.config import Augmentation
from latentcore.training.images import ImageTraining
from latentcore.training.sources import LabelledImages


class Training(ImageTraining[ClassifierConfig]):
    """A classifier and images, each with its label, a whole number in [0, classes)."""

    needs = ("features", "config.image_shape", "config.classes")

    @staticmethod
    def build(config: ClassifierConfig) -> ResNet15:
        """A new model."""
        return ResNet15(config.resnet)

    @property
    def classes(self) -> int:
        """Those of the network."""
        return self.config.resnet.classes

    def source(self) -> LabelledImages:
        """Images to be told apart."""
        return _labelled(self.learned, self.config.train.augmentation)

    def validation(self) -> LabelledImages | None:
        """Images as they are, so that the losses of all epochs compare."""
        return None if self.kept_back is None else _labelled(self.kept_back, Augmentation())


def _labelled(images: ImageSet, augmentation: Augmentation) -> LabelledImages:
    return LabelledImages(images.images, images.known_labels(), augmentation)
