"""What a model of images should explain: the images as they are, or black and white ones drawn from them."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from latentcore import _errors
from latentcore.data.convert import as_images, to_unit

# shapes: (N, C, H, W) images

Target = Literal["grey", "binarised"]
"""The images as they are, or `binarised` by seed 0; either way they are what the model sees and what it explains."""

_AT_A_TIME = 4096  # images, so that their numbers take little memory


def binarised(images: Any, seed: int = 0) -> Tensor:
    """Images whose pixels are black or white, white with a probability that is their grey.

    Pixel i of all images, in row-major order, is white where number i of torch's generator on the CPU is below its grey
    in [0, 1]. So the result is a function of (seed, i, grey): the same on every device, for uint8 and the floats they
    stand for, and for the first images alone.

    Args:
        images: (N, C, H, W) or (N, H, W), uint8 or float in [0, 1], NumPy or torch.
        seed: Of the numbers.

    Returns:
        0 and 255, which are 0 and 1 wherever this package takes images. (N, C, H, W), uint8, on the images' device.

    Raises:
        TypeError: ``images`` is neither array nor tensor or has another dtype, or ``seed`` is no int.
        ValueError: Another number of dimensions, no images, or values outside [0, 1].

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import binarised
        >>> white = binarised(torch.full((100, 28, 28), 0.25)) == 255
        >>> round(float(white.double().mean()), 2)
        0.25

    Reference:
        Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", ICML 2008.
    """
    _errors.integer("seed", seed, -(2**63), 2**63 - 1)
    grey = as_images(images, _shape_of(images))
    generator = torch.Generator().manual_seed(int(seed))
    found = torch.empty_like(grey, dtype=torch.uint8)
    for begin in range(0, len(grey), _AT_A_TIME):  # one stream of numbers, whose pieces join
        part = grey[begin : begin + _AT_A_TIME]
        numbers = torch.rand(part.shape, generator=generator).to(grey.device)
        found[begin : begin + _AT_A_TIME] = (numbers < to_unit(part)).to(torch.uint8).mul_(255)
    return found


def target_images(images: Any, target: Target, image_shape: tuple[int, int, int]) -> Tensor:
    """The images that a model of `image_shape` should explain; errors as `as_images`. (N, C, H, W)."""
    _errors.one_of("target", target, get_args(Target))
    checked = as_images(images, image_shape)
    return binarised(checked) if target == "binarised" else checked


def _shape_of(images: Any) -> tuple[int, int, int]:
    """(C, H, W) of images (N, C, H, W) or (N, H, W)."""
    sizes = tuple(getattr(images, "shape", (0, 0, 0)))  # `as_images` refuses what has no shape
    if len(sizes) not in (3, 4):
        _errors.fail_value("images", "shape (N, H, W) or (N, C, H, W)", sizes)
    return sizes[1] if len(sizes) == 4 else 1, sizes[-2], sizes[-1]
