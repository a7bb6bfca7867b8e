"""Which images of a file are kept back to judge by."""

import torch
from torch import Tensor

from latentcore import _errors
from latentcore.data.arrays import ImageSet

_SHARE = 0.1


def rows_kept_back(count: int, name: str, *, seed: int = 0) -> Tensor:
    """A tenth of the rows of `count` images, drawn from `seed` and sorted: those to judge by. (M,).

    Args:
        count: Number of images, at least 6.
        name: Of the file, for the message.
        seed: Any int >= 0.

    Raises:
        ValueError: There are too few.

    Example:
        >>> rows_kept_back(30, "images.npz").shape
        torch.Size([3])
    """
    kept = round(_SHARE * count)
    if kept == 0:
        _errors.fail_value(name, "at least 6 images, or a test file", count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:kept].sort().values


def parted(images: ImageSet, rows: Tensor) -> tuple[ImageSet, ImageSet]:
    """The images that are not in `rows` (M,), and those that are; each in their order."""
    kept = torch.zeros(len(images), dtype=torch.bool)
    kept[rows] = True
    first, second = (
        ImageSet(images.images[mask], None if images.labels is None else images.labels[mask]) for mask in (~kept, kept)
    )
    return first, second
