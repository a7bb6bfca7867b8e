"""The images of some classes, and the few of them whose labels are known."""

from latentcore import _errors
from latentcore.data.arrays import ImageSet
from latentcore.data.convert import as_images
from latentcore.data.examples import Examples
from latentcore.data.image_sets import Images, of_classes
from latentcore.systems.few_label.config import FewLabelConfig


def labelled_images(data: Examples, config: FewLabelConfig) -> ImageSet:
    """The images whose labels are known: those that are given, or some drawn from the images to learn from.

    Raises:
        ValueError: Labels are missing or negative, there are too few images of a class, or they are of another shape.
    """
    if data.labelled is None and data.train.labels is None:
        expected = "images with their labels, or labels of the images, some of which are drawn then"
        _errors.fail_value("labelled", expected, "neither")
    found = data.labelled
    if found is None:
        found = data.train.draw(config.labels_per_class, seed=config.train.seed)
    labels = found.known_labels()
    if bool((labels < 0).any()):
        _errors.fail_value("labels", "whole numbers >= 0", int(labels.min()))
    return ImageSet(as_images(found.images, config.vae.image_shape, "labelled"), labels)


IMAGES = Images(chosen=lambda images, config: of_classes(images, config.classes), labelled=True)
