"""Images in files of their own: PNG, JPEG, WebP and BMP."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NoReturn

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from latentcore import _errors
from latentcore._files import open_regular
from latentcore.data._depth import WHITE, brightest, check_white, is_deep, values_of

# shapes: C channels, H rows, W columns

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_MODES = {1: "L", 3: "RGB"}
_MEGAPIXELS = 50
_FEW_MEGAPIXELS, _OF_A_BYTE = 16, 200  # beyond so few, what is packed that well is a damaged header or a trap
_MEGABYTES = 500  # which so many pixels, even of four times 16 bits and not packed, do not need
_WHOLE = "a whole PNG, JPEG, WebP or BMP image"
_OPENING = Lock()  # for the warnings' filters are those of all threads


def read_image(
    path: str | os.PathLike[str],
    shape: tuple[int, int, int],
    *,
    fit: bool = True,
    smallest: int = 1,
    white: int | None = None,
) -> Tensor:
    """Read one image and bring it to a size.

    **Convention**: the image is turned as its EXIF data says, laid on black where it is transparent, made grey or
    coloured, resized bilinearly until it just covers (H, W), and cropped about its centre. An image of the right size
    and mode keeps its pixels. 16-bit grey is rounded to 8 bits, `white` to 255. A JPEG of more than twice the size is
    decoded at a half, a quarter or an eighth of its own, as long as that leaves twice what is wanted.

    Args:
        path: A PNG, JPEG, WebP or BMP file, whatever its name; of a film the first frame. More than 50 megapixels
            by the file's header are refused before anything is decoded, and so are more than 16 in fewer than a byte
            for each 200 pixels.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.
        fit: Whether an image of another size is resized and cropped; otherwise it is an error.
        smallest: An image with a side of fewer pixels is refused.
        white: The value that is white in a 16-bit file, 255 to 65535. None: the largest number of 8, 10, 12, 14 or 16
            bits, the fewest that the image's values have; a warning says so where these are not 16.

    Returns:
        (C, H, W), uint8.

    Raises:
        OSError: The file cannot be read.
        TypeError: ``shape`` does not hold ints.
        ValueError: The file is no such image or no regular file, damaged, cut short or too large; a size does not fit;
            16-bit values are above ``white``, or those of colours, of which only the upper bytes are read, have fewer
            bits.

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
    if white is not None:
        _errors.integer("white", white, 255, WHITE)
    with open_regular(path) as file:  # a file that is missing or may not be read is an OSError with its own words
        deep = is_deep(file)
        image = _opened(path, file)
        if min(image.size) < smallest:
            _errors.fail_value(str(path), f"sides of at least {smallest} pixels", f"{image.width} x {image.height}")
        if fit:  # formats other than JPEG do nothing here; the image may yet be turned
            image.draft(None, (2 * max(height, width),) * 2)
        image = _decoded(path, image)
        if deep:
            white = check_white(path, image, white)
        with _reading(path):
            image = _converted(image, _MODES[channels], white or WHITE)
    if not fit and image.size != (width, height):
        _errors.fail_value(str(path), f"{width} x {height} pixels", f"{image.width} x {image.height}")
    pixels = np.array(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1)))


def brightest_in(path: Path) -> int:
    """The largest value of a 16-bit file; 0 of others, and of what cannot be read: reading the image will say why."""
    try:
        with open_regular(path) as file:
            return brightest(_decoded(path, _opened(path, file))) if is_deep(file) else 0
    except (OSError, ValueError):
        return 0


def check_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape (C, H, W), where it is one of an image that can be read."""
    if len(shape) != 3 or shape[0] not in _MODES:
        _errors.fail_value("shape", "(C, H, W) with C 1 or 3", shape)
    for size in shape[1:]:
        _errors.integer("shape", size, 1, 2**15)
    return shape


def _opened(path: Path, file: BinaryIO) -> Image.Image:
    """What the header says; whatever a damaged one makes Pillow raise becomes one ValueError."""
    size = os.fstat(file.fileno()).st_size
    if size > _MEGABYTES * 1_000_000:  # which Pillow may read at once
        _errors.fail_value(str(path), f"at most {_MEGABYTES} megabytes", f"{size:,} bytes")
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
        pixels = image.width * image.height
        if pixels > _MEGAPIXELS * 1_000_000:
            raise Image.DecompressionBombError
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _errors.fail_value(str(path), f"at most {_MEGAPIXELS} megapixels", "more by the file's header")
    except UnidentifiedImageError:  # its message names a Python object, not the file
        _errors.fail_value(str(path), _WHOLE, "another content")
    except Exception as error:  # struct's, zlib's and others' own, and SyntaxError: there is no common class
        _fail_damaged(path, error)
    if pixels > _FEW_MEGAPIXELS * 1_000_000 and pixels > _OF_A_BYTE * size:
        _errors.fail_value(str(path), f"at most {_OF_A_BYTE} pixels for each byte", f"{pixels:,} in {size:,} bytes")
    return image


def _decoded(path: Path, image: Image.Image) -> Image.Image:
    """The whole image, upright."""
    with _reading(path):
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    return image


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors as those of the header."""
    try:
        yield
    except Exception as error:
        _fail_damaged(path, error)


def _fail_damaged(path: Path, error: Exception) -> NoReturn:
    if isinstance(error, OSError) and error.errno is not None:  # the disk's, not Pillow's: the file may be whole
        raise OSError(error.errno, error.strerror, str(path)) from None
    _errors.fail_value(str(path), _WHOLE, str(error).splitlines()[0] if str(error) else type(error).__name__)


def _converted(image: Image.Image, mode: str, white: int) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        image = Image.fromarray(np.rint(values_of(image) * (255 / white)).astype(np.uint8))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)  # which would be a copy
