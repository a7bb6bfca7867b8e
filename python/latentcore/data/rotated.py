"""Pairs of handwritten digits and turned ones."""

import os
from collections.abc import Iterable
from typing import Self

from torch import Tensor

from latentcore import _errors
from latentcore.data import mnist
from latentcore.data.arrays import ImageSet
from latentcore.data.transformations import Item, TransformedImages

# shapes: B items of a batch, H rows, W columns


class RotatedDigits(TransformedImages):
    """Handwritten digits and turned versions of them, with the angle as a part of a full turn.

    An item is (image, rotated image, angle / 360): (1, H, W) float32 in [0, 1] twice, and a float32 scalar. Places,
    random numbers and batches are those of :class:`TransformedImages`.

    Args:
        images: An `ImageSet` with labels; a folder with MNIST's IDX files, whose training set is taken; or ``None``
            for the training digits that come with the package.
        digits: The classes to keep, all of which must be there.
        angles: Degrees counter-clockwise as displayed; ``None`` draws from [0, 360).
        canvas: Side of a larger square, as :class:`TransformedImages` takes it.
        seed: Any int >= 0.

    Raises:
        FileNotFoundError: A file of the folder is missing.
        TypeError: An argument is of a wrong type or dtype.
        ValueError: There are no labels, no image of a class, a number is outside its range, or a file is damaged.

    Example:
        >>> from latentcore.data import RotatedDigits
        >>> pairs = RotatedDigits(digits=(1, 2))
        >>> len(pairs)
        7200
        >>> image, rotated, turn = pairs[3]
        >>> rotated.shape, turn
        (torch.Size([1, 28, 28]), tensor(0.2500))
    """

    def __init__(
        self,
        images: ImageSet | str | os.PathLike[str] | None = None,
        *,
        digits: Iterable[int] = range(10),
        angles: Iterable[float] | None = range(0, 360, 30),
        canvas: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(_digits(images, list(digits)), angles=angles, canvas=canvas, seed=seed)

    @classmethod
    def study(cls, images: ImageSet | str | os.PathLike[str] | None = None) -> Self:
        """Ones and twos at twelve angles, 30 degrees apart."""
        return cls(images, digits=(1, 2), angles=range(0, 360, 30))

    def batch(self, indices: Tensor) -> Item:
        """Items by their places, as `TransformedImages.batch` makes them; the third is angle / 360, (B,)."""
        images, rotated, parameters = super().batch(indices)
        return images, rotated, parameters[:, 0] / 360


def _digits(images: ImageSet | str | os.PathLike[str] | None, digits: list[int]) -> ImageSet:
    if images is None:
        images = mnist.embedded("train")
    elif isinstance(images, str | os.PathLike):
        images = mnist.load(images, "train")
    elif not isinstance(images, ImageSet):
        _errors.fail_type("images", "an ImageSet, a folder or None", type(images).__name__)
    known = set(images.known_labels().tolist())
    if not digits or not known.issuperset(digits):
        _errors.fail_value("digits", f"some of {sorted(known)}", digits)
    return images.select(digits)
