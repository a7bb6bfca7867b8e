"""Pairs of images and their turned, scaled and moved versions: data of what transformations do."""

import copy
import operator
import os
from collections.abc import Iterable, Sequence
from typing import NoReturn, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from latentcore import _checks, _errors
from latentcore.data._pixels import as_bytes, rounded
from latentcore.data._ranges import check_finite, degrees_of, range_of
from latentcore.data.arrays import ImageSet
from latentcore.ops.warp import affine, rotate

# shapes: N images, A fixed angles, B items of a batch, C channels, H rows, W columns

Images = ImageSet | Tensor | np.ndarray | str | os.PathLike[str]
Item = tuple[Tensor, Tensor, Tensor]

_COLUMNS = 4  # angle, scale, right, down
_LARGEST_CANVAS = 2**15
# SplitMix64's constants, as int64 holds them
_STEP, _MIX_1, _MIX_2 = (c - 2**64 for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def transformed(images: Tensor, parameters: Tensor) -> Tensor:
    """Turn, scale and move every image by numbers of its own, in one call and without waiting for the device.

    **Convention**: that of :func:`latentcore.ops.affine`. Angles are counter-clockwise as displayed, about the image's
    centre; outside the image is black.

    Args:
        images: (B, C, H, W), uint8 or floating point in [0, 1].
        parameters: (B, 4), on the images' device: the angle in degrees, the magnification, and pixels to the right
            and down.

    Returns:
        (B, C, H, W), float32 in [0, 1]; uint8 images are multiplied by 1/255.

    Raises:
        TypeError: An argument is no tensor, or of a wrong dtype.
        ValueError: A shape or device does not fit.

    Example:
        >>> import torch
        >>> from latentcore.data import transformed
        >>> image = torch.tensor([[[[0, 255], [0, 255]]]], dtype=torch.uint8)
        >>> transformed(image, torch.tensor([[90.0, 1.0, 0.0, 0.0]]))
        tensor([[[[1., 1.],
                  [0., 0.]]]])
    """
    _checks.dtype("images", images, (torch.uint8, *_checks.FLOATING))
    _checks.shape("images", images, ("B", "C", "H", "W"))
    _checks.floating("parameters", parameters)
    _checks.shape("parameters", parameters, (len(images), _COLUMNS))
    pixels = images if images.dtype == torch.uint8 else images.float()
    angle, scale, right, down = parameters.unbind(1)
    return affine(pixels, angle=angle, scale=scale, translate=(right, down), dtype=torch.float32)


class TransformedImages(Dataset[Item]):
    """Images and transformed versions of them, made when they are asked for.

    An item is (image, transformed image, parameters): (C, H, W) float32 in [0, 1] twice, and (4,) float32 with the
    angle in degrees counter-clockwise, the scale, and the pixels to the right and down. With A fixed angles item i is
    image i // A at angle i % A; with continuous ones it is image i. Whatever is random of an item is a function of
    (seed, epoch, item): the same in any batch, order, process and on any device.

    A DataLoader fetches each batch in one call. Its workers hold copies, which see a new epoch when they start: with
    persistent workers they never do. Without a DataLoader, `batch` makes a whole batch on the images' device.

    Args:
        images: An `ImageSet`; images (N, H, W) or (N, C, H, W), tensor or array, uint8 or floats in [0, 1], which are
            rounded to 1/255; or a folder, which
            :func:`load_folder` reads.
        angles: Fixed degrees, any finite numbers; ``None`` draws from [0, 360).
        scale: The lowest and the highest magnification, 0 < low <= high, uniform between.
        translate: Pixels; both directions are uniform in [-translate, translate].
        canvas: Side in pixels of a black square on which every image is centred, so that turning crops no corner:
            40 holds 28×28 at any angle. Where sides differ by an odd number, the spare row or column lies below or
            right. ``None`` keeps the images' size.
        seed: Any int >= 0.
        image_shape: The (C, H, W) in which images of a folder are read.

    Attributes:
        images: (N, C, H, W), uint8, on the canvas.
        labels: (N,), int64, a label for each image, or None.
        angles: (A,), float32, or None where they are continuous.

    Raises:
        TypeError: An argument is of a wrong type or dtype.
        ValueError: A shape does not fit, a number is outside its range, or a file is damaged.

    Example:
        >>> from latentcore.data import TransformedImages, mnist
        >>> pairs = TransformedImages(mnist.embedded("test"), angles=None, scale=(0.8, 1.2), translate=2.0, canvas=40)
        >>> image, moved, parameters = pairs[7]
        >>> image.shape, moved.shape, parameters.shape
        (torch.Size([1, 40, 40]), torch.Size([1, 40, 40]), torch.Size([4]))
        >>> import torch
        >>> images, moved, parameters = pairs.batch(torch.randint(len(pairs), (64,)))
        >>> moved.shape
        torch.Size([64, 1, 40, 40])
    """

    def __init__(
        self,
        images: Images,
        *,
        angles: Iterable[float] | None = (0.0,),
        scale: tuple[float, float] = (1.0, 1.0),
        translate: float = 0.0,
        canvas: int | None = None,
        seed: int = 0,
        image_shape: tuple[int, int, int] = (1, 28, 28),
    ) -> None:
        degrees = None if angles is None else degrees_of(angles)
        low, high = range_of(scale)
        check_finite("translate", translate, "a finite number >= 0", at_least=0.0)
        _errors.integer("seed", seed, 0, 2**63 - 1)
        found = _image_set(images, image_shape)
        self.images = _on_canvas(found.images, canvas)
        self.labels = found.labels
        device = self.images.device
        self.angles = None if degrees is None else degrees.to(device)
        # parameters are _low + uniform * _span; fixed angles take the place of the first column
        self._low = torch.tensor([0.0, low, -translate, -translate], device=device)
        self._span = torch.tensor([360.0, high - low, 2 * translate, 2 * translate], device=device)
        self._only_turns = (low, high) == (1.0, 1.0) and translate == 0
        self._seed = int(seed)
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self.images) * self._steps

    def __getitem__(self, index: int) -> Item:
        place, size = operator.index(index), len(self)
        if not -size <= place < size:
            _fail_index("index", -size, size - 1, place)
        return self.__getitems__([place % size])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:  # what a DataLoader asks for where it is there
        return list(zip(*self.batch(torch.tensor(indices, dtype=torch.int64)), strict=True))

    def set_epoch(self, epoch: int) -> None:
        """Draw other numbers for every item: those of the epoch, an int >= 0."""
        _errors.integer("epoch", epoch, 0, 2**63 - 1)
        key = np.random.SeedSequence((self._seed, int(epoch))).generate_state(1, np.uint64)
        self._key = int(key.view(np.int64)[0])

    def to(self, device: torch.device | str) -> Self:
        """The same pairs with the images on a device, where batches are made; items are the same."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def batch(self, indices: Tensor) -> Item:
        """Items by their places, made together on the images' device.

        Args:
            indices: (B,), int64 in [0, len), best on the images' device. On another device than the CPU they are not
                checked, since that would wait for it.

        Returns:
            Images (B, C, H, W) and transformed images (B, C, H, W), float32 in [0, 1], and parameters (B, 4), float32.

        Raises:
            IndexError: A place is outside the data.
            TypeError: ``indices`` is no int64 tensor.
            ValueError: ``indices`` is not (B,).
        """
        places = self._checked(indices).to(self.images.device)
        images = self.images.index_select(0, places // self._steps)
        steps = None if self.angles is None else places % self._steps
        parameters = self._mapped(_uniform(places, self._key), steps)
        # times 1/255, as the kernel does: an image that is not turned stays the same bit by bit
        return images.float().mul_(1 / 255), transformed(images, parameters), parameters

    def parameters_of(self, uniform: Tensor) -> Tensor:
        """Parameters in the ranges of this set from random numbers of one's own.

        Args:
            uniform: (B, 4), float32 in [0, 1), on the images' device: for the angle, the scale, right and down.
                Fixed angles are picked with equal chances.

        Returns:
            (B, 4), float32, as :func:`transformed` takes them.

        Raises:
            TypeError: ``uniform`` is no float32 tensor.
            ValueError: ``uniform`` is not (B, 4).

        Example:
            >>> import torch
            >>> from latentcore.data import TransformedImages, mnist
            >>> pairs = TransformedImages(mnist.embedded("test"), angles=(0, 90), scale=(0.5, 1.5), translate=4.0)
            >>> pairs.parameters_of(torch.tensor([[0.75, 0.5, 0.0, 0.5]]))
            tensor([[90.,  1., -4.,  0.]])
        """
        _checks.dtype("uniform", uniform, (torch.float32,))
        _checks.shape("uniform", uniform, ("B", _COLUMNS))
        count = self._steps
        steps = None if self.angles is None else (uniform[:, 0] * count).long().clamp_(max=count - 1)
        return self._mapped(uniform, steps)

    def _moved(self, images: Tensor, parameters: Tensor) -> Tensor:
        """As `transformed`; rotations alone need half as many small operations."""
        if self._only_turns:
            return rotate(images, parameters[:, 0], dtype=torch.float32)
        return transformed(images, parameters)

    @property
    def _steps(self) -> int:
        return 1 if self.angles is None else len(self.angles)

    def _mapped(self, uniform: Tensor, steps: Tensor | None) -> Tensor:
        parameters = uniform * self._span + self._low
        if self.angles is not None and steps is not None:
            parameters[:, 0] = self.angles.index_select(0, steps)
        return parameters

    def _checked(self, indices: Tensor) -> Tensor:
        _checks.dtype("indices", indices, (torch.int64,))
        _checks.shape("indices", indices, ("B",))
        if indices.device.type == "cpu" and len(indices):
            low, high = (int(extreme) for extreme in indices.aminmax())
            if low < 0 or high >= len(self):
                _fail_index("indices", 0, len(self) - 1, low if low < 0 else high)
        return indices


def _uniform(places: Tensor, key: int) -> Tensor:
    """Numbers (B, 4) in [0, 1) that are a function of key and place: those of SplitMix64 that its counter reaches.

    A counter needs no table of the size of the data, which at many angles would be larger than the images.
    """
    counter = places.unsqueeze(1) * _COLUMNS + torch.arange(_COLUMNS, device=places.device)
    # int64 wraps like uint64, but its shifts copy the sign, which is masked away
    bits = counter.mul_(_STEP).add_(key)
    bits = (bits ^ ((bits >> 30) & (2**34 - 1))).mul_(_MIX_1)
    bits = (bits ^ ((bits >> 27) & (2**37 - 1))).mul_(_MIX_2)
    return ((bits >> 40) & (2**24 - 1)).float().mul_(2.0**-24)  # as many bits as float32 holds


def _image_set(images: Images, image_shape: tuple[int, int, int]) -> ImageSet:
    if isinstance(images, ImageSet):
        return ImageSet(rounded("images", images.images), images.labels)
    if isinstance(images, str | os.PathLike):
        from latentcore.data import load_folder  # with Pillow, which arrays do not need

        return load_folder(images, image_shape)
    if not isinstance(images, np.ndarray | Tensor):
        _errors.fail_type("images", "an ImageSet, an array, a torch.Tensor or a folder", type(images).__name__)
    return ImageSet(as_bytes(images))


def _on_canvas(images: Tensor, side: int | None) -> Tensor:
    if side is None:
        return images.contiguous()
    height, width = images.shape[2:]
    _errors.integer("canvas", side, max(height, width), _LARGEST_CANVAS)
    left, top = (side - width) // 2, (side - height) // 2
    return F.pad(images, (left, side - width - left, top, side - height - top))


def _fail_index(name: str, low: int, high: int, got: int) -> NoReturn:
    raise IndexError(f"{name}: expected ints in [{low}, {high}], got {got}")
