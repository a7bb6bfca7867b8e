"""Images in files of their own: PNG, JPEG, WebP and BMP."""

import os
import warnings
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NoReturn

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from latentcore import _checks

# shapes: C channels, H rows, W columns

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_MODES = {1: "L", 3: "RGB"}
_MEGAPIXELS = 50
_WHOLE = "a whole PNG, JPEG, WebP or BMP image"
_OPENING = Lock()  # for the warnings' filters are those of all threads


def read_image(
    path: str | os.PathLike[str], shape: tuple[int, int, int], *, fit: bool = True, smallest: int = 1
) -> Tensor:
    """Read one image and bring it to a size.

    **Convention**: the image is turned as its EXIF data says, laid on black where it is transparent, made grey or
    coloured, resized bilinearly until it just covers (H, W), and cropped about its centre. An image of the right size
    and mode keeps its pixels. 16-bit grey is rounded to 8 bits. A JPEG of more than twice the size is decoded at a
    half, a quarter or an eighth of its own, as long as that leaves twice what is wanted.

    Args:
        path: A PNG, JPEG, WebP or BMP file, whatever its name; of a film the first frame. More than 50 megapixels
            by the file's header are refused before anything is decoded.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.
        fit: Whether an image of another size is resized and cropped; otherwise it is an error.
        smallest: An image with a side of fewer pixels is refused.

    Returns:
        (C, H, W), uint8.

    Raises:
        OSError: The file cannot be read.
        TypeError: ``shape`` does not hold ints.
        ValueError: The file is no such image, damaged, cut short or too large, or a size does not fit.

    Example:
        >>> from PIL import Image
        >>> from latentcore.data import read_image
        >>> Image.new("L", (4, 2), 7).save("a.png")
        >>> read_image("a.png", (1, 2, 2))
        tensor([[[7, 7],
                 [7, 7]]], dtype=torch.uint8)
    """
    path = Path(path)
    channels, height, width = check_shape(shape)
    if not path.is_file() and path.exists():  # opening a pipe would wait for somebody who writes to it
        _checks.fail_value(str(path), "an image file", "a folder or a device")
    with path.open("rb") as file:  # a file that is missing or may not be read is an OSError with its own words
        image = _opened(path, file)
        if min(image.size) < smallest:
            _checks.fail_value(str(path), f"sides of at least {smallest} pixels", f"{image.width} x {image.height}")
        if fit:  # formats other than JPEG do nothing here; the image may yet be turned
            image.draft(None, (2 * max(height, width),) * 2)
        image = _decoded(path, image, _MODES[channels])
    if not fit and image.size != (width, height):
        _checks.fail_value(str(path), f"{width} x {height} pixels", f"{image.width} x {image.height}")
    pixels = np.array(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1)))


def check_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape (C, H, W), where it is one of an image that can be read."""
    if len(shape) != 3 or shape[0] not in _MODES:
        _checks.fail_value("shape", "(C, H, W) with C 1 or 3", shape)
    for size in shape[1:]:
        _checks.integer("shape", size, 1, 2**15)
    return shape


def _opened(path: Path, file: BinaryIO) -> Image.Image:
    """What the header says; whatever a damaged one makes Pillow raise becomes one ValueError."""
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
        if image.width * image.height > _MEGAPIXELS * 1_000_000:
            raise Image.DecompressionBombError
        return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _checks.fail_value(str(path), f"at most {_MEGAPIXELS} megapixels", "more by the file's header")
    except UnidentifiedImageError:  # its message names a Python object, not the file
        _checks.fail_value(str(path), _WHOLE, "another content")
    except Exception as error:  # struct's, zlib's and others' own, and SyntaxError: there is no common class
        _fail_damaged(path, error)


def _decoded(path: Path, image: Image.Image, mode: str) -> Image.Image:
    """The whole image, upright and in the mode; errors as those of the header."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
        return _converted(image, mode)
    except Exception as error:
        _fail_damaged(path, error)


def _fail_damaged(path: Path, error: Exception) -> NoReturn:
    if isinstance(error, OSError) and error.errno is not None:  # the disk's, not Pillow's: the file may be whole
        raise OSError(error.errno, error.strerror, str(path)) from None
    _checks.fail_value(str(path), _WHOLE, str(error).splitlines()[0] if str(error) else type(error).__name__)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)  # which would be a copy
