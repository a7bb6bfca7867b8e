"""Images for training and test, from whatever a path leads to."""

import os
from pathlib import Path

from latentcore import _errors
from latentcore.data import mnist
from latentcore.data.arrays import ImageSet, load_images
from latentcore.data.cifar import load_cifar10
from latentcore.data.drawn import parted, rows_kept_back


def load_split(
    train: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    channels_last: bool | None = None,
) -> tuple[ImageSet, ImageSet]:
    """Read training and test images.

    Args:
        train: A folder with MNIST's IDX files or with CIFAR-10's binary files, which have a test set of their own; or a
            file that `load_images` reads.
        test: A file with the test images; of a file without one, a tenth drawn from `seed` is the test set.
        seed: Any int >= 0.
        channels_last: Of files of images, as `load_images` takes it.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged or is of CIFAR's pickled version, the images are of different sizes, or there are
            too few.
    """
    if Path(train).is_dir():
        if test is not None:
            _errors.fail_value("test", "none beside a folder, which has test images of its own", str(test))
        if channels_last is not None:
            _errors.fail_value("channels_last", "a file of images beside it", f"the folder {train}")
        load = load_cifar10 if any(Path(train).glob("*_batch*")) else mnist.load
        return load(train, "train"), load(train, "test")
    images = load_images(train, channels_last=channels_last)
    if test is None:
        return parted(images, rows_kept_back(len(images), str(train), seed=seed))
    others = load_images(test, channels_last=channels_last)
    if others.images.shape[1:] != images.images.shape[1:]:
        _errors.fail_value(str(test), f"images of {tuple(images.images.shape[1:])}", tuple(others.images.shape[1:]))
    return images, others
